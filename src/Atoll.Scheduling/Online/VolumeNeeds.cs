using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>What a placement decides about one claim of its pod: the volume that is set aside for it, or (null) that one is made on the pod's node.</summary>
/// <param name="Claim">The claim's <c>namespace/name</c>.</param>
/// <param name="Volume">Name of the volume, or null.</param>
public sealed record VolumeChoice(string Claim, string? Volume);

/// <summary>
/// VolumeBinding: what the claims of a pod say about its node. A bound claim's volume names its nodes; a claim that waits for its
/// first pod needs a volume that is free there, or a class that can make one there; any other unbound claim keeps the pod
/// waiting. Source: Kubernetes' plugin VolumeBinding, in its words; a node that has neither room nor the volume is said to have
/// no volume, because no pod that goes would help.
/// </summary>
internal sealed class VolumeNeeds
{
    public const string Conflict = "node(s) had volume node affinity conflict", NoneFree = "node(s) didn't find available persistent volumes to bind";

    private readonly Snapshot _snapshot;
    private readonly HashSet<string> _taken;
    private readonly List<Place> _bound = [];
    private readonly List<Open> _open = [];

    private VolumeNeeds(Snapshot snapshot, HashSet<string> taken) => (_snapshot, _taken) = (snapshot, taken);

    /// <summary>Why the pod fits on no node at all, or null.</summary>
    public string? Never { get; private set; }

    /// <summary>True when what suits depends on what this plan has given away, so that nothing may be kept for the next pod.</summary>
    public bool Depends => _open.Exists(o => o.Candidates.Count > 0);

    /// <summary>The needs of a pod, or null when it has no claims.</summary>
    public static VolumeNeeds? Of(string ns, PodSpec spec, Snapshot snapshot, HashSet<string> taken)
    {
        VolumeNeeds? needs = null;
        foreach (Volume volume in spec.Volumes ?? [])
            if (volume.PersistentVolumeClaim is { } source)
            {
                needs ??= new VolumeNeeds(snapshot, taken);
                needs.Never ??= needs.Add($"{ns}/{source.ClaimName}", source.ClaimName);
            }
        // The claim with the fewest ways out chooses first; of volumes the smallest that suits.
        needs?._open.Sort(static (a, b) => a.Candidates.Count != b.Candidates.Count ? a.Candidates.Count.CompareTo(b.Candidates.Count) : string.CompareOrdinal(a.Claim.Key, b.Claim.Key));
        return needs;
    }

    /// <summary>Why a row will not do, or null.</summary>
    public string? Reason(int row)
    {
        foreach (Place place in _bound)
            if (!place.Allows(row))
                return Conflict;
        return _open.Count == 0 || Choose(row, null) ? null : NoneFree;
    }

    /// <summary>What is decided about the open claims with the pod on a row, for which <see cref="Reason"/> is null.</summary>
    public IReadOnlyList<VolumeChoice> Take(int row)
    {
        if (_open.Count == 0)
            return [];
        var choices = new List<VolumeChoice>(_open.Count);
        Choose(row, choices);
        foreach (VolumeChoice choice in choices)
            if (choice.Volume is not null)
                _taken.Add(choice.Volume);
        return choices;
    }

