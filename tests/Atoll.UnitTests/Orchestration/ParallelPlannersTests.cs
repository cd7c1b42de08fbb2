using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Binding;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Orchestration;

public sealed class ParallelPlannersTests
{
    private static Snapshot Nodes(int count)
    {
        var snapshot = new Snapshot();
        for (int i = 0; i < count; i++)
            snapshot.UpsertNode(Node($"n{i}", cpu: "1"));
        return snapshot;
    }

    [Fact]
    public async Task WhatOnePlannerTookIsAConflictForTheOther()
    {
        // Room for exactly as many as there are pods: planners that know nothing of each other must collide.
        const int Pods = 2 * ParallelPlanners.LeastShare;
        Snapshot snapshot = Nodes(Pods);
        List<KubeObject> batch = [.. Enumerable.Range(0, Pods).Select(i => Pod($"p{i}", cpu: "1"))];
        IReadOnlyList<Plan> plans = await ParallelPlanners.PlanAsync(snapshot.Fork(), batch, new PlanOptions { Seed = 1 }, planners: 2);
        Assert.Equal(2, plans.Count);
        Assert.Equal(batch.Select(p => p.Uid), plans.SelectMany(p => p.Placements).Select(p => p.Pod.Uid));
        var taken = new HashSet<string>(StringComparer.Ordinal);
        var rest = new List<KubeObject>();
        foreach (Placement placement in plans.SelectMany(p => p.Placements))
            if (snapshot.HasRoom(placement.Pod, placement.Node!))
            {
                snapshot.UpsertPod(placement.Pod, placement.Node);
                Assert.True(taken.Add(placement.Node!));
            }
            else
                rest.Add(placement.Pod);
        Assert.True(taken.Count >= ParallelPlanners.LeastShare);
        // What collided is planned again, alone, and fits.
        Assert.All(Scheduler.Plan(snapshot.Fork(), rest, seed: 1).Placements, p => Assert.NotNull(p.Node));
    }

    [Fact]
    public async Task PodsThatMatterToEachOtherStayWithOnePlanner()
    {
        const string Spread = """{"topologySpreadConstraints":[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"DoNotSchedule","labelSelector":{"matchLabels":{"app":"a"}}}]}""";
        List<KubeObject> batch = [.. Enumerable.Range(0, 2 * ParallelPlanners.LeastShare).Select(i => Pod($"p{i}", Spread, app: "a"))];
        Assert.Single(await ParallelPlanners.PlanAsync(Nodes(10), batch, new PlanOptions { Seed = 1 }, planners: 2));
        Assert.Single(await ParallelPlanners.PlanAsync(Nodes(10), [Pod("one")], new PlanOptions { Seed = 1 }, planners: 2));
    }

    [Theory]
    [InlineData("DoNotSchedule", 1)]
    [InlineData("ScheduleAnyway", 2)]
    public async Task PodsToWhichTheirProfileGivesConstraintsThatMustHoldStayWithOnePlanner(string when, int plans)
    {
        var profile = new SchedulingProfile { SystemDefaultSpread = false, DefaultConstraints = [new TopologySpreadConstraint { TopologyKey = "kubernetes.io/hostname", MaxSkew = 1, WhenUnsatisfiable = when }] };
        var options = new PlanOptions { Seed = 1, Profiles = new Dictionary<string, SchedulingProfile> { ["even"] = profile } };
        List<KubeObject> batch = [.. Enumerable.Range(0, 2 * ParallelPlanners.LeastShare).Select(i => Pod($"p{i}", """{"schedulerName":"even"}""", app: "a"))];
        Assert.Equal(plans, (await ParallelPlanners.PlanAsync(Nodes(10), batch, options, planners: 2)).Count);
    }
}
