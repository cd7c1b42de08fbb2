using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Client;
using Atoll.Link;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Hub;

/// <summary>What a site says of itself when its link opens.</summary>
/// <param name="Software">Version of the agent.</param>
/// <param name="Via">Which of the centre's addresses it uses, and why.</param>
/// <param name="Skew">How far its clock is ahead of the centre's, or null when it does not say.</param>
internal sealed record SiteFacts(string Software, ParentChoice? Via, TimeSpan? Skew);

/// <summary>One connected site: the hub's side of one link session.</summary>
/// <param name="hub">Where it is known.</param>
/// <param name="site">The site.</param>
/// <param name="logger">Its log.</param>
/// <param name="machine">The public key with which it came: each machine of a site has its own.</param>
internal sealed class HubSession(LinkHub hub, KubeObject site, ILogger logger, string machine = "") : IParentOwner, IOrphanSite
{
    private ParentLink? _link;
    private volatile bool _isLive;
    private volatile bool _isClosed;

    /// <summary>The Site object as it was when the session began: name and identity.</summary>
    public KubeObject Site { get; } = site;

    /// <summary>The public key of the machine at the other end.</summary>
    public string Machine => machine;

    /// <summary>What the site said of itself, or null before.</summary>
    public SiteFacts? Facts { get; private set; }

    /// <summary>True from the moment at which the hub knows the session, to its end.</summary>
    public bool IsLive => _isLive;

    /// <summary>Gives the site a change of its scope.</summary>
    public void Post(Link.ScopeChange change) => _link?.Post(change);

    /// <summary>Tells the site that an operator wants these orphans stopped.</summary>
    public void Release(IReadOnlyList<string> uids) => _link?.Release(uids);

    /// <summary>Ends the session with a reason that the site is told.</summary>
    public void Close(LinkError error)
    {
        _isClosed = true;
        _link?.Close(error);
    }

    /// <inheritdoc/>
    public IResources Reach() => new HttpResources(new HttpClient(new SocketsHttpHandler
    {
        UseProxy = false,
        PooledConnectionLifetime = TimeSpan.Zero,
        ConnectCallback = (_, _) => ValueTask.FromResult(OpenTunnel()),
    })
    { BaseAddress = new Uri("http://site/"), Timeout = TimeSpan.FromSeconds(30) });

    /// <summary>Opens a stream to the site's own API.</summary>
    public Stream OpenTunnel() => _link is { } link && _isLive ? link.Open(LinkClass.Tunnel, "api") : throw new IOException($"site {Site.Name} is not connected");

    /// <inheritdoc/>
    public async ValueTask<LinkScope> OpenScopeAsync(ParentLink link, SiteHello hello, CancellationToken cancellation)
    {
        _link = link;
        Facts = new SiteFacts(hello.Software, hello.Via, hello.ClockMs == 0 ? null : hub.SkewOf(hello.ClockMs));
        if (_isClosed)
            throw new LinkRefusedException(LinkError.Revoked);
        LinkScope scope = await hub.OpenAsync(this, hello, cancellation);
        _isLive = !_isClosed;
        hub.Connected(this);
        return scope;
    }

    /// <inheritdoc/>
    public ValueTask ApplyOutcomesAsync(ParentLink link, OutcomeBatch batch, CancellationToken cancellation) => hub.ApplyAsync(this, batch, cancellation);

    /// <inheritdoc/>
    public ValueTask OrphansOfferedAsync(ParentLink link, IReadOnlyList<HeldItem> orphans, CancellationToken cancellation)
    {
        if (orphans.Count > 0)
            logger.LogWarning("Site {Site} keeps {Count} objects that this centre does not know; it goes on running them until an operator decides: atoll site orphans {Name}", Site.Name, orphans.Count, Site.Name);
        hub.OrphansOffered(this, orphans);
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public void StateChanged(ParentLink link, LinkState state, LinkError error)
    {
        if (state == LinkState.Live)
            hub.Synced(this);
        if (state == LinkState.Closed)
        {
            _isLive = false;
            hub.Closed(this, error);
        }
    }

    /// <inheritdoc/>
    public LinkItem? Read(string uid) =>
        hub.Find(uid) is { } item ? new LinkItem(item.Key.Type.GroupResource, item.Key.Key, item.Uid, item.Version, item.Body) : null;
}
