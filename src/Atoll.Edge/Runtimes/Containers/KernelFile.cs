using System.Buffers.Text;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Reads numbers from the kernel's small text files, over and over, into one buffer. Not for several threads at once.</summary>
internal sealed class KernelFile
{
    private readonly byte[] _buffer = new byte[8192];

    /// <summary>Begin of the file, at most 8 KiB; empty when there is no such file (any more).</summary>
    public ReadOnlySpan<byte> Read(string path)
    {
        try
        {
            using var file = File.OpenHandle(path);
            int length = 0;
            // Some files of the kernel come line by line.
            while (length < _buffer.Length && RandomAccess.Read(file, _buffer.AsSpan(length), length) is > 0 and int read) length += read;
            return _buffer.AsSpan(0, length);
        }
        catch (IOException)
        {
            return default;
        }
    }

    /// <summary>The number that the file holds; 0 without one.</summary>
    public long Number(string path) => First(Read(path));

    /// <summary>The number behind a name at the start of a line; 0 without one.</summary>
    public long Field(string path, ReadOnlySpan<byte> name) => Field(Read(path), name);

    /// <summary>The number behind a name at the start of a line of a text; 0 without one.</summary>
    public static long Field(ReadOnlySpan<byte> text, ReadOnlySpan<byte> name)
    {
        while (!text.IsEmpty)
        {
            if (text.StartsWith(name)) return First(text[name.Length..]);
            int end = text.IndexOf((byte)'\n');
            text = end < 0 ? default : text[(end + 1)..];
        }
        return 0;
    }

    /// <summary>The numbers of a text's first line, as many as there is room for; how many there were.</summary>
    public static int Numbers(ReadOnlySpan<byte> text, Span<long> into)
    {
        int end = text.IndexOf((byte)'\n'), count = 0;
        if (end >= 0) text = text[..end];
        while (count < into.Length && text.IndexOfAnyInRange((byte)'0', (byte)'9') is >= 0 and int start && Utf8Parser.TryParse(text[start..], out into[count], out int length))
        {
            text = text[(start + length)..];
            count++;
        }
        return count;
    }

    private static long First(ReadOnlySpan<byte> text)
    {
        Span<long> one = stackalloc long[1];
        return Numbers(text, one) == 1 ? one[0] : 0;
    }
}
