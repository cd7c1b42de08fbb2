using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Plans over the real API: computed, approved, carried out one step after another, taken back when reality moves.</summary>
public sealed class DefragmentationTests : IAsyncLifetime
{
    private const string Fields = """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"DefragmentationPlan","metadata":{"name":"p"},"spec":{"flavours":[{"name":"4c8g"}]""";

    private FragmentWorld _world = null!;

    public async ValueTask InitializeAsync() => _world = await FragmentWorld.StartAsync();

    public ValueTask DisposeAsync() => _world.DisposeAsync();

    [Fact]
    public async Task A_plan_waits_for_a_person_then_moves_pods_without_a_gap_and_reports()
    {
        await FragmentsAsync();
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + "}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "WaitingForApproval");
        DefragmentationPlanStatus computed = _world.Plan("p")!;
        Assert.Equal([("a", "b"), ("a", "b")], computed.Moves!.Select(m => (m.From, m.To)));
        Assert.Equal((2L, 3L), (computed.Effects![0].Before, computed.Effects[0].Promised));
        Assert.Equal(["a"], _world.Places("one"));
        int least = int.MaxValue;
        using (var watching = new CancellationTokenSource())
        {
            // At no time is there less than one ready pod of the app.
            Task watch = WatchAsync(watching.Token);
            await _world.PatchAsync(Kinds.DefragmentationPlan, "p", """{"spec":{"approved":true}}""");
            await _world.UntilAsync(() => _world.Plan("p")?.Phase is "Completed" or "Failed");
            await watching.CancelAsync();
            await watch;
        }
        DefragmentationPlanStatus done = _world.Plan("p")!;
        Assert.Equal(("Completed", 2, 2, (long?)3), (done.Phase, done.MovesDone, done.MovesTotal, done.Effects![0].Reached));
        Assert.Equal("2 moves done; 4c8g: +1 promised, +1 reached", done.Message);
        Assert.All(done.Conditions!, c => Assert.Equal("True", c.Status));
        Assert.Equal(["b"], _world.Places("one"));
        Assert.Equal(["b"], _world.Places("two"));
        Assert.Equal(1, least);
        // The plan may go, and nothing is left of it but the pods.
        Assert.Null((await _world.Api.DeleteAsync(Kinds.DefragmentationPlan, null, "p", DeleteOptions.Default, default)).Error);
        await _world.UntilAsync(() => !_world.All(Kinds.DefragmentationPlan).Any());

        async Task WatchAsync(CancellationToken cancellation)
        {
            try
            {
                var ready = (await _world.Api.ListAsync(Kinds.Pod, "default", ListOptions.Default, default)).Items.Where(p => p.Metadata.Label("app") == "one" && FragmentWorld.IsReady(p) && !p.IsDeleting).Select(p => p.Uid).ToHashSet();
                await foreach (WatchEvent change in _world.Api.WatchAsync(Kinds.Pod, "default", new WatchOptions { ResourceVersion = "0" }, cancellation))
                {
                    if (change.Object?.Metadata.Label("app") != "one")
                        continue;
                    if (change.Type != WatchEventType.Deleted && !change.Object.IsDeleting && FragmentWorld.IsReady(change.Object))
                        ready.Add(change.Object.Uid);
                    else
                        ready.Remove(change.Object.Uid);
                    least = Math.Min(least, ready.Count);
                }
            }
            catch (OperationCanceledException)
            {
                // Watched for as long as it lasted.
            }
        }
    }

