#pragma warning disable CS1591 // Fields of Kubernetes' own types: documented at https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/
using System.Text.Json;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>apps/v1 Deployment: the fields that Atoll acts on.</summary>
public sealed class Deployment
{
    public string ApiVersion { get; set; } = "apps/v1";
    public string Kind { get; set; } = "Deployment";
    public ObjectMeta Metadata { get; set; } = new();
    public DeploymentSpec Spec { get; set; } = new();
    public DeploymentStatus? Status { get; set; }
}

public sealed class DeploymentSpec
{
    public int? Replicas { get; set; }
    public LabelSelector? Selector { get; set; }
    public JsonElement Template { get; set; }
    public DeploymentStrategy? Strategy { get; set; }
    public int? MinReadySeconds { get; set; }
    public int? RevisionHistoryLimit { get; set; }
    public bool? Paused { get; set; }
    public int? ProgressDeadlineSeconds { get; set; }
}

public sealed class DeploymentStrategy { public string? Type { get; set; } public RollingUpdate? RollingUpdate { get; set; } }

public sealed class RollingUpdate { public IntOrString? MaxSurge { get; set; } public IntOrString? MaxUnavailable { get; set; } public int? Partition { get; set; } }

public sealed class DeploymentStatus
{
    public long? ObservedGeneration { get; set; }
    public int? Replicas { get; set; }
    public int? UpdatedReplicas { get; set; }
    public int? ReadyReplicas { get; set; }
    public int? AvailableReplicas { get; set; }
    public int? UnavailableReplicas { get; set; }
    public int? CollisionCount { get; set; }
    public List<Condition>? Conditions { get; set; }
}

/// <summary>apps/v1 ReplicaSet: the fields that Atoll acts on.</summary>
public sealed class ReplicaSet
{
    public string ApiVersion { get; set; } = "apps/v1";
    public string Kind { get; set; } = "ReplicaSet";
    public ObjectMeta Metadata { get; set; } = new();
    public ReplicaSetSpec Spec { get; set; } = new();
    public ReplicaSetStatus? Status { get; set; }
}

public sealed class ReplicaSetSpec
{
    public int? Replicas { get; set; }
    public int? MinReadySeconds { get; set; }
    public LabelSelector? Selector { get; set; }
    public JsonElement Template { get; set; }
}

public sealed class ReplicaSetStatus
{
    public int Replicas { get; set; }
    public int? FullyLabeledReplicas { get; set; }
    public int? ReadyReplicas { get; set; }
    public int? AvailableReplicas { get; set; }
    public long? ObservedGeneration { get; set; }
    public List<Condition>? Conditions { get; set; }
}

/// <summary>apps/v1 DaemonSet: the fields that Atoll acts on.</summary>
public sealed class DaemonSet
{
    public string ApiVersion { get; set; } = "apps/v1";
    public string Kind { get; set; } = "DaemonSet";
    public ObjectMeta Metadata { get; set; } = new();
    public DaemonSetSpec Spec { get; set; } = new();
    public DaemonSetStatus? Status { get; set; }
}

public sealed class DaemonSetSpec
{
    public LabelSelector? Selector { get; set; }
    public JsonElement Template { get; set; }
    public DeploymentStrategy? UpdateStrategy { get; set; }
    public int? MinReadySeconds { get; set; }
    public int? RevisionHistoryLimit { get; set; }
}

public sealed class DaemonSetStatus
{
    public int CurrentNumberScheduled { get; set; }
    public int NumberMisscheduled { get; set; }
    public int DesiredNumberScheduled { get; set; }
    public int NumberReady { get; set; }
    public long? ObservedGeneration { get; set; }
    public int? UpdatedNumberScheduled { get; set; }
    public int? NumberAvailable { get; set; }
    public int? NumberUnavailable { get; set; }
    public int? CollisionCount { get; set; }
    public List<Condition>? Conditions { get; set; }
}

/// <summary>apps/v1 StatefulSet: the fields that Atoll acts on.</summary>
public sealed class StatefulSet
{
    public string ApiVersion { get; set; } = "apps/v1";
    public string Kind { get; set; } = "StatefulSet";
    public ObjectMeta Metadata { get; set; } = new();
    public StatefulSetSpec Spec { get; set; } = new();
    public StatefulSetStatus? Status { get; set; }
}

