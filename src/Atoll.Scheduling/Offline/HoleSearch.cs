using System.Collections.Immutable;
using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Moves that win blocks, found directly in the fleet: the few machines whose leaving completes a block go into holes that no block
/// misses (<see cref="HoleState"/>). First greedily, the fewest machines for a block first; then some groups are taken out and others
/// are put in for as long as it may. It needs no prices, so it has a good answer for a fleet of any size at once.
/// </summary>
internal sealed class HoleSearch
{
    private const int MostOuts = 4, KeptPerPlace = 6, MostRounds = 60_000, MostStale = 12_000, MostLooks = 4_000_000, LeastLooks = 32;

    private readonly DefragmentationGoal _goal;
    private readonly SeededRandom _random;
    private readonly HoleState _state;
    private readonly VmFleet _fleet;

    // Machines whose leaving wins blocks where they are, the best first.
    private readonly List<(int[] Vms, double Cost)> _groups = [];
    private List<ImmutableArray<VmMove>> _now = [];

    public HoleSearch(VmFleet fleet, DefragmentationGoal goal, SeededRandom random)
    {
        (_fleet, _goal, _random) = (fleet, goal, random);
        _state = new HoleState(fleet, goal.BlockCores, random);
        for (int place = 0; place < 2 * fleet.Hosts.Length; place++)
            Find(place);
        _groups.Sort((a, b) => a.Cost != b.Cost ? a.Cost.CompareTo(b.Cost) : a.Vms[0].CompareTo(b.Vms[0]));
    }

    /// <summary>The best moves found.</summary>
    public ImmutableArray<VmMove> Best { get; private set; } = [];

    /// <summary>Blocks that they win.</summary>
    public int BestGain { get; private set; }

    /// <summary>One greedy pass.</summary>
    public void Begin(Func<double> clock)
    {
        for (int depth = 0; depth <= 1; depth++)
            for (int g = 0; g < _groups.Count && _state.Moves.Count < _goal.MostMoves; g++)
            {
                if ((g & 63) == 0 && clock() >= 1)
                    break;
                TryGroup(_groups[g].Vms, depth);
            }
        Keep();
    }

    /// <summary>Goes on from other moves, if they are better.</summary>
    public void StartFrom(ImmutableArray<VmMove> moves)
    {
        Replay([moves]);
        if (_state.Gain >= BestGain)
            Keep();
        else
            Replay([Best]);
    }

    /// <summary>Takes groups out and puts others in.</summary>
    /// <param name="most">Blocks that no plan exceeds: reached, the search ends.</param>
    /// <param name="clock">Share of the time that has passed; 1 ends it.</param>
    public void Improve(int most, Func<double> clock)
    {
        for (int round = 0, stale = 0; round < MostRounds && stale < MostStale && BestGain < most && _groups.Count > 0; round++, stale++)
        {
            if ((round & 7) == 0 && clock() >= 1)
                return;
            List<ImmutableArray<VmMove>> before = _now;
            int gain = _state.Gain, moves = _state.Moves.Count, from = _now.Count == 0 ? 0 : _random.Next(_now.Count);
            // One in a stretch of the order or anywhere: what is taken out together was often in each other's way.
            int span = 1 + _random.Next(Math.Max(1, Math.Min(8, _now.Count)));
            bool scattered = _random.Next(2) == 0;
            var kept = new List<ImmutableArray<VmMove>>(_now.Count);
            for (int i = 0; i < _now.Count; i++)
                if (scattered ? _random.Next(_now.Count) >= span : i < from || i >= from + span)
                    kept.Add(_now[i]);
            Replay(kept);
            Fill();
            if (_state.Gain > gain || (_state.Gain == gain && _state.Moves.Count <= moves))
            {
                if (_state.Gain > BestGain || (_state.Gain == BestGain && _state.Moves.Count < Best.Length))
                {
                    stale = _state.Gain > BestGain ? 0 : stale;
                    Keep();
                }
            }
            else
                Replay(before);
        }
    }

    private void Fill()
    {
        int tries = 40 + 4 * Math.Min(100, _goal.MostMoves);
        for (int attempt = 0; attempt < tries && _state.Moves.Count < _goal.MostMoves; attempt++)
        {
            double at = _random.NextDouble();
            TryGroup(_groups[(int)(at * at * at * _groups.Count)].Vms, _random.Next(3));
        }
    }

    private void Keep() => (Best, BestGain) = (_state.ToMoves(), _state.Gain);

