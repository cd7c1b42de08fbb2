using System.Buffers.Binary;
using Atoll.Store;

namespace Atoll.Agent.Members;

/// <summary>What a frame of a copy stream says.</summary>
internal enum CopyFrame : byte
{
    /// <summary>Everything follows, as <see cref="Entries"/>; what is not in it is gone.</summary>
    Begin = 1,

    /// <summary>Keys with values.</summary>
    Entries = 2,

    /// <summary>That was everything, as of the revision.</summary>
    End = 3,

    /// <summary>Changes up to the revision.</summary>
    Changes = 4,

    /// <summary>Nothing new: the leader is there, and what came until now is all there is.</summary>
    Alive = 5,
}

/// <summary>
/// The form of a copy stream between nodes of one version of the agent: <c>length (4) kind (1) revision (8)</c>, then entries
/// <c>key length (4) key value length (4, −1 is a deletion) value</c>; little-endian.
/// </summary>
internal static class CopyFrames
{
    private const int HeadBytes = 13, MaxBytes = 64 << 20;

    public static byte[] Write(CopyFrame kind, long revision, IReadOnlyList<StoreWrite> entries)
    {
        int length = HeadBytes;
        foreach (StoreWrite entry in entries)
            length += 8 + entry.Key.Length + (entry.Value?.Length ?? 0);
        byte[] frame = new byte[length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, length);
        frame[4] = (byte)kind;
        BinaryPrimitives.WriteInt64LittleEndian(frame.AsSpan(5), revision);
        Span<byte> rest = frame.AsSpan(HeadBytes);
        foreach (StoreWrite entry in entries)
        {
            Put(ref rest, entry.Key.Length, entry.Key.Span);
            Put(ref rest, entry.Value?.Length ?? -1, (entry.Value ?? default).Span);
        }
        return frame;
    }

    /// <summary>The next frame, or null at the end of the stream.</summary>
    public static async ValueTask<(CopyFrame Kind, long Revision, List<StoreWrite> Entries)?> ReadAsync(Stream stream, CancellationToken cancellation)
    {
        byte[] head = new byte[HeadBytes];
        int read = await stream.ReadAtLeastAsync(head, HeadBytes, throwOnEndOfStream: false, cancellation);
        if (read == 0)
            return null;
        int length = BinaryPrimitives.ReadInt32LittleEndian(head);
        if (read < HeadBytes || length is < HeadBytes or > MaxBytes)
            throw new InvalidDataException("a copy stream is broken");
        byte[] body = new byte[length - HeadBytes];
        await stream.ReadExactlyAsync(body, cancellation);
        return ((CopyFrame)head[4], BinaryPrimitives.ReadInt64LittleEndian(head.AsSpan(5)), Entries(body));
    }

    private static List<StoreWrite> Entries(ReadOnlyMemory<byte> body)
    {
        var entries = new List<StoreWrite>();
        while (body.Length > 0)
        {
            ReadOnlyMemory<byte> key = Take(ref body) ?? throw new InvalidDataException("a copy stream has an entry without key");
            entries.Add(new StoreWrite(key, Take(ref body)));
        }
        return entries;
    }

    private static ReadOnlyMemory<byte>? Take(ref ReadOnlyMemory<byte> body)
    {
        int length = body.Length < 4 ? int.MaxValue : BinaryPrimitives.ReadInt32LittleEndian(body.Span);
        if (length < -1 || length > body.Length - 4)
            throw new InvalidDataException("a copy stream has an entry that is cut");
        // Not "? null :", which would be an empty value: memory can be made of a null array.
        ReadOnlyMemory<byte>? taken = length < 0 ? default(ReadOnlyMemory<byte>?) : body.Slice(4, length);
        body = body[(4 + Math.Max(0, length))..];
        return taken;
    }

    private static void Put(ref Span<byte> rest, int length, ReadOnlySpan<byte> bytes)
    {
        BinaryPrimitives.WriteInt32LittleEndian(rest, length);
        bytes.CopyTo(rest[4..]);
        rest = rest[(4 + bytes.Length)..];
    }
}
