using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

/// <summary>A small fleet with GPUs, other devices, NUMA nodes, models of processor, whole nodes, pools of sites and headroom, drawn from a seed.</summary>
internal sealed class FormsFleet
{
    private readonly Random _random;
    private int _names;

    public FormsFleet(int seed, int nodes, int pods, int pending)
    {
        _random = new Random(seed);
        More =
        [
            .. Enumerable.Range(0, 2).Select(i => Of("edge.atoll.dev/v1alpha1", "Site", $"s{i}", new JsonObject { ["spec"] = Site() })),
            Of("edge.atoll.dev/v1alpha1", "CPUModel", "old", new JsonObject { ["spec"] = new JsonObject { ["match"] = "Old*", ["factor"] = 0.7 } }),
            Of("edge.atoll.dev/v1alpha1", "CPUModel", "new", new JsonObject { ["spec"] = new JsonObject { ["match"] = "Newest", ["factor"] = 1.6 } }),
        ];
        Nodes = [.. Enumerable.Range(0, nodes).Select(i => Node($"n{i}"))];
        // What runs was placed by plans, and says which parts it was given.
        foreach (KubeObject pod in Enumerable.Range(0, pods).Select(_ => Pod()).ToList())
            if (Scheduler.Plan(Snapshot(), [pod], seed).Placements[0] is { Node: { } node } placement)
                Pods.Add(Bound(pod, node, placement.Allocation));
        Pending = [.. Enumerable.Range(0, pending).Select(_ => Pod())];
        for (int i = 1; i < Pending.Count; i++)
            if (Chance(50))
                Pending[i] = Named(Pending[i - 1].ToNode());
    }

    public List<KubeObject> Nodes { get; }

    public List<KubeObject> Pods { get; } = [];

    public List<KubeObject> Pending { get; }

    /// <summary>Sites and CPUModels.</summary>
    public List<KubeObject> More { get; }

    public Snapshot Snapshot(bool late = false)
    {
        var snapshot = new Snapshot();
        if (late)
            Pods.ForEach(p => snapshot.UpsertPod(p));
        Nodes.ForEach(n => snapshot.UpsertNode(n));
        foreach (KubeObject more in More)
            if (more.Kind == "Site")
                snapshot.UpsertSite(more);
            else
                snapshot.UpsertCpuModel(more);
        if (!late)
            Pods.ForEach(p => snapshot.UpsertPod(p));
        return snapshot;
    }

    public static KubeObject Bound(KubeObject pod, string node, Allocation? allocation)
    {
        JsonObject bound = pod.ToNode();
        bound["spec"]!["nodeName"] = node;
        if (allocation is not null)
        {
            if (bound["metadata"]!["annotations"] is not JsonObject annotations)
                bound["metadata"]!["annotations"] = annotations = [];
            annotations[Allocation.Annotation] = allocation.ToString();
        }
        return KubeObject.FromNode(bound);
    }

    private bool Chance(int percent) => _random.Next(100) < percent;

    private T Any<T>(params T[] of) => of[_random.Next(of.Length)];

    private string Number(int least, int below) => _random.Next(least, below).ToString(CultureInfo.InvariantCulture);

    private static KubeObject Of(string version, string kind, string name, JsonObject more)
    {
        more["apiVersion"] = version;
        more["kind"] = kind;
        more["metadata"] = new JsonObject { ["name"] = name, ["uid"] = name };
        return KubeObject.FromNode(more);
    }

    private JsonObject Site()
    {
        var spec = new JsonObject();
        if (Chance(70))
            spec["resources"] = new JsonObject { [WellKnown.Uplink] = Number(0, 6), [WellKnown.PublicAddresses] = Number(0, 3) };
        if (Chance(40))
            spec["headroom"] = new JsonObject { ["cpu"] = Number(0, 5), ["memory"] = $"{_random.Next(0, 6)}Gi" };
        return spec;
    }

