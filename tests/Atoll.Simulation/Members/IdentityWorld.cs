using Atoll.Link.Members;

namespace Atoll.Simulation.Members;

/// <summary>
/// A site of two to four nodes (with a witness when they are even) in virtual time, each with a supervisor, an agent, its copy of the
/// site's state, its containers and a clock of its own that runs up to 4 % wrong. Half of the sites of two have a power fence instead of the
/// witness: either node may have the other's power cut, at times in vain, at times without hearing of it, and what was off boots again. Messages are lost, late, doubled and cut;
/// machines die and come back, agents crash or stand still while their containers go on, starting a container takes a while, and
/// so does writing. The state is who runs which identity; the real election, leases and fence decide.
/// </summary>
internal sealed partial class IdentityWorld
{
    private const string PowerSwitch = "@power";

    private const long DeadAfter = 8000, Lease = 16_000, QuietFrom = 240_000, End = 340_000;

    private readonly Random _random;
    private readonly int _seed;
    private readonly List<SimNode> _nodes = [];
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Dictionary<string, int> _sideOf = new(StringComparer.Ordinal);
    private readonly bool _fences;
    private WitnessVoter _witness;
    private long _now, _order;
    private readonly Queue<string> _trace = new();
    private int _uids;

    public IdentityWorld(int seed)
    {
        _seed = seed;
        _random = new Random(seed);
        int count = _random.Next(2, 5);
        var state = new Dictionary<int, Holder>();
        for (int i = 0; i < count; i++)
        {
            _nodes.Add(new SimNode { Name = $"n{i}", Rate = 1 + (_random.Next(-40, 41) / 1000.0) });
            state[i] = new Holder(++_uids, $"n{i}", "");
        }
        foreach (SimNode node in _nodes)
            (node.State, node.Held) = (new(state), new LogPosition(0, 1));
        _fences = count == 2 && _random.Next(2) == 0;
        foreach (SimNode node in _nodes)
            node.List = new MemberList([.. _nodes.Select(n => new Member(n.Name, n.Name))], Witness: _fences ? MemberList.Fence : null);
        _witness = new WitnessVoter(new Voter(Election.Parent, DeadAfter * 3 / 4, new VoterRecord(0, null), 0), default);
    }

    /// <summary>What is left out.</summary>
    public IdentityFault Fault { get; init; }

    /// <summary>How often an identity was given to another node.</summary>
    public int Moved { get; private set; }

    /// <summary>How often a node went on alone after it had the other's power cut.</summary>
    public int Fenced { get; private set; }

    public void Run()
    {
        foreach (SimNode node in _nodes)
        {
            Boot(node);
            AgentTick(node);
            SupervisorTick(node);
        }
        for (long at = _random.Next(20_000); at < QuietFrom; at += _random.Next(500, 25_000))
            At(at, Disturb);
        At(QuietFrom, Heal);
        while (_events.TryDequeue(out Action? act, out (long At, long Order) due) && due.At <= End)
        {
            _now = due.At;
            act();
            Check();
        }
        for (int id = 0; id < _nodes.Count; id++)
            if (!_nodes.Any(n => n.Running.ContainsKey(id)))
                throw new InvalidOperationException($"seed {_seed}: identity {id} does not run after quiet: {string.Join("; ", _nodes.Select(n => $"{n.Name} {(n.Leads(_now) ? "leads" : "follows")}, at {n.Held}, lease {n.Lease.State} of {n.Clock(_now)}, {string.Join(" ", n.State.OrderBy(h => h.Key).Select(h => $"{h.Key}={h.Value.Uid}@{h.Value.Node}{(h.Value.Waits ? "?" : "")}"))}"))}");
    }

    private void Note(string what)
    {
        if (_trace.Count == 60)
            _trace.Dequeue();
        _trace.Enqueue($"{_now,7} {what}");
    }

    private void Check()
    {
        if (_nodes.Count(n => n.Leads(_now)) > 1)
            throw new InvalidOperationException($"seed {_seed}, {_now} ms: {string.Join(" and ", _nodes.Where(n => n.Leads(_now)).Select(n => n.Name))} lead at once\n{string.Join("\n", _trace)}");
        for (int id = 0; id < _nodes.Count; id++)
            if (_nodes.Count(n => n.Running.ContainsKey(id)) > 1)
                throw new InvalidOperationException($"seed {_seed}, {_now} ms: identity {id} runs on {string.Join(" and ", _nodes.Where(n => n.Running.ContainsKey(id)).Select(n => $"{n.Name} (pod {n.Running[id]})"))}\n{string.Join("\n", _trace)}");
    }

