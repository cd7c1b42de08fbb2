using System.Buffers.Binary;
using System.Text;

namespace Atoll.Link;

/// <summary>
/// Writes one session frame: a type byte, then fields. A field is a tag (number times two; plus one when the value is
/// bytes), then a varint or a length and bytes: a reader skips every field and every frame type that it does not know, so
/// that version N can add to both and still speak with N-1. Zero and empty values are left out.
/// </summary>
internal ref struct FrameWriter
{
    private readonly Span<byte> _buffer;
    private int _position;

    public FrameWriter(Span<byte> buffer, FrameType type)
    {
        _buffer = buffer;
        _buffer[0] = (byte)type;
        _position = 1;
    }

    public readonly int Length => _position;

    public readonly int Free => _buffer.Length - _position;

    public void Number(int field, long value) => Number(field, (ulong)value);

    public void Number(int field, ulong value)
    {
        if (value == 0)
            return;
        Varint((uint)field * 2);
        Varint(value);
    }

    public void Flag(int field, bool value) => Number(field, value ? 1UL : 0);

    public void Fixed(int field, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Bytes(field, bytes);
    }

    public void Text(int field, string value)
    {
        if (value.Length == 0)
            return;
        int length = Encoding.UTF8.GetByteCount(value);
        Varint((uint)field * 2 + 1);
        Varint((uint)length);
        Encoding.UTF8.GetBytes(value, _buffer[_position..]);
        _position += length;
    }

    /// <summary>A UID: sixteen bytes when it is a canonical GUID (most are), else 0xFF and its text.</summary>
    public void Uid(int field, string uid)
    {
        Varint((uint)field * 2 + 1);
        if (uid.Length == 36 && Guid.TryParseExact(uid, "D", out Guid guid) && IsLowerHex(uid))
        {
            Varint(16);
            guid.TryWriteBytes(_buffer[_position..], bigEndian: true, out int written);
            _position += written;
            return;
        }
        int length = Encoding.UTF8.GetByteCount(uid);
        // 16 bytes always mean a GUID: a text that would be as long gets a second marker byte.
        int markers = length == 15 ? 2 : 1;
        Varint((uint)(length + markers));
        _buffer.Slice(_position, markers).Fill(0xFF);
        _position += markers;
        Encoding.UTF8.GetBytes(uid, _buffer[_position..]);
        _position += length;
    }

    public void Bytes(int field, scoped ReadOnlySpan<byte> value)
    {
        if (value.Length == 0)
            return;
        Varint((uint)field * 2 + 1);
        Varint((uint)value.Length);
        value.CopyTo(_buffer[_position..]);
        _position += value.Length;
    }

    /// <summary>How many bytes of a value still fit after a field's tag and length.</summary>
    public readonly int Room => Math.Max(0, Free - 6);

    private void Varint(ulong value)
    {
        while (value >= 0x80)
        {
            _buffer[_position++] = (byte)(value | 0x80);
            value >>= 7;
        }
        _buffer[_position++] = (byte)value;
    }

    private static bool IsLowerHex(string text)
    {
        foreach (char c in text)
        {
            if (c is >= 'A' and <= 'F')
                return false;
        }
        return true;
    }
}