    // Groups that still have room and win something, in their order. The common beginning is left as it is.
    private void Replay(List<ImmutableArray<VmMove>> groups)
    {
        int same = 0, moves = 0;
        while (same < groups.Count && same < _now.Count && groups[same] == _now[same])
            moves += groups[same++].Length;
        _state.Back(moves);
        _now = _now[..same];
        foreach (ImmutableArray<VmMove> group in groups[same..])
        {
            int count = _state.Moves.Count, gain = _state.Gain;
            bool made = count + group.Length <= _goal.MostMoves;
            foreach (VmMove move in group)
                made = made && _state.TryMove(move.Vm, 2 * move.Host + move.Numa);
            if (made && _state.Gain > gain)
                _now.Add(group);
            else
                _state.Back(count);
        }
    }

    private void TryGroup(int[] vms, int depth)
    {
        int count = _state.Moves.Count, gain = _state.Gain;
        bool made = count + vms.Length <= _goal.MostMoves;
        for (int i = 0; made && i < vms.Length; i++)
            made = _state.IsAtHome(vms[i]) && _state.TryPlace(vms[i], _fleet.Vms[vms[i]].Host, depth, _goal.MostMoves - _state.Moves.Count - (vms.Length - 1 - i));
        if (!made || _state.Gain <= gain)
            _state.Back(count);
        else
            _now.Add([.. _state.Moves.Skip(count)]);
    }

    // Sets of a place's machines that complete a block, none of them needlessly; machines of a shape are the same.
    private void Find(int place)
    {
        int missing = _goal.BlockCores - _state.FreeCores[place] % _goal.BlockCores;
        var shapes = new SortedDictionary<(int Cores, bool Two, int Memory), List<int>>(Comparer<(int Cores, bool Two, int Memory)>.Create((a, b) => b.CompareTo(a)));
        foreach (int vm in _state.VmsOf(place >> 1))
            if (_fleet.Vms[vm] is var it && (it.Shape.TwoNuma || it.Numa == (place & 1)) && it.Shape.Cores > 0)
            {
                var key = (it.Shape.Cores, it.Shape.TwoNuma, it.Shape.MemoryMb);
                if (!shapes.TryGetValue(key, out List<int>? list))
                    shapes.Add(key, list = []);
                if (list.Count < MostOuts)
                    list.Add(vm);
            }
        var found = new List<(int[] Vms, double Cost)>();
        List<int>[] lists = [.. shapes.Values];
        // Fewer machines first, until enough sets were looked at.
        int looks = Math.Max(LeastLooks, MostLooks / _state.FreeCores.Length);
        for (int outs = 1; outs <= MostOuts && looks > 0; outs++)
            Extend(lists, 0, [], missing, outs, ref looks, place >> 1, found);
        found.Sort((a, b) => a.Cost.CompareTo(b.Cost));
        _groups.AddRange(found.Take(KeptPerPlace));
    }

    private void Extend(List<int>[] lists, int from, List<int> taken, int missing, int outs, ref int looks, int host, List<(int[], double)> found)
    {
        for (int s = from; s < lists.Length && looks > 0; s++)
        {
            int used = taken.Count(lists[s].Contains), left = missing - _fleet.Vms[lists[s][0]].Shape.Cores;
            if (used == lists[s].Count)
                continue;
            looks--;
            // From here on machines are smaller still.
            if ((long)left > (long)(outs - taken.Count - 1) * _fleet.Vms[lists[s][0]].Shape.Cores)
                break;
            taken.Add(lists[s][used]);
            if (left > 0)
                Extend(lists, s, taken, left, outs, ref looks, host, found);
            else if (taken.Count == outs)
                found.Add(([.. taken], CostOf(taken, host)));
            taken.RemoveAt(taken.Count - 1);
        }
    }

    // Moves for each block won; then the cores that have to find holes.
    private double CostOf(List<int> vms, int host)
    {
        int a = 0, b = 0, cores = 0;
        foreach (int vm in vms)
        {
            Vm it = _fleet.Vms[vm];
            a += it.Shape.TwoNuma || it.Numa == 0 ? it.Shape.Cores : 0;
            b += it.Shape.TwoNuma || it.Numa == 1 ? it.Shape.Cores : 0;
            cores += it.Shape.Cores * (it.Shape.TwoNuma ? 3 : 1);
        }
        int won = Won(_state.FreeCores[2 * host], a) + Won(_state.FreeCores[2 * host + 1], b);
        return won <= 0 ? double.MaxValue : (vms.Count + 0.02 * cores) / won;

        int Won(int free, int more) => (free + more) / _goal.BlockCores - free / _goal.BlockCores;
    }
}
