using System.Net;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Cloud.Hub;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Yarp.ReverseProxy.Forwarder;

namespace Atoll.Cloud.Server;

/// <summary>
/// Carries logs, exec, attach and port-forward from the centre to the site that runs the pod: the request goes unchanged
/// through a stream of the site's link to the site's own API. Upgrades, streaming, cancellation and half-closed ends are the
/// forwarder's; back-pressure is the stream's own.
/// </summary>
internal sealed class PodTunnel : IDisposable
{
    private static readonly ForwarderRequestConfig s_config = new() { ActivityTimeout = TimeSpan.FromHours(4), Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact };

    private static readonly HttpRequestOptionsKey<string> s_site = new("atoll.site");

    private readonly LinkHub _hub;
    private readonly IHttpForwarder _forwarder;
    private readonly HttpMessageInvoker _client;

    public PodTunnel(LinkHub hub, IHttpForwarder forwarder)
    {
        _hub = hub;
        _forwarder = forwarder;
        // One tunnel stream a request: a stream is cheap, and a pool would hold streams of sites that have left.
        _client = new HttpMessageInvoker(new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            EnableMultipleHttp2Connections = false,
            PooledConnectionLifetime = TimeSpan.Zero,
            ConnectCallback = (connection, _) =>
            {
                string site = connection.InitialRequestMessage.Options.TryGetValue(s_site, out string? name) ? name : "";
                HubSession session = _hub.SessionOf(site) ?? throw new IOException($"site {site} is not connected");
                return ValueTask.FromResult(session.OpenTunnel());
            },
        });
    }

    /// <summary>Serves one request; a returned status has not been written.</summary>
    public async Task<ApiStatus?> ServeAsync(HttpContext context, KubeObject pod, string subresource)
    {
        string? node = pod.View(ApiJson.Default.Pod).Spec.NodeName;
        if (string.IsNullOrEmpty(node))
            return ApiStatus.BadRequest($"pod {pod.Name} does not have a host assigned");
        if (_hub.SiteOfNode(node) is not { } site)
            return ApiStatus.NotFound(Kinds.Node, node);
        if (_hub.SessionOf(site) is not { IsLive: true })
            return ApiStatus.ServiceUnavailable($"site {site}, which runs pod {pod.Name}, is not connected: {subresource} works at the site itself, and here again when its link is back");
        ForwarderError error = await _forwarder.SendAsync(context, "http://site/", _client, s_config, new SiteTransformer(site));
        return error != ForwarderError.None && !context.Response.HasStarted && context.GetForwarderErrorFeature()?.Exception is { } failure && !context.RequestAborted.IsCancellationRequested
            ? ApiStatus.ServiceUnavailable($"the tunnel to site {site} failed: {failure.Message}")
            : null;
    }

    /// <inheritdoc/>
    public void Dispose() => _client.Dispose();

    private sealed class SiteTransformer(string site) : HttpTransformer
    {
        public override async ValueTask TransformRequestAsync(HttpContext httpContext, HttpRequestMessage proxyRequest, string destinationPrefix, CancellationToken cancellationToken)
        {
            await base.TransformRequestAsync(httpContext, proxyRequest, destinationPrefix, cancellationToken);
            // The caller was admitted here; its credentials are nobody's business at the site.
            proxyRequest.Headers.Authorization = null;
            proxyRequest.Headers.Host = "site";
            proxyRequest.Options.Set(s_site, site);
        }
    }
}
