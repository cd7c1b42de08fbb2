using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Deliveries;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

/// <summary>GPUs, devices, NUMA, normalised cores, whole nodes, pools of sites and headroom against plain code.</summary>
public sealed class FormsReferenceTests
{
    private static readonly (int Nodes, int Pods, int Pending) s_most = (6, 10, 8);
    private static readonly (int, int, int, int)[] s_failedOnce = [(880121582, 4, 3, 8), (753075847, 4, 3, 3), (658743305, 1, 4, 8), (710774061, 6, 5, 5), (601910321, 2, 1, 4), (155900088, 6, 10, 4), (696603679, 5, 6, 8)];

    [Fact]
    public void Every_plan_is_legal_in_every_dimension_and_every_refusal_true() => DrawnCases.Each(2000, s_most, c =>
    {
        var fleet = new FormsFleet(c.Seed, c.Nodes, c.Pods, c.Pending);
        Plan plan = Scheduler.Plan(fleet.Snapshot(), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, [], fleet.Pending, plan, fleet.More));
    }, s_failedOnce);

    [Fact]
    public void It_does_not_matter_in_which_order_things_came_or_whether_a_copy_is_asked() => DrawnCases.Each(400, s_most, c =>
    {
        var fleet = new FormsFleet(c.Seed, c.Nodes, c.Pods, c.Pending);
        string[] Answers(Snapshot snapshot) => [.. Scheduler.Plan(snapshot, fleet.Pending, c.Seed).Placements.Select(p => $"{p.Node} {p.Allocation} {p.Message} {p.Nominated}")];
        string[] first = Answers(fleet.Snapshot());
        Assert.Equal(first, Answers(fleet.Snapshot(late: true)));
        Snapshot changed = fleet.Snapshot(), copy = changed.Fork();
        foreach (KubeObject pod in fleet.Pods)
            changed.RemovePod(pod.Uid);
        foreach (KubeObject more in fleet.More)
            if (more.Kind == "Site")
                changed.RemoveSite(more.Name);
            else
                changed.RemoveCpuModel(more.Name);
        Assert.Equal(first, Answers(copy));
        foreach (KubeObject more in fleet.More)
            if (more.Kind == "Site")
                changed.UpsertSite(more);
            else
                changed.UpsertCpuModel(more);
        foreach (KubeObject pod in fleet.Pods)
            changed.UpsertPod(pod);
        Assert.Equal(first, Answers(changed));
    }, s_failedOnce);

    [Fact]
    public void A_site_holds_as_many_as_are_placed_there_one_by_one() => DrawnCases.Each(600, s_most, c =>
    {
        var fleet = new FormsFleet(c.Seed, c.Nodes, c.Pods, 1);
        KubeObject pod = fleet.Pending[0];
        const int Limit = 6;
        IReadOnlyDictionary<string, int> room = SiteRoom.Of(fleet.Snapshot(), pod, Limit);
        Snapshot snapshot = fleet.Snapshot();
        int told = room.Values.Sum(), placed = 0;
        for (; placed < told + 1; placed++)
        {
            JsonObject copy = pod.ToNode();
            copy["metadata"]!["uid"] = $"x{placed}";
            copy["metadata"]!["name"] = $"x{placed}";
            copy["spec"]!["preemptionPolicy"] = "Never";
            KubeObject one = KubeObject.FromNode(copy);
            Placement placement = Scheduler.Plan(snapshot, [one], c.Seed).Placements[0];
            if (placement.Node is null)
                break;
            snapshot.UpsertPod(one, placement.Node, allocation: placement.Allocation);
        }
        // Where headroom is kept, how many fit depends on where those before went when they take more of one node than of another.
        if (fleet.More.Exists(m => m.ToNode()["spec"]!["headroom"] is not null) && (pod.ToNode()["spec"]!["runtimeClassName"] is not null || pod.ToNode()["spec"]!["containers"]![0]!["resources"]!["requests"]![WellKnown.Compute] is not null))
            return;
        // Nodes outside of sites, and more than the limit at one, are not counted.
        if (fleet.Nodes.TrueForAll(n => n.Metadata.Label(WellKnown.SiteLabel) is not null) && room.Values.All(r => r < Limit) && pod.Metadata.Annotation(Flavours.NumaAnnotation) is null)
            Assert.Equal(told, placed);
    }, s_failedOnce);

    [Fact]
    public void What_a_flavour_sells_is_what_is_placed_one_by_one() => DrawnCases.Each(600, s_most, c =>
    {
        var fleet = new FormsFleet(c.Seed, c.Nodes, c.Pods, 1);
        JsonObject asked = fleet.Pending[0].ToNode();
        var flavour = Flavour.Of("drawn", new FlavourSpec
        {
            Resources = asked["spec"]!["containers"]![0]!["resources"]!["requests"]!.AsObject().ToDictionary(r => r.Key, r => r.Value!.ToString()),
            Numa = fleet.Pending[0].Metadata.Annotation(Flavours.NumaAnnotation) switch { "single" => 1, "split" => 2, _ => null },
            GpuModels = fleet.Pending[0].Metadata.Annotation(Flavours.DeviceAnnotation) is null ? null : ["a"],
            RuntimeClassName = (string?)asked["spec"]!["runtimeClassName"],
        });
        Snapshot snapshot = fleet.Snapshot();
        CapacityAnswer answer = new FleetCapacity(snapshot, flavour).Total();
        int placed = 0;
        for (; placed <= answer.Sellable; placed++)
        {
            JsonObject pod = new() { ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = new JsonObject { ["name"] = $"x{placed}", ["namespace"] = "default", ["uid"] = $"x{placed}" }, ["spec"] = new JsonObject { ["containers"] = new JsonArray(new JsonObject { ["name"] = "c" }) } };
            Assert.Null(Flavours.Apply(pod, flavour.Spec!));
            KubeObject one = KubeObject.FromNode(pod);
            Placement placement = Scheduler.Plan(snapshot, [one], c.Seed).Placements[0];
            if (placement.Node is null)
                break;
            snapshot.UpsertPod(one, placement.Node, allocation: placement.Allocation);
        }
        // Where headroom is kept, how many fit depends on where those before went when they take more of one node than of another.
        bool uneven = flavour.Spec!.RuntimeClassName is not null || flavour.Requests.ContainsKey(WellKnown.Compute);
        if (!uneven || !fleet.More.Exists(m => m.ToNode()["spec"]!["headroom"] is not null))
            Assert.Equal(answer.Sellable, placed);
        Assert.InRange(answer.Fragmentation, 0, 1);
        Assert.All(answer.Closed, closed => Assert.InRange(closed.Sellable, 0, long.MaxValue));
        Assert.All(new FleetCapacity(snapshot, flavour).TopPods(answer, 5), pod => Assert.InRange(pod.Blocks, 1, long.MaxValue));
    }, s_failedOnce);

    [Fact]
    public void Parts_of_gpus_and_a_sites_pools_are_sold_as_they_are_placed_and_services_are_told_apart()
    {
        var fleet = new Snapshot();
        fleet.UpsertNode(Documents.Node("n", cpu: "16", memory: "64Gi", labels: [(WellKnown.SiteLabel, "s")], more: """
            {"status":{"allocatable":{"edge.atoll.dev/gpu":"2","edge.atoll.dev/gpu-milli":"2000","edge.atoll.dev/gpu-memory":"32Gi"},
             "edge":{"devices":[{"resource":"edge.atoll.dev/gpu","id":"g0","attributes":{"model":"A","memory":"16Gi"}},{"resource":"edge.atoll.dev/gpu","id":"g1","attributes":{"model":"A","memory":"16Gi"}}]}}}
            """));
        fleet.UpsertPod(Documents.Pod("p", node: "n", cpu: "1", more: """{"metadata":{"labels":{"edge.atoll.dev/service":"dns"}},"spec":{"containers":[{"name":"c","resources":{"requests":{"cpu":"1","edge.atoll.dev/gpu-milli":"500"}}}]}}"""));
        CapacityAnswer shares = Sold("cpu=1,edge.atoll.dev/gpu-milli=400"), whole = Sold("cpu=1,edge.atoll.dev/gpu=1"), addresses = Sold($"cpu=1,{WellKnown.PublicAddresses}=1");
        // 500 and 1,000 are left of two GPUs: one and two shares, one whole.
        Assert.Equal((3L, 1L, 0L), (shares.Sellable, whole.Sellable, addresses.Sellable));
        Assert.Equal(300 / 1500.0, shares.Unsaleable(shares.Resources.ToList().IndexOf(WellKnown.GpuMilli)), 6);
        Assert.Equal([($"Insufficient {WellKnown.PublicAddresses}", 1, 15L)], addresses.Closed.Select(c => (c.Reason, c.Nodes, c.Sellable)));
        Assert.Equal(1000, shares.Services[shares.Resources.ToList().IndexOf("cpu")]);
        fleet.UpsertSite(KubeObject.FromNode(new JsonObject { ["apiVersion"] = "edge.atoll.dev/v1alpha1", ["kind"] = "Site", ["metadata"] = new JsonObject { ["name"] = "s", ["uid"] = "s" }, ["spec"] = new JsonObject { ["resources"] = new JsonObject { [WellKnown.PublicAddresses] = "4" }, ["headroom"] = new JsonObject { ["cpu"] = "12" } } }));
        Assert.Equal((3L, 3L), (Sold($"cpu=1,{WellKnown.PublicAddresses}=1").Sellable, Sold("cpu=1").Sellable));

        CapacityAnswer Sold(string flavour) => new FleetCapacity(fleet, Flavour.Parse(flavour)).Total();
    }

    [Fact]
    public void A_pod_gets_the_parts_that_it_asked_for_and_they_are_written_down()
    {
        KubeObject node = Documents.Node("n", cpu: "16", memory: "64Gi", more: """
            {"status":{"allocatable":{"edge.atoll.dev/gpu":"2","edge.atoll.dev/gpu-milli":"2000","edge.atoll.dev/gpu-memory":"32Gi"},
             "edge":{"cpuModel":"Fast 9000","numa":[{"id":0,"cpus":"0-7","cpu":"8","memory":"32Gi"},{"id":1,"cpus":"8-15","cpu":"8","memory":"32Gi"}],
              "devices":[{"resource":"edge.atoll.dev/gpu","id":"g0","numa":0,"attributes":{"model":"A","memory":"16Gi"}},{"resource":"edge.atoll.dev/gpu","id":"g1","numa":1,"attributes":{"model":"B","memory":"16Gi"}}]}}}
            """);
        var fleet = new Snapshot();
        fleet.UpsertNode(node);
        Assert.Equal("""{"numa":[1],"devices":{"edge.atoll.dev/gpu":["g1"]}}""", Place("a", """{"edge.atoll.dev/gpu-milli":"300"}""", ("edge.atoll.dev/numa-policy", "single"), (Flavours.DeviceAnnotation, "edge.atoll.dev/gpu: model=B")));
        Assert.Equal("""{"devices":{"edge.atoll.dev/gpu":["g1"]}}""", Place("b", """{"edge.atoll.dev/gpu-milli":"300"}"""));
        Assert.Equal("""{"devices":{"edge.atoll.dev/gpu":["g0"]}}""", Place("c", """{"edge.atoll.dev/gpu":"1"}"""));
        Assert.Equal("0/1 nodes are available: 1 node(s) had no free devices that suit.", Place("d", """{"edge.atoll.dev/gpu-milli":"500"}"""));
        Assert.Equal("""{"numa":[0,1]}""", Place("e", """{"cpu":"10"}""", ("edge.atoll.dev/numa-policy", "split")));
        Assert.Equal("0/1 nodes are available: 1 node(s) had no room in NUMA nodes as asked for.", Place("f", """{"cpu":"4"}""", ("edge.atoll.dev/numa-policy", "single")));
        fleet.UpsertCpuModel(KubeObject.FromNode(System.Text.Json.Nodes.JsonNode.Parse("""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"CPUModel","metadata":{"name":"f"},"spec":{"match":"Fast*","factor":2}}""")!.AsObject()));
        Assert.Equal("""{"cpuMilli":2500}""", Place("g", """{"edge.atoll.dev/compute":"5"}"""));

        string Place(string name, string requests, params (string Key, string Value)[] annotations)
        {
            var more = new System.Text.Json.Nodes.JsonObject { ["metadata"] = new System.Text.Json.Nodes.JsonObject { ["annotations"] = new System.Text.Json.Nodes.JsonObject([.. annotations.Select(a => new KeyValuePair<string, System.Text.Json.Nodes.JsonNode?>(a.Key, a.Value))]) } };
            KubeObject pod = Documents.Pod(name, """{"containers":[{"name":"c","resources":{"requests":#}}]}""".Replace("#", requests, StringComparison.Ordinal), more: more.ToJsonString());
            Placement placement = Scheduler.Plan(fleet, [pod], seed: 1).Placements[0];
            if (placement.Node is not null)
                fleet.UpsertPod(pod, placement.Node, allocation: placement.Allocation);
            return placement.Message?.Split(" preemption:")[0] ?? placement.Allocation!.ToString();
        }
    }

    [Fact]
    public void Gpu_pods_go_where_they_strand_least_and_others_leave_gpu_nodes_alone()
    {
        static KubeObject Gpus(string name, int count)
        {
            string devices = string.Join(',', Enumerable.Range(0, count).Select(i => """{"resource":"edge.atoll.dev/gpu","id":"g#","attributes":{"model":"M"}}""".Replace("#", $"{i}", StringComparison.Ordinal)));
            return Documents.Node(name, cpu: "64", memory: "256Gi", more: """{"status":{"allocatable":{"edge.atoll.dev/gpu":"#","edge.atoll.dev/gpu-milli":"#000"},"edge":{"devices":[DEVICES]}}}"""
                .Replace("#", $"{count}", StringComparison.Ordinal).Replace("DEVICES", devices, StringComparison.Ordinal));
        }

        KubeObject[] nodes = [Gpus("a", 4), Gpus("b", 4), Gpus("c", 4), Documents.Node("plain", cpu: "4")];
        KubeObject Share(string name, string node) => FormsFleet.Bound(Documents.Pod(name, """{"containers":[{"name":"c","resources":{"requests":{"cpu":"2","edge.atoll.dev/gpu-milli":"500"}}}]}"""), node, new Allocation { Devices = new() { [WellKnown.Gpu] = ["g0"] } });
        KubeObject Whole(string name, string node) => FormsFleet.Bound(Documents.Pod(name, """{"containers":[{"name":"c","resources":{"requests":{"cpu":"8","edge.atoll.dev/gpu":"4"}}}]}"""), node, new Allocation { Devices = new() { [WellKnown.Gpu] = ["g0", "g1", "g2", "g3"] } });
        KubeObject[] pods = [Share("s", "b"), Whole("w", "c")];
        KubeObject[] pending = [Documents.Pod("half", """{"containers":[{"name":"c","resources":{"requests":{"cpu":"2","edge.atoll.dev/gpu-milli":"500"}}}]}"""), Documents.Pod("cpu", cpu: "1")];
        IReadOnlyList<Placement> plan = Documents.Places(nodes, pods, pending);
        Assert.Equal(("b", "g0", "plain"), (plan[0].Node, plan[0].Allocation!.Devices![WellKnown.Gpu][0], plan[1].Node));
    }
}
