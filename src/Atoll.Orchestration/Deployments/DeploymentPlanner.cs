using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Deployments;

/// <summary>
/// The core of Deployments: a view in, a plan out, no clock and no I/O. One call makes one safe step of a rollout; the
/// numbers that bound it (never more than replicas + maxSurge pods, never fewer than replicas - maxUnavailable available)
/// are taken from what the sets should have and what their pods really are, whichever is the more careful.
/// Behaviour follows kubernetes.io, "Deployments". Differences, both for sites that are out of reach: when something must
/// go, what is broken goes first, then what is out of reach, then what is healthy; and waiting for nothing but pods that
/// are out of reach does not count as a rollout that failed to progress.
/// </summary>
internal sealed class DeploymentPlanner
{
    private readonly DeploymentView _view;
    private readonly Dictionary<ReplicaSetState, ReplicaSetChange> _changes = [];
    private readonly ReplicaSetState? _new;
    private readonly List<ReplicaSetState> _old;

    private DeploymentPlanner(DeploymentView view)
    {
        _view = view;
        _new = view.NewSet();
        _old = [.. view.Sets.Where(s => s != _new).OrderBy(s => s.Created).ThenBy(s => s.Object.Name, StringComparer.Ordinal)];
    }

    /// <summary>The next step.</summary>
    public static DeploymentPlan Plan(DeploymentView view) => new DeploymentPlanner(view).Make();

    private DeploymentPlan Make()
    {
        if (_view.Object.IsDeleting)
            return Finish(null, null, []);
        long revision = _old.Count == 0 ? 1 : _old.Max(s => s.Revision) + 1;
        if (_new is not null)
        {
            Annotate(_new, Annotations.ForNewSet(_view.Object, _new.Object, revision));
            revision = Math.Max(revision, _new.Revision);
        }
        NewReplicaSet? create = null;
        List<ReplicaSetState> delete = [];
        if (_view.IsPaused || IsScaling())
        {
            Scale();
            if (_view.IsPaused)
                delete = History();
        }
        else if (_view.IsRolling ? Roll(revision, out create) : Recreate(revision, out create))
            delete = History();
        bool known = _new is not null || create is not null;
        return Finish(create, known && _view.Object.Metadata.Annotation(Annotations.Revision) != Annotations.Text(revision) ? revision : null, delete);
    }

    private DeploymentPlan Finish(NewReplicaSet? create, long? revision, List<ReplicaSetState> delete)
    {
        DeploymentProgress progress = DeploymentProgress.Of(_view, _new, create);
        return new DeploymentPlan(create, [.. _changes.Values], delete, revision, progress.Status, progress.After);
    }

    /// <summary>True when the number of replicas was changed since the sets were last sized.</summary>
    private bool IsScaling() => _view.IsRolling && _view.Sets.Any(s =>
        s.Size > 0 && s.Object.Metadata.Annotation(Annotations.Desired) is { } desired && desired != Annotations.Text(_view.Replicas));

    /// <summary>Growing waits for pods that should be gone already: until they are, they count.</summary>
    private void Scale()
    {
        List<ReplicaSetState> active = [.. _view.Sets.Where(s => s.Size > 0)];
        if (active.Count <= 1)
        {
            ReplicaSetState? only = active.Count == 1 ? active[0] : _new ?? _old.LastOrDefault();
            if (only is not null)
                Resize(only, Math.Min(_view.Replicas, only.Size + Room(only.Size)));
        }
        else if (_new is not null && IsSaturated(_new))
            foreach (ReplicaSetState old in _old)
                Resize(old, 0);
        else if (_view.IsRolling && (_view.Sets.All(s => s.Active <= s.Size) || active.Sum(s => s.Size) >= _view.Replicas + _view.MaxSurge))
            foreach ((ReplicaSetState set, int size) in ProportionalScaling.Share(_view, _view.Sets))
                Resize(set, size);
    }

    private bool IsSaturated(ReplicaSetState set) =>
        set.Size == _view.Replicas && set.SafelyAvailable == _view.Replicas && set.Object.Metadata.Annotation(Annotations.Desired) == Annotations.Text(_view.Replicas);

    /// <summary>One step of a rolling update. True when there is nothing left to do.</summary>
    private bool Roll(long revision, out NewReplicaSet? create)
    {
        create = null;
        if (_new is null)
        {
            create = Document(revision, Room(0));
            return false;
        }
        int size = _new.Size > _view.Replicas ? _view.Replicas : _new.Size + Room(_new.Size);
        if (size != _new.Size)
        {
            Resize(_new, size);
            return false;
        }
        Resize(_new, size); // Keeps its annotations right.
        return !ScaleDownOld() && IsComplete();
    }

    /// <summary>How many pods the new set may get now.</summary>
    private int Room(int size)
    {
        int all = _view.Sets.Sum(s => Math.Max(s.Size, s.Active));
        return Math.Max(0, Math.Min(_view.Replicas + _view.MaxSurge - all, _view.Replicas - size));
    }

