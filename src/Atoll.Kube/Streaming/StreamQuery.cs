using System.Globalization;
using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Streaming;

/// <summary>Reads the query parameters of log, exec, attach and port-forward as Kubernetes does.</summary>
internal static class StreamQuery
{
    /// <summary>The longest command line taken, all arguments together.</summary>
    public const int CommandBytes = 128 * 1024;

    /// <summary>PodLogOptions. Text that is no number or time is 400; a value out of range is 422. Both name the parameter.</summary>
    public static ApiStatus? ReadLog(IQueryCollection query, KubeObject pod, out LogRequest request)
    {
        request = new LogRequest();
        long? tailLines = null, sinceSeconds = null, limitBytes = null;
        DateTimeOffset? sinceTime = null;
        ApiStatus? error = PodContainers.Choose(pod, Text(query, "container"), out string container)
            ?? ReadLong(query, "tailLines", out tailLines)
            ?? ReadLong(query, "sinceSeconds", out sinceSeconds)
            ?? ReadLong(query, "limitBytes", out limitBytes)
            ?? ReadTime(query, "sinceTime", out sinceTime);
        if (error is not null)
            return error;
        if (tailLines < 0)
            return Invalid(pod, "tailLines", $"Invalid value: {tailLines}: must be greater than or equal to 0");
        if (limitBytes < 1)
            return Invalid(pod, "limitBytes", $"Invalid value: {limitBytes}: must be greater than 0");
        if (sinceSeconds is not null && sinceTime is not null)
            return Invalid(pod, "sinceTime", "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified");
        if (sinceSeconds < 1)
            return Invalid(pod, "sinceSeconds", $"Invalid value: {sinceSeconds}: must be greater than 0");
        request = new LogRequest
        {
            Container = container,
            Follow = Flag(query, "follow"),
            Previous = Flag(query, "previous"),
            Timestamps = Flag(query, "timestamps"),
            TailLines = tailLines,
            SinceSeconds = sinceSeconds,
            SinceTime = sinceTime,
            LimitBytes = limitBytes,
        };
        return null;
    }

    /// <summary>PodExecOptions, or PodAttachOptions when <paramref name="attach"/>.</summary>
    public static ApiStatus? ReadExec(IQueryCollection query, KubeObject pod, bool attach, out ExecRequest request)
    {
        request = new ExecRequest();
        if (PodContainers.Choose(pod, Text(query, "container"), out string container) is { } error)
            return error;
        string[] command = attach ? [] : [.. query["command"].Select(a => a ?? "")];
        bool tty = Flag(query, "tty");
        request = new ExecRequest
        {
            Container = container,
            Command = command,
            Stdin = Flag(query, "stdin"),
            Stdout = Flag(query, "stdout"),
            // A terminal has one output.
            Stderr = Flag(query, "stderr") && !tty,
            Tty = tty,
        };
        if (!request.Stdin && !request.Stdout && !request.Stderr)
            return ApiStatus.BadRequest("you must specify at least 1 of stdin, stdout, stderr");
        if (!attach && (command.Length == 0 || command[0].Length == 0))
            return ApiStatus.BadRequest("you must specify at least one command for the container");
        if (command.Sum(a => (long)a.Length) > CommandBytes)
            return ApiStatus.BadRequest($"command: longer than {CommandBytes} bytes; pass the data on standard input");
        return command.Any(a => a.Contains('\0', StringComparison.Ordinal)) ? ApiStatus.BadRequest("command: an argument must not contain a NUL byte") : null;
    }

    /// <summary>A boolean: absent, <c>0</c> and <c>false</c> are false, all else (also the bare name) is true.</summary>
    public static bool Flag(IQueryCollection query, string name)
    {
        if (!query.TryGetValue(name, out var values))
            return false;
        string value = values.Count == 0 ? "" : values[0] ?? "";
        return value != "0" && !value.Equals("false", StringComparison.OrdinalIgnoreCase);
    }

    private static string? Text(IQueryCollection query, string name) => query.TryGetValue(name, out var values) ? values[0] : null;

    private static ApiStatus? ReadLong(IQueryCollection query, string name, out long? value)
    {
        value = null;
        if (Text(query, name) is not { } text)
            return null;
        if (!long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number))
            return ApiStatus.BadRequest($"{name}: Invalid value: \"{text}\": must be a whole number");
        value = number;
        return null;
    }

    private static ApiStatus? ReadTime(IQueryCollection query, string name, out DateTimeOffset? value)
    {
        value = null;
        if (Text(query, name) is not { Length: > 0 } text)
            return null;
        // RFC 3339 has a date, a T and a zone; the parser alone would take much more.
        if (text.Length < 20 || text[10] is not ('T' or 't') || !DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time))
            return ApiStatus.BadRequest($"{name}: Invalid value: \"{text}\": must be a time as in RFC 3339, such as 2026-01-31T15:04:05Z");
        value = time;
        return null;
    }

    private static ApiStatus Invalid(KubeObject pod, string field, string message) => new()
    {
        Code = StatusCodes.Status422UnprocessableEntity,
        Reason = "Invalid",
        Message = $"PodLogOptions \"{pod.Name}\" is invalid: {field}: {message}",
        Details = new StatusDetails { Name = pod.Name, Kind = "PodLogOptions", Causes = [new StatusCause { Field = field, Message = message, Reason = "FieldValueInvalid" }] },
    };
}
