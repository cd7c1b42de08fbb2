#pragma warning disable CS1591 // Fields of Kubernetes' own types: documented at https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/
using System.Text.Json;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>core/v1 Pod: the fields that Atoll acts on. Quantities are strings; read them with <see cref="Quantities.Quantity"/>.</summary>
public sealed class Pod
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "Pod";
    public ObjectMeta Metadata { get; set; } = new();
    public PodSpec Spec { get; set; } = new();
    public PodStatus? Status { get; set; }
}

/// <summary>A pod template with its spec unparsed, so that no field is lost when a pod is made from it.</summary>
public sealed class PodTemplate
{
    public ObjectMeta? Metadata { get; set; }
    public JsonElement Spec { get; set; }
}

public sealed class PodSpec
{
    public string? NodeName { get; set; }
    public Dictionary<string, string>? NodeSelector { get; set; }
    public Affinity? Affinity { get; set; }
    public List<Toleration>? Tolerations { get; set; }
    public List<TopologySpreadConstraint>? TopologySpreadConstraints { get; set; }
    public string? SchedulerName { get; set; }
    public List<PodSchedulingGate>? SchedulingGates { get; set; }
    public string? PriorityClassName { get; set; }
    public int? Priority { get; set; }
    public string? PreemptionPolicy { get; set; }
    public string? RuntimeClassName { get; set; }
    public Dictionary<string, string>? Overhead { get; set; }
    public List<Container> Containers { get; set; } = [];
    public List<Container>? InitContainers { get; set; }
    public List<Volume>? Volumes { get; set; }
    public string? RestartPolicy { get; set; }
    public long? TerminationGracePeriodSeconds { get; set; }
    public long? ActiveDeadlineSeconds { get; set; }
    public string? DnsPolicy { get; set; }
    public PodDnsConfig? DnsConfig { get; set; }
    public string? Hostname { get; set; }
    public string? Subdomain { get; set; }
    public List<HostAlias>? HostAliases { get; set; }
    public bool? HostNetwork { get; set; }
    public bool? HostPID { get; set; }
    public bool? HostIPC { get; set; }
    public bool? ShareProcessNamespace { get; set; }
    public string? ServiceAccountName { get; set; }
    public bool? AutomountServiceAccountToken { get; set; }
    public List<LocalObjectReference>? ImagePullSecrets { get; set; }
    public PodSecurityContext? SecurityContext { get; set; }
    public bool? EnableServiceLinks { get; set; }
    public List<PodReadinessGate>? ReadinessGates { get; set; }
}

public sealed class PodSchedulingGate { public string Name { get; set; } = ""; }

public sealed class PodReadinessGate { public string ConditionType { get; set; } = ""; }

public sealed class PodDnsConfig
{
    public List<string>? Nameservers { get; set; }
    public List<string>? Searches { get; set; }
    public List<PodDnsConfigOption>? Options { get; set; }
}

public sealed class PodDnsConfigOption { public string Name { get; set; } = ""; public string? Value { get; set; } }

public sealed class HostAlias { public string Ip { get; set; } = ""; public List<string>? Hostnames { get; set; } }

public sealed class LocalObjectReference { public string? Name { get; set; } }

public sealed class PodSecurityContext
{
    public long? RunAsUser { get; set; }
    public long? RunAsGroup { get; set; }
    public bool? RunAsNonRoot { get; set; }
    public List<long>? SupplementalGroups { get; set; }
    public long? FsGroup { get; set; }
    public List<Sysctl>? Sysctls { get; set; }
    public SeccompProfile? SeccompProfile { get; set; }
}

public sealed class Sysctl { public string Name { get; set; } = ""; public string Value { get; set; } = ""; }

public sealed class SeccompProfile { public string Type { get; set; } = ""; public string? LocalhostProfile { get; set; } }

public sealed class Container
{
    public string Name { get; set; } = "";
    public string? Image { get; set; }
    public string? ImagePullPolicy { get; set; }
    public List<string>? Command { get; set; }
    public List<string>? Args { get; set; }
    public string? WorkingDir { get; set; }
    public List<ContainerPort>? Ports { get; set; }
    public List<EnvFromSource>? EnvFrom { get; set; }
    public List<EnvVar>? Env { get; set; }
    public ResourceRequirements? Resources { get; set; }
    public List<VolumeMount>? VolumeMounts { get; set; }
    public Probe? LivenessProbe { get; set; }
    public Probe? ReadinessProbe { get; set; }
    public Probe? StartupProbe { get; set; }
    public Lifecycle? Lifecycle { get; set; }
    public string? TerminationMessagePath { get; set; }
    public string? TerminationMessagePolicy { get; set; }
    public SecurityContext? SecurityContext { get; set; }
    public bool? Stdin { get; set; }
    public bool? StdinOnce { get; set; }
    public bool? Tty { get; set; }

