using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Kubernetes' documented examples, and cases that were wrong once.</summary>
public sealed class ConstraintTests
{
    private const string ZoneSpread = """{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"foo"}}}]}""";
    private const string ZoneAndNodeSpread = """{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"zone","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"foo"}}},{"maxSkew":1,"topologyKey":"node","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"foo"}}}]}""";
    private const string AntiHost = """{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"app":"foo"}}}]}}}""";
    private const string NearZone = """{"affinity":{"podAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"zone","labelSelector":{"matchLabels":{"app":"foo"}}}]}}}""";

    [Fact]
    public void Pods_stay_off_nodes_for_whose_architecture_their_image_is_not_there()
    {
        static KubeObject Of(string name, string arch, string images = "[]") =>
            Node(name, more: $$$"""{"status":{"edge":{"images":{{{images}}} } } }""", labels: [("kubernetes.io/arch", arch)]);
        KubeObject[] nodes = [Of("a", "amd64", """[{"name":"docker.io/library/one:latest","architectures":["amd64"]},{"name":"docker.io/library/both:1","architectures":["amd64","arm64"]}]"""), Of("b", "arm64"), Of("c", "arm64")];
        Assert.Equal("a", Allowed(nodes, [], Image("one")));
        Assert.Equal("a b c", Allowed(nodes, [], Image("docker.io/both:1")));
        Assert.Equal("a b c", Allowed(nodes, [], Image("nobody/knows")));
        Placement refused = Place(nodes, [Pod("x", node: "a", cpu: "4")], Image("one"));
        Assert.StartsWith("0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had no image for their architecture.", refused.Message, StringComparison.Ordinal);
        // A node that found the image for its own architecture opens all nodes of it, and says so.
        Snapshot snapshot = Fleet(nodes, [], []);
        Assert.Equal(ClusterEvents.NodeLabels, snapshot.UpsertNode(Of("b", "arm64", """[{"name":"docker.io/library/one:latest","architectures":["amd64","arm64"]}]""")));
        Assert.NotNull(Scheduler.Plan(snapshot, [Pod("p", """{"containers":[{"name":"c","image":"one"}],"nodeSelector":{"kubernetes.io/hostname":"c"}}""")], 1).Placements[0].Node);
        snapshot.RemoveNode("b");
        Assert.Null(Scheduler.Plan(snapshot, [Pod("p", """{"containers":[{"name":"c","image":"one"}],"nodeSelector":{"kubernetes.io/hostname":"c"}}""")], 1).Placements[0].Node);

        static KubeObject Image(string image) => Pod("p", $$$"""{"containers":[{"name":"c","image":"{{{image}}}","resources":{"requests":{"cpu":"1"} } }]}""");
    }

