namespace Atoll.Link;

/// <summary>Type of a multiplexer frame: the low four bits of its first byte; the class is in the next two. An unknown one is skipped.</summary>
internal enum MuxFrameType
{
    /// <summary>A session frame (stream 0).</summary>
    Session = 0,

    /// <summary>Opens a stream; the payload is its metadata.</summary>
    Open = 1,

    /// <summary>Bytes of a stream.</summary>
    Data = 2,

    /// <summary>The sender sends no more on this stream.</summary>
    End = 3,

    /// <summary>The stream failed: nothing comes any more, nothing is wanted.</summary>
    Reset = 4,

    /// <summary>More may be sent on this stream: how many bytes, a varint.</summary>
    Credit = 5,

    /// <summary>How many bytes of this class have arrived since the connection began, a varint; stream 0.</summary>
    Arrived = 6,

    /// <summary>The receiver wants no more of this stream.</summary>
    Stop = 7,
}

/// <summary>Frame layout: one byte of type and class, the stream's number and the payload's length as varints, the payload.</summary>
internal static class MuxFrame
{
    /// <summary>Longest header: 1 + 5 + 2 bytes.</summary>
    public const int MaxHeader = 8;

    /// <summary>Writes a header and returns its length.</summary>
    public static int WriteHeader(Span<byte> destination, MuxFrameType type, LinkClass of, uint stream, int length)
    {
        destination[0] = (byte)((int)type | ((int)of << 4));
        int position = 1;
        WriteVarint(destination, ref position, stream);
        WriteVarint(destination, ref position, (uint)length);
        return position;
    }

    /// <summary>Length of the header, 0 when more bytes are needed, or -1 when it is no header of ours.</summary>
    public static int TryReadHeader(ReadOnlySpan<byte> bytes, out MuxFrameType type, out LinkClass of, out uint stream, out int length)
    {
        (type, of, stream, length) = (0, 0, 0, 0);
        if (bytes.Length == 0)
            return 0;
        type = (MuxFrameType)(bytes[0] & 15);
        of = (LinkClass)((bytes[0] >> 4) & 3);
        int position = 1;
        int read = TryReadVarint(bytes, ref position, out ulong value);
        if (read <= 0 || value > uint.MaxValue)
            return read == 0 ? 0 : -1;
        stream = (uint)value;
        read = TryReadVarint(bytes, ref position, out value);
        if (read <= 0 || value > LinkLimits.MaxFrameBytes)
            return read == 0 ? 0 : -1;
        length = (int)value;
        return position;
    }

    public static void WriteVarint(Span<byte> destination, ref int position, ulong value)
    {
        while (value >= 0x80)
        {
            destination[position++] = (byte)(value | 0x80);
            value >>= 7;
        }
        destination[position++] = (byte)value;
    }

    /// <summary>1 when read, 0 when more bytes are needed, -1 when it is too long.</summary>
    public static int TryReadVarint(ReadOnlySpan<byte> bytes, ref int position, out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 63; shift += 7)
        {
            if (position >= bytes.Length)
                return 0;
            byte b = bytes[position++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return 1;
        }
        return -1;
    }
}
