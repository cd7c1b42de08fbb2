using System.Text;

namespace Atoll.Kube.Http;

/// <summary>
/// Just enough of protobuf to read a few strings from a request: Kubernetes' envelope (<c>k8s\0</c> and a
/// runtime.Unknown) and length-delimited fields. Source: Kubernetes API concepts, "Protobuf encoding".
/// </summary>
internal static class ProtobufFields
{
    private static readonly byte[] s_magic = [0x6b, 0x38, 0x73, 0x00];

    /// <summary>The message inside the envelope; false when it is none.</summary>
    public static bool TryUnwrap(ReadOnlyMemory<byte> body, out ReadOnlyMemory<byte> raw)
    {
        raw = default;
        return body.Span.StartsWith(s_magic) && TryMessage(body[s_magic.Length..], 2, out raw);
    }

    /// <summary>A nested message; false when it is missing or the data is broken.</summary>
    public static bool TryMessage(ReadOnlyMemory<byte> message, int field, out ReadOnlyMemory<byte> value)
    {
        value = default;
        int at = 0;
        while (at < message.Length)
        {
            if (!TryVarint(message.Span, ref at, out ulong tag))
                return false;
            switch (tag & 7)
            {
                case 0 when TryVarint(message.Span, ref at, out _):
                    break;
                case 1:
                    at += 8;
                    break;
                case 2 when TryVarint(message.Span, ref at, out ulong length) && length <= (ulong)(message.Length - at):
                    if (tag >> 3 == (ulong)field)
                    {
                        value = message.Slice(at, (int)length);
                        return true;
                    }
                    at += (int)length;
                    break;
                case 5:
                    at += 4;
                    break;
                default:
                    return false;
            }
        }
        return false;
    }

    /// <summary>A whole number; false when it is missing or the data is broken.</summary>
    public static bool TryNumber(ReadOnlyMemory<byte> message, int field, out long value)
    {
        value = 0;
        int at = 0;
        // Good enough for messages whose numbers stand before anything else.
        while (at < message.Length && TryVarint(message.Span, ref at, out ulong tag) && (tag & 7) == 0 && TryVarint(message.Span, ref at, out ulong number))
        {
            if (tag >> 3 != (ulong)field)
                continue;
            value = (long)number;
            return true;
        }
        return false;
    }

    /// <summary>A string field; empty when it is missing.</summary>
    public static string Text(ReadOnlyMemory<byte> message, int field) =>
        TryMessage(message, field, out ReadOnlyMemory<byte> value) ? Encoding.UTF8.GetString(value.Span) : "";

    private static bool TryVarint(ReadOnlySpan<byte> data, ref int at, out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 64 && at < data.Length; shift += 7)
        {
            byte b = data[at++];
            value |= (ulong)(b & 0x7f) << shift;
            if (b < 0x80)
                return true;
        }
        return false;
    }
}
