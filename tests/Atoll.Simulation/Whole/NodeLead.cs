using Atoll.Agent.Members;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Link.Members;
using Atoll.Store;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.Simulation.Whole;

/// <summary>
/// A node's part in who leads its site: the shell around the real election, voter, liveness, membership and replacements, as the
/// agent has it, over the site's network and the node's own disk and clock.
/// </summary>
internal sealed class NodeLead : ISiteLead
{
    /// <summary>As an agent with <c>--dead-after 8</c>.</summary>
    private const long DeadMs = 8000, LeaseMs = DeadMs * 3 / 4;

    private readonly World _world;
    private readonly Node _node;
    private readonly int _life;
    private readonly Voter _voter;
    private readonly Election _election;
    private readonly Liveness _alive;
    private readonly Dictionary<string, LogPosition> _followed = new(StringComparer.Ordinal);
    private readonly bool _alone;
    private MemberList _members;
    private IReadOnlyList<Member> _learners = [];
    private VoterRecord _saved;
    private long _membersRevision;
    private bool _leads;

    public NodeLead(World world, Node node)
    {
        (_world, _node, _life, _alone) = (world, node, node.Life, node.Site.Nodes.Count == 1);
        Self = new Member(node.Name, _alone ? "" : node.Name);
        NodeStore store = node.Store;
        (_members, _membersRevision) = SiteRecords.MembersAsync(store, default).Result;
        // The first node of a site makes it.
        if (_alone)
            _members = new MemberList([Self]);
        else if (_members.Nodes.Count == 0 && !node.HasPeers)
            SetMembers(new MemberList([Self]));
        CopyPosition position = SiteRecords.PositionAsync(store, default).Result;
        _saved = SiteRecords.VoterAsync(store, node.HasPeers, default).Result;
        _voter = new Voter(node.Name, LeaseMs, _saved, Now);
        var options = new ElectionOptions { Self = node.Name, LeaseMs = LeaseMs, BeatMs = DeadMs * 3 / 16, JitterMs = DeadMs / 8, MarginMs = DeadMs * 3 / 40 };
        _election = new Election(options, _voter, world.Random, Now) { Position = new LogPosition(position.Term, position.Led ? store.CurrentRevision : position.Revision) };
        _election.SetMembers(_members);
        _alive = new Liveness(DeadMs, Now);
    }

    public Member Self { get; }

    public bool IsLeading => IsAlive && (_alone || (_election.IsLeading && Now < _election.LeadsUntil));

    public TimeSpan DeadAfter => TimeSpan.FromMilliseconds(DeadMs);

    public MemberList Members => _members;

    public long Term => _election.IsLeading ? _election.Term : _voter.Record.Term;

    /// <summary>True while what a leader does is done here: its store is the site's.</summary>
    public bool Serves { get; private set; }

    public Node? Leader => _election.IsLeading ? _node : _voter.Holder is { } holder && Now < _voter.PromisedUntil && _voter.Record.VotedFor == holder && _members.Find(holder) is not null ? _node.Site.Find(holder) : null;

    private long Now => (long)(_world.Now * _node.ClockRate);

    private bool IsAlive => _life == _node.Life;

    public TimeSpan SilentFor(string node) => TimeSpan.FromMilliseconds(_alive.SilentFor(node, Now));

    public bool IsDead(string node) => node != _node.Name && _alive.IsDead(node, Now);

    public void Heard(string node) => _alive.Heard(node, Now);

    public void Beat(string node, ulong counter) => _alive.Beat(node, counter, Now);

    public bool MayFollow(long term) => term >= _voter.Record.Term;

    public void Copied(CopyPosition position) => _election.Position = new LogPosition(position.Term, position.Revision);

    public void Start()
    {
        if (_alone)
            Begin();
        else
            Tick();
    }

    /// <summary>The list in this node's store changed.</summary>
    public void MembersChanged()
    {
        if (_election.IsLeading)
            return;
        (_members, _membersRevision) = SiteRecords.MembersAsync(_node.Store, default).Result;
        _election.SetMembers(_members);
    }

    private void Tick()
    {
        if (!IsAlive)
            return;
        var send = new List<ElectionSend>();
        _election.Tick(Now, send);
        Send(send);
        _world.Checks.Leads(_node);
        if (IsLeading && !_leads)
            Begin();
        else if (!IsLeading && _leads)
            End();
        _world.At(200, Tick);
    }

    private void Begin()
    {
        _world.Trace($"{_node.Name}: leads, term {_election.Term}");
        _leads = true;
        _followed.Clear();
        Record(() =>
        {
            if (!_leads)
                return;
            Serves = true;
            _node.BeginToLead();
            if (_alone)
                return;
            Membership(_election.Term);
            Replacements(_election.Term);
        });
    }

    private void End()
    {
        _world.Trace($"{_node.Name}: no longer leads");
        (_leads, Serves) = (false, false);
        _node.EndToLead();
        Record(static () => { });
    }

