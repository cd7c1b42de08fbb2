using System.Diagnostics;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Colocation;
using Atoll.Edge.Instances;
using Atoll.Edge.Nodes;
using Atoll.Edge.Runtimes.Fake;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.UnitTests.Kube;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.UnitTests.Edge.Instances;

/// <summary>A site: a real API server over memory, a fake runtime that outlives node control, and a state folder.</summary>
internal sealed class NodeWorld : IAsyncDisposable
{
    private CancellationTokenSource? _stop;
    private Task _running = Task.CompletedTask;

    private NodeWorld(ApiServer server) => (Server, Api) = (server, server.As(Identity.Trusted("system:link")));

    public ApiServer Server { get; }
    public IResources Api { get; }
    public FakeRuntime Runtime { get; } = new(TimeProvider.System);
    public FakeImages Images { get; } = new();
    public FakePodNetwork Network { get; } = new();
    public string Folder { get; } = Directory.CreateTempSubdirectory("atoll-node").FullName;
    public NodeControl? Control { get; private set; }
    public Func<bool>? ScopeKnown { get; set; }
    public SiteSpec? Site { get; set; }
    public IBatchHost? BatchHost { get; set; }
    public Func<KubeObject, string?>? Hold { get; set; }
    public NodeOptions Node { get; set; } = new() { Cpu = "4", Memory = "4Gi", Period = TimeSpan.FromMilliseconds(200), DiskPressureBelow = 0, MemoryPressureBelowBytes = 0 };

    public static async Task<NodeWorld> MakeAsync() =>
        new(await ApiServer.StartAsync(new MemoryStore(), new ApiServerOptions { CreateDefaultNamespaces = true }));

    public NodeControlOptions Options => new()
    {
        NodeName = "n1",
        StateFolder = Folder,
        HostIp = "10.0.0.1",
        Node = Node,
        ScopeKnown = ScopeKnown,
        Site = () => Site,
        BatchHost = BatchHost,
        BatchPeriod = TimeSpan.FromMilliseconds(20),
        Hold = Hold,
        RestartBackoff = TimeSpan.FromMilliseconds(300),
        RestartBackoffMax = TimeSpan.FromSeconds(3),
        RetryDelay = TimeSpan.FromMilliseconds(50),
        ResyncPeriod = TimeSpan.FromMilliseconds(500),
        LogRotationPeriod = TimeSpan.FromMilliseconds(100),
        LogMaxBytes = 2000,
    };

    public async Task StartAsync()
    {
        _stop = new CancellationTokenSource();
        Control = new NodeControl(Options, Api, Runtime, Images, Network, TimeProvider.System, new Random(1), NullLoggerFactory.Instance);
        _running = Control.RunAsync(_stop.Token);
        Task first = await Task.WhenAny(Control.Ready, _running).WaitAsync(TimeSpan.FromSeconds(20));
        await first;
    }

    public async Task StopAsync()
    {
        if (_stop is null)
            return;
        await _stop.CancelAsync();
        await _running.WaitAsync(TimeSpan.FromSeconds(20));
        _stop.Dispose();
        _stop = null;
    }

    public Task<KubeObject> PodAsync(string name, string spec, string metadata = "") => CreateAsync(Kinds.Pod, $$$"""
        {"metadata":{"name":"{{{name}}}"{{{metadata}}}},"spec":{"nodeName":"n1",{{{spec}}}}}
        """);

    public async Task<KubeObject> CreateAsync(ResourceType type, string json)
    {
        ApiResult result = await Api.CreateAsync(type, type.Namespaced ? "default" : null, JsonNode.Parse(json)!.AsObject(), CancellationToken.None);
        Assert.Null(result.Error);
        return result.Object!;
    }

    public async Task<KubeObject?> GetAsync(string name) => (await Api.GetAsync(Kinds.Pod, "default", name, CancellationToken.None)).Object;

    public async Task<Pod> UntilAsync(string name, Func<Pod, bool> condition, string what)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            KubeObject? pod = await GetAsync(name);
            if (pod is not null && condition(pod.View(ApiJson.Default.Pod)))
                return pod.View(ApiJson.Default.Pod);
            if (watch.Elapsed > TimeSpan.FromSeconds(15))
                Assert.Fail($"{name} did not get {what}; it is {System.Text.Encoding.UTF8.GetString((pod?.Utf8 ?? default).Span)}\n{string.Join('\n', Runtime.Journal)}");
            await Task.Delay(10);
        }
    }

    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            if (watch.Elapsed > TimeSpan.FromSeconds(15))
                Assert.Fail("never: " + what);
            await Task.Delay(10);
        }
    }

    public async Task UntilGoneAsync(string name)
    {
        var watch = Stopwatch.StartNew();
        while (await GetAsync(name) is { } pod)
        {
            if (watch.Elapsed > TimeSpan.FromSeconds(15))
                Assert.Fail($"{name} is not gone: {System.Text.Encoding.UTF8.GetString(pod.Utf8.Span)}\n{string.Join('\n', Runtime.Journal)}");
            await Task.Delay(10);
        }
    }

    public async Task DeleteAsync(string name, long? grace = null)
    {
        ApiResult result = await Api.DeleteAsync(Kinds.Pod, "default", name, new DeleteOptions { GracePeriodSeconds = grace }, CancellationToken.None);
        Assert.Null(result.Error);
    }

    public static bool IsReady(Pod pod) => pod.Status?.Condition("Ready")?.Status == "True";

    public async Task<List<Event>> EventsAsync(string pod)
    {
        ApiList list = await Api.ListAsync(Kinds.Event, "default", ListOptions.Default, CancellationToken.None);
        return [.. list.Items.Select(e => e.View(ApiJson.Default.Event)).Where(e => e.InvolvedObject.Name == pod)];
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        await Server.DisposeAsync();
        Runtime.Dispose();
        Directory.Delete(Folder, recursive: true);
    }
}