    /// <summary>On an init container, <c>Always</c> makes it a sidecar.</summary>
    public string? RestartPolicy { get; set; }
}

public sealed class ContainerPort
{
    public string? Name { get; set; }
    [System.Text.Json.Serialization.JsonPropertyName("containerPort")]
    public int Number { get; set; }
    public int? HostPort { get; set; }
    public string? HostIP { get; set; }
    public string? Protocol { get; set; }
}

public sealed class EnvFromSource
{
    public string? Prefix { get; set; }
    public OptionalReference? ConfigMapRef { get; set; }
    public OptionalReference? SecretRef { get; set; }
}

public sealed class OptionalReference { public string? Name { get; set; } public bool? Optional { get; set; } }

public sealed class EnvVar
{
    public string Name { get; set; } = "";
    public string? Value { get; set; }
    public EnvVarSource? ValueFrom { get; set; }
}

public sealed class EnvVarSource
{
    public ObjectFieldSelector? FieldRef { get; set; }
    public ResourceFieldSelector? ResourceFieldRef { get; set; }
    public KeySelector? ConfigMapKeyRef { get; set; }
    public KeySelector? SecretKeyRef { get; set; }
}

public sealed class ObjectFieldSelector { public string? ApiVersion { get; set; } public string FieldPath { get; set; } = ""; }

public sealed class ResourceFieldSelector { public string? ContainerName { get; set; } public string Resource { get; set; } = ""; public string? Divisor { get; set; } }

public sealed class KeySelector { public string? Name { get; set; } public string Key { get; set; } = ""; public bool? Optional { get; set; } }

public sealed class ResourceRequirements
{
    public Dictionary<string, string>? Requests { get; set; }
    public Dictionary<string, string>? Limits { get; set; }
}

public sealed class VolumeMount
{
    public string Name { get; set; } = "";
    public string MountPath { get; set; } = "";
    public string? SubPath { get; set; }
    public string? SubPathExpr { get; set; }
    public bool? ReadOnly { get; set; }
    public string? MountPropagation { get; set; }
}

public sealed class Probe
{
    public ExecAction? Exec { get; set; }
    public HttpGetAction? HttpGet { get; set; }
    public TcpSocketAction? TcpSocket { get; set; }
    public GrpcAction? Grpc { get; set; }
    public int? InitialDelaySeconds { get; set; }
    public int? TimeoutSeconds { get; set; }
    public int? PeriodSeconds { get; set; }
    public int? SuccessThreshold { get; set; }
    public int? FailureThreshold { get; set; }
    public long? TerminationGracePeriodSeconds { get; set; }
}

public sealed class ExecAction { public List<string>? Command { get; set; } }

public sealed class HttpGetAction
{
    public string? Path { get; set; }
    public IntOrString Port { get; set; }
    public string? Host { get; set; }
    public string? Scheme { get; set; }
    public List<HttpHeader>? HttpHeaders { get; set; }
}

public sealed class HttpHeader { public string Name { get; set; } = ""; public string Value { get; set; } = ""; }

public sealed class TcpSocketAction { public IntOrString Port { get; set; } public string? Host { get; set; } }

public sealed class GrpcAction { public int Port { get; set; } public string? Service { get; set; } }

public sealed class Lifecycle { public LifecycleHandler? PostStart { get; set; } public LifecycleHandler? PreStop { get; set; } }

public sealed class LifecycleHandler
{
    public ExecAction? Exec { get; set; }
    public HttpGetAction? HttpGet { get; set; }
    public TcpSocketAction? TcpSocket { get; set; }
    public SleepAction? Sleep { get; set; }
}

public sealed class SleepAction { public long Seconds { get; set; } }

public sealed class SecurityContext
{
    public Capabilities? Capabilities { get; set; }
    public bool? Privileged { get; set; }
    public long? RunAsUser { get; set; }
    public long? RunAsGroup { get; set; }
    public bool? RunAsNonRoot { get; set; }
    public bool? ReadOnlyRootFilesystem { get; set; }
    public bool? AllowPrivilegeEscalation { get; set; }
    public SeccompProfile? SeccompProfile { get; set; }
}