    [Fact]
    public async Task A_policy_approves_small_plans_and_not_greater_ones()
    {
        await FragmentsAsync();
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"autoApproveMoves\":1}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "WaitingForApproval");
        await _world.PatchAsync(Kinds.DefragmentationPlan, "p", """{"spec":{"autoApproveMoves":2}}""");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "Completed");
        Assert.Equal("Policy", _world.Plan("p")!.Conditions!.Find(c => c.Type == "Approved")!.Reason);
    }

    [Fact]
    public async Task A_restart_in_the_middle_of_a_step_goes_on_from_the_status()
    {
        await FragmentsAsync();
        _world.Held = pod => pod.Metadata.Annotation(DefragmentationPlan.Replaces) is not null; // Replacements do not start.
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"approved\":true}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Moves?.Exists(m => m.State == "Starting") == true);
        string first = _world.Plan("p")!.Moves![0].Replacement!;
        await _world.StopHostAsync();
        _world.StartHost();
        await _world.ReleaseAsync();
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "Completed");
        Assert.Equal((first, 1), (_world.Plan("p")!.Moves![0].Replacement, _world.Plan("p")!.Revision));
        Assert.Equal(["b"], _world.Places("one"));
        Assert.Equal(["b"], _world.Places("two"));
    }

    [Fact]
    public async Task When_the_target_fails_the_step_is_taken_back_and_the_rest_planned_anew()
    {
        await FragmentsAsync();
        await _world.NodeAsync("c", 6); // The same fragment once more: where the moves can go when b is lost.
        _world.Held = pod => pod.Metadata.Annotation(DefragmentationPlan.Replaces) is not null;
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"approved\":true}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Moves?.Exists(m => m.State == "Starting") == true);
        DefragmentationMove step = _world.Plan("p")!.Moves![0];
        await _world.PatchAsync(Kinds.Node, step.To, """{"status":{"conditions":[{"type":"Ready","status":"False"}]}}""", "status");
        await _world.UntilAsync(() => _world.Plan("p")?.Moves?.Exists(m => m.State == "TakenBack") == true);
        await _world.ReleaseAsync();
        await _world.UntilAsync(() => _world.Plan("p")?.Phase is "Completed");
        DefragmentationPlanStatus done = _world.Plan("p")!;
        Assert.Contains($"node {step.To} is not ready", done.Moves!.Find(m => m.State == "TakenBack")!.Message, StringComparison.Ordinal);
        Assert.Equal(2, done.Revision);
        Assert.DoesNotContain(_world.All(Kinds.Pod), p => p.Name == step.Replacement && !p.IsDeleting);
        Assert.Single(_world.Places("one"));
        Assert.Single(_world.Places("two"));
    }

    [Fact]
    public async Task A_pod_that_vanished_stops_a_plan_that_is_told_to_stop()
    {
        await FragmentsAsync();
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"onChange\":\"Stop\"}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "WaitingForApproval");
        KubeObject pod = _world.All(Kinds.Pod).First(p => p.Uid == _world.Plan("p")!.Moves![0].Uid);
        Assert.Null((await _world.Api.DeleteAsync(Kinds.Pod, "default", pod.Name, DeleteOptions.Default, default)).Error);
        await _world.UntilAsync(() => !_world.All(Kinds.Pod).Any(p => p.Uid == pod.Uid));
        await _world.PatchAsync(Kinds.DefragmentationPlan, "p", """{"spec":{"approved":true}}""");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "Failed");
        Assert.StartsWith("step 1 was not possible: the pod is gone", _world.Plan("p")!.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_disruption_budget_that_allows_none_is_kept()
    {
        await FragmentsAsync();
        await _world.MakeAsync(Kinds.PodDisruptionBudget, """{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"one"},"spec":{"minAvailable":2,"selector":{"matchLabels":{"app":"one"}}}}""");
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"approved\":true,\"limits\":{\"stepTimeoutSeconds\":10}}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "Completed");
        DefragmentationMove back = Assert.Single(_world.Plan("p")!.Moves!, m => m.State == "TakenBack");
        Assert.Contains("disruption budget", back.Message, StringComparison.Ordinal);
        await _world.UntilAsync(() => _world.Places("one") is ["a"]);
    }

    [Fact]
    public async Task A_plan_that_is_deleted_takes_its_step_back()
    {
        await FragmentsAsync();
        _world.Held = pod => pod.Metadata.Annotation(DefragmentationPlan.Replaces) is not null && !pod.IsDeleting;
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"approved\":true}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Moves?.Exists(m => m.State == "Starting") == true);
        Assert.Null((await _world.Api.DeleteAsync(Kinds.DefragmentationPlan, null, "p", DeleteOptions.Default, default)).Error);
        await _world.UntilAsync(() => !_world.All(Kinds.DefragmentationPlan).Any() && _world.Places("one") is ["a"] && _world.Places("two") is ["a"]);
    }

    [Fact]
    public async Task A_flavour_that_is_not_there_is_named_and_waited_for()
    {
        await FragmentsAsync();
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields.Replace("4c8g", "big", StringComparison.Ordinal) + "}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Message == "there is no Flavour big, and it is no size such as 4c8g");
        await _world.MakeAsync(Kinds.Flavour, """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Flavour","metadata":{"name":"big"},"spec":{"resources":{"cpu":"4"}}}""");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "WaitingForApproval");
        Assert.Equal(3, _world.Plan("p")!.Effects![0].Promised);
    }

    [Fact]
    public async Task A_StatefulSets_pod_goes_first_and_is_made_anew_in_room_that_is_kept()
    {
        await _world.NodeAsync("a", 4);
        await _world.OwnedAsync(Kinds.StatefulSet, "db", "a", 1, Set);
        await _world.AppAsync("one", "a", 1);
        await _world.NodeAsync("b", 6);
        string first = Assert.Single(_world.All(Kinds.Pod), p => p.Name == "db-0").Uid;
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + "}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "WaitingForApproval");
        Assert.Equal("2 moves (1 with a restart of the pod) wait for approval", _world.Plan("p")!.Message);
        // While its end takes long, the room is kept and nothing else has its name.
        _world.Held = pod => pod.Uid == first && pod.IsDeleting;
        await _world.PatchAsync(Kinds.DefragmentationPlan, "p", """{"spec":{"approved":true}}""");
        await _world.UntilAsync(() => _world.All(Kinds.Pod).Any(p => p.Uid == first && p.IsDeleting));
        Reservation kept = Assert.Single(_world.All(Kinds.Reservation)).View(ApiJson.Default.Reservation);
        Assert.Equal(("b", "1"), (kept.Status!.NodeName, kept.Spec.Resources!["cpu"]));
        await _world.ReleaseAsync();
        await _world.UntilAsync(() => _world.Plan("p")?.Phase is "Completed" or "Failed");
        DefragmentationPlanStatus done = _world.Plan("p")!;
        Assert.Equal([null, null], done.Moves!.Select(m => m.Message));
        Assert.Equal(("Completed", 2, 1, (long?)2), (done.Phase, done.MovesDone, done.Revision, done.Effects![0].Reached));
        KubeObject anew = Assert.Single(_world.All(Kinds.Pod), p => p.Name == "db-0");
        Assert.NotEqual(first, anew.Uid);
        Assert.Equal(("b", "db-0"), (anew.View(ApiJson.Default.Pod).Spec.NodeName, done.Moves!.Find(m => m.Restarts == true)!.Replacement));
        await _world.UntilAsync(() => !_world.All(Kinds.Reservation).Any());
    }

    [Fact]
    public async Task An_owner_that_wants_no_successor_any_more_ends_the_step_at_once()
    {
        await _world.NodeAsync("a", 4);
        await _world.OwnedAsync(Kinds.StatefulSet, "db", "a", 1, Set);
        await _world.OwnedAsync(Kinds.Job, "work", "a", 1, "\"completions\":1", """{"edge.atoll.dev/may-restart":"true"}""");
        await _world.NodeAsync("b", 6);
        // Scaled down while the evicted pod ends: nothing comes into the room that is kept. A step may take ten minutes.
        _world.Held = static pod => pod.IsDeleting;
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"approved\":true}}");
        for (int step = 0; step < 2; step++)
        {
            await _world.UntilAsync(() => _world.All(Kinds.Pod).Any(p => p.IsDeleting));
            KubeObject ending = _world.All(Kinds.Pod).Single(p => p.IsDeleting);
            bool job = ending.Metadata.Label("app") == "work";
            await _world.PatchAsync(job ? Kinds.Job : Kinds.StatefulSet, job ? "work" : "db", job ? """{"spec":{"parallelism":0}}""" : """{"spec":{"replicas":0}}""");
            await _world.ReleaseAsync();
            await _world.UntilAsync(() => _world.All(Kinds.Pod).All(p => p.Uid != ending.Uid));
            _world.Held = static pod => pod.IsDeleting;
        }
        await _world.UntilAsync(() => _world.Plan("p")?.Phase is "Completed" or "Failed");
        DefragmentationPlanStatus done = _world.Plan("p")!;
        Assert.Equal(["its owner wants it no more", "its owner wants it no more"], done.Moves!.Select(m => m.Message));
        Assert.Equal(("Completed", (long?)2), (done.Phase, done.Effects![0].Reached));
        await _world.UntilAsync(() => !_world.All(Kinds.Reservation).Any());
    }

    [Fact]
    public async Task A_StatefulSets_pod_that_may_not_be_evicted_stays_and_its_room_is_given_back()
    {
        await _world.NodeAsync("a", 4);
        await _world.OwnedAsync(Kinds.StatefulSet, "db", "a", 1, Set);
        await _world.NodeAsync("b", 6);
        string first = Assert.Single(_world.All(Kinds.Pod)).Uid;
        await _world.MakeAsync(Kinds.PodDisruptionBudget, """{"apiVersion":"policy/v1","kind":"PodDisruptionBudget","metadata":{"name":"db"},"spec":{"minAvailable":1,"selector":{"matchLabels":{"app":"db"}}}}""");
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"approved\":true,\"limits\":{\"stepTimeoutSeconds\":10}}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "Completed");
        Assert.Contains("disruption budget", Assert.Single(_world.Plan("p")!.Moves!).Message, StringComparison.Ordinal);
        await _world.UntilAsync(() => !_world.All(Kinds.Reservation).Any());
        Assert.Equal((first, "a"), (Assert.Single(_world.All(Kinds.Pod)).Uid, _world.Places("db").Single()));
    }

    [Fact]
    public async Task A_Jobs_pod_moves_when_it_says_that_it_may_begin_anew()
    {
        await _world.NodeAsync("a", 4);
        await _world.OwnedAsync(Kinds.Job, "work", "a", 1, "\"completions\":1");
        await _world.NodeAsync("b", 6);
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields + ",\"approved\":true}}");
        await _world.UntilAsync(() => _world.Plan("p")?.Phase == "Completed");
        Assert.Equal("no move would make more saleable", _world.Plan("p")!.Message);
        Assert.Contains("1 (it is a Job's, whose work would be lost; the annotation edge.atoll.dev/may-restart: \"true\" allows it)", _world.Plan("p")!.Conditions!.Find(c => c.Type == "Computed")!.Message, StringComparison.Ordinal);
        string name = Assert.Single(_world.All(Kinds.Pod)).Name;
        await _world.PatchAsync(Kinds.Pod, name, """{"metadata":{"annotations":{"edge.atoll.dev/may-restart":"true"}}}""");
        await _world.MakeAsync(Kinds.DefragmentationPlan, Fields.Replace("\"p\"", "\"q\"", StringComparison.Ordinal) + ",\"approved\":true}}");
        await _world.UntilAsync(() => _world.Plan("q")?.Phase is "Completed" or "Failed");
        Assert.Equal(["b"], _world.Places("work"));
        Assert.Equal(_world.Plan("q")!.Moves!.Single().Replacement, _world.All(Kinds.Pod).Single(p => !p.IsDeleting).Name);
        await _world.UntilAsync(() => !_world.All(Kinds.Reservation).Any());
    }

    private const string Set = """
        "replicas":1,"serviceName":"db","selector":{"matchLabels":{"app":"db"}}
        """;

    // Two pods of one core on a node of four, beside six free cores: moving both makes one 4c8g more.
    private async Task FragmentsAsync()
    {
        await _world.NodeAsync("a", 4);
        await _world.AppAsync("one", "a", 1);
        await _world.AppAsync("two", "a", 1);
        await _world.NodeAsync("b", 6);
        await _world.NodeAsync("w", 6, region: "west");
    }
}
