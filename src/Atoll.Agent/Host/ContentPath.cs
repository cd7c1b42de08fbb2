using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Atoll.Link;

namespace Atoll.Agent.Host;

/// <summary>
/// The way to a registry: through the link's content class when the parent relays to that registry, so that a download yields
/// to everything else on a thin line; directly otherwise, and when the link is down. The stream is plain bytes, so TLS to the
/// registry goes end to end. A refusal is remembered for a while.
/// </summary>
internal sealed class ContentPath(TimeProvider time)
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(15), s_memory = TimeSpan.FromMinutes(5);

    private readonly ConcurrentDictionary<string, DateTimeOffset> _refused = new(StringComparer.Ordinal);

    /// <summary>Gives the link, or null while there is none.</summary>
    public Func<SiteLink?> Link { get; set; } = () => null;

    /// <summary>Connects; a <see cref="SocketsHttpHandler.ConnectCallback"/>.</summary>
    public async ValueTask<Stream> ConnectAsync(SocketsHttpConnectionContext context, CancellationToken cancellation)
    {
        DnsEndPoint target = context.DnsEndPoint;
        string address = string.Create(CultureInfo.InvariantCulture, $"{target.Host}:{target.Port}");
        if (Link() is { State: LinkState.Live } link && !(_refused.TryGetValue(address, out DateTimeOffset until) && until > time.GetUtcNow()))
        {
            if (await RelayedAsync(link, address, cancellation) is { } stream)
                return stream;
            if (_refused.Count >= 1000)
                _refused.Clear();
            // A link that broke meanwhile has refused nothing.
            if (link.State == LinkState.Live)
                _refused[address] = time.GetUtcNow() + s_memory;
        }
        var socket = new Socket(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        try
        {
            await socket.ConnectAsync(target, cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    private async ValueTask<Stream?> RelayedAsync(SiteLink link, string address, CancellationToken cancellation)
    {
        using var limit = new CancellationTokenSource(s_patience, time);
        using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
        LinkStream? stream = null;
        try
        {
            stream = link.Open(LinkClass.Content, ContentStreams.MetadataOf(address));
            if (await ContentStreams.IsGrantedAsync(stream, both.Token))
                return stream;
        }
        catch (Exception e) when (e is IOException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            // The link broke, or the parent does not answer: the direct way is there.
        }
        if (stream is not null)
            await stream.DisposeAsync();
        return null;
    }
}
