using System.Globalization;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Checking;

/// <summary>
/// Proves a plan legal, or says where it is not: it carries the plan out step by step over plain documents and asks of each
/// step whether it was allowed at that moment: capacity of every resource, ports, taints, names, selectors, spread, affinity
/// and anti-affinity both ways, order, and of a promise that its victims are lesser pods of that node and suffice. Of a pod
/// that got nothing it asks that no node would have done, and that the reasons told are the true ones. Nothing of the
/// scheduler's own code is used. Meant for tests and for a suspicious operator: it costs nodes × pods for each step.
/// </summary>
public static class PlanChecker
{
    /// <summary>Everything that is wrong with a plan; empty when it is legal.</summary>
    /// <param name="nodes">The fleet's nodes.</param>
    /// <param name="pods">Its pods; those without a node or promise do not matter.</param>
    /// <param name="namespaces">Its namespaces, for terms that select them.</param>
    /// <param name="pending">The pods that the plan was asked for, in order.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="others">PodGroups, ElasticQuotas, Reservations, claims, volumes and storage classes, Sites and CPUModels, in any order; null for none.</param>
    /// <param name="profiles">Profiles by schedulerName, as in <see cref="PlanOptions.Profiles"/>; null for Kubernetes' default alone.</param>
    public static IReadOnlyList<string> Check(IReadOnlyList<KubeObject> nodes, IReadOnlyList<KubeObject> pods, IReadOnlyList<KubeObject> namespaces, IReadOnlyList<KubeObject> pending, Plan plan, IReadOnlyList<KubeObject>? others = null, IReadOnlyDictionary<string, SchedulingProfile>? profiles = null)
    {
        ArgumentNullException.ThrowIfNull(pending);
        ArgumentNullException.ThrowIfNull(plan);
        var wrong = new List<string>();
        if (plan.Placements.Count != pending.Count)
            wrong.Add($"{pending.Count} pods were asked for and {plan.Placements.Count} answered.");
        var fleet = new PlainFleet(nodes, pods, namespaces, others) { Profiles = profiles };
        var doomed = new HashSet<string>(StringComparer.Ordinal);
        int[] order = [.. Enumerable.Range(0, Math.Min(pending.Count, plan.Placements.Count))];
        if (plan.Order is { } told && !order.SequenceEqual(told.Order()))
            wrong.Add("The order does not name each placement once.");
        var gangs = new PlainGangs(pods, others ?? [], pending, plan);
        wrong.AddRange(gangs.Check());
        var quotas = new PlainQuotas(fleet, others ?? [], doomed);
        foreach (int i in plan.Order ?? order)
        {
            Placement placement = plan.Placements[i];
            if (!ReferenceEquals(placement.Pod, pending[i]))
                wrong.Add($"Answer {i} is about {placement.Pod.Key}, not {pending[i].Key}.");
            // What was promised to a pod is its own to take.
            PlainPod? promise = fleet.Pods.Find(p => p.Promised && p.Object.Uid == placement.Pod.Uid);
            if (promise is not null)
                fleet.Pods.Remove(promise);
            string? problem = placement.Node is not null ? CheckPlaced(fleet, quotas, placement)
                : gangs.Answers(placement) ? gangs.CheckRefused(fleet, quotas, placement)
                : placement.Gang is not null && CheckPlaced(fleet, quotas, placement with { Node = placement.Nominated, Message = null }) is null ? null
                : CheckRefused(fleet, quotas, placement, doomed);
            if (problem is not null)
                wrong.Add($"{placement.Pod.Key}: {problem}");
            if ((placement.Node ?? placement.Nominated) is { } node && fleet.Nodes.ContainsKey(node))
                fleet.Pods.Add(new PlainPod(placement.Pod, node, placement.Node is null && !IsHeldForItsGroup(placement)) { Reservation = placement.Reservation, Given = placement.Allocation });
        }
        return wrong;
    }

