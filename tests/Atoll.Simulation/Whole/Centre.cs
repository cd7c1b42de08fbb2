using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Hub;
using Atoll.Link;
using Atoll.Link.Members;
using Atoll.Orchestration;
using Atoll.Orchestration.Binding;
using Atoll.Orchestration.Loop;
using Atoll.UnitTests.Orchestration;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.Simulation.Whole;

/// <summary>
/// The centre: an API whose writes are durable a little later, the real controllers and placement over mirrors that lag, the
/// real scopes and outcomes, and a session for each site. Nothing is seen, sent or acknowledged before it is durable; a
/// crash loses some of what was not.
/// </summary>
internal sealed class Centre : IScopeItems
{
    private const long LongestLeaseMs = 45_000;

    private static readonly CancellationToken s_never = CancellationToken.None;

    private readonly World _world;
    private readonly List<KubeObject?> _before = [];
    private readonly Queue<(long Revision, Action Action)> _waiting = new();
    private readonly Dictionary<ResourceType, int> _seen = [], _hubSeen = [];
    private readonly Dictionary<(ResourceType, string), KubeObject> _mirrored = [], _hubMirrored = [];
    private readonly Dictionary<string, Line> _lines = new(StringComparer.Ordinal);
    private Cluster? _cluster;
    private List<Controller> _controllers = [];
    private PlacementLoop? _placement;
    private HubState _hub = new(0);
    private Outcomes _outcomes = null!;
    private Adoption _adoption = null!;
    private Orphans _orphans = null!;
    private string _incarnation = "00000000-0000-0000-0000-00000000000c";
    private long _epoch = 1;
    private Dictionary<string, Voter> _witnesses = [];
    private RecentBodies _bodies = new(2 << 20);
    private long _durable;
    private bool _flushing, _working;
    private long _startedAt;

    public Centre(World world)
    {
        _world = world;
        Api = new FakeApi(world.Time, 1L << 48) { Stored = OnStored };
    }

    public FakeApi Api { get; }

    /// <summary>Counts lives: what an earlier one began does not end in a later one.</summary>
    public int Life { get; private set; }

    public bool IsUp { get; private set; }

    /// <summary>Who writes now, for the checker of single writers: <c>user</c>, <c>controller</c>, <c>hub</c> or <c>site NAME</c>.</summary>
    public string Writer { get; private set; } = "user";

    public SiteScopes Scopes => _hub.Scopes;

    /// <summary>Whatever is not above it survives every crash.</summary>
    public long Durable => _durable;

    /// <inheritdoc/>
    public LinkItem? Read(string uid) =>
        _hub.Scopes.Find(uid) is { } item ? new LinkItem(item.Key.Type.GroupResource, item.Key.Key, item.Uid, item.Version, item.Body) : null;

    /// <summary>The session of a site that counts, or null.</summary>
    public Line? LineOf(string site) => _lines.GetValueOrDefault(site);

    public void Start()
    {
        if (IsUp)
            return;
        IsUp = true;
        _startedAt = _world.Now;
        _world.Trace($"centre: starts at {Api.Revision}");
        _durable = Api.Revision;
        _seen.Clear();
        _hubSeen.Clear();
        _mirrored.Clear();
        _hubMirrored.Clear();
        _bodies = new RecentBodies(2 << 20);
        _hub = new HubState(Api.Revision);
        _outcomes = new Outcomes(Api, NullLogger.Instance);
        _adoption = new Adoption(Api, Api.ImportAsync, _world.Time, NullLogger.Instance);
        _orphans = new Orphans(Api, NullLogger.Instance);
        _witnesses = [];
        _cluster = new Cluster(Api, _world.Time, new Random(_world.Random.Next()), NullLoggerFactory.Instance);
        _placement = new PlacementLoop(_cluster);
        // What of a flavour could still be sold is looked at beside the world, and changes nothing in it.
        _controllers = OrchestrationHost.Controllers(_cluster, _placement.Fleet).FindAll(static c => c is not Atoll.Orchestration.Capacities.CapacityController);
        foreach (Copy copy in _cluster.Copies)
        {
            _seen[copy.Type] = Api.Log.Count;
            foreach (KubeObject value in Api.All(copy.Type))
                Show(copy, WatchEventType.Added, value);
        }
        foreach (ResourceType type in ScopeReferences.Types)
        {
            _hubSeen[type] = Api.Log.Count;
            foreach (KubeObject value in Api.All(type))
                ShowHub(type, WatchEventType.Added, value);
        }
        foreach (Controller controller in _controllers)
            foreach (string key in controller.Keys())
                controller.Queue.Add(key);
        Beat(Life);
        Wake();
    }

