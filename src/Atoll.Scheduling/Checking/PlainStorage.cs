using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Checking;

/// <summary>VolumeBinding over plain documents, as its documentation says it: what claims say about a node, and whether the choices of a placement are sound.</summary>
internal sealed class PlainStorage(IReadOnlyList<KubeObject> all, Func<string, bool> isNode)
{
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string? Volume, string Node)> _decided = new(StringComparer.Ordinal);

    /// <summary>Why a pod fits on no node at all, or null.</summary>
    public string? Never(KubeObject pod)
    {
        foreach (string name in ClaimsOf(pod))
        {
            if (Claim(pod, name) is not { } claim)
                return $"persistentvolumeclaim \"{name}\" not found";
            if (claim.IsDeleting)
                return $"persistentvolumeclaim \"{name}\" is being deleted";
            PersistentVolumeClaimSpec spec = Spec(claim);
            if (claim.View(ApiJson.Default.PersistentVolumeClaim).Status?.Phase == "Lost" || (!string.IsNullOrEmpty(spec.VolumeName) && VolumeOf(spec.VolumeName) is null))
                return $"persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{spec.VolumeName}\"";
            if (string.IsNullOrEmpty(spec.VolumeName) && ClassOf(spec)?.VolumeBindingMode != "WaitForFirstConsumer")
                return "pod has unbound immediate PersistentVolumeClaims";
        }
        return null;
    }

    /// <summary>Why a node will not do for a pod that has a way out, or null.</summary>
    public string? Reason(KubeObject pod, Node node)
    {
        List<KubeObject> open = [];
        foreach (string name in ClaimsOf(pod))
        {
            KubeObject claim = Claim(pod, name)!;
            if (IsOpen(claim))
                open.Add(claim);
            else if (VolumeOf(Spec(claim).VolumeName ?? _decided.GetValueOrDefault(claim.Key).Volume) is { } volume)
            {
                if (!Reaches(volume, node))
                    return "node(s) had volume node affinity conflict";
            }
            else if ((Selected(claim) ?? _decided.GetValueOrDefault(claim.Key).Node) != node.Metadata.Name)
                return "node(s) had volume node affinity conflict";
        }
        return Assignable(open, [], node) ? null : "node(s) didn't find available persistent volumes to bind";
    }

    /// <summary>What is wrong with the choices of a placement, or null; from here on its claims are decided and their volumes taken.</summary>
    public string? Take(Placement placement, Node node)
    {
        List<KubeObject> open = [.. ClaimsOf(placement.Pod).Select(n => Claim(placement.Pod, n)!).Where(IsOpen)];
        if (!open.Select(c => c.Key).Order(StringComparer.Ordinal).SequenceEqual(placement.Volumes.Select(v => v.Claim).Order(StringComparer.Ordinal)))
            return "its choices of volumes are not about its open claims.";
        var mine = new HashSet<string>(StringComparer.Ordinal);
        foreach (VolumeChoice choice in placement.Volumes)
        {
            KubeObject claim = open.Find(o => o.Key == choice.Claim)!;
            if (choice.Volume is null ? !MakesOn(claim, node) : VolumeOf(choice.Volume) is not { } volume || !IsFree(volume, claim) || !Reaches(volume, node) || _taken.Contains(choice.Volume) || !mine.Add(choice.Volume))
                return $"claim {choice.Claim} cannot have {choice.Volume ?? "a new volume"} on {node.Metadata.Name}.";
        }
        foreach (VolumeChoice choice in placement.Volumes)
            _decided[choice.Claim] = (choice.Volume, node.Metadata.Name!);
        _taken.UnionWith(mine);
        return null;
    }

    // Every way to give the claims volumes is tried: small fleets only.
    private bool Assignable(List<KubeObject> open, HashSet<string> used, Node node)
    {
        if (open.Count == 0)
            return true;
        List<KubeObject> rest = open[1..];
        foreach (KubeObject volume in all)
            if (volume.Kind == "PersistentVolume" && !_taken.Contains(volume.Name) && IsFree(volume, open[0]) && Reaches(volume, node) && used.Add(volume.Name))
            {
                if (Assignable(rest, used, node))
                    return true;
                used.Remove(volume.Name);
            }
        return MakesOn(open[0], node) && Assignable(rest, used, node);
    }

    // Neither has it a volume, nor was it decided by a pod before.
    private bool IsOpen(KubeObject claim) => string.IsNullOrEmpty(Spec(claim).VolumeName) && Selected(claim) is null && !_decided.ContainsKey(claim.Key);

    private string? Selected(KubeObject claim) =>
        Makes(claim) && claim.Metadata.Annotations?.GetValueOrDefault(StorageNames.SelectedNode) is { } node && isNode(node) ? node : null;

    // One that is set aside for a claim is for no other, and a claim that has one takes no other.
    private bool IsFree(KubeObject volume, KubeObject claim) => StorageFacts.Suits(volume, Spec(claim)) && (IsFor(volume, claim) || (Of(volume).ClaimRef is null && !HasOwn(claim)));

    private bool HasOwn(KubeObject claim) => all.Any(o => o.Kind == "PersistentVolume" && IsFor(o, claim) && StorageFacts.Suits(o, Spec(claim)));

    private static bool IsFor(KubeObject volume, KubeObject claim) => StorageFacts.IsFor(Of(volume), claim);

    private static PersistentVolumeSpec Of(KubeObject volume) => volume.View(ApiJson.Default.PersistentVolume).Spec;

    private bool MakesOn(KubeObject claim, Node node) => Makes(claim) && !HasOwn(claim)
        && (ClassOf(Spec(claim))!.AllowedTopologies is not { Count: > 0 } terms || terms.Exists(t => (t.MatchLabelExpressions ?? []).TrueForAll(e => e.Values?.Contains(node.Metadata.Labels?.GetValueOrDefault(e.Key) ?? "") == true)));

    private bool Makes(KubeObject claim) => ClassOf(Spec(claim))?.Provisioner == StorageNames.LocalProvisioner;

    private static bool Reaches(KubeObject volume, Node node) =>
        volume.View(ApiJson.Default.PersistentVolume).Spec.NodeAffinity?.Required?.NodeSelectorTerms is not { } terms || terms.Exists(t => PlainFleet.TermHolds(t, node));

    private KubeObject? Claim(KubeObject pod, string name) => all.FirstOrDefault(o => o.Kind == "PersistentVolumeClaim" && o.Key == $"{pod.Namespace}/{name}");

    private KubeObject? VolumeOf(string? name) => all.FirstOrDefault(o => o.Kind == "PersistentVolume" && o.Name == name);

    private StorageClass? ClassOf(PersistentVolumeClaimSpec spec) => all.FirstOrDefault(o => o.Kind == "StorageClass" && o.Name == spec.StorageClassName)?.View(ApiJson.Default.StorageClass);

    private static PersistentVolumeClaimSpec Spec(KubeObject claim) => claim.View(ApiJson.Default.PersistentVolumeClaim).Spec;

    private static IEnumerable<string> ClaimsOf(KubeObject pod) =>
        (pod.View(ApiJson.Default.Pod).Spec.Volumes ?? []).Where(v => v.PersistentVolumeClaim is not null).Select(v => v.PersistentVolumeClaim!.ClaimName);
}
