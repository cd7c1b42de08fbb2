using System.Buffers.Binary;
using System.Net.Sockets;

namespace Atoll.Link;

/// <summary>What the operating system knows of the connection below a link (TCP_INFO of Linux, linux/tcp.h); the default is «nothing».</summary>
/// <param name="Resent">Segments sent again since the connection began.</param>
/// <param name="QueuedUs">How much longer the round trip is than the shortest one, microseconds: what waits in queues on the way. Segments that were sent again do not count in it.</param>
/// <param name="Timeouts">How often the oldest unacknowledged segment was sent again for want of an answer.</param>
internal readonly record struct LineProbe(long Resent, long QueuedUs, int Timeouts = 0)
{
    private const int IpProtoTcp = 6, TcpInfo = 11;
    private const int TimeoutsAt = 2, RoundTripAt = 68, ResentAt = 100, ShortestAt = 148;

    /// <summary>True when a segment was sent three times again and never acknowledged: one direction at least is dead, or as good as that.</summary>
    public bool Unacknowledged => Timeouts >= 3;

    /// <summary>Asks; never fails.</summary>
    public static LineProbe Of(Socket? socket)
    {
        if (socket is null || !OperatingSystem.IsLinux() || socket.ProtocolType != ProtocolType.Tcp)
            return default;
        Span<byte> info = stackalloc byte[256];
        try
        {
            if (socket.GetRawSocketOption(IpProtoTcp, TcpInfo, info) < ShortestAt + 4)
                return default;
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            return default;
        }
        long roundTrip = BinaryPrimitives.ReadUInt32LittleEndian(info[RoundTripAt..]), shortest = BinaryPrimitives.ReadUInt32LittleEndian(info[ShortestAt..]);
        return new LineProbe(BinaryPrimitives.ReadUInt32LittleEndian(info[ResentAt..]), Math.Max(0, roundTrip - shortest), info[TimeoutsAt]);
    }
}
