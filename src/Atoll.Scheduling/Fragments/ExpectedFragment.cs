namespace Atoll.Scheduling.Fragments;

/// <summary>
/// The expected fragment of a node: free GPU that a task drawn from the typical mix could not use, in thousandths of a GPU
/// (FGD, USENIX ATC '23, section 4).
/// </summary>
public sealed class ExpectedFragment
{
    // Columns of the mix, for the inner loop. Specs without GPUs can use none: their shares are one number.
    private readonly int[] _cpu, _gpus, _milli;
    private readonly ulong[] _models;
    private readonly double[] _share;
    private readonly double _withoutGpu;

    /// <summary>Fragments as this mix sees them.</summary>
    public ExpectedFragment(TypicalMix mix)
    {
        int count = 0;
        foreach (TypicalTask typical in mix.Tasks)
            if (typical.Task.Gpus > 0)
                count++;
            else
                _withoutGpu += typical.Share;
        _cpu = new int[count];
        _gpus = new int[count];
        _milli = new int[count];
        _models = new ulong[count];
        _share = new double[count];
        int i = 0;
        foreach ((GpuTask task, double share) in mix.Tasks)
        {
            if (task.Gpus == 0)
                continue;
            (_cpu[i], _gpus[i], _milli[i], _models[i], _share[i++]) = (task.CpuMilli, task.Gpus, task.GpuMilli, task.Models, share);
        }
    }

    /// <summary>The fragment of a node with these cores and GPU shares left.</summary>
    public double Of(int cpuLeft, ReadOnlySpan<int> gpuLeft, int model)
    {
        int free = 0;
        foreach (int left in gpuLeft)
            free += left;
        if (free == 0)
            return 0;
        double sum = _withoutGpu * free;
        for (int m = 0; m < _cpu.Length; m++)
        {
            int fitting = 0, tooSmall = 0;
            if (_cpu[m] <= cpuLeft && (_models[m] == 0 || (model >= 0 && (_models[m] >> model & 1) != 0)))
                foreach (int left in gpuLeft)
                    if (left >= _milli[m])
                        fitting++;
                    else
                        tooSmall += left;
            sum += _share[m] * (fitting >= _gpus[m] ? tooSmall : free);
        }
        return sum;
    }

    /// <summary>The fragments of all nodes together.</summary>
    public double Of(FleetState state)
    {
        double sum = 0;
        for (int node = 0; node < state.Fleet.Nodes.Length; node++)
            sum += Of(state.CpuLeft[node], state.GpuLeft(node), state.Fleet.Nodes[node].Model);
        return sum;
    }
}
