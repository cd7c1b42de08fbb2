using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Volumes;

/// <summary>
/// Gives each claim its volume: the one set aside for it, else the smallest that suits, else (its class is Atoll's own) a new
/// one on the node that the scheduler chose for its first pod. The volume's <c>claimRef</c> is written first and by
/// compare-and-set, so two claims never get one volume; then the claim names the volume; whoever starts in between goes on from
/// what is written. A claim that goes waits for the pods that use it.
/// Source: Kubernetes, "Persistent Volumes": binding, reserving, storage object in use protection.
/// </summary>
internal sealed class ClaimController : Controller
{
    public ClaimController(Cluster cluster) : base(cluster)
    {
        Claims.Listen((old, now) => Queue.Add((now ?? old!).Key));
        cluster.Of(Kinds.PersistentVolume).Listen((old, now) => VolumeChanged(now ?? old!));
        cluster.Of(Kinds.StorageClass).Listen((_, _) => AddPending(null));
        cluster.Pods.Listen((old, now) => PodChanged(now ?? old!));
    }

    private Copy Claims => Cluster.Of(Kinds.PersistentVolumeClaim);

    private Copy Volumes => Cluster.Of(Kinds.PersistentVolume);

    public override IEnumerable<string> Keys() => Claims.Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Claims.Get(key) is not { } claim)
            return Next.Done;
        if (claim.IsDeleting)
            return await LetGoAsync(claim, cancellation).ConfigureAwait(false);
        PersistentVolumeClaim view = claim.View(ApiJson.Default.PersistentVolumeClaim);
        if (!string.IsNullOrEmpty(view.Spec.VolumeName))
            return await KeepAsync(claim, view, cancellation).ConfigureAwait(false);
        if (Volumes.All().Find(v => StorageFacts.IsFor(v.View(ApiJson.Default.PersistentVolume).Spec, claim) && !v.IsDeleting) is { } reserved)
            return await BindAsync(claim, reserved, cancellation).ConfigureAwait(false);
        StorageClass? storageClass = Cluster.Of(Kinds.StorageClass).Get(view.Spec.StorageClassName ?? "")?.View(ApiJson.Default.StorageClass);
        if (!StorageFacts.WaitsForPod(storageClass))
            return Smallest(view.Spec) is { } free ? await BindAsync(claim, free, cancellation).ConfigureAwait(false) : await WaitAsync(claim, storageClass, view.Spec, cancellation).ConfigureAwait(false);
        if (storageClass!.Provisioner == StorageNames.LocalProvisioner && claim.Metadata.Annotations?.GetValueOrDefault(StorageNames.SelectedNode) is { Length: > 0 } node)
            return await ProvisionAsync(claim, view, storageClass, node, cancellation).ConfigureAwait(false);
        Cluster.Events.Normal(claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding");
        return await StatusAsync(claim, new JsonObject { ["phase"] = "Pending" }, cancellation).ConfigureAwait(false);
    }

    private KubeObject? Smallest(PersistentVolumeClaimSpec claim)
    {
        KubeObject? best = null;
        foreach (KubeObject volume in Volumes.All())
        {
            PersistentVolumeSpec spec = volume.View(ApiJson.Default.PersistentVolume).Spec;
            if (spec.ClaimRef is null && StorageFacts.Suits(volume, claim) && (best is null || Order(spec, volume, best) < 0))
                best = volume;
        }
        return best;

        static int Order(PersistentVolumeSpec spec, KubeObject volume, KubeObject than) =>
            StorageFacts.SizeOf(spec).CompareTo(StorageFacts.SizeOf(than.View(ApiJson.Default.PersistentVolume).Spec)) is not 0 and var order ? order : string.CompareOrdinal(volume.Name, than.Name);
    }

    private async ValueTask<Next> WaitAsync(KubeObject claim, StorageClass? storageClass, PersistentVolumeClaimSpec spec, CancellationToken cancellation)
    {
        if (storageClass is null && !string.IsNullOrEmpty(spec.StorageClassName))
            Cluster.Events.Warning(claim, "ProvisioningFailed", $"storageclass.storage.k8s.io \"{spec.StorageClassName}\" not found");
        else if (storageClass is not null && storageClass.Provisioner != StorageNames.NoProvisioner)
            Cluster.Events.Normal(claim, "ExternalProvisioning", $"Waiting for a volume to be created by the external provisioner '{storageClass.Provisioner}' or manually by the system administrator.");
        else
            Cluster.Events.Normal(claim, "FailedBinding", "no persistent volumes available for this claim and no storage class is set");
        return await StatusAsync(claim, new JsonObject { ["phase"] = "Pending" }, cancellation).ConfigureAwait(false);
    }

    private async ValueTask<Next> ProvisionAsync(KubeObject claim, PersistentVolumeClaim view, StorageClass storageClass, string node, CancellationToken cancellation)
    {
        string name = $"pvc-{claim.Uid}";
        var volume = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "PersistentVolume",
            ["metadata"] = new JsonObject
            {
                ["name"] = name,
                ["annotations"] = new JsonObject { [StorageNames.ProvisionedBy] = StorageNames.LocalProvisioner, [StorageNames.BoundByController] = "yes" },
                ["finalizers"] = new JsonArray(StorageNames.ErasedByNode),
            },
            ["spec"] = new JsonObject
            {
                ["accessModes"] = new JsonArray([.. (view.Spec.AccessModes ?? []).Select(m => (JsonNode)m)]),
                ["capacity"] = new JsonObject { ["storage"] = view.Spec.Resources?.Requests?.GetValueOrDefault("storage") },
                ["claimRef"] = Reference(claim),
                ["persistentVolumeReclaimPolicy"] = storageClass.ReclaimPolicy ?? "Delete",
                ["storageClassName"] = view.Spec.StorageClassName,
                ["volumeMode"] = "Filesystem",
                // Below the state folder of the node's agent.
                ["local"] = new JsonObject { ["path"] = "volumes/" + name },
                ["nodeAffinity"] = new JsonObject
                {
                    ["required"] = new JsonObject { ["nodeSelectorTerms"] = new JsonArray(new JsonObject { ["matchExpressions"] = new JsonArray(new JsonObject { ["key"] = WellKnown.HostnameLabel, ["operator"] = "In", ["values"] = new JsonArray(node) }) }) },
                },
            },
        };
        ApiResult made = await Cluster.CreateAsync(Kinds.PersistentVolume, null, volume, cancellation).ConfigureAwait(false);
        if (!made.Ok && !made.IsAlreadyExists)
        {
            Cluster.Events.Warning(claim, "ProvisioningFailed", made.Error!.Message ?? made.Error.Reason ?? "");
            return Next.Retry;
        }
        if (!made.Ok)
            return Next.Retry; // The mirror will show it.
        Cluster.Events.Normal(claim, "ProvisioningSucceeded", $"Successfully provisioned volume {name}");
        return await BindAsync(claim, made.Object!, cancellation).ConfigureAwait(false);
    }

    private async ValueTask<Next> BindAsync(KubeObject claim, KubeObject volume, CancellationToken cancellation)
    {
        if (volume.View(ApiJson.Default.PersistentVolume).Spec.ClaimRef?.Uid != claim.Uid)
        {
            ApiResult taken = await Cluster.PatchAsync(Kinds.PersistentVolume, volume, new JsonObject { ["spec"] = new JsonObject { ["claimRef"] = Reference(claim) }, ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [StorageNames.BoundByController] = "yes" } } }, true, cancellation).ConfigureAwait(false);
            if (!taken.Ok)
                return Next.Retry;
        }
        var naming = new JsonObject { ["spec"] = new JsonObject { ["volumeName"] = volume.Name }, ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [StorageNames.BindCompleted] = "yes", [StorageNames.BoundByController] = "yes" } } };
        ApiResult named = await Cluster.PatchAsync(Kinds.PersistentVolumeClaim, claim, naming, true, cancellation).ConfigureAwait(false);
        return named.Ok ? await KeepAsync(named.Object!, named.Object!.View(ApiJson.Default.PersistentVolumeClaim), cancellation).ConfigureAwait(false) : Next.Retry;
    }

    // The claim names its volume: the two are bound, or the volume is missing, or somebody else has it.
    private async ValueTask<Next> KeepAsync(KubeObject claim, PersistentVolumeClaim view, CancellationToken cancellation)
    {
        if (Volumes.Get(view.Spec.VolumeName!) is not { } volume)
            return await StatusAsync(claim, new JsonObject { ["phase"] = view.Status?.Phase == "Bound" ? "Lost" : view.Status?.Phase ?? "Pending" }, cancellation).ConfigureAwait(false);
        PersistentVolumeSpec spec = volume.View(ApiJson.Default.PersistentVolume).Spec;
        if (spec.ClaimRef is not null && !StorageFacts.IsFor(spec, claim))
            return await StatusAsync(claim, new JsonObject { ["phase"] = view.Status?.Phase is "Bound" or "Lost" ? "Lost" : "Pending" }, cancellation).ConfigureAwait(false);
        if (spec.ClaimRef?.Uid != claim.Uid)
            return await BindAsync(claim, volume, cancellation).ConfigureAwait(false);
        var bound = new JsonObject
        {
            ["phase"] = "Bound",
            ["accessModes"] = new JsonArray([.. (spec.AccessModes ?? []).Select(m => (JsonNode)m)]),
            ["capacity"] = new JsonObject { ["storage"] = spec.Capacity?.GetValueOrDefault("storage") },
        };
        return await StatusAsync(claim, bound, cancellation).ConfigureAwait(false);
    }

    private async ValueTask<Next> LetGoAsync(KubeObject claim, CancellationToken cancellation)
    {
        if (claim.Metadata.Finalizers?.Contains(StorageNames.ClaimProtection) != true || Cluster.Pods.In(Copy.InNamespace(claim.Namespace)).Exists(p => Holds(p, claim.Name)))
            return Next.Done;
        return await Finalizers.RemoveAsync(Cluster, Kinds.PersistentVolumeClaim, claim, StorageNames.ClaimProtection, cancellation).ConfigureAwait(false);
    }

    private static bool Holds(KubeObject pod, string claim)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        return !string.IsNullOrEmpty(view.Spec.NodeName) && view.Status?.Phase is not ("Succeeded" or "Failed") && StorageFacts.Uses(view.Spec, claim);
    }

    private async ValueTask<Next> StatusAsync(KubeObject claim, JsonObject wanted, CancellationToken cancellation)
    {
        if (StatusPatch.Changes(claim, wanted) is not { } patch)
            return Next.Done;
        ApiResult result = await Cluster.PatchAsync(Kinds.PersistentVolumeClaim, claim, patch, false, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound ? Next.Done : Next.Retry;
    }

    /// <summary>A claim as a volume refers to it.</summary>
    internal static JsonObject Reference(KubeObject claim) => new()
    {
        ["apiVersion"] = "v1",
        ["kind"] = "PersistentVolumeClaim",
        ["namespace"] = claim.Namespace,
        ["name"] = claim.Name,
        ["uid"] = claim.Uid,
    };

    private void VolumeChanged(KubeObject volume)
    {
        if (volume.View(ApiJson.Default.PersistentVolume).Spec.ClaimRef is { } claim)
            Queue.Add($"{claim.Namespace}/{claim.Name}");
        else
            AddPending(volume.Name);
    }

    // Claims that wait for a volume, and those that name one that came or went.
    private void AddPending(string? volume)
    {
        foreach (KubeObject claim in Claims.All())
            if (claim.View(ApiJson.Default.PersistentVolumeClaim).Spec.VolumeName is var name && (string.IsNullOrEmpty(name) || name == volume))
                Queue.Add(claim.Key);
    }

    private void PodChanged(KubeObject pod)
    {
        if (Claims.IsEmpty)
            return;
        foreach (Volume volume in pod.View(ApiJson.Default.Pod).Spec.Volumes ?? [])
            if (volume.PersistentVolumeClaim?.ClaimName is { } claim && Claims.Get($"{pod.Namespace}/{claim}") is { IsDeleting: true } leaving)
                Queue.Add(leaving.Key);
    }
}
