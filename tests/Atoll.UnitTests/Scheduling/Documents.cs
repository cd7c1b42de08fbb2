using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Short ways to write fleets and pods; every plan made here is checked.</summary>
internal static class Documents
{
    public static KubeObject Node(string name, string cpu = "4", string memory = "8Gi", string more = "{}", params (string Key, string Value)[] labels)
    {
        var all = new JsonObject { [WellKnown.HostnameLabel] = name };
        foreach ((string key, string value) in labels)
            all[key] = value;
        JsonObject node = JsonNode.Parse("""{"apiVersion":"v1","kind":"Node","spec":{},"status":{"allocatable":{"pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}""")!.AsObject();
        node["metadata"] = new JsonObject { ["name"] = name, ["uid"] = name, ["labels"] = all };
        node["status"]!["allocatable"]!["cpu"] = cpu;
        node["status"]!["allocatable"]!["memory"] = memory;
        return KubeObject.FromNode(Merge(node, JsonNode.Parse(more)!.AsObject()));
    }

    public static KubeObject Pod(string name, string spec = "{}", string? node = null, string cpu = "100m", int priority = 0, string? app = null, string ns = "default", string more = "{}")
    {
        JsonObject pod = JsonNode.Parse("""{"apiVersion":"v1","kind":"Pod","spec":{"containers":[{"name":"c","resources":{"requests":{}}}]},"status":{}}""")!.AsObject();
        var metadata = new JsonObject { ["name"] = name, ["namespace"] = ns, ["uid"] = name };
        if (app is not null)
            metadata["labels"] = new JsonObject { ["app"] = app };
        pod["metadata"] = metadata;
        pod["spec"]!["containers"]![0]!["resources"]!["requests"]!["cpu"] = cpu;
        pod["spec"]!["priority"] = priority;
        if (node is not null)
            pod["spec"]!["nodeName"] = node;
        Merge(pod["spec"]!.AsObject(), JsonNode.Parse(spec)!.AsObject());
        return KubeObject.FromNode(Merge(pod, JsonNode.Parse(more)!.AsObject()));
    }

    public static Placement Place(KubeObject[] nodes, KubeObject[] pods, KubeObject pod, PlanOptions? options = null) => Places(nodes, pods, [pod], options)[0];

    public static IReadOnlyList<Placement> Places(KubeObject[] nodes, KubeObject[] pods, KubeObject[] pending, PlanOptions? options = null, params KubeObject[] others)
    {
        Plan plan = Scheduler.Plan(Fleet(nodes, pods, others), pending, options ?? new PlanOptions { Seed = 1 });
        Assert.Empty(PlanChecker.Check(nodes, pods, [], pending, plan, others));
        return plan.Placements;
    }

    /// <summary>A snapshot of everything.</summary>
    public static Snapshot Fleet(IEnumerable<KubeObject> nodes, IEnumerable<KubeObject> pods, IEnumerable<KubeObject> others)
    {
        var snapshot = new Snapshot();
        foreach (KubeObject node in nodes)
            snapshot.UpsertNode(node);
        foreach (KubeObject pod in pods)
            snapshot.UpsertPod(pod);
        foreach (KubeObject other in others)
            switch (other.Kind)
            {
                case "PodGroup": snapshot.UpsertPodGroup(other); break;
                case "Reservation": snapshot.UpsertReservation(other); break;
                case "ElasticQuota": snapshot.UpsertQuota(other); break;
                case "PodDisruptionBudget": snapshot.UpsertBudget(other); break;
                case "Site": snapshot.UpsertSite(other); break;
                case "CPUModel": snapshot.UpsertCpuModel(other); break;
                case "StorageClass": snapshot.SetStorage(Kinds.StorageClass, other.Key, other); break;
                case "PersistentVolume": snapshot.SetStorage(Kinds.PersistentVolume, other.Key, other); break;
                case "PersistentVolumeClaim": snapshot.SetStorage(Kinds.PersistentVolumeClaim, other.Key, other); break;
            }
        return snapshot;
    }

    public static KubeObject Group(string name, int least, string ns = "default") => KubeObject.FromNode(new JsonObject
    {
        ["apiVersion"] = "scheduling.x-k8s.io/v1alpha1", ["kind"] = "PodGroup", ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = ns, ["uid"] = "pg-" + name }, ["spec"] = new JsonObject { ["minMember"] = least },
    });

    public static KubeObject Quota(string ns, string name, string min = "{}", string max = "{}", string? parent = null) => KubeObject.FromNode(new JsonObject
    {
        ["apiVersion"] = "scheduling.x-k8s.io/v1alpha1", ["kind"] = "ElasticQuota", ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = ns, ["uid"] = $"eq-{ns}-{name}" },
        ["spec"] = new JsonObject { ["min"] = JsonNode.Parse(min), ["max"] = JsonNode.Parse(max), ["parent"] = parent },
    });

    /// <summary>A reservation for pods of a namespace, with the label app where one is given.</summary>
    public static KubeObject Reserve(string name, string? node, string resources = """{"cpu":"2"}""", string ns = "default", string? app = null, string spec = "{}") => KubeObject.FromNode(new JsonObject
    {
        ["apiVersion"] = "edge.atoll.dev/v1alpha1", ["kind"] = "Reservation", ["metadata"] = new JsonObject { ["name"] = name, ["uid"] = "r-" + name },
        ["spec"] = Merge(new JsonObject
        {
            ["resources"] = JsonNode.Parse(resources),
            ["owners"] = new JsonArray(app is null ? new JsonObject { ["namespace"] = ns } : new JsonObject { ["namespace"] = ns, ["selector"] = new JsonObject { ["matchLabels"] = new JsonObject { ["app"] = app } } }),
        }, JsonNode.Parse(spec)!.AsObject()),
        ["status"] = node is null ? new JsonObject { ["phase"] = "Pending" } : new JsonObject { ["phase"] = "Available", ["nodeName"] = node },
    });

    /// <summary>A pod that runs in a reservation.</summary>
    public static KubeObject Inside(string name, string reservation, string node, string cpu, string? app = null) =>
        Pod(name, node: node, cpu: cpu, app: app, more: $$$$"""{"metadata":{"annotations":{"edge.atoll.dev/reservation":"{{{{reservation}}}}"}}}""");

    /// <summary>A member of a pod group.</summary>
    public static KubeObject Member(string name, string group, string cpu = "1", int priority = 0, string? node = null, string spec = "{}") =>
        Pod(name, spec, node, cpu, priority, more: $$$$"""{"metadata":{"labels":{"scheduling.x-k8s.io/pod-group":"{{{{group}}}}"}}}""");

    /// <summary>All nodes that a pod may go to, found by asking for each alone with a selector of its name.</summary>
    public static string Allowed(KubeObject[] nodes, KubeObject[] pods, KubeObject pod)
    {
        var fleet = new PlainFleet(nodes, pods, []);
        string plain = string.Join(' ', nodes.Select(n => n.Name).Where(n => fleet.Reasons(pod, n).Count == 0));
        Placement placement = Place(nodes, pods, pod);
        Assert.Equal(plain.Length == 0, placement.Node is null);
        return plain;
    }

    public static JsonObject Merge(JsonObject target, JsonObject patch)
    {
        foreach ((string key, JsonNode? value) in patch)
            if (value is JsonObject inner && target[key] is JsonObject present)
                Merge(present, inner);
            else
                target[key] = value?.DeepClone();
        return target;
    }
}
