using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Orchestration;

public sealed class CollectionTests
{
    private static string Owned(string name, string uid, string owner, bool? block = null) => $$$$$"""
        {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{{{name}}}}}","ownerReferences":[{"apiVersion":"v1","kind":"ConfigMap","name":"{{{{{owner}}}}}","uid":"{{{{{uid}}}}}","blockOwnerDeletion":{{{{{(block == true ? "true" : "false")}}}}} }]}}
        """;

    private static Task<KubeObject> PlainAsync(World world, string name) =>
        world.CreateAsync(Kinds.ConfigMap, $$$$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"{{{{{name}}}}}"} }""");

    private static IEnumerable<string> Names(World world) => world.Api.All(Kinds.ConfigMap).Select(c => c.Name).Order();

    [Fact]
    public async Task Background_takes_the_whole_tree_and_only_it()
    {
        using var world = new World();
        KubeObject root = await PlainAsync(world, "root");
        await PlainAsync(world, "free");
        KubeObject child = await world.CreateAsync(Kinds.ConfigMap, Owned("child", root.Uid, "root"));
        await world.CreateAsync(Kinds.ConfigMap, Owned("grandchild", child.Uid, "child"));
        await world.SettleAsync();
        Assert.Equal(4, Names(world).Count());
        await world.Api.DeleteAsync(Kinds.ConfigMap, "default", "root", DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.Equal(["free"], Names(world));
    }

    [Fact]
    public async Task Foreground_waits_for_blocking_dependents()
    {
        using var world = new World();
        KubeObject root = await PlainAsync(world, "root");
        KubeObject child = await world.CreateAsync(Kinds.ConfigMap, Owned("child", root.Uid, "root", true));
        await world.PatchAsync(Kinds.ConfigMap, "child", """{"metadata":{"finalizers":["test/hold"]}}""");
        await world.CreateAsync(Kinds.ConfigMap, Owned("grandchild", child.Uid, "child", true));
        await world.SettleAsync();
        await world.Api.DeleteAsync(Kinds.ConfigMap, "default", "root", new DeleteOptions { PropagationPolicy = "Foreground" }, default);
        await world.SettleAsync();
        Assert.Equal(["child", "root"], Names(world)); // The child is held, so the root waits; the grandchild went first.
        await world.PatchAsync(Kinds.ConfigMap, "child", """{"metadata":{"finalizers":[]}}""");
        await world.SettleAsync();
        Assert.Empty(Names(world));
    }

    [Fact]
    public async Task Orphan_lets_dependents_live_without_the_owner()
    {
        using var world = new World();
        KubeObject root = await PlainAsync(world, "root");
        await world.CreateAsync(Kinds.ConfigMap, Owned("child", root.Uid, "root"));
        await world.SettleAsync();
        await world.Api.DeleteAsync(Kinds.ConfigMap, "default", "root", new DeleteOptions { PropagationPolicy = "Orphan" }, default);
        await world.SettleAsync();
        Assert.Equal(["child"], Names(world));
        Assert.Null(world.Api.Find(Kinds.ConfigMap, "default/child")!.Metadata.OwnerReferences);
    }

    [Fact]
    public async Task An_owner_is_an_identity_not_a_name()
    {
        using var world = new World();
        await PlainAsync(world, "root");
        await world.CreateAsync(Kinds.ConfigMap, Owned("child", "uid-of-an-earlier-root", "root"));
        await world.SettleAsync();
        Assert.Equal(["root"], Names(world));
    }

    [Fact]
    public async Task One_living_owner_is_enough_and_the_dead_reference_goes()
    {
        using var world = new World();
        KubeObject alive = await PlainAsync(world, "alive");
        await world.CreateAsync(Kinds.ConfigMap, $$$$$"""
            {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"child","ownerReferences":[
             {"apiVersion":"v1","kind":"ConfigMap","name":"gone","uid":"gone"},{"apiVersion":"v1","kind":"ConfigMap","name":"alive","uid":"{{{{{alive.Uid}}}}}"}]}}
            """);
        await world.SettleAsync();
        Assert.Equal(alive.Uid, Assert.Single(world.Api.Find(Kinds.ConfigMap, "default/child")!.Metadata.OwnerReferences!).Uid);
    }

    [Fact]
    public async Task A_late_copy_of_the_owner_kills_nobody()
    {
        using var world = new World();
        KubeObject root = await world.CreateAsync(Kinds.Secret, """{"apiVersion":"v1","kind":"Secret","metadata":{"name":"root"}}""");
        await world.CreateAsync(Kinds.ConfigMap, $$$$$"""
            {"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"child","ownerReferences":[{"apiVersion":"v1","kind":"Secret","name":"root","uid":"{{{{{root.Uid}}}}}"}]}}
            """);
        world.Pump(Kinds.ConfigMap); // The secret has not been seen.
        while (await world.StepAsync())
        {
        }
        Assert.Equal(["child"], Names(world));
    }

    [Fact]
    public async Task Deployments_take_sets_and_pods_with_them()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Deployment, """
            {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":3,"selector":{"matchLabels":{"app":"web"}},
             "template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"a"}]}}}}
            """);
        await world.SettleAsync();
        await world.Api.DeleteAsync(Kinds.Deployment, "default", "web", DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.Empty(world.Api.All(Kinds.ReplicaSet));
        Assert.Empty(world.Api.All(Kinds.Pod));
    }

    [Fact]
    public async Task A_namespace_ends_when_its_content_has_and_says_what_holds_it()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Namespace, """{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"team"}}""");
        await world.SettleAsync();
        Assert.NotNull(world.Api.Find(Kinds.ServiceAccount, "team/default"));
        await world.CreateAsync(Kinds.ConfigMap, """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"held","finalizers":["test/hold"]}}""", "team");
        await world.Api.DeleteAsync(Kinds.Namespace, null, "team", DeleteOptions.Default, default);
        await world.SettleAsync();
        string status = world.Api.Find(Kinds.Namespace, "team")!.ToNode()["status"]!.ToJsonString();
        Assert.Contains("configmaps has 1 resource instances", status, StringComparison.Ordinal);
        Assert.Contains("test/hold in 1 resource instances", status, StringComparison.Ordinal);
        Assert.Empty(world.Api.All(Kinds.ServiceAccount));
        await world.Api.PatchAsync(Kinds.ConfigMap, "team", "held", PatchType.Merge, System.Text.Json.Nodes.JsonNode.Parse("""{"metadata":{"finalizers":[]}}""")!, default);
        await world.SettleAsync(TimeSpan.FromSeconds(10));
        Assert.Null(world.Api.Find(Kinds.Namespace, "team"));
    }

    [Fact]
    public async Task A_silent_node_keeps_its_pods_and_a_deleted_one_loses_them()
    {
        using var world = new World();
        world.Nodes.RemoveRange(1, 2);
        await world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[]}}""");
        await world.SettleAsync();
        await world.NodeAsync("n0", "Unknown");
        await world.SettleAsync(TimeSpan.FromMinutes(30));
        Assert.NotNull(world.Api.Find(Kinds.Pod, "default/p"));
        Taint taint = Assert.Single(world.Api.Find(Kinds.Node, "n0")!.View(ApiJson.Default.Node).Spec.Taints!);
        Assert.Equal(("node.kubernetes.io/unreachable", "NoSchedule"), (taint.Key, taint.Effect));
        await world.Api.DeleteAsync(Kinds.Node, null, "n0", DeleteOptions.Default, default);
        await world.SettleAsync(TimeSpan.FromSeconds(10));
        Assert.NotNull(world.Api.Find(Kinds.Pod, "default/p"));
        await world.SettleAsync(TimeSpan.FromSeconds(90));
        Assert.Null(world.Api.Find(Kinds.Pod, "default/p"));
    }

    [Fact]
    public async Task A_persons_taint_evicts_after_the_tolerated_seconds()
    {
        using var world = new World();
        world.Nodes.RemoveRange(1, 2);
        await world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"now"},"spec":{"containers":[]}}""");
        await world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"later"},"spec":{"containers":[],"tolerations":[{"key":"repair","operator":"Exists","tolerationSeconds":60}]}}""");
        await world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"long"},"spec":{"containers":[],"tolerations":[{"key":"repair","operator":"Exists","tolerationSeconds":9223372036854775807}]}}""");
        await world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"never"},"spec":{"containers":[],"tolerations":[{"operator":"Exists"}]}}""");
        await world.SettleAsync();
        await world.PatchAsync(Kinds.Node, "n0", """{"spec":{"taints":[{"key":"repair","value":"x","effect":"NoExecute"}]}}""");
        await world.SettleAsync(TimeSpan.FromSeconds(30));
        Assert.Equal(["later", "long", "never"], world.Api.All(Kinds.Pod).Select(p => p.Name).Order());
        await world.SettleAsync(TimeSpan.FromSeconds(40));
        Assert.Equal(["long", "never"], world.Api.All(Kinds.Pod).Select(p => p.Name).Order());
    }

    [Fact]
    public async Task A_taint_of_a_condition_never_evicts()
    {
        using var world = new World();
        world.Nodes.RemoveRange(1, 2);
        await world.CreateAsync(Kinds.Pod, """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[]}}""");
        await world.SettleAsync();
        await world.PatchAsync(Kinds.Node, "n0", """{"spec":{"taints":[{"key":"node.kubernetes.io/unreachable","effect":"NoExecute"}]}}""");
        await world.SettleAsync(TimeSpan.FromMinutes(10));
        Assert.NotNull(world.Api.Find(Kinds.Pod, "default/p"));
    }
}
