using System.Globalization;
using System.Net.WebSockets;
using Atoll.Api.Objects;
using Atoll.Api.Streams;
using Atoll.Kube.Streaming.Exec;
using Atoll.Kube.Streaming.PortForward;
using Atoll.Kube.Streaming.Spdy;
using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Streaming;

/// <summary>
/// Speaks Kubernetes' streaming protocols (log over HTTP; exec, attach and port-forward over WebSocket channels and
/// SPDY/3.1) towards the client and <see cref="IPodStreams"/> towards the node.
///
/// What can be refused by looking is refused before the upgrade, as an HTTP status that every client shows; what fails
/// later, a command that does not start among it, travels on the protocol's error channel. Nothing here buffers more than some windows of data: a slow reader
/// slows its writer, in both directions.
/// </summary>
public static class PodStreamEndpoints
{
    private const string TunnelledSpdy = "SPDY/3.1+" + SpdyPortForward.Protocol;

    /// <summary>Serves one request for the subresource <c>log</c>, <c>exec</c>, <c>attach</c> or <c>portforward</c> of a pod. A returned status has not been written yet: the caller writes it.</summary>
    public static Task<ApiStatus?> ServeAsync(HttpContext context, string subresource, KubeObject pod, IPodStreams streams)
    {
        ArgumentNullException.ThrowIfNull(context);
        ArgumentNullException.ThrowIfNull(pod);
        ArgumentNullException.ThrowIfNull(streams);
        TimeProvider time = context.RequestServices?.GetService(typeof(TimeProvider)) as TimeProvider ?? TimeProvider.System;
        return subresource switch
        {
            "log" => LogEndpoint.ServeAsync(context, pod, streams),
            "exec" => ServeProcessAsync(context, pod, streams, time, attach: false),
            "attach" => ServeProcessAsync(context, pod, streams, time, attach: true),
            "portforward" => ServePortForwardAsync(context, pod, streams, time),
            _ => Task.FromResult<ApiStatus?>(ApiStatus.BadRequest($"pods have no streaming subresource \"{subresource}\"")),
        };
    }

    private static async Task<ApiStatus?> ServeProcessAsync(HttpContext context, KubeObject pod, IPodStreams streams, TimeProvider time, bool attach)
    {
        if (StreamQuery.ReadExec(context.Request.Query, pod, attach, out ExecRequest request) is { } wrong)
            return wrong;
        UpgradeKind kind = StreamUpgrade.Kind(context);
        string protocol = "";
        ApiStatus? refused = kind switch
        {
            UpgradeKind.WebSocket => StreamUpgrade.NegotiateWebSocket(context, WebSocketExecTransport.Protocols, out protocol),
            UpgradeKind.Spdy => StreamUpgrade.NegotiateSpdy(context, SpdyExecTransport.Protocols, out protocol),
            _ => StreamUpgrade.Required(attach ? "attach" : "exec"),
        };
        refused ??= streams.Refusal(pod, request, attach);
        if (refused is not null)
            return refused;
        // The upgrade comes before the process: kubectl drops what arrives before it has made its streams, and a command may be over in a moment.
        ExecTransport client = kind == UpgradeKind.WebSocket
            ? new WebSocketExecTransport(await StreamUpgrade.AcceptWebSocketAsync(context, protocol).ConfigureAwait(false), protocol, request)
            : new SpdyExecTransport(NewConnection(await StreamUpgrade.AcceptSpdyAsync(context, protocol).ConfigureAwait(false), time), protocol, request, time);
        await using (client.ConfigureAwait(false))
        {
            StreamStart<IProcessStreams> start = attach
                ? await streams.AttachAsync(pod, request, context.RequestAborted).ConfigureAwait(false)
                : await streams.ExecAsync(pod, request, context.RequestAborted).ConfigureAwait(false);
            if (start.Value is { } process)
                client.Resize = process.Resize;
            await new ProcessRelay(start, client, time).RunAsync(attach, context.RequestAborted).ConfigureAwait(false);
        }
        return null;
    }

    private static async Task<ApiStatus?> ServePortForwardAsync(HttpContext context, KubeObject pod, IPodStreams streams, TimeProvider time)
    {
        string protocol = "";
        UpgradeKind kind = StreamUpgrade.Kind(context);
        if (kind == UpgradeKind.None)
            return StreamUpgrade.Required("portforward");
        if (kind == UpgradeKind.Spdy)
        {
            if (StreamUpgrade.NegotiateSpdy(context, [SpdyPortForward.Protocol], out protocol) is { } refused)
                return refused;
            Stream transport = await StreamUpgrade.AcceptSpdyAsync(context, protocol).ConfigureAwait(false);
            await ForwardAsync(transport).ConfigureAwait(false);
            return null;
        }
        if (StreamUpgrade.NegotiateWebSocket(context, [TunnelledSpdy, .. WebSocketExecTransport.Protocols], out protocol) is { } unknown)
            return unknown;
        if (protocol == TunnelledSpdy)
        {
            WebSocket tunnel = await StreamUpgrade.AcceptWebSocketAsync(context, protocol).ConfigureAwait(false);
            await ForwardAsync(new WebSocketByteStream(tunnel)).ConfigureAwait(false);
            return null;
        }
        if (ReadPorts(context.Request.Query, out List<int> ports) is { } wrong)
            return wrong;
        WebSocket socket = await StreamUpgrade.AcceptWebSocketAsync(context, protocol).ConfigureAwait(false);
        using var channels = new ChannelSocket(socket, protocol.Contains("base64", StringComparison.Ordinal));
        await new ChannelPortForward(channels, pod, streams, ports).RunAsync(context.RequestAborted).ConfigureAwait(false);
        return null;

        async Task ForwardAsync(Stream transport)
        {
            SpdyConnection connection = NewConnection(transport, time);
            await using (connection.ConfigureAwait(false))
                await new SpdyPortForward(connection, pod, streams, time).RunAsync(context.RequestAborted).ConfigureAwait(false);
        }
    }

    private static SpdyConnection NewConnection(Stream transport, TimeProvider time) =>
        new(transport, new SpdyOptions { IsServer = true, KeepAlive = StreamUpgrade.KeepAlive, Time = time });

    private static ApiStatus? ReadPorts(IQueryCollection query, out List<int> ports)
    {
        ports = [];
        foreach (string? value in query["ports"])
            foreach (string text in (value ?? "").Split(','))
            {
                if (!ushort.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out ushort port) || port == 0)
                    return ApiStatus.BadRequest($"ports: Invalid value: \"{text}\": must be a port from 1 to 65535");
                ports.Add(port);
            }
        if (ports.Count is 0 or > ChannelPortForward.MaxPorts)
            return ApiStatus.BadRequest($"ports: give 1 to {ChannelPortForward.MaxPorts} ports in the query");
        return null;
    }
}
