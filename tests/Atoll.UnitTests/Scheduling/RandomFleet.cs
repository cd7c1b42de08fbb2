using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.UnitTests.Scheduling;

/// <summary>A small fleet with everything that filters and scores look at, drawn from a seed.</summary>
internal sealed class RandomFleet
{
    private static readonly string[] s_apps = ["a", "b"], s_zones = ["x", "y", "z"], s_spaces = ["default", "other"];

    private readonly Random _random;
    private int _names;

    public RandomFleet(int seed, int nodes, int pods, int pending)
    {
        _random = new Random(seed);
        Namespaces = [.. s_spaces.Select(n => KubeObject.FromNode(new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Namespace", ["metadata"] = new JsonObject { ["name"] = n, ["uid"] = n, ["labels"] = new JsonObject { ["team"] = n } } }))];
        Nodes = [.. Enumerable.Range(0, nodes).Select(i => Node($"n{i}"))];
        Pods = [.. Enumerable.Range(0, pods).Select(_ => Pod(true))];
        Pending = [.. Enumerable.Range(0, pending).Select(_ => Pod(false))];
        // Some come in copies, as replicas do.
        for (int i = 1; i < Pending.Count; i++)
            if (Chance(50))
                Pending[i] = Copy(Pending[i - 1]);
    }

    /// <summary>PodGroups, ElasticQuotas, Reservations and PodDisruptionBudgets.</summary>
    public List<KubeObject> Others { get; } = [];

    /// <summary>Gives both namespaces quotas, mostly with one above them.</summary>
    public RandomFleet WithQuotas()
    {
        foreach (string ns in s_spaces)
            if (Chance(85))
                Others.Add(Documents.Quota(ns, "q", Amounts(0, 6), Amounts(6, 14), Chance(60) ? "org/all" : null));
        if (Chance(30))
            Others.Add(Documents.Quota("default", "extra", Amounts(0, 4), Amounts(2, 8), "q"));
        if (Chance(80))
            Others.Add(Documents.Quota("org", "all", Amounts(2, 10), Amounts(8, 24)));
        for (int i = 0; i < Pending.Count; i++)
            if (Chance(10))
            {
                JsonObject pod = Pending[i].ToNode();
                pod["metadata"]!["labels"]!["scheduling.x-k8s.io/elastic-quota"] = Any(["q", "extra"]);
                Pending[i] = KubeObject.FromNode(pod);
            }
        return this;

        string Amounts(int least, int most) =>
            Chance(20) ? $$"""{"cpu":"{{_random.Next(least, most) * 500}}m","memory":"{{_random.Next(least, most)}}Gi"}""" : $$"""{"cpu":"{{_random.Next(least, most) * 500}}m"}""";
    }

    /// <summary>Guards pods of both applications by budgets.</summary>
    public RandomFleet WithBudgets()
    {
        foreach (string app in s_apps)
            if (Chance(70))
                Others.Add(KubeObject.FromNode(new JsonObject
                {
                    ["apiVersion"] = "policy/v1", ["kind"] = "PodDisruptionBudget", ["metadata"] = new JsonObject { ["name"] = app, ["namespace"] = "default", ["uid"] = "pdb-" + app },
                    ["spec"] = new JsonObject { ["selector"] = new JsonObject { ["matchLabels"] = new JsonObject { ["app"] = app } } }, ["status"] = new JsonObject { ["disruptionsAllowed"] = _random.Next(3) },
                }));
        return this;
    }

    /// <summary>Keeps room on some nodes, of which some pods have taken.</summary>
    public RandomFleet WithReservations()
    {
        for (int i = 0; i < 3; i++)
            if (Chance(75))
                Others.Add(Documents.Reserve($"r{i}", $"n{_random.Next(Nodes.Count + 1)}", Chance(50) ? """{"cpu":"1"}""" : """{"cpu":"500m","memory":"1Gi"}""", Any(s_spaces), Chance(60) ? Any(s_apps) : null));
        foreach (KubeObject reservation in Others.FindAll(o => o.Kind == "Reservation"))
            for (int i = 0; i < Pods.Count; i++)
                if (Chance(15) && (string?)Pods[i].ToNode()["spec"]!["nodeName"] == (string?)reservation.ToNode()["status"]!["nodeName"])
                {
                    JsonObject pod = Pods[i].ToNode();
                    pod["metadata"]!["annotations"] = new JsonObject { ["edge.atoll.dev/reservation"] = reservation.Name };
                    Pods[i] = KubeObject.FromNode(pod);
                }
        return this;
    }

    /// <summary>Makes members of pod groups of some pods, whose groups mostly exist.</summary>
    public RandomFleet WithGangs()
    {
        foreach (string name in (string[])["g", "h"])
            if (Chance(90))
                Others.Add(Documents.Group(name, _random.Next(1, 5)));
        Join(Pods, 15);
        Join(Pending, 60);
        return this;

        void Join(List<KubeObject> pods, int percent)
        {
            for (int i = 0; i < pods.Count; i++)
                if (Chance(percent))
                {
                    JsonObject pod = pods[i].ToNode();
                    pod["metadata"]!["labels"]!["scheduling.x-k8s.io/pod-group"] = Any(["g", "h"]);
                    pods[i] = KubeObject.FromNode(pod);
                }
        }
    }

    public List<KubeObject> Namespaces { get; }

    public List<KubeObject> Nodes { get; }

    public List<KubeObject> Pods { get; }

    public List<KubeObject> Pending { get; }

    private bool Chance(int percent) => _random.Next(100) < percent;

    private string Any(string[] of) => of[_random.Next(of.Length)];

    private KubeObject Copy(KubeObject pod)
    {
        JsonObject copy = pod.ToNode();
        string name = $"p{_names++:000}";
        copy["metadata"]!["name"] = name;
        copy["metadata"]!["uid"] = name;
        (copy["status"] as JsonObject)?.Remove("nominatedNodeName");
        return KubeObject.FromNode(copy);
    }

    private KubeObject Node(string name)
    {
        var labels = new JsonObject { [WellKnown.HostnameLabel] = name };
        if (Chance(85))
            labels[WellKnown.ZoneLabel] = Any(s_zones);
        if (Chance(50))
            labels["disk"] = Chance(50) ? "ssd" : "hdd";
        if (Chance(50))
            labels["cores"] = Chance(50) ? "4" : "16";
        var taints = new JsonArray();
        if (Chance(25))
            taints.Add(new JsonObject { ["key"] = "k", ["value"] = Chance(50) ? "v" : "w", ["effect"] = Any(["NoSchedule", "NoExecute", "PreferNoSchedule"]) });
        if (Chance(20))
            taints.Add(new JsonObject { ["key"] = "soft", ["effect"] = "PreferNoSchedule" });
        var allocatable = new JsonObject { ["cpu"] = $"{_random.Next(1, 9) * 500}m", ["memory"] = $"{_random.Next(1, 9)}Gi", ["pods"] = $"{_random.Next(1, 7)}" };
        if (Chance(30))
            allocatable["example.com/gpu"] = $"{_random.Next(0, 3)}";
        var images = new JsonArray();
        if (Chance(40))
            images.Add(new JsonObject { ["names"] = new JsonArray("img:1"), ["sizeBytes"] = 400_000_000 });
        return KubeObject.FromNode(new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Node",
            ["metadata"] = new JsonObject { ["name"] = name, ["uid"] = name, ["labels"] = labels },
            ["spec"] = new JsonObject { ["taints"] = taints, ["unschedulable"] = Chance(5) },
            ["status"] = new JsonObject { ["allocatable"] = allocatable, ["images"] = images, ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = Chance(95) ? "True" : "Unknown" }) },
        });
    }

