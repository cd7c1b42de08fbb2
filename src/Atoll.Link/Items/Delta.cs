using System.Buffers.Binary;

namespace Atoll.Link;

/// <summary>
/// A byte difference made for documents of which little changed: a list of «copy from the base» and «insert». Exact, no
/// tables kept, and cheap to apply; what it saves against a dictionary-compressed patch is memory, which a site sells.
/// <para>Format: varint head of each instruction, low bit 0 = insert (length in the rest, bytes follow), 1 = copy (length in
/// the rest, then the varint distance from the end of the last copy, zig-zag).</para>
/// </summary>
internal static class Delta
{
    private const int Seed = 8;

    /// <summary>The difference, or null when it would not be shorter than <paramref name="limit"/>.</summary>
    public static byte[]? Make(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, int limit)
    {
        if (limit <= 0)
            return null;
        int bits = 8;
        while (1 << bits < from.Length && bits < 16)
            bits++;
        // Position + 1 of the last place in the base where a hash of eight bytes was seen, in steps that bound the work on big documents.
        int[] table = new int[1 << bits];
        for (int i = 0; i + Seed <= from.Length; i++)
            table[Hash(from[i..], bits)] = i + 1;

        byte[] buffer = new byte[limit];
        int written = 0, pending = 0, expected = 0, at = 0;
        while (at + Seed <= to.Length)
        {
            int source = Candidate(from, to, at, expected, table, bits);
            if (source < 0)
            {
                at++;
                continue;
            }
            int length = Seed + from[(source + Seed)..].CommonPrefixLength(to[(at + Seed)..]);
            while (at > pending && source > 0 && from[source - 1] == to[at - 1])
                (at, source, length) = (at - 1, source - 1, length + 1);
            if (!Insert(buffer, ref written, to[pending..at]) || !Copy(buffer, ref written, length, source - expected))
                return null;
            (expected, at) = (source + length, at + length);
            pending = at;
        }
        return Insert(buffer, ref written, to[pending..]) ? buffer.AsSpan(0, written).ToArray() : null;
    }

    /// <summary>Applies a difference from bytes that nobody vouches for; null when it does not fit the base or the length.</summary>
    public static byte[]? Apply(ReadOnlySpan<byte> from, ReadOnlySpan<byte> delta, int length)
    {
        byte[] to = new byte[length];
        int read = 0, written = 0;
        long expected = 0;
        while (read < delta.Length)
        {
            if (!Varint(delta, ref read, out ulong head) || head >> 1 > (ulong)(length - written))
                return null;
            int count = (int)(head >> 1);
            if ((head & 1) == 0)
            {
                if (count > delta.Length - read)
                    return null;
                delta.Slice(read, count).CopyTo(to.AsSpan(written));
                read += count;
            }
            else
            {
                if (!Varint(delta, ref read, out ulong zigzag))
                    return null;
                long source = expected + ((long)(zigzag >> 1) ^ -(long)(zigzag & 1));
                if (source < 0 || source > from.Length || count > from.Length - source)
                    return null;
                from.Slice((int)source, count).CopyTo(to.AsSpan(written));
                expected = source + count;
            }
            written += count;
        }
        return written == length ? to : null;
    }

    private static int Candidate(ReadOnlySpan<byte> from, ReadOnlySpan<byte> to, int at, int expected, int[] table, int bits)
    {
        // Going on where the last copy ended wins over any other place: it costs one byte.
        ReadOnlySpan<byte> seed = to.Slice(at, Seed);
        if (expected + Seed <= from.Length && from.Slice(expected, Seed).SequenceEqual(seed))
            return expected;
        int source = table[Hash(seed, bits)] - 1;
        return source >= 0 && from.Slice(source, Seed).SequenceEqual(seed) ? source : -1;
    }

    private static int Hash(ReadOnlySpan<byte> bytes, int bits) =>
        (int)(BinaryPrimitives.ReadUInt64LittleEndian(bytes) * 0x9E3779B97F4A7C15UL >> (64 - bits));

    private static bool Insert(byte[] buffer, ref int written, ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length == 0)
            return true;
        if (written + bytes.Length + 5 > buffer.Length)
            return false;
        Varint(buffer, ref written, (ulong)bytes.Length << 1);
        bytes.CopyTo(buffer.AsSpan(written));
        written += bytes.Length;
        return true;
    }

    private static bool Copy(byte[] buffer, ref int written, int length, long distance)
    {
        if (written + 15 > buffer.Length)
            return false;
        Varint(buffer, ref written, ((ulong)length << 1) | 1);
        Varint(buffer, ref written, (ulong)((distance << 1) ^ (distance >> 63)));
        return true;
    }

    private static void Varint(byte[] buffer, ref int written, ulong value)
    {
        while (value >= 0x80)
        {
            buffer[written++] = (byte)(value | 0x80);
            value >>= 7;
        }
        buffer[written++] = (byte)value;
    }

    private static bool Varint(ReadOnlySpan<byte> bytes, ref int read, out ulong value)
    {
        value = 0;
        for (int shift = 0; shift < 64 && read < bytes.Length; shift += 7)
        {
            byte b = bytes[read++];
            value |= (ulong)(b & 0x7F) << shift;
            if (b < 0x80)
                return true;
        }
        return false;
    }
}
