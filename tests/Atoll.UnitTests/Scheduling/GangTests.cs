using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Pod groups in a plan: enough members together, or none.</summary>
public sealed class GangTests
{
    private static readonly KubeObject[] s_two = [Node("a", cpu: "2"), Node("b", cpu: "2")];

    [Fact]
    public void All_members_or_none()
    {
        KubeObject[] members = [Member("m1", "g"), Member("m2", "g"), Member("m3", "g")];
        Assert.All(Places(s_two, [], members, null, Group("g", 3)), p => Assert.Equal(("default/g", true), (p.Gang, p.Node is not null)));
        IReadOnlyList<Placement> refused = Places(s_two, [Pod("x", node: "a", cpu: "2")], members, null, Group("g", 3));
        Assert.All(refused, p => Assert.Equal((null, null, "0/2 nodes are available: 2 Insufficient cpu. pod group default/g: 2 of the 3 members that it needs fit."), (p.Node, p.Gang, p.Message)));
        Assert.All(refused, p => Assert.Equal(ClusterEvents.Gangs | ClusterEvents.PodGone, p.HelpedBy & (ClusterEvents.Gangs | ClusterEvents.PodGone)));
    }

    [Fact]
    public void What_a_group_tried_in_vain_leaves_its_room_to_others()
    {
        KubeObject[] pending = [Member("m1", "g"), Pod("x", cpu: "2"), Member("m2", "g"), Member("m3", "g", cpu: "3"), Pod("y", cpu: "2"), Pod("z", cpu: "1")];
        Assert.Equal(["-", "+", "-", "-", "+", "-"], Places(s_two, [], pending, null, Group("g", 3)).Select(p => p.Node is null ? "-" : "+"));
    }

    [Fact]
    public void The_largest_first_when_the_order_given_does_not_fit()
    {
        // One by one the small ones would take half of both nodes.
        KubeObject[] members = [Member("m1", "g"), Member("m2", "g"), Member("m3", "g", cpu: "2")];
        Assert.All(Places(s_two, [], members, null, Group("g", 3)), p => Assert.NotNull(p.Node));
    }

    [Fact]
    public void Members_that_run_count_and_further_ones_stand_by_themselves()
    {
        KubeObject[] running = [Member("m1", "g", node: "a"), Member("m2", "g", node: "b", spec: "{}")];
        Assert.NotNull(Places(s_two, running, [Member("m3", "g")], null, Group("g", 3))[0].Node);
        KubeObject[] full = [.. running, Pod("x", node: "a"), Pod("y", node: "b", cpu: "1")];
        Assert.Equal("0/2 nodes are available: 2 Insufficient cpu. pod group default/g: 2 are bound, and 0 of the 1 more members that it needs fit.", Places(s_two, full, [Member("m3", "g")], null, Group("g", 3))[0].Message);
        // Two of three are enough for this one: the third is a pod like any other.
        IReadOnlyList<Placement> more = Places(s_two, full[1..], [Member("m3", "g"), Member("m4", "g"), Member("m5", "g")], null, Group("g", 2));
        Assert.Equal(1, more.Count(p => p.Node is not null));
        Assert.Contains(more, p => p.Message?.StartsWith("0/2 nodes are available: 2 Insufficient cpu. preemption:", StringComparison.Ordinal) == true);
    }

    [Fact]
    public void Without_its_group_or_too_few_it_is_said_so()
    {
        Assert.Equal("pod group default/g does not exist: create it, or take the label scheduling.x-k8s.io/pod-group off the pod.", Places(s_two, [], [Member("m1", "g")])[0].Message);
        Placement few = Places(s_two, [], [Member("m1", "g")], null, Group("g", 3))[0];
        Assert.Equal(("pod group default/g has 1 of the 3 members that it needs.", ClusterEvents.Gangs), (few.Message, few.HelpedBy));
        // A member that is on its way out is none.
        Assert.Equal("pod group default/g has 2 of the 3 members that it needs.", Places(s_two, [Pod("old", node: "a", more: """{"metadata":{"deletionTimestamp":"2026-01-01T00:00:00Z","labels":{"scheduling.x-k8s.io/pod-group":"g"}}}""")], [Member("m1", "g"), Member("m2", "g")], null, Group("g", 3))[0].Message);
    }

    [Fact]
    public void Lesser_pods_go_only_when_that_lets_the_whole_group_start()
    {
        KubeObject[] lesser = [Pod("x", node: "a", cpu: "2", priority: 1), Pod("y", node: "b", cpu: "1", priority: 2)];
        KubeObject[] three = [Member("m1", "g", priority: 5), Member("m2", "g", priority: 5), Member("m3", "g", priority: 5)];
        IReadOnlyList<Placement> plan = Places(s_two, lesser, three, null, Group("g", 3));
        Assert.All(plan, p => Assert.Equal((null, "default/g", true), (p.Node, p.Gang, p.Nominated is not null)));
        Assert.Equal(["x"], plan.SelectMany(p => p.Victims).Select(v => v.Name));
        // Five would not fit even into the empty fleet: nobody has to go.
        KubeObject[] five = [.. three, Member("m4", "g", priority: 5), Member("m5", "g", priority: 5)];
        Assert.All(Places(s_two, lesser, five, null, Group("g", 5)), p => Assert.Equal((null, null, 0), (p.Node, p.Nominated, p.Victims.Count)));
        // Nor is anything left of the attempt for who comes next.
        IReadOnlyList<Placement> next = Places(s_two, lesser, [.. five, Pod("p", cpu: "1", priority: 5)], null, Group("g", 5));
        Assert.Equal("b", next[5].Node);
    }

    [Fact]
    public void Anti_affinity_holds_within_a_group_and_after_one_was_taken_back()
    {
        const string Apart = """{"affinity":{"podAntiAffinity":{"requiredDuringSchedulingIgnoredDuringExecution":[{"topologyKey":"kubernetes.io/hostname","labelSelector":{"matchLabels":{"scheduling.x-k8s.io/pod-group":"g"}}}]}}}""";
        KubeObject[] three = [Member("m1", "g", spec: Apart), Member("m2", "g", spec: Apart), Member("m3", "g", spec: Apart)];
        Assert.All(Places(s_two, [], three, null, Group("g", 3)), p => Assert.Null(p.Node));
        IReadOnlyList<Placement> two = Places(s_two, [], three, null, Group("g", 2));
        Assert.Equal(2, two.Where(p => p.Node is not null).Select(p => p.Node).Distinct().Count());
        // Ports too are given back.
        const string Port = """{"containers":[{"name":"c","ports":[{"containerPort":80,"hostPort":80}]}]}""";
        Assert.Equal(["-", "-", "-", "+", "+"], Places(s_two, [], [Member("m1", "g", spec: Port), Member("m2", "g", spec: Port), Member("m3", "g", spec: Port), Pod("p", Port), Pod("q", Port)], null, Group("g", 3)).Select(p => p.Node is null ? "-" : "+"));
    }

    [Fact]
    public void A_checker_sees_a_group_that_was_taken_apart()
    {
        KubeObject[] members = [Member("m1", "g"), Member("m2", "g")];
        KubeObject[] others = [Group("g", 2)];
        var half = new Plan([new Placement(members[0], "a", null) { Gang = "default/g" }, new Placement(members[1], null, "pod group default/g: no")]);
        Assert.NotEmpty(PlanChecker.Check(s_two, [], [], members, half, others));
    }
}
