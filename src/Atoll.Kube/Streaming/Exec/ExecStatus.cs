using System.Globalization;
using System.Text;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Kube.Streaming.Exec;

/// <summary>How a command ended, as the error channel tells it.</summary>
internal static class ExecStatus
{
    /// <summary>Status of an exit code: success, or a failure whose cause <c>ExitCode</c> is what kubectl exits with.</summary>
    public static ApiStatus Of(int exitCode)
    {
        if (exitCode == 0)
            return ApiStatus.Success();
        return new ApiStatus
        {
            Reason = "NonZeroExitCode",
            Message = $"command terminated with non-zero exit code: exit status {exitCode}",
            Details = new StatusDetails { Causes = [new StatusCause { Reason = "ExitCode", Message = exitCode.ToString(CultureInfo.InvariantCulture) }] },
        };
    }

    /// <summary>Bytes for the error channel: JSON since v4; before, the message alone, and nothing for a success.</summary>
    public static byte[] Encode(ApiStatus status, bool json)
    {
        if (json)
            return JsonSerializer.SerializeToUtf8Bytes(status, ApiJson.Default.ApiStatus);
        return status.Status == "Success" ? [] : Encoding.UTF8.GetBytes(status.Message ?? "");
    }
}
