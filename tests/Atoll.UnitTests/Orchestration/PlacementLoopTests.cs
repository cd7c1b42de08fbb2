using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Binding;
using Atoll.Orchestration.Loop;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Orchestration;

/// <summary>The loop between plans and the API: refusals, lost answers, conflicts, what wakes a pod, and preemption.</summary>
public sealed class PlacementLoopTests
{
    private static readonly string[] s_bound = ["p"];

    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.Zero));
    private readonly FakeApi _api;
    private readonly Cluster _cluster;
    private readonly PlacementLoop _loop;
    private readonly FakeMirrors _mirrors;
    private int _bindings, _answers;

    public PlacementLoopTests()
    {
        _api = new FakeApi(_time) { Refuse = Count };
        _cluster = new Cluster(_api, _time, new Random(1), NullLoggerFactory.Instance);
        _mirrors = new FakeMirrors(_api, _cluster);
        _loop = new PlacementLoop(_cluster);
    }

    private Func<string, ApiStatus?> Answer { get; set; } = _ => null;

    [Fact]
    public async Task A_pod_is_bound_and_then_at_rest()
    {
        await NodeAsync("n");
        await PodAsync("p");
        Assert.True(await StepAsync());
        Assert.Equal("n", NodeOf("p"));
        Assert.False(await StepAsync());
        Assert.Equal(1, _bindings);
    }

    [Fact]
    public async Task A_refused_binding_gives_its_room_back_and_is_tried_again_after_a_wait_that_doubles()
    {
        await NodeAsync("n", cpu: "1");
        await PodAsync("p", cpu: "1");
        Answer = verb => verb == "create" ? ApiStatus.Conflict(Kinds.Pod, "p", "no") : null;
        int[] waits = [1, 2, 4, 8, 10, 10];
        foreach (int wait in waits)
        {
            int before = _bindings;
            await StepAsync();
            Assert.Equal(before + 1, _bindings);
            _time.Advance(TimeSpan.FromSeconds(wait) - TimeSpan.FromMilliseconds(1));
            await StepAsync();
            Assert.Equal(before + 1, _bindings);
            _time.Advance(TimeSpan.FromMilliseconds(1));
        }
        Answer = _ => null;
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
    }

    [Fact]
    public async Task Room_of_a_refused_binding_goes_to_the_next_pod()
    {
        await NodeAsync("n", cpu: "1");
        await PodAsync("p", cpu: "1");
        Answer = verb => verb == "create" ? ApiStatus.Conflict(Kinds.Pod, "p", "no") : null;
        await StepAsync();
        Answer = _ => null;
        await PodAsync("q", cpu: "1");
        await StepAsync();
        Assert.Equal("n", NodeOf("q"));
        _time.Advance(TimeSpan.FromSeconds(1));
        await StepAsync();
        Assert.Null(NodeOf("p"));
        Assert.Contains("Insufficient cpu", Told("p"), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_binding_whose_answer_was_lost_is_not_made_twice()
    {
        await NodeAsync("n");
        await PodAsync("p");
        bool lost = false;
        _api.LoseAnswer = () => !lost && (lost = true);
        await StepAsync();
        Assert.True(lost);
        _api.LoseAnswer = null;
        _time.Advance(TimeSpan.FromSeconds(20));
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
        Assert.Equal(1, _bindings);
    }

    [Fact]
    public async Task An_API_out_of_reach_costs_nothing_but_time()
    {
        await NodeAsync("n");
        await PodAsync("p");
        Answer = verb => verb == "create" ? throw new HttpRequestException("no route") : null;
        await StepAsync();
        Answer = _ => null;
        Assert.Null(NodeOf("p"));
        _time.Advance(TimeSpan.FromSeconds(1));
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
    }

    [Fact]
    public async Task A_pod_that_somebody_else_bound_meanwhile_stays_there()
    {
        await NodeAsync("n");
        await PodAsync("p");
        await NodeAsync("m");
        _mirrors.Pump();
        await _api.PatchAsync(Kinds.Pod, "default", "p", PatchType.Merge, JsonNode.Parse("""{"spec":{"nodeName":"m"}}""")!, default);
        await StepAsync(late: true);
        Assert.Equal(1, _bindings);
        _time.Advance(TimeSpan.FromSeconds(2));
        await StepAsync();
        Assert.Equal("m", NodeOf("p"));
        Assert.Equal(1, _bindings);
    }

    [Fact]
    public async Task A_pod_that_fits_nowhere_is_told_once_and_wakes_only_for_what_can_help()
    {
        await NodeAsync("n", cpu: "1");
        await PodAsync("p", cpu: "2");
        await StepAsync();
        Assert.Equal("0/1 nodes are available: 1 Insufficient cpu. preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling.", Told("p"));
        int told = _answers;
        // A heartbeat, a label that nobody asks for, a pod that comes: none of it makes room.
        await _api.PatchAsync(Kinds.Node, null, "n", PatchType.Merge, JsonNode.Parse("""{"status":{"conditions":[{"type":"Ready","status":"True","lastHeartbeatTime":"2026-01-02T03:05:00Z"}]}}""")!, default, "status");
        await _api.PatchAsync(Kinds.Node, null, "n", PatchType.Merge, JsonNode.Parse("""{"metadata":{"labels":{"a":"b"}}}""")!, default);
        await PodAsync("q");
        _mirrors.Pump();
        Assert.Equal(s_bound[..0], Pending().Except(["q"]));
        await StepAsync();
        Assert.Equal(told, _answers);
        await NodeAsync("big", cpu: "8");
        await StepAsync();
        Assert.Equal("big", NodeOf("p"));
    }

    [Fact]
    public async Task A_pod_that_waits_for_a_taint_wakes_when_it_goes_and_for_no_pod()
    {
        await NodeAsync("n", taint: "k");
        await PodAsync("p");
        await StepAsync();
        Assert.Contains("untolerated taint {k: }", Told("p"), StringComparison.Ordinal);
        await PodAsync("gone", node: "n");
        _mirrors.Pump();
        await _api.DeleteAsync(Kinds.Pod, "default", "gone", DeleteOptions.Default with { GracePeriodSeconds = 0 }, default);
        _mirrors.Pump();
        Assert.Empty(Pending());
        await _api.PatchAsync(Kinds.Node, null, "n", PatchType.Merge, JsonNode.Parse("""{"spec":{"taints":null}}""")!, default);
        _mirrors.Pump();
        Assert.Equal(s_bound, Pending());
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
    }

    [Fact]
    public async Task A_pod_that_fitted_nowhere_at_first_does_not_wait_again_before_its_binding_is_seen()
    {
        await NodeAsync("n", taint: "k");
        await PodAsync("p");
        await StepAsync();
        int told = _answers;
        await _api.PatchAsync(Kinds.Node, null, "n", PatchType.Merge, JsonNode.Parse("""{"spec":{"taints":null}}""")!, default);
        _mirrors.Pump();
        Assert.True(await _loop.StepAsync(default));
        Assert.Equal("n", NodeOf("p"));
        // The mirror of the nodes is ahead of that of the pods.
        await NodeAsync("m", taint: "k");
        _cluster.Nodes.Seen(null, _api.Find(Kinds.Node, "m"));
        Assert.Empty(Pending());
        await StepAsync();
        Assert.Equal(told, _answers);
    }

    [Fact]
    public async Task Room_that_a_finished_pod_left_wakes_who_waits_for_room()
    {
        await NodeAsync("n", cpu: "1");
        await PodAsync("old", cpu: "1", node: "n");
        await PodAsync("p", cpu: "1");
        await StepAsync();
        Assert.Null(NodeOf("p"));
        await _api.PatchAsync(Kinds.Pod, "default", "old", PatchType.Merge, JsonNode.Parse("""{"status":{"phase":"Succeeded"}}""")!, default, "status");
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
    }

    [Fact]
    public async Task A_gated_pod_waits_until_its_gates_are_gone()
    {
        await NodeAsync("n");
        await PodAsync("p", gate: "x");
        await StepAsync();
        Assert.Null(NodeOf("p"));
        Assert.Equal(0, _answers);
        await _api.PatchAsync(Kinds.Pod, "default", "p", PatchType.Merge, JsonNode.Parse("""{"spec":{"schedulingGates":null}}""")!, default);
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
    }

    [Fact]
    public async Task A_pod_of_higher_priority_is_promised_the_room_of_a_lesser_one_and_takes_it_when_that_is_gone()
    {
        await NodeAsync("n", cpu: "1");
        await PodAsync("low", cpu: "1", node: "n", priority: 1);
        await PodAsync("p", cpu: "1", priority: 10);
        await StepAsync();
        KubeObject low = _api.Find(Kinds.Pod, "default/low")!;
        Assert.True(low.IsDeleting);
        Assert.Equal("PreemptionByScheduler", low.View(ApiJson.Default.Pod).Status!.Condition("DisruptionTarget")!.Reason);
        Assert.Equal("n", _api.Find(Kinds.Pod, "default/p")!.View(ApiJson.Default.Pod).Status!.NominatedNodeName);
        Assert.Equal("0/1 nodes are available: 1 Insufficient cpu.", Told("p"));
        // A lesser pod that comes now does not get the promised room, even once the victim is gone.
        await PodAsync("thief", cpu: "1", priority: 5);
        await StepAsync();
        Assert.Null(NodeOf("thief"));
        _api.Finish(Kinds.Pod, low);
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
        Assert.Null(NodeOf("thief"));
    }

    [Fact]
    public async Task Members_of_a_pod_group_are_bound_together_and_wait_for_each_other()
    {
        await NodeAsync("n", cpu: "3");
        await PodAsync("a", cpu: "1", group: "g");
        await StepAsync();
        Assert.Equal("pod group default/g does not exist: create it, or take the label scheduling.x-k8s.io/pod-group off the pod.", Told("a"));
        await GroupAsync("g", 3);
        await StepAsync();
        Assert.Equal("pod group default/g has 1 of the 3 members that it needs.", Told("a"));
        await PodAsync("b", cpu: "1", group: "g");
        await StepAsync();
        Assert.Null(NodeOf("a"));
        await PodAsync("c", cpu: "1", group: "g");
        await StepAsync();
        Assert.Equal(("n", "n", "n"), (NodeOf("a"), NodeOf("b"), NodeOf("c")));
    }

    [Fact]
    public async Task A_member_whose_binding_is_refused_is_bound_later_to_complete_its_group()
    {
        await NodeAsync("n", cpu: "3");
        await GroupAsync("g", 2);
        await PodAsync("a", cpu: "1", group: "g");
        await PodAsync("b", cpu: "1", group: "g");
        int seen = 0;
        Answer = verb => verb == "create" && ++seen == 1 ? ApiStatus.Conflict(Kinds.Pod, "a", "no") : null;
        await StepAsync();
        Assert.Equal(1, _bindings - seen + 1);
        Assert.Equal(1, new[] { NodeOf("a"), NodeOf("b") }.Count(n => n is not null));
        _time.Advance(TimeSpan.FromSeconds(1));
        await StepAsync();
        Assert.Equal(("n", "n"), (NodeOf("a"), NodeOf("b")));
    }

    [Fact]
    public async Task A_pod_group_larger_than_a_batch_is_planned_as_a_whole()
    {
        await NodeAsync("n", cpu: "64");
        await NodeAsync("m", cpu: "64");
        foreach (string node in new[] { "n", "m" })
            await _api.PatchAsync(Kinds.Node, null, node, PatchType.Merge, JsonNode.Parse("""{"status":{"allocatable":{"pods":"1000"}}}""")!, default, "status");
        await GroupAsync("g", 600);
        for (int i = 0; i < 600; i++)
            await PodAsync($"p{i}", cpu: "100m", group: "g");
        await StepAsync();
        Assert.Equal(600, _bindings);
    }

    [Fact]
    public async Task Within_one_priority_tenants_take_turns_by_their_share()
    {
        await NodeAsync("n", cpu: "2");
        for (int i = 0; i < 30; i++)
            await PodAsync($"many{i}", cpu: "100m");
        await PodAsync("one", cpu: "100m", ns: "small");
        await PodAsync("two", cpu: "100m", ns: "small");
        await PodAsync("first", cpu: "100m", priority: 5);
        _mirrors.Pump();
        List<string> order = [.. Pending()];
        Assert.Equal("first", order[0]);
        Assert.Equal(2, order[..6].Intersect(["one", "two"]).Count());
        // Who has much already waits for who has little.
        await StepAsync();
        Assert.Equal(20, _bindings);
        Assert.Equal(("n", "n"), (NodeOf("one", "small"), NodeOf("two", "small")));
        await PodAsync("more", cpu: "100m");
        await PodAsync("three", cpu: "100m", ns: "small");
        _mirrors.Pump();
        Assert.Equal("three", Pending().First());
    }

    [Fact]
    public async Task A_pod_beyond_its_quota_waits_for_the_quota()
    {
        await NodeAsync("n", cpu: "4");
        await MakeAsync(Kinds.ElasticQuota, """{"metadata":{"name":"q"},"spec":{"max":{"cpu":"2"}}}""");
        await PodAsync("there", cpu: "1");
        await StepAsync();
        await PodAsync("p", cpu: "2");
        await StepAsync();
        Assert.StartsWith("0/1 nodes are available: 1 elastic quota default/q is used up (cpu: 1 used + 2 asked > 2 at most).", Told("p"), StringComparison.Ordinal);
        await _api.PatchAsync(Kinds.ElasticQuota, "default", "q", PatchType.Merge, JsonNode.Parse("""{"spec":{"max":{"cpu":"3"}}}""")!, default);
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
    }

    [Fact]
    public async Task Pods_of_an_unknown_schedulerName_are_left_alone_until_it_has_a_profile_and_a_broken_change_changes_nothing()
    {
        await NodeAsync("n");
        await NodeAsync("m");
        await PodAsync("there", cpu: "1", node: "n");
        await PodAsync("p", scheduler: "packing");
        await StepAsync();
        Assert.Null(NodeOf("p"));
        Assert.Equal(0, _answers);
        await MakeAsync(Kinds.SchedulerProfile, """{"metadata":{"name":"packing"},"spec":{"scoringStrategy":{"type":"MostAllocated"}}}""", cluster: true);
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
        await _api.PatchAsync(Kinds.SchedulerProfile, null, "packing", PatchType.Merge, JsonNode.Parse("""{"spec":{"weights":{"Foo":1},"scoringStrategy":{"type":"LeastAllocated"}}}""")!, default);
        await PodAsync("q", scheduler: "packing");
        await StepAsync();
        Assert.Equal("n", NodeOf("q"));
        await _api.DeleteAsync(Kinds.SchedulerProfile, null, "packing", DeleteOptions.Default, default);
        await PodAsync("r", scheduler: "packing");
        await StepAsync();
        Assert.Null(NodeOf("r"));
    }

    [Fact]
    public async Task A_reservation_gets_a_node_and_keeps_it_for_its_owners_until_it_expires()
    {
        await NodeAsync("n", cpu: "2");
        await MakeAsync(Kinds.Reservation, """{"metadata":{"name":"r"},"spec":{"resources":{"cpu":"4"},"owners":[{"namespace":"team"}]}}""", cluster: true);
        await StepAsync();
        Assert.Equal("0/1 nodes are available: 1 Insufficient cpu. preemption: not eligible due to preemptionPolicy=Never.", Kept().Conditions!.Single().Message);
        await NodeAsync("m", cpu: "4");
        await StepAsync();
        Assert.Equal(("Available", "m", "Its room is kept on node m."), (Kept().Phase, Kept().NodeName, Kept().Conditions!.Single().Message));
        await PodAsync("stranger", cpu: "3");
        await PodAsync("own", cpu: "3", ns: "team");
        await StepAsync();
        Assert.Equal((null, "m"), (NodeOf("stranger"), NodeOf("own", "team")));
        Assert.Equal("r", _api.Find(Kinds.Pod, "team/own")!.Metadata.Annotation("edge.atoll.dev/reservation"));
        // Its pod ends: the room is the reservation's again.
        await _api.PatchAsync(Kinds.Pod, "team", "own", PatchType.Merge, JsonNode.Parse("""{"status":{"phase":"Succeeded"}}""")!, default, "status");
        await StepAsync();
        Assert.Null(NodeOf("stranger"));
        await _api.PatchAsync(Kinds.Reservation, null, "r", PatchType.Merge, JsonNode.Parse("""{"status":{"phase":"Expired"}}""")!, default, "status");
        await StepAsync();
        Assert.Equal("m", NodeOf("stranger"));
    }

    [Fact]
    public async Task A_reservation_whose_node_could_not_be_written_gives_the_room_back_and_tries_again()
    {
        await NodeAsync("n", cpu: "2");
        await MakeAsync(Kinds.Reservation, """{"metadata":{"name":"r"},"spec":{"resources":{"cpu":"2"},"owners":[{"namespace":"team"}]}}""", cluster: true);
        int failures = 1;
        Func<string, ResourceType, ApiStatus?> count = _api.Refuse!;
        _api.Refuse = (verb, type) => type == Kinds.Reservation && failures-- > 0 ? ApiStatus.Conflict(Kinds.Reservation, "r", "no") : count(verb, type);
        await StepAsync();
        Assert.Null(Kept()?.NodeName);
        await PodAsync("p", cpu: "2");
        await StepAsync();
        Assert.Equal("n", NodeOf("p"));
        _time.Advance(TimeSpan.FromSeconds(1));
        await StepAsync();
        Assert.Contains("Insufficient cpu", Kept().Conditions!.Single().Message, StringComparison.Ordinal);
    }

    private ReservationStatus Kept() => _api.Find(Kinds.Reservation, "r")!.View(ApiJson.Default.Reservation).Status!;

    [Fact]
    public async Task A_node_that_goes_while_its_pod_waits_for_the_binding_leaves_nothing_behind()
    {
        await NodeAsync("n", cpu: "1");
        await PodAsync("p", cpu: "1");
        _mirrors.Pump();
        await _api.DeleteAsync(Kinds.Node, null, "n", DeleteOptions.Default, default);
        await StepAsync();
        Assert.Null(NodeOf("p"));
        Assert.Equal("no nodes available to schedule pods", Told("p"));
        await NodeAsync("m", cpu: "1");
        await StepAsync();
        Assert.Equal("m", NodeOf("p"));
    }

    private ApiStatus? Count(string verb, ResourceType type)
    {
        if (type != Kinds.Pod || !_counting)
            return null;
        if (verb == "create")
            _bindings++;
        if (verb == "patch")
            _answers++;
        return Answer(verb);
    }

    private bool _counting;

    private async Task<bool> StepAsync(bool late = false)
    {
        if (!late)
            _mirrors.Pump();
        bool any;
        _counting = true;
        try
        {
            any = await _loop.StepAsync(default);
        }
        finally
        {
            _counting = false;
        }
        _mirrors.Pump();
        return any;
    }

    private IEnumerable<string> Pending() => _loop.PendingPods().Select(p => p.Name);

    private string? NodeOf(string pod, string ns = "default") => _api.Find(Kinds.Pod, $"{ns}/{pod}")?.View(ApiJson.Default.Pod).Spec.NodeName;

    private string? Told(string pod) => _api.Find(Kinds.Pod, $"default/{pod}")?.View(ApiJson.Default.Pod).Status?.Condition("PodScheduled")?.Message;

    private async Task NodeAsync(string name, string cpu = "4", string? taint = null)
    {
        var spec = new JsonObject();
        if (taint is not null)
            spec["taints"] = new JsonArray(new JsonObject { ["key"] = taint, ["effect"] = "NoSchedule" });
        await _api.CreateAsync(Kinds.Node, null, new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Node",
            ["metadata"] = new JsonObject { ["name"] = name },
            ["spec"] = spec,
            ["status"] = JsonNode.Parse("""{"allocatable":{"memory":"8Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}"""),
        }.With(n => n["status"]!["allocatable"]!["cpu"] = cpu), default);
    }

    private async Task PodAsync(string name, string cpu = "100m", string? node = null, int priority = 0, string? gate = null, string? group = null, string ns = "default", string? scheduler = null)
    {
        JsonObject spec = JsonNode.Parse("""{"containers":[{"name":"c","resources":{"requests":{}}}]}""")!.AsObject();
        spec["priority"] = priority;
        spec["containers"]![0]!["resources"]!["requests"]!["cpu"] = cpu;
        if (node is not null)
            spec["nodeName"] = node;
        if (scheduler is not null)
            spec["schedulerName"] = scheduler;
        if (gate is not null)
            spec["schedulingGates"] = new JsonArray(new JsonObject { ["name"] = gate });
        var metadata = new JsonObject { ["name"] = name };
        if (group is not null)
            metadata["labels"] = new JsonObject { ["scheduling.x-k8s.io/pod-group"] = group };
        await _api.CreateAsync(Kinds.Pod, ns, new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Pod", ["metadata"] = metadata, ["spec"] = spec }, default);
    }

    private async Task MakeAsync(ResourceType type, string json, bool cluster = false) => await _api.CreateAsync(type, cluster ? null : "default", JsonNode.Parse(json)!.AsObject().With(o =>
    {
        o["apiVersion"] = type.ApiVersion;
        o["kind"] = type.Kind;
    }), default);

    private async Task GroupAsync(string name, int least) => await _api.CreateAsync(Kinds.PodGroup, "default", new JsonObject
    {
        ["apiVersion"] = "scheduling.x-k8s.io/v1alpha1", ["kind"] = "PodGroup", ["metadata"] = new JsonObject { ["name"] = name }, ["spec"] = new JsonObject { ["minMember"] = least },
    }, default);
}

internal static class JsonObjects
{
    /// <summary>The object, after a change.</summary>
    public static JsonObject With(this JsonObject value, Action<JsonObject> change)
    {
        change(value);
        return value;
    }
}
