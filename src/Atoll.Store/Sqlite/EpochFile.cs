using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace Atoll.Store.Sqlite;

/// <summary>
/// The highest epoch that a store at this path ever had, in a small file of its own beside the database: it outlives the
/// database, so that a rebuilt or restored one starts above every revision that was ever given out here. Raised, and on
/// the disk, before the database takes the epoch; never lowered.
/// </summary>
internal static class EpochFile
{
    /// <summary>The epoch is the high 15 bits of a positive 64-bit revision.</summary>
    public const long Highest = 32767;

    private const int MaxBytes = 32;

    // Days are counted from here when the number itself is lost.
    private static readonly DateTimeOffset s_days = new(2020, 1, 1, 0, 0, 0, TimeSpan.Zero);

    /// <summary>The highest epoch; 0 when nothing was noted. Throws <see cref="StoreCorruptException"/> when the file holds no number.</summary>
    public static long Read(string path)
    {
        string file = NameOf(path);
        if (!File.Exists(file))
            return 0;
        using FileStream stream = File.OpenRead(file);
        Span<byte> bytes = stackalloc byte[MaxBytes];
        int read = stream.ReadAtLeast(bytes, MaxBytes, throwOnEndOfStream: false);
        return long.TryParse(bytes[..read].TrimEnd((byte)'\n'), NumberStyles.None, CultureInfo.InvariantCulture, out long epoch) && epoch is > 0 and <= Highest
            ? epoch
            : throw new StoreCorruptException($"{file} does not hold a number: write into it the highest epoch that this store ever had (the incarnation's number in its revisions, revision >> 48), or a greater one");
    }

    /// <summary>The highest epoch; when the file holds no number it is put aside and a number taken that no store reaches by being rebuilt: that of the day.</summary>
    public static long ReadOrPutAside(string path, string aside)
    {
        try
        {
            return Read(path);
        }
        catch (StoreCorruptException)
        {
            File.Move(NameOf(path), NameOf(aside), overwrite: true);
            return Math.Clamp((long)(TimeProvider.System.GetUtcNow() - s_days).TotalDays, 1000, Highest - 1000);
        }
    }

    /// <summary>Notes an epoch when it is higher than the one noted; on the disk when this returns.</summary>
    public static void Raise(string path, long epoch)
    {
        if (epoch > Highest)
            throw new InvalidDataException($"{path} was rebuilt {Highest} times: it cannot have another epoch");
        if (epoch <= Read(path))
            return;
        string file = NameOf(path), next = file + ".new";
        using (var stream = new FileStream(next, FileMode.Create, FileAccess.Write))
        {
            stream.Write(Encoding.ASCII.GetBytes(epoch.ToString(CultureInfo.InvariantCulture) + "\n"));
            stream.Flush(flushToDisk: true);
        }
        File.Move(next, file, overwrite: true);
        SyncFolder(path);
    }

    /// <summary>Makes renames in the folder of a file durable.</summary>
    public static void SyncFolder(string path)
    {
        if (OperatingSystem.IsWindows())
            return; // Its file systems log renames by themselves, and a folder cannot be synced.
        string folder = Path.GetDirectoryName(Path.GetFullPath(path))!;
        int descriptor = OpenFolder([.. Encoding.UTF8.GetBytes(folder), 0], 0);
        if (descriptor < 0)
            throw new IOException($"{folder} cannot be opened to be synced: {Marshal.GetLastPInvokeErrorMessage()}");
        int result = Sync(descriptor);
        string error = Marshal.GetLastPInvokeErrorMessage();
        _ = Close(descriptor);
        if (result != 0)
            throw new IOException($"{folder} cannot be synced: {error}");
    }

    private static string NameOf(string path) => path + ".epoch";

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int OpenFolder(byte[] path, int flags);

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static extern int Sync(int descriptor);

    [DllImport("libc", EntryPoint = "close")]
    private static extern int Close(int descriptor);
}
