using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>What preemption found: a row and who has to go there, or (row −1) why it does not help.</summary>
internal sealed record Preempted(int Row, IReadOnlyList<KubeObject> Victims, bool Direct, string? Message, PodRow? Promise = null);

/// <summary>
/// DefaultPreemption: for each node that failed for something that pods hold, all pods of lower priority are thought away;
/// if that makes the pod fit, as many as possible are put back, those that a disruption budget protects first and the most
/// important first. Of the nodes that then remain the one wins that breaks the fewest budgets, whose most important victim
/// matters least, then the smallest sum of priorities, then the fewest victims, then the youngest. What was found of a node
/// is kept for the next pod of the class until something there changes. Source: Kubernetes, Pod Priority and Preemption.
/// </summary>
internal sealed class Preemption(Working working)
{
    private const string NoVictims = "No preemption victims found for incoming pod", NotHelpful = "Preemption is not helpful for scheduling";

    private readonly HashSet<PodRow> _doomed = [];
    private readonly List<(PodRow Pod, int Row)> _decided = [];
    private readonly Dictionary<int, List<PodRow>> _promises = [];
    private readonly Dictionary<(PodClass, int), Found> _found = [];
    private PodGroup _for = null!;
    private Quota? _quota;

    /// <summary>Why a pod may displace nobody whatever the fleet is like, or null.</summary>
    public static string? Barred(KubeObject value, Pod pod) =>
        pod.Spec.PreemptionPolicy == "Never" ? "not eligible due to preemptionPolicy=Never."
        : value.Metadata.Annotation(DefragmentationPlan.Replaces) is not null ? "not eligible: a pod that is moved displaces nobody." : null;

    /// <summary>Makes room for a pod that is not <see cref="Barred"/>.</summary>
    public Preempted Try(KubeObject value, Pod pod, PodClass pods, PodGroup group, List<int> failed)
    {
        int priority = pod.Spec.Priority ?? 0;
        (_for, _quota) = (group, working.Quotas.Of(group));
        if (EndsAlready(pod, priority, failed) is >= 0 and int waits)
            return new Preempted(waits, [], false, "not eligible due to a terminating pod on the nominated node.", Promise(value, pods, group, waits, priority));
        if (!_found.TryGetValue((pods, priority), out Found? found))
            _found.Add((pods, priority), found = new Found());
        // What one pod takes can matter to limits and quotas anywhere.
        if (pods.Limits.Count > 0 || !working.Quotas.IsEmpty || pods.Spec.Special is { IsSiteWide: true })
            found.Looks.Clear();
        for (; found.Synced < working.Log.Count; found.Synced++)
            found.Looks.Remove(working.Log[found.Synced].Row);
        Candidate? best = null;
        foreach (int row in failed)
        {
            if (!found.Looks.TryGetValue(row, out Look look))
                found.Looks.Add(row, look = LookAt(pods, row, priority));
            if (look.Candidate is { } candidate && (best is null || candidate.IsBetterThan(best, working)))
                best = candidate;
        }
        if (best is null)
            return new Preempted(-1, [], false, Why(failed, found));
        foreach (PodRow victim in best.Victims)
            if (_doomed.Add(victim))
            {
                _decided.Add((victim, -1));
                working.Quotas.Count(victim.Group, victim.Requests, -1);
            }
        bool direct = best.Victims.Count == 0 && !best.Waits;
        return new Preempted(best.Row, best.Victims.ConvertAll(v => v.Pod), direct, null, direct ? null : Promise(value, pods, group, best.Row, priority));
    }

    private string Why(List<int> failed, Found found)
    {
        var reasons = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (int row in failed)
            if (found.Looks[row].Reason is { } reason)
                reasons[reason] = reasons.GetValueOrDefault(reason) + 1;
        if (working.Snapshot.NodeCount > failed.Count)
            reasons[NotHelpful] = working.Snapshot.NodeCount - failed.Count;
        return RowReasons.Format(reasons, working.Snapshot.NodeCount);
    }

    private PodRow Promise(KubeObject value, PodClass pods, PodGroup group, int row, int priority)
    {
        SpecClass spec = pods.Spec;
        var promise = new PodRow(value, working.Snapshot.Nodes[row]!.Name, group, spec.FullRequests, spec.ScoredCpu, spec.ScoredMemory, spec.Ports, priority, default, Nominated: true) { Wants = PodWants.Of(value, spec.Spec) };
        if (!_promises.TryGetValue(row, out List<PodRow>? here))
            _promises.Add(row, here = []);
        here.Add(promise);
        _decided.Add((promise, row));
        return promise;
    }

    /// <summary>How much has been decided: to go back to with <see cref="Undo"/>.</summary>
    public int Mark() => _decided.Count;

