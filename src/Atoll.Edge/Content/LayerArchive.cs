using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace Atoll.Edge.Content;

/// <summary>One entry of a tar archive. Its content must be read from the reader before the next entry is asked for, or is skipped.</summary>
internal sealed class LayerEntry
{
    internal required string Name { get; init; }

    internal required char Type { get; init; }

    internal required uint Mode { get; init; }

    internal required uint Uid { get; init; }

    internal required uint Gid { get; init; }

    internal required long Size { get; init; }

    internal required long Seconds { get; init; }

    internal required long Nanoseconds { get; init; }

    internal required string LinkName { get; init; }

    internal required uint Major { get; init; }

    internal required uint Minor { get; init; }

    internal IReadOnlyList<(string Name, byte[] Value)> Attributes { get; init; } = [];
}

/// <summary>
/// Reads tar archives (ustar, pax, GNU long names) forward from a stream. System.Formats.Tar decodes pax values as UTF-8,
/// which destroys the binary extended attributes that images carry (security.capability); hence this reader. Untrusted input:
/// every header is checked and bounded.
/// </summary>
internal sealed class LayerArchive(Stream stream)
{
    private const int Block = 512;
    private const int MaxExtendedBytes = 1024 * 1024;
    private const int MaxPathBytes = 4096;
    private readonly byte[] header = new byte[Block];
    private long remaining;
    private long padding;

    /// <summary>The next entry, or null at the end. Throws <see cref="InvalidDataException"/> on anything that is no tar.</summary>
    internal async ValueTask<LayerEntry?> NextAsync(CancellationToken cancellation)
    {
        Dictionary<string, byte[]>? extended = null;
        string? longName = null, longLink = null;
        while (true)
        {
            await SkipAsync(remaining + padding, cancellation).ConfigureAwait(false);
            remaining = padding = 0;
            var read = await stream.ReadAtLeastAsync(header, Block, throwOnEndOfStream: false, cancellation).ConfigureAwait(false);
            if (read == 0 || (read == Block && header.AsSpan().IndexOfAnyExcept((byte)0) < 0)) return null;
            if (read < Block) throw new InvalidDataException("The archive ends inside a header.");
            CheckSum();
            var size = Number(124, 12);
            if (size < 0) throw new InvalidDataException("An entry has a negative size.");
            var type = (char)header[156];
            switch (type)
            {
                case 'x':
                    extended = ParseExtended(await ContentAsync(size, cancellation).ConfigureAwait(false));
                    continue;
                case 'g':
                    await ContentAsync(size, cancellation).ConfigureAwait(false);
                    continue;
                case 'L':
                    longName = CString(await ContentAsync(size, cancellation).ConfigureAwait(false));
                    continue;
                case 'K':
                    longLink = CString(await ContentAsync(size, cancellation).ConfigureAwait(false));
                    continue;
                case 'S':
                    throw new InvalidDataException("Sparse entries are not supported.");
            }
            return Make(type, size, longName, longLink, extended);
        }
    }

