using System.Collections.Concurrent;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Atoll.Link;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Atoll.UnitTests.Link;

/// <summary>An authority with one server and one client certificate.</summary>
internal sealed class TestCertificates : IDisposable
{
    public TestCertificates()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=test authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        Authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        Server = Issue("CN=localhost", "1.3.6.1.5.5.7.3.1");
        Client = Issue("CN=site-a", "1.3.6.1.5.5.7.3.2");
    }

    public X509Certificate2 Authority { get; }

    public X509Certificate2 Server { get; }

    public X509Certificate2 Client { get; }

    public void Dispose()
    {
        Authority.Dispose();
        Server.Dispose();
        Client.Dispose();
    }

    private X509Certificate2 Issue(string subject, string usage)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new(subject, key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        byte[] serial = RandomNumberGenerator.GetBytes(8);
        serial[0] &= 0x7F;
        using X509Certificate2 bare = request.Create(Authority, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddHours(20), serial);
        return bare.CopyWithPrivateKey(key);
    }
}

/// <summary>A real Kestrel with the link's endpoint.</summary>
internal sealed class LinkServer : IAsyncDisposable
{
    private readonly WebApplication _app;
    private readonly CancellationTokenSource _stop = new();

    private LinkServer(WebApplication app, TestCertificates certificates) => (_app, Certificates) = (app, certificates);

    public TestCertificates Certificates { get; }

    public TestParentOwner Owner { get; } = new();

    public Uri Address { get; private set; } = null!;

    public static async Task<LinkServer> StartAsync()
    {
        TestCertificates certificates = new();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.WebHost.ConfigureKestrel(options => options.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(https =>
        {
            https.ServerCertificate = certificates.Server;
            https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
            https.ClientCertificateValidation = (certificate, chain, _) =>
            {
                using X509Chain own = new();
                own.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
                own.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
                own.ChainPolicy.CustomTrustStore.Add(certificates.Authority);
                return own.Build(certificate);
            };
        })));
        WebApplication app = builder.Build();
        LinkServer server = new(app, certificates);
        app.Map(LinkEndpoint.Path, async context => await LinkEndpoint.HandleAsync(
            context, "site-a", server.Owner, new LinkOptions { Software = "test" }, server.Owner.Traffic, null, TimeProvider.System, new Random(1), server._stop.Token));
        await app.StartAsync();
        string address = app.Services.GetRequiredService<IServer>().Features.Get<IServerAddressesFeature>()!.Addresses.First();
        server.Address = new Uri($"https://localhost:{new Uri(address).Port}");
        return server;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _app.StopAsync();
        await _app.DisposeAsync();
        Certificates.Dispose();
        _stop.Dispose();
    }
}

/// <summary>Waiting for a condition that callbacks make true.</summary>
internal abstract class Awaitable
{
    private volatile TaskCompletionSource _changed = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public async Task Until(Func<bool> condition)
    {
        using CancellationTokenSource limit = new(TimeSpan.FromSeconds(20));
        while (true)
        {
            Task changed = _changed.Task;
            if (condition())
                return;
            await changed.WaitAsync(limit.Token);
        }
    }

    protected void Changed() => Interlocked.Exchange(ref _changed, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
}

internal sealed class TestParentOwner : Awaitable, IParentOwner
{
    public ConcurrentDictionary<string, LinkItem> Items { get; } = new();

    public ConcurrentDictionary<string, Outcome> Outcomes { get; } = new();

    public string Incarnation { get; set; } = "6f1c2a52-9f0e-4d5e-8a55-0d3c5e0a7d11";

    public long Revision { get; set; }

    public LinkError Refuse { get; set; }

    public LinkTraffic Traffic { get; } = new();

    public ParentLink? Current { get; private set; }

    public long? ChangesAfter { get; set; }

    /// <summary>Called when a scope was read and the session does not have it yet.</summary>
    public Action Opened { get; set; } = () => { };

    /// <summary>Called first in every read, under the session's lock.</summary>
    public Action Reading { get; set; } = () => { };

    public LinkItem? Read(string uid)
    {
        Reading();
        return Items.GetValueOrDefault(uid);
    }

    public void Put(LinkItem item)
    {
        Items[item.Uid] = item;
        Revision = item.Version;
        Current?.Post(new ScopeChange(item.Version, [new ItemVersion(item.Uid, item.Version)], []));
    }

