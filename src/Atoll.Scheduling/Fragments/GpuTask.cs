namespace Atoll.Scheduling.Fragments;

/// <summary>What a task asks of one node.</summary>
/// <param name="CpuMilli">Thousandths of a core.</param>
/// <param name="MemoryMib">Memory in MiB.</param>
/// <param name="Gpus">GPUs: 0 for none, 1 for one GPU or a share of it, more for that many whole GPUs.</param>
/// <param name="GpuMilli">Thousandths of each GPU: 1000 for whole ones, less only where <paramref name="Gpus"/> is 1, 0 where it is 0.</param>
/// <param name="Models">Allowed GPU models as bits of the fleet's model numbers; 0 allows all.</param>
public readonly record struct GpuTask(int CpuMilli, int MemoryMib, int Gpus, int GpuMilli, ulong Models)
{
    /// <summary>Thousandths of a whole GPU.</summary>
    public const int WholeGpu = 1000;

    /// <summary>The bit of a model that no node of the fleet has.</summary>
    public const ulong AbsentModel = 1UL << GpuFleet.MaxModels;

    /// <summary>All that it asks of GPUs, in thousandths of one.</summary>
    public int GpuTotalMilli => Gpus * GpuMilli;

    /// <summary>Whether it asks for a share of one GPU.</summary>
    public bool IsShare => Gpus == 1 && GpuMilli < WholeGpu;

    /// <summary>Whether a node with this GPU model may run it; a task without GPUs that names no model runs anywhere.</summary>
    public bool Allows(int model) => Models == 0 || (model >= 0 && (Models >> model & 1) != 0);
}