    private void Disturb()
    {
        SimNode node = _nodes[_random.Next(_nodes.Count)];
        switch (_random.Next(8))
        {
            case 0 or 1:
                Crash(node);
                break;
            case 2:
                // The agent alone; what it had begun to start goes on.
                Note($"{node.Name}: its agent crashes");
                node.Election = null;
                At(_now + _random.Next(500, 30_000), () => StartAgent(node));
                break;
            case 3:
                node.StandsUntil = _now + _random.Next(500, 40_000);
                Note($"{node.Name}: its agent stands still until {node.StandsUntil}");
                break;
            case 4 or 5:
                foreach (SimNode each in _nodes)
                    _sideOf[each.Name] = _random.Next(2);
                _sideOf[Election.Parent] = _random.Next(2);
                _sideOf[PowerSwitch] = _random.Next(2);
                Note("sides: " + string.Join(" ", _sideOf.Select(s => $"{s.Key}={s.Value}")));
                break;
            case 6:
                _sideOf.Clear();
                Note("all see each other");
                break;
            default:
                _witness = WitnessVoter.Of(Election.Parent, Fault == IdentityFault.WitnessForgets ? _witness.Record with { Fence = default } : _witness.Record, _now);
                break;
        }
    }

    private void Crash(SimNode node)
    {
        Note($"{node.Name} dies");
        node.Life++;
        node.IsUp = false;
        node.Election = null;
        node.Running.Clear();
        At(_now + _random.Next(1000, 90_000), () => Boot(node));
    }

    private void Boot(SimNode node)
    {
        if (node.IsUp)
            return;
        node.IsUp = true;
        Note($"{node.Name} boots");
        node.Lease = new IdentityLease(Lease);
        StartAgent(node);
    }

    private void StartAgent(SimNode node)
    {
        if (!node.IsUp || node.Election is not null)
            return;
        long now = node.Clock(_now);
        node.Voter = new Voter(node.Name, DeadAfter * 3 / 4, node.Voter?.Record ?? new VoterRecord(0, null), now);
        node.Election = new Election(new ElectionOptions { Self = node.Name }, node.Voter, _random, now) { Position = node.Held };
        node.Election.SetMembers(node.List);
        node.Power = new PowerFence(node.Name, DeadAfter / 2, DeadAfter);
        if (Fault == IdentityFault.FenceByOldState)
            node.Power.IsCurrent();
        node.Alive = new Liveness(DeadAfter, now);
        (node.WasLeading, node.Fence) = (false, new IdentityFence(Lease));
    }

    private void Heal()
    {
        _sideOf.Clear();
        foreach (SimNode node in _nodes)
        {
            node.StandsUntil = 0;
            Boot(node);
            StartAgent(node);
        }
    }

    // To an agent that stands still it comes when it goes on; one that started anew knows nothing of it.
    private void Send(SimNode from, SimNode to, Action<SimNode> arrive)
    {
        for (int copies = _random.Next(20) == 0 ? 2 : 1; copies > 0; copies--)
            if (!IsLost())
                At(_now + Delay(from == to), () =>
                {
                    if (Reaches(from.Name, to.Name))
                        Arrive(to, arrive);
                });
    }

    private void Arrive(SimNode to, Action<SimNode> arrive)
    {
        if (_now < to.StandsUntil)
            At(to.StandsUntil + 1, () => Arrive(to, arrive));
        else if (to.Election is not null)
            arrive(to);
    }

    private bool IsLost() => _now < QuietFrom && _random.Next(12) == 0;

    private long Delay(bool local) => local ? 1 : _now < QuietFrom && _random.Next(15) == 0 ? _random.Next(200, 9000) : _random.Next(1, 60);

    private bool Reaches(string from, string to) => from == to || _sideOf.GetValueOrDefault(from) == _sideOf.GetValueOrDefault(to);

    private void At(long at, Action act) => _events.Enqueue(act, (at, _order++));

    /// <summary>Who has an identity: the pod, its node, and the nodes that may still run it, for which it waits.</summary>
    internal readonly record struct Holder(int Uid, string Node, string From)
    {
        public bool Waits => From.Length > 0;
    }

    internal sealed class SimNode
    {
        public required string Name { get; init; }

        public required double Rate { get; init; }

        public bool IsUp { get; set; }

        /// <summary>Counts the machine's lives.</summary>
        public int Life { get; set; }

        public long StandsUntil { get; set; }

        public Voter? Voter { get; set; }

        public Election? Election { get; set; }

        public Liveness Alive { get; set; } = null!;

        public IdentityFence Fence { get; set; } = null!;

        public PowerFence Power { get; set; } = null!;

        public MemberList List { get; set; } = MemberList.None;

        /// <summary>Where in its own state as a leader the list of voters is.</summary>
        public LogPosition ListAt { get; set; }

        public IdentityLease Lease { get; set; } = null!;

        public Dictionary<int, Holder> State { get; set; } = [];

        public LogPosition Held { get; set; }

        public Dictionary<string, LogPosition> Followed { get; } = new(StringComparer.Ordinal);

        public Dictionary<int, int> Running { get; } = [];

        public bool WasLeading { get; set; }

        public long LastBeat { get; set; } = long.MinValue / 2;

        public ulong Counter { get; set; }

        public long Clock(long now) => (long)(now * Rate);

        public bool Leads(long now) => Election is { IsLeading: true } election && Clock(now) < election.LeadsUntil;
    }
}
