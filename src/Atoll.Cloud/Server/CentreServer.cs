using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Certificates;
using Atoll.Cloud.Hub;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Kube.Client;
using Atoll.Link;
using Atoll.Orchestration;
using Atoll.Orchestration.Binding;
using Atoll.Store.Sqlite;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.AspNetCore.Server.Kestrel.Transport.Sockets;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Yarp.ReverseProxy.Forwarder;

namespace Atoll.Cloud.Server;

/// <summary>What a centre needs to know.</summary>
internal sealed record CentreOptions(string State, IPEndPoint Listen, IReadOnlyList<Uri> Advertise, string KubeconfigPath, IReadOnlySet<string> Relay);

/// <summary>
/// The composition of a centre: store, API, hub of the links, controllers and scheduler in one process, on one port:
/// <c>/link/v1</c> for sites' links, <c>/join/v1</c> and <c>/renew/v1</c> for enrolment, everything else is the Kubernetes API.
/// Start-up is recovery: there is no other path.
/// </summary>
internal static class CentreServer
{
    /// <summary>Sites that wait for their turn, as many others, and as many more that wait for us to take them in.</summary>
    private const int MaxAtDoor = 4096;

    /// <summary>While more pieces of work than these wait for a thread, no site is called in.</summary>
    private const int MaxWaiting = 4;

