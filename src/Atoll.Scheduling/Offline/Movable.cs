using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;
using PodGroup = Atoll.Scheduling.Online.PodGroup;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Which pods may be moved at all: running ones whose ReplicaSet, StatefulSet or (where its pods allow it) Job makes them anew, that keep
/// nothing on their node and whose place depends on no other pod. Never a pod without an owner or of a DaemonSet, a mirror or site-owned
/// pod, one with the annotation <c>edge.atoll.dev/do-not-move</c>, or one that two disruption budgets protect (it cannot be evicted).
/// </summary>
internal sealed class Movable
{
    private const string MirrorAnnotation = "kubernetes.io/config.mirror";

    private readonly Snapshot _fleet;
    private readonly FleetGoal _goal;
    private readonly List<PodTerm> _repelling = [];
    private readonly Dictionary<string, List<PodDisruptionBudget>> _budgets = new(StringComparer.Ordinal);

    // What is the same for all pods of a group is asked once.
    private readonly Dictionary<PodGroup, string?> _groups = new(ReferenceEqualityComparer.Instance);

    public Movable(Snapshot fleet, FleetGoal goal)
    {
        (_fleet, _goal) = (fleet, goal);
        foreach (GroupRows group in fleet.GroupList)
            _repelling.AddRange(group.Group.Terms.Anti);
        foreach (PodDisruptionBudget budget in fleet.Budgets.Values)
        {
            string ns = budget.Metadata.Namespace ?? "";
            if (!_budgets.TryGetValue(ns, out List<PodDisruptionBudget>? list))
                _budgets.Add(ns, list = []);
            list.Add(budget);
        }
    }

    /// <summary>Why a pod stays where it is; null when it may be moved.</summary>
    public string? Reason(PodRow row)
    {
        KubeObject pod = _goal.Now?.Invoke(row.Uid) ?? row.Pod;
        if (row.Nominated || pod.IsDeleting)
            return "it is not placed, or ends";
        if (pod.Metadata.Controller() is not { } owner)
            return "nothing makes it anew";
        if (owner.Kind != "ReplicaSet" && Stays(owner.Kind, pod, row) is { } stays)
            return stays;
        if (pod.Metadata.Annotation(MirrorAnnotation) is not null || pod.Metadata.Label(WellKnown.OwnerLabel) == "site")
            return "its site owns it";
        if (pod.Metadata.Annotation(DefragmentationPlan.DoNotMove) is { } mark && mark != "false")
            return $"it has the annotation {DefragmentationPlan.DoNotMove}";
        if (pod.Metadata.Annotation(DefragmentationPlan.Replaces) is not null && pod.View(ApiJson.Default.Pod).Status?.Condition("Ready")?.Status != "True")
            return "it is being moved";
        if (_goal.Fixed.Contains(pod.Uid) || _goal.DoNotMove?.Matches(pod.Metadata.Labels) == true)
            return "the plan leaves it where it is";
        if (!row.Ports.IsEmpty)
            return "it has ports of its node";
        if (Bound(pod.View(ApiJson.Default.Pod).Spec) is { } bound)
            return bound;
        if (!_groups.TryGetValue(row.Group, out string? together))
            _groups.Add(row.Group, together = Together(row.Group));
        return together;
    }

    // These go first and are made anew then, in room that a Reservation keeps: it keeps sums, and is no second one for a pod.
    private static string? Stays(string owner, KubeObject pod, PodRow row) => owner switch
    {
        "Job" when pod.Metadata.Annotation(DefragmentationPlan.MayRestart) != "true" => $"it is a Job's, whose work would be lost; the annotation {DefragmentationPlan.MayRestart}: \"true\" allows it",
        "StatefulSet" or "Job" when row.IsDependent || row.Wants is not null => "it goes before it is made anew, and room of its kind cannot be kept meanwhile",
        "StatefulSet" or "Job" when row.Reservation is not null => "it is in room that is reserved for it",
        "StatefulSet" or "Job" => null,
        "DaemonSet" => "it is a DaemonSet's, and belongs to its node",
        _ => $"it is a {owner}'s, which is not known to make it anew elsewhere",
    };

    private string? Together(PodGroup group)
    {
        foreach (PodTerm term in _repelling)
            if (term.Matches(group, _fleet.Namespaces))
                return "other pods keep away from it";
        int protecting = 0;
        foreach (PodDisruptionBudget budget in _budgets.GetValueOrDefault(group.Namespace, []))
            if (budget.Spec.Selector?.Matches(group.Labels) == true)
                protecting++;
        return protecting > 1 ? "more than one disruption budget protects it" : null;
    }

    private static string? Bound(PodSpec spec)
    {
        if (spec.Affinity?.PodAffinity is not null || spec.Affinity?.PodAntiAffinity is not null)
            return "its place depends on other pods";
        if (spec.TopologySpreadConstraints?.Exists(c => c.WhenUnsatisfiable == "DoNotSchedule") == true)
            return "it is spread by a hard constraint";
        foreach (Volume volume in spec.Volumes ?? [])
            if (volume is { ConfigMap: null, Secret: null, Projected: null, DownwardAPI: null, EmptyDir: null })
                return $"its volume {volume.Name} is bound to its node";
        return null;
    }
}