    private static string? CheckPlaced(PlainFleet fleet, PlainQuotas quotas, Placement placement)
    {
        if (!fleet.Nodes.ContainsKey(placement.Node!))
            return $"there is no node {placement.Node}.";
        if (placement.Victims.Count > 0 || placement.Message is not null)
            return "it has a node, and victims or a message besides.";
        // It may take what was only promised to lesser pods.
        bool IsLesser(PlainPod p) => p.Promised && p.Priority < PriorityOf(placement.Pod);
        if (quotas.Without(placement.Pod) is { } over && Without(fleet, placement.Node!, IsLesser, () => quotas.Without(placement.Pod) is null ? [] : [over]).Count > 0)
            return $"{over}.";
        if (placement.Reservation is { } kept)
        {
            KubeObject? reservation = fleet.Reservations.Find(r => r.Name == kept);
            if (reservation is null || !PlainFleet.IsOwner(reservation, placement.Pod) || reservation.View(ApiJson.Default.Reservation).Status!.NodeName != placement.Node)
                return $"reservation {kept} is not its own on {placement.Node}.";
            if (fleet.Missing(placement.Pod.View(ApiJson.Default.Pod).Spec, placement.Node!, reservation) is { Count: > 0 } wanting && !fleet.On(placement.Node!).Any(IsLesser))
                return $"{placement.Node} with reservation {kept}: {string.Join(", ", wanting)}.";
        }
        else if (fleet.Missing(placement.Pod.View(ApiJson.Default.Pod).Spec, placement.Node!, null) is { Count: > 0 } lacking && !fleet.On(placement.Node!).Any(IsLesser))
            return $"{placement.Node}, without what is reserved there: {string.Join(", ", lacking)}.";
        List<string> Ask() => fleet.Reasons(placement.Pod, placement.Node!) is { Count: > 0 } reasons ? reasons
            : fleet.CheckParts(placement.Pod, placement.Node!, placement.Allocation) is { } parts ? [parts] : [];
        List<string> wrong = Ask();
        if (wrong.Count > 0)
            wrong = Without(fleet, placement.Node!, IsLesser, Ask);
        return wrong.Count == 0 ? fleet.Storage.Take(placement, fleet.Nodes[placement.Node!]) : $"{placement.Node}: {string.Join(", ", wrong)}.";
    }

    private static string? CheckRefused(PlainFleet fleet, PlainQuotas quotas, Placement placement, HashSet<string> doomed)
    {
        if (placement.Message is null)
            return "it has neither a node nor a message.";
        if (placement.Nominated is null ? placement.Victims.Count > 0 || placement.Gang is not null : !fleet.Nodes.ContainsKey(placement.Nominated))
            return "it is promised nothing that is there, and yet pods go for it or others count on it.";
        if (placement.Allocation is not null || placement.Reservation is not null || placement.Volumes.Count > 0)
            return "it has no node, and was given parts, reserved room or volumes of one.";
        if (fleet.Nodes.Count == 0)
            return placement.Message == "no nodes available to schedule pods" ? null : placement.Message;
        if (fleet.Storage.Never(placement.Pod) is { } never)
            return placement.Message.StartsWith($"0/{fleet.Nodes.Count} nodes are available: {never}.", StringComparison.Ordinal) && placement.Nominated is null ? null : placement.Message;
        if (quotas.Without(placement.Pod) is { } over)
            return !placement.Message.StartsWith($"0/{fleet.Nodes.Count} nodes are available: {fleet.Nodes.Count} {over}", StringComparison.Ordinal) ? $"it was told \"{placement.Message}\" where {over} is true."
                : placement.Nominated is null ? null : CheckPromise(fleet, quotas, placement, doomed);
        var counts = new SortedDictionary<string, int>(StringComparer.Ordinal);
        foreach (string node in fleet.Nodes.Keys)
        {
            List<string> reasons = fleet.Reasons(placement.Pod, node);
            if (reasons.Count == 0)
                return $"{node} would have done.";
            foreach (string reason in reasons)
                counts[reason] = counts.GetValueOrDefault(reason) + 1;
        }
        List<string> parts = [.. counts.Select(c => string.Create(CultureInfo.InvariantCulture, $"{c.Value} {c.Key}"))];
        parts.Sort(StringComparer.Ordinal);
        string expected = $"0/{fleet.Nodes.Count} nodes are available: {string.Join(", ", parts)}.";
        if (placement.Message != expected && !placement.Message.StartsWith($"{expected} preemption: ", StringComparison.Ordinal))
            return $"it was told \"{placement.Message}\" where \"{expected}\" is true.";
        return placement.Nominated is null ? null : CheckPromise(fleet, quotas, placement, doomed);
    }

