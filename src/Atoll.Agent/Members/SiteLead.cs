using Atoll.Link.Members;
using Atoll.Store;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Members;

/// <summary>
/// The shell around <see cref="Election"/>: its timer, its messages, its records, and the task that runs while this node leads.
/// A site of one node that listens for nobody leads from its start and sends nothing.
/// </summary>
internal sealed class SiteLead : ISiteLead
{
    public const string WitnessVotePath = "/witness/v1/vote", WitnessBeatPath = "/witness/v1/beat";

    private static readonly TimeSpan s_tick = TimeSpan.FromMilliseconds(200), s_idle = TimeSpan.FromSeconds(2), s_answer = TimeSpan.FromMilliseconds(1500);

    private readonly SiteLeadOptions _options;
    private readonly IStore _store;
    private readonly LanClient _lan;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _saving = new(1, 1);
    private readonly Dictionary<string, LogPosition> _followed = new(StringComparer.Ordinal);
    private readonly Voter _voter;
    private readonly Election _election;
    private readonly IdentityFence _fence;
    private readonly long _start;
    private VoterRecord _saved;
    private MemberList _members;
    private IReadOnlyList<Member> _learners = [];
    private long _membersRevision;

    private SiteLead(SiteLeadOptions options, IStore store, LanClient lan, TimeProvider time, Random random, ILogger log, VoterRecord voter, CopyPosition position, MemberList members, long membersRevision)
    {
        (_options, _store, _lan, _time, _log, _saved, _members, _membersRevision) = (options, store, lan, time, log, voter, members, membersRevision);
        _start = time.GetTimestamp();
        long dead = (long)options.DeadAfter.TotalMilliseconds;
        var election = new ElectionOptions { Self = options.Self.Name, LeaseMs = dead * 3 / 4, BeatMs = dead * 3 / 16, JitterMs = dead / 8, MarginMs = dead * 3 / 40, FenceMs = Math.Max(1, IdentityFence.WaitMs((long)options.IdentityLease.TotalMilliseconds)) };
        _voter = new Voter(options.Self.Name, election.LeaseMs, voter, 0);
        _election = new Election(election, _voter, random, 0) { Position = position.Led ? new LogPosition(position.Term, store.CurrentRevision) : new LogPosition(position.Term, position.Revision) };
        _election.SetMembers(members);
        Alive = new Liveness(dead, 0);
        _fence = new IdentityFence((long)options.IdentityLease.TotalMilliseconds);
    }

    /// <summary>Reads the records; the first node of a site makes them.</summary>
    public static async Task<SiteLead> OpenAsync(SiteLeadOptions options, IStore store, LanClient lan, TimeProvider time, Random random, ILogger log, CancellationToken cancellation)
    {
        (MemberList members, long revision) = await SiteRecords.MembersAsync(store, cancellation);
        bool alone = options.Self.Address.Length == 0;
        if (alone || (members.Nodes.Count == 0 && options.Peers.Count == 0))
        {
            members = new MemberList([options.Self]);
            if (!alone)
            {
                await SiteRecords.WriteAsync(store, cancellation, SiteRecords.Write(members));
                (members, revision) = await SiteRecords.MembersAsync(store, cancellation);
            }
        }
        return new SiteLead(options, store, lan, time, random, log, await SiteRecords.VoterAsync(store, options.Peers.Count > 0, cancellation), await SiteRecords.PositionAsync(store, cancellation), members, revision);
    }

    /// <summary>This node.</summary>
    public Member Self => _options.Self;

    /// <summary>Nodes that follow this leader and do not vote yet.</summary>
    public IReadOnlyList<Member> Learners
    {
        get
        {
            lock (_lock)
                return _learners;
        }

        set
        {
            lock (_lock)
            {
                _learners = value;
                _election.Learners = [.. value.Select(m => m.Name)];
            }
        }
    }

    /// <summary>True for a site of one node that listens for nobody.</summary>
    public bool IsAlone => _options.Self.Address.Length == 0;

    /// <summary>Addresses of peers as configured.</summary>
    public IReadOnlyList<string> Peers => _options.Peers;

    /// <summary>The site's witness as this node is configured; <see cref="MemberList.Fence"/>: the other of two is switched off instead.</summary>
    public string? Witness => _options.Witness;

    /// <summary>When nodes were last heard. Guarded by <see cref="Locked"/>.</summary>
    private Liveness Alive { get; }

