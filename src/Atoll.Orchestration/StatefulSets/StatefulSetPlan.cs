using Atoll.Api.Core;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.StatefulSets;

/// <summary>
/// Ordinals to make, and pods to delete. An identity is a name, and the API has a name once: so an identity is made again only when the
/// object of its holder is gone, which takes the word of the holder's site that the pod stopped (or an operator's, who forces the
/// deletion). That is the fence: a pod out of reach keeps its object, and nothing is made in its place.
/// </summary>
internal sealed record StatefulSetPlan(List<int> Create, List<PodState> Delete)
{
    /// <summary>
    /// Kubernetes' order. Ordered: lowest ordinal first, each waits until all before it are available; scaling down and updating go
    /// from the highest, one at a time, and only while all others are available. Parallel: scaling waits for nothing. An update never
    /// deletes a pod out of reach: it waits for the site, as its deletion could not be carried out.
    /// </summary>
    public static StatefulSetPlan Make(StatefulSetView view)
    {
        var plan = new StatefulSetPlan([], []);
        if (view.Object.IsDeleting)
            return plan;
        var slots = new PodState?[view.Replicas];
        var condemned = new List<PodState>();
        foreach (PodState pod in view.Pods)
            if (view.Ordinal(pod) - view.Start is >= 0 and int slot && slot < slots.Length)
                slots[slot] = pod;
            else
                condemned.Add(pod);
        condemned.Sort((a, b) => view.Ordinal(b).CompareTo(view.Ordinal(a)));
        if (plan.Fill(view, slots) && plan.ScaleDown(view, slots, condemned) && view.IsRolling && plan.Create.Count == 0 && plan.Delete.Count == 0)
            plan.Roll(view, slots);
        return plan;
    }

    /// <summary>False when an ordered set must wait here.</summary>
    private bool Fill(StatefulSetView view, PodState?[] slots)
    {
        for (int i = 0; i < slots.Length; i++)
        {
            if (slots[i] is not { } pod)
                Create.Add(view.Start + i);
            else if (pod is { IsFinished: true, IsDeleting: false })
                Delete.Add(pod);
            else if (view.IsHealthy(pod))
                continue;
            if (view.IsOrdered)
                return false;
        }
        return true;
    }

    private bool ScaleDown(StatefulSetView view, PodState?[] slots, List<PodState> condemned)
    {
        // The lowest that is unhealthy may go although it is: waiting for it would be waiting for ever.
        PodState? first = Array.Find(slots, p => p is not null && !view.IsHealthy(p)) ?? condemned.FindLast(p => !view.IsHealthy(p));
        foreach (PodState pod in condemned)
        {
            if (!pod.IsDeleting && (!view.IsOrdered || view.IsHealthy(pod) || pod == first))
                Delete.Add(pod);
            if (view.IsOrdered)
                return false;
        }
        return true;
    }

    private void Roll(StatefulSetView view, PodState?[] slots)
    {
        int unavailable = 0;
        for (int i = slots.Length - 1; i >= 0 && view.Start + i >= view.FirstUpdated && unavailable < view.MaxUnavailable; i--)
        {
            PodState pod = slots[i]!;
            bool old = StatefulSetView.Revision(pod) != view.Update;
            if (old && !pod.IsDeleting && !pod.Unreachable)
                Delete.Add(pod);
            if (old || !view.IsHealthy(pod))
                unavailable++;
        }
    }

    /// <summary>The status that the pods amount to.</summary>
    public static StatefulSetStatus Status(StatefulSetView view, int? collisions)
    {
        int ready = 0, available = 0, current = 0, updated = 0, unreachable = 0;
        foreach (PodState pod in view.Pods)
        {
            ready += pod.IsReady ? 1 : 0;
            available += pod.IsAvailable(view.MinReady, view.Now) ? 1 : 0;
            unreachable += pod.Unreachable ? 1 : 0;
            if (pod.IsDeleting)
                continue;
            current += StatefulSetView.Revision(pod) == view.Current ? 1 : 0;
            updated += StatefulSetView.Revision(pod) == view.Update ? 1 : 0;
        }
        bool complete = view.IsRolling && updated == view.Replicas && ready == view.Replicas && view.Pods.Count == view.Replicas;
        return new StatefulSetStatus
        {
            ObservedGeneration = view.Object.Metadata.Generation,
            Replicas = view.Pods.Count,
            ReadyReplicas = ready,
            AvailableReplicas = available,
            CurrentReplicas = complete ? updated : current,
            UpdatedReplicas = updated,
            CurrentRevision = complete ? view.Update : view.Current,
            UpdateRevision = view.Update,
            CollisionCount = collisions,
            Conditions = Unreachable.Condition([.. view.Set.Status?.Conditions ?? []], unreachable, view.Pods.Count, view.Now),
        };
    }
}
