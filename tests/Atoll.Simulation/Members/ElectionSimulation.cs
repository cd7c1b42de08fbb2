using Atoll.Link.Members;

namespace Atoll.Simulation.Members;

/// <summary>Runs the election of a site over many seeds. <c>--seed N</c> replays one; ATOLL_SEEDS says how many to run (200 by default, 20,000 in make soak).</summary>
public sealed class ElectionSimulation
{
    [Fact]
    public void Never_do_two_nodes_lead_and_a_majority_that_sees_itself_is_led()
    {
        if (Asked.Seed is { } one)
        {
            new ElectionWorld(one).Run();
            return;
        }
        Parallel.For(Asked.From, Asked.From + Asked.Count(200, 20_000), seed => new ElectionWorld(seed).Run());
    }

    /// <summary>The checker bites: voters that forget their promises let two nodes lead.</summary>
    [Fact]
    public void Without_promises_some_seed_has_two_leaders() =>
        Assert.Contains(Enumerable.Range(1, 60), seed =>
        {
            try
            {
                new ElectionWorld(seed) { Forgetful = true }.Run();
                return false;
            }
            catch (InvalidOperationException)
            {
                return true;
            }
        });
}

/// <summary>
/// A site of two to five nodes, a parent and at times a witness in virtual time: messages are lost, late, doubled and cut by partitions that heal,
/// clocks run a little apart, nodes crash and come back with their records, nodes join and leave. After every step at most one
/// node leads; when all is quiet at the end, exactly one does.
/// </summary>
internal sealed class ElectionWorld
{
    private const long Lease = 6000, QuietFrom = 180_000, End = 240_000;

    private const string WitnessName = Election.Witness + "w";

    private readonly Random _random;
    private readonly int _seed;
    private readonly List<Node> _nodes = [];
    private readonly PriorityQueue<Action, (long At, long Order)> _events = new();
    private readonly Dictionary<string, int> _sideOf = new(StringComparer.Ordinal);
    private readonly Queue<string> _trace = new();
    private (string, long) _told;
    private Voter _parent;
    private WitnessVoter _witness;
    private MemberList _list;
    private LogPosition _listAt;
    private long _now, _order, _parentSince = -2000;

    public ElectionWorld(int seed)
    {
        _seed = seed;
        _random = new Random(seed);
        int count = _random.Next(2, 6);
        for (int i = 0; i < count; i++)
            _nodes.Add(new Node { Name = $"n{i}", Rate = 1 + (_random.Next(-20, 21) / 1000.0) });
        _parent = new Voter(Election.Parent, Lease, new VoterRecord(0, null), 0);
        _witness = new WitnessVoter(new Voter(WitnessName, Lease, new VoterRecord(0, null), 0), default);
        _list = new MemberList([.. _nodes.Take(Math.Max(2, count - 1)).Select(n => new Member(n.Name, n.Name))]);
        _listAt = new LogPosition(0, 1);
    }

    /// <summary>A deliberate fault: a voter that restarts gives its vote away again at once.</summary>
    public bool Forgetful { get; init; }

    public void Run()
    {
        foreach (Node node in _nodes)
        {
            node.List = _list;
            node.Held = _listAt;
            Start(node);
            Tick(node);
        }
        for (long at = _random.Next(5000); at < QuietFrom; at += _random.Next(500, 9000))
            At(at, Disturb);
        At(QuietFrom, Heal);
        while (_events.TryDequeue(out Action? act, out (long At, long Order) due) && due.At <= End)
        {
            _now = due.At;
            act();
            Check();
        }
        int leaders = _nodes.Count(n => n.Leads(_now));
        if (leaders != 1)
            throw new InvalidOperationException($"seed {_seed}: {leaders} leaders after a minute of quiet");
    }