    /// <summary>True while this node leads: nobody else does.</summary>
    public bool IsLeading
    {
        get
        {
            lock (_lock)
                return _election.IsLeading && Now < _election.LeadsUntil;
        }
    }

    /// <summary>The term in which this node leads, or the newest that it knows.</summary>
    public long Term
    {
        get
        {
            lock (_lock)
                return _election.IsLeading ? _election.Term : _voter.Record.Term;
        }
    }

    /// <summary>The node that leads as far as this one knows, or null.</summary>
    public Member? Leader
    {
        get
        {
            lock (_lock)
                return _election.IsLeading ? _options.Self : _voter.Holder is { } holder && Now < _voter.PromisedUntil && _voter.Record.VotedFor == holder ? _members.Find(holder) : null;
        }
    }

    /// <summary>The site's voters.</summary>
    public MemberList Members
    {
        get
        {
            lock (_lock)
                return _members;
        }
    }

    /// <summary>The list and the revision at which this node's store got it.</summary>
    public (MemberList List, long Revision) MembersAndRevision
    {
        get
        {
            lock (_lock)
                return (_members, _membersRevision);
        }
    }

    /// <summary>How far this node's state goes.</summary>
    public LogPosition Position
    {
        get
        {
            lock (_lock)
                return _election.IsLeading ? new LogPosition(_election.Term, _store.CurrentRevision) : _election.Position;
        }
    }

    /// <summary>For how long an answer of the leader lets a node run pods with an identity; zero: they are neither stopped nor replaced.</summary>
    public TimeSpan IdentityLease => _options.IdentityLease;

    /// <summary>A node's lease for pods with an identity runs on: the position to answer with, or null when this node may not answer.</summary>
    public LogPosition? Prolong(string node)
    {
        lock (_lock)
            return IsLeading && _fence.Answer(node, Now) ? Position : null;
    }

    /// <summary>How long it takes until a silent node certainly runs no pod with an identity.</summary>
    public TimeSpan FencedIn(string node)
    {
        lock (_lock)
            return TimeSpan.FromMilliseconds(_fence.RemainingMs(node, Now));
    }

    /// <summary>Says which nodes' leases do not run on, because what they ran waits to be started by others.</summary>
    public void Withhold(IReadOnlySet<string> nodes)
    {
        lock (_lock)
            _fence.Withhold(nodes);
    }

    /// <summary>Nobody may lead who does not know this node's state as it is now.</summary>
    public LogPosition RaiseFence()
    {
        lock (_lock)
            return _election.Fence = Position;
    }

    /// <summary>True when a majority of the voters knows this node's state up to a position.</summary>
    public bool IsHeld(LogPosition position)
    {
        lock (_lock)
            return IsLeading && _election.IsHeld(name => name == _options.Self.Name || (_followed.TryGetValue(name, out LogPosition at) && at.CompareTo(position) >= 0));
    }

    /// <summary>How far a node has followed this leader; null when it is not known.</summary>
    public LogPosition? Followed(string node)
    {
        lock (_lock)
            return _followed.TryGetValue(node, out LogPosition at) ? at : null;
    }

    /// <summary>Monotonic time of this node, ms.</summary>
    public long Now => (long)_time.GetElapsedTime(_start).TotalMilliseconds;

    /// <summary>A node proved to be alive.</summary>
    public void Heard(string node)
    {
        lock (_lock)
            Alive.Heard(node, Now);
    }

    /// <summary>A supervisor's beat came; false for one that is too old to prove anything.</summary>
    public bool Beat(string node, ulong counter)
    {
        lock (_lock)
            return Alive.Beat(node, counter, Now);
    }

    /// <summary>Silence after which a node is dead.</summary>
    public TimeSpan DeadAfter => _options.DeadAfter;

    /// <summary>How long a node has been silent.</summary>
    public TimeSpan SilentFor(string node)
    {
        lock (_lock)
            return TimeSpan.FromMilliseconds(Alive.SilentFor(node, Now));
    }

    /// <summary>True when nothing was heard of a node for so long that it counts as dead.</summary>
    public bool IsDead(string node)
    {
        lock (_lock)
            return node != _options.Self.Name && Alive.IsDead(node, Now);
    }

    /// <summary>This node's copy came so far.</summary>
    public void Copied(CopyPosition position)
    {
        lock (_lock)
            _election.Position = new LogPosition(position.Term, position.Revision);
    }

