using System.Collections.Immutable;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Turns chosen patterns into migrations in an order in which each finds room when its turn comes. Which machine takes which room
/// is free within a shape, which is what makes orders easy to find. Where only a circle of hosts waiting for each other is left,
/// one machine steps aside first, if the limit of moves allows it.
/// </summary>
internal static class MoveOrder
{
    /// <param name="late">True when the moves so far have to do: they are legal by themselves.</param>
    public static ImmutableArray<VmMove> Of(VmFleet fleet, PatternProblem problem, HostPattern[] chosen, DefragmentationGoal goal, Func<bool> late)
    {
        int shapes = problem.Kinds.Shapes.Length;
        var leaving = new List<int>[shapes];
        var rooms = new List<int>[shapes];
        for (int s = 0; s < shapes; s++)
            (leaving[s], rooms[s]) = ([], []);
        // Machines that are to leave each host, and room that it still offers.
        int[] waiting = new int[chosen.Length], offers = new int[chosen.Length];
        Collect(fleet, problem, chosen, leaving, rooms, waiting, offers);
        var state = new VmFleetState(fleet);
        var moves = ImmutableArray.CreateBuilder<VmMove>();
        while (moves.Count < goal.MostMoves && !late() && (Next(state, leaving, rooms, waiting, offers) ?? StepAside(state, leaving, waiting, offers, goal.MostMoves - moves.Count)) is { } move)
        {
            // The same machine may have stepped aside before: it is then still to leave.
            state.TryMove(move.Vm, 2 * move.Host + move.Numa);
            moves.Add(move);
        }
        return moves.ToImmutable();
    }

    private static void Collect(VmFleet fleet, PatternProblem problem, HostPattern[] chosen, List<int>[] leaving, List<int>[] rooms, int[] waiting, int[] offers)
    {
        // How many machines of each kind leave each host, then the first such machines.
        var wanted = new Dictionary<(int Host, int Kind), int>();
        for (int h = 0; h < chosen.Length; h++)
        {
            foreach (byte kind in chosen[h].Outs)
            {
                wanted[(h, kind)] = wanted.GetValueOrDefault((h, kind)) + 1;
                waiting[h]++;
            }
            foreach (byte kind in chosen[h].Ins)
                rooms[kind >> 1].Add(2 * h + (kind & 1));
            offers[h] = chosen[h].Ins.Length;
        }
        for (int v = 0; v < fleet.Vms.Length; v++)
        {
            Vm vm = fleet.Vms[v];
            var key = (vm.Host, 2 * problem.Kinds.ShapeOf[v] + vm.Numa);
            if (!vm.Movable || wanted.GetValueOrDefault(key) == 0)
                continue;
            wanted[key]--;
            leaving[problem.Kinds.ShapeOf[v]].Add(v);
        }
    }

    // A machine whose host offers room to others leaves first; room on hosts that nobody waits to leave is used last.
    private static VmMove? Next(VmFleetState state, List<int>[] leaving, List<int>[] rooms, int[] waiting, int[] offers)
    {
        (int Shape, int Vm, int Room, int Rank) best = (-1, -1, -1, int.MinValue);
        for (int s = 0; s < leaving.Length; s++)
            for (int i = 0; i < leaving[s].Count; i++)
            {
                int vm = leaving[s][i], from = state.PlaceOf(vm) >> 1;
                int need = offers[from] > 0 ? 2 : 0;
                for (int r = 0; r < rooms[s].Count && best.Rank < 3; r++)
                {
                    int place = rooms[s][r];
                    if (place == state.PlaceOf(vm) || !state.Fits(state.ShapeOf(vm), place))
                        continue;
                    int rank = need + (waiting[place >> 1] > 0 ? 1 : 0);
                    if (rank > best.Rank)
                        best = (s, i, r, rank);
                }
            }
        if (best.Shape < 0)
            return null;
        int chosen = leaving[best.Shape][best.Vm], to = rooms[best.Shape][best.Room];
        leaving[best.Shape].RemoveAt(best.Vm);
        rooms[best.Shape].RemoveAt(best.Room);
        waiting[state.PlaceOf(chosen) >> 1]--;
        offers[to >> 1]--;
        return new VmMove(chosen, to >> 1, to & 1);
    }

    // One move aside costs one of the limit, so the plan must still have all its own moves.
    private static VmMove? StepAside(VmFleetState state, List<int>[] leaving, int[] waiting, int[] offers, int left)
    {
        int pending = 0;
        foreach (List<int> list in leaving)
            pending += list.Count;
        if (pending == 0 || pending >= left)
            return null;
        foreach (List<int> list in leaving)
            foreach (int vm in list)
            {
                int host = state.PlaceOf(vm) >> 1;
                if (waiting[host] == 0 || offers[host] == 0)
                    continue;
                for (int place = 0; place < state.FreeCores.Length; place++)
                    if (place >> 1 != host && offers[place >> 1] == 0 && state.Fits(state.ShapeOf(vm), place))
                    {
                        waiting[host]--;
                        waiting[place >> 1]++;
                        return new VmMove(vm, place >> 1, place & 1);
                    }
            }
        return null;
    }
}
