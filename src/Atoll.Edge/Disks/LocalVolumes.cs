using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Instances;
using Microsoft.Extensions.Logging;

namespace Atoll.Edge.Disks;

/// <summary>
/// Persistent volumes on this node's own disk: finds the folder of a claim, makes one that Atoll provisioned at its first use, and
/// erases it when its PersistentVolume is being deleted, which it then reports in the volume's status. A folder that people made
/// (another <c>local</c> or <c>hostPath</c> volume) is used as it is and never erased; nor is one whose volume merely left the
/// node's view. Sizes are not enforced: a local volume shares its node's disk.
/// </summary>
internal sealed class LocalVolumes
{
    private readonly IResources _resources;
    private readonly string _state, _node;
    private readonly ILogger _log;
    private readonly ResourceMirror _claims, _volumes;
    private readonly SemaphoreSlim _wake = new(0);

    public LocalVolumes(IResources resources, string stateFolder, string node, TimeProvider time, ILogger log, Action<KubeObject> claimChanged)
    {
        (_resources, _state, _node, _log) = (resources, stateFolder, node, log);
        _claims = new ResourceMirror(resources, Kinds.PersistentVolumeClaim, time, (old, now) => claimChanged(now ?? old!));
        _volumes = new ResourceMirror(resources, Kinds.PersistentVolume, time, (_, now) => Changed(now, claimChanged));
    }

    /// <summary>The mirrors that have to be filled before pods are run.</summary>
    public IReadOnlyList<ResourceMirror> Mirrors => [_claims, _volumes];

    /// <summary>Mirrors and erases until cancelled.</summary>
    public Task RunAsync(CancellationToken cancellation) => Parts.RunAsync([_claims.RunAsync(cancellation), _volumes.RunAsync(cancellation), EraseAsync(cancellation)]);

    /// <summary>The folder behind a claim of a pod, made if it is this agent's to make. Throws <see cref="UnresolvedException"/> while there is none.</summary>
    public string FolderOf(string ns, string claimName)
    {
        if (_claims.Get(ns, claimName) is not { } claim)
            throw new UnresolvedException($"persistentvolumeclaim \"{claimName}\" not found");
        if (claim.View(ApiJson.Default.PersistentVolumeClaim).Spec.VolumeName is not { Length: > 0 } name || _volumes.Get(name) is not { } volume)
            throw new UnresolvedException($"persistentvolumeclaim \"{claimName}\" is not bound yet");
        PersistentVolumeSpec spec = volume.View(ApiJson.Default.PersistentVolume).Spec;
        if (spec.ClaimRef?.Uid != claim.Uid)
            throw new UnresolvedException($"persistentvolume \"{name}\" is not bound to persistentvolumeclaim \"{claimName}\"");
        if (volume.IsDeleting)
            throw new UnresolvedException($"persistentvolume \"{name}\" is being deleted");
        if (StorageFacts.NodeOfProvisioned(volume) is { } node)
            return node == _node ? Make(FolderOf(volume)) : throw new UnresolvedException($"persistentvolume \"{name}\" lies on node {node}");
        string path = spec.Local?.Path ?? spec.HostPath?.Path ?? throw new UnresolvedException($"persistentvolume \"{name}\" has no source that this node mounts (local, hostPath)");
        if (!Directory.Exists(path) && spec.HostPath is { Type: "DirectoryOrCreate" or "" or null })
            Directory.CreateDirectory(path);
        return Directory.Exists(path) ? path : throw new UnresolvedException($"path \"{path}\" of persistentvolume \"{name}\" does not exist");
    }

    // By UID-named volumes only: the name is the centre's, and nothing it says may lead out of the state folder.
    private string FolderOf(KubeObject volume) => Path.Combine(_state, "volumes", PodVolumes.SafePath(Path.GetFileName(volume.Name)));

    private static string Make(string folder)
    {
        if (Directory.Exists(folder))
            return folder;
        Directory.CreateDirectory(folder);
        // Whichever user the pod runs as; what keeps others out is the folder above.
        File.SetUnixFileMode(folder, (UnixFileMode)0b111_111_111);
        return folder;
    }

    private void Changed(KubeObject? now, Action<KubeObject> claimChanged)
    {
        if (now is null)
            return;
        if (IsToErase(now) && _wake.CurrentCount == 0)
            _wake.Release();
        if (now.View(ApiJson.Default.PersistentVolume).Spec.ClaimRef is { Namespace: { } ns, Name: { } name } && _claims.Get(ns, name) is { } claim)
            claimChanged(claim);
    }

    private bool IsToErase(KubeObject volume) =>
        volume.IsDeleting && StorageFacts.NodeOfProvisioned(volume) == _node && volume.View(ApiJson.Default.PersistentVolume).Status?.Reason != StorageNames.Erased;

    private async Task EraseAsync(CancellationToken cancellation)
    {
        await _volumes.Synced.WaitAsync(cancellation).ConfigureAwait(false);
        while (true)
        {
            foreach (KubeObject volume in _volumes.Items)
                if (IsToErase(volume))
                    await EraseAsync(volume, cancellation).ConfigureAwait(false);
            // A folder that could not be erased is tried again.
            await _wake.WaitAsync(TimeSpan.FromMinutes(1), cancellation).ConfigureAwait(false);
        }
    }

    private async Task EraseAsync(KubeObject volume, CancellationToken cancellation)
    {
        string folder = FolderOf(volume);
        try
        {
            if (Directory.Exists(folder))
                Directory.Delete(folder, recursive: true);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _log.LogWarning("Volume {Volume} cannot be erased and is tried again: {Reason}", volume.Name, e.Message);
            return;
        }
        var patch = new JsonObject { ["metadata"] = new JsonObject { ["uid"] = volume.Uid }, ["status"] = new JsonObject { ["reason"] = StorageNames.Erased } };
        ApiResult result = await _resources.PatchAsync(Kinds.PersistentVolume, null, volume.Name, PatchType.Merge, patch, cancellation, "status").ConfigureAwait(false);
        if (result.Ok)
            _log.LogInformation("Volume {Volume} was erased", volume.Name);
    }
}
