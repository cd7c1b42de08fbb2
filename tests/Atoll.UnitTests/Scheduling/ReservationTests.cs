using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Reservations in a plan: room for their owners and for nobody else.</summary>
public sealed class ReservationTests
{
    private static readonly KubeObject[] s_node = [Node("n", cpu: "4")];

    [Fact]
    public void Room_that_is_kept_is_used_by_its_owners_only()
    {
        KubeObject[] others = [Reserve("r", "n", """{"cpu":"3"}""", app: "mine")];
        IReadOnlyList<Placement> plan = Places(s_node, [], [Pod("stranger", cpu: "2"), Pod("small", cpu: "1"), Pod("own", cpu: "2", app: "mine"), Pod("own2", cpu: "2", app: "mine"), Pod("own3", cpu: "1", app: "mine")], null, others);
        Assert.Equal((null, null), (plan[0].Node, plan[0].Reservation));
        Assert.StartsWith("0/1 nodes are available: 1 Insufficient cpu.", plan[0].Message, StringComparison.Ordinal);
        Assert.Equal(("n", null), (plan[1].Node, plan[1].Reservation));
        Assert.Equal(("n", "r"), (plan[2].Node, plan[2].Reservation));
        // One left in it: not enough for this one, and enough for the next.
        Assert.Null(plan[3].Node);
        Assert.Equal(("n", "r"), (plan[4].Node, plan[4].Reservation));
    }

    [Fact]
    public void An_owner_goes_to_its_reservation_rather_than_to_an_emptier_node_and_may_take_more_than_it_holds()
    {
        KubeObject[] nodes = [Node("empty", cpu: "16"), Node("n", cpu: "4")];
        Assert.Equal(("n", "r"), Places(nodes, [Pod("x", node: "n", cpu: "1")], [Pod("own", cpu: "3", app: "mine")], null, Reserve("r", "n", app: "mine"))[0] is var p ? (p.Node, p.Reservation) : default);
        // Where that does not fit, any other node will do.
        Assert.Equal(("empty", null), Places(nodes, [Pod("x", node: "n", cpu: "2")], [Pod("own", cpu: "3", app: "mine")], null, Reserve("r", "n", app: "mine"))[0] is var q ? (q.Node, q.Reservation) : default);
    }

    [Fact]
    public void What_pods_took_of_it_is_kept_again_when_they_go()
    {
        Snapshot fleet = Fleet(s_node, [Inside("in", "r", "n", "2")], [Reserve("r", "n")]);
        Assert.NotNull(Scheduler.Plan(fleet, [Pod("p", cpu: "2", ns: "other")], 1).Placements[0].Node);
        fleet.RemovePod("in");
        Assert.NotNull(Scheduler.Plan(fleet, [Pod("p", cpu: "2", ns: "other")], 1).Placements[0].Node);
        Assert.Null(Scheduler.Plan(fleet, [Pod("p", cpu: "3", ns: "other")], 1).Placements[0].Node);
        Assert.True(fleet.RemoveReservation("r"));
        Assert.NotNull(Scheduler.Plan(fleet, [Pod("p", cpu: "4", ns: "other")], 1).Placements[0].Node);
    }

    [Fact]
    public void Nobody_is_displaced_from_a_reservation()
    {
        Placement refused = Places(s_node, [Inside("in", "r", "n", "2"), Pod("low", node: "n", cpu: "1")], [Pod("p", cpu: "3", priority: 9)], null, Reserve("r", "n"))[0];
        Assert.Equal((null, null), (refused.Node, refused.Nominated));
        Assert.Equal(["low"], Places(s_node, [Inside("in", "r", "n", "2"), Pod("low", node: "n", cpu: "1")], [Pod("p", cpu: "2", priority: 9, ns: "other")], null, Reserve("r", "n"))[0].Victims.Select(v => v.Name));
    }

    [Fact]
    public void What_an_ending_pod_took_beyond_its_reservation_comes_free_and_the_rest_is_the_reservations()
    {
        KubeObject ending = KubeObject.FromNode(Merge(Inside("in", "r", "n", "3").ToNode(), new JsonObject { ["metadata"] = new JsonObject { ["deletionTimestamp"] = "2026-01-02T00:00:00Z" } }));
        KubeObject[] pods = [ending, Pod("low", node: "n", cpu: "1")];
        Placement Of(string cpu) => Places(s_node, pods, [Pod("p", cpu: cpu, priority: 9, ns: "other")], null, Reserve("r", "n", """{"cpu":"1"}"""))[0];
        Assert.Equal(("n", 0), (Of("2").Nominated, Of("2").Victims.Count));
        Assert.Equal(["low"], Of("3").Victims.Select(v => v.Name));
        Assert.Null(Of("4").Nominated);
    }

    [Fact]
    public void A_whole_node_is_one_that_keeps_room_for_nobody_else()
    {
        const string Metal = """{"runtimeClassName":"metal"}""";
        Placement Of(string ns, params KubeObject[] reservations) => Places(s_node, [], [Pod("m", Metal, cpu: "3", ns: ns)], null, reservations)[0];
        Assert.Equal(("n", "r"), (Of("default", Reserve("r", "n")).Node, Of("default", Reserve("r", "n")).Reservation));
        Assert.Null(Of("other", Reserve("r", "n")).Node);
        Assert.Null(Of("default", Reserve("r", "n"), Reserve("s", "n", """{"cpu":"1"}""", ns: "other")).Node);
    }

    [Fact]
    public void It_counts_as_used_wherever_free_capacity_is_counted()
    {
        Flavour one = Flavour.Parse("cpu=1");
        Assert.Equal(4, new FleetCapacity(Fleet(s_node, [], []), one).Total().Sellable);
        Assert.Equal(2, new FleetCapacity(Fleet(s_node, [], [Reserve("r", "n")]), one).Total().Sellable);
        Assert.Equal(1, new FleetCapacity(Fleet(s_node, [Inside("in", "r", "n", "3")], [Reserve("r", "n")]), one).Total().Sellable);
    }

    [Fact]
    public void A_reservation_is_placed_as_the_pod_that_stands_for_it()
    {
        KubeObject pending = Reserve("r", null, """{"cpu":"2"}""", spec: """{"nodeSelector":{"disk":"ssd"}}""");
        KubeObject[] nodes = [Node("a"), Node("b", labels: ("disk", "ssd"))];
        Assert.Equal("b", Places(nodes, [], [Snapshot.PodFor(pending)])[0].Node);
        Assert.Contains("1 Insufficient cpu", Places(nodes, [Pod("x", node: "b", cpu: "3")], [Snapshot.PodFor(pending)])[0].Message, StringComparison.Ordinal);
    }
}
