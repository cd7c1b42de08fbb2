using System.Net.Sockets;

namespace Atoll.Link;

/// <summary>The site's end of tunnel streams: connects each to a local unix socket and copies both ways, with back-pressure and half-close.</summary>
public static class TunnelServer
{
    /// <summary>A handler for accepted streams that connects them to this unix socket.</summary>
    public static Func<LinkStream, CancellationToken, Task> ToUnixSocket(string path) => async (stream, cancellation) =>
    {
        using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancellation).ConfigureAwait(false);
        await RelayAsync(stream, socket, cancellation).ConfigureAwait(false);
    };

    /// <summary>Copies both ways until both directions have ended; when one fails, both are aborted.</summary>
    public static async Task RelayAsync(LinkStream stream, Socket socket, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(stream);
        ArgumentNullException.ThrowIfNull(socket);
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        NetworkStream local = new(socket, ownsSocket: false);
        await using (local.ConfigureAwait(false))
        {
            Task inward = CopyAsync(stream, local, () => socket.Shutdown(SocketShutdown.Send), stop);
            Task outward = CopyAsync(local, stream, stream.CompleteWrites, stop);
            await Task.WhenAll(inward, outward).ConfigureAwait(false);
        }
    }

    private static async Task CopyAsync(Stream from, Stream to, Action end, CancellationTokenSource stop)
    {
        try
        {
            // The buffer bounds what one direction of one stream holds beside its window.
            await from.CopyToAsync(to, 8192, stop.Token).ConfigureAwait(false);
            end();
        }
        catch
        {
            await stop.CancelAsync().ConfigureAwait(false);
            throw;
        }
    }
}