    private void Record(Action done)
    {
        if (_alone)
        {
            done();
            return;
        }
        _election.Position = new LogPosition(_election.Term, _node.Store.CurrentRevision);
        _node.Store.Commit(SiteRecords.LedAsync(_node.Store, _election.Term, default).Result, done);
    }

    // What was voted is durable before anybody hears of it.
    private void Save(Action then)
    {
        var writes = new List<StoreWrite>();
        if (_voter.Record != _saved && !_alone)
            writes.Add(SiteRecords.Write(_saved = _voter.Record));
        _node.Store.Commit(writes, then);
    }

    private void Send(List<ElectionSend> send)
    {
        if (send.Count > 0)
            Save(() =>
            {
                foreach (ElectionSend message in send)
                    Deliver(message);
            });
    }

    private void Deliver(ElectionSend message)
    {
        if (message.To == Election.Parent)
            _world.Centre.Ask(_node, message, Answered);
        else if ((_members.Find(message.To) ?? _learners.FirstOrDefault(m => m.Name == message.To)) is not null && _node.Site.Find(message.To) is { } to)
            _node.Site.Lan.Send(_node, to, () => to.Lead!.Asked(_node, message, Answered));

        void Answered(VoteReply? vote, BeatReply? beat)
        {
            if (IsAlive && Now - message.SentAtMs < 1500)
                Take(message, vote, beat);
        }
    }

    private void Asked(Node from, ElectionSend message, Action<VoteReply?, BeatReply?> answered)
    {
        VoteReply? vote = message.Vote is { } asked ? _voter.Ask(asked, _election.Position, Now) : null;
        BeatReply? beat = message.Beat is { } told ? _voter.Hear(told, _election.Position, Now) : null;
        if (beat is not null)
            Heard(from.Name);
        Save(() => _node.Site.Lan.Send(_node, from, () => answered(vote, beat)));
    }

    private void Take(ElectionSend message, VoteReply? vote, BeatReply? beat)
    {
        var send = new List<ElectionSend>();
        Heard((vote?.From ?? beat?.From)!);
        if (vote is not null)
            _election.On(vote, message.Vote!, message.SentAtMs, Now, send);
        if (beat is not null)
        {
            _followed[beat.From] = beat.Position;
            _election.On(beat, message.Beat!, message.SentAtMs, Now);
        }
        Send(send);
    }

    private void SetMembers(MemberList members)
    {
        // In force here before anybody else can have it.
        (_members, _membersRevision) = (members, long.MaxValue);
        _election?.SetMembers(members);
        _node.Store.Commit((StoreWrite[])[SiteRecords.Write(members)], () => _membersRevision = _node.Store.CurrentRevision);
    }

    private void Membership(long term)
    {
        if (!Leads(term))
            return;
        var position = new LogPosition(Term, _membersRevision);
        bool IsRegistered(string name) => _node.Store.Find(Kinds.Node, name) is not null;
        bool IsHeld(string name) => name == _node.Name || !IsRegistered(name) || (_followed.TryGetValue(name, out LogPosition at) && at.CompareTo(position) >= 0);
        Member[] present = [Self, .. _node.Site.Nodes.Where(n => n != _node && _node.Followers.Exists(f => f.Follower == n)).Select(n => new Member(n.Name, n.Name))];
        _learners = present;
        _election.Learners = [.. present.Select(m => m.Name)];
        if (Atoll.Link.Members.Membership.Next(_node.Name, _members, IsHeld, [.. present.Where(m => m.Name == _node.Name || _followed.ContainsKey(m.Name))], IsRegistered) is { } next)
        {
            _world.Trace($"{_node.Name}: voters {string.Join(' ', next.Nodes.Select(n => n.Name))}{(next.Former is null ? "" : " after " + string.Join(' ', next.Former.Select(n => n.Name)))}");
            SetMembers(next);
        }
        _world.At(1000, () => Membership(term));
    }

    private void Replacements(long term)
    {
        var api = new NodeApi(_world, _node);
        var replacements = new SiteReplacements(this, api, (_, _) => throw new InvalidOperationException("no identity moves here"), (_, _, _) => { }, uid => _node.Uplink?.State.Outbox.Held.ContainsKey(uid) == true, _world.Time, NullLogger.Instance);
        var events = new EventRecorder(api, _world.Time, "site", _node.Name);
        Step();

        void Step()
        {
            if (!Leads(term))
                return;
            Task step = replacements.StepAsync([.. _node.Store.All(Kinds.Node)], [.. _node.Store.All(Kinds.Pod)], [], events, default);
            step.ContinueWith(done => _world.At(500, () =>
            {
                done.GetAwaiter().GetResult();
                Step();
            }), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    private bool Leads(long term) => IsAlive && Serves && _election.Term == term;
}
