using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Settings of a SchedulerProfile.</summary>
public sealed class ProfileTests
{
    public static TheoryData<SchedulerProfileSpec, string?> Specs => new()
    {
        { new(), null },
        { new() { Weights = new() { ["NodeResourcesFit"] = 5, ["ImageLocality"] = 0 } }, null },
        { new() { Weights = new() { ["Foo"] = 5 } }, "spec.weights[Foo]: no such score; there are ImageLocality, InterPodAffinity, NodeAffinity, NodeResourcesBalancedAllocation, NodeResourcesFit, PodTopologySpread, TaintToleration" },
        { new() { Weights = new() { ["NodeAffinity"] = 101 } }, "spec.weights[NodeAffinity]: 101 is not in the range 0-100" },
        { new() { ScoringStrategy = new() { Type = "Best" } }, "spec.scoringStrategy.type: Best is not LeastAllocated, MostAllocated or RequestedToCapacityRatio" },
        { new() { ScoringStrategy = new() { Type = "RequestedToCapacityRatio" } }, "spec.scoringStrategy.requestedToCapacityRatio.shape: at least one point is needed" },
        { Ratio((0, 0), (100, 10)), null },
        { Ratio((50, 0), (50, 10)), "spec.scoringStrategy.requestedToCapacityRatio.shape[1].utilization: values must be strictly rising" },
        { Ratio((0, 11)), "spec.scoringStrategy.requestedToCapacityRatio.shape[0].score: 11 is not in the range 0-10" },
        { new() { ScoringStrategy = new() { Resources = [new() { Name = "cpu" }, new() { Name = "cpu" }] } }, "spec.scoringStrategy.resources[1].name: cpu is there twice" },
        { new() { DefaultConstraints = [new() { MaxSkew = 1, TopologyKey = "zone", WhenUnsatisfiable = "DoNotSchedule" }] }, "spec.defaultConstraints: must be empty unless defaultingType is List" },
        { new() { DefaultingType = "List", DefaultConstraints = [new() { MaxSkew = 0, TopologyKey = "zone", WhenUnsatisfiable = "DoNotSchedule" }] }, "spec.defaultConstraints[0].maxSkew: must be greater than zero" },
        { new() { HardPodAffinityWeight = -1 }, "spec.hardPodAffinityWeight: -1 is not in the range 0-100" },
    };

    [Theory]
    [MemberData(nameof(Specs))]
    public void Broken_settings_are_named(SchedulerProfileSpec spec, string? problem)
    {
        SchedulingProfile? read = ProfileReader.Read(spec, out string? said);
        Assert.Equal((problem, problem is null), (said, read is not null));
    }

    [Fact]
    public void What_is_read_is_what_is_used()
    {
        SchedulingProfile profile = ProfileReader.Read(new SchedulerProfileSpec { ScoringStrategy = new() { Type = "MostAllocated" }, Weights = new() { ["NodeResourcesBalancedAllocation"] = 0 } }, out _)!;
        var options = new PlanOptions { Profiles = new Dictionary<string, SchedulingProfile> { ["packing"] = profile } };
        KubeObject[] nodes = [Node("empty"), Node("used")];
        KubeObject[] there = [Pod("x", node: "used", cpu: "1")];
        Assert.Equal("used", Place(nodes, there, Pod("p", """{"schedulerName":"packing"}"""), options).Node);
        Assert.Equal("empty", Place(nodes, there, Pod("p"), options).Node);
    }

    [Fact]
    public void Listed_default_constraints_hold_for_replicas_without_their_own()
    {
        SchedulingProfile profile = ProfileReader.Read(new SchedulerProfileSpec { DefaultingType = "List", DefaultConstraints = [new() { MaxSkew = 1, TopologyKey = "zone", WhenUnsatisfiable = "DoNotSchedule" }] }, out _)!;
        var options = new PlanOptions { Profiles = new Dictionary<string, SchedulingProfile> { [""] = profile } };
        KubeObject[] nodes = [Node("a", cpu: "64", labels: ("zone", "x")), Node("b", cpu: "1", labels: ("zone", "y"))];
        const string Owned = """{"metadata":{"ownerReferences":[{"apiVersion":"apps/v1","kind":"ReplicaSet","name":"r","uid":"r","controller":true}]}}""";
        var snapshot = Fleet(nodes, [], []);
        Plan plan = Scheduler.Plan(snapshot, [.. Enumerable.Range(0, 4).Select(i => Pod($"p{i}", cpu: "1", app: "w", more: Owned))], options);
        Assert.Equal(3, plan.Placements.Count(p => p.Node is not null));
        Assert.Contains("didn't match pod topology spread constraints", plan.Placements[3].Message, StringComparison.Ordinal);
    }

    private static SchedulerProfileSpec Ratio(params (int Use, int Score)[] shape) => new()
    {
        ScoringStrategy = new() { Type = "RequestedToCapacityRatio", RequestedToCapacityRatio = new() { Shape = [.. shape.Select(s => new UtilizationShapePoint { Utilization = s.Use, Score = s.Score })] } },
    };
}
