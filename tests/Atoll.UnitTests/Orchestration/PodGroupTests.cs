using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Status of a PodGroup, and what becomes of a half-bound one.</summary>
public sealed class PodGroupTests : IDisposable
{
    private readonly World _world = new();

    public PodGroupTests() => _world.Nodes.Clear(); // The tests bind.

    public void Dispose() => _world.Dispose();

    [Fact]
    public async Task Phases_follow_the_members()
    {
        await MakeAsync(2, 30);
        await _world.SettleAsync();
        Assert.Equal(("Pending", "NotEnoughMembers", "0 of the 2 members that it needs exist."), Shown());
        await MemberAsync("a");
        await MemberAsync("b");
        await _world.SettleAsync(TimeSpan.FromSeconds(1));
        Assert.Equal(("PreScheduling", "Waiting", "Its members wait to be planned."), Shown());
        _world.Healthy = false;
        await BindAsync("a");
        await _world.SettleAsync(TimeSpan.FromSeconds(1));
        Assert.Equal(("Scheduling", "Scheduling", "1 of the 2 members that it needs have a node."), Shown());
        await BindAsync("b");
        await _world.SettleAsync(TimeSpan.FromSeconds(1));
        Assert.Equal("Scheduled", Shown().Phase);
        _world.Healthy = true;
        await _world.SettleAsync(TimeSpan.FromSeconds(1));
        Assert.Equal("Running", Shown().Phase);
        // A member that goes later takes nobody along.
        _world.Api.Finish(Kinds.Pod, _world.Api.Find(Kinds.Pod, "default/b")!);
        await _world.SettleAsync(TimeSpan.FromMinutes(2));
        Assert.Equal("Unknown", Shown().Phase);
        Assert.NotNull(_world.Api.Find(Kinds.Pod, "default/a"));
        await _world.PhaseAsync(_world.Api.Find(Kinds.Pod, "default/a")!, "Succeeded");
        await MemberAsync("c");
        await BindAsync("c");
        await _world.PhaseAsync(_world.Api.Find(Kinds.Pod, "default/c")!, "Succeeded");
        await _world.SettleAsync(TimeSpan.FromSeconds(1));
        Assert.Equal("Finished", Shown().Phase);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)] // The centre is restarted in between.
    public async Task A_half_bound_group_gives_its_nodes_back_after_its_time(bool restart)
    {
        await MakeAsync(3, 10);
        foreach (string name in new[] { "a", "b", "c" })
            await MemberAsync(name);
        await BindAsync("a");
        await BindAsync("b");
        await _world.SettleAsync(TimeSpan.FromSeconds(4));
        Assert.Equal("Scheduling", Shown().Phase);
        if (restart)
            _world.Restart();
        await _world.SettleAsync(TimeSpan.FromSeconds(4));
        Assert.Equal("Scheduling", Shown().Phase);
        await _world.SettleAsync(TimeSpan.FromSeconds(4));
        Assert.Equal(["c"], _world.ActivePods().Select(p => p.Name));
        Assert.Equal(("Pending", "NotEnoughMembers", "1 of the 3 members that it needs exist."), Shown());
    }

    [Fact]
    public async Task A_group_that_found_no_room_in_its_time_says_so_and_goes_on_waiting()
    {
        await MakeAsync(1, 10);
        await MemberAsync("a");
        await _world.PatchAsync(Kinds.Pod, "a", """{"status":{"conditions":[{"type":"PodScheduled","status":"False","reason":"Unschedulable","message":"0/3 nodes are available: 3 Insufficient cpu."}]}}""", "status");
        await _world.SettleAsync(TimeSpan.FromSeconds(12));
        Assert.Equal(("PreScheduling", "TimedOut", "0/3 nodes are available: 3 Insufficient cpu."), Shown());
        Assert.Single(_world.ActivePods());
    }

    private Task MakeAsync(int least, int seconds) => _world.CreateAsync(Kinds.PodGroup, $$$$"""{"apiVersion":"scheduling.x-k8s.io/v1alpha1","kind":"PodGroup","metadata":{"name":"g"},"spec":{"minMember":{{{{least}}}},"scheduleTimeoutSeconds":{{{{seconds}}}}}}""");

    private Task MemberAsync(string name) => _world.CreateAsync(Kinds.Pod, $$$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"{{{{{name}}}}}","labels":{"scheduling.x-k8s.io/pod-group":"g"}},"spec":{"containers":[{"name":"c"}]}}""");

    private Task BindAsync(string name) => _world.PatchAsync(Kinds.Pod, name, """{"spec":{"nodeName":"n0"}}""");

    private (string? Phase, string? Reason, string? Message) Shown()
    {
        PodGroupStatus status = _world.Api.Find(Kinds.PodGroup, "default/g")!.View(ApiJson.Default.PodGroup).Status!;
        Condition condition = status.Conditions!.Single();
        return (status.Phase, condition.Reason, condition.Message);
    }
}
