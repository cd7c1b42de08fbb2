using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.Link.Members;

/// <summary>
/// The datagrams between a node's supervisor and its peers: a beat (<c>B</c>, I am alive) and a leader's answer to it (<c>A</c>,
/// this node's lease runs on). Frozen form: <c>ATOL</c>, kind, length of the name, name, counter (8 bytes, little-endian), in an
/// answer the leader's position (term and revision, 8 bytes each), and the first 16 bytes of HMAC-SHA-256 over all before under the
/// site's key. An answer has the name and the counter of the beat, so one that is repeated proves no more than it did before.
/// </summary>
public static class BeatPacket
{
    /// <summary>Kind of a beat.</summary>
    public const byte Beat = (byte)'B';

    /// <summary>Kind of a leader's answer.</summary>
    public const byte Answer = (byte)'A';

    /// <summary>Largest datagram, bytes.</summary>
    public const int MaxBytes = 6 + 253 + 8 + PositionBytes + MacBytes;

    private const int MacBytes = 16, PositionBytes = 16;

    /// <summary>A beat.</summary>
    public static byte[] Write(string name, ulong counter, ReadOnlySpan<byte> key) => Write(Beat, name, counter, null, key);

    /// <summary>A leader's answer to the beat of a node.</summary>
    public static byte[] WriteAnswer(string name, ulong counter, LogPosition position, ReadOnlySpan<byte> key) => Write(Answer, name, counter, position, key);

    /// <summary>Reads a beat; false for anything that the site's key did not make.</summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, ReadOnlySpan<byte> key, out string name, out ulong counter) => TryRead(packet, Beat, key, out name, out counter, out _);

    /// <summary>Reads an answer; false for anything that the site's key did not make.</summary>
    public static bool TryReadAnswer(ReadOnlySpan<byte> packet, ReadOnlySpan<byte> key, out string name, out ulong counter, out LogPosition position) => TryRead(packet, Answer, key, out name, out counter, out position);

    private static byte[] Write(byte kind, string name, ulong counter, LogPosition? position, ReadOnlySpan<byte> key)
    {
        byte[] text = Encoding.UTF8.GetBytes(name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(text.Length, 253, nameof(name));
        byte[] packet = new byte[6 + text.Length + 8 + (position is null ? 0 : PositionBytes) + MacBytes];
        "ATOL"u8.CopyTo(packet);
        packet[4] = kind;
        packet[5] = (byte)text.Length;
        text.CopyTo(packet, 6);
        Span<byte> rest = packet.AsSpan(6 + text.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(rest, counter);
        if (position is { } at)
        {
            BinaryPrimitives.WriteInt64LittleEndian(rest[8..], at.Term);
            BinaryPrimitives.WriteInt64LittleEndian(rest[16..], at.Revision);
        }
        Mac(packet.AsSpan(0, packet.Length - MacBytes), key).CopyTo(packet.AsSpan(packet.Length - MacBytes));
        return packet;
    }

    private static bool TryRead(ReadOnlySpan<byte> packet, byte kind, ReadOnlySpan<byte> key, out string name, out ulong counter, out LogPosition position)
    {
        (name, counter, position) = ("", 0, default);
        int more = kind == Answer ? PositionBytes : 0;
        if (packet.Length < 6 + 8 + MacBytes || packet.Length > MaxBytes || !packet.StartsWith("ATOL"u8) || packet[4] != kind || packet.Length != 6 + packet[5] + 8 + more + MacBytes)
            return false;
        ReadOnlySpan<byte> body = packet[..^MacBytes];
        if (!CryptographicOperations.FixedTimeEquals(Mac(body, key), packet[^MacBytes..]))
            return false;
        name = Encoding.UTF8.GetString(packet.Slice(6, packet[5]));
        ReadOnlySpan<byte> rest = body[(6 + packet[5])..];
        counter = BinaryPrimitives.ReadUInt64LittleEndian(rest);
        if (more > 0)
            position = new LogPosition(BinaryPrimitives.ReadInt64LittleEndian(rest[8..]), BinaryPrimitives.ReadInt64LittleEndian(rest[16..]));
        return true;
    }

    private static byte[] Mac(ReadOnlySpan<byte> body, ReadOnlySpan<byte> key) => HMACSHA256.HashData(key, body)[..MacBytes];
}
