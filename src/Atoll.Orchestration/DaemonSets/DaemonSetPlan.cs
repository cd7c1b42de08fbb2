using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.Revisions;

namespace Atoll.Orchestration.DaemonSets;

/// <summary>A node as the core sees it: whether the set's pod should start there, may stay there, and whether the node is out of reach.</summary>
internal sealed record DaemonNode(string Name, bool Run, bool Stay, bool Unreachable);

/// <summary>What the core sees. <see cref="Hash"/> is the revision that pods should be of.</summary>
internal sealed record DaemonSetView(KubeObject Object, DaemonSet Set, string Hash, IReadOnlyList<DaemonNode> Nodes, IReadOnlyList<PodState> Pods, DateTimeOffset Now)
{
    public int MinReady => Set.Spec.MinReadySeconds ?? 0;

    public bool IsRolling => Set.Spec.UpdateStrategy?.Type is null or "RollingUpdate";

    public int Desired => Nodes.Count(n => n.Run);

    public int MaxSurge => !IsRolling ? 0 : Scaled(Set.Spec.UpdateStrategy?.RollingUpdate?.MaxSurge ?? new IntOrString(0));

    /// <summary>How many nodes may be without an available pod during an update; 1 when nothing else is said.</summary>
    public int MaxUnavailable
    {
        get
        {
            int unavailable = Scaled(Set.Spec.UpdateStrategy?.RollingUpdate?.MaxUnavailable ?? new IntOrString(1));
            return unavailable == 0 && MaxSurge == 0 ? 1 : unavailable;
        }
    }

    public bool IsNew(PodState pod) => pod.Object.Metadata.Label(RevisionHistory.HashLabel) == Hash;

    /// <summary>Pods by the node that they are on or meant for.</summary>
    public ILookup<string, PodState> ByNode() => Pods.ToLookup(p => DaemonPods.NodeOf(p.View) ?? "", StringComparer.Ordinal);

    private int Scaled(IntOrString value) => value.TryScale(Desired, true, out int scaled) ? scaled : 0;
}

/// <summary>Nodes that need a pod, pods that must go, and failed pods that must go after a back-off.</summary>
internal sealed record DaemonSetPlan(List<string> Create, List<PodState> Delete, List<PodState> Failed)
{
    /// <summary>
    /// One pod a node that fits. Nodes out of reach are left as they are: their pods are neither counted against what may
    /// be unavailable nor replaced, so that sites whose line is cut do not hold up an update of all others; they are
    /// updated, within the same bounds, when they return.
    /// </summary>
    public static DaemonSetPlan Make(DaemonSetView view)
    {
        var plan = new DaemonSetPlan([], [], []);
        if (view.Object.IsDeleting)
            return plan;
        ILookup<string, PodState> pods = view.ByNode();
        foreach (DaemonNode node in view.Nodes)
            plan.Place(view, node, [.. pods[node.Name].OrderBy(p => p.Object.Metadata.CreationTimestamp).ThenBy(p => p.Object.Name, StringComparer.Ordinal)]);
        var known = view.Nodes.Select(n => n.Name).ToHashSet(StringComparer.Ordinal);
        foreach (PodState pod in view.Pods)
            if (!pod.IsDeleting && string.IsNullOrEmpty(pod.View.Spec.NodeName) && !known.Contains(DaemonPods.NodeOf(pod.View) ?? ""))
                plan.Delete.Add(pod);
        if (view.IsRolling && plan.Create.Count == 0 && plan.Delete.Count == 0)
            plan.Update(view, pods);
        return plan;
    }

    private void Place(DaemonSetView view, DaemonNode node, List<PodState> pods)
    {
        if (!node.Stay)
        {
            Delete.AddRange(pods.Where(p => !p.IsDeleting));
            return;
        }
        if (pods.Count == 0)
        {
            if (node.Run)
                Create.Add(node.Name);
            return;
        }
        Failed.AddRange(pods.Where(p => !p.IsDeleting && p.IsFinished));
        List<PodState> running = [.. pods.Where(p => p.IsActive)];
        bool surging = view.MaxSurge > 0;
        PodState? keptOld = null, keptNew = null;
        foreach (PodState pod in running)
        {
            if (surging && view.IsNew(pod) ? keptNew is null : keptOld is null)
                _ = surging && view.IsNew(pod) ? keptNew = pod : keptOld = pod;
            else
                Delete.Add(pod);
        }
        if (keptOld is not null && keptNew is not null && (keptNew.IsAvailable(view.MinReady, view.Now) || (!keptOld.IsReady && !keptOld.Unreachable)))
            Delete.Add(keptOld);
    }

    private void Update(DaemonSetView view, ILookup<string, PodState> pods)
    {
        int unavailable = 0, surging = 0;
        var broken = new List<PodState>();
        var healthy = new List<(string Node, PodState Pod)>();
        foreach (DaemonNode node in view.Nodes)
        {
            if (!node.Run || node.Unreachable)
                continue;
            List<PodState> here = [.. pods[node.Name]];
            PodState? old = here.Find(p => !view.IsNew(p) && p.IsActive), fresh = here.Find(view.IsNew);
            bool available = here.Exists(p => p.IsActive && p.IsAvailable(view.MinReady, view.Now));
            unavailable += available ? 0 : 1;
            if (old is not null && fresh is not null)
                surging++;
            else if (old is not null && here.TrueForAll(p => p.IsActive))
            {
                if (old.IsAvailable(view.MinReady, view.Now))
                    healthy.Add((node.Name, old));
                else
                    broken.Add(old);
            }
        }
        Delete.AddRange(broken);
        if (view.MaxSurge > 0)
            Create.AddRange(healthy.Take(Math.Max(0, view.MaxSurge - surging)).Select(h => h.Node));
        else
            Delete.AddRange(healthy.Take(Math.Max(0, view.MaxUnavailable - unavailable)).Select(h => h.Pod));
    }

    /// <summary>The status that nodes and pods amount to.</summary>
    public static DaemonSetStatus Status(DaemonSetView view, int? collisions)
    {
        ILookup<string, PodState> pods = view.ByNode();
        int desired = 0, current = 0, misscheduled = 0, ready = 0, available = 0, updated = 0, unreachable = 0;
        foreach (DaemonNode node in view.Nodes)
        {
            List<PodState> here = [.. pods[node.Name].Where(p => p.IsActive)];
            if (!node.Run)
            {
                misscheduled += here.Count > 0 && !node.Stay ? 1 : 0;
                continue;
            }
            desired++;
            if (here.Count == 0)
                continue;
            current++;
            ready += here.Exists(p => p.IsReady) ? 1 : 0;
            available += here.Exists(p => p.IsAvailable(view.MinReady, view.Now)) ? 1 : 0;
            updated += here.Exists(view.IsNew) ? 1 : 0;
            unreachable += here.Exists(p => p.Unreachable) ? 1 : 0;
        }
        return new DaemonSetStatus
        {
            CurrentNumberScheduled = current,
            NumberMisscheduled = misscheduled,
            DesiredNumberScheduled = desired,
            NumberReady = ready,
            ObservedGeneration = view.Object.Metadata.Generation,
            UpdatedNumberScheduled = updated,
            NumberAvailable = available,
            NumberUnavailable = desired - available,
            CollisionCount = collisions,
            Conditions = Orchestration.Pods.Unreachable.Condition([.. view.Set.Status?.Conditions ?? []], unreachable, current, view.Now),
        };
    }
}
