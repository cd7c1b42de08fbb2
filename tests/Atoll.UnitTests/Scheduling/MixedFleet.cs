using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

/// <summary>
/// Everything at once, drawn from a seed: the constraints of <see cref="RandomFleet"/> (with groups, quotas, reservations and budgets) and the
/// hardware of <see cref="FormsFleet"/> on the same nodes, with batch pods, images of one architecture, volumes and a named profile besides.
/// </summary>
internal sealed class MixedFleet
{
    private static readonly string[] s_spaces = ["default", "other"];

    private readonly Random _random;

    public MixedFleet(int seed, int nodes, int pods, int pending)
    {
        _random = new Random(seed ^ 0x5eed);
        var plain = new RandomFleet(seed, nodes, (pods + 1) / 2, pending);
        if (Chance(40))
            plain.WithGangs();
        if (Chance(35))
            plain.WithQuotas();
        if (Chance(35))
            plain.WithReservations();
        if (Chance(35))
            plain.WithBudgets();
        var forms = new FormsFleet(seed + 1, nodes, pods / 2, pending);
        Namespaces = plain.Namespaces;
        Others = [.. plain.Others, .. forms.More];
        Nodes = [.. plain.Nodes.Select((n, i) => Node(n.ToNode(), forms.Nodes[i].ToNode()))];
        Pods = [.. plain.Pods.Select(p => Chance(15) ? Batch(p) : p), .. forms.Pods.Select(p => Renamed(p, "f"))];
        Pending = [.. plain.Pending.Select((p, i) => Chance(15) ? Batch(p) : Chance(50) ? Shaped(p, forms.Pending[i].ToNode()) : p)];
        if (Chance(60))
            Store();
        if (Chance(35))
            Profile();
    }

    public List<KubeObject> Namespaces { get; }

    public List<KubeObject> Nodes { get; }

    public List<KubeObject> Pods { get; }

    public List<KubeObject> Pending { get; }

    /// <summary>Everything else.</summary>
    public List<KubeObject> Others { get; }

    /// <summary>SchedulerProfiles that some of the pods name.</summary>
    public List<KubeObject> Profiles { get; } = [];

    public PlanOptions Options(int seed) =>
        new() { Seed = seed, Profiles = Profiles.ToDictionary(p => p.Name, p => ProfileReader.Read(p.View(ApiJson.Default.SchedulerProfile).Spec, out _)!, StringComparer.Ordinal) };

    public Snapshot Snapshot(IEnumerable<KubeObject>? nodes = null)
    {
        Snapshot snapshot = Documents.Fleet(nodes ?? Nodes, Pods, Others);
        foreach (KubeObject ns in Namespaces)
            snapshot.UpsertNamespace(ns);
        return snapshot;
    }

    private bool Chance(int percent) => _random.Next(100) < percent;

    private T Any<T>(params T[] of) => of[_random.Next(of.Length)];

    private KubeObject Node(JsonObject plain, JsonObject forms)
    {
        var more = new JsonObject
        {
            ["metadata"] = new JsonObject { ["labels"] = forms["metadata"]!["labels"]!.DeepClone() },
            ["status"] = new JsonObject { ["allocatable"] = forms["status"]!["allocatable"]!.DeepClone(), ["edge"] = forms["status"]!["edge"]!.DeepClone() },
        };
        if (Chance(60))
            Documents.Merge(more, new JsonObject { ["status"] = new JsonObject { ["allocatable"] = new JsonObject { [WellKnown.BatchCpu] = $"{_random.Next(0, 4000)}", [WellKnown.BatchMemory] = $"{_random.Next(0, 4)}Gi" } } });
        if (Chance(70))
            more["metadata"]!["labels"]![WellKnown.ArchLabel] = Any("amd64", "amd64", "arm64");
        if (Chance(25))
            more["status"]!["edge"]!["images"] = new JsonArray(new JsonObject { ["name"] = "docker.io/library/img:2", ["architectures"] = Chance(70) ? new JsonArray("amd64") : new JsonArray("amd64", "arm64") });
        return KubeObject.FromNode(Documents.Merge(plain, more));
    }

