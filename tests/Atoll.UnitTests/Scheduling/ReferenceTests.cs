using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;
using CsCheck;

namespace Atoll.UnitTests.Scheduling;

/// <summary>The scheduler against plain code: random small fleets with every constraint, thousands of them.</summary>
public sealed class ReferenceTests
{
    private static readonly Gen<(int Seed, int Nodes, int Pods, int Pending)> s_case = Gen.Select(Gen.Int[0, 1_000_000_000], Gen.Int[1, 7], Gen.Int[0, 14], Gen.Int[1, 10]);

    [Fact]
    public void Every_plan_is_legal_and_every_refusal_true() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c);
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan));
    }, iter: 1500);

    [Fact]
    public void Every_plan_with_pod_groups_is_legal_whole_and_the_same_twice() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c).WithGangs();
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan, fleet.Others));
        Same(plan, Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed));
    }, iter: 1500);

    [Fact]
    public void Every_plan_with_quotas_is_legal_and_never_beyond_max() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c).WithQuotas();
        if (c.Seed % 3 == 0)
            fleet.WithGangs();
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan, fleet.Others));
        Same(plan, Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed));
    }, iter: 1500);

    [Fact]
    public void Every_choice_scores_as_high_as_any_other_would() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c);
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        var plain = new PlainFleet(fleet.Nodes, fleet.Pods, fleet.Namespaces);
        foreach (Placement placement in plan.Placements)
        {
            plain.Pods.RemoveAll(p => p.Promised && p.Object.Uid == placement.Pod.Uid);
            Dictionary<string, long> scores = PlainScores.Of(plain, placement.Pod);
            if (placement.Node is not null && scores.Count > 0)
                Assert.True(scores.Values.Max() == scores[placement.Node], $"{placement.Pod.Name} went to {placement.Node}: {string.Join(", ", scores)}");
            if ((placement.Node ?? placement.Nominated) is { } node)
                plain.Pods.Add(new PlainPod(placement.Pod, node, placement.Node is null));
        }
    }, iter: 1500);

    [Fact]
    public void An_explanation_gives_the_reasons_and_scores_that_plain_code_finds() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c with { Pending = 1 });
        KubeObject pod = fleet.Pending[0];
        if (pod.View(ApiJson.Default.Pod).Spec.NodeName is not null)
            return;
        var plain = new PlainFleet(fleet.Nodes, fleet.Pods, fleet.Namespaces);
        Dictionary<string, long> scores = PlainScores.Of(plain, pod);
        IReadOnlyList<NodeVerdict> verdicts = Scheduler.Explain(SnapshotOf(fleet), pod, new PlanOptions { Seed = 1 });
        Assert.Equal(fleet.Nodes.Select(n => n.Name).Order(), verdicts.Select(v => v.Node).Order());
        foreach (NodeVerdict verdict in verdicts)
            Assert.Equal(plain.Reasons(pod, verdict.Node).Order(), verdict.Reasons.Order());
        // Scores that are equal everywhere are left out: only differences tell.
        NodeVerdict[] fit = [.. verdicts.Where(v => v.Reasons.Count == 0)];
        Assert.Equal(scores.Count, fit.Length);
        for (int i = 1; i < fit.Length; i++)
            Assert.Equal(scores[fit[0].Node] - scores[fit[i].Node], fit[0].Total - fit[i].Total);
    }, iter: 700);

    [Fact]
    public void The_same_input_and_seed_give_the_same_plan_in_whatever_order_nodes_and_pods_came() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c);
        Plan first = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        var other = new Snapshot();
        foreach (KubeObject pod in Enumerable.Reverse(fleet.Pods))
            other.UpsertPod(pod);
        foreach (KubeObject node in Enumerable.Reverse(fleet.Nodes))
            other.UpsertNode(node);
        foreach (KubeObject ns in fleet.Namespaces)
            other.UpsertNamespace(ns);
        Same(first, Scheduler.Plan(other, fleet.Pending, c.Seed));
    }, iter: 700);

    [Fact]
    public void A_snapshot_kept_from_changes_plans_as_a_new_one_and_its_forks_stay_as_they_were() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c), before = Draw((c.Seed + 1, c.Nodes, c.Pods, 1));
        Snapshot kept = SnapshotOf(before);
        Snapshot fork = kept.Fork();
        Plan old = Scheduler.Plan(fork, fleet.Pending, c.Seed);
        // Everything becomes something else; some nodes and pods go and come back.
        foreach (KubeObject node in before.Nodes.Where((_, i) => i % 2 == 0))
            kept.RemoveNode(node.Name);
        foreach (KubeObject pod in before.Pods.Where((_, i) => i % 3 == 0))
            kept.RemovePod(pod.Uid);
        foreach (KubeObject pod in fleet.Pods)
            kept.UpsertPod(pod);
        Snapshot middle = kept.Fork();
        foreach (KubeObject node in fleet.Nodes)
            kept.UpsertNode(node);
        foreach (KubeObject pod in before.Pods.Where(p => !fleet.Pods.Exists(n => n.Uid == p.Uid)))
            kept.RemovePod(pod.Uid);
        foreach (KubeObject pod in fleet.Pods)
            kept.UpsertPod(pod);
        Plan now = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Same(now, Scheduler.Plan(kept, fleet.Pending, c.Seed));
        Same(old, Scheduler.Plan(fork, fleet.Pending, c.Seed));
        Same(old, Scheduler.Plan(SnapshotOf(before), fleet.Pending, c.Seed));
        // A what-if on a fork changes the fork alone.
        foreach (KubeObject node in fleet.Nodes)
            middle.UpsertNode(node);
        foreach (KubeObject pod in before.Pods.Where(p => !fleet.Pods.Exists(n => n.Uid == p.Uid)))
            middle.RemovePod(pod.Uid);
        Same(now, Scheduler.Plan(middle, fleet.Pending, c.Seed));
        Same(now, Scheduler.Plan(kept, fleet.Pending, c.Seed));
    }, iter: 700);

    [Fact]
    public void Planning_changes_nothing_in_the_snapshot() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c);
        Snapshot snapshot = SnapshotOf(fleet);
        int resources = snapshot.Resources.Count;
        Plan first = Scheduler.Plan(snapshot, fleet.Pending, c.Seed);
        Same(first, Scheduler.Plan(snapshot, fleet.Pending, c.Seed));
        Assert.Equal(resources, snapshot.Resources.Count);
    }, iter: 300);

    [Fact]
    public void A_pod_that_fits_still_fits_when_a_node_is_added() => s_case.Sample(c =>
    {
        RandomFleet fleet = Draw(c with { Pending = 1 }), more = Draw((c.Seed + 7, 9, 0, 1));
        KubeObject pod = fleet.Pending[0];
        // A node more is a domain more for a spread to even out.
        if (pod.View(ApiJson.Default.Pod).Spec.TopologySpreadConstraints is not null)
            return;
        Snapshot snapshot = SnapshotOf(fleet);
        if (Scheduler.Plan(snapshot, [pod], 1).Placements[0].Node is null)
            return;
        snapshot.UpsertNode(more.Nodes[8]);
        Assert.NotNull(Scheduler.Plan(snapshot, [pod], 1).Placements[0].Node);
    }, iter: 700);

    private static RandomFleet Draw((int Seed, int Nodes, int Pods, int Pending) c) => new(c.Seed, c.Nodes, c.Pods, c.Pending);

    private static Snapshot SnapshotOf(RandomFleet fleet)
    {
        Snapshot snapshot = Documents.Fleet(fleet.Nodes, fleet.Pods, fleet.Others);
        foreach (KubeObject ns in fleet.Namespaces)
            snapshot.UpsertNamespace(ns);
        return snapshot;
    }

    private static void Same(Plan left, Plan right)
    {
        Assert.Equal(left.Placements.Select(p => (p.Node, p.Message, p.Nominated, p.HelpedBy)), right.Placements.Select(p => (p.Node, p.Message, p.Nominated, p.HelpedBy)));
        Assert.Equal(left.Placements.SelectMany(p => p.Victims.Select(v => v.Uid)), right.Placements.SelectMany(p => p.Victims.Select(v => v.Uid)));
    }
}