    public void Crash()
    {
        if (!IsUp)
            return;
        long kept = _durable + _world.Random.NextInt64(Api.Revision - _durable + 1);
        _world.Trace($"centre: crash, {Api.Revision - kept} writes lost");
        Stop(kept);
    }

    /// <summary>The store is put back to an older copy and begins a new epoch, as the guide to that says. What users and sites were told since is gone.</summary>
    public void Restore()
    {
        // Every copy has the Sites.
        int first = _world.Sites.Count, back = Api.Log.Count - first;
        if (!IsUp || back <= 1)
            return;
        int to = Api.Log.Count - 1 - _world.Below(_world.Chance(60) ? Math.Min(60, back) : back);
        long kept = Math.Min(_durable, Api.Log[to].Revision);
        _world.Trace($"centre: put back to {kept}, {Api.Revision - kept} writes before");
        _world.Checks.Restoring([.. Api.Log.Where(e => e.Revision > kept && e.Type == Kinds.Pod).Select(e => e.Object)]);
        Stop(kept);
        Api.BeginEpoch();
        _incarnation = $"00000000-0000-0000-0000-{++_epoch:x11}c";
        _world.Checks.Restored();
    }

    private void Stop(long kept)
    {
        Life++;
        IsUp = false;
        (_flushing, _working) = (false, false);
        _waiting.Clear();
        Api.Rewind(kept, i => _before[i]);
        _before.RemoveRange(Api.Log.Count, _before.Count - Api.Log.Count);
        foreach (Controller controller in _controllers)
            controller.Dispose();
        foreach (Line line in _lines.Values.ToList())
            line.CentreDied();
        _lines.Clear();
        int life = Life;
        _world.At(_world.Below(_world.Chance(20) ? 30_000 : 5000), () =>
        {
            if (life == Life)
                Start();
        });
    }

    public void Heal() => Start();

    /// <summary>A call of the API in somebody's name; it is durable when the world hears of it.</summary>
    public T As<T>(string writer, Func<FakeApi, T> call)
    {
        string before = Writer;
        Writer = writer;
        try
        {
            return call(Api);
        }
        finally
        {
            Writer = before;
            Flush();
            Wake();
        }
    }

    /// <summary>Runs an action when everything that was written until now is durable.</summary>
    public void WhenDurable(Action action)
    {
        if (_durable >= Api.Revision)
            action();
        else
            _waiting.Enqueue((Api.Revision, action));
    }

    public ParentSession NewSession() => new(new LinkOptions { Software = "sim", Bodies = _bodies, BehindMs = 2000, Fault = Line.Fault }, this, new Random(_world.Random.Next()));

    public LinkScope Open(Line line, SiteHello hello)
    {
        if (_lines.TryGetValue(line.Site.Name, out Line? before) && before != line)
            before.TellParent(new LinkInput.Close(LinkError.Superseded));
        _lines[line.Site.Name] = line;
        _world.At(_world.Below(100), () => Show(line.Site.Name));
        if (hello.Orphans == 0)
            _orphans.Offer(line.Site.Name, []);
        return _hub.Open(line.Site.Name, line.Site.Uid, hello, new LinkSequence(_incarnation, _durable));
    }

    public void Synced(Line line) => _hub.Follows(line.Site.Uid);

    public void Closed(Line line)
    {
        if (_lines.GetValueOrDefault(line.Site.Name) != line)
            return;
        _lines.Remove(line.Site.Name);
        _world.At(_world.Below(100), () => Show(line.Site.Name));
    }

    /// <summary>A site told all that it keeps and this centre does not know.</summary>
    public void Offered(Site site, IReadOnlyList<HeldItem> items) => _orphans.Offer(site.Name, items);

