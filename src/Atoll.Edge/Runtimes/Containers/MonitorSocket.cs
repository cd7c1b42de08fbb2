using System.Net.Sockets;
using Atoll.Edge.Native;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// A client of a monitor's attach socket (SOCK_SEQPACKET). Each packet from it begins with the stream's number (2 output,
/// 3 error); what is sent is standard input, and shutting the sending side down ends that.
/// </summary>
internal sealed class MonitorSocket : IDisposable
{
    private readonly Socket socket;

    private MonitorSocket(Socket socket) => this.socket = socket;

    internal static async Task<MonitorSocket> ConnectAsync(string bundle, CancellationToken cancellation)
    {
        // A socket's path must fit into 108 bytes, and folders may be deep: the folder is named by its descriptor.
        using var folder = Posix.Open(bundle, Posix.O_PATH);
        var socket = new Socket(AddressFamily.Unix, SocketType.Seqpacket, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint($"/proc/self/fd/{folder.DangerousGetHandle()}/attach"), cancellation).ConfigureAwait(false);
            return new MonitorSocket(socket);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>One packet; 0 at the end.</summary>
    internal async ValueTask<int> ReceiveAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        for (var attempt = 0; ; attempt++)
            try
            {
                return await socket.ReceiveAsync(buffer, SocketFlags.None, cancellation).ConfigureAwait(false);
            }
            catch (SocketException e) when (e.SocketErrorCode is SocketError.ConnectionReset or SocketError.Shutdown)
            {
                // The monitor left input unread. The error is told once; packets that came before it are still to be read.
                if (attempt > 0) return 0;
            }
    }

    internal async ValueTask SendAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellation)
    {
        // The monitor reads packets into 8 KiB: the rest of a longer one would be lost.
        const int most = 4096;
        while (bytes.Length > 0)
        {
            var part = bytes[..Math.Min(most, bytes.Length)];
            await socket.SendAsync(part, SocketFlags.None, cancellation).ConfigureAwait(false);
            bytes = bytes[part.Length..];
        }
    }

    internal void CloseInput()
    {
        try
        {
            socket.Shutdown(SocketShutdown.Send);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // The other side is gone already: its input is as closed as can be.
        }
    }

    public void Dispose() => socket.Dispose();
}
