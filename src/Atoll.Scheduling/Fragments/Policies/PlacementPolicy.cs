namespace Atoll.Scheduling.Fragments.Policies;

/// <summary>Chooses where one task goes, with the state before it and nothing after it. One instance serves one replay.</summary>
public abstract class PlacementPolicy
{
    /// <summary>Its name on the command line and in tables.</summary>
    public abstract string Name { get; }

    /// <summary>Chooses a node that the task fits, and a GPU where it asks for one.</summary>
    /// <param name="shape">Number of the task's spec: tasks with the same number are equal, so what was computed for one holds for all.</param>
    /// <returns>False when the task fits nowhere.</returns>
    public abstract bool TryChoose(FleetState state, int shape, in GpuTask task, out int node, out int gpu);
}

/// <summary>
/// The highest score wins, ties go to the lowest node. A score depends on one node and one spec only, so it is kept until the
/// node changes: a placement costs one comparison a node and one evaluation for each spec that meets the changed node.
/// </summary>
public abstract class ScoredPolicy : PlacementPolicy
{
    private Scores[] _scores = [];

    /// <summary>The score of putting the task onto a node that it fits, and the GPU that a task of one GPU takes.</summary>
    protected abstract double Score(FleetState state, int node, in GpuTask task, out int gpu);

    /// <summary>Called before each choice, for a policy whose scores depend on the whole fleet now and then.</summary>
    protected virtual void Prepare(FleetState state)
    {
    }

    /// <summary>Forgets all kept scores.</summary>
    protected void Forget() => Array.Clear(_scores);

    /// <inheritdoc/>
    public sealed override bool TryChoose(FleetState state, int shape, in GpuTask task, out int node, out int gpu)
    {
        Prepare(state);
        if (shape >= _scores.Length)
            Array.Resize(ref _scores, Math.Max(shape + 1, _scores.Length * 2));
        Scores scores = _scores[shape] ??= new Scores(state.Fleet.Nodes.Length);
        int[] version = state.Version;
        double best = double.NegativeInfinity;
        node = -1;
        for (int i = 0; i < version.Length; i++)
        {
            if (scores.Version[i] != version[i])
                Refresh(scores, state, i, task);
            if (scores.Value[i] > best)
            {
                best = scores.Value[i];
                node = i;
            }
        }
        gpu = node < 0 ? -1 : scores.Gpu[node];
        return node >= 0;
    }

    private void Refresh(Scores scores, FleetState state, int node, in GpuTask task)
    {
        int gpu = -1;
        scores.Value[node] = state.Fits(task, node) ? Score(state, node, task, out gpu) : double.NegativeInfinity;
        scores.Gpu[node] = (sbyte)gpu;
        scores.Version[node] = state.Version[node];
    }

    /// <summary>The GPU with the least left that the task fits; the first of them.</summary>
    protected static int TightestGpu(in GpuTask task, ReadOnlySpan<int> left)
    {
        int best = -1;
        if (task.Gpus == 1)
            for (int i = 0; i < left.Length; i++)
                if (left[i] >= task.GpuMilli && (best < 0 || left[i] < left[best]))
                    best = i;
        return best;
    }

    private sealed class Scores
    {
        public readonly int[] Version;
        public readonly double[] Value;
        public readonly sbyte[] Gpu;

        public Scores(int nodes)
        {
            Version = new int[nodes];
            Array.Fill(Version, -1);
            Value = new double[nodes];
            Gpu = new sbyte[nodes];
        }
    }
}