    /// <summary>An operator decides about what a site keeps, and the hub carries out what was decided, as far as it can.</summary>
    public void Decide(Site site, Func<IReadOnlyList<HeldItem>, IReadOnlyList<OrphanDecision>, JsonArray> operate)
    {
        if (_orphans.Of(site.Name) is not { Count: > 0 } offered || Api.Find(Kinds.Site, site.Name) is not { } before)
            return;
        if (operate(offered, before.View(ApiJson.Default.Site).Spec.Orphans ?? []) is { Count: > 0 } said)
            As("user", api => Done(api.PatchAsync(Kinds.Site, null, site.Name, PatchType.Merge, new JsonObject { ["spec"] = new JsonObject { ["orphans"] = said } }, s_never).AsTask()));
        As("operator", api => Done(_orphans.ReconcileAsync(api.Find(Kinds.Site, site.Name)!, _lines.GetValueOrDefault(site.Name), uid => Held(site, uid) is not null, s_never)));
    }

    /// <summary>Applies outcomes as the hub does: registrations first, each against the scope.</summary>
    public void Apply(Site site, OutcomeBatch batch)
    {
        KubeObject? value = Api.Find(Kinds.Site, site.Name);
        if (value is null)
            return;
        foreach (Outcome outcome in batch.Outcomes.OrderBy(o => o.Operation == "register" ? 0 : 1))
        {
            _world.Trace($"centre: {site.Name} says {outcome.Operation} of {outcome.Name} ({outcome.Uid})");
            As($"site {site.Name}", _ => Done(outcome is { Operation: "replace", Kind: "pods" }
                ? _adoption.AdoptAsync(site.Name, outcome, _hub.Scopes.SiteOfNode, uid => Held(site, uid), s_never)
                : _outcomes.ApplyAsync(value, outcome, (key, uid) => _hub.Scopes.Holds(site.Name, key, uid), s_never)));
        }
    }

    private ObjectKey? Held(Site site, string uid) => _hub.Scopes.Find(uid) is { } item && _hub.Scopes.Holds(site.Name, item.Key, uid) ? item.Key : null;

    /// <summary>A node asks for the centre's vote, as a witness of its site; the answer may never come.</summary>
    public void Ask(Node node, ElectionSend message, Action<VoteReply?, BeatReply?> answered)
    {
        if (!node.Site.IsInReach)
            return;
        _world.At(1 + _world.Below(200), () =>
        {
            if (!IsUp || !node.Site.IsInReach || _hub.Scopes.SiteOfNode(node.Name) != node.Site.Name)
                return;
            long now = _world.Now - _startedAt;
            // Its promises are in memory: after a start it waits for the end of whatever it may have promised.
            if (!_witnesses.TryGetValue(node.Site.Name, out Voter? witness))
                _witnesses[node.Site.Name] = witness = new Voter(Election.Parent, LongestLeaseMs, new VoterRecord(0, now < LongestLeaseMs ? "@before" : null), 0);
            VoteReply? vote = message.Vote is { } asked ? witness.Ask(asked, default, now) : null;
            BeatReply? beat = message.Beat is { } told ? witness.Hear(told, default, now) : null;
            _world.At(1 + _world.Below(200), () =>
            {
                if (node.Site.IsInReach)
                    answered(vote, beat);
            });
        });
    }

    private static bool Done(Task task)
    {
        if (!task.IsCompleted)
            throw new InvalidOperationException("In the simulation every call of the API ends at once.");
        task.GetAwaiter().GetResult();
        return true;
    }

    private void OnStored(ResourceType type, KubeObject? old, KubeObject? now)
    {
        _before.Add(old);
        _world.Checks.Stored(Writer, type, old, now);
    }

    private void Flush()
    {
        if (_flushing || _durable >= Api.Revision || !IsUp)
            return;
        _flushing = true;
        int life = Life;
        long revision = Api.Revision;
        _world.At(1 + _world.Below(_world.Chance(5) ? 200 : 10), () =>
        {
            if (life != Life)
                return;
            (_durable, _flushing) = (revision, false);
            while (life == Life && _waiting.TryPeek(out (long Revision, Action Action) next) && next.Revision <= revision)
            {
                _waiting.Dequeue();
                next.Action();
            }
            Wake();
            Flush();
        });
    }

    // Time alone makes controllers' keys due.
    private void Beat(int life) => _world.At(500, () =>
    {
        if (life != Life)
            return;
        Wake();
        Beat(life);
    });

