using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>The plugin VolumeBinding; every plan is checked against plain code.</summary>
public sealed class VolumeBindingTests
{
    private static readonly KubeObject[] s_nodes = [Node("n1"), Node("n2"), Node("n3")];

    private static readonly KubeObject s_manual = Of("""{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"manual","uid":"manual"},"provisioner":"kubernetes.io/no-provisioner","volumeBindingMode":"WaitForFirstConsumer"}""");
    private static readonly KubeObject s_local = Of("""{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"local","uid":"local"},"provisioner":"edge.atoll.dev/local","volumeBindingMode":"WaitForFirstConsumer","allowedTopologies":[{"matchLabelExpressions":[{"key":"kubernetes.io/hostname","values":["n2","n3"]}]}]}""");

    [Fact]
    public void A_bound_claim_keeps_its_pods_where_its_volume_is()
    {
        Placement placement = One([Claim("c", "manual", volume: "v"), Volume("v", "n2", "manual")], User("p", "c"));
        Assert.Equal(("n2", 0), (placement.Node, placement.Volumes.Count));
        Placement elsewhere = One([Claim("c", "manual", volume: "v"), Volume("v", "n2", "manual")], User("p", "c", """{"nodeSelector":{"kubernetes.io/hostname":"n1"}}"""));
        Assert.StartsWith("0/3 nodes are available: 1 node(s) had volume node affinity conflict, 2 node(s) didn't match Pod's node affinity/selector.", elsewhere.Message, StringComparison.Ordinal);
        Assert.True(elsewhere.HelpedBy.HasFlag(ClusterEvents.Storage));
    }

