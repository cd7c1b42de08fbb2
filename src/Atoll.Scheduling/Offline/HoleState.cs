using System.Collections.Immutable;
using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// A fleet while moves are made one after the other, with the NUMA nodes sorted by their holes: free cores beyond whole blocks.
/// A machine that goes into a hole costs no block. Where there is none, a smaller machine leaves a hole that is nearly large enough.
/// Each move has room when it is made, so the list of moves is an executable order.
/// </summary>
internal sealed class HoleState
{
    private const int Looks = 12;

    private readonly int _block;
    private readonly VmFleetState _state;
    private readonly VmFleet _fleet;
    private readonly List<int>[] _holes, _pairs;
    private readonly int[] _at;

    // The holes of a host's places, as the lists have them.
    private readonly (int First, int Second)[] _in;
    private readonly List<int>[] _vms;
    private readonly List<VmMove> _moves = [];
    private readonly List<int> _from = [];
    private readonly SeededRandom _random;

    public HoleState(VmFleet fleet, int block, SeededRandom random)
    {
        (_fleet, _block, _random, _state) = (fleet, block, random, new VmFleetState(fleet));
        _holes = new List<int>[block];
        _pairs = new List<int>[block];
        for (int r = 0; r < block; r++)
            (_holes[r], _pairs[r]) = ([], []);
        // Places, then hosts: where each is in the list of its hole.
        _at = new int[_state.FreeCores.Length + fleet.Hosts.Length];
        _in = new (int, int)[fleet.Hosts.Length];
        _vms = new List<int>[fleet.Hosts.Length];
        for (int h = 0; h < _vms.Length; h++)
        {
            _vms[h] = [];
            Enter(h);
        }
        for (int v = 0; v < fleet.Vms.Length; v++)
            if (fleet.Vms[v].Movable)
                _vms[fleet.Vms[v].Host].Add(v);
    }

    /// <summary>Moves so far.</summary>
    public IReadOnlyList<VmMove> Moves => _moves;

    /// <summary>Blocks won by them.</summary>
    public int Gain { get; private set; }

    public int[] FreeCores => _state.FreeCores;

    /// <summary>Movable machines that were on a host at first.</summary>
    public List<int> VmsOf(int host) => _vms[host];

    public bool IsAtHome(int vm) => _state.PlaceOf(vm) == 2 * _fleet.Vms[vm].Host + _fleet.Vms[vm].Numa;

    /// <summary>Makes a move. False when it has no room.</summary>
    public bool TryMove(int vm, int place)
    {
        int from = _state.PlaceOf(vm), source = from >> 1, target = place >> 1;
        int before = Blocks(source) + (source == target ? 0 : Blocks(target));
        if (_state.TryMove(vm, place) is not null)
            return false;
        Refresh(source, before, target);
        _moves.Add(new VmMove(vm, target, place & 1));
        _from.Add(from);
        return true;
    }

    /// <summary>Takes the last moves back until so many are left.</summary>
    public void Back(int count)
    {
        while (_moves.Count > count)
        {
            int vm = _moves[^1].Vm, to = _from[^1], source = _state.PlaceOf(vm) >> 1, target = to >> 1;
            int before = Blocks(source) + (source == target ? 0 : Blocks(target));
            if (_state.TryMove(vm, to) is { } fault)
                throw new InvalidOperationException(fault);
            Refresh(source, before, target);
            _moves.RemoveAt(_moves.Count - 1);
            _from.RemoveAt(_from.Count - 1);
        }
    }

