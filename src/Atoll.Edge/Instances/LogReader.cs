using System.Buffers;
using System.Globalization;
using System.Text;
using Atoll.Api.Streams;

namespace Atoll.Edge.Instances;

/// <summary>
/// Reads one attempt's log in CRI format (<c>time stream F|P line</c>), over rotated files, and follows it. Lines that the
/// writer cut (P) are joined. Memory is bounded by one read buffer, however long a line is.
/// </summary>
internal sealed class LogReader(string folder, int attempt, LogRequest request, TimeProvider time)
{
    private const int BlockBytes = 64 * 1024;
    private static readonly TimeSpan s_poll = TimeSpan.FromMilliseconds(100);

    private readonly DateTimeOffset? _since = request.SinceTime ?? (request.SinceSeconds is { } seconds ? time.GetUtcNow().AddSeconds(-seconds) : null);
    private long _left = request.LimitBytes ?? long.MaxValue;
    private bool _inLine;

    /// <summary>Copies until the end, or with follow until <paramref name="alive"/> says that no more will come.</summary>
    public async Task CopyAsync(Stream output, Func<bool> alive, CancellationToken cancellation)
    {
        List<string> files = LogFiles.Files(folder, attempt);
        (int first, long offset) = request.TailLines is { } tail ? TailStart(files, tail) : (0, 0);
        string current = Path.Combine(folder, $"{attempt}.log");
        for (int i = first; i < files.Count && _left > 0; i++)
        {
            using FileStream? file = Open(files[i]);
            if (file is null)
                continue;
            file.Position = i == first ? offset : 0;
            bool last = files[i] == current;
            await CopyFileAsync(file, output, last && request.Follow ? alive : null, cancellation).ConfigureAwait(false);
        }
        if (request.Follow && _left > 0)
            await FollowAsync(current, files.Contains(current), output, alive, cancellation).ConfigureAwait(false);
    }

    /// <summary>After the file that was current has ended: it was rotated (its successor is read), or nothing more comes.</summary>
    private async Task FollowAsync(string current, bool seen, Stream output, Func<bool> alive, CancellationToken cancellation)
    {
        while (_left > 0)
        {
            bool more = alive();
            if (File.Exists(current) && (!seen || more))
            {
                using FileStream? file = Open(current);
                if (file is not null)
                    await CopyFileAsync(file, output, alive, cancellation).ConfigureAwait(false);
                seen = true;
            }
            if (!more)
                return;
            await output.FlushAsync(cancellation).ConfigureAwait(false);
            await Task.Delay(s_poll, time, cancellation).ConfigureAwait(false);
        }
    }

    private static FileStream? Open(string path)
    {
        try
        {
            return new FileStream(path, new FileStreamOptions { Access = FileAccess.Read, Share = FileShare.ReadWrite | FileShare.Delete, BufferSize = 0, Options = FileOptions.None });
        }
        catch (FileNotFoundException)
        {
            return null; // Rotated away since it was listed.
        }
    }