    /// <summary>Reads of the current entry's content; 0 at its end.</summary>
    internal async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellation)
    {
        if (remaining == 0) return 0;
        var n = await stream.ReadAsync(buffer[..(int)Math.Min(buffer.Length, remaining)], cancellation).ConfigureAwait(false);
        if (n == 0) throw new InvalidDataException("The archive ends inside an entry.");
        remaining -= n;
        return n;
    }

    private LayerEntry Make(char type, long size, string? longName, string? longLink, Dictionary<string, byte[]>? extended)
    {
        var name = Text(extended, "path") ?? longName ?? UstarName();
        var link = Text(extended, "linkpath") ?? longLink ?? CString(header.AsSpan(157, 100));
        if (Text(extended, "size") is { } declared)
            size = long.TryParse(declared, NumberStyles.None, CultureInfo.InvariantCulture, out var parsed) ? parsed : throw new InvalidDataException("A pax size is no number.");
        // Links and folders may state a size but never have content.
        var content = type is '0' or '\0' or '7' ? size : 0;
        remaining = content;
        padding = (Block - content % Block) % Block;
        var (seconds, nanoseconds) = Text(extended, "mtime") is { } time ? ParseTime(time) : (Number(136, 12), 0);
        List<(string, byte[])>? attributes = null;
        if (extended is not null)
            foreach (var (key, value) in extended)
                if (key.StartsWith("SCHILY.xattr.", StringComparison.Ordinal))
                    (attributes ??= []).Add((key[13..], value));
        return new LayerEntry
        {
            Name = name, Type = type == '\0' || type == '7' ? '0' : type, Mode = (uint)Number(100, 8) & 0xfff, Size = content, LinkName = link,
            Uid = Id(Text(extended, "uid"), 108), Gid = Id(Text(extended, "gid"), 116), Seconds = seconds, Nanoseconds = nanoseconds,
            Major = type is '3' or '4' ? (uint)Number(329, 8) : 0, Minor = type is '3' or '4' ? (uint)Number(337, 8) : 0, Attributes = attributes ?? [],
        };
    }

    private string UstarName()
    {
        var name = CString(header.AsSpan(0, 100));
        var ustar = header.AsSpan(257, 6).SequenceEqual("ustar\0"u8);
        return ustar && header[345] != 0 ? CString(header.AsSpan(345, 155)) + "/" + name : name;
    }

    private uint Id(string? extended, int offset)
    {
        var id = extended is not null ? long.Parse(extended, NumberStyles.None, CultureInfo.InvariantCulture) : Number(offset, 8);
        return id is >= 0 and < uint.MaxValue ? (uint)id : throw new InvalidDataException("An owner is out of range.");
    }

    private void CheckSum()
    {
        long sum = 0;
        for (var i = 0; i < Block; i++) sum += i is >= 148 and < 156 ? ' ' : header[i];
        if (sum != Number(148, 8)) throw new InvalidDataException("A header's checksum is wrong.");
    }

    /// <summary>Octal text, or base 256 when the first bit is set (GNU).</summary>
    private long Number(int offset, int length)
    {
        var field = header.AsSpan(offset, length);
        if ((field[0] & 0x80) != 0) return BinaryPrimitives.ReadInt64BigEndian(length == 12 ? field[4..] : [(byte)((field[0] & 0x7f) | ((field[0] & 0x40) != 0 ? 0x80 : 0)), .. field[1..]]);
        long value = 0;
        foreach (var b in field)
        {
            if (b is 0 or (byte)' ')
            {
                if (value > 0) break;
                continue;
            }
            if (b is < (byte)'0' or > (byte)'7') throw new InvalidDataException("A header's number is no octal number.");
            value = (value << 3) | (uint)(b - '0');
        }
        return value;
    }

    private async ValueTask<byte[]> ContentAsync(long size, CancellationToken cancellation)
    {
        if (size > MaxExtendedBytes) throw new InvalidDataException("An extended header is too long.");
        var content = new byte[size];
        await stream.ReadExactlyAsync(content, cancellation).ConfigureAwait(false);
        await SkipAsync((Block - size % Block) % Block, cancellation).ConfigureAwait(false);
        return content;
    }

    private async ValueTask SkipAsync(long count, CancellationToken cancellation)
    {
        if (count == 0) return;
        var buffer = new byte[(int)Math.Min(count, 32 * 1024)];
        while (count > 0)
        {
            var n = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, count)), cancellation).ConfigureAwait(false);
            if (n == 0) throw new InvalidDataException("The archive ends inside an entry.");
            count -= n;
        }
    }

    /// <summary>Records of <c>length key=value\n</c>; values are bytes.</summary>
    private static Dictionary<string, byte[]> ParseExtended(ReadOnlySpan<byte> bytes)
    {
        var records = new Dictionary<string, byte[]>(StringComparer.Ordinal);
        while (bytes.Length > 0)
        {
            var space = bytes.IndexOf((byte)' ');
            if (space < 1 || !int.TryParse(bytes[..space], NumberStyles.None, CultureInfo.InvariantCulture, out var length) || length <= space + 2 || length > bytes.Length)
                throw new InvalidDataException("A pax header is malformed.");
            var record = bytes[(space + 1)..(length - 1)];
            var equals = record.IndexOf((byte)'=');
            if (equals < 1) throw new InvalidDataException("A pax header is malformed.");
            records[Encoding.UTF8.GetString(record[..equals])] = record[(equals + 1)..].ToArray();
            bytes = bytes[length..];
        }
        return records;
    }

    private static (long Seconds, long Nanoseconds) ParseTime(string text) =>
        decimal.TryParse(text, NumberStyles.AllowDecimalPoint | NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var time) && Math.Abs(time) < 1e12m
            ? ((long)Math.Floor(time), (long)((time - Math.Floor(time)) * 1_000_000_000m))
            : throw new InvalidDataException("A pax time is no number.");

    private static string? Text(Dictionary<string, byte[]>? records, string key) => records is not null && records.TryGetValue(key, out var value) ? CString(value) : null;

    private static string CString(ReadOnlySpan<byte> bytes)
    {
        var end = bytes.IndexOf((byte)0);
        if (end >= 0) bytes = bytes[..end];
        return bytes.Length <= MaxPathBytes ? Encoding.UTF8.GetString(bytes) : throw new InvalidDataException("A path is too long.");
    }
}