    // A batch pod as the API makes it: low, displacing nobody, asking for what is reclaimed.
    private KubeObject Batch(KubeObject pod)
    {
        JsonObject batch = pod.ToNode();
        batch["metadata"]!["labels"]![WellKnown.QosLabel] = WellKnown.QosBatch;
        (batch["spec"]!["priority"], batch["spec"]!["preemptionPolicy"]) = (-1_000_000, "Never");
        batch["spec"]!["containers"]![0]!["resources"]!["requests"] = new JsonObject { [WellKnown.BatchCpu] = $"{_random.Next(1, 1500)}", [WellKnown.BatchMemory] = "512Mi" };
        return KubeObject.FromNode(batch);
    }

    // A pod of the one fleet that asks for the hardware that a pod of the other asks for.
    private static KubeObject Shaped(KubeObject pod, JsonObject form)
    {
        JsonObject shaped = pod.ToNode();
        var more = new JsonObject { ["metadata"] = new JsonObject { ["labels"] = form["metadata"]!["labels"]!.DeepClone(), ["annotations"] = form["metadata"]!["annotations"]!.DeepClone() } };
        if (form["spec"]!["runtimeClassName"] is { } runtime)
            more["spec"] = new JsonObject { ["runtimeClassName"] = runtime.DeepClone() };
        shaped["spec"]!["containers"]![0]!["image"] = "img:2";
        Documents.Merge(shaped["spec"]!["containers"]![0]!["resources"]!["requests"]!.AsObject(), form["spec"]!["containers"]![0]!["resources"]!["requests"]!.AsObject());
        return KubeObject.FromNode(Documents.Merge(shaped, more));
    }

    private static KubeObject Renamed(KubeObject pod, string prefix)
    {
        JsonObject renamed = pod.ToNode();
        (renamed["metadata"]!["name"], renamed["metadata"]!["uid"]) = (prefix + pod.Name, prefix + pod.Name);
        return KubeObject.FromNode(renamed);
    }

    // Static volumes, some taken, classes that make them and claims that are bound, decided, set aside for, shared, on their way out or missing.
    private void Store()
    {
        Others.Add(Of("""{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"manual","uid":"manual"},"provisioner":"kubernetes.io/no-provisioner","volumeBindingMode":"WaitForFirstConsumer"}"""));
        JsonObject local = Of("""{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"local","uid":"local"},"provisioner":"edge.atoll.dev/local","volumeBindingMode":"WaitForFirstConsumer"}""").ToNode();
        if (Chance(40))
            local["allowedTopologies"] = new JsonArray(new JsonObject { ["matchLabelExpressions"] = new JsonArray(new JsonObject { ["key"] = WellKnown.HostnameLabel, ["values"] = new JsonArray("n0", "n2", "n3") }) });
        Others.Add(KubeObject.FromNode(local));
        List<(string Space, string Name)> claims = [.. Enumerable.Range(0, _random.Next(1, 6)).Select(i => (Any(s_spaces), $"c{i}"))];
        List<JsonObject> volumes = [.. Enumerable.Range(0, _random.Next(0, 5)).Select(i => Volume($"v{i}"))];
        foreach ((string space, string name) in claims)
            Others.Add(Claim(space, name, volumes));
        Others.AddRange(volumes.ConvertAll(v => KubeObject.FromNode(v)));
        for (int i = 0; i < Pending.Count; i++)
            if (Chance(45))
            {
                JsonObject pod = Pending[i].ToNode();
                List<string> own = [.. claims.Where(c => c.Space == Pending[i].Namespace).Select(c => c.Name)];
                if (Chance(3) || own.Count == 0)
                    own = ["none"];
                pod["spec"]!["volumes"] = new JsonArray([.. Enumerable.Range(0, _random.Next(1, 3)).Select(_ => own[_random.Next(own.Count)]).Distinct().Select(c => (JsonNode)new JsonObject { ["name"] = c, ["persistentVolumeClaim"] = new JsonObject { ["claimName"] = c } })]);
                Pending[i] = KubeObject.FromNode(pod);
            }
    }

