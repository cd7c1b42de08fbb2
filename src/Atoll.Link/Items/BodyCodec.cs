using System.IO.Compression;
using System.IO.Hashing;

namespace Atoll.Link;

/// <summary>
/// Encodes a body for the wire (whole or as a delta, compressed where it pays) and back, verified by its hash. Brotli from
/// the platform: it keeps no memory between calls, and its built-in dictionary suits short documents
/// (docs/decisions/0001-link-transport.md has the measurement).
/// </summary>
internal static class BodyCodec
{
    /// <summary>Below this a body is not worth compressing.</summary>
    private const int WorthCompressing = 160;

    /// <summary>The head and payload of a body; <paramref name="delta"/> is its difference to version <paramref name="from"/>, or null.</summary>
    public static (BodyHead Head, ReadOnlyMemory<byte> Payload) Encode(BodyHead identity, ReadOnlyMemory<byte> body, byte[]? delta, long from)
    {
        BodyEncoding encoding = BodyEncoding.Plain;
        ReadOnlyMemory<byte> payload = body;
        if (delta is not null)
            (payload, encoding) = (delta, BodyEncoding.Delta);
        if (payload.Length >= WorthCompressing)
        {
            // A tenth has to be won, else the receiver's work is for nothing.
            byte[] compressed = new byte[payload.Length - payload.Length / 10];
            if (BrotliEncoder.TryCompress(payload.Span, compressed, out int written, quality: 5, window: 17))
                (payload, encoding) = (compressed.AsMemory(0, written), encoding | BodyEncoding.Compressed);
        }
        BodyHead head = identity with
        {
            Encoding = encoding,
            Base = delta is null ? 0 : from,
            Length = body.Length,
            Hash = XxHash3.HashToUInt64(body.Span),
            PayloadLength = payload.Length,
        };
        return (head, payload);
    }

    /// <summary>The exact body, or null when the payload or its base is not what the sender took it for.</summary>
    public static byte[]? Decode(in BodyHead head, byte[] payload, ReadOnlyMemory<byte>? from)
    {
        byte[] content = payload;
        if ((head.Encoding & BodyEncoding.Compressed) != 0)
        {
            byte[] expanded = new byte[head.Length];
            if (!BrotliDecoder.TryDecompress(payload, expanded, out int written))
                return null;
            content = written == expanded.Length ? expanded : expanded[..written];
        }
        if ((head.Encoding & BodyEncoding.Delta) != 0)
        {
            if (from is not { } earlier || Delta.Apply(earlier.Span, content, head.Length) is not { } patched)
                return null;
            content = patched;
        }
        return content.Length == head.Length && XxHash3.HashToUInt64(content) == head.Hash ? content : null;
    }
}

/// <summary>A body on its way out, in as many frames as it takes.</summary>
internal sealed class OutgoingBody(FrameType type, BodyHead head, ReadOnlyMemory<byte> payload)
{
    private int _sent = -1;

    public bool Done => _sent >= payload.Length;

    public int WriteNext(Span<byte> destination)
    {
        int taken;
        int length = _sent < 0
            ? head.Write(destination, type, payload.Span, out taken)
            : Frames.WriteChunk(destination, payload.Span[_sent..], out taken);
        _sent = Math.Max(0, _sent) + taken;
        return length;
    }
}

/// <summary>A body on its way in. Memory is taken as it arrives, not as it is announced.</summary>
internal sealed class IncomingBody(BodyHead head)
{
    private byte[] _payload = [];
    private int _received;

    public BodyHead Head => head;

    public bool Complete => _received == head.PayloadLength;

    /// <summary>False when more comes than was announced.</summary>
    public bool Append(ReadOnlySpan<byte> part)
    {
        if (part.Length > head.PayloadLength - _received)
            return false;
        if (_payload.Length < _received + part.Length)
            Array.Resize(ref _payload, Math.Min(head.PayloadLength, Math.Max(_received + part.Length, _payload.Length * 2)));
        part.CopyTo(_payload.AsSpan(_received));
        _received += part.Length;
        return true;
    }

    public byte[]? Decode(ReadOnlyMemory<byte>? from) => BodyCodec.Decode(head, _payload, from);
}