    /// <summary>Forgets the victims and promises since a mark; what they counted is taken back by <see cref="Working.Undo"/>.</summary>
    public void Undo(int mark)
    {
        for (int i = _decided.Count - 1; i >= mark; i--)
            if (_decided[i].Row < 0)
            {
                _doomed.Remove(_decided[i].Pod);
                working.Quotas.Count(_decided[i].Pod.Group, _decided[i].Pod.Requests, 1);
            }
            else
                _promises[_decided[i].Row].Remove(_decided[i].Pod);
        _decided.RemoveRange(mark, _decided.Count - mark);
    }

    // Victims of an earlier look are on their way out: taking more would be too much, unless nobody's going can help there any more.
    private int EndsAlready(Pod pod, int priority, List<int> failed)
    {
        if (pod.Status?.NominatedNodeName is not { Length: > 0 } node || working.Snapshot.RowOf(node) is not (>= 0 and int row) || !failed.Contains(row))
            return -1;
        foreach (PodRow there in working.Snapshot.PodsAt[row] ?? [])
            if (there.Pod.IsDeleting && (there.Priority < priority || (_quota is not null && there.Pod.View(ApiJson.Default.Pod).Status?.Condition("DisruptionTarget")?.Reason == "PreemptionByScheduler")))
                return row;
        return -1;
    }

    private Look LookAt(PodClass pods, int row, int priority)
    {
        List<PodRow> lower = [], leaving = [];
        List<PodRow>? borrowers = null;
        foreach (PodRow pod in working.Snapshot.PodsAt[row] ?? [])
            // What is kept for a pod's owners is not taken from it.
            if (working.Released.Contains(pod) || (pod.Reservation is not null && !pod.Pod.IsDeleting))
                continue;
            else if (_doomed.Contains(pod))
                leaving.Add(pod);
            else if (_quota is not null && !pod.Nominated && !(pod.Pod.IsDeleting && pod.Priority < priority) && working.Quotas.Of(pod.Group) is { } other && !ReferenceEquals(other, _quota))
                (borrowers ??= []).Add(pod);
            else if (pod.Priority < priority)
                (pod.Nominated || pod.Pod.IsDeleting ? leaving : lower).Add(pod);
        if (borrowers is not null)
            Reclaim(pods.Spec.FullRequests, borrowers, lower, leaving);
        if (_promises.TryGetValue(row, out List<PodRow>? promises))
            foreach (PodRow promise in promises)
                if (promise.Priority < priority)
                    leaving.Add(promise);
        if (lower.Count + leaving.Count == 0)
            return new Look(null, NoVictims);
        var gone = new Gone(working, row, _for, _doomed);
        foreach (PodRow pod in lower)
            gone.Add(pod, 1);
        foreach (PodRow pod in leaving)
            gone.Add(pod, 1);
        if (gone.Reason(pods) is { } reason)
            return new Look(null, reason);
        lower.Sort(MoreImportant);
        (List<PodRow> guarded, List<PodRow> free) = ByBudget(lower);
        List<PodRow> victims = PutBack(guarded);
        int violations = victims.Count;
        victims.AddRange(PutBack(free));
        return new Look(new Candidate(row, victims, violations, leaving.Exists(p => !p.Nominated)), null);

        List<PodRow> PutBack(List<PodRow> those)
        {
            var stay = new List<PodRow>();
            foreach (PodRow pod in those)
            {
                gone.Add(pod, -1);
                if (gone.Reason(pods) is null)
                    continue;
                gone.Add(pod, 1);
                stay.Add(pod);
            }
            return stay;
        }
    }

    // Pods of other quotas go when they have what is guaranteed to this one, the least important first and only while theirs has more
    // than its own guarantee.
    private void Reclaim(long[] requests, List<PodRow> borrowers, List<PodRow> lower, List<PodRow> leaving)
    {
        borrowers.Sort(static (a, b) => MoreImportant(b, a));
        var freed = new QuotaFreed(working.Quotas);
        foreach (PodRow pod in borrowers)
        {
            if (!QuotaBook.MayReclaim(_quota!, requests, working.Quotas.Of(pod.Group)!, freed))
                continue;
            freed.Add(pod, 1);
            (pod.Pod.IsDeleting ? leaving : lower).Add(pod);
        }
    }

    // Pods whose going, in this order, would break a budget; and the others.
    private (List<PodRow> Guarded, List<PodRow> Free) ByBudget(List<PodRow> pods)
    {
        if (working.Snapshot.Budgets.Count == 0)
            return ([], pods);
        List<PodRow> guarded = [], free = [];
        var left = new Dictionary<PodDisruptionBudget, int>();
        foreach (PodRow pod in pods)
        {
            bool breaks = false;
            foreach (PodDisruptionBudget budget in working.Snapshot.Budgets.Values)
            {
                if (budget.Metadata.Namespace != pod.Pod.Namespace || budget.Spec.Selector?.Matches(pod.Group.Labels) != true || budget.Status?.DisruptedPods?.ContainsKey(pod.Pod.Name) == true)
                    continue;
                left[budget] = left.GetValueOrDefault(budget, budget.Status?.DisruptionsAllowed ?? 0) - 1;
                breaks |= left[budget] < 0;
            }
            (breaks ? guarded : free).Add(pod);
        }
        return (guarded, free);
    }

