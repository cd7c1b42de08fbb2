using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Fragments.Policies;

namespace Atoll.UnitTests.Scheduling.Fragments;

/// <summary>The published method: the fragment measure, the policies, the replay.</summary>
public sealed class ReplayTests
{
    private static readonly GpuTask Half = new(4000, 1, 1, 500, 0), Whole = new(8000, 1, 1, 1000, 0), Pair = new(8000, 1, 2, 1000, 0), CpuOnly = new(8000, 1, 0, 0, 0);

    [Fact]
    public void The_mix_is_the_most_popular_specs_up_to_the_coverage_whatever_their_memory()
    {
        var tasks = new List<GpuTask>();
        for (int i = 0; i < 100; i++)
            tasks.Add((i < 60 ? Half : i < 96 ? Whole : Pair) with { MemoryMib = i });
        TypicalMix mix = TypicalMix.Of(tasks);
        Assert.Equal(2, mix.Tasks.Length);
        Assert.Equal(new TypicalTask(Half with { MemoryMib = 0 }, 60 / 96.0), mix.Tasks[0]);
        Assert.Equal(36 / 96.0, mix.Tasks[1].Share, 12);
        Assert.Equal(3, TypicalMix.Of(tasks, 1).Tasks.Length);
    }

    [Fact]
    public void The_expected_fragment_counts_what_each_typical_task_cannot_use()
    {
        // A quarter each: half a GPU, a whole one, two of them, none.
        var fragment = new ExpectedFragment(TypicalMix.Of([Half, Whole, Pair, CpuOnly], 1));
        // Half: 300 too small. Whole: 300 + 600 too small. Pair: only one whole GPU, so nothing of 1900. CPU only: nothing.
        Assert.Equal((300 + 900 + 1900 + 1900) / 4.0, fragment.Of(64_000, [300, 600, 1000], 0), 9);
        // Too few cores for anything but the half.
        Assert.Equal((300 + 1900 + 1900 + 1900) / 4.0, fragment.Of(4_000, [300, 600, 1000], 0), 9);
        Assert.Equal(0, fragment.Of(4_000, [0, 0], 0));
        var constrained = new ExpectedFragment(TypicalMix.Of([Half with { Models = 2 }], 1));
        Assert.Equal((700, 0), (constrained.Of(64_000, [700], 0), constrained.Of(64_000, [700], 1)));
    }

