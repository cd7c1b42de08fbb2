namespace Atoll.Link.Members;

/// <summary>Settings of an election.</summary>
public sealed record ElectionOptions
{
    /// <summary>Name of this node.</summary>
    public required string Self { get; init; }

    /// <summary>How long a promise of a voter lasts, ms.</summary>
    public long LeaseMs { get; init; } = 6000;

    /// <summary>How long a node's lease for pods with an identity and their stopping may take, ms: a voter that forgot a fence waits so long.</summary>
    public long FenceMs { get; init; }

    /// <summary>How often a leader tells that it leads, ms.</summary>
    public long BeatMs { get; init; } = 1500;

    /// <summary>Longest wait, drawn by chance, before a node stands, ms: so that two rarely do at once.</summary>
    public long JitterMs { get; init; } = 1000;

    /// <summary>
    /// Age at which an answer to a beat no longer counts, ms. A voter that may have forgotten what it promised answers no beats for longer
    /// than that after its start, so that none that was sent before is accepted after.
    /// </summary>
    public long AnswerMs { get; init; } = 1500;

    /// <summary>By how much a leader ends before its promises do, ms: clocks do not run alike.</summary>
    public long MarginMs { get; init; } = 600;
}

/// <summary>A message that the election wants sent; exactly one of vote and beat is set.</summary>
public readonly record struct ElectionSend(string To, VoteRequest? Vote, LeaderBeat? Beat, long SentAtMs);

/// <summary>
/// Who leads a site, as a pure state machine: no I/O, no clock. It is told the time, the answers to what it asked, and who
/// votes; it says what to ask whom. A node leads while a majority of the voters has promised it, and never longer: two nodes
/// never lead at one moment, whatever is lost, late, doubled or cut, as long as clocks run alike to within the margin.
/// <para>Voters are the members. With an even number of them there is one more, the site's witness or, without one, the parent
/// (<see cref="Parent"/>), which is asked only when the nodes alone are not enough; two nodes with a <see cref="PowerFence"/> have none. A single
/// member leads by itself. A node that belongs to no list stands for nothing.</para>
/// <para>First a node asks whether it would be elected; only a yes of a majority starts a new term, so a node that was cut off
/// does not disturb those that were not. Not thread-safe.</para>
/// </summary>
public sealed class Election
{
    /// <summary>The name under which the parent votes; no node can have it.</summary>
    public const string Parent = "@parent";

    /// <summary>Start of the name under which a witness votes; its address follows. No node can have it.</summary>
    public const string Witness = "@witness ";

    private readonly ElectionOptions _options;
    private readonly Voter _voter;
    private readonly Random _random;
    private readonly Dictionary<string, long> _promised = new(StringComparer.Ordinal);
    private readonly HashSet<string> _granted = new(StringComparer.Ordinal);
    private string[][] _sets = [];
    private string[] _voters = [];
    private long _standAt, _attemptEnds, _lastBeat, _highestTerm, _askedAt;
    private bool _pre;

    /// <summary>An election over this node's own voter.</summary>
    public Election(ElectionOptions options, Voter voter, Random random, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(voter);
        _options = options;
        _voter = voter;
        _random = random;
        _standAt = nowMs + Jitter();
    }

    /// <summary>How far this node's state goes; kept up to date by the caller.</summary>
    public LogPosition Position { get; set; }

    /// <summary>Told with every beat; see <see cref="LeaderBeat"/>.</summary>
    public LogPosition Fence { get; set; }

    /// <summary>Nodes that follow and do not vote yet: they are told as well, so that their promises count from the moment at which they vote.</summary>
    public IReadOnlyList<string> Learners { get; set; } = [];

    /// <summary>True from an election to the end of the last promises; ask <see cref="LeadsUntil"/> before acting.</summary>
    public bool IsLeading { get; private set; }

    /// <summary>Term in which this node leads or last led.</summary>
    public long Term { get; private set; }

    /// <summary>When the promises of a majority end, ms; <see cref="long.MaxValue"/> for a single node.</summary>
    public long LeadsUntil { get; private set; }