    private static int MoreImportant(PodRow a, PodRow b) =>
        a.Priority != b.Priority ? b.Priority.CompareTo(a.Priority) : a.Since != b.Since ? a.Since.CompareTo(b.Since) : string.CompareOrdinal(a.Uid, b.Uid);

    private readonly record struct Look(Candidate? Candidate, string? Reason);

    private sealed class Found
    {
        public Dictionary<int, Look> Looks { get; } = [];

        public int Synced { get; set; }
    }

    /// <summary>Pods thought away from one row.</summary>
    private sealed class Gone(Working working, int row, PodGroup group, HashSet<PodRow> doomed)
    {
        private readonly HashSet<PodRow> _pods = [];
        private readonly QuotaFreed? _quotas = working.Quotas.IsEmpty ? null : new QuotaFreed(working.Quotas);
        private readonly Dictionary<PodGroup, int> _groups = [];
        private readonly long[] _freed = new long[working.Resources.Count];

        public void Add(PodRow pod, int sign)
        {
            long[] kept = LeftOf(pod.Reservation);
            if (sign > 0)
                _pods.Add(pod);
            else
                _pods.Remove(pod);
            // What the pod took of a reservation comes back to that.
            long[] now = LeftOf(pod.Reservation);
            for (int r = 0; r < now.Length; r++)
                _freed[r] -= now[r] - kept[r];
            long[] demand = working.Snapshot.DemandOf(pod.Requests, pod.Wants?.Whole == true, row);
            for (int r = 0; r < demand.Length; r++)
                _freed[r] += sign * demand[r];
            _groups[pod.Group] = _groups.GetValueOrDefault(pod.Group) + sign;
            // What is decided to go has left its quota already.
            if (_quotas is not null && !doomed.Contains(pod))
                _quotas.Add(pod, sign);
        }

        private long[] LeftOf(string? reservation) =>
            reservation is not null && working.Snapshot.Reserved.TryGetValue(reservation, out ReservedRow? reserved) && working.Snapshot.RowOf(reserved.Node) == row ? working.Reserved.LeftOf(reservation, _pods.Contains) : [];

        public string? Reason(PodClass pods)
        {
            SpecClass spec = pods.Spec;
            if (!spec.Ports.IsEmpty && working.PortsTaken(spec.Ports, row, _pods.Contains))
                return "node(s) didn't have free ports for the requested pod ports";
            bool kept = spec.Reserved is not null && spec.HasRoom(row, _freed, _pods.Contains);
            long[] requests = spec.RequestsAt(row);
            int wanting = -1;
            for (int r = 0; !kept && r < requests.Length; r++)
                if (requests[r] > 0 && requests[r] > working.AllocatableOf(r, row) - working.RequestedOf(r, row) + (r < _freed.Length ? _freed[r] : 0)
                    && (wanting < 0 || working.Resources.Precedes(r, wanting)))
                    wanting = r;
            if (wanting >= 0)
                return wanting == ResourceNames.Pods ? "Too many pods" : $"Insufficient {working.Resources[wanting]}";
            if (spec.SpecialReason(row, _pods.Contains, _freed) is { } special)
                return special;
            bool first = pods.IsFirstWithout(row, _groups);
            foreach (Limit limit in pods.Limits)
                if (!limit.AllowsWithout(row, _groups, first))
                    return limit.Reason(row) ?? Limit.NotNear;
            return _quotas is null ? null : working.Quotas.Problem(group, spec.FullRequests, working.Resources, _quotas);
        }
    }

    private sealed class Candidate
    {
        private readonly int _violations;
        private readonly long _highest = long.MinValue, _sum;
        private readonly DateTimeOffset _since = DateTimeOffset.MaxValue;

        public Candidate(int row, List<PodRow> victims, int violations, bool waits)
        {
            (Row, Victims, _violations, Waits) = (row, victims, violations, waits);
            victims.Sort(MoreImportant);
            // When the oldest of the most important victims started: a later start loses less.
            if (victims.Count > 0)
                (_highest, _since) = (victims[0].Priority, victims[0].Since);
            foreach (PodRow victim in victims)
                _sum += victim.Priority + (long)int.MaxValue + 1;
        }

        public int Row { get; }

        public List<PodRow> Victims { get; }

        /// <summary>True when pods that are on their way out have to be gone first.</summary>
        public bool Waits { get; }

        public bool IsBetterThan(Candidate other, Working working)
        {
            int order = _violations.CompareTo(other._violations);
            order = order != 0 ? order : _highest.CompareTo(other._highest);
            order = order != 0 ? order : _sum.CompareTo(other._sum);
            order = order != 0 ? order : Victims.Count.CompareTo(other.Victims.Count);
            order = order != 0 ? order : other._since.CompareTo(_since);
            return order != 0 ? order < 0 : working.Precedes(Row, other.Row);
        }
    }
}
