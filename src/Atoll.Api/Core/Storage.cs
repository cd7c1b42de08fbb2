#pragma warning disable CS1591 // Fields of Kubernetes' own types: documented at https://kubernetes.io/docs/reference/kubernetes-api/config-and-storage-resources/
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>core/v1 PersistentVolume: storage that outlives pods; at a site it lies on one node's disk.</summary>
public sealed class PersistentVolume
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "PersistentVolume";
    public ObjectMeta Metadata { get; set; } = new();
    public PersistentVolumeSpec Spec { get; set; } = new();
    public PersistentVolumeStatus? Status { get; set; }
}

public sealed class PersistentVolumeSpec
{
    public List<string>? AccessModes { get; set; }
    public Dictionary<string, string>? Capacity { get; set; }
    public ObjectReference? ClaimRef { get; set; }
    public string? StorageClassName { get; set; }
    public string? VolumeMode { get; set; }
    public string? PersistentVolumeReclaimPolicy { get; set; }
    public VolumeNodeAffinity? NodeAffinity { get; set; }
    public LocalVolumeSource? Local { get; set; }
    public HostPathVolumeSource? HostPath { get; set; }
}

public sealed class VolumeNodeAffinity { public NodeSelector? Required { get; set; } }

public sealed class LocalVolumeSource { public string Path { get; set; } = ""; }

public sealed class PersistentVolumeStatus { public string? Phase { get; set; } public string? Reason { get; set; } public string? Message { get; set; } }

/// <summary>core/v1 PersistentVolumeClaim: a pod's request for storage.</summary>
public sealed class PersistentVolumeClaim
{
    public string ApiVersion { get; set; } = "v1";
    public string Kind { get; set; } = "PersistentVolumeClaim";
    public ObjectMeta Metadata { get; set; } = new();
    public PersistentVolumeClaimSpec Spec { get; set; } = new();
    public PersistentVolumeClaimStatus? Status { get; set; }
}

public sealed class PersistentVolumeClaimSpec
{
    public List<string>? AccessModes { get; set; }
    public ResourceRequirements? Resources { get; set; }
    public string? StorageClassName { get; set; }
    public LabelSelector? Selector { get; set; }
    public string? VolumeName { get; set; }
    public string? VolumeMode { get; set; }
}

public sealed class PersistentVolumeClaimStatus
{
    public string? Phase { get; set; }
    public List<string>? AccessModes { get; set; }
    public Dictionary<string, string>? Capacity { get; set; }
}

/// <summary>storage.k8s.io/v1 StorageClass: how claims of a class get their volumes.</summary>
public sealed class StorageClass
{
    public string ApiVersion { get; set; } = "storage.k8s.io/v1";
    public string Kind { get; set; } = "StorageClass";
    public ObjectMeta Metadata { get; set; } = new();
    public string Provisioner { get; set; } = "";
    public string? ReclaimPolicy { get; set; }
    public string? VolumeBindingMode { get; set; }
    public List<TopologySelectorTerm>? AllowedTopologies { get; set; }
}

public sealed class TopologySelectorTerm { public List<TopologySelectorLabelRequirement>? MatchLabelExpressions { get; set; } }

public sealed class TopologySelectorLabelRequirement { public string Key { get; set; } = ""; public List<string>? Values { get; set; } }
