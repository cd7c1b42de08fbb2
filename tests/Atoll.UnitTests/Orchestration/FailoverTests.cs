using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Stand-ins for pods at sites that are out of reach, by the workload's policy.</summary>
public sealed class FailoverTests
{
    private static string Manifest(int replicas, string scope, string after = "5m") => $$$$$"""
        {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"d","annotations":{"edge.atoll.dev/failover":"{{{{{scope}}}}}","edge.atoll.dev/failover-after":"{{{{{after}}}}}"}},
         "spec":{"replicas":{{{{{replicas}}}}},"selector":{"matchLabels":{"app":"d"}},"template":{"metadata":{"labels":{"app":"d"}},"spec":{"containers":[{"name":"c","image":"a:1"}]}}}}
        """;

    private static DeploymentStatus Status(World world) => world.Api.Find(Kinds.Deployment, "default/d")!.View(ApiJson.Default.Deployment).Status!;

    private static string? StandsInFor(KubeObject pod) => pod.Metadata.Annotation(FailoverPolicy.StandsInFor);

    private static string[] Uids(World world) => [.. world.ActivePods().Select(p => p.Uid).Order(StringComparer.Ordinal)];

    /// <summary>Two pods at site s0, whose line is then cut; what is made from now on goes to n1.</summary>
    private static async Task<World> CutAsync(string manifest)
    {
        var world = new World();
        foreach (string node in world.Nodes.ToArray())
            await world.PatchAsync(Kinds.Node, node, $$$$$"""{"metadata":{"labels":{"edge.atoll.dev/site":"{{{{{node.Replace('n', 's')}}}}}","topology.kubernetes.io/region":"r1"}}}""");
        world.Nodes.Clear();
        world.Nodes.Add("n0");
        await world.CreateAsync(Kinds.Deployment, manifest);
        await world.SettleAsync();
        world.Silent.Add("n0");
        await ReadyAsync(world, "Unknown");
        world.Nodes[0] = "n1";
        return world;
    }

    private static Task ReadyAsync(World world, string status, string node = "n0") => world.PatchAsync(Kinds.Node, node,
        $$$$$"""{"status":{"conditions":[{"type":"Ready","status":"{{{{{status}}}}}","lastTransitionTime":"{{{{{KubeTime.Format(world.Time.GetUtcNow())}}}}}"}]}}""", "status");

    private static async Task ReturnAsync(World world, string node = "n0")
    {
        world.Silent.Remove(node);
        await ReadyAsync(world, "True", node);
        await world.SettleAsync();
    }

    [Fact]
    public async Task After_its_deadline_a_stand_in_serves_elsewhere_and_goes_when_the_site_is_back()
    {
        using World world = await CutAsync(Manifest(2, "any"));
        string[] originals = Uids(world);
        await world.SettleAsync(TimeSpan.FromMinutes(4));
        Assert.Equal(originals, Uids(world));
        Assert.Equal(0, Status(world).ReadyReplicas ?? 0);
        await world.SettleAsync(TimeSpan.FromMinutes(2));
        List<KubeObject> standIns = world.ActivePods().FindAll(p => StandsInFor(p) is not null);
        Assert.Equal(originals, standIns.Select(p => StandsInFor(p)!).Order(StringComparer.Ordinal));
        Assert.Equal((2, 2, 2), (Status(world).Replicas, Status(world).ReadyReplicas, Status(world).AvailableReplicas));
        Assert.All(standIns, p => Assert.Equal("n1", p.View(ApiJson.Default.Pod).Spec.NodeName));
        Assert.Equal("""{"key":"edge.atoll.dev/site","operator":"NotIn","values":["s0"]}""", Required(standIns[0])[0]!["matchExpressions"]![0]!.ToJsonString());
        await world.SettleAsync(TimeSpan.FromMinutes(30));
        Assert.Equal(4, world.ActivePods().Count);

        await ReturnAsync(world);
        Assert.Equal(originals, Uids(world));
        Assert.Equal((2, 2), (Status(world).Replicas, Status(world).ReadyReplicas));
    }

    [Fact]
    public async Task A_scale_down_meanwhile_takes_a_pod_and_its_stand_in_and_the_site_carries_it_out_when_it_is_back()
    {
        using World world = await CutAsync(Manifest(2, "any"));
        await world.SettleAsync(TimeSpan.FromMinutes(6));
        await world.PatchAsync(Kinds.Deployment, "d", """{"spec":{"replicas":1}}""");
        await world.SettleAsync();
        Assert.Equal((1, 1), (Status(world).Replicas, Status(world).ReadyReplicas));
        await ReturnAsync(world);
        Assert.Null(StandsInFor(Assert.Single(world.ActivePods())));
        Assert.Equal((1, 1), (Status(world).Replicas, Status(world).ReadyReplicas));
        await world.PatchAsync(Kinds.Deployment, "d", """{"spec":{"replicas":0}}""");
        await world.SettleAsync();
        Assert.Empty(world.Api.All(Kinds.Pod));
    }