    /// <summary>Moves a machine into a hole, with others stepping aside down to a depth; as many moves as are left at most.</summary>
    public bool TryPlace(int vm, int avoid, int depth, int most)
    {
        if (most < 1)
            return false;
        VmShape shape = _state.ShapeOf(vm);
        if (Hole(shape, vm, avoid) is >= 0 and int place)
            return TryMove(vm, place);
        if (depth == 0 || most < 2)
            return false;
        // A hole that is too small by as much as a smaller machine there takes.
        List<int>[] lists = shape.TwoNuma ? _pairs : _holes;
        for (int hole = Math.Min(shape.Cores, _block) - 1; hole >= 0; hole--)
            for (int look = 0, start = Start(lists[hole]); look < Math.Min(Looks, lists[hole].Count); look++)
            {
                int found = lists[hole][(start + look) % lists[hole].Count];
                int target = shape.TwoNuma ? 2 * found : found;
                if (target >> 1 != avoid && target != _state.PlaceOf(vm) && StepAside(vm, shape, target, depth, most))
                    return true;
            }
        return false;
    }

    private bool StepAside(int vm, in VmShape shape, int target, int depth, int most)
    {
        int count = _moves.Count;
        foreach (int other in _vms[target >> 1])
        {
            VmShape its = _state.ShapeOf(other);
            if (other == vm || its.Cores >= shape.Cores || !IsAtHome(other) || (!shape.TwoNuma && !its.TwoNuma && _state.PlaceOf(other) != target))
                continue;
            int n = _fleet.Vms[other].Numa;
            bool enough = shape.TwoNuma
                ? Left(target, its, n == 0 || its.TwoNuma) >= shape.Cores && Left(target + 1, its, n == 1 || its.TwoNuma) >= shape.Cores
                : Left(target, its, true) >= shape.Cores;
            if (!enough)
                continue;
            if (TryPlace(other, target >> 1, depth - 1, most - 1) && _moves.Count - count < most && TryMove(vm, target))
                return true;
            Back(count);
        }
        return false;
    }

    private int Left(int place, in VmShape leaver, bool leaves) => _state.FreeCores[place] % _block + (leaves ? leaver.Cores : 0);

    // The tightest hole with room; where several are as tight, any.
    private int Hole(in VmShape shape, int vm, int avoid)
    {
        List<int>[] lists = shape.TwoNuma ? _pairs : _holes;
        for (int hole = shape.Cores; hole < _block; hole++)
            for (int look = 0, start = Start(lists[hole]); look < Math.Min(Looks, lists[hole].Count); look++)
            {
                int found = lists[hole][(start + look) % lists[hole].Count];
                int place = shape.TwoNuma ? 2 * found : found;
                if (place >> 1 != avoid && place != _state.PlaceOf(vm) && _state.Fits(shape, place))
                    return place;
            }
        return -1;
    }

    private int Start(List<int> list) => list.Count == 0 ? 0 : _random.Next(list.Count);

    private int Blocks(int host) => _state.FreeCores[2 * host] / _block + _state.FreeCores[2 * host + 1] / _block;

    private void Refresh(int source, int before, int target)
    {
        Gain += Blocks(source) + (source == target ? 0 : Blocks(target)) - before;
        Leave(source);
        Enter(source);
        if (source == target)
            return;
        Leave(target);
        Enter(target);
    }

    private void Enter(int host)
    {
        (int first, int second) = (_state.FreeCores[2 * host] % _block, _state.FreeCores[2 * host + 1] % _block);
        _in[host] = (first, second);
        Add(_holes[first], 2 * host, 2 * host);
        Add(_holes[second], 2 * host + 1, 2 * host + 1);
        Add(_pairs[Math.Min(first, second)], host, _state.FreeCores.Length + host);
    }

    private void Leave(int host)
    {
        (int first, int second) = _in[host];
        Remove(_holes[first], 2 * host, 0);
        Remove(_holes[second], 2 * host + 1, 0);
        Remove(_pairs[Math.Min(first, second)], host, _state.FreeCores.Length);
    }

    private void Add(List<int> list, int item, int slot)
    {
        _at[slot] = list.Count;
        list.Add(item);
    }

    private void Remove(List<int> list, int item, int offset)
    {
        int at = _at[offset + item], last = list[^1];
        list[at] = last;
        _at[offset + last] = at;
        list.RemoveAt(list.Count - 1);
    }

    public ImmutableArray<VmMove> ToMoves() => [.. _moves];
}