    private void Wake()
    {
        if (_working || !IsUp)
            return;
        _working = true;
        int life = Life;
        _world.At(1 + _world.Below(_world.Chance(10) ? 100 : 8), () =>
        {
            if (life != Life)
                return;
            _working = false;
            if (Work())
                Wake();
        });
    }

    /// <summary>Shows some of what is durable to some mirrors, and lets each controller do a piece of work.</summary>
    private bool Work()
    {
        bool any = false;
        foreach (Copy copy in _cluster!.Copies)
            if (!_world.Faulty || _world.Below(4) > 0)
                any |= Pump(copy.Type, _seen, (kind, value) => Show(copy, kind, value));
        foreach (ResourceType type in ScopeReferences.Types)
            if (!_world.Faulty || _world.Below(4) > 0)
                any |= Pump(type, _hubSeen, (kind, value) => ShowHub(type, kind, value));
        string before = Writer;
        Writer = "controller";
        foreach (Controller controller in _controllers)
            if (controller.Queue.TryTake(out string key))
            {
                Done(controller.StepAsync(key, s_never).AsTask());
                any = true;
            }
        Task<bool> placed = _placement!.StepAsync(s_never);
        Done(placed);
        any |= placed.Result;
        Writer = before;
        Flush();
        return any || _seen.Values.Concat(_hubSeen.Values).Any(at => at < Api.Log.Count && Api.Log[at].Revision <= _durable);
    }

    private bool Pump(ResourceType type, Dictionary<ResourceType, int> cursor, Action<WatchEventType, KubeObject> show)
    {
        bool any = false;
        for (int i = cursor[type]; i < Api.Log.Count && Api.Log[i].Revision <= _durable; i++)
        {
            cursor[type] = i + 1;
            if (Api.Log[i].Type != type)
                continue;
            show(Api.Log[i].Event, Api.Log[i].Object);
            any = true;
        }
        return any;
    }

    private void Show(Copy copy, WatchEventType kind, KubeObject value)
    {
        (KubeObject? old, KubeObject? now) = Mirror(_mirrored, copy.Type, kind, value);
        copy.Seen(old, now);
    }

    private void ShowHub(ResourceType type, WatchEventType kind, KubeObject value)
    {
        (KubeObject? old, KubeObject? now) = Mirror(_hubMirrored, type, kind, value);
        foreach ((string site, Atoll.Link.ScopeChange change) in _hub.Changed(type, old, now))
        {
            _world.Checks.ScopeChanged(site, change);
            if (_lines.TryGetValue(site, out Line? line))
                line.TellParent(new LinkInput.ScopeChanged(change));
        }
        if (type == Kinds.Node && (old is null || now is null) && value.Metadata.Label(WellKnown.SiteLabel) is { } home)
            _world.At(_world.Below(100), () => Show(home));
    }

    private static (KubeObject? Old, KubeObject? Now) Mirror(Dictionary<(ResourceType, string), KubeObject> mirrored, ResourceType type, WatchEventType kind, KubeObject value)
    {
        mirrored.TryGetValue((type, value.Key), out KubeObject? old);
        if (kind == WatchEventType.Deleted)
        {
            mirrored.Remove((type, value.Key));
            return (old ?? value, null);
        }
        mirrored[(type, value.Key)] = value;
        return (old, value);
    }

    /// <summary>Shows in the status of a site's nodes whether its link is up, as the hub's reconciler does.</summary>
    private void Show(string site)
    {
        if (!IsUp)
            return;
        bool connected = _lines.ContainsKey(site);
        if (!connected && _world.Now - _startedAt < 15_000)
        {
            int life = Life;
            _world.At(15_000 - (_world.Now - _startedAt), () =>
            {
                if (life == Life)
                    Show(site);
            });
            return;
        }
        foreach (string name in _hub.Scopes.NodesOf(site))
        {
            if (Api.Find(Kinds.Node, name)?.ToNode() is not { } node || node["status"] is not JsonObject status)
                continue;
            JsonObject? shown = connected ? NodeLiveness.Reachable(status) : NodeLiveness.Unreachable(status, site, _world.Time.GetUtcNow());
            if (shown is null)
                continue;
            node["status"] = shown;
            As("hub", api => Done(api.UpdateAsync(Kinds.Node, null, name, node, s_never, "status").AsTask()));
        }
    }
}
