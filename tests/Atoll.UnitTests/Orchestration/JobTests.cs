using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Jobs;
using Atoll.Orchestration.Pods;

namespace Atoll.UnitTests.Orchestration;

public sealed class JobTests
{
    private static string Manifest(string spec) => $$$$$"""
        {"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"work"},"spec":{ {{{{{spec}}}}},
         "template":{"metadata":{"labels":{"app":"work"}},"spec":{"restartPolicy":"Never","containers":[{"name":"c","image":"a:1"}]}}}}
        """;

    private static JobStatus Status(World world) => world.Api.Find(Kinds.Job, "default/work")!.View(ApiJson.Default.Job).Status ?? new JobStatus();

    private static async Task EndAsync(World world, string phase, int most = int.MaxValue)
    {
        foreach (KubeObject pod in world.ActivePods().Where(p => p.View(ApiJson.Default.Pod).Status?.Phase == "Running").Take(most))
            await world.PhaseAsync(pod, phase);
        await world.SettleAsync();
    }

    [Fact]
    public async Task Runs_completions_in_parallel_and_counts_them()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"completions\":5,\"parallelism\":2"));
        await world.SettleAsync();
        Assert.Equal(2, world.ActivePods().Count);
        await EndAsync(world, "Succeeded");
        await EndAsync(world, "Succeeded");
        Assert.Single(world.ActivePods());
        await EndAsync(world, "Succeeded");
        JobStatus status = Status(world);
        Assert.Equal(5, status.Succeeded);
        Assert.True(Conditions.IsTrue(status.Conditions, "Complete"));
        Assert.NotNull(status.CompletionTime);
        Assert.Null(status.UncountedTerminatedPods?.Succeeded);
        Assert.All(world.Api.All(Kinds.Pod), p => Assert.Empty(p.Metadata.Finalizers ?? []));
    }

    [Fact]
    public async Task Counts_stay_right_when_finished_pods_are_deleted_and_the_controller_restarts()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"completions\":6,\"parallelism\":3"));
        for (int round = 0; round < 2; round++)
        {
            await world.SettleAsync();
            foreach (KubeObject pod in world.ActivePods())
                await world.PhaseAsync(pod, "Succeeded");
            foreach (KubeObject pod in world.Api.All(Kinds.Pod))
                await world.Api.DeleteAsync(Kinds.Pod, "default", pod.Name, new Atoll.Api.Resources.DeleteOptions { GracePeriodSeconds = 0 }, default);
            world.Restart();
            await world.StepAsync();
            world.Restart();
            await world.SettleAsync();
        }
        Assert.Equal(6, Status(world).Succeeded);
        Assert.Null(Status(world).Failed);
        Assert.True(Conditions.IsTrue(Status(world).Conditions, "Complete"));
        Assert.Empty(world.Api.All(Kinds.Pod));
    }

    [Fact]
    public async Task Backs_off_and_fails_at_the_limit()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"backoffLimit\":2"));
        await world.SettleAsync();
        await EndAsync(world, "Failed");
        Assert.Empty(world.ActivePods()); // Waits ten seconds.
        await world.SettleAsync(TimeSpan.FromSeconds(12));
        Assert.Single(world.ActivePods());
        await EndAsync(world, "Failed");
        await world.SettleAsync(TimeSpan.FromSeconds(12));
        Assert.Empty(world.ActivePods()); // Twenty now.
        await world.SettleAsync(TimeSpan.FromSeconds(12));
        Assert.Single(world.ActivePods());
        await EndAsync(world, "Failed");
        Condition failed = Conditions.Get(Status(world).Conditions, "Failed")!;
        Assert.Equal(("True", "BackoffLimitExceeded", 3), (failed.Status, failed.Reason, Status(world).Failed!.Value));
    }

    [Fact]
    public async Task A_failure_policy_fails_the_job_at_once_or_lets_a_failure_go_uncounted()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("""
            "backoffLimit":0,"podFailurePolicy":{"rules":[
             {"action":"Ignore","onPodConditions":[{"type":"DisruptionTarget"}]},
             {"action":"FailJob","onExitCodes":{"operator":"In","values":[42]}},
             {"action":"Ignore","onExitCodes":{"containerName":"c","operator":"NotIn","values":[1]}}]}
            """));
        await world.SettleAsync();
        await FailAsync(""" "conditions":[{"type":"DisruptionTarget","status":"True"}] """);
        await FailAsync(Ended(7));
        Assert.Equal((0, (Condition?)null), (Status(world).Failed ?? 0, Status(world).Conditions?.Find(c => c.Type == "Failed")));
        await FailAsync(Ended(42));
        Condition failed = Status(world).Conditions!.Single(c => c.Type == "Failed");
        Assert.Equal("PodFailurePolicy", failed.Reason);
        Assert.Matches("^Container c for pod default/work-[a-z0-9]+ failed with exit code 42 matching FailJob rule at index 1$", failed.Message);

        await world.CreateAsync(Kinds.Job, Manifest("\"backoffLimit\":0,\"podFailurePolicy\":{\"rules\":[{\"action\":\"Ignore\",\"onExitCodes\":{\"operator\":\"NotIn\",\"values\":[1]}}]}").Replace("\"work\"}", "\"other\"}", StringComparison.Ordinal));
        await world.SettleAsync();
        await FailAsync(Ended(1));
        Assert.Equal("BackoffLimitExceeded", world.Api.Find(Kinds.Job, "default/other")!.View(ApiJson.Default.Job).Status!.Conditions!.Single(c => c.Type == "Failed").Reason);

        static string Ended(int code) => $$""" "containerStatuses":[{"name":"c","image":"a:1","state":{"terminated":{"exitCode":{{code}} } } }] """;

        async Task FailAsync(string more)
        {
            KubeObject pod = Assert.Single(world.ActivePods());
            await world.PatchAsync(Kinds.Pod, pod.Name, $$$"""{"status":{"phase":"Failed",{{{more}}} }}""", "status", pod.Namespace);
            await world.SettleAsync(TimeSpan.FromMinutes(12));
        }
    }

    [Fact]
    public async Task Indexed_job_does_each_index_once()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"completions\":4,\"parallelism\":4,\"completionMode\":\"Indexed\""));
        await world.SettleAsync();
        Assert.Equal(["0", "1", "2", "3"], world.ActivePods().Select(p => p.Metadata.Annotation(JobView.IndexKey)).Order());
        Pod first = world.ActivePods().Single(p => p.Metadata.Annotation(JobView.IndexKey) == "2").View(ApiJson.Default.Pod);
        Assert.Equal("2", first.Spec.Containers[0].Env!.Single(e => e.Name == "JOB_COMPLETION_INDEX").Value);
        Assert.StartsWith("work-2-", first.Metadata.Name, StringComparison.Ordinal);
        await world.PhaseAsync(world.ActivePods().Single(p => p.Metadata.Annotation(JobView.IndexKey) == "1"), "Failed");
        await world.SettleAsync(TimeSpan.FromSeconds(15));
        Assert.Equal(4, world.ActivePods().Count);
        await EndAsync(world, "Succeeded");
        Assert.Equal("0-3", Status(world).CompletedIndexes);
        Assert.Equal((4, 1), (Status(world).Succeeded!.Value, Status(world).Failed!.Value));
        Assert.True(Conditions.IsTrue(Status(world).Conditions, "Complete"));
    }

    [Fact]
    public async Task Suspending_stops_pods_without_counting_them()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"backoffLimit\":0"));
        await world.SettleAsync();
        await world.PatchAsync(Kinds.Job, "work", """{"spec":{"suspend":true}}""");
        await world.SettleAsync();
        Assert.Empty(world.Api.All(Kinds.Pod));
        Assert.True(Conditions.IsTrue(Status(world).Conditions, "Suspended"));
        Assert.Null(Status(world).StartTime);
        await world.PatchAsync(Kinds.Job, "work", """{"spec":{"suspend":false}}""");
        await world.SettleAsync();
        await EndAsync(world, "Succeeded");
        Assert.True(Conditions.IsTrue(Status(world).Conditions, "Complete"));
        Assert.Null(Status(world).Failed);
    }

    [Theory]
    [InlineData("\"activeDeadlineSeconds\":9223372036854775807")]
    [InlineData("\"activeDeadlineSeconds\":8640000,\"ttlSecondsAfterFinished\":2147483647")]
    public async Task A_job_that_may_take_for_ever_and_stay_as_long_runs_and_ends(string times)
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest(times));
        await world.SettleAsync();
        await EndAsync(world, "Succeeded");
        Assert.True(Conditions.IsTrue(Status(world).Conditions, "Complete"));
    }

    [Fact]
    public async Task Deadline_fails_the_job_and_stops_its_pods()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"activeDeadlineSeconds\":30"));
        await world.SettleAsync();
        await world.SettleAsync(TimeSpan.FromSeconds(40));
        Assert.Equal("DeadlineExceeded", Conditions.Get(Status(world).Conditions, "Failed")!.Reason);
        Assert.Empty(world.ActivePods());
    }

    [Fact]
    public async Task A_job_is_complete_only_when_its_last_pod_has_ended_and_does_not_change_its_mind_meanwhile()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"completions\":2,\"parallelism\":2,\"backoffLimit\":0"));
        await world.SettleAsync();
        KubeObject last = world.ActivePods()[0];
        string node = last.View(ApiJson.Default.Pod).Spec.NodeName!;
        await world.PhaseAsync(world.ActivePods()[1], "Succeeded");
        await world.SettleAsync();
        // Fewer are enough, and the pod that is not needed any more takes its time.
        world.Silent.Add(node);
        await world.PatchAsync(Kinds.Job, "work", """{"spec":{"completions":1}}""");
        await world.SettleAsync();
        JobStatus status = Status(world);
        Assert.True(Conditions.IsTrue(status.Conditions, "SuccessCriteriaMet"));
        Assert.Equal((false, 1, (DateTimeOffset?)null), (Conditions.IsTrue(status.Conditions, "Complete"), status.Terminating, status.CompletionTime));
        world.Silent.Remove(node);
        await world.SettleAsync();
        status = Status(world);
        Assert.Equal((true, 0, 1), (Conditions.IsTrue(status.Conditions, "Complete"), status.Terminating, status.Failed));
        Assert.NotNull(status.CompletionTime);
        Assert.False(Conditions.IsTrue(status.Conditions, "Failed"));
    }

    [Fact]
    public async Task A_finished_job_goes_after_its_time_with_its_pods()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"ttlSecondsAfterFinished\":20"));
        await world.SettleAsync();
        await EndAsync(world, "Succeeded");
        Assert.Single(world.Api.All(Kinds.Job));
        await world.SettleAsync(TimeSpan.FromSeconds(30));
        Assert.Empty(world.Api.All(Kinds.Job));
        Assert.Empty(world.Api.All(Kinds.Pod));
    }

    [Fact]
    public async Task A_pod_out_of_reach_is_neither_failed_nor_replaced()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"backoffLimit\":0"));
        await world.SettleAsync();
        KubeObject pod = Assert.Single(world.ActivePods());
        string node = pod.View(ApiJson.Default.Pod).Spec.NodeName!;
        await world.NodeAsync(node, "Unknown");
        await world.SettleAsync(TimeSpan.FromMinutes(10));
        Assert.Equal(pod.Uid, Assert.Single(world.Api.All(Kinds.Pod)).Uid);
        Assert.Equal((1, 0), (Status(world).Active!.Value, Status(world).Ready!.Value));
        await world.NodeAsync(node);
        await EndAsync(world, "Succeeded");
        Assert.True(Conditions.IsTrue(Status(world).Conditions, "Complete"));
    }

    [Fact]
    public async Task Deleting_a_job_lets_its_pods_go()
    {
        using var world = new World();
        await world.CreateAsync(Kinds.Job, Manifest("\"completions\":3,\"parallelism\":3"));
        await world.SettleAsync();
        await world.Api.DeleteAsync(Kinds.Job, "default", "work", Atoll.Api.Resources.DeleteOptions.Default, default);
        await world.SettleAsync();
        Assert.Empty(world.Api.All(Kinds.Pod));
    }

    [Theory]
    [InlineData("", "")]
    [InlineData("0", "0")]
    [InlineData("0,1", "0,1")]
    [InlineData("0-2,4", "0-2,4")]
    [InlineData("0-1,3-5,9", "0,1,3-5")]
    public void Indexes_are_written_as_kubernetes_writes_them(string text, string wanted) => Assert.Equal(wanted, IndexSet.Format(IndexSet.Parse(text, 8)));
}
