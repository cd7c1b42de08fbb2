using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>
/// What new claims and volumes get: the default StorageClass, and the finalizers that keep what is in use. Source:
/// Kubernetes' admission plugins DefaultStorageClass and StorageObjectInUseProtection.
/// </summary>
internal static class StorageAdmission
{
    private const string DefaultClass = "storageclass.kubernetes.io/is-default-class";

    /// <summary>Fills a new claim or volume in; anything else is left alone.</summary>
    public static void Admit(ResourceType type, JsonObject document, Func<ResourceType, ResourceCache> cacheOf)
    {
        if (type == Kinds.PersistentVolume)
            Protect(document, StorageNames.VolumeProtection);
        if (type != Kinds.PersistentVolumeClaim)
            return;
        Protect(document, StorageNames.ClaimProtection);
        if (document.Map("spec") is { } spec && spec["storageClassName"] is null && Default(cacheOf(Kinds.StorageClass)) is { } name)
            spec["storageClassName"] = name;
    }

    // Of several defaults the newest counts, as in Kubernetes.
    private static string? Default(ResourceCache classes)
    {
        KubeObject? newest = null;
        foreach (CachedObject cached in classes.List(Selection.All, "", out _))
            if (cached.Object.Metadata.Annotations?.GetValueOrDefault(DefaultClass) == "true"
                && (newest is null || Nullable.Compare(cached.Object.Metadata.CreationTimestamp, newest.Metadata.CreationTimestamp) is var order && (order > 0 || (order == 0 && string.CompareOrdinal(cached.Object.Name, newest.Name) < 0))))
                newest = cached.Object;
        return newest?.Name;
    }

    private static void Protect(JsonObject document, string finalizer)
    {
        JsonObject metadata = document.Ensure("metadata");
        if (metadata["finalizers"] is not JsonArray all)
            metadata["finalizers"] = all = [];
        if (!all.Any(f => f?.ToString() == finalizer))
            all.Add((JsonNode)finalizer);
    }
}
