using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>
/// scheduling.x-k8s.io/v1alpha1 PodGroup: pods that start together or not at all. A pod belongs to the group of its namespace that
/// its label <see cref="PodGroup.Label"/> names. Source: kubernetes-sigs/scheduler-plugins, coscheduling.
/// </summary>
public sealed class PodGroup
{
    /// <summary>Label of a pod: the name of its group.</summary>
    public const string Label = "scheduling.x-k8s.io/pod-group";

    /// <summary>Group and version of the kind.</summary>
    public string ApiVersion { get; set; } = "scheduling.x-k8s.io/v1alpha1";

    /// <summary>Name of the kind.</summary>
    public string Kind { get; set; } = "PodGroup";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is wanted.</summary>
    public PodGroupSpec Spec { get; set; } = new();

    /// <summary>What is: written by the scheduling centre.</summary>
    public PodGroupStatus? Status { get; set; }
}

/// <summary>When a group may start.</summary>
public sealed class PodGroupSpec
{
    /// <summary>How many members have to have a node for any to have one; at least 1.</summary>
    public int MinMember { get; set; }

    /// <summary>What the members need together, for people and other schedulers: Atoll plans the members themselves.</summary>
    public Dictionary<string, string>? MinResources { get; set; }

    /// <summary>Seconds that a group may be half bound before what is bound goes back; 60 when unset.</summary>
    public int? ScheduleTimeoutSeconds { get; set; }
}

/// <summary>What the members do.</summary>
public sealed class PodGroupStatus
{
    /// <summary>Pending, PreScheduling, Scheduling, Scheduled, Running, Unknown, Finished or Failed.</summary>
    public string? Phase { get; set; }

    /// <summary>Controller of the members, as KIND/NAMESPACE/NAME.</summary>
    public string? OccupiedBy { get; set; }

    /// <summary>Members that have a node and have not ended.</summary>
    public int Scheduled { get; set; }

    /// <summary>Members that run.</summary>
    public int Running { get; set; }

    /// <summary>Members that succeeded.</summary>
    public int Succeeded { get; set; }

    /// <summary>Members that failed.</summary>
    public int Failed { get; set; }

    /// <summary>When the first member got its node; null while none has one.</summary>
    public DateTimeOffset? ScheduleStartTime { get; set; }

    /// <summary>Scheduled says whether minMember members have had their nodes together.</summary>
    public List<Condition>? Conditions { get; set; }
}

/// <summary>
/// scheduling.x-k8s.io/v1alpha1 ElasticQuota with a parent: what the pods of a namespace are sure to get (min), and may have while
/// others leave it unused (max). Source: kubernetes-sigs/scheduler-plugins, capacityscheduling; the parent is Atoll's.
/// </summary>
public sealed class ElasticQuota
{
    /// <summary>Label of a pod: the quota of its namespace that it counts in, where there are several.</summary>
    public const string Label = "scheduling.x-k8s.io/elastic-quota";

    /// <summary>Group and version of the kind.</summary>
    public string ApiVersion { get; set; } = "scheduling.x-k8s.io/v1alpha1";

    /// <summary>Name of the kind.</summary>
    public string Kind { get; set; } = "ElasticQuota";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is wanted.</summary>
    public ElasticQuotaSpec Spec { get; set; } = new();

    /// <summary>What is: written by the scheduling centre.</summary>
    public ElasticQuotaStatus? Status { get; set; }
}

/// <summary>Amounts of a quota.</summary>
public sealed class ElasticQuotaSpec
{
    /// <summary>Guaranteed: reclaimed from borrowers when it is asked for.</summary>
    public Dictionary<string, string>? Min { get; set; }

    /// <summary>Never more than this. A resource that is not named has no limit here.</summary>
    public Dictionary<string, string>? Max { get; set; }

    /// <summary>The quota above, as NAME in the same namespace or NAMESPACE/NAME: what is used here counts there too.</summary>
    public string? Parent { get; set; }
}

/// <summary>What of a quota is used.</summary>
public sealed class ElasticQuotaStatus
{
    /// <summary>Requests of the pods that count here, those of children included.</summary>
    public Dictionary<string, string>? Used { get; set; }

    /// <summary>Ready says whether the parent is there and the guarantees fit into it.</summary>
    public List<Condition>? Conditions { get; set; }
}

/// <summary>edge.atoll.dev/v1alpha1 Reservation: room on a node that only certain pods may use, until it expires.</summary>
public sealed class Reservation
{
    /// <summary>Annotation of a pod: the reservation whose room it took.</summary>
    public const string Annotation = "edge.atoll.dev/reservation";

    /// <summary>Group and version of the kind.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Name of the kind.</summary>
    public string Kind { get; set; } = "Reservation";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is wanted.</summary>
    public ReservationSpec Spec { get; set; } = new();

    /// <summary>What is: written by the scheduling centre.</summary>
    public ReservationStatus? Status { get; set; }
}

/// <summary>What is kept, where and for whom.</summary>
public sealed class ReservationSpec
{
    /// <summary>What is kept, by resource.</summary>
    public Dictionary<string, string>? Resources { get; set; }

    /// <summary>Labels that the node must have.</summary>
    public Dictionary<string, string>? NodeSelector { get; set; }

