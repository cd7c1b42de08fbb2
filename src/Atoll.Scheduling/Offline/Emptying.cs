using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>Moves that together raise the value of a fleet, by leaving one node.</summary>
/// <param name="Moves">In order; each has room.</param>
/// <param name="Gain">Value won.</param>
internal sealed record MoveGroup(List<(MovablePod Pod, int To)> Moves, long Gain)
{
    /// <summary>Value won by each move; of equals the one with fewer moves first, then the one with fewer restarts.</summary>
    public double Score => (double)Gain / Moves.Count + 1e-6 * (64 - Moves.Count) - 1e-8 * RestartsIn(Moves);

    /// <summary>How many of some moves restart the pod.</summary>
    public static int RestartsIn(List<(MovablePod Pod, int To)> moves)
    {
        int restarts = 0;
        foreach ((MovablePod pod, _) in moves)
            restarts += pod.Restarts ? 1 : 0;
        return restarts;
    }
}

/// <summary>
/// Finds the few pods of a node whose leaving makes room for one more instance there, and homes for them in room that nobody
/// misses. Homes of a class of pods are kept in an order made once: those first that lose nothing, the tightest of them first.
/// </summary>
internal sealed class Emptying(FleetModel model, FleetRoom room)
{
    private const int MostTogether = 12, MostTried = 6, HomesTried = 48;

    private readonly Dictionary<(int Kind, int Domain), int[]> _homes = [];
    private readonly List<(MovablePod Pod, int To)> _moves = [];
    private int[][]? _members;

    /// <summary>The best group of at most so many moves for a node, or null. Nothing has moved afterwards.</summary>
    public MoveGroup? Find(int node, int most)
    {
        MoveGroup? best = null;
        List<MovablePod> pods = room.PodsOn(node);
        if (pods.Count == 0)
            return null;
        for (int f = 0; f < model.Flavours; f++)
            if (model.Counts(f, node))
                foreach (List<MovablePod> leaving in Leaving(node, f, pods, Math.Min(most, MostTogether)))
                    if (Try(node, leaving) is { } group && (best is null || group.Score > best.Score))
                        best = group;
        return best;
    }

    /// <summary>Draws another home than the tightest now and then.</summary>
    public SeededRandom? Wander { get; set; }

    /// <summary>A home for a pod that costs nothing (or whatever it costs), drawn among a few; −1 when there is none.</summary>
    public int AnyHome(MovablePod pod, SeededRandom random, bool atALoss)
    {
        int[] homes = HomesOf(pod);
        int start = homes.Length == 0 ? 0 : random.Next(homes.Length);
        for (int i = 0; i < Math.Min(homes.Length, HomesTried); i++)
        {
            int to = homes[(start + i) % homes.Length];
            if (to != pod.Node && room.Fits(pod.Class, to) && (atALoss || room.ValueWith(pod.Class, to, -1) >= room.ValueOf(to)))
                return to;
        }
        return -1;
    }

    // Sets of pods without which one more instance fits: single ones, pairs, else the ones that relieve most.
    private List<List<MovablePod>> Leaving(int node, int flavour, List<MovablePod> pods, int most)
    {
        ReadOnlySpan<long> left = room.Left(node);
        long units = model.Units(flavour, node, left) + 1;
        var missing = new List<(int Column, long Amount, long Need)>();
        foreach ((int column, long need) in model.NeedOf(flavour, node))
            if (units * need - left[column] is > 0 and long amount)
                missing.Add((column, amount, need));
        var sets = new List<List<MovablePod>>();
        var seen = new HashSet<int>();
        foreach (MovablePod pod in pods)
            if (sets.Count < MostTried && Covers(pod.Class, null) && seen.Add(pod.Class.Number))
                sets.Add([pod]);
        if (sets.Count > 0 || most < 2)
            return sets;
        var pairs = new HashSet<(int, int)>();
        for (int i = 0; i < pods.Count && pods.Count <= 64 && sets.Count < MostTried; i++)
            for (int j = i + 1; j < pods.Count && sets.Count < MostTried; j++)
                if (Covers(pods[i].Class, pods[j].Class) && pairs.Add((Math.Min(pods[i].Class.Number, pods[j].Class.Number), Math.Max(pods[i].Class.Number, pods[j].Class.Number))))
                    sets.Add([pods[i], pods[j]]);
        if (sets.Count == 0 && most > 2 && Greedy(pods, model.Rows[node], missing, most) is { } several)
            sets.Add(several);
        return sets;

        bool Covers(PodKind one, PodKind? other)
        {
            foreach ((int column, long amount, _) in missing)
                if (one.On(model.Rows[node])[column] + (other?.On(model.Rows[node])[column] ?? 0) < amount)
                    return false;
            return true;
        }
    }

