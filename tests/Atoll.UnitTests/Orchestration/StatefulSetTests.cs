using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Revisions;

namespace Atoll.UnitTests.Orchestration;

public sealed class StatefulSetTests
{
    private static string Manifest(int replicas = 3, string more = "", string image = "a:1") => $$$$$"""
        {"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"s"},"spec":{"replicas":{{{{{replicas}}}}},"serviceName":"svc","selector":{"matchLabels":{"app":"s"}},{{{{{more}}}}}
         "template":{"metadata":{"labels":{"app":"s"}},"spec":{"containers":[{"name":"c","image":"{{{{{image}}}}}"}]}}}}
        """;

    private const string Parallel = "\"podManagementPolicy\":\"Parallel\",", NewImage = """{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"a:2"}]}}}}""";

    private static StatefulSetStatus Status(World world) => world.Api.Find(Kinds.StatefulSet, "default/s")!.View(ApiJson.Default.StatefulSet).Status!;

    private static IEnumerable<string> Names(World world) => world.Api.All(Kinds.Pod).Select(p => p.Name).Order(StringComparer.Ordinal);

    private static KubeObject Pod(World world, int ordinal) => world.Api.Find(Kinds.Pod, $"default/s-{ordinal}")!;

    private static ValueTask<ApiResult> DeleteAsync(World world, int ordinal, int? grace = null) =>
        world.Api.DeleteAsync(Kinds.Pod, "default", $"s-{ordinal}", DeleteOptions.Default with { GracePeriodSeconds = grace }, default);

    private static Task RestAsync(World world) => world.SettleAsync();

    [Fact]
    public async Task Pods_come_in_order_with_stable_names_and_identity()
    {
        using var world = new World { Healthy = false };
        await world.CreateAsync(Kinds.StatefulSet, Manifest());
        await RestAsync(world);
        Assert.Equal(["s-0"], Names(world));
        await world.ReadyAsync(Pod(world, 0));
        await RestAsync(world);
        Assert.Equal(["s-0", "s-1"], Names(world));
        world.Healthy = true;
        await RestAsync(world);
        Assert.Equal(["s-0", "s-1", "s-2"], Names(world));
        KubeObject pod = Pod(world, 2);
        Assert.Equal(("s-2", "2"), (pod.Metadata.Label("statefulset.kubernetes.io/pod-name"), pod.Metadata.Label("apps.kubernetes.io/pod-index")));
        Assert.Equal(("s-2", "svc"), ((string?)pod.ToNode()["spec"]!["hostname"], (string?)pod.ToNode()["spec"]!["subdomain"]));
        StatefulSetStatus status = Status(world);
        Assert.Equal((3, 3, 3, 3, 3), (status.Replicas, status.ReadyReplicas, status.AvailableReplicas, status.CurrentReplicas, status.UpdatedReplicas));
        Assert.Equal(status.CurrentRevision, status.UpdateRevision);
        Assert.Equal(status.CurrentRevision, pod.Metadata.Label(RevisionHistory.HashLabel));
    }

    [Fact]
    public async Task Parallel_waits_for_nothing_and_ordinals_may_start_elsewhere()
    {
        using var world = new World { Healthy = false };
        await world.CreateAsync(Kinds.StatefulSet, Manifest(3, Parallel + "\"ordinals\":{\"start\":5},"));
        await RestAsync(world);
        Assert.Equal(["s-5", "s-6", "s-7"], Names(world));
        await world.PatchAsync(Kinds.StatefulSet, "s", """{"spec":{"replicas":1}}""");
        await RestAsync(world);
        Assert.Equal(["s-5"], Names(world));
    }