    private static string? CheckPromise(PlainFleet fleet, PlainQuotas quotas, Placement placement, HashSet<string> doomed)
    {
        int priority = PriorityOf(placement.Pod);
        if (placement.Pod.View(ApiJson.Default.Pod).Spec.PreemptionPolicy == "Never" || placement.Pod.Metadata.Annotation(DefragmentationPlan.Replaces) is not null)
            return "it never displaces anybody, and is promised the room of others.";
        // Asked before any of them is thought away: what is lent can be taken while it is lent.
        HashSet<string> lent = [.. placement.Victims.Where(v => quotas.MayReclaim(placement.Pod, v)).Select(v => v.Uid)];
        HashSet<string> ending = [.. fleet.On(placement.Nominated!).Where(p => p.Object.IsDeleting && quotas.MayReclaim(placement.Pod, p.Object)).Select(p => p.Object.Uid)];
        foreach (KubeObject victim in placement.Victims)
        {
            PlainPod? there = fleet.Pods.Find(p => p.Object.Uid == victim.Uid);
            if (there is null || there.Node != placement.Nominated || there.Promised)
                return $"victim {victim.Key} is not on {placement.Nominated}.";
            if (quotas.Differ(placement.Pod, victim) ? !lent.Contains(victim.Uid) : there.Priority >= priority)
                return $"victim {victim.Key} is no lesser pod.";
            if (!doomed.Add(victim.Uid))
                return $"victim {victim.Key} is deleted twice.";
        }
        if (placement.Message!.Contains("terminating pod on the nominated node", StringComparison.Ordinal))
            return placement.Pod.View(ApiJson.Default.Pod).Status?.NominatedNodeName == placement.Nominated && fleet.On(placement.Nominated!).Any(p => p.Object.IsDeleting) ? null : "nobody ends on the node that it is promised.";
        bool Goes(PlainPod p) => p.Priority < priority && (doomed.Contains(p.Object.Uid) || p.Promised || p.Object.IsDeleting) || doomed.Contains(p.Object.Uid) || ending.Contains(p.Object.Uid);
        List<string> Ask() => quotas.Without(placement.Pod) is { } over ? [over] : fleet.Reasons(placement.Pod, placement.Nominated!);
        List<string> reasons = Without(fleet, placement.Nominated!, Goes, Ask);
        if (reasons.Count > 0)
            return $"without its victims {placement.Nominated} still has: {string.Join(", ", reasons)}.";
        PodSpec spec = placement.Pod.View(ApiJson.Default.Pod).Spec;
        if (spec.TopologySpreadConstraints is not null || spec.Affinity is not null)
            return null; // Putting a pod back may help there, so one too many cannot be told.
        foreach (KubeObject victim in placement.Victims)
        {
            doomed.Remove(victim.Uid);
            bool spare = Without(fleet, placement.Nominated!, p => Goes(p) && p.Object.Uid != victim.Uid, Ask).Count == 0;
            doomed.Add(victim.Uid);
            if (spare)
                return $"victim {victim.Key} need not go.";
        }
        return null;
    }

    // A member that fits and waits for the victims of others keeps its room against everybody.
    private static bool IsHeldForItsGroup(Placement placement) => placement.Gang is not null && placement.Message?.StartsWith("pod group ", StringComparison.Ordinal) == true;

    private static int PriorityOf(KubeObject pod) => pod.View(ApiJson.Default.Pod).Spec.Priority ?? 0;

    private static List<string> Without(PlainFleet fleet, string node, Func<PlainPod, bool> goes, Func<List<string>> ask)
    {
        List<PlainPod> gone = fleet.Pods.FindAll(p => p.Node == node && goes(p));
        foreach (PlainPod pod in gone)
            fleet.Pods.Remove(pod);
        List<string> answer = ask();
        fleet.Pods.AddRange(gone);
        return answer;
    }
}
