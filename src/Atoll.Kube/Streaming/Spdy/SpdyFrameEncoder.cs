using System.Buffers.Binary;

namespace Atoll.Kube.Streaming.Spdy;

/// <summary>Frames to bytes. Each method returns the count of bytes written to <c>into</c>, which the caller has made large enough.</summary>
internal static class SpdyFrameEncoder
{
    /// <summary>A data frame's eight bytes of head; the data follows.</summary>
    public static int DataHead(Span<byte> into, uint stream, int length, bool fin)
    {
        BinaryPrimitives.WriteUInt32BigEndian(into, stream);
        BinaryPrimitives.WriteUInt32BigEndian(into[4..], (uint)length | (fin ? 0x0100_0000u : 0));
        return SpdyLimits.HeaderBytes;
    }

    /// <summary>SYN_STREAM with a compressed header block.</summary>
    public static byte[] SynStream(uint stream, ReadOnlySpan<byte> block, bool fin, bool unidirectional)
    {
        byte[] frame = new byte[SpdyLimits.HeaderBytes + 10 + block.Length];
        Head(frame, SpdyFrameType.SynStream, (byte)((fin ? 1 : 0) | (unidirectional ? 2 : 0)), 10 + block.Length);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(8), stream);
        block.CopyTo(frame.AsSpan(18));
        return frame;
    }

    /// <summary>SYN_REPLY or HEADERS with a compressed header block.</summary>
    public static byte[] Block(SpdyFrameType type, uint stream, ReadOnlySpan<byte> block, bool fin)
    {
        byte[] frame = new byte[SpdyLimits.HeaderBytes + 4 + block.Length];
        Head(frame, type, (byte)(fin ? 1 : 0), 4 + block.Length);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(8), stream);
        block.CopyTo(frame.AsSpan(12));
        return frame;
    }

    /// <summary>RST_STREAM, GOAWAY or WINDOW_UPDATE: two words.</summary>
    public static byte[] Words(SpdyFrameType type, uint first, uint second)
    {
        byte[] frame = new byte[SpdyLimits.HeaderBytes + 8];
        Head(frame, type, 0, 8);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(8), first);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(12), second);
        return frame;
    }

    /// <summary>PING.</summary>
    public static byte[] Ping(uint id)
    {
        byte[] frame = new byte[SpdyLimits.HeaderBytes + 4];
        Head(frame, SpdyFrameType.Ping, 0, 4);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(8), id);
        return frame;
    }

    /// <summary>SETTINGS with the initial window alone.</summary>
    public static byte[] InitialWindow(uint bytes)
    {
        byte[] frame = new byte[SpdyLimits.HeaderBytes + 12];
        Head(frame, SpdyFrameType.Settings, 0, 12);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(8), 1);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(12), SpdyLimits.InitialWindowSetting);
        BinaryPrimitives.WriteUInt32BigEndian(frame.AsSpan(16), bytes);
        return frame;
    }

    private static void Head(Span<byte> into, SpdyFrameType type, byte flags, int length)
    {
        BinaryPrimitives.WriteUInt32BigEndian(into, 0x8003_0000u | (uint)type);
        BinaryPrimitives.WriteUInt32BigEndian(into[4..], (uint)flags << 24 | (uint)length);
    }
}
