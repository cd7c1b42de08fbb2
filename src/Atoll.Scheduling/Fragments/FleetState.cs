namespace Atoll.Scheduling.Fragments;

/// <summary>
/// What is left of a fleet, in columns. Changes by <see cref="Take"/> and <see cref="Give"/>; every change of a node gives it
/// a new version, so that what a policy has computed for the others stays valid.
/// </summary>
public sealed class FleetState
{
    private readonly int[] _gpuLeft;
    private readonly int _stride;

    /// <summary>All nodes of the fleet empty.</summary>
    public FleetState(GpuFleet fleet)
    {
        Fleet = fleet;
        int count = fleet.Nodes.Length;
        _stride = Math.Max(1, fleet.GpuStride);
        _gpuLeft = new int[count * _stride];
        CpuLeft = new int[count];
        MemoryLeft = new int[count];
        GpuLeftTotal = new int[count];
        Version = new int[count];
        for (int i = 0; i < count; i++)
        {
            GpuNode node = fleet.Nodes[i];
            CpuLeft[i] = node.CpuMilli;
            MemoryLeft[i] = node.MemoryMib;
            GpuLeftTotal[i] = node.Gpus * GpuTask.WholeGpu;
            _gpuLeft.AsSpan(i * _stride, node.Gpus).Fill(GpuTask.WholeGpu);
        }
    }

    /// <summary>The fleet.</summary>
    public GpuFleet Fleet { get; }

    /// <summary>Free thousandths of a core, by node.</summary>
    public int[] CpuLeft { get; }

    /// <summary>Free MiB of memory, by node.</summary>
    public int[] MemoryLeft { get; }

    /// <summary>Free thousandths of a GPU over all GPUs, by node.</summary>
    public int[] GpuLeftTotal { get; }

    /// <summary>Grows with each change of a node.</summary>
    public int[] Version { get; }

    /// <summary>Free thousandths of each GPU of a node.</summary>
    public ReadOnlySpan<int> GpuLeft(int node) => _gpuLeft.AsSpan(node * _stride, Fleet.Nodes[node].Gpus);

    /// <summary>Whether the task fits the node: cores, memory, model and GPUs.</summary>
    public bool Fits(in GpuTask task, int node)
    {
        if (task.CpuMilli > CpuLeft[node] || task.MemoryMib > MemoryLeft[node] || task.GpuTotalMilli > GpuLeftTotal[node])
            return false;
        return (task.Models == 0 || task.Allows(Fleet.Nodes[node].Model)) && FitsGpus(task, GpuLeft(node));
    }

    /// <summary>Whether enough GPUs have what the task asks of each.</summary>
    public static bool FitsGpus(in GpuTask task, ReadOnlySpan<int> left)
    {
        int missing = task.Gpus;
        for (int i = 0; missing > 0 && i < left.Length; i++)
            if (left[i] >= task.GpuMilli)
                missing--;
        return missing <= 0;
    }

    /// <summary>Takes what the task asks; a task of one GPU takes <paramref name="gpu"/>, one of several the first idle ones.</summary>
    /// <returns>The GPUs taken, as bits.</returns>
    public uint Take(in GpuTask task, int node, int gpu)
    {
        uint taken = 0;
        Span<int> left = _gpuLeft.AsSpan(node * _stride, Fleet.Nodes[node].Gpus);
        if (task.Gpus == 1)
            taken = 1u << gpu;
        else
            for (int i = 0, missing = task.Gpus; missing > 0; i++)
                if (left[i] >= task.GpuMilli)
                {
                    taken |= 1u << i;
                    missing--;
                }
        Change(task, node, taken, -1);
        return taken;
    }

    /// <summary>Gives back what a task had taken.</summary>
    public void Give(in GpuTask task, int node, uint gpus) => Change(task, node, gpus, 1);

    private void Change(in GpuTask task, int node, uint gpus, int sign)
    {
        Span<int> left = _gpuLeft.AsSpan(node * _stride, Fleet.Nodes[node].Gpus);
        for (int i = 0; gpus >> i != 0; i++)
        {
            if ((gpus >> i & 1) == 0)
                continue;
            left[i] += sign * task.GpuMilli;
            if (left[i] is < 0 or > GpuTask.WholeGpu)
                throw new InvalidOperationException($"GPU {i} of node '{Fleet.Nodes[node].Name}' would have {left[i]} thousandths left.");
        }
        CpuLeft[node] += sign * task.CpuMilli;
        MemoryLeft[node] += sign * task.MemoryMib;
        GpuLeftTotal[node] += sign * task.GpuTotalMilli;
        if (CpuLeft[node] < 0 || MemoryLeft[node] < 0)
            throw new InvalidOperationException($"Node '{Fleet.Nodes[node].Name}' would be over its capacity.");
        Version[node]++;
    }
}
