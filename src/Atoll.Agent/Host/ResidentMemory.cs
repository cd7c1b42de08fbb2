using System.Globalization;
using System.Runtime.InteropServices;

namespace Atoll.Agent.Host;

/// <summary>
/// Keeps the agent small while it has little to do. What start-up and bursts needed is given back to the system once a minute, and
/// within seconds when much is resident, if anything was allocated since: the collector's empty regions, the C library's free pages, and program text that is in the
/// page cache anyway and was mapped only because it ran once. Measured in docs/benchmarks/edge.md.
/// </summary>
internal static partial class ResidentMemory
{
    private const int ArenaMax = -8, TrimThreshold = -1, DontNeed = 4;
    private const long WorthIt = 1 << 20;
    private const long TooMuch = 36 << 20;
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(5), s_period = TimeSpan.FromSeconds(60);

    /// <summary>
    /// Called before any thread is started: SQLite and OpenSSL share one arena of the C library, instead of one for each thread that
    /// ever called them; nothing in the agent allocates natively often enough for that to be felt.
    /// </summary>
    public static void Prepare()
    {
        try
        {
            _ = MallOpt(ArenaMax, 1);
            _ = MallOpt(TrimThreshold, 128 << 10);
        }
        catch (EntryPointNotFoundException)
        {
            // Another C library (musl): it has no arenas.
        }
    }

    /// <summary>Gives back from time to time until cancelled.</summary>
    public static async Task RunAsync(TimeProvider time, CancellationToken cancellation)
    {
        long last = long.MinValue / 2;
        long lastAt = time.GetTimestamp();
        while (true)
        {
            await Task.Delay(s_look, time, cancellation);
            if (time.GetElapsedTime(lastAt) < s_period && Environment.WorkingSet < TooMuch)
                continue;
            long allocated = GC.GetTotalAllocatedBytes(precise: false);
            if (allocated - last < WorthIt)
                continue;
            (last, lastAt) = (allocated, time.GetTimestamp());
            GiveBack();
        }
    }

    private static void GiveBack()
    {
        // A heap of a few MiB: this takes milliseconds.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        try
        {
            _ = MallocTrim(0);
        }
        catch (EntryPointNotFoundException)
        {
            // musl gives back by itself.
        }
        if (OperatingSystem.IsLinux())
            ForgetText();
    }

    // Pages of a read-only private mapping of a file without any page of its own are the page cache's: to drop them is only to
    // forget where they are. Mappings that hold relocated data have anonymous pages and are left alone.
    private static void ForgetText()
    {
        nint start = 0, end = 0;
        bool candidate = false;
        foreach (string line in File.ReadLines("/proc/self/smaps"))
        {
            ReadOnlySpan<char> text = line;
            if (char.IsAsciiHexDigitLower(text[0]) && text.IndexOf('-') is > 0 and var dash)
            {
                int space = text.IndexOf(' ');
                candidate = nint.TryParse(text[..dash], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out start)
                    & nint.TryParse(text[(dash + 1)..space], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out end)
                    && text[space + 1] == 'r' && text[space + 2] == '-' && text[space + 4] == 'p' && text.Contains('/');
            }
            else if (candidate && text.StartsWith("Anonymous:"))
            {
                candidate = false;
                if (text.TrimEnd().EndsWith(" 0 kB"))
                    _ = Advise(start, (nuint)(end - start), DontNeed);
            }
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int MallOpt(int parameter, int value);

    [LibraryImport("libc", EntryPoint = "malloc_trim")]
    private static partial int MallocTrim(nuint pad);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    private static partial int Advise(nint address, nuint length, int advice);
}