    [Fact]
    public async Task Scaling_down_goes_from_the_highest_one_at_a_time()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest());
        await RestAsync(world);
        foreach (string node in world.Nodes)
            world.Silent.Add(node);
        await world.PatchAsync(Kinds.StatefulSet, "s", """{"spec":{"replicas":1}}""");
        await RestAsync(world);
        Assert.Equal([false, false, true], new[] { 0, 1, 2 }.Select(i => Pod(world, i).IsDeleting));
        world.Silent.Clear();
        await RestAsync(world);
        Assert.Equal(["s-0"], Names(world));
        Assert.Equal(1, Status(world).Replicas);
    }

    [Fact]
    public async Task An_update_goes_from_the_highest_and_waits_for_each_and_history_can_be_undone()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest());
        await RestAsync(world);
        world.Healthy = false;
        await world.PatchAsync(Kinds.StatefulSet, "s", NewImage);
        await RestAsync(world);
        Assert.Equal(["a:1", "a:1", "a:2"], new[] { 0, 1, 2 }.Select(i => World.Image(Pod(world, i))));
        Assert.NotEqual(Status(world).CurrentRevision, Status(world).UpdateRevision);
        Assert.Equal((2, 1), (Status(world).CurrentReplicas, Status(world).UpdatedReplicas));
        world.Healthy = true;
        await RestAsync(world);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:2", World.Image(p)));
        Assert.Equal(Status(world).CurrentRevision, Status(world).UpdateRevision);
        await world.PatchAsync(Kinds.StatefulSet, "s", NewImage.Replace("a:2", "a:1", StringComparison.Ordinal));
        await RestAsync(world);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:1", World.Image(p)));
        Assert.Equal([2, 3], world.Api.All(Kinds.ControllerRevision).Select(RevisionHistory.Number).Order());
    }

    [Fact]
    public async Task A_partition_holds_lower_ordinals_at_the_old_revision_even_when_they_are_made_again()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest(3, "\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":2}},"));
        await RestAsync(world);
        await world.PatchAsync(Kinds.StatefulSet, "s", NewImage);
        await RestAsync(world);
        await DeleteAsync(world, 0);
        await RestAsync(world);
        Assert.Equal(["a:1", "a:1", "a:2"], new[] { 0, 1, 2 }.Select(i => World.Image(Pod(world, i))));
        await world.PatchAsync(Kinds.StatefulSet, "s", """{"spec":{"updateStrategy":{"rollingUpdate":{"partition":0}}}}""");
        await RestAsync(world);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:2", World.Image(p)));
    }

    [Fact]
    public async Task Max_unavailable_updates_several_at_a_time()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest(4, Parallel + "\"updateStrategy\":{\"type\":\"RollingUpdate\",\"rollingUpdate\":{\"partition\":0,\"maxUnavailable\":\"50%\"}},"));
        await RestAsync(world);
        world.Healthy = false;
        await world.PatchAsync(Kinds.StatefulSet, "s", NewImage);
        await RestAsync(world);
        Assert.Equal(["a:1", "a:1", "a:2", "a:2"], new[] { 0, 1, 2, 3 }.Select(i => World.Image(Pod(world, i))));
    }

    [Fact]
    public async Task On_delete_waits_for_a_person()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest(2, "\"updateStrategy\":{\"type\":\"OnDelete\"},"));
        await RestAsync(world);
        await world.PatchAsync(Kinds.StatefulSet, "s", NewImage);
        await RestAsync(world);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:1", World.Image(p)));
        await DeleteAsync(world, 0);
        await RestAsync(world);
        Assert.Equal(["a:2", "a:1"], new[] { 0, 1 }.Select(i => World.Image(Pod(world, i))));
    }

    [Fact]
    public async Task An_identity_out_of_reach_is_never_made_again_until_its_site_confirmed_or_an_operator_forced_it()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest(3, Parallel));
        await RestAsync(world);
        KubeObject held = Pod(world, 1);
        string node = held.View(ApiJson.Default.Pod).Spec.NodeName!;
        await world.NodeAsync(node, "Unknown");
        await RestAsync(world);
        Assert.Equal(held.Uid, Pod(world, 1).Uid);
        Assert.True((Status(world).ReadyReplicas ?? 0) < 3);
        Assert.Contains(Status(world).Conditions!, c => c.Type == "Unreachable");

        // Deleted while out of reach: the object is the fence, and stays until the site says that the pod stopped.
        await DeleteAsync(world, 1);
        await world.SettleAsync(TimeSpan.FromHours(2));
        Assert.Equal((held.Uid, true), (Pod(world, 1).Uid, Pod(world, 1).IsDeleting));
        await world.NodeAsync(node);
        await RestAsync(world);
        KubeObject second = Pod(world, 1);
        Assert.NotEqual(held.Uid, second.Uid);

        await world.NodeAsync(second.View(ApiJson.Default.Pod).Spec.NodeName!, "Unknown");
        await DeleteAsync(world, 1, grace: 0);
        await RestAsync(world);
        Assert.NotEqual(second.Uid, Pod(world, 1).Uid);
    }

    [Fact]
    public async Task An_update_does_not_delete_a_pod_out_of_reach_but_waits_for_it()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest(3, Parallel));
        await RestAsync(world);
        string node = Pod(world, 2).View(ApiJson.Default.Pod).Spec.NodeName!;
        await world.NodeAsync(node, "Unknown");
        await world.PatchAsync(Kinds.StatefulSet, "s", NewImage);
        await RestAsync(world);
        Assert.False(Pod(world, 2).IsDeleting);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:1", World.Image(p)));
        await world.NodeAsync(node);
        await RestAsync(world);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:2", World.Image(p)));
    }

    [Fact]
    public async Task A_failed_pod_is_made_again_under_its_name_and_a_lost_label_is_given_back()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest(2));
        await RestAsync(world);
        string before = Pod(world, 0).Uid;
        await world.PhaseAsync(Pod(world, 0), "Failed");
        await world.PatchAsync(Kinds.Pod, "s-1", """{"metadata":{"labels":{"statefulset.kubernetes.io/pod-name":null}}}""");
        await RestAsync(world);
        Assert.NotEqual(before, Pod(world, 0).Uid);
        Assert.Equal("s-1", Pod(world, 1).Metadata.Label("statefulset.kubernetes.io/pod-name"));
    }

    [Fact]
    public async Task A_pod_must_stay_ready_before_the_next_comes_and_history_is_bounded()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.StatefulSet, Manifest(2, "\"minReadySeconds\":60,\"revisionHistoryLimit\":1,"));
        await RestAsync(world);
        Assert.Equal(["s-0"], Names(world));
        await world.SettleAsync(TimeSpan.FromSeconds(70));
        Assert.Equal(["s-0", "s-1"], Names(world));
        for (int i = 2; i < 6; i++)
        {
            await world.PatchAsync(Kinds.StatefulSet, "s", NewImage.Replace("a:2", $"a:{i}", StringComparison.Ordinal));
            await world.SettleAsync(TimeSpan.FromSeconds(200));
        }
        Assert.All(world.ActivePods(), p => Assert.Equal("a:5", World.Image(p)));
        Assert.Equal([4, 5], world.Api.All(Kinds.ControllerRevision).Select(RevisionHistory.Number).Order());
    }

    [Fact]
    public async Task Only_pods_with_a_name_of_the_set_are_adopted()
    {
        using var world = new World();
        foreach (string name in (string[])["s-0", "s-00", "s-x", "other-1"])
            await world.CreateAsync(Kinds.Pod, $$$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{{{name}}}}}","labels":{"app":"s"}},"spec":{"containers":[{"name":"c","image":"a:1"}]}}""");
        await world.CreateAsync(Kinds.StatefulSet, Manifest(1));
        await RestAsync(world);
        Assert.Equal(["s-0"], world.Api.All(Kinds.Pod).Where(p => p.Metadata.Controller() is not null).Select(p => p.Name));
        Assert.Equal("s-0", Pod(world, 0).Metadata.Label("statefulset.kubernetes.io/pod-name"));
    }
}