public sealed class Capabilities { public List<string>? Add { get; set; } public List<string>? Drop { get; set; } }

public sealed class Volume
{
    public string Name { get; set; } = "";
    public EmptyDirVolumeSource? EmptyDir { get; set; }
    public HostPathVolumeSource? HostPath { get; set; }
    public ConfigMapVolumeSource? ConfigMap { get; set; }
    public SecretVolumeSource? Secret { get; set; }
    public DownwardApiVolumeSource? DownwardAPI { get; set; }
    public ProjectedVolumeSource? Projected { get; set; }
    public PersistentVolumeClaimVolumeSource? PersistentVolumeClaim { get; set; }
}

public sealed class PersistentVolumeClaimVolumeSource { public string ClaimName { get; set; } = ""; public bool? ReadOnly { get; set; } }

public sealed class EmptyDirVolumeSource { public string? Medium { get; set; } public string? SizeLimit { get; set; } }

public sealed class HostPathVolumeSource { public string Path { get; set; } = ""; public string? Type { get; set; } }

public sealed class KeyToPath { public string Key { get; set; } = ""; public string Path { get; set; } = ""; public int? Mode { get; set; } }

public sealed class ConfigMapVolumeSource
{
    public string? Name { get; set; }
    public List<KeyToPath>? Items { get; set; }
    public int? DefaultMode { get; set; }
    public bool? Optional { get; set; }
}

public sealed class SecretVolumeSource
{
    public string? SecretName { get; set; }
    public List<KeyToPath>? Items { get; set; }
    public int? DefaultMode { get; set; }
    public bool? Optional { get; set; }
}

public sealed class DownwardApiVolumeSource { public List<DownwardApiVolumeFile>? Items { get; set; } public int? DefaultMode { get; set; } }

public sealed class DownwardApiVolumeFile
{
    public string Path { get; set; } = "";
    public ObjectFieldSelector? FieldRef { get; set; }
    public ResourceFieldSelector? ResourceFieldRef { get; set; }
    public int? Mode { get; set; }
}

public sealed class ProjectedVolumeSource { public List<VolumeProjection>? Sources { get; set; } public int? DefaultMode { get; set; } }

public sealed class VolumeProjection
{
    public ConfigMapProjection? ConfigMap { get; set; }
    public ConfigMapProjection? Secret { get; set; }
    public DownwardApiVolumeSource? DownwardAPI { get; set; }
    public ServiceAccountTokenProjection? ServiceAccountToken { get; set; }
}

public sealed class ConfigMapProjection { public string? Name { get; set; } public List<KeyToPath>? Items { get; set; } public bool? Optional { get; set; } }

public sealed class ServiceAccountTokenProjection { public string? Audience { get; set; } public long? ExpirationSeconds { get; set; } public string Path { get; set; } = ""; }

public sealed class Toleration
{
    public string? Key { get; set; }
    public string? Operator { get; set; }
    public string? Value { get; set; }
    public string? Effect { get; set; }
    public long? TolerationSeconds { get; set; }
}

public sealed class Affinity
{
    public NodeAffinity? NodeAffinity { get; set; }
    public PodAffinity? PodAffinity { get; set; }
    public PodAffinity? PodAntiAffinity { get; set; }
}

public sealed class NodeAffinity
{
    public NodeSelector? RequiredDuringSchedulingIgnoredDuringExecution { get; set; }
    public List<PreferredSchedulingTerm>? PreferredDuringSchedulingIgnoredDuringExecution { get; set; }
}

public sealed class NodeSelector { public List<NodeSelectorTerm>? NodeSelectorTerms { get; set; } }

public sealed class NodeSelectorTerm
{
    public List<SelectorRequirement>? MatchExpressions { get; set; }
    public List<SelectorRequirement>? MatchFields { get; set; }
}

public sealed class PreferredSchedulingTerm { public int Weight { get; set; } public NodeSelectorTerm Preference { get; set; } = new(); }

public sealed class PodAffinity
{
    public List<PodAffinityTerm>? RequiredDuringSchedulingIgnoredDuringExecution { get; set; }
    public List<WeightedPodAffinityTerm>? PreferredDuringSchedulingIgnoredDuringExecution { get; set; }
}

public sealed class PodAffinityTerm
{
    public LabelSelector? LabelSelector { get; set; }
    public string TopologyKey { get; set; } = "";
    public List<string>? Namespaces { get; set; }
    public LabelSelector? NamespaceSelector { get; set; }
    public List<string>? MatchLabelKeys { get; set; }
    public List<string>? MismatchLabelKeys { get; set; }
}

