namespace Atoll.Cloud.Server;

/// <summary>
/// Gives back what start-up and bursts needed. The collector keeps the memory of a burst as long as nothing presses; a centre shares its
/// machine. Only when it is calm and a good part of what is held is not in use: the collection stops the process for about half a
/// second for each GiB in use, so it is rare, and not done at all above <see cref="MostLive"/>.
/// </summary>
internal static class CentreMemory
{
    private const long Worth = 96 << 20, Calm = 64 << 20, MostLive = 3L << 30;
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(5), s_pause = TimeSpan.FromMinutes(2);

    public static async Task RunAsync(TimeProvider time, CancellationToken cancellation)
    {
        long before = GC.GetTotalAllocatedBytes(precise: false);
        DateTimeOffset next = time.GetUtcNow();
        try
        {
            while (true)
            {
                await Task.Delay(s_look, time, cancellation);
                long now = GC.GetTotalAllocatedBytes(precise: false);
                bool calm = now - before < Calm;
                before = now;
                if (!calm || time.GetUtcNow() < next)
                    continue;
                // The last collection may be long ago: this one says what is in use, in the background.
                GC.Collect(GC.MaxGeneration, GCCollectionMode.Forced, blocking: false);
                await Task.Delay(s_look, time, cancellation);
                GCMemoryInfo memory = GC.GetGCMemoryInfo(GCKind.Any);
                long live = memory.HeapSizeBytes - memory.FragmentedBytes;
                next = time.GetUtcNow() + s_pause;
                if (live < MostLive && memory.TotalCommittedBytes - live > Math.Max(Worth, live / 6))
                    GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The centre stops.
        }
    }
}
