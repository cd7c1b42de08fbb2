using System.Net.WebSockets;
using Microsoft.AspNetCore.Connections.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Http.Timeouts;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;

namespace Atoll.Link;

/// <summary>
/// The parent's door: upgrades an authenticated request to a WebSocket and runs the site's session on it. Who the site is,
/// and whether it may come in, is the caller's to find out first (from the client certificate).
/// </summary>
public static class LinkEndpoint
{
    /// <summary>Path of the upgrade.</summary>
    public const string Path = "/link/v1";

    /// <summary>Runs until the session ends; returns why. Answers 400 to what is no WebSocket request.</summary>
    /// <param name="context">The request; HTTP/1.1.</param>
    /// <param name="site">Name of the authenticated site.</param>
    /// <param name="owner">The hub's part for this session.</param>
    /// <param name="options">Settings; share <see cref="LinkOptions.Bodies"/> among sessions.</param>
    /// <param name="traffic">Where to count the site's bytes.</param>
    /// <param name="acceptStream">Called for each stream that the site opens; null refuses them.</param>
    /// <param name="time">Clock.</param>
    /// <param name="random">Randomness of the heartbeat.</param>
    /// <param name="cancellation">Ends the session in order: the server's shutdown.</param>
    public static async Task<LinkError> HandleAsync(
        HttpContext context, string site, IParentOwner owner, LinkOptions options, LinkTraffic traffic,
        Func<LinkStream, CancellationToken, Task>? acceptStream, TimeProvider time, Random random, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(context);
        IHttpUpgradeFeature? upgrade = context.Features.Get<IHttpUpgradeFeature>();
        string key = context.Request.Headers.SecWebSocketKey.ToString();
        if (upgrade is not { IsUpgradableRequest: true } || key.Length is 0 or > 64
            || !string.Equals(context.Request.Headers.Upgrade.ToString(), "websocket", StringComparison.OrdinalIgnoreCase)
            || context.Request.Headers.SecWebSocketVersion.ToString() != "13")
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return LinkError.Malformed;
        }
        // A link is idle for most of its life, and its own heartbeat finds out when it is dead.
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } sendRate)
            sendRate.MinDataRate = null;
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } receiveRate)
            receiveRate.MinDataRate = null;
        context.Features.Get<IHttpRequestTimeoutFeature>()?.DisableTimeout();
        System.Net.Sockets.Socket? socket = context.Features.Get<IConnectionSocketFeature>()?.Socket;
        if (socket is not null)
            SocketTuning.Apply(socket);

        context.Response.Headers.Connection = "Upgrade";
        context.Response.Headers.Upgrade = "websocket";
        context.Response.Headers.SecWebSocketAccept = WebSocketUpgrade.Accept(key);
        Stream stream = await upgrade.UpgradeAsync().ConfigureAwait(false);
        WebSocket web = WebSocket.CreateFromStream(stream, new WebSocketCreationOptions { IsServer = true, KeepAliveInterval = TimeSpan.Zero });
        WebSocketLine line = new(web, null, socket);
        await using (line.ConfigureAwait(false))
            return await ParentLink.RunAsync(site, line, owner, options, traffic, acceptStream, time, random, cancellation).ConfigureAwait(false);
    }
}
