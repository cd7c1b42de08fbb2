namespace Atoll.Scheduling.Fragments.Policies;

/// <summary>Any node that fits, drawn uniformly, and any of its GPUs that fits.</summary>
public sealed class RandomPolicy(SeededRandom random) : PlacementPolicy
{
    /// <inheritdoc/>
    public override string Name => "Random";

    /// <inheritdoc/>
    public override bool TryChoose(FleetState state, int shape, in GpuTask task, out int node, out int gpu)
    {
        node = gpu = -1;
        int fitting = 0;
        for (int i = 0; i < state.Version.Length; i++)
            if (state.Fits(task, i) && random.Next(++fitting) == 0)
                node = i;
        if (node < 0)
            return false;
        ReadOnlySpan<int> left = state.GpuLeft(node);
        fitting = 0;
        if (task.Gpus == 1)
            for (int i = 0; i < left.Length; i++)
                if (left[i] >= task.GpuMilli && random.Next(++fitting) == 0)
                    gpu = i;
        return true;
    }
}

/// <summary>The node that has the least left after it, cores and GPUs weighing the same.</summary>
public sealed class BestFitPolicy(GpuFleet fleet) : ScoredPolicy
{
    private readonly double _cpu = fleet.LargestCpuMilli, _gpu = Math.Max(1, fleet.GpuStride) * GpuTask.WholeGpu;

    /// <inheritdoc/>
    public override string Name => "BestFit";

    /// <inheritdoc/>
    // The published score is then stretched over the candidates' range; that keeps its order, so it is left out.
    protected override double Score(FleetState state, int node, in GpuTask task, out int gpu)
    {
        gpu = TightestGpu(task, state.GpuLeft(node));
        double cpu = (state.CpuLeft[node] - task.CpuMilli) / _cpu, gpus = (state.GpuLeftTotal[node] - task.GpuTotalMilli) / _gpu;
        return Math.Truncate(100 * (1 - 0.5 * cpu - 0.5 * gpus));
    }
}

/// <summary>The node whose free capacity points least along the task's request (the published form, lower product wins).</summary>
public sealed class DotProductPolicy(GpuFleet fleet) : ScoredPolicy
{
    private readonly double _cpu = fleet.LargestCpuMilli, _gpu = Math.Max(1, fleet.GpuStride) * GpuTask.WholeGpu;

    /// <inheritdoc/>
    public override string Name => "DotProd";

    /// <inheritdoc/>
    protected override double Score(FleetState state, int node, in GpuTask task, out int gpu)
    {
        gpu = TightestGpu(task, state.GpuLeft(node));
        double cpu = state.CpuLeft[node] / _cpu * (task.CpuMilli / _cpu), gpus = state.GpuLeftTotal[node] / _gpu * (task.GpuTotalMilli / _gpu);
        return Math.Truncate(100 * (1 - (cpu + gpus) / 2));
    }
}

/// <summary>Fragmentation Gradient Descent (USENIX ATC '23): where the expected fragment grows least.</summary>
public sealed class FgdPolicy(TypicalMix mix) : ScoredPolicy
{
    private readonly ExpectedFragment _fragment = new(mix);
    private readonly int[] _after = new int[GpuFleet.MaxGpusPerNode];

    /// <inheritdoc/>
    public override string Name => "FGD";

    /// <inheritdoc/>
    protected override double Score(FleetState state, int node, in GpuTask task, out int gpu)
    {
        ReadOnlySpan<int> left = state.GpuLeft(node);
        int model = state.Fleet.Nodes[node].Model, cpu = state.CpuLeft[node] - task.CpuMilli;
        double before = _fragment.Of(state.CpuLeft[node], left, model), best = double.NegativeInfinity;
        Span<int> after = _after.AsSpan(0, left.Length);
        left.CopyTo(after);
        gpu = -1;
        if (task.Gpus != 1)
        {
            for (int i = 0, missing = task.Gpus; missing > 0; i++)
                if (after[i] >= task.GpuMilli)
                {
                    after[i] -= task.GpuMilli;
                    missing--;
                }
            return Published(before - _fragment.Of(cpu, after, model));
        }
        for (int i = 0; i < left.Length; i++)
        {
            if (left[i] < task.GpuMilli)
                continue;
            after[i] -= task.GpuMilli;
            double score = before - _fragment.Of(cpu, after, model);
            after[i] = left[i];
            if (score > best)
                (best, gpu) = (score, i);
        }
        return Published(best);
    }

    // An integer of 0..100: the rounding makes the ties that keep untouched nodes untouched.
    private static double Published(double gain) => Math.Truncate(100 / (1 + Math.Exp(-gain / GpuTask.WholeGpu)));
}
