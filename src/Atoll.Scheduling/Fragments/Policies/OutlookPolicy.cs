namespace Atoll.Scheduling.Fragments.Policies;

/// <summary>
/// Atoll's own policy: where the node's outlook suffers least. The outlook of a node is the GPU that tasks drawn from the
/// typical mix would still get out of it if they kept arriving (<see cref="NodeOutlook"/>). FGD asks of each typical task alone
/// whether it could still start; the outlook asks how far the node would be filled, so it also sees GPUs that the cores left
/// cannot feed, shares that complement each other, and whole nodes that tasks of many GPUs need.
/// The decision and what was tried are in docs/decisions/0007-placement-by-outlook.md.
/// </summary>
public sealed class OutlookPolicy(TypicalMix mix) : ScoredPolicy
{
    // Differences below a fiftieth of a GPU are noise of the drawn sequences; the lowest node wins such ties.
    private const double Grain = 20;

    private readonly NodeOutlook _outlook = new(mix);
    private readonly int[] _after = new int[GpuFleet.MaxGpusPerNode];

    /// <inheritdoc/>
    public override string Name => "Outlook";

    /// <inheritdoc/>
    protected override double Score(FleetState state, int node, in GpuTask task, out int gpu)
    {
        ReadOnlySpan<int> left = state.GpuLeft(node);
        GpuNode kind = state.Fleet.Nodes[node];
        int cpu = state.CpuLeft[node] - task.CpuMilli;
        double before = _outlook.Of(state.CpuLeft[node], left, kind.Model), best = double.NegativeInfinity;
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
            best = _outlook.Of(cpu, after, kind.Model);
        }
        for (int i = 0; task.Gpus == 1 && i < left.Length; i++)
        {
            // GPUs with the same share left are the same choice.
            if (left[i] < task.GpuMilli || left[..i].Contains(left[i]))
                continue;
            after[i] -= task.GpuMilli;
            double value = _outlook.Of(cpu, after, kind.Model);
            after[i] = left[i];
            if (value > best)
                (best, gpu) = (value, i);
        }
        return Math.Floor((best - before) / Grain + 1e-9);
    }
}