    /// <summary>Taints of the node that do not matter.</summary>
    public List<Toleration>? Tolerations { get; set; }

    /// <summary>Who may use it: pods of any of these.</summary>
    public List<ReservationOwner>? Owners { get; set; }

    /// <summary>Seconds from its creation after which it ends; 86,400 when unset, 0 for never.</summary>
    public int? TtlSeconds { get; set; }
}

/// <summary>Pods by namespace, labels or both.</summary>
public sealed class ReservationOwner
{
    /// <summary>Namespace of the pods; unset for any.</summary>
    public string? Namespace { get; set; }

    /// <summary>Labels of the pods; unset for all.</summary>
    public LabelSelector? Selector { get; set; }
}

/// <summary>Where the room is and who took of it.</summary>
public sealed class ReservationStatus
{
    /// <summary>Pending, Available or Expired.</summary>
    public string? Phase { get; set; }

    /// <summary>Node that keeps the room.</summary>
    public string? NodeName { get; set; }

    /// <summary>When it ends; null for never.</summary>
    public DateTimeOffset? ExpirationTime { get; set; }

    /// <summary>What of it pods have taken.</summary>
    public Dictionary<string, string>? Allocated { get; set; }

    /// <summary>Pods that took of it, as NAMESPACE/NAME, in order; at most 100.</summary>
    public List<string>? CurrentOwners { get; set; }

    /// <summary>Scheduled says whether it has a node, and why not.</summary>
    public List<Condition>? Conditions { get; set; }
}

/// <summary>edge.atoll.dev/v1alpha1 SchedulerProfile: how pods whose schedulerName is its name are scored.</summary>
public sealed class SchedulerProfile
{
    /// <summary>Scores that have a weight, by Kubernetes' plugin names.</summary>
    public static readonly string[] Scores = ["ImageLocality", "InterPodAffinity", "NodeAffinity", "NodeResourcesBalancedAllocation", "NodeResourcesFit", "PodTopologySpread", "TaintToleration"];

    /// <summary>Group and version of the kind.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Name of the kind.</summary>
    public string Kind { get; set; } = "SchedulerProfile";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is wanted.</summary>
    public SchedulerProfileSpec Spec { get; set; } = new();

    /// <summary>What is: written by the scheduling centre.</summary>
    public SchedulerProfileStatus? Status { get; set; }
}

/// <summary>Kubernetes' scheduler settings of one profile. Source: kubescheduler.config.k8s.io/v1.</summary>
public sealed class SchedulerProfileSpec
{
    /// <summary>How free room is scored (NodeResourcesFit).</summary>
    public ScoringStrategySpec? ScoringStrategy { get; set; }

    /// <summary>Weights of scores by Kubernetes' plugin names, 0 to 100; those not named keep Kubernetes' default.</summary>
    public Dictionary<string, int>? Weights { get; set; }

    /// <summary>What a required affinity of another pod counts in InterPodAffinity, 0 to 100; 1 when unset.</summary>
    public int? HardPodAffinityWeight { get; set; }

    /// <summary>System (Kubernetes' own default constraints) or List (<see cref="DefaultConstraints"/>); System when unset.</summary>
    public string? DefaultingType { get; set; }

    /// <summary>Spread constraints, without selectors, of pods that have none of their own.</summary>
    public List<TopologySpreadConstraint>? DefaultConstraints { get; set; }

    /// <summary>False when pods of this profile displace nobody; true when unset.</summary>
    public bool? Preemption { get; set; }
}

/// <summary>The strategy of NodeResourcesFit.</summary>
public sealed class ScoringStrategySpec
{
    /// <summary>LeastAllocated, MostAllocated or RequestedToCapacityRatio.</summary>
    public string? Type { get; set; }

    /// <summary>Resources that count; cpu and memory when unset.</summary>
    public List<ScoredResource>? Resources { get; set; }

    /// <summary>Settings of that strategy.</summary>
    public RequestedToCapacityRatioSpec? RequestedToCapacityRatio { get; set; }
}

/// <summary>A resource that counts in a score.</summary>
public sealed class ScoredResource
{
    /// <summary>Name of the resource.</summary>
    public string Name { get; set; } = "";

    /// <summary>1 to 100; 1 when unset.</summary>
    public int? Weight { get; set; }
}

/// <summary>A score by a curve over use.</summary>
public sealed class RequestedToCapacityRatioSpec
{
    /// <summary>Corners of the curve, by rising use.</summary>
    public List<UtilizationShapePoint>? Shape { get; set; }
}

/// <summary>A corner of a curve.</summary>
public sealed class UtilizationShapePoint
{
    /// <summary>Use in percent, 0 to 100.</summary>
    public int Utilization { get; set; }

    /// <summary>Score there, 0 to 10.</summary>
    public int Score { get; set; }
}

/// <summary>Which settings are in use.</summary>
public sealed class SchedulerProfileStatus
{
    /// <summary>The last spec that was without fault: the one in use.</summary>
    public SchedulerProfileSpec? Active { get; set; }

    /// <summary>Accepted says whether the spec is in use, and what is wrong with it.</summary>
    public List<Condition>? Conditions { get; set; }
}
