using System.Collections.Concurrent;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Import;
using Atoll.Link;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Hub;

/// <summary>
/// The centre's end of every site's link. It keeps the scopes of all sites from mirrors of the API, gives each connected
/// session its changes, takes in outcomes, and says in Site and Node status who is connected.
/// <para>It keeps nothing about a site between sessions that a restart would lose: scopes are computed, versions are hashes of
/// content, and what a site holds is told by the site itself.</para>
/// </summary>
internal sealed class LinkHub
{
    private readonly IResources _resources;
    private readonly Func<(string Incarnation, long Revision)> _position;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Outcomes _outcomes;
    private readonly Adoption _adoption;
    private readonly Orphans _orphans;
    private readonly SiteStates _states;
    private readonly ResourceMirror[] _mirrors;
    private readonly ConcurrentDictionary<string, LinkTraffic> _traffic = new(StringComparer.Ordinal);
    private readonly Lock _lock = new();
    private readonly HubState _state;
    private readonly Dictionary<string, HubSession> _sessions = new(StringComparer.Ordinal);
    private readonly Func<string, bool> _listens;

    public LinkHub(IResources resources, Func<ImportBatch, CancellationToken, ValueTask<ImportResult>> import, Func<(string Incarnation, long Revision)> position, TimeProvider time, ILoggerFactory loggers)
    {
        _resources = resources;
        _position = position;
        _time = time;
        _logger = loggers.CreateLogger("Atoll.Hub");
                _adoption = new Adoption(resources, import, time, _logger);
        _orphans = new Orphans(resources, _logger);
        _states = new SiteStates(resources, _orphans, time, _logger);
        _outcomes = new Outcomes(resources, _logger, _states.Warn);
        _state = new HubState(position().Revision);
        _listens = _sessions.ContainsKey;
        _mirrors = [.. ScopeReferences.Types.Select(type => new ResourceMirror(resources, type, time, (old, now) => Changed(type, old, now)))];
        Sites = _mirrors[0];
    }

    /// <summary>
    /// Settings of every session. A line that is dead towards the site still brings the site's question after 6 s; the
    /// answer to it is then never acknowledged, which ends the session within the 15 s in which both ends are to notice. What was sent lately is shared among
    /// sessions, for it is the same for every site.
    /// </summary>
    public LinkOptions SessionOptions { get; } = new() { Software = typeof(LinkHub).Assembly.GetName().Version!.ToString(3), DeadUnacknowledgedMs = 7_500, Bodies = new RecentBodies(24 << 20) };

    /// <summary>Told the name of a site that was revoked or deleted, under the hub's lock.</summary>
    public Action<string>? SiteEnded { get; init; }

    /// <summary>Cancelled when the hub stops: sessions then end in order.</summary>
    public CancellationToken Stopping { get; private set; }

    /// <summary>Bytes to and from a site, by class, since the hub started.</summary>
    public LinkTraffic TrafficOf(string site) => _traffic.GetOrAdd(site, static _ => new LinkTraffic());

    /// <summary>Bytes of every site that was connected since the hub started.</summary>
    public IEnumerable<KeyValuePair<string, LinkTraffic>> Traffic => _traffic;

    /// <summary>How far a clock (milliseconds since 1970) is ahead of this one.</summary>
    public TimeSpan SkewOf(long clockMs) => TimeSpan.FromMilliseconds(clockMs - _time.GetUtcNow().ToUnixTimeMilliseconds());

    /// <summary>Every Site object.</summary>
    public ResourceMirror Sites { get; }

    /// <summary>Keeps the mirrors and the states until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellation)
    {
        Stopping = cancellation;
        // Each by itself: a first list may be taken in without a wait, and nobody who starts the hub is to wait for all of them.
        return Parts.RunAsync([.. _mirrors.Select(m => Task.Run(() => m.RunAsync(cancellation), CancellationToken.None)), _states.TellAsync(cancellation), _states.RunAsync(ReadyAsync, () => [.. Sites.Items], NodesOf, LiveSessionOf, HoldsUid, cancellation)]);
    }

    /// <summary>Ends when every mirror has its first list.</summary>
    public Task ReadyAsync() => Task.WhenAll(_mirrors.Select(m => m.Synced));

    /// <summary>The session of a site, or null when it is not connected.</summary>
    public HubSession? SessionOf(string site)
    {
        lock (_lock)
            return _sessions.GetValueOrDefault(site);
    }

    /// <summary>The site that runs a node, or null.</summary>
    public string? SiteOfNode(string? node)
    {
        lock (_lock)
            return _state.Scopes.SiteOfNode(node);
    }

    /// <summary>Names of a site's nodes.</summary>
    public IReadOnlyList<string> NodesOf(string site)
    {
        lock (_lock)
            return _state.Scopes.NodesOf(site);
    }

    /// <summary>The newest item of an identity. Takes no lock: sessions ask for it under theirs.</summary>
    public ScopeItem? Find(string uid) => _state.Scopes.Find(uid);