    private void Profile()
    {
        var spec = new JsonObject { ["weights"] = new JsonObject { ["NodeResourcesFit"] = _random.Next(4), ["InterPodAffinity"] = _random.Next(3), ["PodTopologySpread"] = _random.Next(3), ["TaintToleration"] = _random.Next(4) } };
        if (Chance(50))
            spec["scoringStrategy"] = new JsonObject { ["type"] = "MostAllocated" };
        if (Chance(30))
            spec["preemption"] = false;
        if (Chance(30))
            spec["hardPodAffinityWeight"] = _random.Next(101);
        if (Chance(60))
            (spec["defaultingType"], spec["defaultConstraints"]) = ("List", new JsonArray(new JsonObject { ["topologyKey"] = Any(WellKnown.ZoneLabel, WellKnown.HostnameLabel), ["maxSkew"] = _random.Next(1, 3), ["whenUnsatisfiable"] = Any("DoNotSchedule", "ScheduleAnyway") }));
        Profiles.Add(KubeObject.FromNode(new JsonObject { ["apiVersion"] = "edge.atoll.dev/v1alpha1", ["kind"] = "SchedulerProfile", ["metadata"] = new JsonObject { ["name"] = "own", ["uid"] = "own" }, ["spec"] = spec }));
        for (int i = 0; i < Pending.Count; i++)
            if (Chance(50))
                Pending[i] = KubeObject.FromNode(Documents.Merge(Pending[i].ToNode(), new JsonObject { ["spec"] = new JsonObject { ["schedulerName"] = "own" } }));
    }

    private JsonObject Volume(string name)
    {
        JsonObject volume = JsonNode.Parse("""{"apiVersion":"v1","kind":"PersistentVolume","spec":{"accessModes":["ReadWriteOnce"]}}""")!.AsObject();
        volume["metadata"] = new JsonObject { ["name"] = name, ["uid"] = name };
        (volume["spec"]!["storageClassName"], volume["spec"]!["capacity"]) = (Any("manual", "manual", "local"), new JsonObject { ["storage"] = $"{_random.Next(1, 5)}Gi" });
        if (Chance(85))
            volume["spec"]!["nodeAffinity"] = new JsonObject { ["required"] = new JsonObject { ["nodeSelectorTerms"] = new JsonArray(new JsonObject { ["matchExpressions"] = new JsonArray(Chance(70)
                ? new JsonObject { ["key"] = WellKnown.HostnameLabel, ["operator"] = "In", ["values"] = new JsonArray($"n{_random.Next(Nodes.Count)}", $"n{_random.Next(Nodes.Count)}") }
                : new JsonObject { ["key"] = WellKnown.ZoneLabel, ["operator"] = "In", ["values"] = new JsonArray(Any("x", "y")) }) }) } };
        if (Chance(10))
            volume["spec"]!["claimRef"] = new JsonObject { ["namespace"] = "default", ["name"] = "taken", ["uid"] = "taken" };
        return volume;
    }

    private KubeObject Claim(string space, string name, List<JsonObject> volumes)
    {
        string storage = Any("manual", "manual", "local");
        JsonObject claim = JsonNode.Parse("""{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":{"accessModes":["ReadWriteOnce"]}}""")!.AsObject();
        claim["metadata"] = new JsonObject { ["namespace"] = space, ["name"] = name, ["uid"] = name };
        (claim["spec"]!["storageClassName"], claim["spec"]!["resources"]) = (Chance(4) ? "immediate" : storage, new JsonObject { ["requests"] = new JsonObject { ["storage"] = $"{_random.Next(1, 4)}Gi" } });
        JsonObject? volume = volumes.Find(v => v["spec"]!["claimRef"] is null && (string?)v["spec"]!["storageClassName"] == storage);
        if (volume is not null && Chance(35))
        {
            // Bound, or set aside by somebody and not yet bound.
            volume["spec"]!["claimRef"] = new JsonObject { ["namespace"] = space, ["name"] = name };
            if (Chance(60))
                claim["spec"]!["volumeName"] = (string?)volume["metadata"]!["name"];
        }
        else if (storage == "local" && Chance(30))
            claim["metadata"]!["annotations"] = new JsonObject { [StorageNames.SelectedNode] = string.Create(CultureInfo.InvariantCulture, $"n{_random.Next(Nodes.Count + 1)}") };
        if (Chance(3))
            claim["metadata"]!["deletionTimestamp"] = "2026-01-02T00:00:00Z";
        return KubeObject.FromNode(claim);
    }

    private static KubeObject Of(string json) => KubeObject.FromNode(JsonNode.Parse(json)!.AsObject());
}
