using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Examples that Kubernetes' documentation works through, as cases.</summary>
public sealed class DocumentedTests
{
    [Fact] // kubernetes.io: Assigning Pods to Nodes, "More practical use-cases": three caches and three web servers, one of each to a node
    public void Web_servers_stand_beside_caches_and_apart_from_each_other()
    {
        const string Cache = """{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["store"]}]},"topologyKey":"kubernetes.io/hostname"}]}}}""";
        const string Web = """{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["web-store"]}]},"topologyKey":"kubernetes.io/hostname"}]},"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"labelSelector":{"matchExpressions":[{"key":"app","operator":"In","values":["store"]}]},"topologyKey":"kubernetes.io/hostname"}]}}}""";
        KubeObject[] nodes = [Node("node-1"), Node("node-2"), Node("node-3")];
        KubeObject[] pending = [.. Enumerable.Range(0, 3).Select(i => Pod($"cache-{i}", Cache, app: "store")), .. Enumerable.Range(0, 4).Select(i => Pod($"web-{i}", Web, app: "web-store"))];
        IReadOnlyList<Placement> plan = Places(nodes, [], pending);
        Assert.Equal(["node-1", "node-2", "node-3"], plan.Take(3).Select(p => p.Node).Order());
        Assert.Equal(["node-1", "node-2", "node-3"], plan.Skip(3).Take(3).Select(p => p.Node).Order());
        Assert.StartsWith("0/3 nodes are available: 3 node(s) didn't match pod anti-affinity rules.", plan[6].Message, StringComparison.Ordinal);
    }

    [Fact] // ibid., "Node affinity" and "Node affinity weight"
    public void Required_node_affinity_limits_and_weights_choose()
    {
        const string Zones = """{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"topology.kubernetes.io/zone","operator":"In","values":["antarctica-east1","antarctica-west1"]}]}]},"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"another-node-label-key","operator":"In","values":["another-node-label-value"]}]}}]}}}""";
        KubeObject[] nodes = [Node("away", labels: [(WellKnown.ZoneLabel, "elsewhere"), ("another-node-label-key", "another-node-label-value")]), Node("plain", labels: (WellKnown.ZoneLabel, "antarctica-east1")), Node("liked", labels: [(WellKnown.ZoneLabel, "antarctica-west1"), ("another-node-label-key", "another-node-label-value")])];
        Assert.Equal("plain liked", Allowed(nodes, [], Pod("p", Zones)));
        Assert.Equal("liked", Place(nodes, [], Pod("p", Zones)).Node);
        const string Weights = """{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/os","operator":"In","values":["linux"]}]}]},"preferredDuringSchedulingIgnoredDuringExecution":[{"weight":1,"preference":{"matchExpressions":[{"key":"label-1","operator":"In","values":["key-1"]}]}},{"weight":50,"preference":{"matchExpressions":[{"key":"label-2","operator":"In","values":["key-2"]}]}}]}}}""";
        Assert.Equal("two", Place([Node("one", labels: [("kubernetes.io/os", "linux"), ("label-1", "key-1")]), Node("two", labels: [("kubernetes.io/os", "linux"), ("label-2", "key-2")])], [], Pod("p", Weights)).Node);
    }

    [Fact] // kubernetes.io: Taints and Tolerations, "Concepts": three taints, tolerations for the first two
    public void One_taint_that_is_not_tolerated_is_enough()
    {
        const string Two = """{"tolerations":[{"key":"key1","operator":"Equal","value":"value1","effect":"NoSchedule"},{"key":"key1","operator":"Equal","value":"value1","effect":"NoExecute"}]}""";
        KubeObject node = Node("node1", more: """{"spec":{"taints":[{"key":"key1","value":"value1","effect":"NoSchedule"},{"key":"key1","value":"value1","effect":"NoExecute"},{"key":"key2","value":"value2","effect":"NoSchedule"}]}}""");
        Assert.Equal("0/1 nodes are available: 1 node(s) had untolerated taint {key2: value2}.", Place([node], [], Pod("p", Two)).Message!.Split(" preemption:")[0]);
    }

    [Theory] // kubernetes.io: Configuration Best Practices: <hostIP, hostPort, protocol> must be unique on a node
    [InlineData("10.0.0.1", "TCP", "10.0.0.2", "TCP", true)]
    [InlineData("10.0.0.1", "TCP", "10.0.0.1", "TCP", false)]
    [InlineData("10.0.0.1", "TCP", "10.0.0.1", "UDP", true)]
    [InlineData("0.0.0.0", "TCP", "10.0.0.1", "TCP", false)]
    [InlineData("", "TCP", "10.0.0.1", "TCP", false)]
    [InlineData("127.0.0.1", "", "127.0.0.1", "TCP", false)]
    public void Host_ports_are_one_of_an_address_and_protocol(string ip, string protocol, string otherIp, string otherProtocol, bool fits)
    {
        static string Ports(string ip, string protocol) => """{"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":8080,"hostIP":"IP","protocol":"PROTOCOL"}]}]}""".Replace("IP\":\"IP", "IP\":\"" + ip, StringComparison.Ordinal).Replace("PROTOCOL", protocol, StringComparison.Ordinal);
        Placement placement = Place([Node("n")], [Pod("there", Ports(otherIp, otherProtocol), node: "n")], Pod("p", Ports(ip, protocol)));
        Assert.Equal(fits, placement.Node is not null);
        if (!fits)
            Assert.StartsWith("0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports.", placement.Message, StringComparison.Ordinal);
    }

