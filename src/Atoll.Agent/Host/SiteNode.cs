using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Agent.Uplink;
using Atoll.Api.Resources;
using Atoll.Kube;
using Atoll.Kube.Client;
using Atoll.Link;
using Atoll.Link.Members;
using Atoll.Store;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Host;

/// <summary>
/// A node's part in its site. One node leads: it alone has the link to the parent, and its store is the site's. The others keep
/// a copy of that store and write through it. A site of one node leads itself and knows nothing of all this.
/// </summary>
internal sealed class SiteNode : IAsyncDisposable
{
    private readonly AgentOptions _options;
    private readonly SiteIdentity _identity;
    private readonly SiteCertificate _certificate;
    private readonly IStore _store;
    private readonly ApiServer _api;
    private readonly TimeProvider _time;
    private readonly ILoggerFactory _loggers;
    private readonly LanClient _client;
    private readonly SiteLead _lead;
    private readonly SiteFence _fence;
    private (string Address, HttpResources Resources)? _leader;
    private SiteUplink? _uplink;

    private SiteNode(AgentOptions options, SiteIdentity identity, SiteCertificate certificate, IStore store, ApiServer api, TimeProvider time, ILoggerFactory loggers, LanClient client, LanTls tls, SiteLead lead, SiteAccess access)
    {
        (_options, _identity, _certificate, _store, _api, _time, _loggers, _client, _lead, Tls) = (options, identity, certificate, store, api, time, loggers, client, lead, tls);
        Own = api.As(Kube.Access.Identity.Trusted("system:agent"));
        ILogger log = loggers.CreateLogger("Atoll.Site");
        Copy = new SiteCopy(lead, store, client, time, log);
        _fence = new SiteFence(lead, Copy, options.Fence, time, log);
        Server = new LanServer(lead, Copy, store, api, new LanForwarder(client.Handler), access, time) 
        {
            LanPort = options.Lan?.Port ?? 0,
            TakeIn = async (theirs, unheard, cancellation) => lead.IsLeading && Volatile.Read(ref _uplink) is { } uplink ? await uplink.TakeInAsync(theirs, unheard, cancellation) : null,
        };
        Guard = new IdentityGuard(lead, Environment.GetEnvironmentVariable(LanBeats.SupervisedVariable) == "1", options.State, options.Run, time, log);
        Resources = lead.IsAlone ? Own : new SiteResources(Own, Leader, Copy.WriteAloneAsync);
    }

    /// <summary>Trust between the site's nodes.</summary>
    public LanTls Tls { get; }

    /// <summary>Serves every request of this node.</summary>
    public LanServer Server { get; }

    /// <summary>This node's copy of the leader's state.</summary>
    public SiteCopy Copy { get; }

    /// <summary>Keeps pods with an identity from running without a lease.</summary>
    public IdentityGuard Guard { get; }

    /// <summary>This node's own API, whoever leads.</summary>
    public IResources Own { get; }

    /// <summary>The site's API, for this node's control.</summary>
    public IResources Resources { get; }

    /// <summary>True once the parent's scope has been applied whole at least once, ever, at this site.</summary>
    public bool IsScopeKnown => Volatile.Read(ref _uplink) is { } uplink ? uplink.IsScopeKnown : Copy.IsScopeKnown;

    /// <summary>The link to the parent; null at a node that does not lead.</summary>
    public SiteLink? Link => Volatile.Read(ref _uplink)?.Link;

    public static async Task<SiteNode> OpenAsync(AgentOptions options, SiteIdentity identity, SiteCertificate certificate, SiteAccess access, IStore store, ApiServer api, TimeProvider time, ILoggerFactory loggers, CancellationToken cancellation)
    {
        // Whom the supervisor beats to is written beside the store: a first node whose store was lost must not make a second site.
        string[] peers = [.. options.Peers.Concat(identity.Enrolment.Peers).Concat(options.Lan is null ? [] : SupervisorFile.Read(options.State)?.Peers ?? []).Distinct(StringComparer.Ordinal)];
        if (peers.Length > 0 && options.Lan is null)
            throw new InvalidOperationException("a node with peers must say where they reach it: give --lan ADDRESS:PORT");
        var tls = new LanTls(() => certificate.Link(options.Dates), certificate.Doubt);
        var client = new LanClient(tls, () => certificate.Identity, identity.Enrolment.Parents());
        var lead = await SiteLead.OpenAsync(new SiteLeadOptions { Self = new Member(options.NodeName, options.Lan?.ToString() ?? ""), Peers = peers, Witness = options.Fence is null ? options.Witness : MemberList.Fence, DeadAfter = options.DeadAfter, IdentityLease = options.Lan is null ? TimeSpan.Zero : options.IdentityLease }, store, client, time, Random.Shared, loggers.CreateLogger("Atoll.Site"), cancellation);
        return new SiteNode(options, identity, certificate, store, api, time, loggers, client, tls, lead, access);
    }

