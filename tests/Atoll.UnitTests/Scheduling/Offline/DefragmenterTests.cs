using System.Collections.Immutable;
using Atoll.Scheduling.Offline;

namespace Atoll.UnitTests.Scheduling.Offline;

/// <summary>Plans to defragment: legal in their order, close to the bound, as good as trying everything where that is possible.</summary>
public sealed class DefragmenterTests
{
    [Theory]
    [InlineData(1, 40, 5)]
    [InlineData(2, 40, 20)]
    [InlineData(3, 80, 15)]
    [InlineData(4, 80, 60)]
    public void A_plan_is_legal_step_by_step_and_never_above_its_bound(ulong seed, int hosts, int moves)
    {
        VmFleet fleet = SmallVmFleet.Draw(seed, hosts);
        var goal = new DefragmentationGoal(16, moves, Seconds: 60, Effort: 2000);
        DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
        (FragmentRate rate, string? fault) = MovePlanChecker.Check(fleet, result.Moves, goal);
        Assert.Null(fault);
        Assert.Equal(result.After, rate);
        Assert.True(result.After.Blocks > result.Before.Blocks, "A nearly full fleet has blocks to win.");
        Assert.InRange(result.After.Blocks, result.Bound * 0.8, result.Bound);
    }

    [Fact]
    public void The_same_snapshot_and_goal_give_the_same_plan()
    {
        VmFleet fleet = SmallVmFleet.Draw(9, 30);
        // A clock that stands still: only the steps of the search count.
        var goal = new DefragmentationGoal(16, 12, Effort: 1000);
        var time = new Microsoft.Extensions.Time.Testing.FakeTimeProvider();
        Assert.Equal(Defragmenter.Plan(fleet, goal, time).Moves, Defragmenter.Plan(fleet, goal, time).Moves);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    [InlineData(6)]
    public void Two_moves_on_a_tiny_fleet_are_as_good_as_trying_all_pairs(ulong seed)
    {
        VmFleet fleet = SmallVmFleet.Draw(seed, 4, cores: 20);
        var goal = new DefragmentationGoal(8, 2);
        DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
        Assert.Null(MovePlanChecker.Check(fleet, result.Moves, goal).Fault);
        Assert.InRange(result.After.Blocks, BestOf(fleet, goal, 2) - 1, BestOf(fleet, goal, 2));
        Assert.True(result.Bound >= BestOf(fleet, goal, 2));
    }

    [Fact]
    public void Machines_that_must_stay_stay_and_missing_memory_is_seen()
    {
        VmFleet fleet = SmallVmFleet.Draw(5, 30);
        VmFleet pinned = fleet with { Vms = [.. fleet.Vms.Select(v => v with { Movable = false })] };
        Assert.Empty(Defragmenter.Plan(pinned, new DefragmentationGoal(16, 10), TimeProvider.System).Moves);
        // Memory for the machines that are there and nothing more: nothing can be taken in anywhere.
        static NumaNode Full(NumaNode node) => node with { FreeMemoryMb = 0 };
        VmFleet full = fleet with { Hosts = [.. fleet.Hosts.Select(h => h with { First = Full(h.First), Second = Full(h.Second) })] };
        var goal = new DefragmentationGoal(16, 10);
        Assert.Null(MovePlanChecker.Check(full, Defragmenter.Plan(full, goal, TimeProvider.System).Moves, goal).Fault);
    }

    [Fact]
    public void Time_that_has_run_out_still_gives_a_legal_answer()
    {
        VmFleet fleet = SmallVmFleet.Draw(11, 30);
        DefragmentationResult result = Defragmenter.Plan(fleet, new DefragmentationGoal(16, 10, Seconds: 0), TimeProvider.System);
        Assert.Empty(result.Moves);
        Assert.Equal(result.Before, result.After);
    }

    [Fact]
    public void A_snapshot_with_far_too_many_choices_is_planned_in_its_time()
    {
        // 300 hosts of 60 different machines each: half a million ways to choose four of one host's, and large NUMA nodes.
        var random = new Random(1);
        var hosts = new List<VmHost>();
        var vms = new List<Vm>();
        for (int h = 0; h < 300; h++)
        {
            int[] free = [600, 600];
            for (int i = 0; i < 60; i++)
            {
                var shape = new VmShape(i % 4 == 0, 1 + random.Next(25), 1024 * (1 + random.Next(2)));
                int numa = random.Next(2);
                if (free[0] < shape.Cores || free[1] < shape.Cores)
                    continue;
                for (int n = 0; n < 2; n++)
                    if (shape.TwoNuma || n == numa)
                        free[n] -= shape.Cores;
                vms.Add(new Vm($"v{vms.Count}", shape, h, shape.TwoNuma ? 0 : numa, true));
            }
            hosts.Add(new VmHost($"h{h}", new NumaNode(600, free[0], 1 << 20, 1 << 19), new NumaNode(600, free[1], 1 << 20, 1 << 19)));
        }
        var fleet = new VmFleet([.. hosts], [.. vms]);
        var goal = new DefragmentationGoal(16, 100, Seconds: 1.5);
        var watch = System.Diagnostics.Stopwatch.StartNew();
        DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
        // It took minutes and all memory before; generous here for a busy machine.
        Assert.InRange(watch.Elapsed.TotalSeconds, 0, 15);
        Assert.Null(MovePlanChecker.Check(fleet, result.Moves, goal).Fault);
        Assert.InRange(result.After.Blocks, result.Before.Blocks, result.Bound);
    }

    [Fact]
    public void The_checker_names_the_first_illegal_move()
    {
        VmFleet fleet = new(
            [new VmHost("a", new(8, 4, 800, 400), new(8, 8, 800, 800)), new VmHost("b", new(8, 2, 800, 800), new(8, 8, 800, 800))],
            [new Vm("x", new(false, 4, 400), 0, 0, true), new Vm("y", new(false, 6, 100), 1, 0, false), new Vm("z", new(true, 1, 1), 0, 0, true)]);
        var goal = new DefragmentationGoal(4, 2);
        string? Fault(params VmMove[] moves) => MovePlanChecker.Check(fleet, [.. moves], goal).Fault;
        Assert.Null(Fault(new VmMove(0, 0, 1)));
        Assert.Equal("move 1: machine 'x' has no room on NUMA node 0 of host 'b'", Fault(new VmMove(0, 1, 0)));
        Assert.Equal("move 1: machine 'y' must not be moved", Fault(new VmMove(1, 0, 1)));
        Assert.Equal("move 2: machine 'x' is there already", Fault(new VmMove(0, 1, 1), new VmMove(0, 1, 1)));
        Assert.Equal("move 1 names one NUMA node for a machine that is on both", Fault(new VmMove(2, 1, 1)));
        Assert.Equal("move 1 names what the snapshot does not have", Fault(new VmMove(3, 0, 0)));
        Assert.Equal("3 moves where 2 are allowed", Fault(new VmMove(0, 0, 1), new VmMove(0, 0, 0), new VmMove(0, 0, 1)));
    }

    [Fact]
    public void A_circle_of_hosts_that_wait_for_each_other_is_opened_or_left_alone()
    {
        for (ulong seed = 20; seed < 30; seed++)
        {
            VmFleet fleet = SmallVmFleet.Draw(seed, 6, cores: 12);
            var goal = new DefragmentationGoal(6, 12, Effort: 3000);
            DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
            Assert.Null(MovePlanChecker.Check(fleet, result.Moves, goal).Fault);
        }
    }

    // Every sequence of so many moves, by brute force.
    private static long BestOf(VmFleet fleet, DefragmentationGoal goal, int depth)
    {
        var state = new VmFleetState(fleet);
        return Deepen(fleet, state, goal, depth);
    }

    private static long Deepen(VmFleet fleet, VmFleetState state, DefragmentationGoal goal, int depth)
    {
        long best = FragmentRate.Of(state.FreeCores, goal.BlockCores).Blocks;
        for (int vm = 0; depth > 0 && vm < fleet.Vms.Length; vm++)
            for (int place = 0; place < state.FreeCores.Length; place++)
            {
                int from = state.PlaceOf(vm);
                if (state.TryMove(vm, place) is not null)
                    continue;
                best = Math.Max(best, Deepen(fleet, state, goal, depth - 1));
                Assert.Null(state.TryMove(vm, from));
            }
        return best;
    }
}