    private KubeObject Pod(bool placed)
    {
        string name = $"p{_names++:000}";
        var labels = new JsonObject { ["app"] = Any(s_apps) };
        if (Chance(50))
            labels["version"] = Any(["1", "2"]);
        var metadata = new JsonObject { ["name"] = name, ["namespace"] = Chance(80) ? "default" : "other", ["uid"] = name, ["labels"] = labels, ["creationTimestamp"] = $"2026-01-01T00:00:{_random.Next(60):00}Z" };
        if (!placed && Chance(30))
            metadata["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "ReplicaSet", ["name"] = "r", ["uid"] = "r", ["controller"] = true });
        JsonObject spec = Spec();
        var status = new JsonObject();
        if (placed)
        {
            // Some nodes are gone, or not there yet.
            string node = $"n{_random.Next(Nodes.Count + 1)}";
            if (Chance(90))
                spec["nodeName"] = node;
            else
                status["nominatedNodeName"] = node;
            if (Chance(10))
                status["phase"] = "Succeeded";
            if (Chance(10))
                metadata["deletionTimestamp"] = "2026-01-02T00:00:00Z";
        }
        else if (Chance(3))
            spec["nodeName"] = $"n{_random.Next(Nodes.Count)}";
        return KubeObject.FromNode(new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = metadata, ["spec"] = spec, ["status"] = status });
    }