    public ValueTask<LinkScope> OpenScopeAsync(ParentLink link, SiteHello hello, CancellationToken cancellation)
    {
        if (Refuse != LinkError.None)
            throw new LinkRefusedException(Refuse);
        Current = link;
        var scope = new LinkScope(new LinkSequence(Incarnation, Revision), [.. Items.Values.Select(item => new ItemVersion(item.Uid, item.Version))], ChangesAfter: ChangesAfter);
        Opened();
        return ValueTask.FromResult(scope);
    }

    public ValueTask ApplyOutcomesAsync(ParentLink link, OutcomeBatch batch, CancellationToken cancellation)
    {
        foreach (Outcome outcome in batch.Outcomes)
            Outcomes[outcome.Uid] = outcome;
        Changed();
        return ValueTask.CompletedTask;
    }

    public ValueTask OrphansOfferedAsync(ParentLink link, IReadOnlyList<HeldItem> orphans, CancellationToken cancellation) => ValueTask.CompletedTask;

    public void StateChanged(ParentLink link, LinkState state, LinkError error) => Changed();
}

internal sealed class TestSiteOwner : Awaitable, ISiteOwner
{
    public ConcurrentDictionary<string, LinkItem> Held { get; } = new();

    public ConcurrentDictionary<string, Outcome> Outbox { get; } = new();

    public LinkSequence Sequence { get; private set; } = LinkSequence.None;

    public LinkState State { get; private set; }

    public LinkError LastError { get; private set; }

    public int LiveCount { get; private set; }

    public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

    public Outcome? ReadOutcome(string uid) => Outbox.GetValueOrDefault(uid);

    public ValueTask<SiteHoldings> LoadAsync(CancellationToken cancellation) =>
        ValueTask.FromResult(new SiteHoldings(Sequence, [.. Held.Values.Select(item => new HeldItem(item.Kind, item.Name, item.Uid, item.Version))], false));

    public ValueTask<IReadOnlyList<OutcomeRef>> LoadOutboxAsync(CancellationToken cancellation) =>
        ValueTask.FromResult<IReadOnlyList<OutcomeRef>>([.. Outbox.Values.Select(outcome => new OutcomeRef(outcome.Sequence, outcome.Uid))]);

    public ValueTask ApplyAsync(ScopeBatch batch, CancellationToken cancellation)
    {
        foreach (string uid in batch.Removals)
            Held.TryRemove(uid, out _);
        foreach (LinkItem item in batch.Upserts)
            Held[item.Uid] = item;
        Sequence = batch.Sequence;
        Changed();
        return ValueTask.CompletedTask;
    }

    public ValueTask OutcomesAcknowledgedAsync(IReadOnlyList<OutcomeRef> outcomes, CancellationToken cancellation)
    {
        foreach (OutcomeRef outcome in outcomes)
            Outbox.TryRemove(outcome.Uid, out _);
        Changed();
        return ValueTask.CompletedTask;
    }

    public ValueTask ForeignHistoryAsync(ParentWelcome welcome, CancellationToken cancellation) => ValueTask.CompletedTask;

    public void StateChanged(LinkState state, LinkError error, Uri parent)
    {
        State = state;
        if (error != LinkError.None)
            LastError = error;
        if (state == LinkState.Live)
            LiveCount++;
        Changed();
    }
}

/// <summary>A running site end.</summary>
internal sealed class TestSite : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _running;

    public TestSite(LinkServer server, Func<LinkStream, CancellationToken, Task>? accept = null, LinkIdentity? identity = null)
    {
        LinkIdentity me = identity ?? new LinkIdentity(server.Certificates.Client, [server.Certificates.Authority]);
        Dialer = new LinkDialer(() => me, TimeProvider.System);
        Link = new SiteLink(new SiteLinkOptions { Parents = [server.Address], Dial = Dialer.DialAsync, AcceptStream = accept, Backoff = new Backoff(20, 200) }, Owner, TimeProvider.System, new Random(3));
        _running = Link.RunAsync(_stop.Token);
    }

    public LinkDialer Dialer { get; }

    public TestSiteOwner Owner { get; } = new();

    public SiteLink Link { get; }

    public void Report(Outcome outcome)
    {
        Owner.Outbox[outcome.Uid] = outcome;
        Link.Post([new OutcomeRef(outcome.Sequence, outcome.Uid)]);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }
}
