namespace Atoll.Scheduling.Offline;

/// <summary>Free cores of NUMA nodes that cannot be sold in blocks of one size.</summary>
/// <param name="FreeCores">All free cores.</param>
/// <param name="Blocks">Blocks that can be sold: each lies in one NUMA node.</param>
/// <param name="BlockCores">Cores of a block.</param>
public readonly record struct FragmentRate(long FreeCores, long Blocks, int BlockCores)
{
    /// <summary>Unsaleable free cores divided by free cores; 0 where nothing is free.</summary>
    public double Value => FreeCores == 0 ? 0 : (double)(FreeCores - Blocks * BlockCores) / FreeCores;

    /// <summary>The rate of these NUMA nodes.</summary>
    public static FragmentRate Of(ReadOnlySpan<int> freeCores, int blockCores)
    {
        long free = 0, blocks = 0;
        foreach (int cores in freeCores)
        {
            free += cores;
            blocks += cores / blockCores;
        }
        return new FragmentRate(free, blocks, blockCores);
    }
}
