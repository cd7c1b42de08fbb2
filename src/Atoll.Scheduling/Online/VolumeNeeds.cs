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
    private readonly VolumeBook _book;
    private readonly List<Place> _bound = [];
    private readonly List<Open> _open = [];

    private VolumeNeeds(Snapshot snapshot, VolumeBook book) => (_snapshot, _book) = (snapshot, book);

    /// <summary>Why the pod fits on no node at all, or null.</summary>
    public string? Never { get; private set; }

    /// <summary>True when what suits depends on what this plan decides of claims, so that nothing may be kept for the next pod.</summary>
    public bool Depends { get; private set; }

    /// <summary>The needs of a pod, or null when it has no claims.</summary>
    public static VolumeNeeds? Of(string ns, PodSpec spec, Snapshot snapshot, VolumeBook book)
    {
        VolumeNeeds? needs = null;
        foreach (Volume volume in spec.Volumes ?? [])
            if (volume.PersistentVolumeClaim is { } source)
            {
                needs ??= new VolumeNeeds(snapshot, book);
                needs.Never ??= needs.Add($"{ns}/{source.ClaimName}", source.ClaimName);
            }
        // Who needs a volume that is there goes before who can have one made, and the claim with the fewest ways out first.
        needs?._open.Sort(static (a, b) => (a.Provision is null) != (b.Provision is null) ? (a.Provision is null ? -1 : 1)
            : a.Candidates.Count != b.Candidates.Count ? a.Candidates.Count.CompareTo(b.Candidates.Count) : string.CompareOrdinal(a.Claim.Key, b.Claim.Key));
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
            _book.Decide(choice, _snapshot.Nodes[row]!.Name);
        return choices;
    }

    // The smallest volume for each claim, where that leaves the others one: who came before makes way when another suits it too.
    private bool Choose(int row, List<VolumeChoice>? choices)
    {
        var holders = new Dictionary<string, Open>(StringComparer.Ordinal);
        foreach (Open open in _open)
            if (!Find(open, row, holders, new HashSet<string>(StringComparer.Ordinal)) && open.Provision?.Allows(row) != true)
                return false;
        foreach (Open open in choices is null ? [] : _open)
            choices!.Add(new VolumeChoice(open.Claim.Key, holders.FirstOrDefault(h => ReferenceEquals(h.Value, open)).Key));
        return true;
    }

    private bool Find(Open open, int row, Dictionary<string, Open> holders, HashSet<string> tried)
    {
        foreach (Candidate candidate in open.Candidates)
            if (!_book.IsTaken(candidate.Name) && candidate.Place.Allows(row) && holders.TryAdd(candidate.Name, open))
                return true;
        foreach (Candidate candidate in open.Candidates)
            if (!_book.IsTaken(candidate.Name) && candidate.Place.Allows(row) && tried.Add(candidate.Name)
                && Find(holders[candidate.Name], row, holders, tried))
            {
                holders[candidate.Name] = open;
                return true;
            }
        return false;
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
        string? node = makes ? claim.Metadata.Annotations?.GetValueOrDefault(StorageNames.SelectedNode) : null;
        if (!string.IsNullOrEmpty(node) && _snapshot.HasNode(node))
            _bound.Add(Place.On(node, _snapshot));
        else if (_book.Of(key) is { } decided)
        {
            Depends = true;
            _bound.Add(decided.Volume is null || !_snapshot.Volumes.TryGetValue(decided.Volume, out KubeObject? volume) ? Place.On(decided.Node, _snapshot) : Place.Of(volume, _snapshot));
        }
        else
        {
            Depends = true;
            (List<Candidate> candidates, bool own) = Candidates(claim, view.Spec);
            _open.Add(new Open(claim, candidates, makes && !own ? new Place(storageClass.AllowedTopologies, _snapshot) : null));
        }
        return null;
    }

    private string? AddBound(PersistentVolumeClaim claim, string name)
    {
        if (!_snapshot.Volumes.TryGetValue(claim.Spec.VolumeName!, out KubeObject? volume))
            return $"persistentvolumeclaim \"{name}\" bound to non-existent persistentvolume \"{claim.Spec.VolumeName}\"";
        if (volume.View(ApiJson.Default.PersistentVolume).Spec.NodeAffinity?.Required is not null)
            _bound.Add(Place.Of(volume, _snapshot));
        return null;
    }

    // A volume that is set aside for the claim is the one that it gets.
    private (List<Candidate> Candidates, bool Own) Candidates(KubeObject claim, PersistentVolumeClaimSpec spec)
    {
        var found = new List<(KubeObject Object, PersistentVolumeSpec Spec)>();
        bool own = false;
        foreach (KubeObject volume in _snapshot.Volumes.Values)
        {
            PersistentVolumeSpec view = volume.View(ApiJson.Default.PersistentVolume).Spec;
            bool its = StorageFacts.IsFor(view, claim);
            if ((view.ClaimRef is null || its) && StorageFacts.Suits(volume, spec))
            {
                own |= its;
                found.Add((volume, view));
            }
        }
        if (own)
            found.RemoveAll(v => v.Spec.ClaimRef is null);
        found.Sort(static (a, b) => StorageFacts.SizeOf(a.Spec).CompareTo(StorageFacts.SizeOf(b.Spec)) is not 0 and var order ? order : string.CompareOrdinal(a.Object.Name, b.Object.Name));
        return (found.ConvertAll(v => new Candidate(v.Object.Name, Place.Of(v.Object, _snapshot))), own);
    }

    private sealed record Open(KubeObject Claim, List<Candidate> Candidates, Place? Provision);

    private sealed record Candidate(string Name, Place Place);

    /// <summary>Where a volume is, or may be made: terms of which one has to hold; none at all is everywhere.</summary>
    private sealed class Place
    {
        private readonly List<NodeSelection.Term>? _terms;

        private Place(List<NodeSelectorTerm>? terms, Snapshot snapshot) => _terms = terms?.ConvertAll(t => new NodeSelection.Term(t, snapshot));

        public Place(List<TopologySelectorTerm>? topologies, Snapshot snapshot)
        {
            if (topologies is { Count: > 0 })
                _terms = topologies.ConvertAll(t => new NodeSelection.Term(new NodeSelectorTerm { MatchExpressions = (t.MatchLabelExpressions ?? []).ConvertAll(e => new Atoll.Api.Selectors.SelectorRequirement { Key = e.Key, Operator = "In", Values = e.Values }) }, snapshot));
        }

        public static Place Of(KubeObject volume, Snapshot snapshot) => new(volume.View(ApiJson.Default.PersistentVolume).Spec.NodeAffinity?.Required?.NodeSelectorTerms, snapshot);

        public static Place On(string node, Snapshot snapshot) =>
            new([new NodeSelectorTerm { MatchFields = [new Atoll.Api.Selectors.SelectorRequirement { Key = "metadata.name", Operator = "In", Values = [node] }] }], snapshot);

        public bool Allows(int row) => _terms is null || _terms.Exists(t => t.Matches(row));
    }
}