    [Fact] // kubernetes.io: Assigning Pods to Nodes, "Namespace selector": an empty selector is every namespace, none and no names the pod's own
    public void Namespaces_of_pod_affinity()
    {
        static string Apart(string namespaces) => """{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"x"}}MORE}]}}}""".Replace("MORE", namespaces, StringComparison.Ordinal);
        KubeObject[] nodes = [Node("own"), Node("a"), Node("b"), Node("free")];
        KubeObject[] pods = [Pod("p1", node: "own", app: "x"), Pod("p2", node: "a", app: "x", ns: "a"), Pod("p3", node: "b", app: "x", ns: "b")];
        KubeObject[] spaces = [.. new[] { "default", "a", "b" }.Select(n => KubeObject.FromNode(new() { ["apiVersion"] = "v1", ["kind"] = "Namespace", ["metadata"] = new System.Text.Json.Nodes.JsonObject { ["name"] = n, ["uid"] = n, ["labels"] = new System.Text.Json.Nodes.JsonObject { ["team"] = n == "a" ? "red" : "blue" } } }))];
        foreach ((string more, string allowed) in new[]
        {
            ("", "a b free"), (",\"namespaces\":[\"a\"]", "b free own"), (",\"namespaceSelector\":{}", "free"), (",\"namespaceSelector\":{\"matchLabels\":{\"team\":\"blue\"}}", "a free"),
            (",\"namespaces\":[\"a\"],\"namespaceSelector\":{\"matchLabels\":{\"team\":\"none\"}}", "b free own"),
        })
        {
            var plain = new PlainFleet(nodes, pods, spaces);
            KubeObject pod = Pod("p", Apart(more));
            Assert.Equal(allowed, string.Join(' ', nodes.Select(n => n.Name).Where(n => plain.Reasons(pod, n).Count == 0).Order()));
            Snapshot fleet = Fleet(nodes, pods, []);
            foreach (KubeObject space in spaces)
                fleet.UpsertNamespace(space);
            Assert.Equal(allowed, string.Join(' ', Scheduler.Explain(fleet, pod, new PlanOptions()).Where(v => v.Reasons.Count == 0).Select(v => v.Node).Order()));
        }
    }

    [Fact] // kubernetes.io: Pod Priority and Preemption, "Non-preempting PriorityClass": it waits at the head of the queue and displaces nobody
    public void A_pod_that_never_preempts_waits_and_goes_first()
    {
        KubeObject[] nodes = [Node("n", cpu: "1")];
        const string Never = """{"preemptionPolicy":"Never"}""";
        Placement waits = Place(nodes, [Pod("low", node: "n", cpu: "1")], Pod("high", Never, cpu: "1", priority: 1000));
        Assert.Equal((null, "0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never."), (waits.Nominated, waits.Message));
        // It may itself be displaced.
        Assert.Equal(["high"], Place(nodes, [Pod("high", Never, node: "n", cpu: "1", priority: 1000)], Pod("higher", cpu: "1", priority: 2000)).Victims.Select(v => v.Name));
    }

    [Fact] // ibid., "User exposed information": a nominated node is kept from lesser pods, and a greater one may take it
    public void A_nominated_node_is_kept_from_lesser_pods_only()
    {
        KubeObject[] nodes = [Node("n", cpu: "1")];
        KubeObject[] promised = [Pod("p", cpu: "1", priority: 10, more: """{"status":{"nominatedNodeName":"n"}}""")];
        Assert.Null(Place(nodes, promised, Pod("lesser", cpu: "1", priority: 5)).Node);
        Assert.Equal("n", Place(nodes, promised, Pod("greater", cpu: "1", priority: 20)).Node);
    }

    [Fact] // kube-scheduler: PodEligibleToPreemptOthers
    public void A_pod_looks_elsewhere_when_the_node_it_was_promised_is_closed_before_the_victims_have_gone()
    {
        KubeObject[] pods = [Pod("ends", node: "a", cpu: "2", more: """{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}"""), Pod("b1", node: "b", cpu: "2")];
        KubeObject high = Pod("high", cpu: "2", priority: 5, more: """{"status":{"nominatedNodeName":"a"}}""");
        const string Silent = """{"spec":{"taints":[{"key":"node.kubernetes.io/unreachable","effect":"NoSchedule"}]}}""";
        Assert.Equal(("a", 0), Answer(Node("a", "2")));
        Assert.Equal(("b", 1), Answer(Node("a", "2", more: Silent)));

        (string?, int) Answer(KubeObject a) => Place([a, Node("b", "2")], pods, high) is var placement ? (placement.Nominated, placement.Victims.Count) : default;
    }

    [Fact]
    public void Who_may_be_the_first_of_a_group_wakes_when_the_last_of_it_has_gone()
    {
        const string Near = """{"nodeSelector":{"kubernetes.io/hostname":"b"},"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"x"}}}]}}}""";
        KubeObject[] nodes = [Node("a"), Node("b")];
        Placement refused = Place(nodes, [Pod("last", node: "a", app: "x")], Pod("p", Near, app: "x"));
        Assert.True(refused.Node is null && refused.HelpedBy.HasFlag(ClusterEvents.PodGone));
        Assert.False(Place(nodes, [Pod("last", node: "a", app: "x")], Pod("p", Near, app: "y")).HelpedBy.HasFlag(ClusterEvents.PodGone));
        Assert.Equal("b", Place(nodes, [], Pod("p", Near, app: "x")).Node);
    }
}
