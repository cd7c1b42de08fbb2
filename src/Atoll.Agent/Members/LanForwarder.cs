using System.Net;
using Atoll.Api.Objects;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;

namespace Atoll.Agent.Members;

/// <summary>
/// Hands a request of the API to another node of the site, unchanged, streams and upgrades (exec, attach, port-forward)
/// included. The caller was admitted here; the other node trusts this one.
/// </summary>
internal sealed class LanForwarder(SocketsHttpHandler handler)
{
    private static readonly HashSet<string> s_hop = new(StringComparer.OrdinalIgnoreCase) { "Connection", "Keep-Alive", "Transfer-Encoding", "Upgrade", "Proxy-Connection", "TE", "Trailer", "Host", "Authorization" };

    private readonly HttpMessageInvoker _client = new(handler, disposeHandler: false);

    /// <summary>Forwards; a returned status has not been written, and nothing of the request was used up.</summary>
    public async Task<ApiStatus?> ServeAsync(HttpContext context, string address, bool here)
    {
        IHttpUpgradeFeature? upgrade = context.Features.Get<IHttpUpgradeFeature>() is { IsUpgradableRequest: true } can ? can : null;
        using HttpRequestMessage request = Request(context, address, here, upgrade is not null);
        HttpResponseMessage response;
        try
        {
            response = await _client.SendAsync(request, context.RequestAborted);
        }
        // A connection that is not made in time is a cancelled one, too.
        catch (Exception e) when (e is HttpRequestException || (e is OperationCanceledException && !context.RequestAborted.IsCancellationRequested))
        {
            return ApiStatus.ServiceUnavailable($"the node at {address} cannot be reached: {e.Message}");
        }
        using (response)
        {
            context.Response.StatusCode = (int)response.StatusCode;
            foreach (KeyValuePair<string, IEnumerable<string>> header in response.Headers.Concat(response.Content.Headers))
                if (!s_hop.Contains(header.Key))
                    context.Response.Headers.Append(header.Key, header.Value.ToArray());
            await using Stream body = await response.Content.ReadAsStreamAsync(context.RequestAborted);
            if (response.StatusCode == HttpStatusCode.SwitchingProtocols && upgrade is not null)
            {
                context.Response.Headers.Connection = "Upgrade";
                context.Response.Headers.Upgrade = string.Join(", ", response.Headers.Upgrade.Select(p => p.ToString()));
                await using Stream client = await upgrade.UpgradeAsync();
                await RelayAsync(client, body, context.RequestAborted);
                return null;
            }
            await CopyAsync(body, context.Response.Body, flush: true, context.RequestAborted);
        }
        return null;
    }

    private static HttpRequestMessage Request(HttpContext context, string address, bool here, bool upgrades)
    {
        HttpRequest asked = context.Request;
        var request = new HttpRequestMessage(new HttpMethod(asked.Method), new Uri($"http://{address}{asked.PathBase}{asked.Path}{asked.QueryString}")) { Version = HttpVersion.Version11, VersionPolicy = HttpVersionPolicy.RequestVersionExact };
        if (!upgrades && (asked.ContentLength > 0 || asked.Headers.TransferEncoding.Count > 0))
            request.Content = new StreamContent(asked.Body);
        foreach (KeyValuePair<string, Microsoft.Extensions.Primitives.StringValues> header in asked.Headers)
            if (!s_hop.Contains(header.Key) && !request.Headers.TryAddWithoutValidation(header.Key, (IEnumerable<string?>)header.Value))
                request.Content?.Headers.TryAddWithoutValidation(header.Key, (IEnumerable<string?>)header.Value);
        request.Headers.Remove(LanClient.AsHeader);
        request.Headers.Remove(LanClient.HereHeader);
        request.Headers.Add(LanClient.AsHeader, "admin");
        if (here)
            request.Headers.Add(LanClient.HereHeader, "1");
        if (upgrades)
        {
            request.Headers.TryAddWithoutValidation("Connection", "Upgrade");
            request.Headers.TryAddWithoutValidation("Upgrade", asked.Headers.Upgrade.ToString());
        }
        return request;
    }

    private static async Task RelayAsync(Stream client, Stream node, CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task up = CopyAsync(client, node, flush: true, stop.Token), down = CopyAsync(node, client, flush: true, stop.Token);
        // The node closes when its process has ended and all is said; a client that goes ends it, too.
        await Task.WhenAny(up, down);
        if (!down.IsCompleted && up.IsCompletedSuccessfully)
            await down.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await stop.CancelAsync();
        await Task.WhenAll(up, down).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    private static async Task CopyAsync(Stream from, Stream to, bool flush, CancellationToken cancellation)
    {
        byte[] buffer = new byte[8192];
        int read;
        while ((read = await from.ReadAsync(buffer, cancellation)) > 0)
        {
            await to.WriteAsync(buffer.AsMemory(0, read), cancellation);
            if (flush)
                await to.FlushAsync(cancellation);
        }
    }
}
