#pragma warning disable CS1591 // Fields of Kubernetes' own types: documented at https://kubernetes.io/docs/reference/kubernetes-api/
using System.Text.Json;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>core/v1 Node: the fields that Atoll acts on.</summary>
public sealed class Node
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "Node";
    public ObjectMeta Metadata { get; set; } = new();
    public NodeSpec Spec { get; set; } = new();
    public NodeStatus? Status { get; set; }
}

public sealed class NodeSpec
{
    public string? PodCIDR { get; set; }
    public List<string>? PodCIDRs { get; set; }
    public string? ProviderID { get; set; }
    public bool? Unschedulable { get; set; }
    public List<Taint>? Taints { get; set; }
}

public sealed class Taint
{
    public string Key { get; set; } = "";
    public string? Value { get; set; }
    public string Effect { get; set; } = "";
    public DateTimeOffset? TimeAdded { get; set; }
}

public sealed class NodeStatus
{
    public Dictionary<string, string>? Capacity { get; set; }
    public Dictionary<string, string>? Allocatable { get; set; }
    public List<Condition>? Conditions { get; set; }
    public List<NodeAddress>? Addresses { get; set; }
    public NodeSystemInfo? NodeInfo { get; set; }
    public List<ContainerImage>? Images { get; set; }

    /// <summary>Atoll's own: what the node is made of.</summary>
    public NodeEdge? Edge { get; set; }
}

public sealed class NodeAddress { public string Type { get; set; } = ""; public string Address { get; set; } = ""; }

public sealed class NodeSystemInfo
{
    public string MachineID { get; set; } = "";
    public string SystemUUID { get; set; } = "";
    public string BootID { get; set; } = "";
    public string KernelVersion { get; set; } = "";
    public string OsImage { get; set; } = "";
    public string ContainerRuntimeVersion { get; set; } = "";
    public string KubeletVersion { get; set; } = "";
    public string KubeProxyVersion { get; set; } = "";
    public string OperatingSystem { get; set; } = "";
    public string Architecture { get; set; } = "";
}

public sealed class ContainerImage { public List<string>? Names { get; set; } public long? SizeBytes { get; set; } }

/// <summary>core/v1 ConfigMap.</summary>
public sealed class ConfigMap
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "ConfigMap";
    public ObjectMeta Metadata { get; set; } = new();
    public Dictionary<string, string>? Data { get; set; }
    public Dictionary<string, string>? BinaryData { get; set; }
    public bool? Immutable { get; set; }
}

/// <summary>core/v1 Secret. Values are base64.</summary>
public sealed class Secret
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "Secret";
    public ObjectMeta Metadata { get; set; } = new();
    public string? Type { get; set; }
    public Dictionary<string, string>? Data { get; set; }
    public bool? Immutable { get; set; }
}

/// <summary>core/v1 ServiceAccount.</summary>
public sealed class ServiceAccount
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "ServiceAccount";
    public ObjectMeta Metadata { get; set; } = new();
    public List<LocalObjectReference>? ImagePullSecrets { get; set; }
    public bool? AutomountServiceAccountToken { get; set; }
}

/// <summary>core/v1 Service: stored, not yet acted on.</summary>
public sealed class Service
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "Service";
    public ObjectMeta Metadata { get; set; } = new();
    public ServiceSpec Spec { get; set; } = new();
}

public sealed class ServiceSpec
{
    public string? Type { get; set; }
    public string? ClusterIP { get; set; }
    public string? ExternalName { get; set; }
    public Dictionary<string, string>? Selector { get; set; }
    public List<ServicePort>? Ports { get; set; }
}

public sealed class ServicePort
{
    public string? Name { get; set; }
    public string? Protocol { get; set; }
    public int Port { get; set; }
    public IntOrString? TargetPort { get; set; }
    public int? NodePort { get; set; }
}

