using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.ReplicaSets;

/// <summary>What the core sees: the set, the pods that belong to it, and how many related pods each node holds.</summary>
internal sealed record ReplicaSetView(KubeObject Object, ReplicaSet Set, IReadOnlyList<PodState> Pods, IReadOnlyDictionary<string, int> RelatedOnNode, DateTimeOffset Now);

/// <summary>How many pods to create, or which to delete.</summary>
internal sealed record ReplicaSetPlan(int Create, IReadOnlyList<PodState> Delete)
{
    private static readonly ReplicaSetPlan s_nothing = new(0, []);

    /// <summary>
    /// Brings the number of active pods to what is asked for. Pods out of reach are active: a silent line makes no
    /// replacement.
    /// </summary>
    public static ReplicaSetPlan Make(ReplicaSetView view)
    {
        if (view.Object.IsDeleting)
            return s_nothing;
        List<PodState> active = [.. view.Pods.Where(p => p.IsActive)];
        int surplus = active.Count - (view.Set.Spec.Replicas ?? 1);
        if (surplus < 0)
            return new ReplicaSetPlan(Math.Min(-surplus, PodBatch.Burst), []);
        if (surplus == 0)
            return s_nothing;
        active.Sort(new PodRanking(view.RelatedOnNode, view.Now));
        return new ReplicaSetPlan(0, active.GetRange(0, Math.Min(surplus, PodBatch.Burst)));
    }

    /// <summary>The status that the pods amount to. <paramref name="failure"/> says why pods could not be made or deleted.</summary>
    public static ReplicaSetStatus Status(ReplicaSetView view, (string Reason, string Message)? failure)
    {
        Dictionary<string, string> labels = PodDocuments.Labels(view.Set.Spec.Template);
        int minReady = view.Set.Spec.MinReadySeconds ?? 0;
        int replicas = 0, labelled = 0, ready = 0, available = 0, unreachable = 0;
        foreach (PodState pod in view.Pods)
        {
            if (!pod.IsActive)
                continue;
            replicas++;
            if (labels.All(l => pod.Object.Metadata.Label(l.Key) == l.Value))
                labelled++;
            if (pod.IsReady)
                ready++;
            if (pod.IsAvailable(minReady, view.Now))
                available++;
            if (pod.Unreachable)
                unreachable++;
        }
        List<Condition> conditions = [.. view.Set.Status?.Conditions ?? []];
        conditions = failure is { } why
            ? Conditions.With(conditions, new Condition { Type = "ReplicaFailure", Status = "True", LastTransitionTime = view.Now, Reason = why.Reason, Message = why.Message })
            : Conditions.Without(conditions, "ReplicaFailure");
        return new ReplicaSetStatus
        {
            Replicas = replicas,
            FullyLabeledReplicas = labelled,
            ReadyReplicas = ready,
            AvailableReplicas = available,
            ObservedGeneration = view.Object.Metadata.Generation,
            Conditions = Unreachable.Condition(conditions, unreachable, replicas, view.Now),
        };
    }

    /// <summary>When the status will change although nothing else does.</summary>
    public static TimeSpan? After(ReplicaSetView view) =>
        PodState.NextAvailable(view.Pods.Where(p => p.IsActive), view.Set.Spec.MinReadySeconds ?? 0, view.Now);
}