    private async Task CopyFileAsync(FileStream file, Stream output, Func<bool>? alive, CancellationToken cancellation)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BlockBytes);
        try
        {
            int held = 0;
            while (_left > 0)
            {
                bool more = alive?.Invoke() ?? false; // Before reading: what was written before the end is read after it.
                int read = await file.ReadAsync(buffer.AsMemory(held, buffer.Length - held), cancellation).ConfigureAwait(false);
                if (read == 0)
                {
                    if (!more || IsRotated(file))
                        return;
                    await output.FlushAsync(cancellation).ConfigureAwait(false);
                    await Task.Delay(s_poll, time, cancellation).ConfigureAwait(false);
                    continue;
                }
                held = await TakeAsync(buffer, held + read, output, cancellation).ConfigureAwait(false);
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>True when the open file no longer has its name.</summary>
    private static bool IsRotated(FileStream file) =>
        new FileInfo($"/proc/self/fd/{file.SafeFileHandle.DangerousGetHandle()}").LinkTarget is { } name && name != file.Name;

    /// <summary>Writes the complete records of the buffer and returns how many bytes of an incomplete one were kept.</summary>
    private async Task<int> TakeAsync(byte[] buffer, int length, Stream output, CancellationToken cancellation)
    {
        int start = 0;
        using var batch = new MemoryStream();
        while (start < length)
        {
            int end = Array.IndexOf(buffer, (byte)'\n', start, length - start);
            if (end < 0)
            {
                if (start > 0 || length < buffer.Length)
                    break;
                end = length - 1; // A record longer than the buffer: pass on what there is.
            }
            Record(buffer.AsSpan(start, end - start), batch);
            start = end + 1;
        }
        if (batch.Length > 0)
        {
            int count = (int)Math.Min(batch.Length, _left);
            await output.WriteAsync(batch.GetBuffer().AsMemory(0, count), cancellation).ConfigureAwait(false);
            _left -= count;
        }
        buffer.AsSpan(start, length - start).CopyTo(buffer);
        return length - start;
    }

    private void Record(ReadOnlySpan<byte> line, MemoryStream batch)
    {
        if (!Parse(line, out ReadOnlySpan<byte> stamp, out bool partial, out ReadOnlySpan<byte> content))
            return;
        if (_since is { } since && !_inLine && Time(stamp) < since)
            return;
        if (request.Timestamps && !_inLine)
        {
            batch.Write(stamp);
            batch.WriteByte((byte)' ');
        }
        batch.Write(content);
        if (!partial)
            batch.WriteByte((byte)'\n');
        _inLine = partial;
    }

    private static DateTimeOffset Time(ReadOnlySpan<byte> stamp) =>
        DateTimeOffset.TryParse(Encoding.ASCII.GetString(stamp), CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset time) ? time : DateTimeOffset.MaxValue;

    internal static bool Parse(ReadOnlySpan<byte> line, out ReadOnlySpan<byte> stamp, out bool partial, out ReadOnlySpan<byte> content)
    {
        stamp = content = default;
        partial = false;
        int a = line.IndexOf((byte)' ');
        if (a <= 0)
            return false;
        ReadOnlySpan<byte> rest = line[(a + 1)..];
        int b = rest.IndexOf((byte)' ');
        if (b <= 0 || rest.Length < b + 2)
            return false;
        stamp = line[..a];
        partial = rest[b + 1] == (byte)'P';
        content = rest.Length > b + 3 ? rest[(b + 3)..] : default;
        return true;
    }

    /// <summary>Where the last lines begin: reads from the end in growing blocks, so that a short tail of a long log is cheap.</summary>
    private static (int File, long Offset) TailStart(List<string> files, long lines)
    {
        long needed = lines;
        for (int i = files.Count - 1; i >= 0; i--)
        {
            using FileStream? file = Open(files[i]);
            if (file is null || file.Length == 0)
                continue;
            if (needed == 0)
                return (i, file.Length);
            (long offset, long found) = TailStart(file, needed);
            if (found > needed || i == 0)
                return (i, offset);
            if (found == needed && offset > 0)
                return (i, offset);
            needed -= found;
            if (needed == 0)
                return (i, offset);
        }
        return (0, 0);
    }

    private static (long Offset, long Found) TailStart(FileStream file, long needed)
    {
        for (long span = BlockBytes; ; span *= 4)
        {
            long from = Math.Max(0, file.Length - span);
            var starts = new Queue<long>();
            long found = Scan(file, from, needed, starts);
            if (found >= needed)
                return (starts.Dequeue(), found);
            if (from == 0)
                return (0, found);
        }
    }

    /// <summary>Counts whole lines after <paramref name="from"/> and keeps where the last <paramref name="needed"/> begin.</summary>
    private static long Scan(FileStream file, long from, long needed, Queue<long> starts)
    {
        file.Position = from;
        using var reader = new BufferedStream(file, BlockBytes);
        var head = new List<byte>(96);
        long position = from, begin = from, found = 0;
        bool skip = from > 0, open = false;
        long lineStart = from;
        for (int b; (b = reader.ReadByte()) >= 0;)
        {
            position++;
            if (b != '\n')
            {
                if (head.Count < 96)
                    head.Add((byte)b);
                continue;
            }
            if (!skip && Parse(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(head), out _, out bool partial, out _))
            {
                if (!open)
                    lineStart = begin;
                open = partial;
                if (!partial)
                {
                    found++;
                    starts.Enqueue(lineStart);
                    if (starts.Count > needed)
                        starts.Dequeue();
                }
            }
            skip = false;
            begin = position;
            head.Clear();
        }
        return Math.Min(found, needed);
    }
}
