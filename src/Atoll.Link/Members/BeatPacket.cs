using System.Buffers.Binary;
using System.Security.Cryptography;
using System.Text;

namespace Atoll.Link.Members;

/// <summary>
/// The datagrams between a node's supervisor and its peers: a beat (<c>B</c>, I am alive) and a leader's answer to it (<c>A</c>,
/// this node's lease runs on). Frozen form: <c>ATOL</c>, kind, length of the name, name, counter (8 bytes, little-endian), and
/// the first 16 bytes of HMAC-SHA-256 over all before under the site's key.
/// </summary>
public static class BeatPacket
{
    /// <summary>Kind of a beat.</summary>
    public const byte Beat = (byte)'B';

    /// <summary>Kind of a leader's answer.</summary>
    public const byte Answer = (byte)'A';

    /// <summary>Largest datagram, bytes.</summary>
    public const int MaxBytes = 6 + 253 + 8 + MacBytes;

    private const int MacBytes = 16;

    /// <summary>A datagram.</summary>
    public static byte[] Write(byte kind, string name, ulong counter, ReadOnlySpan<byte> key)
    {
        byte[] text = Encoding.UTF8.GetBytes(name);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(text.Length, 253, nameof(name));
        byte[] packet = new byte[6 + text.Length + 8 + MacBytes];
        "ATOL"u8.CopyTo(packet);
        packet[4] = kind;
        packet[5] = (byte)text.Length;
        text.CopyTo(packet, 6);
        BinaryPrimitives.WriteUInt64LittleEndian(packet.AsSpan(6 + text.Length), counter);
        Mac(packet.AsSpan(0, packet.Length - MacBytes), key).CopyTo(packet.AsSpan(packet.Length - MacBytes));
        return packet;
    }

    /// <summary>Reads a datagram of a kind; false for anything that the site's key did not make.</summary>
    public static bool TryRead(ReadOnlySpan<byte> packet, byte kind, ReadOnlySpan<byte> key, out string name, out ulong counter)
    {
        (name, counter) = ("", 0);
        if (packet.Length < 6 + 8 + MacBytes || packet.Length > MaxBytes || !packet.StartsWith("ATOL"u8) || packet[4] != kind || packet.Length != 6 + packet[5] + 8 + MacBytes)
            return false;
        ReadOnlySpan<byte> body = packet[..^MacBytes];
        if (!CryptographicOperations.FixedTimeEquals(Mac(body, key), packet[^MacBytes..]))
            return false;
        name = Encoding.UTF8.GetString(packet.Slice(6, packet[5]));
        counter = BinaryPrimitives.ReadUInt64LittleEndian(body[^8..]);
        return true;
    }

    private static byte[] Mac(ReadOnlySpan<byte> body, ReadOnlySpan<byte> key) => HMACSHA256.HashData(key, body)[..MacBytes];
}