    /// <summary>Voters that were heard within the time in which a silent one dies; this node is one of them.</summary>
    public int VotersInReach
    {
        get
        {
            lock (_lock)
                return _members.Nodes.Count(m => m.Name == _options.Self.Name || Alive.SilentFor(m.Name, Now) < _options.DeadAfter.TotalMilliseconds);
        }
    }

    /// <summary>True when a copy of that term may be followed: its leader is not known to be a former one.</summary>
    public bool MayFollow(long term)
    {
        lock (_lock)
            return term >= _voter.Record.Term;
    }

    /// <summary>Answers a peer that wants to lead.</summary>
    public async Task<VoteReply> AnswerAsync(VoteRequest request, CancellationToken cancellation)
    {
        VoteReply reply;
        lock (_lock)
            reply = _voter.Ask(request, _election.Position, Now);
        await SaveAsync(cancellation);
        return reply;
    }

    /// <summary>Answers a peer that leads.</summary>
    public async Task<BeatReply> AnswerAsync(LeaderBeat beat, CancellationToken cancellation)
    {
        BeatReply reply;
        lock (_lock)
        {
            reply = _voter.Hear(beat, _election.Position, Now);
            Alive.Heard(beat.From, Now);
        }
        await SaveAsync(cancellation);
        return reply;
    }

    /// <summary>Takes part until cancelled; runs <paramref name="lead"/> while this node leads and ends it when it does not.</summary>
    public async Task RunAsync(Func<CancellationToken, Task> lead, CancellationToken cancellation)
    {
        Task members = IsAlone ? Task.Delay(Timeout.InfiniteTimeSpan, _time, cancellation) : FollowMembersAsync(cancellation);
        Task? leading = null;
        CancellationTokenSource? stop = null;
        try
        {
            while (true)
            {
                await TickAsync(cancellation);
                bool leads = IsLeading;
                if (leads && leading is null)
                {
                    _log.LogInformation("This node leads the site, term {Term}", Term);
                    await BeginAsync(cancellation);
                    stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                    leading = lead(stop.Token);
                }
                else if (!leads && leading is not null)
                {
                    _log.LogWarning("This node no longer leads the site: fewer than a majority of its voters answered in time");
                    await EndAsync(leading, stop!);
                    (leading, stop) = (null, null);
                    await RecordAsync(CancellationToken.None);
                }
                Task pause = Task.Delay(IsAlone ? s_idle : s_tick, _time, cancellation);
                // What leads ends only when asked to, or by a broken invariant that must be seen.
                Task ended = leading is null ? await Task.WhenAny(pause, members) : await Task.WhenAny(pause, members, leading);
                await ended;
                if (ended == leading)
                    throw new InvalidOperationException("leading ended by itself");
            }
        }
        finally
        {
            if (leading is not null)
                await EndAsync(leading, stop!);
        }
    }

    /// <summary>A new list of voters, of the leader, or of a node that is about to lead alone.</summary>
    public async Task SetMembersAsync(MemberList members, CancellationToken cancellation)
    {
        // In force here before anybody else can have it.
        lock (_lock)
        {
            (_members, _membersRevision) = (members, long.MaxValue);
            _election.SetMembers(members);
            _fence.Off = members.Fenced;
        }
        await SiteRecords.WriteAsync(_store, cancellation, SiteRecords.Write(members));
        (_, long revision) = await SiteRecords.MembersAsync(_store, cancellation);
        lock (_lock)
            _membersRevision = revision;
        _log.LogInformation("The site's voters are {Members}{Change}", string.Join(", ", members.Nodes.Select(n => n.Name)), members.Former is null ? "" : " (until a majority has this, the former ones as well)");
    }