    /// <summary>Takes pods away from old sets: broken ones as far as the sum allows, healthy ones as far as availability allows.</summary>
    private bool ScaleDownOld()
    {
        if (_old.Sum(s => s.Size) == 0)
            return false;
        int least = _view.Replicas - _view.MaxUnavailable;
        int most = _view.Sets.Sum(s => s.Size) - least - Math.Max(0, _new!.Size - _new.SafelyAvailable);
        if (most <= 0)
            return false;
        var sizes = _old.ToDictionary(s => s, s => s.Size);
        int broken = 0;
        foreach (ReplicaSetState old in _old)
        {
            int take = Math.Min(most - broken, old.Size - old.SafelyAvailable);
            sizes[old] -= take;
            broken += take;
        }
        int healthy = Math.Max(0, _view.Sets.Sum(s => s.SafelyAvailable) - least), taken = 0;
        foreach (ReplicaSetState old in _old)
        {
            int take = Math.Min(sizes[old], healthy - taken);
            sizes[old] -= take;
            taken += take;
        }
        foreach ((ReplicaSetState old, int size) in sizes)
            if (size != old.Size)
                Resize(old, size);
        return broken + taken > 0;
    }

    /// <summary>One step of a replacement of everything: old ones down, then gone, then new ones.</summary>
    private bool Recreate(long revision, out NewReplicaSet? create)
    {
        create = null;
        bool scaled = false;
        foreach (ReplicaSetState old in _old)
            if (old.Size > 0)
            {
                Resize(old, 0);
                scaled = true;
            }
        // Pods at a site that is out of reach still run: "at most one version" can only be kept by waiting for them.
        if (scaled || _old.Any(s => s.HasLivePods))
            return false;
        if (_new is null)
        {
            create = Document(revision, _view.Replicas);
            return false;
        }
        bool done = _new.Size == _view.Replicas;
        Resize(_new, _view.Replicas);
        return done && IsComplete();
    }

    private bool IsComplete() => DeploymentProgress.IsComplete(_view, DeploymentProgress.Count(_view, _new));

    /// <summary>Old sets beyond what the history keeps.</summary>
    private List<ReplicaSetState> History()
    {
        int limit = _view.Spec.RevisionHistoryLimit ?? 10;
        List<ReplicaSetState> alive = [.. _old.Where(s => !s.Object.IsDeleting).OrderBy(s => s.Revision).ThenBy(s => s.Created)];
        int surplus = alive.Count - limit;
        return surplus <= 0 ? [] : [.. alive.Take(surplus).Where(s =>
            s.Size == 0 && s.Active == 0 && (s.View.Status?.Replicas ?? 0) == 0 && (s.Object.Metadata.Generation ?? 0) <= (s.View.Status?.ObservedGeneration ?? 0))];
    }

    private void Resize(ReplicaSetState set, int size)
    {
        string desired = Annotations.Text(_view.Replicas), max = Annotations.Text(_view.Replicas + _view.MaxSurge);
        var annotations = new Dictionary<string, string>(StringComparer.Ordinal);
        if (set.Object.Metadata.Annotation(Annotations.Desired) != desired)
            annotations[Annotations.Desired] = desired;
        if (set.Object.Metadata.Annotation(Annotations.Max) != max)
            annotations[Annotations.Max] = max;
        if (size != set.Size || annotations.Count > 0)
            Change(set, size, annotations, null);
    }

    private void Annotate(ReplicaSetState set, Dictionary<string, string> annotations)
    {
        int wanted = _view.Spec.MinReadySeconds ?? 0;
        int? minReady = (set.View.Spec.MinReadySeconds ?? 0) != wanted ? wanted : null;
        if (annotations.Count > 0 || minReady is not null)
            Change(set, set.Size, annotations, minReady);
    }

    private void Change(ReplicaSetState set, int size, Dictionary<string, string> annotations, int? minReady)
    {
        if (_changes.TryGetValue(set, out ReplicaSetChange? before))
        {
            foreach (KeyValuePair<string, string> kept in before.Annotations)
                annotations.TryAdd(kept.Key, kept.Value);
            minReady ??= before.MinReadySeconds;
        }
        _changes[set] = new ReplicaSetChange(set, size, annotations, minReady);
    }

    private NewReplicaSet Document(long revision, int size)
    {
        string hash = TemplateHash.Of(_view.Spec.Template, _view.Deployment.Status?.CollisionCount ?? 0);
        JsonObject template = PodDocuments.AsObject(_view.Spec.Template);
        JsonObject labels = PodDocuments.Child(PodDocuments.Child(template, "metadata"), "labels");
        labels[Annotations.TemplateHashLabel] = hash;
        JsonObject selector = _view.Spec.Selector is null ? [] : JsonSerializer.SerializeToNode(_view.Spec.Selector, ApiJson.Default.LabelSelector)!.AsObject();
        PodDocuments.Child(selector, "matchLabels")[Annotations.TemplateHashLabel] = hash;
        var annotations = new JsonObject { [Annotations.Desired] = Annotations.Text(_view.Replicas), [Annotations.Max] = Annotations.Text(_view.Replicas + _view.MaxSurge) };
        foreach (KeyValuePair<string, string> annotation in Annotations.ForNewSet(_view.Object, null, revision))
            annotations[annotation.Key] = annotation.Value;
        string name = $"{_view.Object.Name}-{hash}";
        var spec = new JsonObject { ["replicas"] = size, ["selector"] = selector, ["template"] = template };
        if (_view.Spec.MinReadySeconds is > 0)
            spec["minReadySeconds"] = _view.Spec.MinReadySeconds;
        return new NewReplicaSet(name, new JsonObject
        {
            ["apiVersion"] = "apps/v1",
            ["kind"] = "ReplicaSet",
            ["metadata"] = new JsonObject
            {
                ["name"] = name,
                ["namespace"] = _view.Object.Namespace,
                ["labels"] = labels.DeepClone(),
                ["annotations"] = annotations,
                ["ownerReferences"] = new JsonArray(PodDocuments.ControllerReference(_view.Object)),
            },
            ["spec"] = spec,
        }, size, revision);
    }
}