public sealed class StatefulSetSpec
{
    public int? Replicas { get; set; }
    public LabelSelector? Selector { get; set; }
    public JsonElement Template { get; set; }
    public List<JsonElement>? VolumeClaimTemplates { get; set; }
    public string? ServiceName { get; set; }
    public string? PodManagementPolicy { get; set; }
    public DeploymentStrategy? UpdateStrategy { get; set; }
    public int? RevisionHistoryLimit { get; set; }
    public int? MinReadySeconds { get; set; }
    public ClaimRetention? PersistentVolumeClaimRetentionPolicy { get; set; }
    public StatefulSetOrdinals? Ordinals { get; set; }
}

public sealed class ClaimRetention { public string? WhenDeleted { get; set; } public string? WhenScaled { get; set; } }

public sealed class StatefulSetOrdinals { public int? Start { get; set; } }

public sealed class StatefulSetStatus
{
    public long? ObservedGeneration { get; set; }
    public int Replicas { get; set; }
    public int? ReadyReplicas { get; set; }
    public int? CurrentReplicas { get; set; }
    public int? UpdatedReplicas { get; set; }
    public int? AvailableReplicas { get; set; }
    public string? CurrentRevision { get; set; }
    public string? UpdateRevision { get; set; }
    public int? CollisionCount { get; set; }
    public List<Condition>? Conditions { get; set; }
}

/// <summary>apps/v1 ControllerRevision.</summary>
public sealed class ControllerRevision
{
    public string ApiVersion { get; set; } = "apps/v1";
    public string Kind { get; set; } = "ControllerRevision";
    public ObjectMeta Metadata { get; set; } = new();
    public JsonElement? Data { get; set; }
    public long Revision { get; set; }
}

/// <summary>batch/v1 Job: the fields that Atoll acts on.</summary>
public sealed class Job
{
    public string ApiVersion { get; set; } = "batch/v1";
    public string Kind { get; set; } = "Job";
    public ObjectMeta Metadata { get; set; } = new();
    public JobSpec Spec { get; set; } = new();
    public JobStatus? Status { get; set; }
}

public sealed class JobSpec
{
    public int? Parallelism { get; set; }
    public int? Completions { get; set; }
    public long? ActiveDeadlineSeconds { get; set; }
    public int? BackoffLimit { get; set; }
    public LabelSelector? Selector { get; set; }
    public bool? ManualSelector { get; set; }
    public JsonElement Template { get; set; }
    public int? TtlSecondsAfterFinished { get; set; }
    public string? CompletionMode { get; set; }
    public bool? Suspend { get; set; }
    public string? PodReplacementPolicy { get; set; }
    public PodFailurePolicy? PodFailurePolicy { get; set; }
}

public sealed class PodFailurePolicy { public List<PodFailurePolicyRule>? Rules { get; set; } }

public sealed class PodFailurePolicyRule
{
    public string Action { get; set; } = "";
    public PodFailurePolicyOnExitCodes? OnExitCodes { get; set; }
    public List<PodFailurePolicyOnPodCondition>? OnPodConditions { get; set; }
}

public sealed class PodFailurePolicyOnExitCodes
{
    public string? ContainerName { get; set; }
    public string Operator { get; set; } = "";
    public List<int>? Values { get; set; }
}

public sealed class PodFailurePolicyOnPodCondition { public string Type { get; set; } = ""; public string? Status { get; set; } }

public sealed class JobStatus
{
    public List<Condition>? Conditions { get; set; }
    public DateTimeOffset? StartTime { get; set; }
    public DateTimeOffset? CompletionTime { get; set; }
    public int? Active { get; set; }
    public int? Succeeded { get; set; }
    public int? Failed { get; set; }
    public int? Ready { get; set; }
    public int? Terminating { get; set; }
    public string? CompletedIndexes { get; set; }
    public UncountedTerminatedPods? UncountedTerminatedPods { get; set; }
}

public sealed class UncountedTerminatedPods { public List<string>? Succeeded { get; set; } public List<string>? Failed { get; set; } }

/// <summary>autoscaling/v1 Scale.</summary>
public sealed class Scale
{
    public string ApiVersion { get; set; } = "autoscaling/v1";
    public string Kind { get; set; } = "Scale";
    public ObjectMeta Metadata { get; set; } = new();
    public ScaleSpec? Spec { get; set; }
    public ScaleStatus? Status { get; set; }
}

public sealed class ScaleSpec { public int? Replicas { get; set; } }

public sealed class ScaleStatus { public int Replicas { get; set; } public string? Selector { get; set; } }
