using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;

namespace Atoll.Link;

/// <summary>
/// Digest of a set of (uid, version), independent of order and updated in constant time: how many, and the sum of a hash of
/// each. Equal digests are taken as equal sets; it guards against loss and faults, not against a hostile writer.
/// </summary>
/// <param name="Count">How many items.</param>
/// <param name="Hash">Sum of the items' hashes, modulo 2^64.</param>
public readonly record struct SetDigest(int Count, ulong Hash)
{
    /// <summary>With one item more.</summary>
    public SetDigest Add(string uid, long version) => new(Count + 1, Hash + HashOf(HashOf(uid), version));

    /// <summary>With one item less.</summary>
    public SetDigest Remove(string uid, long version) => new(Count - 1, Hash - HashOf(HashOf(uid), version));

    /// <summary>The sum of two digests of disjoint sets.</summary>
    public SetDigest Add(SetDigest other) => new(Count + other.Count, Hash + other.Hash);

    /// <summary>Hash of an identity; its high bits choose the range that it falls in.</summary>
    public static ulong HashOf(string uid)
    {
        ArgumentNullException.ThrowIfNull(uid);
        Span<byte> bytes = stackalloc byte[512];
        return uid.Length * 3 <= bytes.Length
            ? XxHash3.HashToUInt64(bytes[..Encoding.UTF8.GetBytes(uid, bytes)])
            : XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(uid));
    }

    /// <summary>Hash of an item from the hash of its identity.</summary>
    public static ulong HashOf(ulong uidHash, long version)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, uidHash);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], version);
        return XxHash3.HashToUInt64(bytes);
    }
}