    private void Check()
    {
        Node[] leaders = [.. _nodes.Where(n => n.Leads(_now))];
        if (leaders.Length > 1)
            throw new InvalidOperationException($"seed {_seed}, {_now} ms: {string.Join(" and ", leaders.Select(l => $"{l.Name} (term {l.Election!.Term})"))} lead at once\n{string.Join("\n", _trace)}");
        foreach (Node node in leaders)
            if (_told != (node.Name, node.Election!.Term))
            {
                _told = (node.Name, node.Election!.Term);
                Note($"{node.Name} leads in term {node.Election.Term} with {Text(node.List)}");
            }
    }

    private void Note(string what)
    {
        if (_trace.Count == 40)
            _trace.Dequeue();
        _trace.Enqueue($"{_now,7} {what}");
    }

    private static string Text(MemberList list) => $"{string.Join(",", list.Nodes.Select(n => n.Name))}+{list.Witness}{(list.Former is { } former ? $", until then {string.Join(",", former.Select(n => n.Name))}+{list.FormerWitness}" : "")}";

    private void Disturb()
    {
        Node node = _nodes[_random.Next(_nodes.Count)];
        switch (_random.Next(6))
        {
            case 0:
                Note($"{node.Name} crashes");
                node.Election = null;
                At(_now + _random.Next(100, 12_000), () => Start(node));
                break;
            case 1 or 2:
                foreach (Node each in _nodes)
                    _sideOf[each.Name] = _random.Next(2);
                _sideOf[Election.Parent] = _random.Next(2);
                _sideOf[WitnessName] = _random.Next(2);
                Note("sides: " + string.Join(" ", _sideOf.Select(s => $"{s.Key}={s.Value}")));
                break;
            case 3:
                _sideOf.Clear();
                Note("all see each other");
                break;
            case 4:
                if (_random.Next(2) == 0)
                {
                    // The witness starts anew, with its record.
                    Note("the witness starts anew");
                    _witness = WitnessVoter.Of(WitnessName, Forgetful ? new WitnessRecord(new VoterRecord(0, null), default, 0) : _witness.Record, _now);
                }
                else
                {
                    // The parent starts anew: its promises are gone, and it waits for all that it may have given.
                    Note("the parent starts anew");
                    _parentSince = _now;
                    _parent = new Voter(Election.Parent, Lease, new VoterRecord(0, Forgetful ? null : "@before"), _now);
                }
                break;
            default:
                ChangeMembers();
                break;
        }
    }

    // The leader's list goes to whoever it reaches, as a copy of its store would.
    private void ChangeMembers()
    {
        if (_nodes.Find(n => n.Leads(_now)) is not { } leader)
            return;
        Member[] present = [.. _nodes.Where(n => n.Election is not null && Reaches(leader.Name, n.Name)).Select(n => new Member(n.Name, n.Name))];
        if (leader.Held.Term < leader.Election!.Term)
        {
            // What it took over is its own now: only who copies it from this leader has it.
            leader.Held = new LogPosition(leader.Election.Term, leader.Held.Revision + 1);
            leader.Election.Position = leader.Held;
            Spread(leader, present);
            return;
        }
        string? deleted = _random.Next(3) == 0 ? _nodes[_random.Next(_nodes.Count)].Name : null;
        MemberList? next = Membership.Next(leader.Name, leader.List, name => _nodes.Find(n => n.Name == name) is { } node && node.Held.CompareTo(leader.Held) >= 0, present, name => name != deleted, _random.Next(4) switch { 0 => "w", 1 => "", _ => null });
        if (next is null || next.Nodes.Count == 0)
            return;
        Note($"{leader.Name} makes the list {Text(next)}");
        leader.List = next;
        leader.Held = new LogPosition(leader.Election!.Term, leader.Held.Revision + 1);
        leader.Election.SetMembers(next);
        leader.Election.Position = leader.Held;
        Spread(leader, present);
    }

    private void Spread(Node leader, Member[] present)
    {
        foreach (Member member in present)
        {
            Node other = _nodes.First(n => n.Name == member.Name);
            if (other == leader || _random.Next(3) == 0)
                continue;
            (other.List, other.Held) = (leader.List, leader.Held);
            other.Election!.SetMembers(leader.List);
            other.Election.Position = other.Held;
        }
    }