/// <summary>core/v1 Event.</summary>
public sealed class Event
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "Event";
    public ObjectMeta Metadata { get; set; } = new();
    public ObjectReference InvolvedObject { get; set; } = new();
    public string? Reason { get; set; }
    public string? Message { get; set; }
    public EventSource? Source { get; set; }
    public DateTimeOffset? FirstTimestamp { get; set; }
    public DateTimeOffset? LastTimestamp { get; set; }
    public int? Count { get; set; }
    public string? Type { get; set; }
    public string? Action { get; set; }
    public string? ReportingComponent { get; set; }
    public string? ReportingInstance { get; set; }
}

public sealed class EventSource { public string? Component { get; set; } public string? Host { get; set; } }

/// <summary>coordination.k8s.io/v1 Lease.</summary>
public sealed class Lease
{
    public string ApiVersion { get; set; } = "coordination.k8s.io/v1";
    public string Kind { get; set; } = "Lease";
    public ObjectMeta Metadata { get; set; } = new();
    public LeaseSpec Spec { get; set; } = new();
}

public sealed class LeaseSpec
{
    public string? HolderIdentity { get; set; }
    public int? LeaseDurationSeconds { get; set; }

    /// <summary>metav1.MicroTime, kept as text.</summary>
    public string? AcquireTime { get; set; }

    /// <summary>metav1.MicroTime, kept as text.</summary>
    public string? RenewTime { get; set; }
    public int? LeaseTransitions { get; set; }
}

/// <summary>node.k8s.io/v1 RuntimeClass: the form of an instance.</summary>
public sealed class RuntimeClass
{
    public string ApiVersion { get; set; } = "node.k8s.io/v1";
    public string Kind { get; set; } = "RuntimeClass";
    public ObjectMeta Metadata { get; set; } = new();
    public string Handler { get; set; } = "";
    public RuntimeClassOverhead? Overhead { get; set; }
    public RuntimeClassScheduling? Scheduling { get; set; }
}

public sealed class RuntimeClassOverhead { public Dictionary<string, string>? PodFixed { get; set; } }

public sealed class RuntimeClassScheduling { public Dictionary<string, string>? NodeSelector { get; set; } public List<Toleration>? Tolerations { get; set; } }

/// <summary>scheduling.k8s.io/v1 PriorityClass.</summary>
public sealed class PriorityClass
{
    public string ApiVersion { get; set; } = "scheduling.k8s.io/v1";
    public string Kind { get; set; } = "PriorityClass";
    public ObjectMeta Metadata { get; set; } = new();
    public int Value { get; set; }
    public bool? GlobalDefault { get; set; }
    public string? Description { get; set; }
    public string? PreemptionPolicy { get; set; }
}

/// <summary>policy/v1 PodDisruptionBudget: how many of a group of pods may be away at once by somebody's will.</summary>
public sealed class PodDisruptionBudget
{
    public string ApiVersion { get; set; } = "policy/v1";
    public string Kind { get; set; } = "PodDisruptionBudget";
    public ObjectMeta Metadata { get; set; } = new();
    public PodDisruptionBudgetSpec Spec { get; set; } = new();
    public PodDisruptionBudgetStatus? Status { get; set; }
}

public sealed class PodDisruptionBudgetSpec
{
    public IntOrString? MinAvailable { get; set; }
    public IntOrString? MaxUnavailable { get; set; }
    public LabelSelector? Selector { get; set; }
    public string? UnhealthyPodEvictionPolicy { get; set; }
}

public sealed class PodDisruptionBudgetStatus
{
    public long? ObservedGeneration { get; set; }
    public Dictionary<string, DateTimeOffset>? DisruptedPods { get; set; }
    public int DisruptionsAllowed { get; set; }
    public int CurrentHealthy { get; set; }
    public int DesiredHealthy { get; set; }
    public int ExpectedPods { get; set; }
    public List<Condition>? Conditions { get; set; }
}
