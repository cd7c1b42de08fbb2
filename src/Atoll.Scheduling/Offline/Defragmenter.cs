using System.Collections.Immutable;
using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>What a plan to defragment is computed for.</summary>
/// <param name="BlockCores">Cores of the block to be sold.</param>
/// <param name="MostMoves">Migrations at most.</param>
/// <param name="Seed">Decides the search's draws.</param>
/// <param name="Seconds">Time at most; a machine that needs less gives the same plan each time.</param>
/// <param name="Effort">Steps of the search for each host; more is slower and better.</param>
public sealed record DefragmentationGoal(int BlockCores, int MostMoves, ulong Seed = 1, double Seconds = 4, int Effort = 8_000);

/// <summary>Migrations in an order that can be executed, and what they reach.</summary>
/// <param name="Moves">The migrations, in order.</param>
/// <param name="Before">The rate before them.</param>
/// <param name="After">The rate after them.</param>
/// <param name="Bound">Blocks that no plan of so many migrations has more of, in any order, if no host gives up more than four machines.</param>
public sealed record DefragmentationResult(ImmutableArray<VmMove> Moves, FragmentRate Before, FragmentRate After, double Bound);

/// <summary>
/// Plans migrations that turn scattered free cores into blocks that can be sold, on NUMA nodes of two-node hosts.
/// <para>
/// Machines of one shape are interchangeable, so a plan is a choice for each host of machines that leave and room that it offers
/// (a pattern), with as much room offered for each shape as machines leave, and no more leaving than the limit. The Lagrangian
/// prices of room and of moves are found by subgradient ascent over every pattern of every host (hosts that cannot be told apart
/// are one class); they give an upper bound. Patterns that were best at prices met on the way are combined by annealing under
/// those prices, and the combination is put into an order in which each move finds room (<see cref="MoveOrder"/>). Beside it moves
/// are looked for directly (<see cref="HoleSearch"/>), which has a good answer at once; the last part of the time goes on from the better.
/// </para>
/// The same goal and snapshot give the same plan. See docs/decisions/0008-defragmentation-by-prices.md.
/// </summary>
public static class Defragmenter
{
    private const int QuickHosts = 400;

    // Share of the time that prices may take, and that the two searches have side by side; the last part puts together what they found.
    private const double PriceTime = 0.4, SideBySide = 0.85;

    // Times the goal's, after which a plan's order ends where it is.
    private const double LatestOrder = 1.15;

    /// <summary>Plans; an answer within the limit is always legal in its order, and may be empty.</summary>
    public static DefragmentationResult Plan(VmFleet fleet, DefragmentationGoal goal, TimeProvider time)
    {
        long begun = time.GetTimestamp();
        ArgumentOutOfRangeException.ThrowIfLessThan(goal.BlockCores, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(goal.MostMoves);
        var start = new VmFleetState(fleet);
        FragmentRate before = FragmentRate.Of(start.FreeCores, goal.BlockCores);
        var holes = new HoleSearch(fleet, goal, new SeededRandom(goal.Seed));
        if (goal.MostMoves > 0)
            holes.Begin(() => Time(0, 0.3));
        double most = Math.Min(before.FreeCores / goal.BlockCores, before.Blocks + MoveBound.Of(fleet, start, goal.BlockCores, goal.MostMoves));
        var problem = new PatternProblem(fleet, start, goal);
        var best = new DefragmentationResult([], before, before, 0);
        // Where hosts are many the two ways go side by side, else prices have both cores: there they are nearly always better.
        bool large = fleet.Hosts.Length > QuickHosts;
        Parallel.Invoke(() => ByPrices(large ? 1 : 2), () => holes.Improve(large && goal.MostMoves > 0 ? int.MaxValue : 0, () => Time(0, SideBySide)));
        most = Math.Min(most, problem.Bound);
        best = best with { Bound = Math.Floor(most + 1e-6) };
        if (goal.MostMoves > 0 && Math.Max(best.After.Blocks, before.Blocks + holes.BestGain) < best.Bound)
        {
            holes.StartFrom(best.Moves);
            holes.Improve((int)(best.Bound - before.Blocks), () => Time(0, 1));
        }
        return holes.BestGain > best.After.Blocks - before.Blocks ? Checked(holes.Best) : best;

        void ByPrices(int pairs)
        {
            problem.FindPrices(new SeededRandom(goal.Seed), () => Time(0, PriceTime));
            if (goal.MostMoves == 0 || problem.Classes.Count == 0)
                return;
            PatternOption[][] options = new PatternOptions(problem).Of(() => IsLate(0.55));
            double bound = Math.Min(most, problem.Bound);
            // Two searches at a time, one a core; a second pair only where the first is quick and has not met the bound.
            for (int pair = 0; pair < pairs && best.After.Blocks + 1 <= bound + 1e-6; pair++)
            {
                double from = time.GetElapsedTime(begun).TotalSeconds / Math.Max(1e-9, goal.Seconds);
                // A search with too little time left would only be a bad one.
                if (from >= SideBySide || (pair > 0 && from > 0.5))
                    break;
                var found = new DefragmentationResult[large ? 1 : 2];
                ulong seed = goal.Seed + 2 * (ulong)pair;
                Parallel.For(0, found.Length, i => found[i] = Search(new PatternSearch(problem, options, goal, new SeededRandom(seed + (ulong)i)), () => Time(from, large ? SideBySide : 1)));
                foreach (DefragmentationResult result in found)
                    if (result.After.Blocks > best.After.Blocks || (result.After.Blocks == best.After.Blocks && result.Moves.Length < best.Moves.Length))
                        best = result;
            }
        }

        // How much of a span of the goal's time has passed; 1 is all of it.
        double Time(double from, double to) => goal.Seconds <= 0 ? 1 : (time.GetElapsedTime(begun).TotalSeconds / goal.Seconds - from) / (to - from);

        bool IsLate(double share) => goal.Seconds <= 0 || time.GetElapsedTime(begun).TotalSeconds >= share * goal.Seconds;

        DefragmentationResult Search(PatternSearch search, Func<double> clock)
        {
            HostPattern[] chosen = search.Run(clock);
            ImmutableArray<VmMove> moves = MoveOrder.Of(fleet, problem, chosen, goal, () => IsLate(LatestOrder));
            return Checked(moves);
        }

        DefragmentationResult Checked(ImmutableArray<VmMove> moves)
        {
            (FragmentRate after, string? fault) = MovePlanChecker.Check(fleet, moves, goal);
            return fault is null ? best with { Moves = moves, After = after } : throw new InvalidOperationException($"The plan is not legal: {fault}.");
        }
    }
}
