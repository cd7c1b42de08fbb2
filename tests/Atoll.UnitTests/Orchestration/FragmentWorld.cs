using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Orchestration;
using Atoll.Store.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Controllers and placement over the real API server and store, with nodes that take room and pods that a kubelet plays.</summary>
internal sealed class FragmentWorld : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly SqliteStore _store;
    private readonly ApiServer _server;
    private readonly Dictionary<ResourceType, ResourceMirror> _mirrors = [];
    private readonly SemaphoreSlim _changed = new(0);
    private readonly Task _watching;
    private CancellationTokenSource _host = new();
    private Task _running = Task.CompletedTask;

    private FragmentWorld(SqliteStore store, ApiServer server)
    {
        (_store, _server) = (store, server);
        Api = server.As(Identity.Administrator("admin"));
        var tasks = new List<Task>();
        foreach (ResourceType type in (ResourceType[])[Kinds.Pod, Kinds.Capacity, Kinds.DefragmentationPlan, Kinds.Site, Kinds.Event, Kinds.Reservation])
        {
            _mirrors[type] = new ResourceMirror(Api, type, TimeProvider.System, (old, now) =>
            {
                if (type == Kinds.Pod && now is not null)
                    _ = Task.Run(() => KubeletAsync(now));
                _changed.Release();
            });
            tasks.Add(_mirrors[type].RunAsync(_stop.Token));
        }
        _watching = Task.WhenAll(tasks);
    }

    public IResources Api { get; }

    /// <summary>Pods that the kubelet leaves as they are.</summary>
    public Func<KubeObject, bool> Held { get; set; } = static _ => false;

    public static async Task<FragmentWorld> StartAsync()
    {
        SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        var world = new FragmentWorld(store, await ApiServer.StartAsync(store, new ApiServerOptions { CreateDefaultNamespaces = true }));
        world.StartHost();
        return world;
    }

    public void StartHost()
    {
        _host = new CancellationTokenSource();
        _running = new OrchestrationHost(Api, TimeProvider.System, new Random(1), NullLoggerFactory.Instance).RunAsync(_host.Token);
    }

    public async Task StopHostAsync()
    {
        await _host.CancelAsync();
        await _running;
        _host.Dispose();
    }

    public async ValueTask DisposeAsync()
    {
        await StopHostAsync();
        await _stop.CancelAsync();
        await _watching;
        await _server.DisposeAsync();
        await _store.DisposeAsync();
        _stop.Dispose();
        _changed.Dispose();
    }

    public IEnumerable<KubeObject> All(ResourceType type) => _mirrors[type].Items;

    public Capacity? Capacity(string name) => _mirrors[Kinds.Capacity].Get(null, name)?.View(ApiJson.Default.Capacity);

    public DefragmentationPlanStatus? Plan(string name) => _mirrors[Kinds.DefragmentationPlan].Get(null, name)?.View(ApiJson.Default.DefragmentationPlan).Status;

    /// <summary>Pods of an app that are there and not ending, by node.</summary>
    public string[] Places(string app) => [.. All(Kinds.Pod).Where(p => p.Metadata.Label("app") == app && !p.IsDeleting).Select(p => p.View(ApiJson.Default.Pod).Spec.NodeName ?? "-").Order(StringComparer.Ordinal)];

    public async Task<KubeObject> MakeAsync(ResourceType type, string json)
    {
        ApiResult result = await Api.CreateAsync(type, type.Namespaced ? "default" : null, JsonNode.Parse(json)!.AsObject(), _stop.Token);
        Assert.Null(result.Error);
        return result.Object!;
    }

    public async Task PatchAsync(ResourceType type, string name, string json, string? subresource = null) =>
        Assert.Null((await Api.PatchAsync(type, type.Namespaced ? "default" : null, name, PatchType.Merge, JsonNode.Parse(json)!, _stop.Token, subresource)).Error);

    public Task NodeAsync(string name, int cores, string region = "east", string ready = "True") => MakeAsync(Kinds.Node, $$$"""
        {"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{name}}}","labels":{"kubernetes.io/hostname":"{{{name}}}","topology.kubernetes.io/region":"{{{region}}}","topology.kubernetes.io/zone":"{{{name}}}-site","edge.atoll.dev/site":"{{{name}}}-site"}},
         "status":{"allocatable":{"cpu":"{{{cores}}}","memory":"64Gi","pods":"50"},"conditions":[{"type":"Ready","status":"{{{ready}}}"}]}}
        """);

    /// <summary>One pod of a ReplicaSet, which goes to the node because no other has room.</summary>
    public async Task AppAsync(string name, string node, int cores)
    {
        await MakeAsync(Kinds.ReplicaSet, $$$$$"""
            {"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"{{{{{name}}}}}"},"spec":{"replicas":1,"selector":{"matchLabels":{"app":"{{{{{name}}}}}"}},
             "template":{"metadata":{"labels":{"app":"{{{{{name}}}}}"}},"spec":{"containers":[{"name":"c","image":"i:1","resources":{"requests":{"cpu":"{{{{{cores}}}}}"}}}]}}}}
            """);
        await UntilAsync(() => Places(name) is [var place] && place == node && All(Kinds.Pod).Any(p => p.Metadata.Label("app") == name && IsReady(p)));
    }

    /// <summary>Pods of a StatefulSet or Job; <paramref name="more"/> is of its spec, <paramref name="annotations"/> of its template.</summary>
    public async Task OwnedAsync(ResourceType type, string name, string node, int cores, string more, string annotations = "{}")
    {
        await MakeAsync(type, $$$$$"""
            {"apiVersion":"{{{{{type.ApiVersion}}}}}","kind":"{{{{{type.Kind}}}}}","metadata":{"name":"{{{{{name}}}}}"},"spec":{{{{{{more}}}}},
             "template":{"metadata":{"labels":{"app":"{{{{{name}}}}}"},"annotations":{{{{{annotations}}}}}},"spec":{"restartPolicy":"{{{{{(type == Kinds.Job ? "Never" : "Always")}}}}}","containers":[{"name":"c","image":"i:1","resources":{"requests":{"cpu":"{{{{{cores}}}}}"}}}]}}}}
            """);
        await UntilAsync(() => Places(name) is [var place] && place == node && All(Kinds.Pod).Any(p => p.Metadata.Label("app") == name && IsReady(p)));
    }

    public static bool IsReady(KubeObject pod) => pod.View(ApiJson.Default.Pod).Status?.Condition("Ready")?.Status == "True";

    public async Task UntilAsync(Func<bool> condition)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(120));
        while (!condition())
        {
            try
            {
                await _changed.WaitAsync(limit.Token);
            }
            catch (OperationCanceledException)
            {
                Assert.Fail(string.Join('\n', All(Kinds.DefragmentationPlan).Concat(All(Kinds.Pod)).Concat(All(Kinds.Capacity)).Select(o => System.Text.Encoding.UTF8.GetString(o.Utf8.Span))));
            }
        }
    }

    private async Task KubeletAsync(KubeObject pod)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        if (Held(pod))
            return;
        if (pod.IsDeleting)
            await Api.DeleteAsync(Kinds.Pod, "default", pod.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = pod.Uid }, _stop.Token);
        else if (!string.IsNullOrEmpty(view.Spec.NodeName) && view.Status?.Phase is null or "Pending")
            await Api.PatchAsync(Kinds.Pod, "default", pod.Name, PatchType.Merge, JsonNode.Parse("""{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True"}]}}""")!, _stop.Token, "status");
    }

    /// <summary>Lets the kubelet look at everything again.</summary>
    public Task ReleaseAsync()
    {
        Held = static _ => false;
        return Task.WhenAll(All(Kinds.Pod).ToList().Select(KubeletAsync));
    }
}
