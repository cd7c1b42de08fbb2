using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Deployments;
using Atoll.Orchestration.Pods;

namespace Atoll.UnitTests.Orchestration;

public sealed class DeploymentTests
{
    private static string Manifest(int replicas, string image = "a:1", string more = "") => $$$$$"""
        {"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","annotations":{"kubernetes.io/change-cause":"{{{{{image}}}}}"}},
         "spec":{"replicas":{{{{{replicas}}}}},"selector":{"matchLabels":{"app":"web"}},{{{{{more}}}}}
          "template":{"metadata":{"labels":{"app":"web"}},"spec":{"containers":[{"name":"c","image":"{{{{{image}}}}}","somethingNew":{"x":1}}]}}}}
        """;

    private static string Template(string image) => $$$$$"""{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"{{{{{image}}}}}"}]}}}}""";

    private static Deployment View(World world) => world.Api.Find(Kinds.Deployment, "default/web")!.View(ApiJson.Default.Deployment);

    [Fact]
    public async Task First_rollout_makes_pods_and_reports_completion()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Deployment, Manifest(3));
        await world.SettleAsync();

        Assert.Equal(3, world.ActivePods().Count);
        KubeObject set = Assert.Single(world.Api.All(Kinds.ReplicaSet));
        Assert.Equal("1", set.Metadata.Annotation("deployment.kubernetes.io/revision"));
        Assert.Equal("a:1", set.Metadata.Annotation("kubernetes.io/change-cause"));
        Assert.Equal("web-" + set.Metadata.Label("pod-template-hash"), set.Name);
        Assert.Contains("somethingNew", world.ActivePods()[0].ToNode().ToJsonString(), StringComparison.Ordinal);
        Deployment view = View(world);
        Assert.Equal("1", view.Metadata.Annotation("deployment.kubernetes.io/revision"));
        Assert.Equal((3, 3, 3, 3), (view.Status!.Replicas, view.Status.UpdatedReplicas, view.Status.ReadyReplicas, view.Status.AvailableReplicas));
        Assert.Equal(view.Metadata.Generation, view.Status.ObservedGeneration);
        Assert.Null(view.Status.UnavailableReplicas);
        Assert.Equal("NewReplicaSetAvailable", Conditions.Get(view.Status.Conditions, "Progressing")!.Reason);
        Assert.True(Conditions.IsTrue(view.Status.Conditions, "Available"));
    }

    [Fact]
    public async Task Rolling_update_keeps_history_and_undo_brings_the_old_set_back()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Deployment, Manifest(4));
        await world.SettleAsync();
        await world.PatchAsync(Kinds.Deployment, "web", Template("a:2"));
        await world.SettleAsync();
        Assert.All(world.ActivePods(), p => Assert.Equal("a:2", World.Image(p)));
        Assert.Equal(4, world.ActivePods().Count);
        Assert.Equal("2", View(world).Metadata.Annotation("deployment.kubernetes.io/revision"));

        // What kubectl rollout undo does: the template of the old set.
        await world.PatchAsync(Kinds.Deployment, "web", """{"spec":{"template":{"spec":{"containers":[{"name":"c","image":"a:1","somethingNew":{"x":1}}]}}}}""");
        await world.SettleAsync();
        Assert.Equal(2, world.Api.All(Kinds.ReplicaSet).Count);
        KubeObject set = world.Api.All(Kinds.ReplicaSet).Single(s => s.View(ApiJson.Default.ReplicaSet).Spec.Replicas == 4);
        Assert.Equal("3", set.Metadata.Annotation("deployment.kubernetes.io/revision"));
        Assert.Equal("1", set.Metadata.Annotation("deployment.kubernetes.io/revision-history"));
        Assert.All(world.ActivePods(), p => Assert.Equal("a:1", World.Image(p)));
    }

    [Fact]
    public async Task Revision_history_limit_removes_the_oldest()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Deployment, Manifest(1, "a:1", "\"revisionHistoryLimit\":2,"));
        await world.SettleAsync();
        for (int i = 2; i <= 6; i++)
        {
            await world.PatchAsync(Kinds.Deployment, "web", Template($"a:{i}"));
            await world.SettleAsync();
        }
        Assert.Equal(["4", "5", "6"], world.Api.All(Kinds.ReplicaSet).Select(s => s.Metadata.Annotation("deployment.kubernetes.io/revision")).Order());
    }

    [Fact]
    public async Task Paused_scales_but_does_not_roll()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Deployment, Manifest(2));
        await world.SettleAsync();
        await world.PatchAsync(Kinds.Deployment, "web", """{"spec":{"paused":true,"replicas":5}}""");
        await world.PatchAsync(Kinds.Deployment, "web", Template("a:2"));
        await world.SettleAsync();
        Assert.Equal(5, world.ActivePods().Count);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:1", World.Image(p)));
        Assert.Equal("DeploymentPaused", Conditions.Get(View(world).Status!.Conditions, "Progressing")!.Reason);

        await world.PatchAsync(Kinds.Deployment, "web", """{"spec":{"paused":null}}""");
        await world.SettleAsync();
        Assert.All(world.ActivePods(), p => Assert.Equal("a:2", World.Image(p)));
        Assert.Equal("NewReplicaSetAvailable", Conditions.Get(View(world).Status!.Conditions, "Progressing")!.Reason);
    }

    [Fact]
    public async Task Recreate_waits_until_every_old_pod_is_gone()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Deployment, Manifest(2, "a:1", """ "strategy":{"type":"Recreate"}, """));
        await world.SettleAsync();
        world.Silent.UnionWith(world.Nodes); // Nobody stops the old pods.
        await world.PatchAsync(Kinds.Deployment, "web", Template("a:2"));
        await world.SettleAsync();
        Assert.Empty(world.ActivePods());
        Assert.Equal(2, world.Api.All(Kinds.Pod).Count);
        world.Silent.Clear();
        await world.SettleAsync();
        Assert.Equal(["a:2", "a:2"], world.ActivePods().Select(World.Image));
        Assert.Equal(2, world.Api.All(Kinds.Pod).Count);
    }

    [Fact]
    public async Task A_rollout_that_does_not_progress_says_so_after_its_deadline()
    {
        using var world = new World { Healthy = false };
        await world.CreateAsync(Kinds.Deployment, Manifest(1, "a:1", "\"progressDeadlineSeconds\":10,"));
        await world.SettleAsync(TimeSpan.FromSeconds(5));
        Assert.NotEqual("ProgressDeadlineExceeded", Conditions.Get(View(world).Status!.Conditions, "Progressing")!.Reason);
        await world.SettleAsync(TimeSpan.FromSeconds(20));
        Condition progressing = Conditions.Get(View(world).Status!.Conditions, "Progressing")!;
        Assert.Equal(("False", "ProgressDeadlineExceeded"), (progressing.Status, progressing.Reason));
        world.Healthy = true;
        await world.SettleAsync();
        Assert.Equal("NewReplicaSetAvailable", Conditions.Get(View(world).Status!.Conditions, "Progressing")!.Reason);
    }

    [Fact]
    public async Task A_taken_name_leads_to_another_hash()
    {
        using var world = new World();
        using var other = new World();
        await other.CreateAsync(Kinds.Deployment, Manifest(1));
        await other.SettleAsync();
        string taken = Assert.Single(other.Api.All(Kinds.ReplicaSet)).Name;
        await world.CreateAsync(Kinds.ReplicaSet, $$$$$"""
            {"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"{{{{{taken}}}}}"},"spec":{"replicas":0,"selector":{"matchLabels":{"app":"x"}},"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[]}}}}
            """);
        await world.CreateAsync(Kinds.Deployment, Manifest(1));
        await world.SettleAsync();
        Assert.Equal(1, View(world).Status!.CollisionCount);
        Assert.Single(world.ActivePods());
        Assert.Equal(2, world.Api.All(Kinds.ReplicaSet).Count);
    }

    [Fact]
    public async Task Pods_out_of_reach_are_kept_and_do_not_stop_a_rollout()
    {
        using var world = new World();
        foreach (string node in world.Nodes)
            await world.NodeAsync(node);
        await world.CreateAsync(Kinds.Deployment, Manifest(6, "a:1", """ "strategy":{"rollingUpdate":{"maxSurge":0,"maxUnavailable":1}}, """));
        await world.SettleAsync();
        string cut = world.ActivePods()[0].View(ApiJson.Default.Pod).Spec.NodeName!;
        List<KubeObject> lost = [.. world.ActivePods().Where(p => p.View(ApiJson.Default.Pod).Spec.NodeName == cut)];
        await world.NodeAsync(cut, "Unknown");
        await world.SettleAsync();

        Assert.Equal(6, world.Api.All(Kinds.Pod).Count); // Nothing evicted, nothing replaced.
        Deployment view = View(world);
        Assert.Equal((6, 6 - lost.Count), (view.Status!.Replicas, view.Status.AvailableReplicas));
        Assert.Contains(view.Status.Conditions!, c => c.Type == "Unreachable");
        Assert.Equal("NewReplicaSetAvailable", Conditions.Get(view.Status.Conditions, "Progressing")!.Reason);

        world.Nodes.Remove(cut);
        await world.PatchAsync(Kinds.Deployment, "web", Template("a:2"));
        await world.SettleAsync();
        Assert.Equal(6, world.ActivePods().Count);
        Assert.All(world.ActivePods(), p => Assert.Equal("a:2", World.Image(p)));
        Assert.All(lost, p => Assert.True(world.Api.Find(Kinds.Pod, p.Key)!.IsDeleting)); // Their end is intent, and waits for the line.

        await world.NodeAsync(cut);
        await world.SettleAsync();
        Assert.Equal(6, world.Api.All(Kinds.Pod).Count);
        Assert.DoesNotContain(View(world).Status!.Conditions!, c => c.Type == "Unreachable");
    }

    [Fact]
    public async Task Orphaned_sets_are_adopted_and_foreign_ones_left()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Deployment, Manifest(2));
        await world.SettleAsync();
        KubeObject set = Assert.Single(world.Api.All(Kinds.ReplicaSet));
        await world.PatchAsync(Kinds.ReplicaSet, set.Name, """{"metadata":{"ownerReferences":null}}""");
        await world.SettleAsync();
        KubeObject again = Assert.Single(world.Api.All(Kinds.ReplicaSet));
        Assert.Equal(set.Uid, again.Uid);
        Assert.Equal(View(world).Metadata.Uid, again.Metadata.Controller()!.Uid);
    }

    [Theory]
    [InlineData(10, "25%", "25%", 3, 2)]
    [InlineData(1, "25%", "25%", 1, 0)]
    [InlineData(4, "0", "0", 0, 1)]
    [InlineData(3, "0%", "10%", 0, 1)]
    [InlineData(2, "100%", "300%", 2, 2)]
    [InlineData(0, "25%", "25%", 0, 0)]
    public void Surge_rounds_up_and_unavailable_rounds_down(int replicas, string surge, string unavailable, int wantedSurge, int wantedUnavailable)
    {
        static string Json(string value) => value.EndsWith('%') ? $"\"{value}\"" : value;
        KubeObject value = Parse(Manifest(replicas, "a:1", $$$$$""" "strategy":{"rollingUpdate":{"maxSurge":{{{{{Json(surge)}}}}},"maxUnavailable":{{{{{Json(unavailable)}}}}}}}, """));
        var view = new DeploymentView(value, value.View(ApiJson.Default.Deployment), [], default);
        Assert.Equal((wantedSurge, wantedUnavailable), (view.MaxSurge, view.MaxUnavailable));
    }

    // Old sizes by age, size wanted, surge, previous maximum -> new sizes. From the documented example: 10 replicas with
    // surge 3 stand at 8 old + 5 new; scaled to 15, the extra 5 go 3 to the larger and 2 to the smaller.
    [Theory]
    [InlineData("8,5", 15, 3, 13, "11,7")]
    [InlineData("10,0", 15, 0, 10, "15,0")]
    [InlineData("5,5", 20, 0, 10, "10,10")]
    [InlineData("5,3,2", 5, 0, 10, "2,2,1")]
    [InlineData("8,4", 0, 3, 13, "0,0")]
    public void Scaling_in_the_middle_is_proportional(string sizes, int replicas, int surge, int max, string wanted)
    {
        KubeObject value = Parse(Manifest(replicas, "a:1", $$$$$""" "strategy":{"rollingUpdate":{"maxSurge":{{{{{surge}}}}},"maxUnavailable":1}}, """));
        List<ReplicaSetState> sets = [.. sizes.Split(',').Select((s, i) => Set($"r{i}", int.Parse(s, null), i, max))];
        Dictionary<ReplicaSetState, int> shared = ProportionalScaling.Share(new DeploymentView(value, value.View(ApiJson.Default.Deployment), sets, default), sets);
        Assert.Equal(wanted, string.Join(',', sets.Select(s => shared.GetValueOrDefault(s))));
    }

    // replicas, surge, unavailable, old (size/available), new (size/available) -> old and new size after one step.
    [Theory]
    [InlineData(10, 2, 3, 10, 10, 0, 0, 10, 2)]
    [InlineData(10, 2, 3, 10, 10, 2, 0, 7, 2)]
    [InlineData(10, 2, 3, 7, 7, 2, 0, 7, 5)]
    [InlineData(10, 0, 2, 10, 8, 0, 0, 8, 0)]
    [InlineData(10, 0, 2, 10, 10, 0, 0, 8, 0)]
    [InlineData(10, 5, 0, 10, 10, 5, 3, 7, 5)]
    [InlineData(10, 5, 0, 10, 10, 5, 0, 10, 5)]
    [InlineData(10, 0, 2, 8, 6, 2, 2, 6, 2)]
    [InlineData(10, 0, 2, 8, 8, 2, 0, 8, 2)]
    public void Rolling_update_arithmetic(int replicas, int surge, int unavailable, int old, int oldAvailable, int fresh, int freshAvailable, int oldWanted, int freshWanted)
    {
        KubeObject value = Parse(Manifest(replicas, "a:2", $$$$$""" "strategy":{"rollingUpdate":{"maxSurge":{{{{{surge}}}}},"maxUnavailable":{{{{{unavailable}}}}}}}, """));
        ReplicaSetState oldSet = Set("old", old, 0, replicas + surge, replicas, oldAvailable), newSet = Set("new", fresh, 1, replicas + surge, replicas, freshAvailable, "a:2");
        DeploymentPlan plan = DeploymentPlanner.Plan(new DeploymentView(value, value.View(ApiJson.Default.Deployment), [oldSet, newSet], default));
        int After(ReplicaSetState set) => plan.Changes.FirstOrDefault(c => c.Set == set)?.Size ?? set.Size;
        Assert.Equal((oldWanted, freshWanted), (After(oldSet), After(newSet)));
    }

    private static ReplicaSetState Set(string name, int size, int age, int max, int? desired = null, int available = 0, string image = "a:1")
    {
        string annotations = desired is null ? "" : $",\"deployment.kubernetes.io/desired-replicas\":\"{desired}\"";
        KubeObject set = Parse($$$$$"""
            {"apiVersion":"apps/v1","kind":"ReplicaSet","metadata":{"name":"{{{{{name}}}}}","uid":"{{{{{name}}}}}","creationTimestamp":"2026-01-01T00:00:{{{{{age:00}}}}}Z",
             "annotations":{"deployment.kubernetes.io/max-replicas":"{{{{{max}}}}}"{{{{{annotations}}}}}}},
             "spec":{"replicas":{{{{{size}}}}},"template":{"metadata":{"labels":{"app":"web","pod-template-hash":"{{{{{name}}}}}"}},"spec":{"containers":[{"name":"c","image":"{{{{{image}}}}}","somethingNew":{"x":1}}]}}},
             "status":{"replicas":{{{{{size}}}}},"availableReplicas":{{{{{available}}}}}}}
            """);
        return new ReplicaSetState(set, set.View(ApiJson.Default.ReplicaSet), size, size, available, 0);
    }

    private static KubeObject Parse(string json) => new(System.Text.Encoding.UTF8.GetBytes(json));
}