    /// <summary>Says who votes.</summary>
    public void SetMembers(MemberList members)
    {
        ArgumentNullException.ThrowIfNull(members);
        _sets = members.Former is null ? [Voters(members.Nodes, members.Witness)] : [Voters(members.Nodes, members.Witness), Voters(members.Former, members.FormerWitness)];
        _voters = [.. _sets.SelectMany(s => s).Distinct(StringComparer.Ordinal)];
        if (_voters.Length == 1)
            _standAt = 0; // Nobody could stand at the same time.
        if (IsLeading)
            LeadsUntil = Lease();
    }

    /// <summary>True when a majority of the voters has something: whoever is elected from now on needs one that has it.</summary>
    public bool IsHeld(Func<string, bool> holds)
    {
        foreach (string[] set in _sets)
            if (set.Count(holds) < MajorityOf(set.Length))
                return false;
        return _sets.Length > 0;
    }

    /// <summary>The smallest number of voters that is more than half.</summary>
    public static int MajorityOf(int voters) => (voters / 2) + 1;

    private static string[] Voters(IReadOnlyList<Member> nodes, string? witness) =>
        HasMoreVoters(nodes, witness) ? [.. nodes.Select(n => n.Name), witness is null or MemberList.Fence ? Parent : Witness + witness] : [.. nodes.Select(n => n.Name)];

