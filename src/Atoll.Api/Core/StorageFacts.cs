using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Api.Core;

/// <summary>Names that the parts of storage agree on.</summary>
public static class StorageNames
{
    /// <summary>Keeps a volume while a claim is bound to it.</summary>
    public const string VolumeProtection = "kubernetes.io/pv-protection";

    /// <summary>Keeps a claim while a pod uses it.</summary>
    public const string ClaimProtection = "kubernetes.io/pvc-protection";

    /// <summary>Keeps a provisioned volume until its node has erased it.</summary>
    public const string ErasedByNode = "edge.atoll.dev/erase";

    /// <summary>The provisioner of volumes on the disk of the node that a claim's first pod is placed on.</summary>
    public const string LocalProvisioner = "edge.atoll.dev/local";

    /// <summary>A class without a provisioner: its volumes are made by people.</summary>
    public const string NoProvisioner = "kubernetes.io/no-provisioner";

    /// <summary>Annotation of a claim: the node that its first pod was placed on.</summary>
    public const string SelectedNode = "volume.kubernetes.io/selected-node";

    /// <summary>Annotation of a volume: who made it.</summary>
    public const string ProvisionedBy = "pv.kubernetes.io/provisioned-by";

    /// <summary>Annotation: the controller bound them, not a person.</summary>
    public const string BoundByController = "pv.kubernetes.io/bound-by-controller";

    /// <summary>Annotation of a claim: its binding is complete.</summary>
    public const string BindCompleted = "pv.kubernetes.io/bind-completed";

    /// <summary>Reason in the status of a volume whose node has erased it; written by its site.</summary>
    public const string Erased = "Erased";
}

/// <summary>What several parts ask of volumes and claims.</summary>
public static class StorageFacts
{
    /// <summary>The node on whose disk Atoll made a volume; null for a volume that people made.</summary>
    public static string? NodeOfProvisioned(KubeObject volume)
    {
        ArgumentNullException.ThrowIfNull(volume);
        if (volume.Metadata.Annotations?.GetValueOrDefault(StorageNames.ProvisionedBy) != StorageNames.LocalProvisioner)
            return null;
        foreach (NodeSelectorTerm term in volume.View(ApiJson.Default.PersistentVolume).Spec.NodeAffinity?.Required?.NodeSelectorTerms ?? [])
            foreach (SelectorRequirement requirement in term.MatchExpressions ?? [])
                if (requirement is { Key: WellKnown.HostnameLabel, Operator: "In", Values: [{ } node] })
                    return node;
        return null;
    }

    /// <summary>True when a pod mounts a claim of its namespace.</summary>
    public static bool Uses(PodSpec spec, string claim)
    {
        ArgumentNullException.ThrowIfNull(spec);
        foreach (Volume volume in spec.Volumes ?? [])
            if (volume.PersistentVolumeClaim?.ClaimName == claim)
                return true;
        return false;
    }

    /// <summary>True when a volume that nobody has will do for a claim: class, modes, size and selector.</summary>
    public static bool Suits(KubeObject volume, PersistentVolumeClaimSpec claim)
    {
        ArgumentNullException.ThrowIfNull(volume);
        ArgumentNullException.ThrowIfNull(claim);
        PersistentVolumeSpec spec = volume.View(ApiJson.Default.PersistentVolume).Spec;
        return !volume.IsDeleting && (spec.StorageClassName ?? "") == (claim.StorageClassName ?? "") && (spec.VolumeMode ?? "Filesystem") == (claim.VolumeMode ?? "Filesystem")
            && (claim.AccessModes ?? []).TrueForAll(mode => spec.AccessModes?.Contains(mode) == true)
            && SizeOf(spec) >= Wanted(claim) && claim.Selector?.Matches(volume.Metadata.Labels) != false;
    }

    /// <summary>Size of a volume.</summary>
    public static Quantity SizeOf(PersistentVolumeSpec volume) => Quantity.Parse(volume?.Capacity?.GetValueOrDefault("storage"));

    /// <summary>Size that a claim asks for.</summary>
    public static Quantity Wanted(PersistentVolumeClaimSpec claim) => Quantity.Parse(claim?.Resources?.Requests?.GetValueOrDefault("storage"));

    /// <summary>True when a claim waits for its first pod to be placed before it is bound.</summary>
    public static bool WaitsForPod(StorageClass? storageClass) => storageClass?.VolumeBindingMode == "WaitForFirstConsumer";

    /// <summary>True when a volume is set aside for this very claim, by people or by the controller.</summary>
    public static bool IsFor(PersistentVolumeSpec volume, KubeObject claim) =>
        volume?.ClaimRef is { } reference && claim is not null && reference.Name == claim.Name && reference.Namespace == claim.Namespace && (string.IsNullOrEmpty(reference.Uid) || reference.Uid == claim.Uid);
}