    private JsonObject Spec()
    {
        var requests = new JsonObject();
        if (Chance(80))
            requests["cpu"] = $"{_random.Next(0, 9) * 250}m";
        if (Chance(70))
            requests["memory"] = $"{_random.Next(0, 8) * 512}Mi";
        if (Chance(10))
            requests["example.com/gpu"] = "1";
        var container = new JsonObject { ["name"] = "c", ["image"] = "img:1", ["resources"] = new JsonObject { ["requests"] = requests } };
        if (Chance(15))
            container["ports"] = new JsonArray(new JsonObject { ["containerPort"] = 80, ["hostPort"] = 80 + _random.Next(2), ["protocol"] = Chance(50) ? "TCP" : "UDP", ["hostIP"] = Chance(50) ? "" : "10.0.0.1" });
        var spec = new JsonObject { ["containers"] = new JsonArray(container), ["priority"] = _random.Next(4) * 10 };
        if (Chance(10))
            spec["preemptionPolicy"] = "Never";
        if (Chance(40))
            spec["tolerations"] = new JsonArray(Chance(50) ? new JsonObject { ["operator"] = "Exists" } : new JsonObject { ["key"] = "k", ["operator"] = "Equal", ["value"] = "v", ["effect"] = Chance(50) ? "NoSchedule" : "" });
        if (Chance(15))
            spec["nodeSelector"] = new JsonObject { ["disk"] = "ssd" };
        if (Chance(30))
            spec["topologySpreadConstraints"] = new JsonArray([.. Enumerable.Range(0, _random.Next(1, 3)).Select(i => (JsonNode)SpreadOf(i))]);
        var affinity = new JsonObject();
        if (Chance(20))
            affinity["nodeAffinity"] = NodeAffinity();
        if (Chance(15))
            affinity["podAffinity"] = PodAffinity();
        if (Chance(20))
            affinity["podAntiAffinity"] = PodAffinity();
        if (affinity.Count > 0)
            spec["affinity"] = affinity;
        return spec;
    }

    private JsonObject SpreadOf(int i)
    {
        var spread = new JsonObject
        {
            ["topologyKey"] = i == 0 ? WellKnown.ZoneLabel : Any([WellKnown.HostnameLabel, "disk"]),
            ["maxSkew"] = _random.Next(1, 3),
            ["whenUnsatisfiable"] = Chance(60) ? "DoNotSchedule" : "ScheduleAnyway",
            ["labelSelector"] = Selector(),
        };
        if (Chance(20) && (string?)spread["whenUnsatisfiable"] == "DoNotSchedule")
            spread["minDomains"] = _random.Next(1, 5);
        if (Chance(20))
            spread["matchLabelKeys"] = new JsonArray("version");
        if (Chance(25))
            spread["nodeAffinityPolicy"] = Any(["Honor", "Ignore"]);
        if (Chance(25))
            spread["nodeTaintsPolicy"] = Any(["Honor", "Ignore"]);
        return spread;
    }