    private bool Choose(int row, List<VolumeChoice>? choices)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (Open open in _open)
        {
            string? chosen = null;
            foreach (Candidate candidate in open.Candidates)
                if (!_taken.Contains(candidate.Name) && !used.Contains(candidate.Name) && candidate.Place.Allows(row))
                {
                    chosen = candidate.Name;
                    break;
                }
            if (chosen is not null)
                used.Add(chosen);
            else if (open.Provision?.Allows(row) != true)
                return false;
            choices?.Add(new VolumeChoice(open.Claim.Key, chosen));
        }
        return true;
    }

    private string? Add(string key, string name)
    {
        if (!_snapshot.Claims.TryGetValue(key, out KubeObject? claim))
            return $"persistentvolumeclaim \"{name}\" not found";
        if (claim.IsDeleting)
            return $"persistentvolumeclaim \"{name}\" is being deleted";
        PersistentVolumeClaim view = claim.View(ApiJson.Default.PersistentVolumeClaim);
        if (view.Status?.Phase == "Lost")
            return $"persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{view.Spec.VolumeName}\"";
        if (!string.IsNullOrEmpty(view.Spec.VolumeName))
            return AddBound(view, name);
        StorageClass? storageClass = _snapshot.StorageClasses.GetValueOrDefault(view.Spec.StorageClassName ?? "");
        if (!StorageFacts.WaitsForPod(storageClass))
            return "pod has unbound immediate PersistentVolumeClaims";
        bool makes = storageClass!.Provisioner == StorageNames.LocalProvisioner;
        // Another pod of the claim was placed and its volume is being made there.
        if (makes && claim.Metadata.Annotations?.GetValueOrDefault(StorageNames.SelectedNode) is { Length: > 0 } node && _snapshot.HasNode(node))
            _bound.Add(new Place(node, _snapshot));
        else
            _open.Add(new Open(claim, Candidates(claim, view.Spec), makes ? new Place(storageClass.AllowedTopologies, _snapshot) : null));
        return null;
    }

    private string? AddBound(PersistentVolumeClaim claim, string name)
    {
        if (!_snapshot.Volumes.TryGetValue(claim.Spec.VolumeName!, out KubeObject? volume))
            return $"persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{claim.Spec.VolumeName}\"";
        if (volume.View(ApiJson.Default.PersistentVolume).Spec.NodeAffinity?.Required is { } required)
            _bound.Add(new Place(required, _snapshot));
        return null;
    }

    private List<Candidate> Candidates(KubeObject claim, PersistentVolumeClaimSpec spec)
    {
        var found = new List<(KubeObject Object, PersistentVolumeSpec Spec)>();
        foreach (KubeObject volume in _snapshot.Volumes.Values)
        {
            PersistentVolumeSpec view = volume.View(ApiJson.Default.PersistentVolume).Spec;
            if (StorageFacts.Suits(volume, spec) && (view.ClaimRef is null || StorageFacts.IsFor(view, claim)))
                found.Add((volume, view));
        }
        found.Sort(static (a, b) => StorageFacts.SizeOf(a.Spec).CompareTo(StorageFacts.SizeOf(b.Spec)) is not 0 and var order ? order : string.CompareOrdinal(a.Object.Name, b.Object.Name));
        return found.ConvertAll(v => new Candidate(v.Object.Name, new Place(v.Spec.NodeAffinity?.Required, _snapshot)));
    }

    private sealed record Open(KubeObject Claim, List<Candidate> Candidates, Place? Provision);

    private sealed record Candidate(string Name, Place Place);

    /// <summary>Where a volume is, or may be made: terms of which one has to hold; none at all is everywhere.</summary>
    private sealed class Place
    {
        private readonly List<NodeSelection.Term>? _terms;

        public Place(NodeSelector? selector, Snapshot snapshot) => _terms = selector?.NodeSelectorTerms?.ConvertAll(t => new NodeSelection.Term(t, snapshot));

        public Place(string node, Snapshot snapshot) : this([new TopologySelectorTerm { MatchLabelExpressions = [new TopologySelectorLabelRequirement { Key = WellKnown.HostnameLabel, Values = [node] }] }], snapshot)
        {
        }

        public Place(List<TopologySelectorTerm>? topologies, Snapshot snapshot)
        {
            if (topologies is { Count: > 0 })
                _terms = topologies.ConvertAll(t => new NodeSelection.Term(new NodeSelectorTerm { MatchExpressions = (t.MatchLabelExpressions ?? []).ConvertAll(e => new Atoll.Api.Selectors.SelectorRequirement { Key = e.Key, Operator = "In", Values = e.Values }) }, snapshot));
        }

        public bool Allows(int row) => _terms is null || _terms.Exists(t => t.Matches(row));
    }
}