    public static async Task RunAsync(CentreOptions options, CancellationToken cancellation)
    {
        TimeProvider time = TimeProvider.System;
        RecentForms.SetCapacity(16_384);
        CentreMemory.SpareStart();
        Directory.CreateDirectory(options.State, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        using ILoggerFactory loggers = Logs.Create();
        CertificateAuthority authority = CertificateAuthority.Open(options.State, time);
        var tokens = new AccessTokens(options.State);
        await using SqliteStore store = await OpenStoreAsync(Path.Combine(options.State, "atoll.db"), time, cancellation);
        long opened = time.GetTimestamp();
        // Whoever comes while the store is read waits in the backlog, and a site has its turn as soon as there are any: refused, it would come again
        // and again, and at last some seconds late.
        using Socket listening = Listen(options.Listen);

        PodTunnel? tunnel = null;
        Enrolment? enrolment = null;
        await using ApiServer api = await ApiServer.StartAsync(store, new ApiServerOptions
        {
            Time = time,
            Logger = loggers.CreateLogger("Atoll.Api"),
            CreateDefaultNamespaces = true,
            Authenticators = [new ClientCertificateAuthenticator((certificate, aborted) => enrolment!.IsValidAsync(certificate, aborted)), new BearerTokenAuthenticator(tokens.Find)],
            PodProxy = (context, pod, subresource) => tunnel!.ServeAsync(context, pod, subresource),
        });
        IResources resources = api.As(Identity.Trusted("system:link"));
        var requests = new SiteRequests(api.HandleAsync);
        var hub = new LinkHub(resources, api.ImportAsync, () => (store.Incarnation, store.CurrentRevision), time, loggers) { SiteEnded = requests.End };
        enrolment = new Enrolment(resources, authority, [.. options.Advertise.Select(Text)], time, loggers.CreateLogger("Atoll.Enrolment"));
        Func<LinkStream, CancellationToken, Task> relay = ContentStreams.RelayTo(options.Relay, TimeSpan.FromSeconds(10), time);
        var certificates = new ServerCertificates(authority, options.Advertise, resources, time, loggers.CreateLogger("Atoll.Certificates"), () => PublishAsync(options, authority, api.As(Identity.Trusted("system:link")), cancellation));
        var witness = new Witness(enrolment, hub, time);

        var orchestration = new OrchestrationHost(api.As(Identity.Trusted("system:controllers")), time, Random.Shared, loggers);
        await using WebApplication app = Build(options, listening, certificates, loggers, context => RouteAsync(context, api, requests, hub, enrolment, witness, relay, orchestration.Placement, loggers));
        using var forwarding = tunnel = new PodTunnel(hub, app.Services.GetRequiredService<IHttpForwarder>());
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task memory = CentreMemory.RunAsync(time, stop.Token);
        // Each reads the longest list one by one, so they read beside each other: what is left for later is read while thousands of sites return.
        // But for the first plan: pods wait for it, and sites cannot be told of it before.
        Task controllers = Task.Run(() => orchestration.RunAsync(stop.Token), CancellationToken.None);
        Task hubTask = HubAsync();
        Task placing = TellOfPlacementAsync(orchestration, opened, time, loggers.CreateLogger("Atoll"), stop.Token);
        // Sites would wait for the hub, and people's calls beside what it reads are slow and slow it down.
        await Task.WhenAny(hub.ReadyAsync(), hubTask);
        await app.StartAsync(cancellation);
        await PublishAsync(options, authority, resources, cancellation);
        Task rotating = certificates.RunAsync(stop.Token);
        loggers.CreateLogger("Atoll").LogInformation("Centre is up at {Address}; kubeconfig is {Path}", options.Advertise[0], options.KubeconfigPath);
        try
        {
            await Task.WhenAny(hubTask, controllers, rotating, memory, store.Completion, Task.Delay(Timeout.Infinite, cancellation));
            // A part that ends by itself is a broken invariant: the process ends with it and is started again.
            if (!cancellation.IsCancellationRequested)
                await Task.WhenAny(hubTask, controllers, rotating, memory, store.Completion).Unwrap();
        }
        finally
        {
            await stop.CancelAsync();
            await placing;
            await app.StopAsync(CancellationToken.None);
        }

        async Task HubAsync()
        {
            await Task.WhenAny(orchestration.FirstPlan, controllers);
            await hub.RunAsync(stop.Token);
        }
    }

    /// <summary>Takes connections at an address; nobody accepts them yet. Throws <see cref="IOException"/> that says what to do.</summary>
    internal static Socket Listen(IPEndPoint address)
    {
        try
        {
            Socket socket = SocketTransportOptions.CreateDefaultBoundListenSocket(address);
            socket.Listen(MaxAtDoor);
            return socket;
        }
        catch (SocketException e)
        {
            throw new IOException($"cannot listen at {address}: {e.Message}; stop what does, or give another --listen", e);
        }
    }

    // A centre does not begin anew by itself: what it holds is the only copy. The message names the file and the ways out.
    private static async Task<SqliteStore> OpenStoreAsync(string path, TimeProvider time, CancellationToken cancellation)
    {
        try
        {
            return await SqliteStore.OpenAsync(path, new SqliteStoreOptions { Time = time }, cancellation);
        }
        catch (StoreCorruptException e)
        {
            throw new InvalidDataException(e.Message, e);
        }
    }

    private static async Task TellOfPlacementAsync(OrchestrationHost orchestration, long opened, TimeProvider time, ILogger log, CancellationToken stopped)
    {
        try
        {
            await orchestration.FirstPlan.WaitAsync(stopped);
            log.LogInformation("First plan was carried out {Milliseconds} ms after the store was open", (long)time.GetElapsedTime(opened).TotalMilliseconds);
        }
        catch (OperationCanceledException) when (stopped.IsCancellationRequested)
        {
            // Stopped before anything could be placed.
        }
    }

    private static Task RouteAsync(HttpContext context, ApiServer api, SiteRequests requests, LinkHub hub, Enrolment enrolment, Witness witness, Func<LinkStream, CancellationToken, Task> relay, PlacementStatistics placement, ILoggerFactory loggers) => context.Request.Path.Value switch
    {
        LinkEndpoint.Path => LinkAsync(context, hub, enrolment, relay, loggers),
        "/join/v1" => enrolment.JoinAsync(context),
        "/join/v1/ca" => enrolment.WriteAuthorityAsync(context),
        "/renew/v1" => enrolment.RenewAsync(context),
        Witness.VotePath or Witness.BeatPath => witness.ServeAsync(context),
        "/metrics" => LinkMetrics.ServeAsync(context, api.Options.Authenticators, hub, placement, api.As(Identity.Trusted("system:metrics"))),
        _ => requests.ServeAsync(context),
    };

    private static async Task LinkAsync(HttpContext context, LinkHub hub, Enrolment enrolment, Func<LinkStream, CancellationToken, Task> relay, ILoggerFactory loggers)
    {
        X509Certificate2? certificate = await context.Connection.GetClientCertificateAsync(context.RequestAborted);
        (KubeObject? site, string? refusal) = await enrolment.FindSiteAsync(certificate, allowExpired: false, context.RequestAborted);
        if (site is null)
        {
            loggers.CreateLogger("Atoll.Hub").LogWarning("Link from {Address} refused: {Reason}", context.Connection.RemoteIpAddress, refusal);
            await Enrolment.WriteAsync(context, ApiStatus.Forbidden(null, "", refusal!));
            return;
        }
        await LinkEndpoint.HandleAsync(context, site.Name, new HubSession(hub, site, loggers.CreateLogger("Atoll.Hub"), certificate!.GetPublicKeyString()), hub.SessionOptions, hub.TrafficOf(site.Name), relay, TimeProvider.System, Random.Shared, hub.Stopping);
    }

    private static WebApplication Build(CentreOptions options, Socket listening, ServerCertificates certificates, ILoggerFactory loggers, RequestDelegate handle)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton(loggers);
        builder.Services.AddHttpForwarder();
        // A site that has no other centre waits as long as this, and one that has hangs up long before, which costs nothing.
        var door = new Door(new Admission(TimeProvider.System, LinkDialer.Patience, MaxAtDoor, static () => ThreadPool.PendingWorkItemCount > MaxWaiting), TimeProvider.System);
        // Thousands may dial in the same moment: what does not fit into the backlog is tried again by TCP a second later, at best.
        builder.WebHost.UseSockets(sockets => (sockets.Backlog, sockets.CreateBoundListenSocket) = (MaxAtDoor, _ => listening)).UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = null; // The API limits bodies itself, with a Status.
            kestrel.Limits.MinResponseDataRate = null; // Watches and followed logs may be silent for hours.
            kestrel.Limits.MinRequestBodyDataRate = null;
            kestrel.Listen(options.Listen, listen =>
            {
                listen.Protocols = HttpProtocols.Http1AndHttp2;
                listen.Use(next => connection => door.PassAsync(connection, next));
                // Asked for each connection: certificates are rotated while it serves, and connections that are open go on.
                listen.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(certificates.Current), HandshakeTimeout = Door.Patience });
            });
        });
        WebApplication app = builder.Build();
        app.Run(handle);
        return app;
    }

    private static string Text(Uri address) => address.ToString().TrimEnd('/');

    private static async Task PublishAsync(CentreOptions options, CertificateAuthority authority, IResources resources, CancellationToken cancellation)
    {
        await JoinTokens.AdvertiseAsync(resources, [.. options.Advertise.Select(Text)], authority.CertificatePem, cancellation);
        if ((await resources.ListAsync(Kinds.StorageClass, null, new ListOptions { Limit = 1 }, cancellation)).Items is { Count: 0 })
            await resources.CreateAsync(Kinds.StorageClass, null, new JsonObject
            {
                ["apiVersion"] = Kinds.StorageClass.ApiVersion,
                ["kind"] = Kinds.StorageClass.Kind,
                ["metadata"] = new JsonObject { ["name"] = "local", ["annotations"] = new JsonObject { ["storageclass.kubernetes.io/is-default-class"] = "true" } },
                ["provisioner"] = StorageNames.LocalProvisioner,
            }, cancellation);
        (string certificate, string key) = authority.IssueClient("admin", Identity.Masters);
        CertificateAuthority.WriteFile(options.KubeconfigPath, KubeConfig.Write("atoll", options.Advertise[0], authority.CertificatePem, certificate, key, null), secret: true);
    }
}
