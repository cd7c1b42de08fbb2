using System.Runtime;

namespace Atoll.Cloud.Server;

/// <summary>
/// Gives back what start-up and bursts needed. The collector keeps the memory of a burst as long as nothing presses; a centre shares its
/// machine. Only when it is calm and a good part of what is held is not in use: the collection stops the process for two to three
/// seconds for each GiB in use, so it is rare, and not done at all above <see cref="MostLive"/>. Whatever else is to be collected is
/// collected beside the work: a stop for all of a large centre's objects is longer than sites wait for a sign of life.
/// </summary>
internal static class CentreMemory
{
    private const long Worth = 96 << 20, Calm = 64 << 20, News = 512 << 20, MostLive = 3L << 29, Start = 1L << 30;
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(5), s_pause = TimeSpan.FromMinutes(2);
    private static volatile bool s_settled;

    /// <summary>True while it is calm and nothing of a burst is left to give back.</summary>
    public static bool IsSettled => s_settled;

    /// <summary>
    /// Before the store is read: lets the collector begin when a GiB is allocated, or a quarter of the memory that there is. Nearly
    /// all that a start reads stays, and each collection would walk through it while everybody waits. Ended by the first collection.
    /// </summary>
    public static void SpareStart()
    {
        long bytes = Math.Min(Start, GC.GetGCMemoryInfo().TotalAvailableMemoryBytes / 4);
        if (bytes > 0 && GCSettings.LatencyMode != GCLatencyMode.NoGCRegion)
            GC.TryStartNoGCRegion(bytes, bytes / 4);
    }

    public static async Task RunAsync(TimeProvider time, CancellationToken cancellation)
    {
        // What was allocated, in all, at the last look and when it was last found out what is in use; what was held then.
        long before = Allocated, found = 0, held = 0;
        DateTimeOffset next = time.GetUtcNow();
        try
        {
            while (true)
            {
                await Task.Delay(s_look, time, cancellation);
                // The collector's own mode of the start ends by itself, and only then may another be asked for.
                if (GCSettings.LatencyMode == GCLatencyMode.Interactive)
                    GCSettings.LatencyMode = GCLatencyMode.SustainedLowLatency;
                long now = Allocated;
                // Ten thousand idle sites need what is a burst for a few.
                bool calm = now - before < Math.Max(Calm, held / 32);
                before = now;
                // To find out is a collection of everything: not when there can be nothing.
                bool known = held > 0 && now - found < Math.Max(News, held / 4) && !IsWorth(Held - held, held);
                s_settled = calm && known;
                if (!calm || known || time.GetUtcNow() < next)
                    continue;
                // The last collection may be long ago: this one says what is in use, in the background.
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
                await Task.Delay(s_look, time, cancellation);
                GCMemoryInfo memory = GC.GetGCMemoryInfo(GCKind.Any);
                long live = memory.HeapSizeBytes - memory.FragmentedBytes;
                next = time.GetUtcNow() + s_pause;
                if (live < MostLive && IsWorth(memory.TotalCommittedBytes - live, live))
                    GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
                (found, held) = (Allocated, Held);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The centre stops.
        }
    }

    private static long Allocated => GC.GetTotalAllocatedBytes(precise: false);

    private static long Held => GC.GetGCMemoryInfo(GCKind.Any).TotalCommittedBytes;

    private static bool IsWorth(long unused, long used) => unused > Math.Max(Worth, used / 6);
}
