using System.Buffers.Binary;
using System.Text;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.Agent.Uplink;

/// <summary>
/// The link's own records in the site's store, beside the objects: what came down (<c>/link/held/UID</c>), how far
/// (<c>/link/sequence</c>; and in the history before this one, <c>/link/former</c>), and which outcome of each object the parent has made durable (<c>/link/acked/UID</c>). They are written
/// in the same transaction as the objects they speak of. The formats are frozen: version byte first.
/// </summary>
internal static class LinkRecords
{
    private const byte Version = 1;

    public static ReadOnlyMemory<byte> HeldPrefix { get; } = "/link/held/"u8.ToArray();

    public static ReadOnlyMemory<byte> AckedPrefix { get; } = "/link/acked/"u8.ToArray();

    public static ReadOnlyMemory<byte> SequenceKey { get; } = "/link/sequence"u8.ToArray();

    public static ReadOnlyMemory<byte> FormerKey { get; } = "/link/former"u8.ToArray();

    public static ReadOnlyMemory<byte> Key(ReadOnlyMemory<byte> prefix, string uid) => (byte[])[.. prefix.Span, .. Encoding.UTF8.GetBytes(uid)];

    public static string Uid(ReadOnlyMemory<byte> prefix, ReadOnlyMemory<byte> key) => Encoding.UTF8.GetString(key.Span[prefix.Length..]);

    /// <summary>End of a prefix's range: '/' + 1 is '0'.</summary>
    public static ReadOnlyMemory<byte> EndOf(ReadOnlyMemory<byte> prefix)
    {
        byte[] end = prefix.ToArray();
        end[^1]++;
        return end;
    }

    public static byte[] Write(HeldItem item)
    {
        byte[] kind = Encoding.UTF8.GetBytes(item.Kind), name = Encoding.UTF8.GetBytes(item.Name);
        byte[] value = new byte[11 + kind.Length + name.Length];
        value[0] = Version;
        value[1] = item.Orphan ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteInt64LittleEndian(value.AsSpan(2), item.Version);
        value[10] = (byte)kind.Length;
        kind.CopyTo(value, 11);
        name.CopyTo(value, 11 + kind.Length);
        return value;
    }

    public static bool IsHeld(ReadOnlySpan<byte> value) => value.Length >= 11 && value[0] == Version && value.Length >= 11 + value[10];

    public static HeldItem ReadHeld(string uid, ReadOnlySpan<byte> value)
    {
        if (!IsHeld(value))
            throw new InvalidDataException($"the link record of {uid} is not of this version");
        int kind = value[10];
        return new HeldItem(Encoding.UTF8.GetString(value.Slice(11, kind)), Encoding.UTF8.GetString(value[(11 + kind)..]), uid, BinaryPrimitives.ReadInt64LittleEndian(value[2..]), value[1] == 1);
    }

    public static byte[] Write(LinkSequence sequence)
    {
        byte[] incarnation = Encoding.UTF8.GetBytes(sequence.Incarnation);
        byte[] value = new byte[9 + incarnation.Length];
        value[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(value.AsSpan(1), sequence.Revision);
        incarnation.CopyTo(value, 9);
        return value;
    }

    public static LinkSequence ReadSequence(ReadOnlySpan<byte> value) =>
        value.Length >= 9 && value[0] == Version ? new LinkSequence(Encoding.UTF8.GetString(value[9..]), BinaryPrimitives.ReadInt64LittleEndian(value[1..])) : LinkSequence.None;

    public static byte[] WriteHash(ulong hash)
    {
        byte[] value = new byte[9];
        value[0] = Version;
        BinaryPrimitives.WriteUInt64LittleEndian(value.AsSpan(1), hash);
        return value;
    }

    public static ulong ReadHash(ReadOnlySpan<byte> value) => value.Length == 9 && value[0] == Version ? BinaryPrimitives.ReadUInt64LittleEndian(value[1..]) : 0;
}
