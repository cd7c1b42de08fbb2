using System.Net;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Api.Core;
using Atoll.Api.Enrolment;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Instances;
using Atoll.Edge.Nodes;
using Atoll.Kube;
using Atoll.Kube.Streaming;
using Atoll.Store.Sqlite;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Host;

/// <summary>
/// The composition of a node: store, the site's own API, node control, and its part in the site (<see cref="SiteNode"/>), with the
/// link while it leads. None of them waits for the link: a site that boots with its line cut runs what its store says. Start-up is recovery: it reads the store, asks the
/// runtime what runs, and converges.
/// </summary>
internal static class AgentHost
{
    public const string Version = "0.1.0";

    public static async Task RunAsync(AgentOptions options, CancellationToken cancellation)
    {
        string path = Path.Combine(options.State, "site.db");
        try
        {
            await RunOnAsync(options, path, cancellation);
        }
        catch (StoreCorruptException e)
        {
            // Found when it was in use. Nothing is lost that the parent and the runtime do not know: the agent, started again, makes it anew.
            throw new IOException($"the site's store is damaged ({e.InnerException?.Message ?? e.Message}); it is put aside as {SqliteStore.MoveAside(path)}, and made anew when this agent is started again", e);
        }
    }

    private static async Task RunOnAsync(AgentOptions options, string storePath, CancellationToken cancellation)
    {
        TimeProvider time = TimeProvider.System;
        if (!SiteIdentity.Exists(options.State))
            throw new InvalidOperationException(SiteIdentity.NoneIn(options.State));
        SiteIdentity identity = SiteIdentity.Load(options.State);
        Directory.CreateDirectory(options.Run, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using var loggers = new LineLoggerFactory(time);
        ILogger log = loggers.CreateLogger("Atoll.Agent");
        var certificate = new SiteCertificate(identity, time, Random.Shared, loggers.CreateLogger("Atoll.Identity"));

        await using SqliteStore store = await OpenStoreAsync(storePath, log, cancellation);
        SiteAccess access = SiteAccess.Open(options, identity.Enrolment.Servers[0], time);
        using var node = new EdgeNode(options, time);
        await node.Runtime.RecoverAsync(cancellation);

        NodeControl? control = null;
        LanServer? lan = null;
        await using ApiServer api = await ApiServer.StartAsync(store, new ApiServerOptions
        {
            Time = time,
            Logger = loggers.CreateLogger("Atoll.Api"),
            NamespacesMustExist = false,
            Authenticators = [access],
            WritePolicy = access.Check,
            PodProxy = (context, pod, subresource) => pod.View(Api.ApiJson.Default.Pod).Spec.NodeName is { } at && at != options.NodeName && options.Lan is not null
                ? lan!.ForwardPodAsync(context, at)
                : PodStreamEndpoints.ServeAsync(context, subresource, pod, control!.Streams),
            WatchHistoryEvents = 256,
            WatchBufferEvents = 512,
            MaxEventsPerNamespace = 200,
        }, cancellation);
        await using SiteNode site = await SiteNode.OpenAsync(options, identity, certificate, access, store, api, time, loggers, cancellation);
        lan = site.Server;
        var ownSite = new ResourceMirror(site.Own, Kinds.Site, time, (_, now) => certificate.Announce(now?.Metadata.Annotation(WellKnown.TrustAnnotation)));
        node.Content.Link = () => site.Link;
        control = new NodeControl(new NodeControlOptions
        {
            NodeName = options.NodeName,
            StateFolder = options.State,
            HostIp = options.NodeAddress,
            ImageHighBytes = options.ImageLimitBytes,
            ImageLowBytes = options.ImageLimitBytes / 5 * 4,
            ScopeKnown = () => site.IsScopeKnown,
            Site = () => ownSite.Get(identity.Enrolment.Site)?.View(Api.ApiJson.Default.Site).Spec,
            Trust = () => TrustBundle.DigestOf(certificate.Identity.Authorities),
            BatchHost = node.Runtime.Batch,
            Hold = options.Lan is null ? null : site.Guard.Hold,
            Node = new NodeOptions { Site = identity.Enrolment.Site, Region = identity.Enrolment.Region, CapacityShare = options.CapacityShare, Devices = options.Devices },
        }, site.Resources, node.Runtime, node.Images, node.Network, time, Random.Shared, loggers);
        site.Copy.Whole = control.Reassert;

        await using WebApplication app = BuildApi(options, access, site, loggers);
        try
        {
            await app.StartAsync(cancellation);
        }
        catch (IOException e)
        {
            throw new IOException($"{e.Message.TrimEnd('.')}. Where this agent listens is said by --api-port{(options.Lan is null ? "" : " and --lan")}; is another one running here?", e);
        }
        File.SetUnixFileMode(options.Socket, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        log.LogInformation("Site {Site}, node {Node}: up; the site's API is https://127.0.0.1:{Port}, kubeconfig {Kubeconfig}", identity.Enrolment.Site, options.NodeName, options.ApiPort, Path.Combine(options.State, "kubeconfig"));
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task[] parts = [site.RunAsync(stop.Token), RunControlAsync(site, control, stop.Token), certificate.RunAsync(stop.Token), ownSite.RunAsync(stop.Token), ResidentMemory.RunAsync(time, stop.Token), store.Completion];
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

    private static async Task RunControlAsync(SiteNode site, NodeControl control, CancellationToken cancellation)
    {
        await site.Copy.Settled.WaitAsync(cancellation);
        await control.RunAsync(cancellation);
    }

    private static async Task<SqliteStore> OpenStoreAsync(string path, ILogger log, CancellationToken cancellation)
    {
        var options = new SqliteStoreOptions { KeepRevisions = 2000, MaxHistoryBytes = 8 << 20, TailBytes = 512 << 10, CacheKib = 512, Readers = 1, QuickCheck = true, Check = SiteRecords.IsSound };
        try
        {
            return await SqliteStore.OpenAsync(path, options, cancellation);
        }
        catch (StoreCorruptException e)
        {
            // Nothing is lost that the parent and the runtime do not know: instances are left alone until the scope has come anew.
            log.LogError("The site's store is damaged ({Reason}); it is put aside as {Path} and made anew", e.InnerException?.Message ?? e.Message, SqliteStore.MoveAside(path));
            return await SqliteStore.OpenAsync(path, options, cancellation);
        }
    }

    private static WebApplication BuildApi(AgentOptions options, SiteAccess access, SiteNode site, ILoggerFactory loggers)
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
            if (options.Lan is not null)
                kestrel.Listen(options.Lan, listen =>
                {
                    listen.Protocols = HttpProtocols.Http1;
                    listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(site.Tls.Server()) });
                });
        });
        WebApplication app = builder.Build();
        app.Run(site.Server.HandleAsync);
        return app;
    }
}