    private static async Task EndAsync(Task leading, CancellationTokenSource stop)
    {
        using (stop)
            await stop.CancelAsync();
        await leading.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    // From here on the state is this node's: whatever it writes counts as newer than what anybody copied before.
    private async Task BeginAsync(CancellationToken cancellation)
    {
        lock (_lock)
        {
            _followed.Clear();
            _fence.Began(Now);
            _election.Fence = default;
        }
        await RecordAsync(cancellation);
    }

    private async Task RecordAsync(CancellationToken cancellation)
    {
        if (IsAlone)
            return;
        long term;
        lock (_lock)
        {
            term = _election.Term;
            _election.Position = new LogPosition(term, _store.CurrentRevision);
        }
        foreach (StoreWrite[] part in (await SiteRecords.LedAsync(_store, term, cancellation)).Chunk(500))
            await SiteRecords.WriteAsync(_store, cancellation, part);
    }

    private async Task TickAsync(CancellationToken cancellation)
    {
        var send = new List<ElectionSend>();
        lock (_lock)
            _election.Tick(Now, send);
        await SendAsync(send, cancellation);
    }

    // What was voted is durable before anybody hears of it.
    private async Task SendAsync(List<ElectionSend> send, CancellationToken cancellation)
    {
        await SaveAsync(cancellation);
        foreach (ElectionSend message in send)
            _ = DeliverAsync(message, cancellation);
    }

    private async Task SaveAsync(CancellationToken cancellation)
    {
        if (IsAlone)
            return;
        await _saving.WaitAsync(cancellation);
        try
        {
            VoterRecord record;
            lock (_lock)
                record = _voter.Record;
            if (record == _saved)
                return;
            await SiteRecords.WriteAsync(_store, cancellation, SiteRecords.Write(record));
            _saved = record;
        }
        finally
        {
            _saving.Release();
        }
    }

    private async Task DeliverAsync(ElectionSend message, CancellationToken cancellation)
    {
        try
        {
            using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            limit.CancelAfter(s_answer);
            if (message.Vote is { } vote)
                await VoteAsync(message, vote, limit.Token, cancellation);
            else if (message.Beat is { } beat)
                await BeatAsync(message, beat, limit.Token);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The agent ends.
        }
    }

    private async Task VoteAsync(ElectionSend message, VoteRequest vote, CancellationToken limit, CancellationToken cancellation)
    {
        VoteReply? reply = message.To == Election.Parent
            ? await _lan.AskParentAsync(WitnessVotePath, vote, MemberJson.Default.VoteRequest, MemberJson.Default.VoteReply, limit)
            : AddressOf(message.To) is { } to ? await _lan.AskAsync(to, LanClient.VotePath, vote, MemberJson.Default.VoteRequest, MemberJson.Default.VoteReply, limit) : null;
        if (reply?.From == Election.Witness && message.To.StartsWith(Election.Witness, StringComparison.Ordinal))
            reply = reply with { From = message.To };
        if (reply is null || reply.From != message.To)
            return;
        var send = new List<ElectionSend>();
        lock (_lock)
        {
            Alive.Heard(reply.From, Now);
            _election.On(reply, vote, message.SentAtMs, Now, send);
        }
        await SendAsync(send, cancellation);
    }

    private async Task BeatAsync(ElectionSend message, LeaderBeat beat, CancellationToken limit)
    {
        BeatReply? reply = message.To == Election.Parent
            ? await _lan.AskParentAsync(WitnessBeatPath, beat, MemberJson.Default.LeaderBeat, MemberJson.Default.BeatReply, limit)
            : AddressOf(message.To) is { } to ? await _lan.AskAsync(to, LanClient.BeatPath, beat, MemberJson.Default.LeaderBeat, MemberJson.Default.BeatReply, limit) : null;
        if (reply?.From == Election.Witness && message.To.StartsWith(Election.Witness, StringComparison.Ordinal))
            reply = reply with { From = message.To };
        if (reply is null || reply.From != message.To)
            return;
        lock (_lock)
        {
            Alive.Heard(reply.From, Now);
            if (reply.Accepted)
                _followed[reply.From] = reply.Position;
            _election.On(reply, beat, message.SentAtMs, Now);
        }
    }

    // A witness does not know by which address it is asked: it is named by that.
    private string? AddressOf(string voter) => voter.StartsWith(Election.Witness, StringComparison.Ordinal) ? voter[Election.Witness.Length..]
        : (Members.Find(voter) ?? Learners.FirstOrDefault(m => m.Name == voter))?.Address;

    private async Task FollowMembersAsync(CancellationToken cancellation)
    {
        byte[] end = [.. SiteRecords.MembersKey.Span, 0];
        while (true)
        {
            long from = _store.CurrentRevision;
            (MemberList list, long at) = await SiteRecords.MembersAsync(_store, cancellation);
            lock (_lock)
                if (!_election.IsLeading)
                {
                    (_members, _membersRevision) = (list, at);
                    _election.SetMembers(list);
                    if (list.Fenced != _fence.Off)
                        _fence.Off = null;
                }
            await foreach (StoreEvents batch in _store.WatchAsync(SiteRecords.MembersKey, end, from, cancellation))
                if (batch.Events.Count > 0 || batch.Error != StoreError.None)
                    break;
        }
    }
}