    [Fact] // kubernetes.io: Pod Topology Spread Constraints, "one topology spread constraint"
    public void One_spread_constraint()
    {
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "A"), Zoned("node3", "B"), Zoned("node4", "B")];
        KubeObject[] pods = [Foo("p1", "node1"), Foo("p2", "node2"), Foo("p3", "node3")];
        Assert.Equal("node3 node4", Allowed(nodes, pods, Pod("p", ZoneSpread, app: "foo")));
        Assert.Equal("node1 node2 node3 node4", Allowed(nodes, pods, Pod("p", ZoneSpread.Replace("\"maxSkew\":1", "\"maxSkew\":2", StringComparison.Ordinal), app: "foo")));
    }

    [Fact] // ibid., "multiple topology spread constraints"
    public void Several_spread_constraints_hold_together_and_may_contradict()
    {
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "A"), Zoned("node3", "B"), Zoned("node4", "B")];
        Assert.Equal("node4", Allowed(nodes, [Foo("p1", "node1"), Foo("p2", "node2"), Foo("p3", "node3")], Pod("p", ZoneAndNodeSpread, app: "foo")));
        nodes = [Zoned("node1", "A"), Zoned("node2", "A"), Zoned("node3", "B")];
        Assert.Equal("", Allowed(nodes, [Foo("p1", "node1"), Foo("p2", "node1"), Foo("p3", "node2"), Foo("p4", "node3"), Foo("p5", "node3")], Pod("p", ZoneAndNodeSpread, app: "foo")));
    }

    [Fact]
    public void A_node_without_all_labels_is_no_domain_of_any_constraint()
    {
        // Zone C has a node, but that node has no label "node": it holds nothing back.
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "B"), Node("bare", labels: ("zone", "C"))];
        Assert.Equal("node1 node2", Allowed(nodes, [Foo("p1", "node1"), Foo("p2", "node2")], Pod("p", ZoneAndNodeSpread, app: "foo")));
        Assert.Equal("", Allowed(nodes, [Foo("p1", "node1"), Foo("p2", "node2")], Pod("p", ZoneSpread, app: "foo", cpu: "5")));
    }

    [Fact] // ibid., "conflict with node affinity" and minDomains
    public void Node_affinity_takes_zones_out_and_too_few_domains_count_as_empty_ones()
    {
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "A"), Zoned("node3", "B"), Zoned("node4", "B"), Zoned("node5", "C")];
        KubeObject[] pods = [Foo("p1", "node1"), Foo("p2", "node2"), Foo("p3", "node3")];
        string notC = ZoneSpread[..^1] + ""","affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"zone","operator":"NotIn","values":["C"]}]}]}}}}""";
        Assert.Equal("node3 node4", Allowed(nodes, pods, Pod("p", notC, app: "foo")));
        string five = ZoneSpread.Replace("\"maxSkew\":1", "\"maxSkew\":2,\"minDomains\":5", StringComparison.Ordinal);
        Assert.Equal("node3 node4 node5", Allowed(nodes, pods, Pod("p", five, app: "foo")));
    }

    [Fact]
    public void Ending_pods_and_pods_that_changed_their_labels_no_longer_count()
    {
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "B")];
        var snapshot = new Snapshot();
        foreach (KubeObject node in nodes)
            snapshot.UpsertNode(node);
        snapshot.UpsertPod(Foo("p1", "node1"));
        Assert.Equal("node2", Scheduler.Plan(snapshot, [Pod("p", ZoneSpread, app: "foo")], 1).Placements[0].Node);
        snapshot.UpsertPod(Foo("p2", "node2"));
        snapshot.UpsertPod(Foo("p3", "node2"));
        snapshot.UpsertPod(Pod("p2", node: "node2", app: "foo", more: """{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z"}}"""));
        snapshot.UpsertPod(Pod("p3", node: "node2", app: "bar"));
        Assert.Equal("node2", Scheduler.Plan(snapshot, [Pod("p", ZoneSpread, app: "foo")], 1).Placements[0].Node);
        // A container that was resized in place takes what it takes now.
        snapshot.UpsertPod(Pod("p3", node: "node2", app: "bar", cpu: "4"));
        Assert.Contains("1 Insufficient cpu", Scheduler.Plan(snapshot, [Pod("p", ZoneSpread, app: "foo")], 1).Placements[0].Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_revision_spreads_by_itself_with_matchLabelKeys()
    {
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "B")];
        string own = ZoneSpread.Replace("\"maxSkew\":1", "\"maxSkew\":1,\"matchLabelKeys\":[\"rev\"]", StringComparison.Ordinal);
        KubeObject[] pods = [Rev("p1", "node1", "1"), Rev("p2", "node1", "1")];
        Assert.Equal("node1 node2", Allowed(nodes, pods, Pod("p", own, app: "foo", more: """{"metadata":{"labels":{"rev":"2"}}}""")));
        Assert.Equal("node2", Allowed(nodes, pods, Pod("p", own, app: "foo", more: """{"metadata":{"labels":{"rev":"1"}}}""")));

        static KubeObject Rev(string name, string node, string rev) => Pod(name, node: node, app: "foo", more: """{"metadata":{"labels":{"rev":"N"}}}""".Replace("N", rev, StringComparison.Ordinal));
    }

    [Fact]
    public void Anti_affinity_keeps_apart_both_ways_and_says_so()
    {
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "A"), Node("small", cpu: "100m")];
        Placement mine = Place(nodes, [Foo("p1", "node1"), Foo("p2", "node2")], Pod("p", AntiHost, cpu: "200m"));
        Assert.Equal("0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't match pod anti-affinity rules. preemption: 0/3 nodes are available: 1 Preemption is not helpful for scheduling, 2 No preemption victims found for incoming pod.", mine.Message);
        Placement theirs = Place(nodes[..2], [Pod("p1", AntiHost, "node1"), Pod("p2", AntiHost, "node2")], Pod("p", app: "foo"));
        Assert.Equal("0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules. preemption: 0/2 nodes are available: 2 No preemption victims found for incoming pod.", theirs.Message);
        // Three that keep each other away, on two nodes.
        Assert.Equal(["node1", "node2", null], Places(nodes[..2], [], [Pod("a", AntiHost, app: "foo"), Pod("b", AntiHost, app: "foo"), Pod("c", AntiHost, app: "foo")]).Select(p => p.Node).Order(Comparer<string?>.Create((a, b) => (a ?? "z").CompareTo(b ?? "z", StringComparison.Ordinal))));
    }

    [Fact]
    public void Affinity_follows_a_pod_and_the_first_of_a_kind_may_go_anywhere_that_has_the_label()
    {
        KubeObject[] nodes = [Zoned("node1", "A"), Zoned("node2", "B"), Node("bare")];
        Assert.Equal("node2", Allowed(nodes, [Foo("p1", "node2")], Pod("p", NearZone)));
        Assert.Equal("", Allowed(nodes, [], Pod("p", NearZone)));
        Assert.Equal("0/3 nodes are available: 3 node(s) didn't match pod affinity rules. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.", Place(nodes, [], Pod("p", NearZone)).Message);
        Assert.Equal("node1 node2", Allowed(nodes, [], Pod("p", NearZone, app: "foo")));
        // Of three that come together, the others follow the first.
        Assert.Single(Places(nodes, [], [Pod("a", NearZone, app: "foo"), Pod("b", NearZone, app: "foo"), Pod("c", NearZone, app: "foo")]).Select(p => p.Node).Distinct());
    }

    [Fact]
    public void A_taint_of_the_same_key_and_another_effect_does_not_stand_for_the_one_that_a_node_not_ready_has()
    {
        KubeObject node = Node("n", more: """{"spec":{"taints":[{"key":"node.kubernetes.io/not-ready","effect":"NoExecute"}]},"status":{"conditions":[{"type":"Ready","status":"False"}]}}""");
        Assert.Null(Place([node], [], Pod("p", """{"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists","effect":"NoExecute"}]}""")).Node);
        Assert.Equal("n", Place([node], [], Pod("p", """{"tolerations":[{"key":"node.kubernetes.io/not-ready","operator":"Exists"}]}""")).Node);
    }

    [Fact]
    public void A_port_without_a_protocol_is_TCP()
    {
        string port = """{"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":80,"protocol":"P"}]}]}""";
        KubeObject[] there = [Pod("p1", port.Replace("\"P\"", "\"TCP\"", StringComparison.Ordinal), "n")];
        Assert.Null(Place([Node("n")], there, Pod("p", port.Replace("\"P\"", "\"\"", StringComparison.Ordinal))).Node);
        Assert.Equal("n", Place([Node("n")], there, Pod("p", port.Replace("\"P\"", "\"UDP\"", StringComparison.Ordinal))).Node);
    }

    [Fact]
    public void Nodes_that_affinity_does_not_name_are_not_looked_at()
    {
        string named = """{"affinity":{"nodeAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":{"nodeSelectorTerms":[{"matchFields":[{"key":"metadata.name","operator":"In","values":["a"]}]}]}}}}""";
        Assert.Equal("0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity]. preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling.",
            Place([Node("a"), Node("b"), Node("c")], [], Pod("p", named, cpu: "9")).Message);
    }

    [Theory] // kubernetes.io: Resource Bin Packing, the worked example: node 1 scores 5, node 2 scores 7.
    [InlineData("default-scheduler", "node1")]
    [InlineData("packing", "node2")]
    public void Profiles_score_as_their_schedulerName_says(string scheduler, string expected)
    {
        var options = new PlanOptions
        {
            Profiles = new Dictionary<string, SchedulingProfile>
            {
                ["packing"] = new()
                {
                    Strategy = ScoringStrategy.RequestedToCapacityRatio,
                    StrategyResources = [new("intel.com/foo", 5), new("memory", 1), new("cpu", 3)],
                    NodeResourcesBalancedAllocation = 0,
                },
            },
        };
        KubeObject[] nodes =
        [
            Node("node1", "8", "1Gi", """{"status":{"allocatable":{"intel.com/foo":"4"}}}"""),
            Node("node2", "8", "1Gi", """{"status":{"allocatable":{"intel.com/foo":"8"}}}"""),
        ];
        KubeObject[] pods = [Uses("a", "node1", "1", "256Mi", "1"), Uses("b", "node2", "6", "512Mi", "2")];
        Assert.Equal(expected, Place(nodes, pods, Uses("p", null, "2", "256Mi", "2", scheduler), options).Node);

        static KubeObject Uses(string name, string? node, string cpu, string memory, string foo, string? scheduler = null) => Pod(name,
            """{"containers":[{"name":"c","resources":{"requests":{"cpu":"CPU","memory":"MEM","intel.com/foo":"FOO"}}}],"schedulerName":"NAME"}"""
                .Replace("CPU", cpu, StringComparison.Ordinal).Replace("MEM", memory, StringComparison.Ordinal).Replace("FOO", foo, StringComparison.Ordinal).Replace("NAME", scheduler ?? "default-scheduler", StringComparison.Ordinal), node, cpu);
    }

    [Fact]
    public void Most_allocated_fills_a_node_before_the_next()
    {
        var options = new PlanOptions { Profiles = new Dictionary<string, SchedulingProfile> { ["default-scheduler"] = new() { Strategy = ScoringStrategy.MostAllocated } } };
        KubeObject[] nodes = [Node("a"), Node("b"), Node("c")];
        string scheduler = """{"schedulerName":"default-scheduler"}""";
        Assert.Single(Places(nodes, [], [.. Enumerable.Range(0, 8).Select(i => Pod($"p{i}", scheduler, cpu: "500m"))], options).Select(p => p.Node).Distinct());
        Assert.Equal(3, Places(nodes, [], [.. Enumerable.Range(0, 8).Select(i => Pod($"p{i}", scheduler, cpu: "500m"))]).Select(p => p.Node).Distinct().Count());
    }

    [Fact]
    public void An_image_that_is_there_draws_the_pod()
    {
        KubeObject[] nodes = [Node("a"), Node("b", more: """{"status":{"images":[{"names":["reg/img:latest"],"sizeBytes":900000000}]}}"""), Node("c")];
        Assert.Equal("b", Place(nodes, [], Pod("p", """{"containers":[{"name":"c","image":"reg/img"}]}""")).Node);
    }

    [Fact]
    public void Names_do_not_matter()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var fleet = new RandomFleet(seed, 5, 8, 8);
            Plan plan = PlanOf(fleet.Nodes, fleet.Pods, fleet.Pending);
            Plan renamed = PlanOf(fleet.Nodes.ConvertAll(Renamed), fleet.Pods.ConvertAll(Renamed), fleet.Pending.ConvertAll(Renamed));
            Assert.Equal(plan.Placements.Select(p => p.Node), renamed.Placements.Select(p => p.Node));
        }

        // Values of labels and taints, keys of apps, and pods; nodes keep theirs, for their names draw the order of ties.
        static KubeObject Renamed(KubeObject value)
        {
            string text = System.Text.Encoding.UTF8.GetString(value.Utf8.Span);
            foreach ((string from, string to) in new[] { ("\"ssd\"", "\"flash\""), ("\"app\"", "\"role\""), ("\"version\"", "\"zversion\""), ("\"p0", "\"q0"), ("\"v\"", "\"vv\""), ("\"x\"", "\"zz\""), ("\"disk\"", "\"adisk\"") })
                text = text.Replace(from, to, StringComparison.Ordinal);
            return new KubeObject(System.Text.Encoding.UTF8.GetBytes(text));
        }

        static Plan PlanOf(List<KubeObject> nodes, List<KubeObject> pods, List<KubeObject> pending)
        {
            var snapshot = new Snapshot();
            nodes.ForEach(n => snapshot.UpsertNode(n));
            pods.ForEach(p => snapshot.UpsertPod(p));
            return Scheduler.Plan(snapshot, pending, 1);
        }
    }

    [Fact]
    public void Preemption_takes_the_least_it_can()
    {
        KubeObject[] nodes = [Node("a", "2"), Node("b", "2"), Node("c", "2")];
        KubeObject[] pods =
        [
            Pod("a1", node: "a", cpu: "1", priority: 5), Pod("a2", node: "a", cpu: "1", priority: 5),
            Pod("b1", node: "b", cpu: "1", priority: 1), Pod("b2", node: "b", cpu: "1", priority: 7),
            Pod("c1", node: "c", cpu: "2", priority: 9),
        ];
        Placement one = Place(nodes, pods, Pod("p", cpu: "1", priority: 8));
        Assert.Equal(("b", "b1"), (one.Nominated, string.Join(' ', one.Victims.Select(v => v.Name))));
        Placement two = Place(nodes, pods, Pod("p", cpu: "2", priority: 8));
        Assert.Equal(("a", "a1 a2"), (two.Nominated, string.Join(' ', two.Victims.Select(v => v.Name).Order())));
        Placement none = Place(nodes, pods, Pod("p", """{"preemptionPolicy":"Never"}""", cpu: "2", priority: 8));
        Assert.Equal("0/3 nodes are available: 3 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.", none.Message);
        Assert.Equal("0/3 nodes are available: 3 Insufficient cpu. preemption: 0/3 nodes are available: 3 No preemption victims found for incoming pod.", Place(nodes, pods, Pod("p", cpu: "2", priority: 1)).Message);
        Assert.Equal(4, Places(nodes, pods, [.. Enumerable.Range(0, 6).Select(i => Pod($"p{i}", cpu: "1", priority: 8))]).Sum(p => p.Victims.Count));
    }

    [Fact]
    public void Preemption_breaks_a_budget_only_where_nothing_else_helps()
    {
        KubeObject[] pods = [Pod("a1", node: "a", cpu: "2", priority: 1, app: "guarded"), Pod("b1", node: "b", cpu: "2", priority: 5)];
        var snapshot = new Snapshot();
        snapshot.UpsertNode(Node("a", "2"));
        snapshot.UpsertNode(Node("b", "2"));
        foreach (KubeObject pod in pods)
            snapshot.UpsertPod(pod);
        KubeObject high = Pod("p", cpu: "2", priority: 8);
        Assert.Equal("a", Scheduler.Plan(snapshot, [high], 1).Placements[0].Nominated);
        snapshot.UpsertBudget(new KubeObject("""{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"g","namespace":"default"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"guarded"}}},"status":{"disruptionsAllowed":0}}"""u8.ToArray()));
        Assert.Equal("b", Scheduler.Plan(snapshot, [high], 1).Placements[0].Nominated);
        snapshot.RemovePod("b1");
        snapshot.UpsertPod(Pod("b2", node: "b", cpu: "2", priority: 8));
        Assert.Equal("a", Scheduler.Plan(snapshot, [high], 1).Placements[0].Nominated);
    }

    private static KubeObject Zoned(string name, string zone) => Node(name, labels: [("zone", zone), ("node", name)]);

    private static KubeObject Foo(string name, string node) => Pod(name, node: node, app: "foo");
}
