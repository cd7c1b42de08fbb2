using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>Storage of a snapshot: claims, volumes and classes, shared by its forks.</summary>
public sealed partial class Snapshot
{
    /// <summary>Claims by <c>namespace/name</c>, volumes and classes by name.</summary>
    internal ImmutableDictionary<string, KubeObject> Claims { get; private set; } = ImmutableDictionary.Create<string, KubeObject>(StringComparer.Ordinal);

    internal ImmutableDictionary<string, KubeObject> Volumes { get; private set; } = ImmutableDictionary.Create<string, KubeObject>(StringComparer.Ordinal);

    internal ImmutableDictionary<string, StorageClass> StorageClasses { get; private set; } = ImmutableDictionary.Create<string, StorageClass>(StringComparer.Ordinal);

    /// <summary>Claims whose first pod is being bound: what was decided of them, until their objects tell it.</summary>
    internal ImmutableDictionary<string, ClaimDecision> DecidedClaims { get; private set; } = ImmutableDictionary.Create<string, ClaimDecision>(StringComparer.Ordinal);

    /// <summary>A placement is being carried out: what it decides of its claims holds for later plans from here on.</summary>
    public void Decide(Placement placement)
    {
        ArgumentNullException.ThrowIfNull(placement);
        foreach (VolumeChoice choice in placement.Node is null ? [] : placement.Volumes)
            DecidedClaims = DecidedClaims.SetItem(choice.Claim, new ClaimDecision(choice.Volume, placement.Node!));
    }

    /// <summary>A placement was refused: what it decided of its claims is open again.</summary>
    public void Reopen(Placement placement)
    {
        ArgumentNullException.ThrowIfNull(placement);
        foreach (VolumeChoice choice in placement.Volumes)
            DecidedClaims = DecidedClaims.Remove(choice.Claim);
    }

    /// <summary>Takes in a PersistentVolumeClaim, PersistentVolume or StorageClass, or (null) its end.</summary>
    /// <param name="type">Which of the three.</param>
    /// <param name="key">Its <c>namespace/name</c> or name.</param>
    /// <param name="value">The object as it is now.</param>
    public void SetStorage(ResourceType type, string key, KubeObject? value)
    {
        if (type == Kinds.PersistentVolumeClaim && (value is null || !string.IsNullOrEmpty(value.View(ApiJson.Default.PersistentVolumeClaim).Spec.VolumeName)))
            DecidedClaims = DecidedClaims.Remove(key);
        if (type == Kinds.PersistentVolumeClaim)
            Claims = value is null ? Claims.Remove(key) : Claims.SetItem(key, value);
        else if (type == Kinds.PersistentVolume)
            Volumes = value is null ? Volumes.Remove(key) : Volumes.SetItem(key, value);
        else if (type == Kinds.StorageClass)
            StorageClasses = value is null ? StorageClasses.Remove(key) : StorageClasses.SetItem(key, value.View(ApiJson.Default.StorageClass));
        else
            throw new ArgumentException($"{type.Kind} is no kind of storage", nameof(type));
    }
}