    private static List<MovablePod>? Greedy(List<MovablePod> pods, int row, List<(int Column, long Amount, long Need)> missing, int most)
    {
        var several = new List<MovablePod>();
        var open = missing.ConvertAll(m => m.Amount);
        while (open.Exists(o => o > 0))
        {
            MovablePod? pick = null;
            double relief = 0;
            foreach (MovablePod pod in pods)
            {
                double now = 0;
                for (int i = 0; i < open.Count; i++)
                    if (open[i] > 0)
                        now += Math.Min(open[i], pod.Class.On(row)[missing[i].Column]) / (double)missing[i].Need;
                if (now > relief && !several.Contains(pod))
                    (pick, relief) = (pod, now);
            }
            if (pick is null || several.Count == most)
                return null;
            several.Add(pick);
            for (int i = 0; i < open.Count; i++)
                open[i] -= pick.Class.On(row)[missing[i].Column];
        }
        return several;
    }

    private MoveGroup? Try(int node, List<MovablePod> leaving)
    {
        long before = room.Value;
        _moves.Clear();
        // The largest first: what is small finds a home more easily.
        int row = model.Rows[node];
        leaving.Sort((a, b) => b.Class.On(row)[0] != a.Class.On(row)[0] ? b.Class.On(row)[0].CompareTo(a.Class.On(row)[0]) : b.Class.On(row)[1].CompareTo(a.Class.On(row)[1]));
        foreach (MovablePod pod in leaving)
        {
            int to = Home(pod, node);
            if (to < 0)
                break;
            room.Try(pod, to);
            _moves.Add((pod, to));
        }
        long gain = _moves.Count == leaving.Count ? room.Value - before : 0;
        MoveGroup? group = gain > 0 ? new MoveGroup([.. _moves], gain) : null;
        for (int i = _moves.Count - 1; i >= 0; i--)
            room.Back(_moves[i].Pod, _moves[i].To);
        return group;
    }

    // The node where the pod costs least: the first of the list that costs nothing, or the best of a few.
    private int Home(MovablePod pod, int not)
    {
        if (Wander?.Next(4) == 0 && AnyHome(pod, Wander, atALoss: false) is >= 0 and int drawn && drawn != not)
            return drawn;
        int best = -1, tried = 0;
        long least = long.MaxValue;
        foreach (int to in HomesOf(pod))
        {
            if (to == not || to == pod.Node || !room.Fits(pod.Class, to))
                continue;
            long loss = room.ValueOf(to) - room.ValueWith(pod.Class, to, -1);
            if (loss < least)
                (best, least) = (to, loss);
            if (loss <= 0 || ++tried == HomesTried)
                break;
        }
        return best;
    }

    private int[] HomesOf(MovablePod pod)
    {
        (int, int) key = (pod.Class.Number, model.DomainOf[pod.Node]);
        if (_homes.TryGetValue(key, out int[]? homes))
            return homes;
        var list = new List<(long Loss, double Left, int Node)>();
        Span<long> after = stackalloc long[model.Columns];
        foreach (int node in MembersOf(model.DomainOf[pod.Node]))
        {
            ReadOnlySpan<long> free = model.Free.AsSpan(node * model.Columns, model.Columns);
            if (!pod.Class.Suits(model.Rows[node]))
                continue;
            long[] requests = pod.Class.On(model.Rows[node]);
            bool fits = true;
            double rest = 0;
            for (int r = 0; r < free.Length; r++)
            {
                after[r] = free[r] - requests[r];
                fits &= requests[r] == 0 || after[r] >= 0;
                if (requests[r] > 0)
                    rest += (double)after[r] / requests[r];
            }
            // One that has no room now may have it once others left: it comes last.
            if (fits || model.Pods[node].Count > 0)
                list.Add((fits ? model.Value(node, free) - model.Value(node, after) : long.MaxValue, rest, node));
        }
        list.Sort();
        return _homes[key] = [.. list.Select(l => l.Node)];
    }

    private int[] MembersOf(int domain)
    {
        if (_members is null)
        {
            var members = new List<int>[model.Domains];
            for (int d = 0; d < members.Length; d++)
                members[d] = [];
            for (int n = 0; n < model.Rows.Length; n++)
                members[model.DomainOf[n]].Add(n);
            _members = [.. members.Select(m => m.ToArray())];
        }
        return _members[domain];
    }
}
