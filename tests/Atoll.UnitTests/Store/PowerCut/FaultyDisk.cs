namespace Atoll.UnitTests.Store.PowerCut;

/// <summary>How much of what was written and not synced is on the platter after a power cut.</summary>
public enum Survival
{
    /// <summary>Nothing: the disk's cache is gone.</summary>
    None,

    /// <summary>Everything: the disk was quick.</summary>
    All,

    /// <summary>Any of its sectors, in any order: pages are torn, and later writes are there without earlier ones.</summary>
    Some,
}

/// <summary>
/// What is known of the files of one folder that SQLite writes through <see cref="FaultyVfs"/>: each write that no sync has
/// covered yet, with what was there before. From it follows what a disk holds after the power was cut.
/// </summary>
internal sealed class FaultyDisk(string folder)
{
    private const int SectorBytes = 512;

    private readonly Dictionary<string, List<Change>> _unsynced = new(StringComparer.Ordinal);
    private long _callsLeft = long.MaxValue;

    public string Folder { get; } = folder;

    /// <summary>True when the power is gone: every further write and sync fails.</summary>
    public bool IsOff { get; private set; }

    /// <summary>How many calls that change a file there were.</summary>
    public long Calls { get; private set; }

    /// <summary>Cuts the power at the so manyth call from now on that writes or syncs.</summary>
    public void CutAfter(long calls)
    {
        lock (_unsynced)
            _callsLeft = calls;
    }

    /// <summary>Cuts the power now.</summary>
    public void Cut()
    {
        lock (_unsynced)
            IsOff = true;
    }

    /// <summary>Carries a call out unless the power is gone; all calls of a disk come one by one.</summary>
    public int Do(Func<int> call)
    {
        const int inputOutputError = 10;
        lock (_unsynced)
        {
            if (IsOff || _callsLeft-- <= 0)
                IsOff = true;
            if (IsOff)
                return inputOutputError;
            Calls++;
            return call();
        }
    }

    /// <summary>A write or truncation is about to happen; called within <see cref="Do"/>.</summary>
    public void Note(string path, Change change)
    {
        if (!_unsynced.TryGetValue(path, out List<Change>? changes))
            _unsynced[path] = changes = [];
        changes.Add(change);
    }

    /// <summary>The file is on the platter; called within <see cref="Do"/>.</summary>
    public void Synced(string path) => _unsynced.Remove(path);

    /// <summary>Writes what the disk holds after the cut into another folder.</summary>
    public void Restore(string target, Survival survival, Random random)
    {
        lock (_unsynced)
        {
            Assert.True(IsOff);
            foreach (string path in Directory.GetFiles(Folder))
            {
                // Shared memory is no file on a disk; the lock is whoever's that opens next.
                if (path.EndsWith("-shm", StringComparison.Ordinal) || path.EndsWith(".lock", StringComparison.Ordinal))
                    continue;
                File.WriteAllBytes(Path.Combine(target, Path.GetFileName(path)), After(File.ReadAllBytes(path), _unsynced.GetValueOrDefault(path) ?? [], survival, random));
            }
        }
    }

    private static byte[] After(byte[] now, List<Change> changes, Survival survival, Random random)
    {
        if (survival == Survival.All)
            return now;
        var content = new List<byte>(now);
        for (int i = changes.Count - 1; i >= 0; i--)
        {
            Change change = changes[i];
            Put(content, change.Offset, change.Before);
            Resize(content, change.SizeBefore);
        }
        if (survival == Survival.Some)
            foreach (Change change in changes)
            {
                if (change.After is null)
                {
                    if (random.Next(2) == 0)
                        Resize(content, change.Offset);
                    continue;
                }
                for (int at = 0; at < change.After.Length;)
                {
                    int length = (int)Math.Min(SectorBytes - ((change.Offset + at) % SectorBytes), change.After.Length - at);
                    if (random.Next(2) == 0)
                        Put(content, change.Offset + at, change.After.AsSpan(at, length));
                    at += length;
                }
            }
        return [.. content];
    }

    private static void Put(List<byte> content, long offset, ReadOnlySpan<byte> bytes)
    {
        if (content.Count < offset + bytes.Length)
            Resize(content, offset + bytes.Length);
        for (int i = 0; i < bytes.Length; i++)
            content[(int)offset + i] = bytes[i];
    }

    private static void Resize(List<byte> content, long size)
    {
        if (content.Count > size)
            content.RemoveRange((int)size, content.Count - (int)size);
        else
            content.AddRange(new byte[size - content.Count]);
    }

    /// <summary>One write at an offset, or (nothing after) a truncation to that size.</summary>
    /// <param name="Offset">Where.</param>
    /// <param name="Before">What was there, as far as the file reached.</param>
    /// <param name="After">What is written; null for a truncation.</param>
    /// <param name="SizeBefore">Size of the file before.</param>
    internal sealed record Change(long Offset, byte[] Before, byte[]? After, long SizeBefore);
}
