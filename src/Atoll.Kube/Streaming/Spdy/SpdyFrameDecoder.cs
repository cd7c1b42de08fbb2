using System.Buffers;
using System.Buffers.Binary;

namespace Atoll.Kube.Streaming.Spdy;

/// <summary>What the decoder made of its input.</summary>
internal enum SpdyDecode
{
    /// <summary>A frame is not complete yet.</summary>
    NeedMore,

    /// <summary>A frame was taken off the input.</summary>
    Frame,

    /// <summary>The peer broke the protocol; the connection must end. <see cref="SpdyFrameDecoder.Error"/> says how.</summary>
    Invalid,
}

/// <summary>Bytes in, frames out: no I/O, and no state beyond the data frame that is being passed on in pieces.</summary>
internal sealed class SpdyFrameDecoder
{
    private int _dataLeft;
    private uint _dataStream;
    private bool _dataFin;

    /// <summary>More pieces of the last data frame will follow.</summary>
    public bool IsInsideData => _dataLeft > 0;

    /// <summary>What was wrong, after <see cref="SpdyDecode.Invalid"/>.</summary>
    public string Error { get; private set; } = "";

    /// <summary>Takes one frame (or the next piece of a data frame) off <paramref name="input"/>. Unknown control frames are skipped, as the draft asks.</summary>
    public SpdyDecode TryRead(ref ReadOnlySequence<byte> input, out SpdyFrame frame)
    {
        Span<byte> head = stackalloc byte[SpdyLimits.HeaderBytes];
        while (true)
        {
            if (_dataLeft > 0)
                return ReadData(ref input, out frame);
            frame = default;
            if (input.Length < SpdyLimits.HeaderBytes)
                return SpdyDecode.NeedMore;
            input.Slice(0, SpdyLimits.HeaderBytes).CopyTo(head);
            uint first = BinaryPrimitives.ReadUInt32BigEndian(head);
            byte flags = head[4];
            int length = (int)(BinaryPrimitives.ReadUInt32BigEndian(head[4..]) & 0xFFFFFF);
            if ((first & 0x8000_0000) == 0)
            {
                input = input.Slice(SpdyLimits.HeaderBytes);
                if (first == 0)
                    return Invalid("data on stream 0");
                (_dataStream, _dataLeft, _dataFin) = (first, length, (flags & 1) != 0);
                if (length > 0)
                    continue;
                frame = new SpdyFrame { Type = SpdyFrameType.Data, StreamId = first, Fin = _dataFin };
                return SpdyDecode.Frame;
            }
            if ((first >> 16 & 0x7FFF) != 3)
                return Invalid($"version {first >> 16 & 0x7FFF}, need 3");
            if (length > SpdyLimits.ControlFrameBytes)
                return Invalid($"control frame of {length} bytes, limit is {SpdyLimits.ControlFrameBytes}");
            if (input.Length < SpdyLimits.HeaderBytes + length)
                return SpdyDecode.NeedMore;
            ReadOnlySequence<byte> payload = input.Slice(SpdyLimits.HeaderBytes, length);
            input = input.Slice(SpdyLimits.HeaderBytes + length);
            SpdyDecode outcome = ReadControl((SpdyFrameType)(first & 0xFFFF), flags, payload, out frame);
            if (outcome != SpdyDecode.NeedMore)
                return outcome;
        }
    }

    private SpdyDecode ReadData(ref ReadOnlySequence<byte> input, out SpdyFrame frame)
    {
        frame = default;
        if (input.IsEmpty)
            return SpdyDecode.NeedMore;
        ReadOnlySequence<byte> piece = input.Slice(0, Math.Min(_dataLeft, input.Length));
        input = input.Slice(piece.End);
        _dataLeft -= (int)piece.Length;
        frame = new SpdyFrame { Type = SpdyFrameType.Data, StreamId = _dataStream, Fin = _dataFin && _dataLeft == 0, Payload = piece };
        return SpdyDecode.Frame;
    }

    /// <summary>NeedMore here means: an unknown frame was skipped, go on.</summary>
    private SpdyDecode ReadControl(SpdyFrameType type, byte flags, ReadOnlySequence<byte> payload, out SpdyFrame frame)
    {
        frame = default;
        (int head, bool exact) = type switch
        {
            SpdyFrameType.SynStream => (10, false),
            SpdyFrameType.SynReply or SpdyFrameType.Headers or SpdyFrameType.Settings => (4, false),
            SpdyFrameType.RstStream or SpdyFrameType.GoAway or SpdyFrameType.WindowUpdate => (8, true),
            SpdyFrameType.Ping => (4, true),
            _ => (-1, false),
        };
        if (head < 0)
            return SpdyDecode.NeedMore;
        if (payload.Length < head || exact && payload.Length != head)
            return Invalid($"{type} frame of {payload.Length} bytes");
        Span<byte> fields = stackalloc byte[10];
        payload.Slice(0, head).CopyTo(fields);
        uint first = BinaryPrimitives.ReadUInt32BigEndian(fields);
        uint second = exact && head == 8 ? BinaryPrimitives.ReadUInt32BigEndian(fields[4..]) : 0;
        ReadOnlySequence<byte> rest = payload.Slice(head);
        switch (type)
        {
            case SpdyFrameType.Ping:
                frame = new SpdyFrame { Type = type, Value = first };
                return SpdyDecode.Frame;
            case SpdyFrameType.Settings when rest.Length != first * 8L:
                return Invalid($"SETTINGS of {first} entries in {rest.Length} bytes");
            case SpdyFrameType.Settings:
                frame = new SpdyFrame { Type = type, Payload = rest };
                return SpdyDecode.Frame;
            case SpdyFrameType.WindowUpdate:
                second &= 0x7FFF_FFFF;
                break;
        }
        uint stream = first & 0x7FFF_FFFF;
        if (stream == 0 && type is not (SpdyFrameType.WindowUpdate or SpdyFrameType.GoAway))
            return Invalid($"{type} on stream 0");
        bool hasFlags = type is SpdyFrameType.SynStream or SpdyFrameType.SynReply or SpdyFrameType.Headers;
        frame = new SpdyFrame
        {
            Type = type,
            StreamId = stream,
            Value = second,
            Fin = hasFlags && (flags & 1) != 0,
            Unidirectional = type == SpdyFrameType.SynStream && (flags & 2) != 0,
            Payload = rest,
        };
        return SpdyDecode.Frame;
    }

    private SpdyDecode Invalid(string error)
    {
        Error = error;
        return SpdyDecode.Invalid;
    }
}
