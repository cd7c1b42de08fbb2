using System.IO.Hashing;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration;
using Atoll.Orchestration.Loop;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Orchestration;

/// <summary>
/// An API, the controllers over it, and kubelets that bind, start and stop pods: all driven step by step, so that a test
/// decides how late each mirror is. Nothing here waits for real time.
/// </summary>
internal sealed class World : IDisposable
{
    private readonly Dictionary<ResourceType, int> _cursor = [];
    private readonly Dictionary<(ResourceType, string), KubeObject> _mirrored = [];
    private readonly int _seed;
    private int _restarts;

    public World(int seed = 1)
    {
        _seed = seed;
        Api = new FakeApi(Time);
        foreach (string node in Nodes)
            NodeAsync(node).GetAwaiter().GetResult(); // The fake answers at once.
        Restart();
    }

    public FakeTimeProvider Time { get; } = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));

    public FakeApi Api { get; }

    public Cluster Cluster { get; private set; } = null!;

    public List<Controller> Controllers { get; private set; } = [];

    /// <summary>Nodes to which unbound pods go, in turn.</summary>
    public List<string> Nodes { get; } = ["n0", "n1", "n2"];

    /// <summary>True while kubelets make bound pods ready.</summary>
    public bool Healthy { get; set; } = true;

    /// <summary>Names of nodes that do nothing and hear nothing.</summary>
    public HashSet<string> Silent { get; } = [];

    /// <summary>A new process: new copies from a list, empty queues.</summary>
    public void Restart()
    {
        Dispose();
        Cluster = new Cluster(Api, Time, new Random(_seed + _restarts++), NullLoggerFactory.Instance);
        Controllers = OrchestrationHost.Controllers(Cluster, static () => new Atoll.Scheduling.Online.Snapshot());
        _mirrored.Clear();
        foreach (Copy copy in Cluster.Copies)
        {
            _cursor[copy.Type] = Api.Log.Count;
            foreach (KubeObject value in Api.All(copy.Type))
                Show(copy, WatchEventType.Added, value);
        }
        foreach (Controller controller in Controllers)
            foreach (string key in controller.Keys())
                controller.Queue.Add(key);
    }

    /// <summary>Shows the next events of one resource to the controllers; false when there are none.</summary>
    public bool Pump(ResourceType type, int most = int.MaxValue)
    {
        Copy copy = Cluster.Of(type);
        bool any = false;
        for (int i = _cursor[type]; i < Api.Log.Count && most > 0; i++)
        {
            _cursor[type] = i + 1;
            if (Api.Log[i].Type != type)
                continue;
            Show(copy, Api.Log[i].Event, Api.Log[i].Object);
            any = true;
            most--;
        }
        return any;
    }

    /// <summary>Shows everything.</summary>
    public bool PumpAll()
    {
        bool any = false;
        foreach (Copy copy in Cluster.Copies)
            any |= Pump(copy.Type);
        return any;
    }

    /// <summary>Lets each controller work on one key that waits; false when none does.</summary>
    public async Task<bool> StepAsync()
    {
        bool any = false;
        foreach (Controller controller in Controllers)
            if (controller.Queue.TryTake(out string key))
            {
                await controller.StepAsync(key, CancellationToken.None);
                any = true;
            }
        return any;
    }

    /// <summary>Binds, starts and stops pods as scheduler and kubelets do.</summary>
    public async Task<bool> KubeletsAsync()
    {
        bool any = false;
        foreach (KubeObject pod in Api.All(Kinds.Pod).OrderBy(p => p.Key, StringComparer.Ordinal))
        {
            Pod view = pod.View(ApiJson.Default.Pod);
            if (view.Spec.NodeName is null)
            {
                if (pod.IsDeleting || Nodes.Count == 0)
                    continue;
                int at = (int)(XxHash3.HashToUInt64(Encoding.UTF8.GetBytes(pod.Uid), _seed) % (ulong)Nodes.Count); // The same at each run.
                string node = Target(view) ?? Nodes[at];
                any |= (await Api.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.Merge, new JsonObject { ["spec"] = new JsonObject { ["nodeName"] = node } }, default)).Ok;
            }
            else if (Silent.Contains(view.Spec.NodeName))
                continue;
            else if (pod.IsDeleting)
            {
                if ((pod.Metadata.Finalizers ?? []).Count > 0)
                {
                    if (view.Status?.Phase is not ("Succeeded" or "Failed"))
                    {
                        await PhaseAsync(pod, "Failed");
                        any = true;
                    }
                    continue;
                }
                Api.Finish(Kinds.Pod, pod);
                any = true;
            }
            else if (view.Status?.Phase is null && Healthy)
            {
                await ReadyAsync(pod);
                any = true;
            }
        }
        return any;
    }

    /// <summary>Runs until nothing moves any more, letting time pass for back-offs up to <paramref name="patience"/>.</summary>
    public async Task SettleAsync(TimeSpan? patience = null)
    {
        DateTimeOffset end = Time.GetUtcNow() + (patience ?? TimeSpan.FromSeconds(3));
        for (int i = 0; i < 20000; i++)
        {
            bool any = PumpAll();
            any |= await StepAsync();
            any |= await KubeletsAsync();
            if (any)
                continue;
            if (Time.GetUtcNow() >= end)
                return;
            Time.Advance(TimeSpan.FromMilliseconds(500));
        }
        Assert.Fail("The system never came to rest.");
    }

    public async Task<KubeObject> CreateAsync(ResourceType type, string json, string ns = "default")
    {
        ApiResult result = await Api.CreateAsync(type, type.Namespaced ? ns : null, JsonNode.Parse(json)!.AsObject(), default);
        Assert.Null(result.Error);
        return result.Object!;
    }

    public async Task<KubeObject> PatchAsync(ResourceType type, string name, string json, string? subresource = null, string ns = "default")
    {
        ApiResult result = await Api.PatchAsync(type, type.Namespaced ? ns : null, name, PatchType.Merge, JsonNode.Parse(json)!, default, subresource);
        Assert.Null(result.Error);
        return result.Object!;
    }

    /// <summary>Makes a node whose Ready condition has a status.</summary>
    public async Task NodeAsync(string name, string ready = "True", string extra = "")
    {
        if (Api.Find(Kinds.Node, name) is null)
            await CreateAsync(Kinds.Node, $$$$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{{{name}}}}}"{{{{{extra}}}}}},"spec":{}}""");
        await PatchAsync(Kinds.Node, name, $$$$$"""{"status":{"conditions":[{"type":"Ready","status":"{{{{{ready}}}}}"}]}}""", "status");
        if (ready == "Unknown")
            Silent.Add(name);
        else
            Silent.Remove(name);
    }

    public Task ReadyAsync(KubeObject pod) => PatchAsync(Kinds.Pod, pod.Name,
        $$$$$"""{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"True","lastTransitionTime":"{{{{{KubeTime.Format(Time.GetUtcNow())}}}}}"}]}}""", "status", pod.Namespace);

    public Task PhaseAsync(KubeObject pod, string phase) => PatchAsync(Kinds.Pod, pod.Name,
        $$$$$"""{"status":{"phase":"{{{{{phase}}}}}","conditions":[{"type":"Ready","status":"False","lastTransitionTime":"{{{{{KubeTime.Format(Time.GetUtcNow())}}}}}"}]}}""", "status", pod.Namespace);

    /// <summary>Pods that count: neither finished nor ending.</summary>
    public List<KubeObject> ActivePods() =>
        [.. Api.All(Kinds.Pod).Where(p => !p.IsDeleting && p.View(ApiJson.Default.Pod).Status?.Phase is not ("Succeeded" or "Failed")).OrderBy(p => p.Key, StringComparer.Ordinal)];

    public static string Image(KubeObject pod) => pod.View(ApiJson.Default.Pod).Spec.Containers[0].Image!;

    public void Dispose()
    {
        foreach (Controller controller in Controllers)
            controller.Dispose();
        Controllers = [];
    }

    private void Show(Copy copy, WatchEventType kind, KubeObject value)
    {
        _mirrored.TryGetValue((copy.Type, value.Key), out KubeObject? old);
        if (kind == WatchEventType.Deleted)
        {
            _mirrored.Remove((copy.Type, value.Key));
            copy.Seen(old ?? value, null);
            return;
        }
        _mirrored[(copy.Type, value.Key)] = value;
        copy.Seen(old, value);
    }

    private static string? Target(Pod pod) =>
        pod.Spec.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution?.NodeSelectorTerms?.FirstOrDefault()?.MatchFields?.FirstOrDefault()?.Values?.FirstOrDefault();
}