    private void Heal()
    {
        _sideOf.Clear();
        foreach (Node node in _nodes)
            if (node.Election is null)
                Start(node);
        for (long at = _now + 20_000; at < End - 15_000; at += 1000)
            At(at, Settle);
    }

    // Copies flow again.
    private void Settle()
    {
        if (_nodes.Find(n => n.Leads(_now)) is not { } leader)
            return;
        foreach (Node node in _nodes)
        {
            (node.List, node.Held) = (leader.List, leader.Held);
            node.Election!.SetMembers(leader.List);
            node.Election.Position = leader.Held;
        }
        if (leader.List.Former is not null)
        {
            leader.List = leader.List with { Former = null, FormerWitness = null };
            leader.Held = new LogPosition(leader.Election!.Term, leader.Held.Revision + 1);
            leader.Election.SetMembers(leader.List);
        }
    }

    private void Start(Node node)
    {
        node.Voter = new Voter(node.Name, Lease, Forgetful ? new VoterRecord(node.Voter?.Record.Term ?? 0, null) : node.Voter?.Record ?? new VoterRecord(0, null), node.Clock(_now));
        node.Election = new Election(new ElectionOptions { Self = node.Name }, node.Voter, _random, node.Clock(_now)) { Position = node.Held };
        node.Election.SetMembers(node.List);
    }

    private void Tick(Node node)
    {
        var send = new List<ElectionSend>();
        node.Election?.Tick(node.Clock(_now), send);
        Send(node, send);
        At(_now + 200, () => Tick(node));
    }

    private void Send(Node node, List<ElectionSend> send)
    {
        foreach (ElectionSend message in send)
            for (int copies = _random.Next(20) == 0 ? 2 : 1; copies > 0; copies--)
                if (!IsLost())
                    At(_now + Delay(), () => Arrive(node, message));
    }

    private void Arrive(Node from, ElectionSend message)
    {
        if (!Reaches(from.Name, message.To))
            return;
        Node? to = _nodes.Find(n => n.Name == message.To);
        if (to is { Election: null })
            return;
        bool witness = message.To == WitnessName;
        (Voter voter, LogPosition mine, long now) = to is null ? (_parent, default, _now) : (to.Voter!, to.Held, to.Clock(_now));
        VoteReply? voted = message.Vote is { } vote ? witness ? _witness.Ask(vote, now) : voter.Ask(vote, mine, now) : null;
        BeatReply? heard = message.Beat is { } beat && (to is not null || witness || _now >= _parentSince + 2000) ? witness ? _witness.Hear(beat, now) : voter.Hear(beat, mine, now) : null;
        if (IsLost())
            return;
        Election? asking = from.Election;
        At(_now + Delay(), () =>
        {
            // A node that started anew knows nothing of what it asked before.
            if (!Reaches(message.To, from.Name) || from.Election is null || from.Election != asking)
                return;
            var send = new List<ElectionSend>();
            if (voted is not null)
                from.Election.On(voted, message.Vote!, message.SentAtMs, from.Clock(_now), send);
            if (heard is not null)
                from.Election.On(heard, message.Beat!, message.SentAtMs, from.Clock(_now));
            Send(from, send);
        });
    }

    private bool IsLost() => _now < QuietFrom && _random.Next(12) == 0;

    private long Delay() => _now < QuietFrom && _random.Next(15) == 0 ? _random.Next(200, 9000) : _random.Next(1, 60);

    private bool Reaches(string from, string to) => _sideOf.GetValueOrDefault(from) == _sideOf.GetValueOrDefault(to);

    private void At(long at, Action act) => _events.Enqueue(act, (at, _order++));

    private sealed class Node
    {
        public required string Name { get; init; }

        /// <summary>How fast its clock runs.</summary>
        public required double Rate { get; init; }

        public Voter? Voter { get; set; }

        public Election? Election { get; set; }

        public MemberList List { get; set; } = MemberList.None;

        public LogPosition Held { get; set; }

        public long Clock(long now) => (long)(now * Rate);

        public bool Leads(long now) => Election is { IsLeading: true } election && Clock(now) < election.LeadsUntil;
    }
}
