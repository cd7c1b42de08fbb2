using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Atoll.Agent.Identity;
using Atoll.Agent.Uplink;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Instances;
using Atoll.Edge.Nodes;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Link;
using Atoll.Store.Sqlite;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Host;

/// <summary>
/// The composition of a site on one node: store, the site's own API, node control, and the link. None of them waits for the
/// link: a site that boots with its line cut runs what its store says. Start-up is recovery: it reads the store, asks the
/// runtime what runs, and converges.
/// </summary>
internal static class AgentHost
{
    public const string Version = "0.1.0";

    public static async Task RunAsync(AgentOptions options, CancellationToken cancellation)
    {
        TimeProvider time = TimeProvider.System;
        if (!SiteIdentity.Exists(options.State))
            throw new InvalidOperationException($"{options.State} has no identity. Join first, with the command that 'atoll site create NAME' prints.");
        SiteIdentity identity = SiteIdentity.Load(options.State);
        Directory.CreateDirectory(options.Run, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var loggers = new LineLoggerFactory(time);
        ILogger log = loggers.CreateLogger("Atoll.Agent");
        var certificate = new SiteCertificate(identity, options.State, time, Random.Shared, loggers.CreateLogger("Atoll.Identity"));

        await using SqliteStore store = await OpenStoreAsync(Path.Combine(options.State, "site.db"), log, cancellation);
        SiteAccess access = SiteAccess.Open(options, identity.Enrolment.Servers[0], time);
        using var node = new EdgeNode(options, time);
        await node.Runtime.RecoverAsync(cancellation);

        NodeControl? control = null;
        await using ApiServer api = await ApiServer.StartAsync(store, new ApiServerOptions
        {
            Time = time,
            Logger = loggers.CreateLogger("Atoll.Api"),
            NamespacesMustExist = false,
            Authenticators = [access],
            WritePolicy = access.Check,
            PodStreams = new LateStreams(() => control!.Streams),
            WatchHistoryEvents = 256,
            WatchBufferEvents = 512,
            MaxEventsPerNamespace = 200,
        }, cancellation);
        IResources resources = api.As(Kube.Access.Identity.Trusted("system:agent"));

        var dialer = new LinkDialer(() => certificate.Link(options.Dates), time);
        var uplink = new SiteUplink(store, api, resources, time, loggers.CreateLogger("Atoll.Uplink"), (state, error, parent) => Report(log, certificate, dialer, state, error, parent));
        var ownSite = new ResourceMirror(resources, Kinds.Site, time, (_, now) => certificate.Announce(now?.Metadata.Annotation(WellKnown.TrustAnnotation)));
        await uplink.OpenAsync(cancellation);
        var link = new SiteLink(new SiteLinkOptions
        {
            Parents = [.. identity.Enrolment.Parents().Select(s => new Uri(s))],
            Dial = dialer.DialAsync,
            AcceptStream = TunnelServer.ToUnixSocket(options.Socket),
            Session = new LinkOptions { Software = Version, DeadAfterMs = 12_000, Bodies = new RecentBodies(512 * 1024) },
        }, uplink, time, Random.Shared);
        uplink.Link = link;
        control = new NodeControl(new NodeControlOptions
        {
            NodeName = options.NodeName,
            StateFolder = options.State,
            HostIp = options.NodeAddress,
            ImageHighBytes = options.ImageLimitBytes,
            ImageLowBytes = options.ImageLimitBytes / 5 * 4,
            ScopeKnown = () => uplink.IsScopeKnown,
            Node = new NodeOptions { Site = identity.Enrolment.Site, Region = identity.Enrolment.Region, CapacityShare = options.CapacityShare },
        }, resources, node.Runtime, node.Images, node.Network, time, Random.Shared, loggers);

        await using WebApplication app = BuildApi(options, access, api, loggers);
        await app.StartAsync(cancellation);
        File.SetUnixFileMode(options.Socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        log.LogInformation("Site {Site}, node {Node}: up; the site's API is https://127.0.0.1:{Port}, kubeconfig {Kubeconfig}", identity.Enrolment.Site, options.NodeName, options.ApiPort, Path.Combine(options.State, "kubeconfig"));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task[] parts = [uplink.RunAsync(stop.Token), control.RunAsync(stop.Token), link.RunAsync(stop.Token), certificate.RunAsync(stop.Token), ownSite.RunAsync(stop.Token), ResidentMemory.RunAsync(time, stop.Token), store.Completion];
        try
        {
            Task ended = await Task.WhenAny(parts);
            // A part that ends by itself is a broken invariant: the agent ends with it, is started again, and finds everything running.
            await ended;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to stop: instances go on running.
        }
        finally
        {
            await stop.CancelAsync();
            await app.StopAsync(CancellationToken.None);
        }
    }

    private static async Task<SqliteStore> OpenStoreAsync(string path, ILogger log, CancellationToken cancellation)
    {
        var options = new SqliteStoreOptions { KeepRevisions = 2000, MaxHistoryBytes = 8 << 20, TailBytes = 512 << 10, CacheKib = 512, Readers = 1 };
        try
        {
            return await SqliteStore.OpenAsync(path, options, cancellation);
        }
        catch (StoreCorruptException e)
        {
            // Nothing is lost that the parent and the runtime do not know: instances are left alone until the scope has come anew.
            log.LogError("The site's store is damaged ({Reason}); it is put aside as {Path} and made anew", e.Message, SqliteStore.MoveAside(path));
            return await SqliteStore.OpenAsync(path, options, cancellation);
        }
    }

    private static WebApplication BuildApi(AgentOptions options, SiteAccess access, ApiServer api, ILoggerFactory loggers)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        File.Delete(options.Socket);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null; // The API limits bodies itself, with a Status.
            kestrel.Limits.MinResponseDataRate = null; // Watches and followed logs may be silent for hours.
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.ListenUnixSocket(options.Socket, listen => listen.Protocols = HttpProtocols.Http1);
            kestrel.Listen(IPAddress.Loopback, options.ApiPort, listen =>
            {
                listen.Protocols = HttpProtocols.Http1;
                listen.UseHttps(https =>
                {
                    https.ServerCertificate = access.Certificate;
                    https.SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13;
                });
            });
        });
        WebApplication app = builder.Build();
        app.Run(api.HandleAsync);
        return app;
    }

    private static void Report(ILogger log, SiteCertificate certificate, LinkDialer dialer, LinkState state, LinkError error, Uri parent)
    {
        if (dialer.Skew is { } skew && (skew - certificate.Skew).Duration() > TimeSpan.FromMinutes(1))
        {
            certificate.Skew = skew;
            log.LogWarning("The parent's clock is {Seconds:0} s ahead of this machine's: certificates are judged by the parent's", skew.TotalSeconds);
        }
        if (state == LinkState.Live)
            log.LogInformation("Link to {Parent} is up after {Sent} bytes sent and {Received} received inside TLS", parent, dialer.Line.Sent, dialer.Line.Received);
        else if (state == LinkState.Closed)
        {
            log.LogWarning("Link to {Parent} is down: {Reason}", parent, error);
            if (error is LinkError.Unauthenticated or LinkError.Revoked)
                certificate.RenewSoon();
        }
    }
}