    [Fact]
    public async Task The_stand_in_stays_until_the_returned_pod_is_ready_and_becomes_an_ordinary_one_when_that_is_gone()
    {
        using World world = await CutAsync(Manifest(1, "any"));
        await world.SettleAsync(TimeSpan.FromMinutes(6));
        KubeObject original = world.ActivePods().Single(p => StandsInFor(p) is null);
        await world.PatchAsync(Kinds.Pod, original.Name, """{"status":{"phase":"Running","conditions":[{"type":"Ready","status":"False"}]}}""", "status");
        await ReturnAsync(world);
        Assert.Equal(2, world.ActivePods().Count);
        Assert.Equal((1, 1), (Status(world).Replicas, Status(world).ReadyReplicas));
        await world.Api.DeleteAsync(Kinds.Pod, "default", original.Name, Atoll.Api.Resources.DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.NotNull(StandsInFor(Assert.Single(world.ActivePods())));
    }

    [Fact]
    public async Task A_stand_in_that_found_no_node_goes_with_its_first_and_another_may_be_placed_anywhere()
    {
        using World world = await CutAsync(Manifest(1, "any"));
        world.Nodes.Clear();
        await world.SettleAsync(TimeSpan.FromMinutes(6));
        KubeObject original = world.ActivePods().Single(p => StandsInFor(p) is null);
        Assert.Equal(2, world.ActivePods().Count);
        world.Silent.Remove("n0");
        await world.Api.DeleteAsync(Kinds.Pod, "default", original.Name, Atoll.Api.Resources.DeleteOptions.Default, default);
        world.Nodes.Add("n0");
        await ReturnAsync(world);
        KubeObject other = Assert.Single(world.ActivePods());
        Assert.Equal((null, "n0"), (StandsInFor(other), other.View(ApiJson.Default.Pod).Spec.NodeName));
        Assert.Equal((1, 1), (Status(world).Replicas, Status(world).ReadyReplicas));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_stand_in_whose_own_site_falls_silent_gets_one_in_turn_and_the_earliest_that_is_back_is_preferred(int back)
    {
        using World world = await CutAsync(Manifest(2, "any"));
        string[] originals = Uids(world);
        await world.SettleAsync(TimeSpan.FromMinutes(6));
        string[] seconds = [.. Uids(world).Except(originals)];
        world.Silent.Add("n1");
        await ReadyAsync(world, "Unknown", "n1");
        world.Nodes[0] = "n2";
        await world.SettleAsync(TimeSpan.FromMinutes(6));
        Assert.Equal(6, world.ActivePods().Count);
        Assert.Equal((2, 2, 2), (Status(world).Replicas, Status(world).ReadyReplicas, Status(world).AvailableReplicas));

        await ReturnAsync(world, $"n{back}");
        Assert.Equal(back == 0 ? originals : [.. originals.Concat(seconds).Order(StringComparer.Ordinal)], Uids(world));
        Assert.Equal((2, 2), (Status(world).Replicas, Status(world).ReadyReplicas));
        await world.PatchAsync(Kinds.Deployment, "d", """{"spec":{"replicas":1}}""");
        await world.SettleAsync();
        await ReturnAsync(world, $"n{1 - back}");
        Assert.Equal((1, 1), (Status(world).Replicas, Status(world).ReadyReplicas));
        Assert.Contains(Assert.Single(world.ActivePods()).Uid, originals);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_the_site_made_in_place_of_a_pod_is_that_pod_and_preferred_to_the_stand_in(bool twice)
    {
        using World world = await CutAsync(Manifest(1, "any"));
        await world.SettleAsync(TimeSpan.FromHours(2));
        KubeObject original = world.ActivePods().Single(p => StandsInFor(p) is null);
        // Its node died while the line was cut, and the other of the site ran it on; the centre hears of that now.
        await world.PatchAsync(Kinds.Pod, original.Name, """{"status":{"phase":"Failed","reason":"NodeLost"}}""", "status");
        JsonObject made = original.ToNode();
        JsonObject meta = made["metadata"]!.AsObject();
        (meta["name"], meta["annotations"], made["spec"]!["nodeName"]) = ("made", new JsonObject { ["edge.atoll.dev/replaces"] = twice ? "between" : original.Uid, ["edge.atoll.dev/replaced-before"] = twice ? original.Uid : null }, "n2");
        meta.Remove("uid");
        made.Remove("status");
        await world.CreateAsync(Kinds.Pod, made.ToJsonString());
        await world.SettleAsync();
        Assert.Equal("made", Assert.Single(world.ActivePods()).Name);
        Assert.Equal((1, 1), (Status(world).Replicas, Status(world).ReadyReplicas));
    }

    [Fact]
    public async Task A_scale_down_takes_all_that_stand_for_a_pod()
    {
        using World world = await CutAsync(Manifest(2, "any"));
        await world.SettleAsync(TimeSpan.FromMinutes(6));
        world.Silent.Add("n1");
        await ReadyAsync(world, "Unknown", "n1");
        world.Nodes[0] = "n2";
        await world.SettleAsync(TimeSpan.FromMinutes(6));
        await world.PatchAsync(Kinds.Deployment, "d", """{"spec":{"replicas":1}}""");
        await world.SettleAsync();
        Assert.Equal(3, world.ActivePods().Count);
        Assert.Equal((1, 1), (Status(world).Replicas, Status(world).ReadyReplicas));
    }

    [Fact]
    public async Task Region_keeps_it_in_the_region_and_none_makes_nothing()
    {
        using World region = await CutAsync(Manifest(1, "region", "30s"));
        await region.SettleAsync(TimeSpan.FromMinutes(1));
        KubeObject standIn = Assert.Single(region.ActivePods(), p => StandsInFor(p) is not null);
        Assert.Equal("""{"key":"topology.kubernetes.io/region","operator":"In","values":["r1"]}""", Required(standIn)[0]!["matchExpressions"]![1]!.ToJsonString());

        using World none = await CutAsync(Manifest(1, "none", "30s"));
        await none.SettleAsync(TimeSpan.FromHours(1));
        Assert.Single(none.Api.All(Kinds.Pod));
    }

    private static JsonArray Required(KubeObject pod) =>
        pod.ToNode()["spec"]!["affinity"]!["nodeAffinity"]!["requiredDuringSchedulingIgnoredDuringExecution"]!["nodeSelectorTerms"]!.AsArray();
}