public sealed class WeightedPodAffinityTerm { public int Weight { get; set; } public PodAffinityTerm PodAffinityTerm { get; set; } = new(); }

public sealed class TopologySpreadConstraint
{
    public int MaxSkew { get; set; }
    public string TopologyKey { get; set; } = "";
    public string WhenUnsatisfiable { get; set; } = "";
    public LabelSelector? LabelSelector { get; set; }
    public int? MinDomains { get; set; }
    public List<string>? MatchLabelKeys { get; set; }
    public string? NodeAffinityPolicy { get; set; }
    public string? NodeTaintsPolicy { get; set; }
}

public sealed class PodStatus
{
    public string? Phase { get; set; }
    public string? Message { get; set; }
    public string? Reason { get; set; }
    public string? NominatedNodeName { get; set; }
    public string? HostIP { get; set; }
    public List<IpAddress>? HostIPs { get; set; }
    public string? PodIP { get; set; }
    public List<IpAddress>? PodIPs { get; set; }
    public DateTimeOffset? StartTime { get; set; }
    public string? QosClass { get; set; }
    public long? ObservedGeneration { get; set; }
    public List<Condition>? Conditions { get; set; }
    public List<ContainerStatus>? InitContainerStatuses { get; set; }
    public List<ContainerStatus>? ContainerStatuses { get; set; }

    /// <summary>The condition of a type, or null.</summary>
    public Condition? Condition(string type) => Conditions?.Find(c => c.Type == type);

    /// <summary>True when the pod was given up because its node died: what still runs of it is to be stopped.</summary>
    public bool IsGivenUp() => Phase == "Failed" && Reason == WellKnown.NodeLost && !ProtocolFaults.Is(ProtocolFault.GivenUpIgnored);
}

public sealed class IpAddress { public string Ip { get; set; } = ""; }

/// <summary>A condition, of pods, nodes, deployments, jobs and sites alike.</summary>
public sealed class Condition
{
    public string Type { get; set; } = "";
    public string Status { get; set; } = "";
    public long? ObservedGeneration { get; set; }
    public DateTimeOffset? LastHeartbeatTime { get; set; }
    public DateTimeOffset? LastProbeTime { get; set; }
    public DateTimeOffset? LastUpdateTime { get; set; }
    public DateTimeOffset? LastTransitionTime { get; set; }
    public string? Reason { get; set; }
    public string? Message { get; set; }
}

public sealed class ContainerStatus
{
    public string Name { get; set; } = "";
    public ContainerState? State { get; set; }
    public ContainerState? LastState { get; set; }
    public bool Ready { get; set; }
    public int RestartCount { get; set; }
    public string Image { get; set; } = "";
    public string ImageID { get; set; } = "";
    public string? ContainerID { get; set; }
    public bool? Started { get; set; }
}

public sealed class ContainerState
{
    public ContainerStateWaiting? Waiting { get; set; }
    public ContainerStateRunning? Running { get; set; }
    public ContainerStateTerminated? Terminated { get; set; }
}

public sealed class ContainerStateWaiting { public string? Reason { get; set; } public string? Message { get; set; } }

public sealed class ContainerStateRunning { public DateTimeOffset? StartedAt { get; set; } }

public sealed class ContainerStateTerminated
{
    public int ExitCode { get; set; }
    public int? Signal { get; set; }
    public string? Reason { get; set; }
    public string? Message { get; set; }
    public DateTimeOffset? StartedAt { get; set; }
    public DateTimeOffset? FinishedAt { get; set; }
    public string? ContainerID { get; set; }
}

public sealed class Binding
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "Binding";
    public ObjectMeta Metadata { get; set; } = new();
    public ObjectReference Target { get; set; } = new();
}

public sealed class ObjectReference
{
    public string? ApiVersion { get; set; }
    public string? Kind { get; set; }
    public string? Namespace { get; set; }
    public string? Name { get; set; }
    public string? Uid { get; set; }
    public string? ResourceVersion { get; set; }
    public string? FieldPath { get; set; }
}

public sealed class Eviction
{
    public string ApiVersion { get; set; } = "policy/v1";
    public string Kind { get; set; } = "Eviction";
    public ObjectMeta Metadata { get; set; } = new();
    public JsonElement? DeleteOptions { get; set; }
}
