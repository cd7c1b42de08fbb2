using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Checking;

/// <summary>VolumeBinding over plain documents, as its documentation says it: what claims say about a node, and whether the choices of a placement are sound.</summary>
internal sealed class PlainStorage(IReadOnlyList<KubeObject> all)
{
    private readonly HashSet<string> _taken = new(StringComparer.Ordinal);

    /// <summary>Why a pod fits on no node at all, or null.</summary>
    public string? Never(KubeObject pod)
    {
        foreach (string name in ClaimsOf(pod))
        {
            if (Claim(pod, name) is not { } claim)
                return $"persistentvolumeclaim \"{name}\" not found";
            PersistentVolumeClaimSpec spec = Spec(claim);
            if (!string.IsNullOrEmpty(spec.VolumeName) && VolumeOf(spec.VolumeName) is null)
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
            if (VolumeOf(Spec(claim).VolumeName) is { } volume)
            {
                if (!Reaches(volume, node))
                    return "node(s) had volume node affinity conflict";
            }
            else if (Makes(claim) && claim.Metadata.Annotations?.GetValueOrDefault(StorageNames.SelectedNode) is { } selected)
            {
                if (selected != node.Metadata.Name)
                    return "node(s) had volume node affinity conflict";
            }
            else
                open.Add(claim);
        }
        return Assignable(open, [], node) ? null : "node(s) didn't find available persistent volumes to bind";
    }

    /// <summary>What is wrong with the choices of a placement, or null; from here on its volumes are taken.</summary>
    public string? Take(Placement placement, Node node)
    {
        List<string> open = [.. ClaimsOf(placement.Pod).Where(n => string.IsNullOrEmpty(Spec(Claim(placement.Pod, n)!).VolumeName) && !(Makes(Claim(placement.Pod, n)!) && Claim(placement.Pod, n)!.Metadata.Annotations?.ContainsKey(StorageNames.SelectedNode) == true)).Select(n => $"{placement.Pod.Namespace}/{n}")];
        if (!open.Order(StringComparer.Ordinal).SequenceEqual(placement.Volumes.Select(v => v.Claim).Order(StringComparer.Ordinal)))
            return "its choices of volumes are not about its open claims.";
        foreach (VolumeChoice choice in placement.Volumes)
        {
            KubeObject claim = all.First(o => o.Kind == "PersistentVolumeClaim" && o.Key == choice.Claim);
            if (choice.Volume is null ? !MakesOn(claim, node) : VolumeOf(choice.Volume) is not { } volume || !StorageFacts.Suits(volume, Spec(claim)) || !Reaches(volume, node) || !_taken.Add(choice.Volume))
                return $"claim {choice.Claim} cannot have {choice.Volume ?? "a new volume"} on {node.Metadata.Name}.";
        }
        return null;
    }

    // Every way to give the claims volumes is tried: small fleets only.
    private bool Assignable(List<KubeObject> open, HashSet<string> used, Node node)
    {
        if (open.Count == 0)
            return true;
        List<KubeObject> rest = open[1..];
        foreach (KubeObject volume in all)
            if (volume.Kind == "PersistentVolume" && !_taken.Contains(volume.Name) && Free(volume, open[0]) && StorageFacts.Suits(volume, Spec(open[0])) && Reaches(volume, node) && used.Add(volume.Name))
            {
                if (Assignable(rest, used, node))
                    return true;
                used.Remove(volume.Name);
            }
        return MakesOn(open[0], node) && Assignable(rest, used, node);
    }

    private static bool Free(KubeObject volume, KubeObject claim) =>
        volume.View(ApiJson.Default.PersistentVolume).Spec is var spec && (spec.ClaimRef is null || StorageFacts.IsFor(spec, claim));

    private bool MakesOn(KubeObject claim, Node node) => Makes(claim)
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
