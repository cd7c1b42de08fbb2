using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.DaemonSets;
using Atoll.Orchestration.Revisions;

namespace Atoll.UnitTests.Orchestration;

public sealed class DaemonSetTests
{
    private static string Manifest(string more = "", string image = "a:1", string spec = "") => $$$$$"""
        {"apiVersion":"apps/v1","kind":"DaemonSet","metadata":{"name":"d"},"spec":{"selector":{"matchLabels":{"app":"d"}},{{{{{more}}}}}
         "template":{"metadata":{"labels":{"app":"d"}},"spec":{ {{{{{spec}}}}}"containers":[{"name":"c","image":"{{{{{image}}}}}"}]}}}}
        """;

    private static DaemonSetStatus Status(World world) => world.Api.Find(Kinds.DaemonSet, "default/d")!.View(ApiJson.Default.DaemonSet).Status!;

    private static string? Node(KubeObject pod) => DaemonPods.NodeOf(pod.View(ApiJson.Default.Pod));

    private const string NewImage = """{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"a:2"}]}}}}""";

    [Fact]
    public async Task One_pod_on_each_node_that_fits()
    {
        using var world = new World();
        await world.NodeAsync("other", extra: ",\"labels\":{\"disk\":\"ssd\"}");
        await world.CreateAsync(Kinds.DaemonSet, Manifest());
        await world.SettleAsync();
        Assert.Equal(["n0", "n1", "n2", "other"], world.ActivePods().Select(Node).Order());
        DaemonSetStatus status = Status(world);
        Assert.Equal((4, 4, 4, 4), (status.DesiredNumberScheduled, status.CurrentNumberScheduled, status.NumberReady, status.UpdatedNumberScheduled!.Value));

        await world.PatchAsync(Kinds.DaemonSet, "d", """{"spec":{"template":{"spec":{"nodeSelector":{"disk":"ssd"}}}}}""");
        await world.SettleAsync();
        Assert.Equal("other", Node(Assert.Single(world.ActivePods())));
        Assert.Equal(1, Status(world).DesiredNumberScheduled);
    }

    [Fact]
    public async Task Taints_keep_out_or_drive_out_and_a_cordon_does_neither()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.DaemonSet, Manifest());
        await world.SettleAsync();
        await world.PatchAsync(Kinds.Node, "n0", """{"spec":{"unschedulable":true}}""");
        await world.PatchAsync(Kinds.Node, "n1", """{"spec":{"taints":[{"key":"x","effect":"NoSchedule"}]}}""");
        await world.PatchAsync(Kinds.Node, "n2", """{"spec":{"taints":[{"key":"x","effect":"NoExecute"}]}}""");
        await world.SettleAsync();
        Assert.Equal(["n0", "n1"], world.ActivePods().Select(Node).Order());
        Assert.Contains(world.Api.Find(Kinds.Node, "n0")!.View(ApiJson.Default.Node).Spec.Taints!, t => t.Key == "node.kubernetes.io/unschedulable");
    }

    [Fact]
    public async Task Rolling_update_goes_node_by_node_and_skips_nodes_out_of_reach()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.DaemonSet, Manifest());
        await world.SettleAsync();
        await world.NodeAsync("n1", "Unknown");
        await world.PatchAsync(Kinds.DaemonSet, "d", NewImage);
        await world.SettleAsync();
        Assert.Equal(3, world.Api.All(Kinds.Pod).Count);
        Assert.All(world.ActivePods(), p => Assert.Equal(Node(p) == "n1" ? "a:1" : "a:2", World.Image(p)));
        Assert.Equal((3, 2, 2), (Status(world).DesiredNumberScheduled, Status(world).UpdatedNumberScheduled!.Value, Status(world).NumberAvailable!.Value));
        await world.NodeAsync("n1");
        await world.SettleAsync();
        Assert.All(world.ActivePods(), p => Assert.Equal("a:2", World.Image(p)));
    }

    [Fact]
    public async Task A_broken_update_stops_at_max_unavailable()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.DaemonSet, Manifest());
        await world.SettleAsync();
        world.Healthy = false;
        await world.PatchAsync(Kinds.DaemonSet, "d", NewImage);
        await world.SettleAsync();
        Assert.Equal(2, world.ActivePods().Count(p => World.Image(p) == "a:1"));
    }

    [Fact]
    public async Task Surge_starts_the_new_pod_before_the_old_one_ends()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.DaemonSet, Manifest(""" "updateStrategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1,"maxUnavailable":0}}, """));
        await world.SettleAsync();
        world.Healthy = false;
        await world.PatchAsync(Kinds.DaemonSet, "d", NewImage);
        await world.SettleAsync();
        Assert.Equal((3, 1), (world.ActivePods().Count(p => World.Image(p) == "a:1"), world.ActivePods().Count(p => World.Image(p) == "a:2")));
        world.Healthy = true;
        await world.SettleAsync();
        Assert.Equal(["a:2", "a:2", "a:2"], world.ActivePods().Select(World.Image));
    }

    [Fact]
    public async Task On_delete_waits_for_a_person()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.DaemonSet, Manifest(""" "updateStrategy":{"type":"OnDelete"}, """));
        await world.SettleAsync();
        await world.PatchAsync(Kinds.DaemonSet, "d", NewImage);
        await world.SettleAsync();
        Assert.All(world.ActivePods(), p => Assert.Equal("a:1", World.Image(p)));
        await world.Api.DeleteAsync(Kinds.Pod, "default", world.ActivePods()[0].Name, Atoll.Api.Resources.DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.Equal(1, world.ActivePods().Count(p => World.Image(p) == "a:2"));
    }

    [Fact]
    public async Task History_is_kept_and_a_template_that_comes_back_is_renumbered()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.DaemonSet, Manifest());
        await world.SettleAsync();
        await world.PatchAsync(Kinds.DaemonSet, "d", NewImage);
        await world.SettleAsync();
        await world.PatchAsync(Kinds.DaemonSet, "d", NewImage.Replace("a:2", "a:1", StringComparison.Ordinal));
        await world.SettleAsync();
        List<KubeObject> revisions = world.Api.All(Kinds.ControllerRevision);
        Assert.Equal([2, 3], revisions.Select(RevisionHistory.Number).Order());
        Assert.All(revisions, r => Assert.Equal("replace", (string?)r.ToNode()["data"]!["spec"]!["template"]!["$patch"]));
        Assert.All(world.ActivePods(), p => Assert.Equal("a:1", World.Image(p)));
    }

    [Fact]
    public async Task A_failed_daemon_pod_is_made_again()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.DaemonSet, Manifest());
        await world.SettleAsync();
        KubeObject pod = world.ActivePods()[0];
        await world.PhaseAsync(pod, "Failed");
        await world.SettleAsync();
        Assert.Equal(3, world.ActivePods().Count);
        Assert.Null(world.Api.Find(Kinds.Pod, pod.Key));
    }
}
