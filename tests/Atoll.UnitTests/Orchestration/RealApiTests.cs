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

/// <summary>All controllers with their real mirrors over the real API server and store; kubelets are played.</summary>
public sealed partial class RealApiTests : IAsyncLifetime
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);
    private readonly CancellationTokenSource _stop = new();
    private readonly Dictionary<ResourceType, ResourceMirror> _mirrors = [];
    private readonly SemaphoreSlim _changed = new(0);
    private SqliteStore _store = null!;
    private ApiServer _server = null!;
    private IResources _admin = null!;
    private Task _running = Task.CompletedTask;

    public async ValueTask InitializeAsync()
    {
        _store = await SqliteStore.OpenInMemoryAsync();
        _server = await ApiServer.StartAsync(_store, new ApiServerOptions { CreateDefaultNamespaces = true });
        _admin = _server.As(Identity.Administrator("admin"));
        var tasks = new List<Task>();
        foreach (ResourceType type in new[] { Kinds.Pod, Kinds.Deployment, Kinds.ReplicaSet, Kinds.DaemonSet, Kinds.Job, Kinds.Namespace, Kinds.ServiceAccount, Kinds.Event, Kinds.ControllerRevision, Kinds.Delivery, Kinds.Site })
        {
            _mirrors[type] = new ResourceMirror(_admin, type, TimeProvider.System, (old, now) =>
            {
                _changed.Release();
                if (type == Kinds.Pod && now is not null)
                    _ = Task.Run(() => KubeletAsync(now));
            });
            tasks.Add(_mirrors[type].RunAsync(_stop.Token));
        }
        foreach (string node in new[] { "n0", "n1" })
            await MakeAsync(Kinds.Node, null, $$$$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{{{node}}}}}"},"status":{"conditions":[{"type":"Ready","status":"True"}]} }""");
        tasks.Add(new OrchestrationHost(_admin, TimeProvider.System, new Random(1), NullLoggerFactory.Instance).RunAsync(_stop.Token));
        _running = Task.WhenAll(tasks);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        await _server.DisposeAsync();
        await _store.DisposeAsync();
        _stop.Dispose();
        _changed.Dispose();
    }

    [Fact]
    public async Task Deployment_rolls_and_is_deleted()
    {
        await MakeAsync(Kinds.Deployment, "default", """
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":4,"selector":{"matchLabels":{"app":"web"}},
             "template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"a:1"}]}}}}
            """);
        await UntilAsync(() => Complete("1", "a:1"));
        await PatchAsync(Kinds.Deployment, "web", """[{"op":"replace","path":"/spec/template/spec/containers/0/image","value":"a:2"}]""");
        await UntilAsync(() => Complete("2", "a:2"));
        Assert.Equal(2, _mirrors[Kinds.ReplicaSet].Count);
        await UntilAsync(() => _mirrors[Kinds.Event].Items.Any(e => e.View(ApiJson.Default.Event).Reason == "ScalingReplicaSet"));
        ApiResult deleted = await _admin.DeleteAsync(Kinds.Deployment, "default", "web", new DeleteOptions { PropagationPolicy = "Foreground" }, _stop.Token);
        Assert.True(deleted.Ok);
        await UntilAsync(() => _mirrors[Kinds.Deployment].Count == 0 && _mirrors[Kinds.ReplicaSet].Count == 0 && _mirrors[Kinds.Pod].Count == 0);
    }

    [Fact]
    public async Task A_greater_pod_takes_the_room_of_a_lesser_one()
    {
        await MakeAsync(Kinds.Node, null, """
            {"apiVersion":"v1","kind":"Node","metadata":{"name":"big"},"status":{"allocatable":{"cpu":"1","memory":"1Gi","pods":"10"},"conditions":[{"type":"Ready","status":"True"}]}}
            """);
        await MakeAsync(Kinds.PriorityClass, null, """{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"high"},"value":1000}""");
        await MakeAsync(Kinds.Pod, "default", Asks("low", ""));
        await UntilAsync(() => NodeOf("low") == "big");
        await MakeAsync(Kinds.Pod, "default", Asks("high", "\"priorityClassName\":\"high\","));
        await UntilAsync(() => NodeOf("high") == "big" && _mirrors[Kinds.Pod].Get("default", "low") is null);
        await UntilAsync(() => _mirrors[Kinds.Event].Items.Any(e => e.View(ApiJson.Default.Event).Reason == "Preempted"));
        Assert.Equal("big", _mirrors[Kinds.Pod].Get("default", "high")!.View(ApiJson.Default.Pod).Status!.NominatedNodeName);

        string? NodeOf(string name) => _mirrors[Kinds.Pod].Get("default", name)?.View(ApiJson.Default.Pod).Spec.NodeName;

        static string Asks(string name, string more) =>
            """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","annotations":{"test/scheduled":""}},"spec":{MORE"containers":[{"name":"c","image":"a:1","resources":{"requests":{"cpu":"1"}}}]}}"""
                .Replace("NAME", name, StringComparison.Ordinal).Replace("MORE", more, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Job_daemon_set_and_namespace_over_the_real_api()
    {
        await MakeAsync(Kinds.Namespace, null, """{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"team"}}""");
        await UntilAsync(() => _mirrors[Kinds.ServiceAccount].Get("team", "default") is not null);
        await MakeAsync(Kinds.Job, "team", """
            {"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"work"},"spec":{"completions":3,"parallelism":2,
             "template":{"metadata":{"annotations":{"test/ends":"Succeeded"}},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"a"}]}}}}
            """);
        await UntilAsync(() => _mirrors[Kinds.Job].Get("team", "work")?.View(ApiJson.Default.Job).Status is { Succeeded: 3 } s && s.Conditions?.Exists(c => c.Type == "Complete") == true);
        await MakeAsync(Kinds.DaemonSet, "team", """
            {"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"app":"d"}},
             "template":{"metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"c","image":"a"}]}}}}
            """);
        await UntilAsync(() => _mirrors[Kinds.DaemonSet].Get("team", "d")?.View(ApiJson.Default.DaemonSet).Status is { NumberReady: 2, NumberAvailable: 2 });
        Assert.True((await _admin.DeleteAsync(Kinds.Namespace, null, "team", DeleteOptions.Default, _stop.Token)).Ok);
        await UntilAsync(() => _mirrors[Kinds.Namespace].Get("team") is null);
        Assert.DoesNotContain(_mirrors[Kinds.Pod].Items, p => p.Namespace == "team");
    }

    private bool Complete(string revision, string image)
    {
        if (_mirrors[Kinds.Deployment].Get("default", "web") is not { } value || value.Metadata.Annotation("deployment.kubernetes.io/revision") != revision)
            return false;
        DeploymentStatus? status = value.View(ApiJson.Default.Deployment).Status;
        return status is { UpdatedReplicas: 4, AvailableReplicas: 4, Replicas: 4 } && status.ObservedGeneration >= value.Metadata.Generation
            && status.Conditions?.Exists(c => c.Reason == "NewReplicaSetAvailable") == true
            && _mirrors[Kinds.Pod].Items.Count(p => !p.IsDeleting && World.Image(p) == image) == 4;
    }

    /// <summary>Binds, starts, ends and removes one pod, as scheduler and kubelet do; lost races come back as changes.</summary>
    private async Task KubeletAsync(KubeObject pod)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        if (string.IsNullOrEmpty(view.Spec.NodeName))
        {
            if (pod.Metadata.Annotation("test/scheduled") is not null)
                return;
            string node = Atoll.Orchestration.DaemonSets.DaemonPods.NodeOf(view) ?? "n0";
            var binding = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Binding", ["metadata"] = new JsonObject { ["name"] = pod.Name }, ["target"] = new JsonObject { ["kind"] = "Node", ["name"] = node } };
            await _admin.CreateAsync(Kinds.Pod, pod.Namespace, binding, _stop.Token, pod.Name, "binding");
        }
        else if (pod.IsDeleting)
            await _admin.DeleteAsync(Kinds.Pod, pod.Namespace, pod.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = pod.Uid }, _stop.Token);
        else if (view.Status?.Phase is null or "Pending")
            await StatusAsync(pod, "Running", "True");
        else if (view.Status.Phase == "Running" && pod.Metadata.Annotation("test/ends") is { } end)
            await StatusAsync(pod, end, "False");
    }

    private async Task StatusAsync(KubeObject pod, string phase, string ready)
    {
        var patch = new JsonObject
        {
            ["metadata"] = new JsonObject { ["uid"] = pod.Uid },
            ["status"] = new JsonObject { ["phase"] = phase, ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = ready, ["lastTransitionTime"] = KubeTime.Format(DateTimeOffset.UtcNow) }) },
        };
        await _admin.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.Merge, patch, _stop.Token, "status");
    }

    private async Task UntilAsync(Func<bool> holds)
    {
        using var patience = new CancellationTokenSource(s_patience);
        while (!holds())
            await _changed.WaitAsync(patience.Token);
    }

    private async Task MakeAsync(ResourceType type, string? ns, string json)
    {
        ApiResult result = await _admin.CreateAsync(type, ns, JsonNode.Parse(json)!.AsObject(), _stop.Token);
        Assert.Null(result.Error);
    }

    private Task PatchAsync(ResourceType type, string name, string json) => PatchAsync(type, "default", name, json);

    private async Task PatchAsync(ResourceType type, string? ns, string name, string json)
    {
        ApiResult result = await _admin.PatchAsync(type, ns, name, PatchType.Json, JsonNode.Parse(json)!, _stop.Token);
        Assert.Null(result.Error);
    }
}
