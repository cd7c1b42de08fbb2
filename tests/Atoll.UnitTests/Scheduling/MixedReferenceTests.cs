using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;

namespace Atoll.UnitTests.Scheduling;

/// <summary>All constraints and forms together against plain code, and what must not change a plan.</summary>
public sealed partial class MixedReferenceTests
{
    private static readonly (int Nodes, int Pods, int Pending) s_most = (6, 12, 8);

    private static readonly (int, int, int, int)[] s_failedOnce =
        [(438202966, 3, 10, 2), (723088963, 5, 3, 6), (239716253, 6, 2, 2), (674936361, 5, 12, 7), (872617152, 3, 5, 7), (595219307, 1, 6, 2), (86886091, 5, 1, 6), (400034567, 1, 10, 5), (523077473, 5, 3, 7)];

    [Fact]
    public void Every_plan_is_legal_and_every_refusal_true_whatever_comes_together() => DrawnCases.Each(300, s_most, c =>
    {
        MixedFleet fleet = Draw(c);
        Plan plan = Scheduler.Plan(fleet.Snapshot(), fleet.Pending, fleet.Options(c.Seed));
        Assert.Equal("", string.Join('\n', PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan, fleet.Others, fleet.Options(c.Seed).Profiles)));
        Assert.Equal(Told(plan), Told(Scheduler.Plan(fleet.Snapshot(Enumerable.Reverse(fleet.Nodes)).Fork(), fleet.Pending, fleet.Options(c.Seed))));
    }, s_failedOnce);

    [Fact]
    public void A_pod_that_fits_still_fits_when_a_node_is_added() => DrawnCases.Each(500, s_most, c =>
    {
        MixedFleet fleet = Draw(c with { Pending = 1 }), more = Draw((c.Seed + 7, 1, 0, 1));
        KubeObject pod = fleet.Pending[0];
        PlanOptions options = fleet.Options(1);
        // A node more is a domain more for a spread to even out.
        if (pod.View(ApiJson.Default.Pod).Spec is var spec && (spec.TopologySpreadConstraints is not null || options.Profiles.GetValueOrDefault(spec.SchedulerName ?? "")?.DefaultConstraints.Count > 0)
            || Scheduler.Plan(fleet.Snapshot(), [pod], options).Placements[0].Node is null)
            return;
        JsonObject added = more.Nodes[0].ToNode();
        (added["metadata"]!["name"], added["metadata"]!["uid"], added["metadata"]!["labels"]!["kubernetes.io/hostname"]) = ("added", "added", "added");
        // A node that tells of an image is news of the image, not only a node more.
        added["status"]!["edge"]!.AsObject().Remove("images");
        Assert.NotNull(Scheduler.Plan(fleet.Snapshot([.. fleet.Nodes, KubeObject.FromNode(added)]), [pod], options).Placements[0].Node);
    });

    [Fact]
    public void Other_names_change_no_verdict() => DrawnCases.Each(500, s_most, c =>
    {
        MixedFleet fleet = Draw(c with { Pending = 1 });
        KubeObject pod = fleet.Pending[0];
        if (!string.IsNullOrEmpty(pod.View(ApiJson.Default.Pod).Spec.NodeName))
            return;
        Snapshot renamed = Documents.Fleet(fleet.Nodes.Select(Renamed), fleet.Pods.Select(Renamed), fleet.Others.Select(Renamed));
        foreach (KubeObject ns in fleet.Namespaces)
            renamed.UpsertNamespace(Renamed(ns));
        PlanOptions options = fleet.Options(1);
        Assert.Equal(Verdicts(fleet.Snapshot(), pod).Select(v => Names().Replace(v, "$1other-$2")).Order(), Verdicts(renamed, Renamed(pod)).Order());
        Placement before = Scheduler.Plan(fleet.Snapshot(), [pod], options).Placements[0], after = Scheduler.Plan(renamed, [Renamed(pod)], options).Placements[0];
        Assert.Equal((before.Node is null, before.Nominated is null, before.Victims.Count, before.Volumes.Count), (after.Node is null, after.Nominated is null, after.Victims.Count, after.Volumes.Count));

        IEnumerable<string> Verdicts(Snapshot snapshot, KubeObject of) => Scheduler.Explain(snapshot, of, options).Select(v => $"{v.Node} {v.Total} {string.Join(',', v.Reasons)}");
    });

    [Fact]
    public void No_node_would_have_cost_less_where_pods_are_displaced() => DrawnCases.Each(600, (6, 14, 1), c =>
    {
        RandomFleet fleet = new RandomFleet(c.Seed, c.Nodes, c.Pods, 1).WithBudgets();
        Snapshot snapshot = Documents.Fleet(fleet.Nodes, fleet.Pods, fleet.Others);
        foreach (KubeObject ns in fleet.Namespaces)
            snapshot.UpsertNamespace(ns);
        Placement placement = Scheduler.Plan(snapshot, fleet.Pending, c.Seed).Placements[0];
        if (placement.Node is not null || placement.Pod.View(ApiJson.Default.Pod).Spec.PreemptionPolicy == "Never")
            return;
        var plain = new PlainPreemption(new PlainFleet(fleet.Nodes, fleet.Pods, fleet.Namespaces), fleet.Others);
        (string Node, PlainPreemption.Cost Cost)[] all = [.. fleet.Nodes.Select(n => (n.Name, Cost: plain.Of(placement.Pod, n.Name))).Where(n => n.Cost is not null).Select(n => (n.Name, n.Cost!.Value))];
        Assert.True((all.Length == 0) == (placement.Nominated is null), $"{placement.Message} {placement.Nominated} where {string.Join(", ", all)}");
        if (placement.Nominated is null)
            return;
        PlainPreemption.Cost least = all.Min(a => a.Cost), own = all.First(a => a.Node == placement.Nominated).Cost;
        Assert.True(own == least, $"{placement.Pod.Name} displaces on {placement.Nominated} for {own}, not {least}");
        Assert.Equal(own.Victims, placement.Victims.Count);
    }, (203896239, 5, 9, 1));

    private static MixedFleet Draw((int Seed, int Nodes, int Pods, int Pending) c) => new(c.Seed, c.Nodes, c.Pods, c.Pending);

    private static IEnumerable<string> Told(Plan plan) =>
        plan.Placements.Select(p => $"{p.Node} {p.Message} {p.Nominated} {p.HelpedBy} {p.Reservation} {p.Allocation} {p.Gang} {string.Join(',', p.Victims.Select(v => v.Uid))} {string.Join(',', p.Volumes)}");

    private static KubeObject Renamed(KubeObject value) => KubeObject.FromNode(JsonNode.Parse(Names().Replace(value.ToNode().ToJsonString(), "$1other-$2"))!.AsObject());

    // Nodes, pods, claims, volumes, sites, reservations and namespaces, wherever they are named.
    [GeneratedRegex("""(^|["/ ])([nvcr]\d|f?p\d\d\d|s\d|default|other|org)(?=["/ ]|$)""")]
    private static partial Regex Names();
}
