using System.Collections.Immutable;

namespace Atoll.Scheduling.Offline;

/// <summary>Proves a plan legal, step by step, knowing nothing of how it was made.</summary>
public static class MovePlanChecker
{
    /// <summary>Plays the moves one after the other on the snapshot.</summary>
    /// <returns>The rate at the end and null, or the rate before the first illegal move and what is wrong with it.</returns>
    public static (FragmentRate Rate, string? Fault) Check(VmFleet fleet, ImmutableArray<VmMove> moves, DefragmentationGoal goal)
    {
        var state = new VmFleetState(fleet);
        string? fault = moves.Length > goal.MostMoves ? $"{moves.Length} moves where {goal.MostMoves} are allowed" : null;
        for (int i = 0; fault is null && i < moves.Length; i++)
        {
            VmMove move = moves[i];
            if (move.Vm < 0 || move.Vm >= fleet.Vms.Length || move.Host < 0 || move.Host >= fleet.Hosts.Length || move.Numa is < 0 or > 1)
                fault = $"move {i + 1} names what the snapshot does not have";
            else if (fleet.Vms[move.Vm].Shape.TwoNuma && move.Numa != 0)
                fault = $"move {i + 1} names one NUMA node for a machine that is on both";
            else if (state.TryMove(move.Vm, 2 * move.Host + move.Numa) is { } why)
                fault = $"move {i + 1}: {why}";
        }
        return (FragmentRate.Of(state.FreeCores, goal.BlockCores), fault);
    }
}
