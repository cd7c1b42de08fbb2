using Atoll.Scheduling.Fragments.Policies;

namespace Atoll.Scheduling.Fragments;

/// <summary>One point of a replay's curves. All are shares of the fleet's GPUs, in percent.</summary>
/// <param name="Demand">GPUs asked for so far.</param>
/// <param name="Allocated">GPUs allocated so far.</param>
/// <param name="Fragment">Expected fragment of what is free.</param>
/// <param name="Dropped">Tasks that fitted nowhere so far.</param>
public readonly record struct ReplayPoint(double Demand, double Allocated, double Fragment, int Dropped);

/// <summary>
/// Tasks arrive one at a time and stay; one that fits nowhere is dropped. The method of the published comparison (USENIX ATC
/// '23, section 6): the trace sorted by name and shuffled, then uniformly drawn copies of its tasks until the demand is reached.
/// </summary>
public sealed class Replay
{
    private readonly GpuFleet _fleet;
    private readonly int[] _arrivals;
    private readonly GpuTask[] _shapes;
    private readonly ExpectedFragment _fragment;

    /// <summary>The arrivals of one seed.</summary>
    /// <param name="fleet">The nodes; each seed puts them into its own order.</param>
    /// <param name="tasks">The trace, in the order of its names.</param>
    /// <param name="mix">The typical workload, for the curve of fragments.</param>
    /// <param name="demand">GPUs asked for in all, as a share of the fleet's (1.3 = 130 %).</param>
    /// <param name="seed">Decides the order of tasks and nodes, and the copies.</param>
    public Replay(GpuFleet fleet, IReadOnlyList<GpuTask> tasks, TypicalMix mix, double demand, ulong seed)
    {
        var random = new SeededRandom(seed);
        _fleet = fleet.Shuffled(random);
        _fragment = new ExpectedFragment(mix);
        var numbers = new Dictionary<GpuTask, int>();
        int[] original = new int[tasks.Count];
        for (int i = 0; i < original.Length; i++)
        {
            if (!numbers.TryGetValue(tasks[i], out int number))
                numbers.Add(tasks[i], number = numbers.Count);
            original[i] = number;
        }
        _shapes = new GpuTask[numbers.Count];
        foreach ((GpuTask task, int number) in numbers)
            _shapes[number] = task;
        random.Shuffle<int>(original);
        _arrivals = Extend(original, demand * fleet.Gpus * GpuTask.WholeGpu, random);
    }

    /// <summary>The nodes in this seed's order.</summary>
    public GpuFleet Fleet => _fleet;

    /// <summary>Tasks that arrive.</summary>
    public int Arrivals => _arrivals.Length;

    // Up to the first task that would exceed the demand. A trace without GPUs has no demand to reach: it is taken as it is.
    private int[] Extend(int[] original, double limit, SeededRandom random)
    {
        var arrivals = new List<int>(original.Length);
        bool any = false;
        foreach (int shape in original)
            any |= _shapes[shape].Gpus > 0;
        double asked = 0;
        while (arrivals.Count < original.Length || any)
        {
            int shape = arrivals.Count < original.Length ? original[arrivals.Count] : original[random.Next(original.Length)];
            if (asked + _shapes[shape].GpuTotalMilli > limit)
                break;
            asked += _shapes[shape].GpuTotalMilli;
            arrivals.Add(shape);
        }
        return [.. arrivals];
    }

    /// <summary>Replays all arrivals.</summary>
    /// <param name="policy">A policy that has placed nothing yet.</param>
    /// <param name="points">Where the curves go, about one point a percent of demand; null to leave them out.</param>
    /// <returns>The state at the end, and what became of the tasks.</returns>
    public ReplayResult Run(PlacementPolicy policy, List<ReplayPoint>? points = null)
    {
        var state = new FleetState(_fleet);
        double percent = _fleet.Gpus * GpuTask.WholeGpu / 100.0;
        long asked = 0, allocated = 0;
        int dropped = 0;
        double next = 0;
        for (int i = 0; i < _arrivals.Length; i++)
        {
            GpuTask task = _shapes[_arrivals[i]];
            asked += task.GpuTotalMilli;
            if (policy.TryChoose(state, _arrivals[i], task, out int node, out int gpu))
            {
                state.Take(task, node, gpu);
                allocated += task.GpuTotalMilli;
            }
            else
                dropped++;
            if (points is not null && (asked >= next || i == _arrivals.Length - 1))
            {
                points.Add(new ReplayPoint(asked / percent, allocated / percent, _fragment.Of(state) / percent, dropped));
                next = asked + percent;
            }
        }
        return new ReplayResult(state, percent > 0 ? allocated / percent : 0, _arrivals.Length - dropped, dropped);
    }
}

/// <summary>How a replay ended.</summary>
/// <param name="State">What is left of the fleet.</param>
/// <param name="AllocatedPercent">GPUs allocated, in percent of the fleet's.</param>
/// <param name="Placed">Tasks placed.</param>
/// <param name="Dropped">Tasks that fitted nowhere.</param>
public sealed record ReplayResult(FleetState State, double AllocatedPercent, int Placed, int Dropped);
