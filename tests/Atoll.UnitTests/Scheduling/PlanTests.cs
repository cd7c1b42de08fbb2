using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;
using CsCheck;

namespace Atoll.UnitTests.Scheduling;

/// <summary>What the scheduler answers: where, and in Kubernetes' words why not.</summary>
public sealed class PlanTests
{
    [Fact]
    public void Says_what_is_missing_in_Kubernetes_words()
    {
        Snapshot fleet = Fleet(Node("a"), Node("b"), Node("c"));
        Assert.Equal("0/3 nodes are available: 3 Insufficient memory. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.", Plan(fleet, Pod("p", memory: "64Gi")).Message);
        Assert.Equal("0/3 nodes are available: 3 Insufficient cpu, 3 Insufficient memory. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.", Plan(fleet, Pod("p", cpu: "9", memory: "64Gi")).Message);
        Assert.Equal("0/3 nodes are available: 3 Insufficient example.com/gpu. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.", Plan(fleet, Pod("p", extra: ("example.com/gpu", "1"))).Message);
        Assert.Equal("no nodes available to schedule pods", Plan(new Snapshot(), Pod("p")).Message);
    }

    [Fact]
    public void Counts_each_node_under_its_first_reason_and_sorts_the_reasons()
    {
        Snapshot fleet = Fleet(
            Node("a", taint: ("k", "v", "NoSchedule")),
            Node("b", unschedulable: true),
            Node("c", labels: new() { ["disk"] = "ssd" }),
            Node("d", ready: "Unknown"));
        Assert.Equal(
            "0/4 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint {k: v}, 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 1 node(s) were unschedulable. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.",
            Plan(fleet, Pod("p", cpu: "9")).Message);
        Assert.Equal("c", Plan(fleet, Pod("p", selector: new() { ["disk"] = "ssd" })).Node);
        Assert.Equal(
            "0/4 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 node(s) had untolerated taint {k: v}, 1 node(s) had untolerated taint {node.kubernetes.io/unreachable: }, 1 node(s) were unschedulable. preemption: 0/4 nodes are available: 4 Preemption is not helpful for scheduling.",
            Plan(fleet, Pod("p", selector: new() { ["disk"] = "hdd" })).Message);
    }

    [Theory]
    [InlineData("""[{"key":"k","operator":"Equal","value":"v","effect":"NoSchedule"}]""", true)]
    [InlineData("""[{"key":"k","operator":"Exists"}]""", true)]
    [InlineData("""[{"operator":"Exists"}]""", true)]
    [InlineData("""[{"key":"k","value":"v"}]""", true)]
    [InlineData("""[{"key":"k","value":"w"}]""", false)]
    [InlineData("""[{"key":"k","operator":"Exists","effect":"NoExecute"}]""", false)]
    [InlineData("""[{"key":"other","operator":"Exists"}]""", false)]
    public void Tolerations_match_as_in_Kubernetes(string tolerations, bool fits) =>
        Assert.Equal(fits, Plan(Fleet(Node("a", taint: ("k", "v", "NoSchedule"))), Pod("p", spec: new JsonObject { ["tolerations"] = JsonNode.Parse(tolerations) })).Node is not null);

    [Theory]
    [InlineData("""{"matchExpressions":[{"key":"zone","operator":"In","values":["x","y"]}]}""", "a")]
    [InlineData("""{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["x"]}]}""", "b")]
    [InlineData("""{"matchExpressions":[{"key":"cores","operator":"Gt","values":["8"]}]}""", "b")]
    [InlineData("""{"matchExpressions":[{"key":"cores","operator":"Lt","values":["8"]}]}""", "a")]
    [InlineData("""{"matchExpressions":[{"key":"only","operator":"Exists"}]}""", "a")]
    [InlineData("""{"matchExpressions":[{"key":"only","operator":"DoesNotExist"}]}""", "b")]
    [InlineData("""{"matchFields":[{"key":"metadata.name","operator":"In","values":["b"]}]}""", "b")]
    [InlineData("""{}""", null)]
    public void Required_node_affinity_selects(string term, string? node)
    {
        Snapshot fleet = Fleet(Node("a", labels: new() { ["zone"] = "x", ["cores"] = "4", ["only"] = "" }), Node("b", labels: new() { ["zone"] = "z", ["cores"] = "16" }));
        JsonNode affinity = JsonNode.Parse("{\"nodeAffinity\":{\"requiredDuringSchedulingIgnoredDuringExecution\":{\"nodeSelectorTerms\":[" + term + "]}}}")!;
        Assert.Equal(node, Plan(fleet, Pod("p", spec: new JsonObject { ["affinity"] = affinity })).Node);
    }

