using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Atoll.Kube.Streaming;

/// <summary>Serves <c>pods/log</c>: plain text, sent on as it comes, held back only by the client's reading.</summary>
internal static class LogEndpoint
{
    public static async Task<ApiStatus?> ServeAsync(HttpContext context, KubeObject pod, IPodStreams streams)
    {
        if (!HttpMethods.IsGet(context.Request.Method))
            return ApiStatus.MethodNotAllowed("log: use GET");
        if (StreamQuery.ReadLog(context.Request.Query, pod, out LogRequest request) is { } wrong)
            return wrong;
        // A reader who pauses (a pager) is not an attack: no minimum rate.
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } rate)
            rate.MinDataRate = null;
        await using var output = new LogOutput(context.Response);
        try
        {
            if (await streams.LogsAsync(pod, request, output, context.RequestAborted).ConfigureAwait(false) is { } error && !context.Response.HasStarted)
                return error;
            await output.StartAsync(context.RequestAborted).ConfigureAwait(false);
            return null;
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            return null;
        }
        catch (IOException broken)
        {
            if (!context.Response.HasStarted)
                return ApiStatus.InternalError($"the log of pod {pod.Name} could not be read: {broken.Message}");
            // Half a log must not look like a whole one.
            context.Abort();
            return null;
        }
    }

    /// <summary>The response's body; its head is sent with the first byte, so that an error can still be told before.</summary>
    private sealed class LogOutput(HttpResponse response) : WriteOnlyStream
    {
        public async ValueTask StartAsync(CancellationToken cancellation)
        {
            if (response.HasStarted)
                return;
            response.ContentType = "text/plain";
            await response.StartAsync(cancellation).ConfigureAwait(false);
        }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            await StartAsync(cancellationToken).ConfigureAwait(false);
            await response.Body.WriteAsync(buffer, cancellationToken).ConfigureAwait(false);
            await response.Body.FlushAsync(cancellationToken).ConfigureAwait(false);
        }
    }
}