    /// <summary>True when somebody votes who is no node of the site.</summary>
    public static bool HasMoreVoters(IReadOnlyList<Member> nodes, string? witness)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        return nodes.Count > 0 && nodes.Count % 2 == 0 && (nodes.Count > 2 || witness != MemberList.Fence);
    }

    private static bool IsOutside(string voter) => voter[0] == '@';

    /// <summary>Time passes.</summary>
    public void Tick(long nowMs, ICollection<ElectionSend> send)
    {
        ArgumentNullException.ThrowIfNull(send);
        if (IsLeading)
            Lead(nowMs, send);
        else if (Array.IndexOf(_voters, _options.Self) >= 0)
            Stand(nowMs, send);
    }

    /// <summary>A voter answered a request that was sent at <paramref name="sentAtMs"/>.</summary>
    public void On(VoteReply reply, VoteRequest asked, long sentAtMs, long nowMs, ICollection<ElectionSend> send)
    {
        ArgumentNullException.ThrowIfNull(reply);
        ArgumentNullException.ThrowIfNull(asked);
        ArgumentNullException.ThrowIfNull(send);
        _highestTerm = Math.Max(_highestTerm, reply.Term);
        if (IsLeading || nowMs >= _attemptEnds || asked.Pre != _pre || asked.Term != Term || sentAtMs < _askedAt || Array.IndexOf(_voters, reply.From) < 0)
            return;
        if (!reply.Granted)
            return;
        _granted.Add(reply.From);
        if (!_pre)
            _promised[reply.From] = sentAtMs;
        Count(nowMs, send);
    }

    /// <summary>A voter answered a beat that was sent at <paramref name="sentAtMs"/>.</summary>
    public void On(BeatReply reply, LeaderBeat beat, long sentAtMs, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(reply);
        ArgumentNullException.ThrowIfNull(beat);
        _highestTerm = Math.Max(_highestTerm, reply.Term);
        if (!IsLeading || beat.Term != Term)
            return;
        if (nowMs - sentAtMs > _options.AnswerMs)
            return;
        if (reply.Accepted)
            _promised[reply.From] = Math.Max(sentAtMs, _promised.GetValueOrDefault(reply.From, long.MinValue));
        else if (reply.Term > Term || (reply.Term == Term && Array.IndexOf(_voters, reply.From) < 0))
        {
            // It voted in a term that came to nothing, and would never follow this one, or become a voter in it.
            StepDown(nowMs);
            return;
        }
        LeadsUntil = Lease();
        if (nowMs >= LeadsUntil)
            StepDown(nowMs);
    }

    /// <summary>Gives the lead up: others may be elected as soon as the promises end.</summary>
    public void StepDown(long nowMs)
    {
        IsLeading = false;
        LeadsUntil = 0;
        _promised.Clear();
        _standAt = nowMs + _options.BeatMs + Jitter();
    }

    private void Lead(long nowMs, ICollection<ElectionSend> send)
    {
        if (nowMs >= LeadsUntil || (_voter.Record.Term > Term))
        {
            StepDown(nowMs);
            return;
        }
        if (nowMs - _lastBeat < _options.BeatMs)
            return;
        _lastBeat = nowMs;
        var beat = new LeaderBeat(_options.Self, Term, _options.LeaseMs, Fence);
        _voter.Hear(beat, Position, nowMs);
        _promised[_options.Self] = nowMs;
        // The parent is far, and a witness small: they are asked when the nodes' own promises are half used up.
        bool alone = Lease(nodesOnly: true) - nowMs < _options.LeaseMs / 2;
        foreach (string voter in _voters)
            if (voter != _options.Self && (!IsOutside(voter) || alone))
                send.Add(new ElectionSend(voter, null, beat, nowMs));
        foreach (string learner in Learners)
            if (Array.IndexOf(_voters, learner) < 0)
                send.Add(new ElectionSend(learner, null, beat, nowMs));
        LeadsUntil = Lease();
    }

    private void Stand(long nowMs, ICollection<ElectionSend> send)
    {
        if (_voter.IsPromisedAway(_options.Self, nowMs))
        {
            _standAt = _voter.PromisedUntil + Jitter();
            _attemptEnds = 0;
            return;
        }
        if (nowMs < _standAt)
            return;
        _standAt = nowMs + _options.BeatMs + Jitter();
        Attempt(pre: _voters.Length > 1, nowMs, send);
    }

    private void Attempt(bool pre, long nowMs, ICollection<ElectionSend> send)
    {
        _pre = pre;
        _granted.Clear();
        _promised.Clear();
        _askedAt = nowMs;
        _attemptEnds = nowMs + _options.BeatMs;
        Term = Math.Max(_voter.Record.Term, _highestTerm) + 1;
        var request = new VoteRequest(_options.Self, Term, pre, Position, _options.LeaseMs, _options.FenceMs);
        if (!_voter.Ask(request, Position, nowMs).Granted)
            return;
        _granted.Add(_options.Self);
        if (!pre)
            _promised[_options.Self] = nowMs;
        foreach (string voter in _voters)
            if (voter != _options.Self)
                send.Add(new ElectionSend(voter, request, null, nowMs));
        Count(nowMs, send);
    }

    private void Count(long nowMs, ICollection<ElectionSend> send)
    {
        foreach (string[] set in _sets)
            if (set.Count(_granted.Contains) < MajorityOf(set.Length))
                return;
        if (_pre)
        {
            Attempt(pre: false, nowMs, send);
            return;
        }
        LeadsUntil = Lease();
        if (nowMs >= LeadsUntil)
            return;
        IsLeading = true;
        _attemptEnds = 0;
        _lastBeat = nowMs - _options.BeatMs;
        Lead(nowMs, send);
    }

    // The moment at which fewer than a majority still promise: the majority-th newest promise decides, in each list.
    private long Lease(bool nodesOnly = false)
    {
        long lease = _sets.Length == 0 ? 0 : long.MaxValue;
        foreach (string[] set in _sets)
            if (set.Length != 1 || set[0] != _options.Self)
                lease = Math.Min(lease, Lease(set, nodesOnly));
        return lease;
    }

    private long Lease(string[] set, bool nodesOnly)
    {
        var promised = new List<long>(set.Length);
        foreach (string voter in set)
            if (!(nodesOnly && IsOutside(voter)) && _promised.TryGetValue(voter, out long at))
                promised.Add(at);
        int majority = MajorityOf(set.Length);
        if (promised.Count < majority)
            return 0;
        promised.Sort();
        return promised[^majority] + _options.LeaseMs - _options.MarginMs;
    }

    private long Jitter() => _random.NextInt64(_options.JitterMs + 1);
}