    [Fact]
    public void Fgd_keeps_whole_gpus_whole_and_best_fit_does_not_see_them()
    {
        // One node has half a GPU left, the other a whole one; a half arrives, wholes are typical.
        GpuFleet fleet = Fleet((64_000, 1), (64_000, 1));
        var state = new FleetState(fleet);
        state.Take(Half, 1, 0);
        var mix = TypicalMix.Of([Half, Whole], 1);
        Assert.True(new FgdPolicy(mix).TryChoose(state, 0, Half, out int node, out int gpu));
        Assert.Equal((1, 0), (node, gpu));
        state.Take(Half, 1, 0);
        Assert.True(new FgdPolicy(mix).TryChoose(state, 0, Half, out node, out _));
        Assert.Equal(0, node);
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void Every_policy_places_whatever_fits_and_never_more(string name)
    {
        for (ulong seed = 1; seed <= 20; seed++)
        {
            (GpuFleet fleet, List<GpuTask> tasks) = SmallTrace.Draw(seed);
            var mix = TypicalMix.Of(tasks);
            var replay = new Replay(fleet, tasks, mix, 1.5, seed);
            var watched = new Watched(Make(name, replay.Fleet, mix, seed));
            ReplayResult result = replay.Run(watched);
            Assert.Equal(replay.Arrivals, result.Placed + result.Dropped);
            Assert.True(result.Dropped > 0, "The demand is beyond the capacity, so something must be dropped.");
            Assert.Equal(result.AllocatedPercent, watched.Milli / (fleet.Gpus * 10.0), 9);
        }
    }

    [Theory]
    [MemberData(nameof(Policies))]
    public void The_same_seed_gives_the_same_replay(string name)
    {
        (GpuFleet fleet, List<GpuTask> tasks) = SmallTrace.Draw(7);
        var mix = TypicalMix.Of(tasks);
        List<ReplayPoint> first = [], second = [];
        foreach (List<ReplayPoint> points in new[] { first, second })
        {
            var replay = new Replay(fleet, tasks, mix, 1.3, 42);
            replay.Run(Make(name, replay.Fleet, mix, 42), points);
        }
        Assert.Equal(first, second);
        Assert.True(first[^1].Demand is > 120 and <= 130);
    }

    [Fact]
    public void A_replay_stops_before_the_task_that_would_exceed_the_demand()
    {
        GpuFleet fleet = Fleet((64_000, 2));
        var replay = new Replay(fleet, [Half], TypicalMix.Of([Half]), 1.3, 1);
        Assert.Equal(5, replay.Arrivals);
        ReplayResult result = replay.Run(new BestFitPolicy(fleet));
        Assert.Equal((4, 1, 100.0), (result.Placed, result.Dropped, result.AllocatedPercent));
        Assert.Equal(1, new Replay(fleet, [CpuOnly], TypicalMix.Of([CpuOnly]), 1.3, 1).Arrivals);
    }

    [Fact]
    public void The_outlook_of_a_node_is_what_tasks_would_still_take()
    {
        var outlook = new NodeOutlook(TypicalMix.Of([Half], 1));
        Assert.Equal(0, outlook.Of(64_000, [0, 0], 0));
        // Halves fill two GPUs; 700 hold one of them; cores for three halves only; no cores, nothing.
        Assert.Equal((2000, 500, 1500, 0), (outlook.Of(64_000, [1000, 1000], 0), outlook.Of(64_000, [700], 0), outlook.Of(12_000, [1000, 1000], 0), outlook.Of(3_999, [1000], 0)));
        Assert.Equal(outlook.Of(64_000, [300, 1000, 600], 0), outlook.Of(64_000, [1000, 600, 300], 0));
        Assert.Equal(0, new NodeOutlook(TypicalMix.Of([Half with { Models = 2 }], 1)).Of(64_000, [1000], 0));
    }

    [Fact]
    public void Outlook_allocates_more_than_the_published_policies_on_drawn_clusters()
    {
        double ours = 0, fgd = 0, bestFit = 0;
        for (ulong seed = 1; seed <= 6; seed++)
        {
            (GpuFleet fleet, List<GpuTask> tasks) = SmallTrace.Draw(seed, nodes: 60, tasks: 400);
            var mix = TypicalMix.Of(tasks);
            var replay = new Replay(fleet, tasks, mix, 1.3, seed);
            ours += replay.Run(new OutlookPolicy(mix)).AllocatedPercent;
            fgd += replay.Run(new FgdPolicy(mix)).AllocatedPercent;
            bestFit += replay.Run(new BestFitPolicy(replay.Fleet)).AllocatedPercent;
        }
        Assert.True(ours > fgd && ours > bestFit, $"Outlook {ours / 6:F2}, FGD {fgd / 6:F2}, BestFit {bestFit / 6:F2}");
    }

    [Fact]
    public void Scores_that_were_kept_equal_scores_computed_afresh()
    {
        (GpuFleet fleet, List<GpuTask> tasks) = SmallTrace.Draw(3);
        var mix = TypicalMix.Of(tasks);
        var state = new FleetState(fleet);
        var kept = new FgdPolicy(mix);
        foreach (GpuTask task in tasks)
        {
            bool one = kept.TryChoose(state, tasks.IndexOf(task), task, out int node, out int gpu);
            bool two = new FgdPolicy(mix).TryChoose(state, 0, task, out int freshNode, out int freshGpu);
            Assert.Equal((two, freshNode, freshGpu), (one, node, gpu));
            if (one)
                state.Take(task, node, gpu);
        }
    }

    public static TheoryData<string> Policies => ["Random", "BestFit", "DotProd", "FGD", "Outlook"];

    private static PlacementPolicy Make(string name, GpuFleet fleet, TypicalMix mix, ulong seed) => name switch
    {
        "Random" => new RandomPolicy(new SeededRandom(seed)),
        "BestFit" => new BestFitPolicy(fleet),
        "DotProd" => new DotProductPolicy(fleet),
        "FGD" => new FgdPolicy(mix),
        _ => new OutlookPolicy(mix),
    };

    private static GpuFleet Fleet(params (int Cpu, int Gpus)[] nodes)
    {
        var list = new List<GpuNode>();
        foreach ((int cpu, int gpus) in nodes)
            list.Add(new GpuNode($"n-{list.Count}", cpu, 1 << 20, gpus, 0));
        return new GpuFleet([.. list], ["T4"]);
    }

    /// <summary>Looks at every choice: legal, and a refusal only where nothing fits. The state throws if a node goes over.</summary>
    private sealed class Watched(PlacementPolicy inner) : PlacementPolicy
    {
        public long Milli { get; private set; }

        public override string Name => inner.Name;

        public override bool TryChoose(FleetState state, int shape, in GpuTask task, out int node, out int gpu)
        {
            bool chosen = inner.TryChoose(state, shape, task, out node, out gpu);
            bool any = false;
            for (int i = 0; i < state.Fleet.Nodes.Length; i++)
                any |= state.Fits(task, i);
            Assert.Equal(any, chosen);
            if (chosen)
            {
                Assert.True(state.Fits(task, node));
                Assert.True(task.Gpus != 1 || state.GpuLeft(node)[gpu] >= task.GpuMilli);
                Milli += task.GpuTotalMilli;
            }
            return chosen;
        }
    }
}