    private KubeObject Node(string name)
    {
        var allocatable = new JsonObject { ["cpu"] = Number(1, 9), ["memory"] = $"{_random.Next(2, 17)}Gi", ["pods"] = Number(2, 9) };
        var edge = new JsonObject();
        if (Chance(70))
            edge["cpuModel"] = Any("Old 1", "Older", "Newest", "Other");
        int cells = _random.Next(0, 4), gpus = _random.Next(0, 4), npus = Chance(30) ? 2 : 0;
        if (cells > 0)
            edge["numa"] = new JsonArray([.. Enumerable.Range(0, cells).Select(i => (JsonNode)new JsonObject { ["id"] = i, ["cpus"] = "0", ["cpu"] = Number(1, 5), ["memory"] = $"{_random.Next(1, 9)}Gi" })]);
        if (gpus + npus > 0)
            edge["devices"] = new JsonArray([.. Enumerable.Range(0, gpus).Select(i => (JsonNode)Device(WellKnown.Gpu, $"gpu{i}", cells)), .. Enumerable.Range(0, npus).Select(i => (JsonNode)Device("example.com/npu", $"npu{i}", cells))]);
        if (gpus > 0)
        {
            allocatable[WellKnown.Gpu] = gpus.ToString(CultureInfo.InvariantCulture);
            allocatable[WellKnown.GpuMilli] = (gpus * 1000).ToString(CultureInfo.InvariantCulture);
            allocatable[WellKnown.GpuMemory] = $"{gpus * 16}Gi";
        }
        if (npus > 0)
            allocatable["example.com/npu"] = npus.ToString(CultureInfo.InvariantCulture);
        JsonObject labels = new() { [WellKnown.HostnameLabel] = name };
        if (Chance(85))
            labels[WellKnown.SiteLabel] = Any("s0", "s1", "s2");
        return KubeObject.FromNode(new JsonObject
        {
            ["apiVersion"] = "v1", ["kind"] = "Node", ["metadata"] = new JsonObject { ["name"] = name, ["uid"] = name, ["labels"] = labels },
            ["spec"] = new JsonObject { ["unschedulable"] = Chance(5) },
            ["status"] = new JsonObject { ["allocatable"] = allocatable, ["edge"] = edge, ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = "True" }) },
        });
    }

    private JsonObject Device(string resource, string id, int cells)
    {
        JsonObject device = new() { ["resource"] = resource, ["id"] = id, ["attributes"] = new JsonObject { ["model"] = Any("a", "b"), ["memory"] = Any("8Gi", "16Gi") } };
        if (cells > 0 && Chance(70))
            device["numa"] = _random.Next(cells);
        return device;
    }

    private KubeObject Pod()
    {
        JsonObject requests = [], annotations = [], labels = [];
        if (Chance(60))
            requests["cpu"] = $"{_random.Next(1, 7) * 500}m";
        else if (Chance(60))
            requests[WellKnown.Compute] = $"{_random.Next(1, 9) * 300}m";
        if (Chance(70))
            requests["memory"] = $"{_random.Next(1, 5)}Gi";
        if (Chance(25))
            requests[WellKnown.GpuMilli] = Number(1, 10) + "00";
        if (requests.ContainsKey(WellKnown.GpuMilli) && Chance(40))
            requests[WellKnown.GpuMemory] = Any("4Gi", "10Gi");
        if (Chance(15))
            requests[WellKnown.Gpu] = Number(1, 3);
        if (Chance(10))
            requests["example.com/npu"] = "1";
        if (Chance(20))
            requests[WellKnown.Uplink] = Number(1, 3);
        if (Chance(10))
            requests[WellKnown.PublicAddresses] = "1";
        if (Chance(25))
            annotations[Flavours.NumaAnnotation] = Any("single", "single", "split");
        if (Chance(20))
            annotations[Flavours.DeviceAnnotation] = Any("edge.atoll.dev/gpu: model=a", "edge.atoll.dev/gpu: model in (b); example.com/npu: model!=a");
        if (Chance(10))
            annotations[DeviceSelectors.PreferenceAnnotation] = "edge.atoll.dev/gpu: model=b";
        if (Chance(10))
            labels[WellKnown.CreatedByLabel] = "site";
        var spec = new JsonObject { ["priority"] = Chance(70) ? 0 : _random.Next(1, 3), ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["resources"] = new JsonObject { ["requests"] = requests } }) };
        if (Chance(6))
            spec["runtimeClassName"] = "metal";
        return Named(new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = new JsonObject { ["namespace"] = "default", ["labels"] = labels, ["annotations"] = annotations }, ["spec"] = spec });
    }

    private KubeObject Named(JsonObject pod)
    {
        string name = $"p{_names++:000}";
        pod["metadata"]!["name"] = name;
        pod["metadata"]!["uid"] = name;
        return KubeObject.FromNode(pod);
    }
}
