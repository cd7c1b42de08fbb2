using System.Net.Sockets;

namespace Atoll.Link;

/// <summary>Socket options of a link's connection, the same at both ends.</summary>
public static class SocketTuning
{
    /// <summary>Bytes that may wait unsent in the kernel; what waits there cannot be passed by something urgent.</summary>
    public const int UnsentBytes = 4096;

    private const int IpProtoTcp = 6;
    private const int TcpUserTimeout = 18;
    private const int TcpNotSentLowWater = 25;

    /// <summary>Sets no-delay, a low mark for unsent bytes, and a limit for unacknowledged ones. A socket of another kind is left alone.</summary>
    public static void Apply(Socket socket)
    {
        ArgumentNullException.ThrowIfNull(socket);
        if (socket.ProtocolType != ProtocolType.Tcp)
            return;
        socket.NoDelay = true;
        if (!OperatingSystem.IsLinux())
            return;
        socket.SetRawSocketOption(IpProtoTcp, TcpNotSentLowWater, BitConverter.GetBytes(UnsentBytes));
        socket.SetRawSocketOption(IpProtoTcp, TcpUserTimeout, BitConverter.GetBytes(30_000));
    }
}
