using System.Buffers.Binary;
using System.Text;

namespace Atoll.Link;

/// <summary>
/// Reads what <see cref="FrameWriter"/> wrote, from bytes that nobody vouches for: it never throws, and after anything
/// that cannot be read <see cref="Failed"/> is true and no further field comes.
/// </summary>
internal ref struct FrameReader
{
    private readonly ReadOnlySpan<byte> _frame;
    private int _position;

    public FrameReader(ReadOnlySpan<byte> frame)
    {
        _frame = frame;
        _position = 1;
        Failed = frame.Length == 0;
    }

    public bool Failed { get; private set; }

    /// <summary>Number of the field just read.</summary>
    public int Field { get; private set; }

    /// <summary>Value of a number field; 0 for a field of bytes.</summary>
    public ulong Value { get; private set; }

    /// <summary>Value of a field of bytes; empty for a number.</summary>
    public ReadOnlySpan<byte> Data { get; private set; }

    public readonly long Long => (long)Value;

    public readonly bool Flag => Value != 0;

    /// <summary>Moves to the next field; false at the end or after a fault.</summary>
    public bool Next()
    {
        if (Failed || _position >= _frame.Length)
            return false;
        if (!Varint(out ulong tag) || tag > 2047)
            return Fail();
        Field = (int)(tag / 2);
        if (!Varint(out ulong value))
            return Fail();
        if (tag % 2 == 0)
        {
            Value = value;
            Data = default;
            return true;
        }
        if (value > (ulong)(_frame.Length - _position))
            return Fail();
        Value = 0;
        Data = _frame.Slice(_position, (int)value);
        _position += (int)value;
        return true;
    }

    public int Int(int maximum)
    {
        if (Value <= (ulong)maximum)
            return (int)Value;
        Failed = true;
        return 0;
    }

    public ulong Fixed()
    {
        if (Data.Length == 8)
            return BinaryPrimitives.ReadUInt64LittleEndian(Data);
        Failed = true;
        return 0;
    }

    public string Text(int maximum)
    {
        // A character is at most three bytes of UTF-8 here (surrogate pairs are four for two).
        if (Data.Length <= maximum * 3)
        {
            string text = Encoding.UTF8.GetString(Data);
            if (text.Length <= maximum)
                return text;
        }
        Failed = true;
        return "";
    }

    public string Uid()
    {
        if (Data.Length == 16)
            return new Guid(Data, bigEndian: true).ToString();
        int markers = Data.Length >= 2 && Data[0] == 0xFF && Data[1] == 0xFF ? 2 : 1;
        if (Data.Length <= markers || Data[0] != 0xFF)
        {
            Failed = true;
            return "";
        }
        Data = Data[markers..];
        return Text(LinkLimits.MaxUidLength);
    }

    private bool Fail()
    {
        Failed = true;
        return false;
    }

    private bool Varint(out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 64 && _position < _frame.Length; shift += 7)
        {
            byte b = _frame[_position++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return true;
        }
        return false;
    }
}
