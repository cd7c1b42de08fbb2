using System.Net.WebSockets;
using System.Security.Cryptography;
using System.Text;
using Atoll.Api.Objects;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core.Features;
using Microsoft.Extensions.Primitives;

namespace Atoll.Kube.Streaming;

/// <summary>What a client wants to change the connection to.</summary>
internal enum UpgradeKind
{
    None,
    WebSocket,
    Spdy,
}

/// <summary>
/// The two ways of upgrading. The handshake is made here, over the server's raw upgrade, so that it works without any
/// middleware and over every transport that passes upgrades through.
/// </summary>
internal static class StreamUpgrade
{
    /// <summary>How often an idle connection shows that it lives. Unasked pongs also keep kubectl's own watchdog quiet while we hold back its input.</summary>
    public static readonly TimeSpan KeepAlive = TimeSpan.FromSeconds(20);

    private const string SpdyVersionHeader = "X-Stream-Protocol-Version";
    private const string AcceptedSpdyVersionHeader = "X-Accepted-Stream-Protocol-Versions";

    /// <summary>What the request asks for; <see cref="UpgradeKind.None"/> also when the connection cannot be upgraded.</summary>
    public static UpgradeKind Kind(HttpContext context)
    {
        if (context.Features.Get<IHttpUpgradeFeature>() is not { IsUpgradableRequest: true })
            return UpgradeKind.None;
        string upgrade = context.Request.Headers.Upgrade.ToString();
        if (upgrade.Equals("websocket", StringComparison.OrdinalIgnoreCase))
            return UpgradeKind.WebSocket;
        return upgrade.Equals("SPDY/3.1", StringComparison.OrdinalIgnoreCase) ? UpgradeKind.Spdy : UpgradeKind.None;
    }

    /// <summary>Answer to a request without an upgrade that we know.</summary>
    public static ApiStatus Required(string subresource) =>
        ApiStatus.BadRequest($"Upgrade request required: {subresource} needs a WebSocket or SPDY/3.1 upgrade over HTTP/1.1");

    /// <summary>The first of the client's stream protocols that we speak, or why there is none (the accepted ones are then in a response header).</summary>
    public static ApiStatus? NegotiateSpdy(HttpContext context, IReadOnlyList<string> served, out string protocol)
    {
        protocol = "";
        List<string> asked = Tokens(context.Request.Headers[SpdyVersionHeader]);
        if (asked.Count == 0)
            return ApiStatus.BadRequest($"unable to upgrade: {SpdyVersionHeader} is required");
        if (asked.Find(served.Contains) is { } chosen)
        {
            protocol = chosen;
            return null;
        }
        context.Response.Headers[AcceptedSpdyVersionHeader] = new StringValues([.. served]);
        return ApiStatus.Forbidden(null, "", $"unable to upgrade: unable to negotiate protocol: client supports [{string.Join(' ', asked)}], server accepts [{string.Join(' ', served)}]");
    }

    /// <summary>The first of the client's subprotocols that we speak; the empty string when it named none.</summary>
    public static ApiStatus? NegotiateWebSocket(HttpContext context, IReadOnlyList<string> served, out string protocol)
    {
        protocol = "";
        if (context.Request.Headers.SecWebSocketVersion != "13" || context.Request.Headers.SecWebSocketKey.Count != 1)
            return ApiStatus.BadRequest("Sec-WebSocket-Version must be 13 and Sec-WebSocket-Key must be given");
        List<string> asked = Tokens(context.Request.Headers.SecWebSocketProtocol);
        if (asked.Count == 0)
            return null;
        if (asked.Find(served.Contains) is not { } chosen)
            return ApiStatus.BadRequest($"requested protocol(s) are not supported: [{string.Join(' ', asked)}]; supports [{string.Join(' ', served)}]");
        protocol = chosen;
        return null;
    }

    /// <summary>Switches to SPDY/3.1; the stream carries frames from here on.</summary>
    public static async Task<Stream> AcceptSpdyAsync(HttpContext context, string protocol)
    {
        context.Response.Headers.Upgrade = "SPDY/3.1";
        context.Response.Headers[SpdyVersionHeader] = protocol;
        return await UpgradeAsync(context).ConfigureAwait(false);
    }

    /// <summary>Switches to WebSocket.</summary>
    public static async Task<WebSocket> AcceptWebSocketAsync(HttpContext context, string protocol)
    {
        context.Response.Headers.Upgrade = "websocket";
        context.Response.Headers.SecWebSocketAccept = AcceptKey(context.Request.Headers.SecWebSocketKey.ToString());
        if (protocol.Length > 0)
            context.Response.Headers.SecWebSocketProtocol = protocol;
        Stream transport = await UpgradeAsync(context).ConfigureAwait(false);
        // Without the subprotocol: the platform refuses a name with a slash, such as kubectl's tunnelled SPDY, and does not need it.
        return WebSocket.CreateFromStream(transport, new WebSocketCreationOptions { IsServer = true, KeepAliveInterval = KeepAlive });
    }

    private static async Task<Stream> UpgradeAsync(HttpContext context)
    {
        // A terminal is idle for hours, and a client may read slowly: no minimum rates.
        if (context.Features.Get<IHttpMinResponseDataRateFeature>() is { } response)
            response.MinDataRate = null;
        if (context.Features.Get<IHttpMinRequestBodyDataRateFeature>() is { } request)
            request.MinDataRate = null;
        context.Response.Headers.Connection = "Upgrade";
        return await context.Features.GetRequiredFeature<IHttpUpgradeFeature>().UpgradeAsync().ConfigureAwait(false);
    }

    private static string AcceptKey(string key)
    {
#pragma warning disable CA5350 // RFC 6455 section 4.2.2 asks for SHA-1; nothing secret depends on it.
        return Convert.ToBase64String(SHA1.HashData(Encoding.ASCII.GetBytes(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")));
#pragma warning restore CA5350
    }

    private static List<string> Tokens(StringValues header)
    {
        var tokens = new List<string>();
        foreach (string? line in header)
            tokens.AddRange((line ?? "").Split(',', StringSplitOptions.TrimEntries | StringSplitOptions.RemoveEmptyEntries));
        return tokens;
    }
}
