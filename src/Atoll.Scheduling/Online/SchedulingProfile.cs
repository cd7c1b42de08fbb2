using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>How free room is scored: Kubernetes' NodeResourcesFit scoringStrategy.</summary>
public enum ScoringStrategy
{
    /// <summary>Emptier nodes first.</summary>
    LeastAllocated,

    /// <summary>Fuller nodes first.</summary>
    MostAllocated,

    /// <summary>By <see cref="SchedulingProfile.Shape"/>.</summary>
    RequestedToCapacityRatio,
}

/// <summary>One corner of a score over use.</summary>
/// <param name="Utilization">Use in percent, 0..100.</param>
/// <param name="Score">Score there, 0..10.</param>
public readonly record struct ShapePoint(int Utilization, int Score);

/// <summary>
/// What one schedulerName stands for: the strategy and weights of the scores. The defaults are Kubernetes'. Source:
/// kubescheduler.config.k8s.io/v1.
/// </summary>
public sealed record SchedulingProfile
{
    /// <summary>Kubernetes' own profile.</summary>
    public static SchedulingProfile Default { get; } = new();

    /// <summary>Strategy of NodeResourcesFit.</summary>
    public ScoringStrategy Strategy { get; init; } = ScoringStrategy.LeastAllocated;

    /// <summary>Resources that the strategy looks at, with their weights, 1..100.</summary>
    public IReadOnlyList<KeyValuePair<string, int>> StrategyResources { get; init; } = [new("cpu", 1), new("memory", 1)];

    /// <summary>Score over use for <see cref="ScoringStrategy.RequestedToCapacityRatio"/>, by rising use.</summary>
    public IReadOnlyList<ShapePoint> Shape { get; init; } = [new(0, 0), new(100, 10)];

    /// <summary>Weight of NodeResourcesFit.</summary>
    public int NodeResourcesFit { get; init; } = 1;

    /// <summary>Weight of NodeResourcesBalancedAllocation.</summary>
    public int NodeResourcesBalancedAllocation { get; init; } = 1;

    /// <summary>Weight of NodeAffinity's preferences.</summary>
    public int NodeAffinity { get; init; } = 2;

    /// <summary>Weight of TaintToleration (PreferNoSchedule).</summary>
    public int TaintToleration { get; init; } = 3;

    /// <summary>Weight of PodTopologySpread (ScheduleAnyway).</summary>
    public int PodTopologySpread { get; init; } = 2;

    /// <summary>Weight of InterPodAffinity's preferences.</summary>
    public int InterPodAffinity { get; init; } = 2;

    /// <summary>Weight of ImageLocality.</summary>
    public int ImageLocality { get; init; } = 1;

    /// <summary>
    /// Weight of GpuFragmentation: points for each fiftieth of a GPU that a GPU pod strands less. 0 leaves GPU pods to the scores by
    /// cpu and memory.
    /// </summary>
    public int GpuFragmentation { get; init; } = 10;

    /// <summary>What another pod's required affinity to this one counts in InterPodAffinity's score, 0..100.</summary>
    public int HardPodAffinityWeight { get; init; } = 1;

    /// <summary>True when replicas without constraints are spread over sites and nodes where that costs nothing else.</summary>
    public bool SystemDefaultSpread { get; init; } = true;

    /// <summary>Constraints, without selectors, of replicas that have none of their own, where <see cref="SystemDefaultSpread"/> is off.</summary>
    public IReadOnlyList<TopologySpreadConstraint> DefaultConstraints { get; init; } = [];

    /// <summary>True when a pod that fits nowhere may take the place of pods of lower priority.</summary>
    public bool DefaultPreemption { get; init; } = true;
}

/// <summary>What a plan is made with besides the fleet and the pods.</summary>
public sealed record PlanOptions
{
    /// <summary>Draws the order among nodes of equal score.</summary>
    public int Seed { get; init; }

    /// <summary>Profiles by schedulerName; a name that is not here gets <see cref="SchedulingProfile.Default"/>.</summary>
    public IReadOnlyDictionary<string, SchedulingProfile> Profiles { get; init; } = new Dictionary<string, SchedulingProfile>();
}
