using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Volumes;

/// <summary>
/// Keeps the phase of each volume, and ends a volume whose claim went as its reclaim policy says: Retain keeps it and its data
/// for people; Delete deletes one that Atoll made, which is gone once its node has erased it (or is itself gone). A volume that
/// people made is never erased. Source: Kubernetes, "Persistent Volumes": reclaiming.
/// </summary>
internal sealed class VolumeController : Controller
{
    public VolumeController(Cluster cluster) : base(cluster, 2)
    {
        Volumes.Listen((old, now) => Queue.Add((now ?? old!).Key));
        cluster.Of(Kinds.PersistentVolumeClaim).Listen((old, now) =>
        {
            if ((now ?? old!).View(ApiJson.Default.PersistentVolumeClaim).Spec.VolumeName is { Length: > 0 } volume)
                Queue.Add(volume);
        });
        cluster.Nodes.Listen((old, now) =>
        {
            if (now is null)
                foreach (KubeObject volume in Volumes.All())
                    if (StorageFacts.NodeOfProvisioned(volume) == old!.Name)
                        Queue.Add(volume.Key);
        });
    }

    private Copy Volumes => Cluster.Of(Kinds.PersistentVolume);

    public override IEnumerable<string> Keys() => Volumes.Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Volumes.Get(key) is not { } volume)
            return Next.Done;
        PersistentVolume view = volume.View(ApiJson.Default.PersistentVolume);
        KubeObject? claim = view.Spec.ClaimRef is { } reference ? Cluster.Of(Kinds.PersistentVolumeClaim).Get($"{reference.Namespace}/{reference.Name}") : null;
        bool held = claim is not null && StorageFacts.IsFor(view.Spec, claim);
        if (volume.IsDeleting)
            return await LetGoAsync(volume, held, cancellation).ConfigureAwait(false);
        if (view.Spec.ClaimRef is null)
            return await PhaseAsync(volume, "Available", null, cancellation).ConfigureAwait(false);
        if (held)
            return await PhaseAsync(volume, claim!.View(ApiJson.Default.PersistentVolumeClaim).Spec.VolumeName == volume.Name ? "Bound" : "Available", null, cancellation).ConfigureAwait(false);
        // Set aside for a claim that does not exist yet.
        if (string.IsNullOrEmpty(view.Spec.ClaimRef.Uid))
            return await PhaseAsync(volume, "Available", null, cancellation).ConfigureAwait(false);
        // The mirror of claims may be behind the one of volumes: only the API's word frees a volume.
        if (await Cluster.Api.GetAsync(Kinds.PersistentVolumeClaim, view.Spec.ClaimRef.Namespace, view.Spec.ClaimRef.Name!, cancellation).ConfigureAwait(false) is { } found && (found.Object?.Uid == view.Spec.ClaimRef.Uid || !(found.Ok || found.IsNotFound)))
            return Next.Retry;
        return await ReclaimAsync(volume, view, cancellation).ConfigureAwait(false);
    }

    private async ValueTask<Next> ReclaimAsync(KubeObject volume, PersistentVolume view, CancellationToken cancellation)
    {
        if (view.Spec.PersistentVolumeReclaimPolicy != "Delete")
            return await PhaseAsync(volume, "Released", null, cancellation).ConfigureAwait(false);
        if (StorageFacts.NodeOfProvisioned(volume) is null)
        {
            Cluster.Events.Warning(volume, "VolumeFailedDelete", "this volume was made by people and is not erased: delete the PersistentVolume when its data is no longer needed");
            return await PhaseAsync(volume, "Failed", "volumes that people made are not erased", cancellation).ConfigureAwait(false);
        }
        if (await PhaseAsync(volume, "Released", null, cancellation).ConfigureAwait(false) is { Failed: true } failed)
            return failed;
        ApiResult result = await Cluster.DeleteAsync(Kinds.PersistentVolume, volume, DeleteOptions.Default, cancellation).ConfigureAwait(false);
        return result.Ok || result.Error is null ? Next.Done : Next.Retry;
    }

    private async ValueTask<Next> LetGoAsync(KubeObject volume, bool held, CancellationToken cancellation)
    {
        List<string> finalizers = volume.Metadata.Finalizers ?? [];
        if (finalizers.Contains(StorageNames.VolumeProtection))
            return held ? Next.Done : await Finalizers.RemoveAsync(Cluster, Kinds.PersistentVolume, volume, StorageNames.VolumeProtection, cancellation).ConfigureAwait(false);
        // With its node its disk is gone: nobody is left to erase it.
        bool gone = StorageFacts.NodeOfProvisioned(volume) is { } node && Cluster.Nodes.Get(node) is null;
        return gone && finalizers.Contains(StorageNames.ErasedByNode) ? await Finalizers.RemoveAsync(Cluster, Kinds.PersistentVolume, volume, StorageNames.ErasedByNode, cancellation).ConfigureAwait(false) : Next.Done;
    }

    private async ValueTask<Next> PhaseAsync(KubeObject volume, string phase, string? message, CancellationToken cancellation)
    {
        var wanted = new JsonObject { ["phase"] = phase, ["message"] = message };
        if (volume.View(ApiJson.Default.PersistentVolume).Status?.Phase != phase)
            wanted["lastPhaseTransitionTime"] = KubeTime.Format(Cluster.Now);
        if (StatusPatch.Changes(volume, wanted) is not { } patch)
            return Next.Done;
        ApiResult result = await Cluster.PatchAsync(Kinds.PersistentVolume, volume, patch, false, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound ? Next.Done : Next.Retry;
    }
}
