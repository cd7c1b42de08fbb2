using System.Buffers;
using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text;
using ICSharpCode.SharpZipLib;
using ICSharpCode.SharpZipLib.Zip.Compression;

namespace Atoll.Kube.Streaming.Spdy;

/// <summary>
/// Reads the header blocks of one direction of a connection. All blocks are one zlib stream, so a block that cannot be
/// read ends the connection: nothing after it could be.
/// </summary>
internal sealed class SpdyHeaderReader
{
    private readonly Inflater _inflater = new();

    /// <summary>Decompresses and parses one block. Names are compared without case; of a repeated value the first counts.</summary>
    public bool TryRead(ReadOnlySequence<byte> block, [NotNullWhen(true)] out Dictionary<string, string>? headers, out string error)
    {
        headers = null;
        byte[] plain = ArrayPool<byte>.Shared.Rent(SpdyLimits.HeaderBlockBytes + 1);
        try
        {
            if (!Inflate(block.ToArray(), plain, out int length, out error))
                return false;
            return Parse(plain.AsSpan(0, length), out headers, out error);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(plain);
        }
    }

    private bool Inflate(byte[] block, byte[] plain, out int length, out string error)
    {
        length = 0;
        error = "";
        try
        {
            _inflater.SetInput(block);
            while (true)
            {
                int count = _inflater.Inflate(plain, length, SpdyLimits.HeaderBlockBytes + 1 - length);
                length += count;
                if (length > SpdyLimits.HeaderBlockBytes)
                {
                    error = $"header block expands to more than {SpdyLimits.HeaderBlockBytes} bytes";
                    return false;
                }
                if (_inflater.IsNeedingDictionary)
                    _inflater.SetDictionary(SpdyDictionary.Bytes);
                else if (_inflater.IsFinished)
                {
                    error = "header compression ended";
                    return false;
                }
                else if (count == 0)
                    return true;
            }
        }
        catch (Exception broken) when (broken is SharpZipBaseException or InvalidOperationException or ArgumentException or IndexOutOfRangeException)
        {
            error = "header block is not compressed as SPDY/3 asks: " + broken.Message;
            return false;
        }
    }

    private static bool Parse(ReadOnlySpan<byte> plain, [NotNullWhen(true)] out Dictionary<string, string>? headers, out string error)
    {
        headers = null;
        error = "header block is cut short";
        if (!TakeCount(ref plain, out int count))
            return false;
        if (count > SpdyLimits.HeaderCount)
        {
            error = $"{count} headers, limit is {SpdyLimits.HeaderCount}";
            return false;
        }
        var read = new Dictionary<string, string>(StringComparer.OrdinalIgnoreCase);
        for (int i = 0; i < count; i++)
        {
            if (!TakeText(ref plain, out string name) || !TakeText(ref plain, out string value))
                return false;
            int end = value.IndexOf('\0', StringComparison.Ordinal);
            read.TryAdd(name, end < 0 ? value : value[..end]);
        }
        headers = read;
        error = "";
        return true;
    }

    private static bool TakeCount(ref ReadOnlySpan<byte> plain, out int count)
    {
        count = 0;
        if (plain.Length < 4)
            return false;
        count = BinaryPrimitives.ReadInt32BigEndian(plain);
        plain = plain[4..];
        return count >= 0;
    }

    private static bool TakeText(ref ReadOnlySpan<byte> plain, out string text)
    {
        text = "";
        if (!TakeCount(ref plain, out int length) || plain.Length < length)
            return false;
        text = Encoding.UTF8.GetString(plain[..length]);
        plain = plain[length..];
        return true;
    }
}

/// <summary>
/// Writes header blocks as a valid zlib stream of stored blocks. Our blocks are nearly all empty replies, and a real
/// compressor would cost each connection some hundreds of KiB.
/// </summary>
internal sealed class SpdyHeaderWriter
{
    private bool _started;

    /// <summary>The block of these headers. Must be written to the wire in the order of the calls.</summary>
    public byte[] Write(IReadOnlyDictionary<string, string> headers)
    {
        using var plain = new MemoryStream();
        Span<byte> word = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(word, headers.Count);
        plain.Write(word);
        foreach ((string name, string value) in headers)
        {
            Text(plain, name.ToLowerInvariant());
            Text(plain, value);
        }
        using var block = new MemoryStream();
        if (!_started)
        {
            // CMF and FLG with FDICT, then the dictionary's id: RFC 1950 section 2.2.
            block.Write([0x78, 0x20]);
            BinaryPrimitives.WriteUInt32BigEndian(word, SpdyDictionary.Id);
            block.Write(word);
            _started = true;
        }
        ReadOnlySpan<byte> rest = plain.GetBuffer().AsSpan(0, (int)plain.Length);
        while (!rest.IsEmpty)
        {
            int length = Math.Min(rest.Length, ushort.MaxValue);
            block.WriteByte(0);
            BinaryPrimitives.WriteUInt16LittleEndian(word, (ushort)length);
            BinaryPrimitives.WriteUInt16LittleEndian(word[2..], (ushort)~length);
            block.Write(word);
            block.Write(rest[..length]);
            rest = rest[length..];
        }
        // An empty block is zlib's sync flush: streaming readers (Go's) give out what they have only when they see one.
        block.Write([0, 0, 0, 0xFF, 0xFF]);
        return block.ToArray();
    }

    private static void Text(MemoryStream into, string text)
    {
        Span<byte> word = stackalloc byte[4];
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        BinaryPrimitives.WriteInt32BigEndian(word, bytes.Length);
        into.Write(word);
        into.Write(bytes);
    }
}
