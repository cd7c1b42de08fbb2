using System.Buffers;
using System.Text;

namespace Atoll.Kube.Schema.OpenApi;

/// <summary>The few wire types of protobuf that the OpenAPI v2 document needs. Nested messages are written to a buffer of their own first.</summary>
internal sealed class ProtoWriter
{
    private readonly ArrayBufferWriter<byte> _buffer = new(64);

    public ReadOnlySpan<byte> Written => _buffer.WrittenSpan;

    public ProtoWriter Text(int field, string value)
    {
        int length = Encoding.UTF8.GetByteCount(value);
        Header(field, length);
        Encoding.UTF8.GetBytes(value, _buffer.GetSpan(Math.Max(length, 1)));
        _buffer.Advance(length);
        return this;
    }

    public ProtoWriter Flag(int field, bool value)
    {
        Varint((uint)field << 3);
        Varint(value ? 1u : 0u);
        return this;
    }

    public ProtoWriter Message(int field, ProtoWriter message)
    {
        Header(field, message._buffer.WrittenCount);
        _buffer.Write(message.Written);
        return this;
    }

    private void Header(int field, int length)
    {
        Varint(((uint)field << 3) | 2);
        Varint((uint)length);
    }

    private void Varint(uint value)
    {
        Span<byte> span = _buffer.GetSpan(5);
        int count = 0;
        for (; value >= 0x80; value >>= 7)
            span[count++] = (byte)(value | 0x80);
        span[count++] = (byte)value;
        _buffer.Advance(count);
    }
}
