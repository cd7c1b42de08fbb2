using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// The search: a list of moves, each of which had room when it was put at the end, so that every list it ever holds can be
/// carried out. It is grown greedily by groups that raise a node's value (<see cref="Emptying"/>), then, round by round, a part of
/// it is taken out, what no longer fits goes too, a random move is tried in between, and it is grown again; a list that is
/// worth as much with fewer moves, or as many and fewer restarts, or more, is kept.
/// </summary>
internal sealed class FleetSearch
{
    // Groups of the untouched fleet that a round looks at again, for each move that it may make.
    private const int LookedAt = 4, AlwaysLookedAt = 64;

    private readonly FleetModel _model;
    private readonly FleetGoal _goal;
    private readonly SeededRandom _random;
    private readonly FleetRoom _room;
    private readonly Emptying _emptying;
    private readonly List<(MovablePod Pod, int To)> _moves = [];
    private readonly List<(double Score, int Node)> _first = [];
    private readonly PriorityQueue<int, (double Score, int Node)> _queue = new();
    private long _bestValue;

    public FleetSearch(FleetModel model, FleetGoal goal, SeededRandom random)
    {
        (_model, _goal, _random) = (model, goal, random);
        _room = new FleetRoom(model);
        _emptying = new Emptying(model, _room);
    }

    /// <summary>The best list found.</summary>
    public List<(MovablePod Pod, int To)> Best { get; private set; } = [];

    /// <summary>Searches until the rounds or the time (share passed, 1 is the end) are over.</summary>
    public void Run(Func<double> clock)
    {
        if (_goal.MostMoves == 0 || _model.Rows.Length == 0)
            return;
        for (int n = 0; n < _model.Rows.Length; n++)
        {
            if ((n & 255) == 255 && clock() >= 0.5)
                break;
            if (_model.Pods[n].Count > 0 && _emptying.Find(n, _goal.MostMoves) is { } group)
                _first.Add((group.Score, n));
        }
        _first.Sort(static (a, b) => a.Score != b.Score ? b.Score.CompareTo(a.Score) : a.Node.CompareTo(b.Node));
        if (_first.Count == 0 && _model.Rows.Length > AlwaysLookedAt)
            return;
        Grow(clock, noise: 0);
        Keep();
        for (int round = 0; round < _goal.Effort && clock() < 1; round++)
        {
            TakeApart();
            while (_moves.Count < _goal.MostMoves && _random.Next(2) == 0)
                Stray();
            _emptying.Wander = _random;
            Grow(clock, noise: 0.3);
            Keep();
            if (_room.Value < _bestValue || (_room.Value == _bestValue && _moves.Count > Best.Count + 1))
                Restore(Best);
        }
        Prune(clock);
    }

    private void Grow(Func<double> clock, double noise)
    {
        _queue.Clear();
        int most = Math.Min(_first.Count, LookedAt * _goal.MostMoves + AlwaysLookedAt);
        for (int i = 0; i < most; i++)
            _queue.Enqueue(_first[i].Node, Order(_first[i].Score, _first[i].Node, noise));
        foreach (int node in (int[])[.. _room.Touched])
            Offer(node, noise);
        // Looked at now and then, so that a small fleet gets its plan however late the machine is.
        for (int groups = 1; _moves.Count < _goal.MostMoves && _queue.TryDequeue(out int node, out (double Score, int Node) was); groups++)
        {
            if ((groups & 63) == 0 && clock() >= 1)
                return;
            if (_emptying.Find(node, _goal.MostMoves - _moves.Count) is not { } group)
                continue;
            // What others took meanwhile made it worse: it waits for its turn.
            (double Score, int Node) now = Order(group.Score, node, 0);
            if (noise == 0 && _queue.TryPeek(out _, out (double Score, int Node) next) && now.CompareTo(next) > 0 && now.Score > was.Score + 1e-9)
            {
                _queue.Enqueue(node, now);
                continue;
            }
            foreach ((MovablePod pod, int to) in group.Moves)
                Add(pod, to);
            Offer(node, noise);
        }
    }

    private void Offer(int node, double noise)
    {
        if (_moves.Count < _goal.MostMoves && _emptying.Find(node, _goal.MostMoves - _moves.Count) is { } group)
            _queue.Enqueue(node, Order(group.Score, node, noise));
    }

    // The queue gives the least first; noise in a round lets other groups come first.
    private (double, int) Order(double score, int node, double noise) => (-score * (1 + noise * (_random.NextDouble() - 0.5)), node);

    private void Add(MovablePod pod, int to)
    {
        _room.Move(pod, to);
        _moves.Add((pod, to));
    }

    // A run of moves, or all that touch one node, go; what then has no room goes too.
    private void TakeApart()
    {
        if (_moves.Count == 0)
            return;
        int from = _random.Next(_moves.Count), count = 1 + _random.Next(Math.Max(1, _moves.Count / 3));
        int node = _random.Next(2) == 0 ? _moves[from].Pod.Node : -1;
        var kept = new List<(MovablePod Pod, int To)>(_moves.Count);
        for (int i = 0; i < _moves.Count; i++)
            if (node >= 0 ? _moves[i].Pod.Node != node && _moves[i].To != node : i < from || i >= from + count)
                kept.Add(_moves[i]);
        Restore(kept);
    }

    // One move that wins nothing by itself, and may make room for one that does.
    private void Stray()
    {
        for (int attempt = 0; attempt < 8; attempt++)
        {
            int node = _first.Count > 0 && _random.Next(2) == 0 ? _first[_random.Next(_first.Count)].Node : _random.Next(_model.Rows.Length);
            if (_room.PodsOn(node) is not { Count: > 0 } pods)
                continue;
            MovablePod pod = pods[_random.Next(pods.Count)];
            int to = _emptying.AnyHome(pod, _random, atALoss: _random.Next(4) == 0);
            if (to < 0)
                continue;
            Add(pod, to);
            return;
        }
    }

    private void Restore(List<(MovablePod Pod, int To)> moves)
    {
        _room.Reset();
        _moves.Clear();
        // What has no room yet may have it once a later one has left.
        var waiting = new List<(MovablePod Pod, int To)>(moves);
        for (bool any = true; any && waiting.Count > 0;)
        {
            any = false;
            for (int i = 0; i < waiting.Count; i++)
                if (_room.Fits(waiting[i].Pod.Class, waiting[i].To))
                {
                    Add(waiting[i].Pod, waiting[i].To);
                    waiting.RemoveAt(i--);
                    any = true;
                }
        }
    }

    private void Keep()
    {
        if (_room.Value < _bestValue || (_room.Value == _bestValue && (_moves.Count > Best.Count || (_moves.Count == Best.Count && MoveGroup.RestartsIn(_moves) >= MoveGroup.RestartsIn(Best)))))
            return;
        if (_room.Value == 0 && _moves.Count > 0)
            return;
        _bestValue = _room.Value;
        Best = [.. _moves];
    }

    // A move that can be left out without a loss is left out.
    private void Prune(Func<double> clock)
    {
        for (int i = Best.Count - 1; i >= 0 && clock() < 1.1; i--)
        {
            var without = new List<(MovablePod, int)>(Best);
            without.RemoveAt(i);
            Restore(without);
            Keep();
            i = Math.Min(i, Best.Count);
        }
    }
}