    private JsonObject Selector() => Chance(70)
        ? new JsonObject { ["matchLabels"] = new JsonObject { ["app"] = Any(s_apps) } }
        : new JsonObject { ["matchExpressions"] = new JsonArray(new JsonObject { ["key"] = "version", ["operator"] = Any(["Exists", "DoesNotExist"]) }) };

    private JsonObject NodeAffinity()
    {
        var affinity = new JsonObject();
        if (Chance(60))
            affinity["requiredDuringSchedulingIgnoredDuringExecution"] = new JsonObject { ["nodeSelectorTerms"] = new JsonArray([.. Enumerable.Range(0, _random.Next(1, 3)).Select(_ => (JsonNode)NodeTerm())]) };
        if (Chance(60))
            affinity["preferredDuringSchedulingIgnoredDuringExecution"] = new JsonArray(new JsonObject { ["weight"] = _random.Next(1, 100), ["preference"] = NodeTerm() }, new JsonObject { ["weight"] = 7, ["preference"] = NodeTerm() });
        return affinity;
    }

    private JsonObject NodeTerm() => _random.Next(5) switch
    {
        0 => new JsonObject { ["matchExpressions"] = new JsonArray(new JsonObject { ["key"] = "disk", ["operator"] = Any(["In", "NotIn"]), ["values"] = new JsonArray("ssd") }) },
        1 => new JsonObject { ["matchExpressions"] = new JsonArray(new JsonObject { ["key"] = "cores", ["operator"] = Any(["Gt", "Lt"]), ["values"] = new JsonArray("8") }) },
        2 => new JsonObject { ["matchFields"] = new JsonArray(new JsonObject { ["key"] = "metadata.name", ["operator"] = Any(["In", "NotIn"]), ["values"] = new JsonArray("n1") }) },
        3 => new JsonObject { ["matchExpressions"] = new JsonArray(new JsonObject { ["key"] = WellKnown.ZoneLabel, ["operator"] = "In", ["values"] = new JsonArray("x", "y", "none") }) },
        _ => new JsonObject { ["matchExpressions"] = new JsonArray(new JsonObject { ["key"] = "disk", ["operator"] = Any(["Exists", "DoesNotExist"]) }) },
    };

    private JsonObject PodAffinity()
    {
        var affinity = new JsonObject();
        if (Chance(60))
            affinity["requiredDuringSchedulingIgnoredDuringExecution"] = new JsonArray([.. Enumerable.Range(0, _random.Next(1, 3)).Select(_ => (JsonNode)PodTerm())]);
        if (Chance(60))
            affinity["preferredDuringSchedulingIgnoredDuringExecution"] = new JsonArray(new JsonObject { ["weight"] = _random.Next(1, 100), ["podAffinityTerm"] = PodTerm() });
        return affinity;
    }

    private JsonObject PodTerm()
    {
        var term = new JsonObject { ["topologyKey"] = Any([WellKnown.ZoneLabel, WellKnown.HostnameLabel, "disk"]), ["labelSelector"] = Selector() };
        if (Chance(15))
            term["namespaces"] = new JsonArray("other");
        if (Chance(15))
            term["namespaceSelector"] = Chance(50) ? [] : new JsonObject { ["matchLabels"] = new JsonObject { ["team"] = "other" } };
        if (Chance(15))
            term["matchLabelKeys"] = new JsonArray("version");
        else if (Chance(15))
            term["mismatchLabelKeys"] = new JsonArray("version");
        return term;
    }
}