    [Fact]
    public void A_claim_that_waits_takes_the_smallest_free_volume_and_no_two_take_one()
    {
        KubeObject[] storage = [s_manual, Claim("a", "manual"), Claim("b", "manual"), Claim("c", "manual"), Volume("big", "n1", "manual", "9Gi"), Volume("small", "n1", "manual", "2Gi"), Volume("tiny", "n3", "manual", "1Mi")];
        IReadOnlyList<Placement> placements = Many(storage, User("p", "a"), User("q", "b"), User("r", "c"));
        Assert.Equal(("n1", new VolumeChoice("default/a", "small")), (placements[0].Node, Assert.Single(placements[0].Volumes)));
        Assert.Equal(("n1", new VolumeChoice("default/b", "big")), (placements[1].Node, Assert.Single(placements[1].Volumes)));
        Assert.StartsWith("0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind.", placements[2].Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Claims_of_one_pod_go_together()
    {
        KubeObject[] storage = [s_manual, s_local, Claim("a", "manual"), Claim("b", "manual"), Claim("d", "local"), Volume("x", "n1", "manual"), Volume("y", "n2", "manual"), Volume("z", "n2", "manual")];
        Placement placement = One(storage, User("p", "a", """{"volumes":[{"name":"1","persistentVolumeClaim":{"claimName":"a"}},{"name":"2","persistentVolumeClaim":{"claimName":"b"}},{"name":"3","persistentVolumeClaim":{"claimName":"d"}}]}"""));
        Assert.Equal("n2", placement.Node);
        Assert.Equal(["default/a=y", "default/b=z", "default/d="], placement.Volumes.Select(v => $"{v.Claim}={v.Volume}").Order());
    }

    [Fact]
    public void A_class_that_makes_volumes_makes_them_only_where_it_may_and_other_pods_of_the_claim_follow()
    {
        Placement placement = One([s_local, Claim("c", "local")], User("p", "c", """{"nodeSelector":{"kubernetes.io/hostname":"n3"}}"""));
        Assert.Equal(("n3", new VolumeChoice("default/c", null)), (placement.Node, Assert.Single(placement.Volumes)));
        Assert.NotNull(One([s_local, Claim("c", "local")], User("p", "c", """{"nodeSelector":{"kubernetes.io/hostname":"n1"}}""")).Message);
        Placement follower = One([s_local, Claim("c", "local", selected: "n2")], User("q", "c"));
        Assert.Equal(("n2", 0), (follower.Node, follower.Volumes.Count));
    }

    [Theory]
    [InlineData("none", "persistentvolumeclaim \"none\" not found")]
    [InlineData("now", "pod has unbound immediate PersistentVolumeClaims")]
    [InlineData("lost", "persistentvolumeclaim \"lost\" bound to non-existent persistentvolume \"gone\"")]
    public void A_claim_without_a_way_out_is_said_before_any_node_is_looked_at(string claim, string why)
    {
        Placement placement = One([Claim("now", "immediate"), Claim("lost", "manual", volume: "gone")], User("p", claim));
        Assert.StartsWith($"0/3 nodes are available: {why}.", placement.Message, StringComparison.Ordinal);
        Assert.Equal(ClusterEvents.Storage, placement.HelpedBy);
    }

    [Fact]
    public void Claims_share_out_what_is_there_as_it_suits_all()
    {
        // The small volume suits both, the big one that is elsewhere none; smallest first alone would leave b without.
        KubeObject[] storage = [s_manual, Claim("a", "manual"), Big(Claim("b", "manual")), Volume("v1", "n1", "manual", "9Gi"), Volume("v2", "n1", "manual", "2Gi"), Volume("v3", "n2", "manual", "9Gi")];
        Placement placement = One(storage, User("p", "a", """{"volumes":[{"name":"1","persistentVolumeClaim":{"claimName":"a"}},{"name":"2","persistentVolumeClaim":{"claimName":"b"}}]}"""));
        Assert.Equal(["default/a=v2", "default/b=v1"], placement.Volumes.Select(v => $"{v.Claim}={v.Volume}").Order());

        static KubeObject Big(KubeObject claim)
        {
            JsonObject big = claim.ToNode();
            big["spec"]!["resources"]!["requests"]!["storage"] = "8Gi";
            return KubeObject.FromNode(big);
        }
    }

    [Fact]
    public void Pods_of_one_claim_follow_the_first_of_them_within_a_plan_and_after_it()
    {
        KubeObject[] storage = [s_manual, s_local, Claim("a", "manual"), Claim("m", "local"), Volume("v1", "n1", "manual"), Volume("v2", "n2", "manual")];
        IReadOnlyList<Placement> placements = Many(storage, User("p", "a"), User("q", "a"), User("r", "m"), User("s", "m"));
        Assert.Equal((placements[0].Node, 0, placements[2].Node, 0), (placements[1].Node, placements[1].Volumes.Count, placements[3].Node, placements[3].Volumes.Count));
        Snapshot snapshot = Fleet(s_nodes, [], storage);
        snapshot.Decide(placements[0]);
        Placement later = Scheduler.Plan(snapshot.Fork(), [User("t", "a", """{"nodeSelector":{"kubernetes.io/hostname":"n2"}}""")], 1).Placements[0];
        Assert.Equal(placements[0].Node == "n2", later.Node is not null);
        snapshot.Reopen(placements[0]);
        Assert.Equal("n2", Scheduler.Plan(snapshot, [User("t", "a", """{"nodeSelector":{"kubernetes.io/hostname":"n2"}}""")], 1).Placements[0].Node);
    }

    [Fact]
    public void A_gang_that_is_tried_again_starts_with_all_volumes()
    {
        // Three members want the two volumes of n1: all or none. The one that stands by itself then finds both.
        KubeObject[] storage = [s_manual, Claim("a", "manual"), Claim("b", "manual"), Claim("c", "manual"), Claim("d", "manual"), Volume("v1", "n1", "manual"), Volume("v2", "n1", "manual"), Group("g", 3)];
        KubeObject Of(string name, string claim)
        {
            JsonObject pod = User(name, claim).ToNode();
            pod["metadata"]!["labels"] = new JsonObject { ["scheduling.x-k8s.io/pod-group"] = "g" };
            return KubeObject.FromNode(pod);
        }
        IReadOnlyList<Placement> placements = Many(storage, Of("p", "a"), Of("q", "b"), Of("r", "c"), User("s", "d"));
        Assert.Equal((null, null, null, "n1"), (placements[0].Node, placements[1].Node, placements[2].Node, placements[3].Node));
    }

    [Fact]
    public void A_volume_that_a_binding_on_its_way_takes_is_for_no_other_claim()
    {
        Snapshot snapshot = Fleet(s_nodes, [], [s_manual, Claim("a", "manual"), Claim("b", "manual"), Volume("v", "n1", "manual")]);
        Placement first = Scheduler.Plan(snapshot, [User("p", "a")], 1).Placements[0];
        Assert.Equal("n1", first.Node);
        snapshot.Decide(first);
        Assert.Null(Scheduler.Plan(snapshot, [User("q", "b")], 1).Placements[0].Node);
        Assert.Equal("n1", Scheduler.Plan(snapshot, [User("r", "a")], 1).Placements[0].Node);
        snapshot.Reopen(first);
        Assert.Equal("n1", Scheduler.Plan(snapshot, [User("q", "b")], 1).Placements[0].Node);
    }

    [Fact]
    public void No_pod_is_preempted_on_a_node_that_lacks_the_volume()
    {
        KubeObject[] pods = [.. s_nodes.Select(n => Pod("low-" + n.Name, node: n.Name, cpu: "4"))];
        Placement placement = Many([Claim("c", "manual", volume: "v"), Volume("v", "n2", "manual")], pods, User("p", "c", "{}", priority: 10))[0];
        Assert.Equal(("n2", "low-n2"), (placement.Nominated, Assert.Single(placement.Victims).Name));
    }

    private static Placement One(KubeObject[] storage, KubeObject pod) => Many(storage, pod)[0];

    private static IReadOnlyList<Placement> Many(KubeObject[] storage, params KubeObject[] pending) => Many(storage, [], pending);

    private static IReadOnlyList<Placement> Many(KubeObject[] storage, KubeObject[] pods, params KubeObject[] pending)
    {
        return Places(s_nodes, pods, pending, null, storage);
    }

    private static KubeObject User(string name, string claim, string spec = "{}", int priority = 0)
    {
        JsonObject all = JsonNode.Parse($$$$$"""{"volumes":[{"name":"data","persistentVolumeClaim":{"claimName":"{{{{{claim}}}}}"}}]}""")!.AsObject();
        foreach ((string key, JsonNode? value) in JsonNode.Parse(spec)!.AsObject())
            all[key] = value?.DeepClone();
        return Pod(name, all.ToJsonString(), priority: priority);
    }

    private static KubeObject Claim(string name, string storageClass, string? volume = null, string? selected = null)
    {
        JsonObject claim = JsonNode.Parse($$$$$"""{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"{{{{{name}}}}}","namespace":"default","uid":"{{{{{name}}}}}"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"{{{{{storageClass}}}}}","resources":{"requests":{"storage":"1Gi"}}}}""")!.AsObject();
        if (volume is not null)
            claim["spec"]!["volumeName"] = volume;
        if (selected is not null)
            claim["metadata"]!["annotations"] = new JsonObject { [StorageNames.SelectedNode] = selected };
        return KubeObject.FromNode(claim);
    }

    private static KubeObject Volume(string name, string node, string storageClass, string size = "5Gi") => Of($$$$$"""
        {"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"{{{{{name}}}}}","uid":"{{{{{name}}}}}"},"spec":{"accessModes":["ReadWriteOnce"],"capacity":{"storage":"{{{{{size}}}}}"},"storageClassName":"{{{{{storageClass}}}}}",
         "local":{"path":"/disks/{{{{{name}}}}}"},"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["{{{{{node}}}}}"]}]}]}}}}
        """);

    private static KubeObject Of(string json) => KubeObject.FromNode(JsonNode.Parse(json)!.AsObject());
}
