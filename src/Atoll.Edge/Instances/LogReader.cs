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
    private readonly string _current = Path.Combine(folder, $"{attempt}.log");
    private long _left = request.LimitBytes ?? long.MaxValue;
    private bool _inLine;

    /// <summary>
    /// Copies until the end, or with follow until <paramref name="alive"/> says that no more will come. Goes from file to
    /// file by name, and a file is known by the name that it has when its end is reached: rotation under way loses nothing.
    /// </summary>
    public async Task CopyAsync(Stream output, Func<bool> alive, CancellationToken cancellation)
    {
        List<string> files = LogFiles.Files(folder, attempt);
        (int first, long offset) = request.TailLines is { } tail ? TailStart(files, tail) : (0, 0);
        string? next = first < files.Count ? files[first] : null, done = null;
        while (_left > 0)
        {
            bool more = request.Follow && alive(); // Before looking: what was written before the end is seen after it.
            next ??= NextAfter(done);
            using FileStream? file = next is null ? null : Open(next);
            if (file is not null)
            {
                file.Position = Math.Min(offset, file.Length);
                done = await CopyFileAsync(file, output, request.Follow && next == _current ? alive : null, cancellation).ConfigureAwait(false);
                if (done == _current)
                    return;
            }
            else if (next is null)
            {
                if (!more)
                    return;
                await output.FlushAsync(cancellation).ConfigureAwait(false);
                await Task.Delay(s_poll, time, cancellation).ConfigureAwait(false);
            }
            (next, offset) = (null, 0);
        }
    }

    private string? NextAfter(string? done)
    {
        foreach (string path in LogFiles.Files(folder, attempt))
            if (done is null || path == _current || string.CompareOrdinal(path, done) > 0)
                return path;
        return null;
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

    /// <summary>Reads on while <paramref name="alive"/> says so and the file is the newest; returns the name that it has in the end.</summary>
    private async Task<string> CopyFileAsync(FileStream file, Stream output, Func<bool>? alive, CancellationToken cancellation)
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent(BlockBytes);
        try
        {
            int held = 0;
            while (_left > 0)
            {
                // Before reading. A rotated file may still be written to until its successor is there.
                bool over = alive is null || !alive() || (NameOf(file) != file.Name && File.Exists(_current));
                int read = await file.ReadAsync(buffer.AsMemory(held, buffer.Length - held), cancellation).ConfigureAwait(false);
                if (read == 0)
                {
                    if (over)
                        break;
                    await output.FlushAsync(cancellation).ConfigureAwait(false);
                    await Task.Delay(s_poll, time, cancellation).ConfigureAwait(false);
                    continue;
                }
                held = await TakeAsync(buffer, held + read, output, cancellation).ConfigureAwait(false);
            }
            return NameOf(file);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>The name that the open file has now: rotation renames it, and the oldest is deleted.</summary>
    private static string NameOf(FileStream file)
    {
        const string Deleted = " (deleted)";
        string name = new FileInfo($"/proc/self/fd/{file.SafeFileHandle.DangerousGetHandle()}").LinkTarget ?? file.Name;
        return name.EndsWith(Deleted, StringComparison.Ordinal) ? name[..^Deleted.Length] : name;
    }

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
            (long offset, long found) = TailStart(file, needed, newest: i == files.Count - 1);
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

    private static (long Offset, long Found) TailStart(FileStream file, long needed, bool newest)
    {
        for (long span = BlockBytes; ; span *= 4)
        {
            long from = Math.Max(0, file.Length - span);
            var starts = new Queue<long>();
            long found = Scan(file, from, needed, starts, newest);
            if (found >= needed)
                return (starts.Dequeue(), found);
            if (from == 0)
                return (0, found);
        }
    }

    /// <summary>Counts whole lines after <paramref name="from"/> and keeps where the last <paramref name="needed"/> begin.</summary>
    private static long Scan(FileStream file, long from, long needed, Queue<long> starts, bool newest)
    {
        file.Position = from;
        var reader = new BufferedStream(file, BlockBytes); // Not disposed: it would close the file, which is scanned again from further back.
        var head = new List<byte>(96);
        long position = from, begin = from, found = 0;
        // In the middle of the file it is not known, before a line's end was seen, whether a record begins one.
        bool skip = from > 0, open = false, begins = from == 0;
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
                if (!partial && begins)
                    Found(lineStart);
                begins |= !partial;
            }
            skip = false;
            begin = position;
            head.Clear();
        }
        if (open && newest && begins)
            Found(lineStart); // The last line is being written, or ended without a newline.
        return Math.Min(found, needed);

        void Found(long at)
        {
            found++;
            starts.Enqueue(at);
            if (starts.Count > needed)
                starts.Dequeue();
        }
    }
}
