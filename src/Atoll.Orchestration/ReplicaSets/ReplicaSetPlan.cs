using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.ReplicaSets;

/// <summary>What the core sees: the set, the pods that belong to it, and how many related pods each node holds.</summary>
internal sealed record ReplicaSetView(KubeObject Object, ReplicaSet Set, IReadOnlyList<PodState> Pods, IReadOnlyDictionary<string, int> RelatedOnNode, FailoverPolicy Failover, DateTimeOffset Now);

/// <summary>How many pods to create, which to delete, and which need a stand-in elsewhere.</summary>
internal sealed record ReplicaSetPlan(int Create, IReadOnlyList<PodState> Delete, IReadOnlyList<PodState> StandIn)
{
    private static readonly ReplicaSetPlan s_nothing = new(0, [], []);

    /// <summary>
    /// Brings the number of active pods to what is asked for. Pods out of reach are active: a silent line makes no
    /// replacement, but for a stand-in (<see cref="StandIns"/>) where the policy asks for one. A scale-down wins: it takes a pod
    /// and its stand-ins together.
    /// </summary>
    public static ReplicaSetPlan Make(ReplicaSetView view)
    {
        if (view.Object.IsDeleting)
            return s_nothing;
        List<PodState> counted = StandIns.Counted(view.Pods);
        Dictionary<string, PodState> standIns = StandIns.ByOriginal(view.Pods);
        var delete = new List<PodState>();
        var deleted = new HashSet<string>(StringComparer.Ordinal);
        foreach (PodState pod in view.Pods)
            if (pod.IsReady && pod.IsActive && standIns.ContainsKey(pod.Object.Uid))
                Delete(StandIns.After(standIns, pod));
            else if (StandIns.IsVoid(view.Pods, pod))
                Delete([pod]);
        int surplus = counted.Count - (view.Set.Spec.Replicas ?? 1);
        if (surplus > 0)
        {
            counted.Sort(new PodRanking(view.RelatedOnNode, view.Now));
            foreach (PodState pod in counted.GetRange(0, Math.Min(surplus, PodBatch.Burst)))
            {
                Delete(StandIns.After(standIns, pod));
                Delete([pod]);
                Delete(StandIns.Before(view.Pods, standIns, pod));
            }
            return new ReplicaSetPlan(0, delete, []);
        }
        List<PodState> due = [.. view.Pods.Where(p => !standIns.ContainsKey(p.Object.Uid) && StandIns.Due(p, view.Failover) <= view.Now).Take(PodBatch.Burst)];
        return surplus == 0 && delete.Count == 0 && due.Count == 0 ? s_nothing : new ReplicaSetPlan(Math.Min(-surplus, PodBatch.Burst), delete, due);

        void Delete(List<PodState> pods)
        {
            foreach (PodState pod in pods)
                if (deleted.Add(pod.Object.Uid))
                    delete.Add(pod);
        }
    }

    /// <summary>The status that the pods amount to. <paramref name="failure"/> says why pods could not be made or deleted.</summary>
    public static ReplicaSetStatus Status(ReplicaSetView view, (string Reason, string Message)? failure)
    {
        Dictionary<string, string> labels = PodDocuments.Labels(view.Set.Spec.Template);
        int minReady = view.Set.Spec.MinReadySeconds ?? 0;
        int replicas = 0, labelled = 0, ready = 0, available = 0, unreachable = 0;
        foreach (PodState pod in StandIns.Counted(view.Pods))
        {
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
    public static TimeSpan? After(ReplicaSetView view)
    {
        TimeSpan? next = PodState.NextAvailable(view.Pods.Where(p => p.IsActive), view.Set.Spec.MinReadySeconds ?? 0, view.Now);
        foreach (PodState pod in view.Pods)
            if (StandIns.Due(pod, view.Failover) - view.Now is { } wait && wait > TimeSpan.Zero && (next is null || wait < next))
                next = wait;
        return next;
    }
}