    [Fact]
    public void Init_containers_count_at_their_peak_and_sidecars_all_along()
    {
        var names = new ResourceNames();
        PodSpec spec = Pod("p", spec: new JsonObject
        {
            ["containers"] = new JsonArray(Container("1", "1Gi"), Container("1", "1Gi")),
            ["initContainers"] = new JsonArray(Container("5", "1Gi"), Sidecar("500m", "1Gi"), Container("1", "4Gi")),
            ["overhead"] = new JsonObject { ["cpu"] = "100m" },
        }).View(ApiJson.Default.Pod).Spec;
        long[] requests = names.RequestsOf(spec);
        Assert.Equal(5100, requests[ResourceNames.Cpu]);
        Assert.Equal(5L << 30, requests[ResourceNames.Memory]);
        Assert.Equal(1, requests[ResourceNames.Pods]);

        static JsonObject Sidecar(string cpu, string memory)
        {
            JsonObject container = Container(cpu, memory);
            container["restartPolicy"] = "Always";
            return container;
        }
    }

    [Fact]
    public void Host_ports_are_taken_once_a_node_and_by_pods_of_the_same_plan_too()
    {
        Snapshot fleet = Fleet(Node("a"), Node("b"));
        Plan plan = Scheduler.Plan(fleet, [Port("p1"), Port("p2"), Port("p3")], 1);
        Assert.Equal(["a", "b"], plan.Placements.Where(p => p.Node is not null).Select(p => p.Node!).Order());
        Assert.Equal("0/2 nodes are available: 2 node(s) didn't have free ports for the requested pod ports. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.", plan.Placements[2].Message);

        static KubeObject Port(string name) => Pod(name, spec: new JsonObject { ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["ports"] = new JsonArray(new JsonObject { ["containerPort"] = 80, ["hostPort"] = 80 }) }) });
    }

    [Fact]
    public void A_spread_over_sites_holds_its_skew_and_says_when_it_cannot()
    {
        Snapshot fleet = Fleet(Node("a1", labels: Zone("a")), Node("a2", labels: Zone("a")), Node("b1", labels: Zone("b")), Node("c1", labels: Zone("c"), cpu: "100m"));
        Plan plan = Scheduler.Plan(fleet, [.. Enumerable.Range(0, 4).Select(i => Spread($"p{i}"))], 1);
        // Site c holds nothing of this size, so with skew 1 the others hold one each.
        Assert.Equal(["a", "b"], plan.Placements.Where(p => p.Node is not null).Select(p => p.Node![..1]).Order());
        Assert.Equal("0/4 nodes are available: 1 Insufficient cpu, 3 node(s) didn't match pod topology spread constraints. preemption: 0/4 nodes are available: 1 Preemption is not helpful for scheduling, 3 No preemption victims found for incoming pod.", plan.Placements[3].Message);

        static KubeObject Spread(string name) => Pod(name, cpu: "500m", labels: new() { ["app"] = "x" }, spec: new JsonObject
        {
            ["topologySpreadConstraints"] = JsonNode.Parse("""[{"topologyKey":"topology.kubernetes.io/zone","maxSkew":1,"whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"x"}}}]"""),
        });
    }

    [Fact]
    public void Replicas_without_a_word_go_to_different_sites()
    {
        Snapshot fleet = Fleet(Node("a1", labels: Zone("a")), Node("a2", labels: Zone("a")), Node("b1", labels: Zone("b")), Node("c1", labels: Zone("c")));
        Plan plan = Scheduler.Plan(fleet, [Owned("p0"), Owned("p1"), Owned("p2")], 1);
        Assert.Equal(["a", "b", "c"], plan.Placements.Select(p => p.Node![..1]).Order());

        static KubeObject Owned(string name)
        {
            JsonObject pod = Pod(name, labels: new() { ["app"] = "x" }).ToNode();
            pod["metadata"]!["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "ReplicaSet", ["name"] = "r", ["uid"] = "r-uid", ["controller"] = true });
            return KubeObject.FromNode(pod);
        }
    }

    [Fact]
    public void Any_plan_fits_every_node_and_is_the_same_twice()
    {
        var pod = Gen.Select(Gen.Int[0, 8], Gen.Int[0, 8], Gen.Int[0, 3]);
        Gen.Select(Gen.Int[1, 6], pod.Array[1, 40], Gen.Int[0, 100]).Each(300, (nodes, pods, seed) =>
        {
            Snapshot fleet = Fleet([.. Enumerable.Range(0, nodes).Select(i => Node($"n{i}", cpu: "2", memory: "4Gi", pods: "6", labels: Zone($"z{i % 3}")))]);
            List<KubeObject> pending = [.. pods.Select((p, i) => Pod($"p{i}", cpu: $"{p.Item1 * 100}m", memory: $"{p.Item2 * 256}Mi", labels: new() { ["g"] = $"{p.Item3}" }))];
            Plan plan = Scheduler.Plan(fleet, pending, seed);
            Assert.Equal(plan.Placements.Select(p => p.Node), Scheduler.Plan(fleet, pending, seed).Placements.Select(p => p.Node));
            foreach (IGrouping<string, Placement> node in plan.Placements.Where(p => p.Node is not null).GroupBy(p => p.Node!))
            {
                Assert.InRange(node.Sum(p => Amount(p, 0)), 0, 20);
                Assert.InRange(node.Sum(p => Amount(p, 1)), 0, 16);
                Assert.InRange(node.Count(), 0, 6);
            }
            // A pod that was refused really fits nowhere beside those that were placed.
            foreach (Placement refused in plan.Placements.Where(p => p.Node is null))
                Assert.All(Enumerable.Range(0, nodes), i =>
                {
                    Placement[] there = [.. plan.Placements.Where(p => p.Node == $"n{i}")];
                    Assert.True(there.Length == 6 || there.Sum(p => Amount(p, 0)) + Amount(refused, 0) > 20 || there.Sum(p => Amount(p, 1)) + Amount(refused, 1) > 16);
                });

            int Amount(Placement placement, int of)
            {
                int i = int.Parse(placement.Pod.Name[1..]);
                return of == 0 ? pods[i].Item1 : pods[i].Item2;
            }
        });
    }

    [Fact]
    public void An_incremental_snapshot_plans_as_a_new_one()
    {
        var step = Gen.Select(Gen.Int[0, 3], Gen.Int[0, 3], Gen.Int[0, 9]);
        step.Array[1, 50].Each(500, steps =>
        {
            var kept = new Snapshot();
            var nodes = new Dictionary<string, KubeObject>();
            var pods = new Dictionary<string, KubeObject>();
            foreach ((int kind, int node, int pod) in steps)
                Apply(kept, nodes, pods, kind, $"n{node}", $"p{pod}");
            var made = new Snapshot();
            foreach (KubeObject node in nodes.Values)
                made.UpsertNode(node);
            foreach (KubeObject pod in pods.Values)
                made.UpsertPod(pod);
            KubeObject[] probes = [Pod("x", cpu: "1500m"), Pod("y", cpu: "500m"), Pod("z", cpu: "3")];
            Assert.Equal(
                Scheduler.Plan(made, probes, 1).Placements.Select(p => p.Message),
                Scheduler.Plan(kept, probes, 1).Placements.Select(p => p.Message));
        });
    }

    private static void Apply(Snapshot snapshot, Dictionary<string, KubeObject> nodes, Dictionary<string, KubeObject> pods, int kind, string node, string pod)
    {
        switch (kind)
        {
            case 0:
                snapshot.UpsertNode(nodes[node] = Node(node, cpu: "2"));
                break;
            case 1:
                nodes.Remove(node);
                snapshot.RemoveNode(node);
                break;
            case 2:
                snapshot.UpsertPod(pods[pod] = Pod(pod, cpu: "400m", spec: new JsonObject { ["nodeName"] = node }));
                break;
            default:
                if (pods.Remove(pod, out KubeObject? gone))
                    snapshot.RemovePod(gone.Uid);
                break;
        }
    }

    private static Placement Plan(Snapshot snapshot, KubeObject pod) => Scheduler.Plan(snapshot, [pod], 1).Placements[0];

    private static Snapshot Fleet(params KubeObject[] nodes)
    {
        var snapshot = new Snapshot();
        foreach (KubeObject node in nodes)
            snapshot.UpsertNode(node);
        return snapshot;
    }

    private static Dictionary<string, string> Zone(string zone) => new() { [WellKnown.ZoneLabel] = zone };

    private static KubeObject Node(string name, string cpu = "4", string memory = "8Gi", string pods = "110", Dictionary<string, string>? labels = null, bool unschedulable = false, (string, string, string)? taint = null, string ready = "True")
    {
        var spec = new JsonObject();
        if (unschedulable)
            spec["unschedulable"] = true;
        if (taint is { } t)
            spec["taints"] = new JsonArray(new JsonObject { ["key"] = t.Item1, ["value"] = t.Item2, ["effect"] = t.Item3 });
        var all = new JsonObject { [WellKnown.HostnameLabel] = name };
        foreach (KeyValuePair<string, string> label in labels ?? [])
            all[label.Key] = label.Value;
        return KubeObject.FromNode(new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Node",
            ["metadata"] = new JsonObject { ["name"] = name, ["uid"] = name, ["labels"] = all },
            ["spec"] = spec,
            ["status"] = new JsonObject
            {
                ["allocatable"] = new JsonObject { ["cpu"] = cpu, ["memory"] = memory, ["pods"] = pods },
                ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = ready }),
            },
        });
    }

    private static JsonObject Container(string cpu, string memory) =>
        new() { ["name"] = "c", ["resources"] = new JsonObject { ["requests"] = new JsonObject { ["cpu"] = cpu, ["memory"] = memory } } };

    private static KubeObject Pod(string name, string? cpu = null, string? memory = null, (string Name, string Amount)? extra = null, Dictionary<string, string>? selector = null, Dictionary<string, string>? labels = null, JsonObject? spec = null)
    {
        var requests = new JsonObject();
        if (cpu is not null)
            requests["cpu"] = cpu;
        if (memory is not null)
            requests["memory"] = memory;
        if (extra is { } e)
            requests[e.Name] = e.Amount;
        spec ??= [];
        spec["containers"] ??= new JsonArray(new JsonObject { ["name"] = "c", ["resources"] = new JsonObject { ["requests"] = requests } });
        if (selector is not null)
            spec["nodeSelector"] = new JsonObject(selector.Select(s => KeyValuePair.Create(s.Key, (JsonNode?)s.Value)));
        var metadata = new JsonObject { ["name"] = name, ["namespace"] = "default", ["uid"] = $"{name}-uid" };
        if (labels is not null)
            metadata["labels"] = new JsonObject(labels.Select(s => KeyValuePair.Create(s.Key, (JsonNode?)s.Value)));
        return KubeObject.FromNode(new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = metadata, ["spec"] = spec });
    }
}