    /// <summary>Takes part until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellation) => Parts.RunAsync(_options.Lan is null
        ? [_lead.RunAsync(LeadAsync, cancellation), Copy.RunAsync(cancellation)]
        : [_lead.RunAsync(LeadAsync, cancellation), Copy.RunAsync(cancellation), _fence.RunAsync(cancellation), new SiteCondition(_lead, Copy, _fence, Own, _identity.Enrolment.Site, _time).RunAsync(cancellation), new LanBeats(_lead, _store, _options.Lan, _options.State, _options.Run, _time, _loggers.CreateLogger("Atoll.Site")).RunAsync(cancellation), Guard.RunAsync(cancellation)]);

    /// <inheritdoc/>
    public ValueTask DisposeAsync()
    {
        _leader?.Resources.Dispose();
        _client.Dispose();
        return ValueTask.CompletedTask;
    }

    private async Task LeadAsync(CancellationToken cancellation)
    {
        ILogger log = _loggers.CreateLogger("Atoll.Agent");
        List<Uri> parents = [.. _identity.Enrolment.Parents().Select(s => new Uri(s))];
        var dialer = new LinkDialer(() => _certificate.Link(_options.Dates), _time, patience: parents.Count == 1 ? LinkDialer.Patience : null);
        var uplink = new SiteUplink(_store, _api, Own, _time, _loggers.CreateLogger("Atoll.Uplink"), (state, error, parent) => Report(log, dialer, state, error, parent));
        await uplink.OpenAsync(cancellation);
        uplink.Link = new SiteLink(new SiteLinkOptions
        {
            Parents = parents,
            Dial = dialer.DialAsync,
            AcceptStream = TunnelServer.ToUnixSocket(_options.Socket),
            Session = new LinkOptions { Software = AgentHost.Version, DeadAfterMs = 12_000, Bodies = new RecentBodies(512 * 1024) },
        }, uplink, _time, Random.Shared);
        Volatile.Write(ref _uplink, uplink);
        if (!_lead.IsAlone)
            await LanBeats.EnsureKeyAsync(_store, cancellation);
        Server.Lead(cancellation);
        try
        {
            await Parts.RunAsync(_lead.IsAlone
                ? [uplink.RunAsync(cancellation), uplink.Link.RunAsync(cancellation)]
                : [uplink.RunAsync(cancellation), uplink.Link.RunAsync(cancellation), new SiteMembership(_lead, Server, Own, _time).RunAsync(cancellation), new SiteReplacements(_lead, Own, _api.ImportAsync, uplink.Expect, uplink.IsHeld, _time, _loggers.CreateLogger("Atoll.Site")).RunAsync(cancellation)]);
        }
        finally
        {
            Volatile.Write(ref _uplink, null);
        }
    }

    private IResources? Leader()
    {
        if (Copy.Followed is not { } leader)
            return null;
        if (_leader is { } known && known.Address == leader.Address)
            return known.Resources;
        // A former one may still be in use by a call: it is small, and its connections are the handler's.
        HttpResources resources = _client.ResourcesOf(leader.Address);
        _leader = (leader.Address, resources);
        return resources;
    }

    private void Report(ILogger log, LinkDialer dialer, LinkState state, LinkError error, Uri parent)
    {
        if (dialer.Skew is { } skew && (skew - _certificate.Skew).Duration() > TimeSpan.FromMinutes(1))
        {
            _certificate.Skew = skew;
            log.LogWarning("The parent's clock is {Seconds:0} s ahead of this machine's: certificates are judged by the parent's", skew.TotalSeconds);
        }
        if (state == LinkState.Live)
            log.LogInformation("Link to {Parent} is up after {Sent} bytes sent and {Received} received inside TLS", parent, dialer.Line.Sent, dialer.Line.Received);
        else if (state == LinkState.Closed)
        {
            log.LogWarning("Link to {Parent} is down: {Reason}", parent, error);
            if (error == LinkError.Superseded && (_lead.IsAlone || _lead.Members.Nodes.Count == 1))
                log.LogError("Another machine has the link of site {Site}, and this one was not told of others. If both are to be its nodes, start both with --lan, and reset this one, which has led itself, and join it anew with --peer ADDRESS:PORT of the other; if this one is to take its place, stop the other", _identity.Enrolment.Site);
            if (error is LinkError.Unauthenticated or LinkError.Revoked)
                _certificate.Refused();
        }
    }
}
