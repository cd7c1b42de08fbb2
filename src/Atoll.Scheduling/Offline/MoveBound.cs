namespace Atoll.Scheduling.Offline;

/// <summary>
/// How many blocks so many moves can win at most, if everything that leaves found room somewhere: on each NUMA node a block more
/// needs so many machines to leave, one on both counting half on each. A bound for all plans, in which hosts of any number take part.
/// </summary>
internal static class MoveBound
{
    private const long MostWork = 60_000_000;

    /// <returns>Blocks won at most; infinity where looking would take too long.</returns>
    public static double Of(VmFleet fleet, VmFleetState start, int block, int moves)
    {
        var on = new List<(int Cores, bool Two)>[start.FreeCores.Length];
        for (int p = 0; p < on.Length; p++)
            on[p] = [];
        long work = 0;
        for (int v = 0; v < fleet.Vms.Length; v++)
        {
            Vm vm = fleet.Vms[v];
            if (!vm.Movable)
                continue;
            for (int n = vm.Shape.TwoNuma ? 0 : vm.Numa; n <= (vm.Shape.TwoNuma ? 1 : vm.Numa); n++)
                on[2 * vm.Host + n].Add((vm.Shape.Cores, vm.Shape.TwoNuma));
            work += fleet.Hosts[vm.Host].First.Cores;
        }
        if (work > MostWork)
            return double.PositiveInfinity;
        // Half moves that each further block of a place needs at least, and the hull of it: what so many moves win at most grows ever slower.
        var steps = new List<(double Cost, double Blocks)>();
        for (int p = 0; p < on.Length; p++)
            Hull(NeedsOf(on[p], start.FreeCores[p], block), steps);
        steps.Sort((a, b) => a.Cost.CompareTo(b.Cost));
        double left = 2.0 * moves, won = 0;
        foreach ((double cost, double blocks) in steps)
        {
            double part = Math.Min(1, left / (cost * blocks));
            won += part * blocks;
            left -= part * cost * blocks;
            if (part < 1)
                break;
        }
        return won;
    }

    // The least half moves with which at least so many blocks are won, from one block on.
    private static List<int> NeedsOf(List<(int Cores, bool Two)> machines, int free, int block)
    {
        int all = 0;
        foreach ((int cores, _) in machines)
            all += cores;
        int[] least = new int[all + 1];
        Array.Fill(least, int.MaxValue / 2);
        least[0] = 0;
        int upTo = 0;
        foreach ((int cores, bool two) in machines)
        {
            upTo += cores;
            for (int c = upTo; c >= cores; c--)
                least[c] = Math.Min(least[c], least[c - cores] + (two ? 1 : 2));
        }
        for (int c = all - 1; c >= 0; c--)
            least[c] = Math.Min(least[c], least[c + 1]);
        var needs = new List<int>();
        for (int cores = block - free % block; cores <= all; cores += block)
            needs.Add(least[cores]);
        return needs;
    }

    // Steps of the least concave function above the points (needs[j], j + 1), beginning at (0, 0).
    private static void Hull(List<int> needs, List<(double Cost, double Blocks)> steps)
    {
        for (int at = -1; at < needs.Count - 1;)
        {
            int from = at < 0 ? 0 : needs[at], next = at + 1;
            for (int j = at + 1; j < needs.Count; j++)
                if ((double)(needs[j] - from) / (j - at) <= (double)(needs[next] - from) / (next - at))
                    next = j;
            steps.Add(((double)(needs[next] - from) / (next - at), next - at));
            at = next;
        }
    }
}
