using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Pods and nodes that nobody should write, and that somebody will.</summary>
public sealed class OddPodsTests
{
    private const string Moved = """{"metadata":{"annotations":{"edge.atoll.dev/replaces":"x"}}}""";

    [Theory]
    [InlineData("""{"preemptionPolicy":"Never"}""", "{}", "not eligible due to preemptionPolicy=Never.")]
    [InlineData("{}", Moved, "not eligible: a pod that is moved displaces nobody.")]
    public void Who_may_displace_nobody_says_nothing_for_those_who_may(string spec, string more, string why)
    {
        KubeObject[] nodes = [Node("a", cpu: "1")], pods = [Pod("low", node: "a", cpu: "1")];
        IReadOnlyList<Placement> places = Places(nodes, pods, [Pod("meek", spec, cpu: "1", priority: 10, more: more), Pod("bold", cpu: "1", priority: 10), Pod("meek-too", spec, cpu: "1", priority: 10, more: more)]);
        Assert.EndsWith("preemption: " + why, places[0].Message, StringComparison.Ordinal);
        Assert.Equal(("a", "low"), (places[1].Nominated, Assert.Single(places[1].Victims).Name));
        Assert.EndsWith("preemption: " + why, places[2].Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("memory", "4Ei")]
    [InlineData("memory", "7Ei")]
    [InlineData("memory", "1e30")]
    [InlineData("cpu", "9e15")]
    [InlineData("cpu", "1e30")]
    [InlineData("edge.atoll.dev/compute", "9e15")]
    public void Amounts_without_end_are_summed_right(string resource, string amount)
    {
        KubeObject[] nodes = [Node("a")];
        string twice = Asking((resource, amount), (resource, amount)), missing = resource == "memory" ? "memory" : "cpu";
        Assert.StartsWith($"0/1 nodes are available: 1 Insufficient {missing}.", Place(nodes, [], Pod("p", twice)).Message, StringComparison.Ordinal);
        // Those that were put on the node by its name are too much for it, not less than nothing.
        KubeObject[] pinned = [.. Enumerable.Range(0, 3).Select(i => Pod($"q{i}", twice, node: "a"))];
        Assert.StartsWith($"0/1 nodes are available: 1 Insufficient {missing}.", Place(nodes, pinned, Pod("p", Asking((missing, "1")))).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Resources_beyond_the_sixty_third_are_named_too()
    {
        string has = string.Join(',', Enumerable.Range(0, 100).Select(i => $"\"example.com/r{i:000}\":\"1\""));
        KubeObject[] nodes = [Node("a", more: "{\"status\":{\"allocatable\":{" + has + "}}}")];
        Assert.Equal("0/1 nodes are available: 1 Insufficient example.com/r090. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.",
            Place(nodes, [], Pod("p", Asking(("example.com/r090", "2")))).Message);
        KubeObject low = Pod("low", Asking(("example.com/r080", "1"), ("example.com/r090", "1")), node: "a");
        Assert.StartsWith("0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient example.com/r080, 1 Insufficient example.com/r090.",
            Place(nodes, [low], Pod("p", Asking(("cpu", "5"), ("example.com/r080", "1"), ("example.com/r090", "1")))).Message, StringComparison.Ordinal);
        // What lesser pods hold may be taken from them, whichever of the resources it is.
        Assert.Equal("a", Place(nodes, [low], Pod("p", Asking(("example.com/r080", "1"), ("example.com/r090", "1")), priority: 1)).Nominated);
    }

    [Fact]
    public void A_skew_without_end_keeps_pods_only_off_nodes_without_the_label()
    {
        const string Spread = """{"topologySpreadConstraints":[{"topologyKey":"zone","maxSkew":2147483647,"whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"x"}}}]}""";
        KubeObject[] nodes = [Node("a", labels: ("zone", "a")), Node("b", labels: ("zone", "b")), Node("c", cpu: "64")];
        KubeObject[] pods = [.. "aaabbb".Select((n, i) => Pod($"q{i}", node: n.ToString(), app: "x"))];
        Assert.Equal("a b", Allowed(nodes, pods, Pod("p", Spread, app: "x")));
        Assert.StartsWith("0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label).", Place([nodes[2]], [], Pod("p", Spread)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void The_last_of_thousands_of_taints_counts()
    {
        JsonArray Each(Func<int, JsonNode> make) => [.. Enumerable.Range(0, 3000).Select(make)];
        KubeObject[] nodes = [Node("a", more: new JsonObject { ["spec"] = new JsonObject { ["taints"] = Each(i => new JsonObject { ["key"] = $"k{i}", ["value"] = "v", ["effect"] = "NoSchedule" }) } }.ToJsonString())];
        JsonArray all = Each(i => new JsonObject { ["key"] = $"k{i}", ["operator"] = "Exists" });
        Assert.Equal("a", Place(nodes, [], Pod("p", new JsonObject { ["tolerations"] = all.DeepClone() }.ToJsonString())).Node);
        all.RemoveAt(2999);
        Assert.StartsWith("0/1 nodes are available: 1 node(s) had untolerated taint {k2999: v}.", Place(nodes, [], Pod("p", new JsonObject { ["tolerations"] = all }.ToJsonString())).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_that_says_nothing_holds_nothing_and_one_without_amounts_what_asks_for_none()
    {
        KubeObject bare = KubeObject.FromNode(JsonNode.Parse("""{"apiVersion":"v1","kind":"Node","metadata":{"name":"bare","uid":"bare"},"spec":{},"status":{"conditions":[{"type":"Ready","status":"True"}]}}""")!.AsObject());
        KubeObject none = Node("none", cpu: "0", memory: "0");
        Assert.StartsWith("0/1 nodes are available: 1 Insufficient cpu, 1 Too many pods.", Place([bare], [], Pod("p")).Message, StringComparison.Ordinal);
        Assert.Equal("none", Place([bare, none], [], Pod("p", """{"containers":[{"name":"c"}]}""")).Node);
    }

    [Fact]
    public void Ephemeral_storage_is_scored_whether_or_not_the_pod_asks_for_it()
    {
        var profiles = new Dictionary<string, SchedulingProfile> { ["full"] = new() { Strategy = ScoringStrategy.MostAllocated, StrategyResources = [new("ephemeral-storage", 1)], NodeResourcesBalancedAllocation = 0 } };
        KubeObject[] nodes = [.. "abc".Select(n => Node(n.ToString(), more: """{"status":{"allocatable":{"ephemeral-storage":"10Gi"}}}"""))], pods = [Pod("q", Asking(("ephemeral-storage", "5Gi")), node: "b")];
        for (int seed = 0; seed < 5; seed++)
            Assert.Equal("b", Place(nodes, pods, Pod("p", """{"schedulerName":"full"}"""), new PlanOptions { Seed = seed, Profiles = profiles }).Node);
    }

    // A pod of one container for each amount.
    private static string Asking(params (string Resource, string Amount)[] amounts) => new JsonObject
    {
        ["containers"] = new JsonArray([.. amounts.Select((a, i) => (JsonNode)new JsonObject { ["name"] = $"c{i}", ["resources"] = new JsonObject { ["requests"] = new JsonObject { [a.Resource] = a.Amount } } })]),
    }.ToJsonString();
}
