using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Runtimes;
using Atoll.Edge.Runtimes.Fake;

namespace Atoll.UnitTests.Edge.Instances;

/// <summary>Whole pods over the fake runtime and a real API server.</summary>
public sealed class NodeControlTests
{
    private const string One = """ "containers":[{"name":"c","image":"img:1"}] """;

    [Fact]
    public async Task A_pod_runs_and_is_ready_with_the_status_that_kubectl_expects()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("p", One);
        Pod pod = await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        Assert.Equal("Running", pod.Status!.Phase);
        ContainerStatus status = Assert.Single(pod.Status.ContainerStatuses!);
        Assert.True(status is { Ready: true, Started: true, RestartCount: 0 });
        Assert.StartsWith("fake://", status.ContainerID);
        Assert.Contains("@sha256:", status.ImageID);
        Assert.NotNull(status.State!.Running!.StartedAt);
        Assert.Equal("10.0.0.1", pod.Status.HostIP);
        Assert.StartsWith("10.88.", pod.Status.PodIP);
        Assert.Equal("BestEffort", pod.Status.QosClass);
        foreach (string type in (string[])["PodScheduled", "PodReadyToStartContainers", "Initialized", "ContainersReady", "Ready"])
            Assert.Equal("True", pod.Status.Condition(type)?.Status);
        await NodeWorld.UntilAsync(() => world.EventsAsync("p").Result is { Count: >= 4 } events && events.Exists(e => e.Reason == "Started") && events.Exists(e => e.Reason == "Pulled"), "events");
    }

    [Fact]
    public async Task A_pod_that_only_runs_is_not_written_again_however_often_it_is_looked_at()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("p", One);
        Pod before = await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        // Times are told in seconds: four looks, in at least two different ones.
        await Task.Delay(world.Options.ResyncPeriod * 4);
        Pod after = (await world.Api.GetAsync(Kinds.Pod, "default", "p", default)).Object!.View(ApiJson.Default.Pod);
        Assert.Equal(before.Status!.Conditions!.Select(c => (c.Type, c.LastTransitionTime)), after.Status!.Conditions!.Select(c => (c.Type, c.LastTransitionTime)));
        Assert.Equal(before.Metadata.ResourceVersion, after.Metadata.ResourceVersion);
    }

    [Fact]
    public async Task A_pod_waits_for_its_RuntimeClass_says_so_and_fails_only_where_the_node_has_no_such_runtime()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        // With an overhead, what comes down the link is taken as the parent admitted it.
        await world.PodAsync("p", One + ""","runtimeClassName":"function","overhead":{"cpu":"1m"}""");
        await NodeWorld.UntilAsync(() => world.EventsAsync("p").Result.Exists(e => e.Message?.Contains("RuntimeClass \"function\" not found", StringComparison.Ordinal) == true), "event");
        await world.CreateAsync(Kinds.RuntimeClass, """{"metadata":{"name":"function"},"handler":"runc"}""");
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.CreateAsync(Kinds.RuntimeClass, """{"metadata":{"name":"other"},"handler":"other"}""");
        await world.PodAsync("q", One + ""","runtimeClassName":"other" """);
        await world.UntilAsync("q", p => p.Status is { Phase: "Failed", Reason: "RuntimeHandlerNotSupported" }, "failed");
    }

    [Fact]
    public async Task A_pod_placed_by_a_label_or_class_that_has_just_come_runs_and_by_none_fails()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await NodeWorld.UntilAsync(() => world.Api.GetAsync(Kinds.Node, null, "n1", default).AsTask().Result.Object is not null, "node");
        for (int i = 0; i < 40; i++)
        {
            await world.CreateAsync(Kinds.RuntimeClass, $$"""{"metadata":{"name":"c{{i}}"},"handler":"runc"}""");
            ApiResult patched = await world.Api.PatchAsync(Kinds.Node, null, "n1", PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["labels"] = new JsonObject { [$"l{i}"] = "x" } } }, default);
            Assert.Null(patched.Error);
            await world.PodAsync($"p{i}", $$"""{{One}},"runtimeClassName":"c{{i}}","nodeSelector":{"l{{i}}":"x"}""");
        }
        for (int i = 0; i < 40; i++)
            await world.UntilAsync($"p{i}", p => NodeWorld.IsReady(p) && p.Status!.Phase == "Running", "ready");
        await world.PodAsync("none", One + ""","nodeSelector":{"l":"x"}""");
        await world.UntilAsync("none", p => p.Status is { Phase: "Failed", Reason: "NodeAffinity" }, "failed");
    }

    [Fact]
    public async Task What_is_held_back_is_not_started_says_why_and_starts_when_it_may_and_only_as_the_API_has_it()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        _hold = "no lease";
        world.Hold = pod => pod.Metadata.HasIdentity() ? Volatile.Read(ref _hold) : null;
        await world.StartAsync();
        const string Owner = """ ,"ownerReferences":[{"apiVersion":"apps/v1","kind":"StatefulSet","name":"db","uid":"s","controller":true}] """;
        await world.PodAsync("db-0", One, Owner);
        await world.PodAsync("other", One);
        await world.UntilAsync("other", NodeWorld.IsReady, "ready");
        Pod held = await world.UntilAsync("db-0", p => p.Status?.ContainerStatuses is [{ State.Waiting.Reason: "HeldBack" }], "held back");
        Assert.Equal("no lease", held.Status!.ContainerStatuses![0].State!.Waiting!.Message);
        Assert.Single(await world.Runtime.ListAsync(default));
        Volatile.Write(ref _hold, null);
        await world.UntilAsync("db-0", NodeWorld.IsReady, "ready");
        // What ends meanwhile is not started again.
        Volatile.Write(ref _hold, "lease ended");
        Instance runs = (await world.Runtime.ListAsync(default)).Single(i => i.Labels["io.kubernetes.pod.name"] == "db-0");
        Assert.Equal("true", runs.Labels["edge.atoll.dev/identity"]);
        await world.Runtime.StopAsync(runs.Id, 9, TimeSpan.Zero, default);
        await world.UntilAsync("db-0", p => p.Status?.ContainerStatuses is [{ State.Waiting.Message: "lease ended" }], "held back again");
        Volatile.Write(ref _hold, null);
        await world.UntilAsync("db-0", p => NodeWorld.IsReady(p) && p.Status!.ContainerStatuses![0].RestartCount == 1, "ready again");
    }

    private string? _hold;

    [Theory]
    [InlineData(0, "Succeeded", "Completed")]
    [InlineData(3, "Failed", "Error")]
    public async Task A_pod_that_is_never_restarted_ends_with_its_exit_code(int code, string phase, string reason)
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = _ => new FakeBehaviour { RunsFor = TimeSpan.FromMilliseconds(20), ExitCode = code };
        await world.StartAsync();
        await world.PodAsync("p", One + """ ,"restartPolicy":"Never" """);
        Pod pod = await world.UntilAsync("p", p => p.Status?.Phase == phase, phase);
        ContainerStateTerminated end = pod.Status!.ContainerStatuses![0].State!.Terminated!;
        Assert.Equal((code, reason), (end.ExitCode, end.Reason));
        Assert.Equal("False", pod.Status.Condition("Ready")!.Status);
        await NodeWorld.UntilAsync(() => world.Network.ListAsync(default).Result.Count == 0, "network given back");
    }

    [Fact]
    public async Task Restarts_back_off_and_say_so()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = _ => new FakeBehaviour { RunsFor = TimeSpan.FromMilliseconds(10), ExitCode = 1, OomKilled = true };
        await world.StartAsync();
        await world.PodAsync("p", One);
        Pod pod = await world.UntilAsync("p", p => p.Status?.ContainerStatuses?[0].State?.Waiting?.Reason == "CrashLoopBackOff", "back-off");
        ContainerStatus status = pod.Status!.ContainerStatuses![0];
        Assert.Matches("^back-off \\d+s restarting failed container=c pod=p_default", status.State!.Waiting!.Message);
        Assert.Equal(("OOMKilled", 137), (status.LastState!.Terminated!.Reason, status.LastState.Terminated.ExitCode));
        Assert.Equal("Running", pod.Status.Phase);
        await world.UntilAsync("p", p => p.Status?.ContainerStatuses?[0].RestartCount >= 3, "3 restarts");
    }

    [Fact]
    public async Task Deleting_stops_cleans_and_removes_the_object()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        KubeObject pod = await world.PodAsync("p", One);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.DeleteAsync("p", 5);
        await world.UntilGoneAsync("p");
        Assert.Empty(await world.Runtime.ListAsync(default));
        Assert.Empty(await world.Network.ListAsync(default));
        Assert.Empty(Directory.GetDirectories(Path.Combine(world.Folder, "pods")));
        Assert.Contains(world.Runtime.Journal, l => l.StartsWith("stop " + pod.Uid, StringComparison.Ordinal));
    }

    [Fact]
    public async Task An_agent_that_starts_again_adopts_what_runs()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("p", One);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.StopAsync();
        Pod before = (await world.GetAsync("p"))!.View(ApiJson.Default.Pod);
        string beforeText = System.Text.Encoding.UTF8.GetString((await world.GetAsync("p"))!.Utf8.Span);
        int acts = world.Runtime.Journal.Count;
        await world.StartAsync();
        await Task.Delay(700); // More than a resync: time in which a wrong restart would happen.
        Pod after = (await world.GetAsync("p"))!.View(ApiJson.Default.Pod);
        Assert.Equal(acts, world.Runtime.Journal.Count);
        Assert.Equal(before.Status!.ContainerStatuses![0].ContainerID, after.Status!.ContainerStatuses![0].ContainerID);
        Assert.Equal(beforeText, System.Text.Encoding.UTF8.GetString((await world.GetAsync("p"))!.Utf8.Span));
    }

    [Fact]
    public async Task What_died_while_the_agent_was_away_comes_back_and_what_is_unwanted_is_stopped()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("dies", One);
        await world.PodAsync("leaves", One);
        string id = (await world.UntilAsync("dies", NodeWorld.IsReady, "ready")).Status!.ContainerStatuses![0].ContainerID!["fake://".Length..];
        await world.UntilAsync("leaves", NodeWorld.IsReady, "ready");
        await world.StopAsync();
        world.Runtime.Exit(id, 9);
        await world.DeleteAsync("leaves", 0);
        await world.StartAsync();
        Pod pod = await world.UntilAsync("dies", p => p.Status?.ContainerStatuses?[0].RestartCount == 1 && NodeWorld.IsReady(p), "a restart");
        Assert.Equal(9, pod.Status!.ContainerStatuses![0].LastState!.Terminated!.ExitCode);
        await NodeWorld.UntilAsync(() => world.Runtime.ListAsync(default).Result.Count == 1, "the unwanted instance gone");
    }

    [Fact]
    public async Task Nothing_unknown_is_stopped_before_the_scope_is_known()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("p", One);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.StopAsync();
        await world.DeleteAsync("p", 0);
        bool known = false;
        world.ScopeKnown = () => known;
        await world.StartAsync();
        await Task.Delay(800);
        Assert.Single(await world.Runtime.ListAsync(default));
        known = true;
        await NodeWorld.UntilAsync(() => world.Runtime.ListAsync(default).Result.Count == 0, "stopped once known");
    }

    [Fact]
    public async Task A_site_that_lost_its_store_adopts_what_runs_when_its_pods_come_anew()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("p", One);
        string id = (await world.UntilAsync("p", NodeWorld.IsReady, "ready")).Status!.ContainerStatuses![0].ContainerID!;
        KubeObject pod = (await world.GetAsync("p"))!;
        await world.StopAsync();
        await world.DeleteAsync("p", 0);
        bool known = false;
        world.ScopeKnown = () => known;
        await world.StartAsync();
        int acts = world.Runtime.Journal.Count;
        await world.PodAsync("p", One, $",\"uid\":\"{pod.Uid}\"");
        known = true;
        Pod again = await world.UntilAsync("p", NodeWorld.IsReady, "ready again");
        await Task.Delay(700); // More than a resync: time in which a wrong start would happen.
        Assert.Equal(acts, world.Runtime.Journal.Count);
        Assert.Equal((id, 0), (again.Status!.ContainerStatuses![0].ContainerID, again.Status.ContainerStatuses[0].RestartCount));
    }

    [Fact]
    public async Task A_pod_that_comes_back_while_it_is_stopped_as_one_that_nobody_wants_runs_again()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = _ => new FakeBehaviour { IgnoresSignal = true };
        const string Slow = One + """ ,"terminationGracePeriodSeconds":1 """;
        await world.StartAsync();
        KubeObject pod = await world.PodAsync("p", Slow);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        int Count(string act) => world.Runtime.Journal.Count(l => l.StartsWith($"{act} {pod.Uid}", StringComparison.Ordinal));
        // As when the next leader of a site has an older state, and hears of the pod from the parent a moment later.
        await world.DeleteAsync("p", 0);
        await NodeWorld.UntilAsync(() => Count("stop") == 1, "being stopped");
        await world.PodAsync("p", Slow, $",\"uid\":\"{pod.Uid}\"");
        await NodeWorld.UntilAsync(() => Count("start") == 2, "started again");
        await world.UntilAsync("p", NodeWorld.IsReady, "ready again");
    }

    [Fact]
    public async Task Times_that_nobody_waits_for_are_times_too()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("p", One + """ ,"terminationGracePeriodSeconds":9223372036854775807,"activeDeadlineSeconds":2147483647 """);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.DeleteAsync("p", 0);
        await NodeWorld.UntilAsync(() => !world.Control!.Workers.Any(), "gone from the node");
    }

    [Theory]
    [InlineData("StatefulSet")]
    [InlineData("ReplicaSet")]
    public async Task What_was_deleted_here_does_not_begin_again_and_its_end_is_told_once_more(string kind)
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        string Owner = $$""","ownerReferences":[{"apiVersion":"apps/v1","kind":"{{kind}}","name":"p","uid":"s","controller":true}]""";
        await world.StartAsync();
        KubeObject pod = await world.PodAsync("p", One, Owner);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.DeleteAsync("p", 1);
        await world.UntilGoneAsync("p");
        // As when the next leader of a site has an older state, also after the agent has been started again.
        await world.StopAsync();
        await world.PodAsync("p", One, $"{Owner},\"uid\":\"{pod.Uid}\"");
        await world.StartAsync();
        await world.UntilGoneAsync("p");
        Assert.Single(world.Runtime.Journal, l => l.StartsWith($"start {pod.Uid}", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_ran_to_its_end_here_and_was_forgotten_by_the_site_does_not_run_again_and_is_shown_as_it_ended()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = _ => new FakeBehaviour { RunsFor = TimeSpan.FromMilliseconds(5) };
        const string Once = One + """ ,"restartPolicy":"Never" """;
        await world.StartAsync();
        KubeObject pod = await world.PodAsync("p", Once);
        await world.UntilAsync("p", p => p.Status?.Phase == "Succeeded", "succeeded");
        // As when the next leader of a site has an older state, without the pod, and hears of it from the parent later.
        await world.DeleteAsync("p", 0);
        await NodeWorld.UntilAsync(() => !world.Control!.Workers.Any(), "gone from the node");
        await world.PodAsync("p", Once, $",\"uid\":\"{pod.Uid}\"");
        await world.UntilAsync("p", p => p.Status?.Phase == "Succeeded", "succeeded still");
        Assert.Single(world.Runtime.Journal, l => l.StartsWith($"start {pod.Uid}", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_pod_that_is_wanted_again_when_an_agent_starts_that_died_while_it_stopped_it_runs_again()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = _ => new FakeBehaviour { IgnoresSignal = true };
        await world.StartAsync();
        KubeObject pod = await world.PodAsync("p", One);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        int Count(string act) => world.Runtime.Journal.Count(l => l.StartsWith($"{act} {pod.Uid}", StringComparison.Ordinal));
        await world.DeleteAsync("p", 0);
        await NodeWorld.UntilAsync(() => Count("stop") == 1, "being stopped");
        await world.StopAsync();
        await world.PodAsync("p", One + """ ,"terminationGracePeriodSeconds":1 """, $",\"uid\":\"{pod.Uid}\"");
        await world.StartAsync();
        await NodeWorld.UntilAsync(() => Count("start") == 2, "started again");
        await world.UntilAsync("p", NodeWorld.IsReady, "ready again");
    }

    [Fact]
    public async Task After_a_reboot_init_containers_run_again_and_counts_go_on()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = spec => spec.Labels["io.kubernetes.container.name"] == "i" ? new FakeBehaviour { RunsFor = TimeSpan.FromMilliseconds(5) } : new FakeBehaviour();
        await world.StartAsync();
        await world.PodAsync("p", One + """ ,"initContainers":[{"name":"i","image":"img:1"}] """);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.StopAsync();
        world.Runtime.Reboot();
        await world.StartAsync();
        Pod pod = await world.UntilAsync("p", p => NodeWorld.IsReady(p) && p.Status!.ContainerStatuses![0].RestartCount == 1, "ready again");
        Assert.Equal(1, pod.Status!.InitContainerStatuses![0].RestartCount);
    }

    [Fact]
    public async Task A_new_pod_of_the_same_name_starts_after_the_old_one_has_stopped()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = _ => new FakeBehaviour { IgnoresSignal = true };
        await world.StartAsync();
        KubeObject first = await world.PodAsync("p", One + """ ,"terminationGracePeriodSeconds":1 """);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        await world.DeleteAsync("p", 0);
        KubeObject second = await world.PodAsync("p", One);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        List<string> journal = [.. world.Runtime.Journal];
        int ended = journal.FindIndex(l => l.StartsWith("exit " + first.Uid, StringComparison.Ordinal));
        int began = journal.FindIndex(l => l.StartsWith("start " + second.Uid, StringComparison.Ordinal));
        Assert.True(ended >= 0 && ended < began, string.Join('\n', journal));
    }

    [Fact]
    public async Task A_missing_config_map_holds_the_container_until_it_appears()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("p", """ "containers":[{"name":"c","image":"img:1","env":[{"name":"A","valueFrom":{"configMapKeyRef":{"name":"cm","key":"k"}}},{"name":"B","value":"<$(A)> $$(A) $(X)"}]}] """);
        Pod pod = await world.UntilAsync("p", p => p.Status?.ContainerStatuses?[0].State?.Waiting?.Reason == "CreateContainerConfigError", "the reason");
        Assert.Equal("configmap \"cm\" not found", pod.Status!.ContainerStatuses![0].State!.Waiting!.Message);
        Assert.Equal("Pending", pod.Status.Phase);
        await world.CreateAsync(Kinds.ConfigMap, """{"metadata":{"name":"cm"},"data":{"k":"v1"}}""");
        pod = await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        var spec = world.Runtime.Spec(pod.Status!.ContainerStatuses![0].ContainerID!["fake://".Length..])!;
        Assert.Contains(new("A", "v1"), spec.Environment);
        Assert.Contains(new("B", "<v1> $(A) $(X)"), spec.Environment);
        Assert.Contains(new("FROM_IMAGE", "1"), spec.Environment);
    }

    [Fact]
    public async Task A_volume_follows_its_source_whatever_becomes_of_another_and_is_tried_again_when_it_could_not()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.CreateAsync(Kinds.ConfigMap, """{"metadata":{"name":"one"},"data":{"k":"1"}}""");
        await world.CreateAsync(Kinds.ConfigMap, """{"metadata":{"name":"two"},"data":{"k":"1"}}""");
        await world.PodAsync("p", One + """ ,"volumes":[{"name":"one","configMap":{"name":"one"}},{"name":"two","configMap":{"name":"two"}}] """);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        string volumes = Path.Join(Assert.Single(Directory.GetDirectories(Path.Join(world.Folder, "pods"))), "volumes");
        Assert.True((await world.Api.DeleteAsync(Kinds.ConfigMap, "default", "one", DeleteOptions.Default, CancellationToken.None)).Ok);
        await ChangeAsync("2");
        await NodeWorld.UntilAsync(() => File.ReadAllText(Path.Join(volumes, "two", "k")) == "2", "the change of the second volume");
        Assert.Equal("1", File.ReadAllText(Path.Join(volumes, "one", "k")));

        await world.CreateAsync(Kinds.ConfigMap, """{"metadata":{"name":"one"},"data":{"k":"1"}}""");
        // Something is in the way of the next change; when it is gone nobody tells.
        string obstacle = Directory.CreateDirectory(Path.Join(volumes, "two", "..data_tmp")).FullName;
        await ChangeAsync("3");
        await NodeWorld.UntilAsync(() => world.EventsAsync("p").Result.Exists(e => e.Reason == "FailedMount" && e.Message!.Contains("\"two\"", StringComparison.Ordinal)), "a word about it");
        Assert.Equal("2", File.ReadAllText(Path.Join(volumes, "two", "k")));
        Directory.Delete(obstacle);
        await NodeWorld.UntilAsync(() => File.ReadAllText(Path.Join(volumes, "two", "k")) == "3", "the change that had failed");

        async Task ChangeAsync(string value) =>
            Assert.True((await world.Api.PatchAsync(Kinds.ConfigMap, "default", "two", PatchType.Merge, new JsonObject { ["data"] = new JsonObject { ["k"] = value } }, CancellationToken.None)).Ok);
    }

    [Fact]
    public async Task Liveness_failures_restart_and_readiness_failures_only_unready()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        bool live = true, ready = true;
        world.Runtime.Behave = _ => new FakeBehaviour { Exec = r => (r.Command[0] == "live" ? live : ready) ? (0, "") : (1, "no") };
        await world.StartAsync();
        await world.PodAsync("p", """
            "terminationGracePeriodSeconds":1,"containers":[{"name":"c","image":"img:1",
            "livenessProbe":{"exec":{"command":["live"]},"periodSeconds":1,"failureThreshold":1},
            "readinessProbe":{"exec":{"command":["ready"]},"periodSeconds":1,"failureThreshold":1}}]
            """);
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
        ready = false;
        Pod pod = await world.UntilAsync("p", p => !NodeWorld.IsReady(p), "unready");
        Assert.Equal(0, pod.Status!.ContainerStatuses![0].RestartCount);
        Assert.Equal("containers with unready status: [c]", pod.Status.Condition("Ready")!.Message);
        (ready, live) = (true, false);
        await world.UntilAsync("p", p => p.Status!.ContainerStatuses![0].RestartCount >= 1, "a restart");
        await NodeWorld.UntilAsync(() => world.EventsAsync("p").Result.Exists(e => e.Message == "Container c failed liveness probe, will be restarted"), "the event");
        Assert.Contains(await world.EventsAsync("p"), e => e.Message == "Readiness probe failed: no");
    }

    [Fact]
    public async Task Image_pull_failures_are_shown_and_end()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        bool broken = true;
        world.Images.Pull = (reference, _) => broken ? new(null, "ErrImagePull", "no such thing") : null;
        await world.StartAsync();
        await world.PodAsync("p", One);
        await world.UntilAsync("p", p => p.Status?.ContainerStatuses?[0].State?.Waiting?.Reason == "ErrImagePull", "ErrImagePull");
        Pod pod = await world.UntilAsync("p", p => p.Status?.ContainerStatuses?[0].State?.Waiting?.Reason == "ImagePullBackOff", "ImagePullBackOff");
        Assert.StartsWith("Back-off pulling image \"img:1\"", pod.Status!.ContainerStatuses![0].State!.Waiting!.Message);
        broken = false;
        await world.UntilAsync("p", NodeWorld.IsReady, "ready");
    }

    [Fact]
    public async Task The_node_refuses_what_does_not_fit()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        await world.StartAsync();
        await world.PodAsync("big", """ "containers":[{"name":"c","image":"img:1","resources":{"requests":{"cpu":"5"}}}] """);
        Pod pod = await world.UntilAsync("big", p => p.Status?.Phase == "Failed", "refused");
        Assert.Equal("OutOfcpu", pod.Status!.Reason);
        Assert.Equal("Node didn't have enough resource: cpu, requested: 5000, used: 0, capacity: 4000", pod.Status.Message);
        await world.DeleteAsync("big");
        await world.UntilGoneAsync("big");
    }

    [Fact]
    public async Task The_node_object_is_registered_once_and_heartbeats_make_no_revisions()
    {
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Node = world.Node with { Site = "s1", Region = "r1" };
        await world.StartAsync();
        await NodeWorld.UntilAsync(() => world.Api.GetAsync(Kinds.Node, null, "n1", default).AsTask().Result.Object?.View(ApiJson.Default.Node).Status?.NodeInfo is not null, "node status");
        KubeObject before = (await world.Api.GetAsync(Kinds.Node, null, "n1", default)).Object!;
        await Task.Delay(700);
        KubeObject after = (await world.Api.GetAsync(Kinds.Node, null, "n1", default)).Object!;
        Assert.Equal(before.ResourceVersion, after.ResourceVersion);
        Node node = after.View(ApiJson.Default.Node);
        Assert.Equal("s1", node.Metadata.Label("topology.kubernetes.io/zone"));
        Assert.Equal(("4", "110"), (node.Status!.Capacity!["cpu"], node.Status.Capacity["pods"]));
        Assert.Equal("True", node.Status.Conditions!.Find(c => c.Type == "Ready")!.Status);
    }
}
