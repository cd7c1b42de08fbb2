using System.Net.Sockets;

namespace Atoll.Link;

/// <summary>
/// Streams of the class content: the site names a registry (<c>tcp HOST:PORT</c>), the parent connects to it if it relays to it,
/// says so with one byte, and copies bytes both ways. It relays to what its operator named and to nothing else: a site must not reach
/// the parent's own network.
/// </summary>
public static class ContentStreams
{
    private const string Prefix = "tcp ";
    private const byte Granted = 1;

    /// <summary>Metadata of a stream to <c>HOST:PORT</c>.</summary>
    public static string MetadataOf(string address) => Prefix + address;

    /// <summary>The site's part: true when the parent has connected.</summary>
    public static async ValueTask<bool> IsGrantedAsync(Stream stream, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(stream);
        byte[] answer = new byte[1];
        return await stream.ReadAsync(answer, cancellation).ConfigureAwait(false) == 1 && answer[0] == Granted;
    }

    /// <summary>The parent's part: a handler of accepted streams that relays to these addresses (<c>HOST:PORT</c>).</summary>
    public static Func<LinkStream, CancellationToken, Task> RelayTo(IReadOnlySet<string> addresses, TimeSpan connectTimeout, TimeProvider time) => async (stream, cancellation) =>
    {
        string address = stream.Class == LinkClass.Content && stream.Metadata.StartsWith(Prefix, StringComparison.Ordinal) ? stream.Metadata[Prefix.Length..] : "";
        int colon = address.LastIndexOf(':');
        if (!addresses.Contains(address) || !int.TryParse(address.AsSpan(colon + 1), out int port))
        {
            stream.Abort();
            return;
        }
        using Socket socket = new(SocketType.Stream, ProtocolType.Tcp) { NoDelay = true };
        using (CancellationTokenSource limit = new(connectTimeout, time))
        using (CancellationTokenSource both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation))
            await socket.ConnectAsync(address[..colon].Trim('[', ']'), port, both.Token).ConfigureAwait(false);
        await stream.WriteAsync(new byte[] { Granted }, cancellation).ConfigureAwait(false);
        await TunnelServer.RelayAsync(stream, socket, cancellation).ConfigureAwait(false);
    };
}
