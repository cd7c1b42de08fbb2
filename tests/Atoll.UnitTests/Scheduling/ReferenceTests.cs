using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;
using CsCheck;

namespace Atoll.UnitTests.Scheduling;

/// <summary>The scheduler against plain code: random small fleets with every constraint, thousands of them.</summary>
public sealed class ReferenceTests
{
    private static readonly (int Nodes, int Pods, int Pending) s_most = (7, 14, 10);

    [Fact]
    public void Every_plan_is_legal_and_every_refusal_true() => DrawnCases.Each(1500, s_most, c =>
    {
        RandomFleet fleet = Draw(c);
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan));
    });

    [Fact]
    public void Every_plan_with_pod_groups_is_legal_whole_and_the_same_twice() => DrawnCases.Each(1500, s_most, c =>
    {
        RandomFleet fleet = Draw(c).WithGangs();
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan, fleet.Others));
        Same(plan, Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed));
    });

    [Fact]
    public void Every_plan_with_quotas_is_legal_and_never_beyond_max() => DrawnCases.Each(1500, s_most, c =>
    {
        RandomFleet fleet = Draw(c).WithQuotas();
        if (c.Seed % 3 == 0)
            fleet.WithGangs();
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan, fleet.Others));
        Same(plan, Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed));
    }, (588702429, 3, 6, 8));

    [Fact]
    public void Every_plan_with_reservations_keeps_them_for_their_owners() => DrawnCases.Each(1500, s_most, c =>
    {
        RandomFleet fleet = Draw(c).WithReservations();
        if (c.Seed % 3 == 0)
            fleet.WithGangs();
        if (c.Seed % 4 == 0)
            fleet.WithQuotas();
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, c.Seed);
        Assert.Empty(PlanChecker.Check(fleet.Nodes, fleet.Pods, fleet.Namespaces, fleet.Pending, plan, fleet.Others));
        // The same from a snapshot to which everything came in another order, and from its fork.
        var other = new Snapshot();
        foreach (KubeObject reservation in fleet.Others.FindAll(o => o.Kind == "Reservation"))
            other.UpsertReservation(reservation);
        foreach (KubeObject pod in fleet.Pods)
            other.UpsertPod(pod);
        foreach (KubeObject node in fleet.Nodes)
            other.UpsertNode(node);
        foreach (KubeObject node in fleet.Nodes.Where((_, i) => i % 2 == 0))
            other.RemoveNode(node.Name);
        foreach (KubeObject node in fleet.Nodes)
            other.UpsertNode(node);
        foreach (KubeObject ns in fleet.Namespaces)
            other.UpsertNamespace(ns);
        foreach (KubeObject rest in fleet.Others)
            if (rest.Kind == "PodGroup")
                other.UpsertPodGroup(rest);
            else if (rest.Kind == "ElasticQuota")
                other.UpsertQuota(rest);
        Same(plan, Scheduler.Plan(other.Fork(), fleet.Pending, c.Seed));
    });

    [Fact]
    public void Replicas_in_numbers_go_where_a_look_at_every_node_would_put_them() => Gen.Int[0, 1_000_000].Each(150, seed =>
    {
        var random = new Random(seed);
        string[] zones = ["x", "y", "z"];
        KubeObject[] nodes = [.. Enumerable.Range(0, random.Next(3, 25)).Select(i =>
            Documents.Node($"n{i}", cpu: $"{random.Next(1, 5)}", labels: random.Next(10) == 0 ? [] : [(Atoll.Api.Core.WellKnown.ZoneLabel, zones[random.Next(3)])]))];
        KubeObject[] there = [.. Enumerable.Range(0, random.Next(20)).Select(i => Documents.Pod($"t{i}", node: $"n{random.Next(nodes.Length)}", app: random.Next(2) == 0 ? "w" : "v"))];
        const string Owned = """{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"r","controller":true}]}}""";
        string[] specs =
        [
            "{}",
            """{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"topology.kubernetes.io/zone","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app":"w"}}}]}""",
            """{"topologySpreadConstraints":[{"maxSkew":2,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app":"w"}}},{"maxSkew":1,"topologyKey":"topology.kubernetes.io/zone","whenUnsatisfiable":"ScheduleAnyway","labelSelector":{"matchLabels":{"app":"w"}}}]}""",
        ];
        string spec = specs[random.Next(specs.Length)];
        List<KubeObject> pending = [.. Enumerable.Range(0, 30).Select(i => random.Next(6) == 0
            ? Documents.Pod($"o{i}", cpu: "300m", app: random.Next(2) == 0 ? "w" : "v") : Documents.Pod($"p{i}", spec, cpu: "200m", app: "w", more: Owned))];
        Plan plan = Scheduler.Plan(Documents.Fleet(nodes, there, []), pending, seed);
        var plain = new PlainFleet(nodes, there, []);
        foreach (Placement placement in plan.Placements)
        {
            Dictionary<string, long> scores = PlainScores.Of(plain, placement.Pod);
            Assert.Equal(scores.Count == 0, placement.Node is null);
            if (placement.Node is null)
                continue;
            Assert.True(scores.Values.Max() == scores[placement.Node], $"{placement.Pod.Name} went to {placement.Node}: {string.Join(", ", scores)}");
            plain.Pods.Add(new PlainPod(placement.Pod, placement.Node, false));
        }
    });

    [Fact]
    public void Every_choice_scores_as_high_as_any_other_would() => DrawnCases.Each(1500, s_most, c =>
    {
        RandomFleet fleet = Draw(c);
        SchedulingProfile profile = Profile(c.Seed);
        Plan plan = Scheduler.Plan(SnapshotOf(fleet), fleet.Pending, new PlanOptions { Seed = c.Seed, Profiles = new Dictionary<string, SchedulingProfile> { [""] = profile } });
        var plain = new PlainFleet(fleet.Nodes, fleet.Pods, fleet.Namespaces);
        foreach (Placement placement in plan.Placements)
        {
            plain.Pods.RemoveAll(p => p.Promised && p.Object.Uid == placement.Pod.Uid);
            Dictionary<string, long> scores = PlainScores.Of(plain, placement.Pod, profile);
            if (placement.Node is not null && scores.Count > 0)
                Assert.True(scores.Values.Max() == scores[placement.Node], $"{placement.Pod.Name} went to {placement.Node}: {string.Join(", ", scores)}");
            if ((placement.Node ?? placement.Nominated) is { } node)
                plain.Pods.Add(new PlainPod(placement.Pod, node, placement.Node is null));
        }
    });

    [Fact]
    public void An_explanation_gives_the_reasons_and_scores_that_plain_code_finds() => DrawnCases.Each(700, s_most, c =>
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
    });

    [Fact]
    public void The_same_input_and_seed_give_the_same_plan_in_whatever_order_nodes_and_pods_came() => DrawnCases.Each(700, s_most, c =>
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
    });

    [Fact]
    public void A_snapshot_kept_from_changes_plans_as_a_new_one_and_its_forks_stay_as_they_were() => DrawnCases.Each(700, s_most, c =>
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
    });

    [Fact]
    public void Planning_changes_nothing_in_the_snapshot() => DrawnCases.Each(300, s_most, c =>
    {
        RandomFleet fleet = Draw(c);
        Snapshot snapshot = SnapshotOf(fleet);
        int resources = snapshot.Resources.Count;
        Plan first = Scheduler.Plan(snapshot, fleet.Pending, c.Seed);
        Same(first, Scheduler.Plan(snapshot, fleet.Pending, c.Seed));
        Assert.Equal(resources, snapshot.Resources.Count);
    });

    [Fact]
    public void A_pod_that_fits_still_fits_when_a_node_is_added() => DrawnCases.Each(700, s_most, c =>
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
    });

    // Half of the cases by Kubernetes' own profile.
    private static SchedulingProfile Profile(int seed) => (seed % 6) switch
    {
        0 => new SchedulingProfile { Strategy = ScoringStrategy.MostAllocated },
        1 => new SchedulingProfile { Strategy = ScoringStrategy.RequestedToCapacityRatio, Shape = [new(0, 10), new(40, 2), new(100, 7)], StrategyResources = [new("cpu", 3), new("example.com/gpu", 5)] },
        2 => new SchedulingProfile { Strategy = ScoringStrategy.LeastAllocated, StrategyResources = [new("memory", 2), new("example.com/gpu", 1)] },
        _ => SchedulingProfile.Default,
    };

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
        Assert.Equal(left.Placements.Select(p => (p.Node, p.Message, p.Nominated, p.HelpedBy, p.Reservation)), right.Placements.Select(p => (p.Node, p.Message, p.Nominated, p.HelpedBy, p.Reservation)));
        Assert.Equal(left.Placements.SelectMany(p => p.Victims.Select(v => v.Uid)), right.Placements.SelectMany(p => p.Victims.Select(v => v.Uid)));
    }
}