    /// <summary>
    /// Registers a session and gives it the site's whole scope; the session before it, if any, is superseded. A machine that knows nothing of
    /// the site while another has its link is none that took that one's place: it was joined as a first one by mistake, and two that know
    /// nothing of each other must not both act for the site.
    /// </summary>
    public async ValueTask<LinkScope> OpenAsync(HubSession session, SiteHello hello, CancellationToken cancellation)
    {
        await ReadyAsync().WaitAsync(cancellation);
        IReadOnlyList<ScopeItem> items;
        lock (_lock)
            items = _state.Scopes.ItemsOf(session.Site.Name);
        // A version is a hash that is made once, when it is first asked for: not under the lock, where thousands that return would wait for each other.
        foreach (ScopeItem item in items)
            _ = item.Version;
        HubSession? before;
        LinkScope scope;
        lock (_lock)
        {
            if (_sessions.TryGetValue(session.Site.Name, out before) && before.IsLive && before.Machine != session.Machine && before.Site.Uid == session.Site.Uid && hello.Sequence == LinkSequence.None)
            {
                _states.Warn(session.Site, "SecondMachine", $"Another machine asked for the link of site {session.Site.Name} as if it were its first, and was refused. Join it as one more node, with --peer ADDRESS:PORT of a node that was started with --lan; if it is to take the other's place, stop that one first.");
                throw new LinkRefusedException(LinkError.Superseded);
            }
            _sessions[session.Site.Name] = session;
            scope = _state.Open(session.Site.Name, session.Site.Uid, hello, Position());
        }
        if (hello.Orphans == 0)
            _orphans.Offer(session.Site.Name, []);
        if (before is not null && before != session)
            before.Close(LinkError.Superseded);
        return scope;
    }

    /// <summary>The session is live: its site is connected.</summary>
    public void Connected(HubSession session)
    {
        if (SessionOf(session.Site.Name) == session)
            _states.Set(session.Site.Name, session.Facts);
    }

    /// <summary>The site has applied its whole scope: from now on it follows this history.</summary>
    public void Synced(HubSession session)
    {
        lock (_lock)
            _state.Follows(session.Site.Uid);
    }

    /// <summary>The site told what it keeps without this centre knowing it.</summary>
    public void OrphansOffered(HubSession session, IReadOnlyList<HeldItem> orphans)
    {
        _orphans.Offer(session.Site.Name, orphans);
        _states.Wake(session.Site.Name);
    }

    /// <summary>Forgets a session. Its site counts as disconnected unless another session has taken its place.</summary>
    public void Closed(HubSession session, LinkError error)
    {
        lock (_lock)
        {
            if (!_sessions.TryGetValue(session.Site.Name, out HubSession? current) || current != session)
                return;
            _sessions.Remove(session.Site.Name);
        }
        _logger.LogInformation("Site {Site}: link closed ({Error})", session.Site.Name, error);
        _states.Set(session.Site.Name, null);
    }

    /// <summary>Makes a batch of outcomes durable; many at once, so that they share the store's commits.</summary>
    public async ValueTask ApplyAsync(HubSession session, OutcomeBatch batch, CancellationToken cancellation)
    {
        // Outcomes of one object must keep their order; a batch holds each object once, and a node registers before the rest is about it.
        foreach (Outcome outcome in batch.Outcomes)
            if (outcome.Operation == "register")
                await _outcomes.ApplyAsync(session.Site, outcome, Holds, cancellation);
        await Task.WhenAll(batch.Outcomes.Where(o => o.Operation != "register").Select(o => o is { Operation: "replace", Kind: "pods" }
            ? _adoption.AdoptAsync(session.Site.Name, o, SiteOfNode, Held, cancellation)
            : _outcomes.ApplyAsync(session.Site, o, Holds, cancellation)));

        ObjectKey? Held(string uid) => _state.Scopes.Find(uid) is { } item && Holds(item.Key, uid) ? item.Key : null;

        bool Holds(ObjectKey key, string uid)
        {
            lock (_lock)
                return _state.Scopes.Holds(session.Site.Name, key, uid);
        }
    }

    private HubSession? LiveSessionOf(string site) => SessionOf(site) is { IsLive: true } session ? session : null;

    private bool HoldsUid(string site, string uid)
    {
        lock (_lock)
            return _state.Scopes.Find(uid) is { } item && _state.Scopes.Holds(site, item.Key, uid);
    }

    private LinkSequence Position()
    {
        (string incarnation, long revision) = _position();
        return new LinkSequence(incarnation, revision);
    }

    private void Changed(ResourceType type, KubeObject? old, KubeObject? now)
    {
        HubSession? ended = null;
        lock (_lock)
        {
            foreach ((string site, Link.ScopeChange change) in _state.Changed(type, old, now, _listens))
                _sessions.GetValueOrDefault(site)?.Post(change);
            if (type == Kinds.Node && (now ?? old)!.Metadata.Label(WellKnown.SiteLabel) is { } home && (old is null || now is null))
                _states.Wake(home);
            if (type == Kinds.Site)
            {
                SiteSpec? spec = now?.View(ApiJson.Default.Site).Spec;
                if (now is null || spec!.Revoked == true)
                    SiteEnded?.Invoke((now ?? old)!.Name);
                if (_sessions.TryGetValue((now ?? old)!.Name, out HubSession? session) && (now is null || now.Uid != session.Site.Uid || spec?.Revoked == true))
                    ended = session;
                if (spec?.Orphans is { Count: > 0 } || (spec?.Revoked == true && old?.View(ApiJson.Default.Site).Spec.Revoked != true))
                    _states.Wake(now!.Name);
            }
        }
        ended?.Close(LinkError.Revoked);
    }
}
