using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Pods between which a decision makes no difference: one spec and, where constraints look at labels, one group. It holds what
/// PodTopologySpread and InterPodAffinity count for them, and picks their best node.
/// </summary>
internal sealed class PodClass
{
    private const int FewUses = 3;

    private readonly Working _working;
    private readonly List<Limit> _limits = [];
    private readonly List<SpreadCounter> _softSpread = [];
    private readonly List<DomainCounter> _preferred = [];
    private readonly List<DomainCounter> _affinity = [];
    private readonly HashSet<string> _knownAnti = new(StringComparer.Ordinal), _knownPreferred = new(StringComparer.Ordinal);
    private readonly bool _needsAllTopologies, _selfAffine;
    private int _synced, _spreadUses;
    private SpreadBuckets? _buckets;
    private DomainChoice? _choice;
    private Scratch? _scratch;
    private RowReasons? _reasons;

    public PodClass(SpecClass spec, PodGroup group, List<TopologySpreadConstraint> spread, Working working)
    {
        Spec = spec;
        Group = group;
        _working = working;
        _needsAllTopologies = spec.Spec.TopologySpreadConstraints is { Count: > 0 } || !spec.Profile.SystemDefaultSpread;
        _synced = working.Log.Count;
        AddSpread(spread);
        foreach (PodTerm term in group.Terms.Affinity)
        {
            var counter = new DomainCounter(term.TopologyKey, working, spec, MatchesAllAffinity);
            counter.Counts[0] = -1;
            _affinity.Add(counter);
            _limits.Add(new Limit(LimitKind.Affinity, counter, null));
        }
        _selfAffine = group.Terms.Affinity.Length > 0 && MatchesAllAffinity(group) > 0;
        foreach (PodTerm term in group.Terms.Anti)
            _limits.Add(new Limit(LimitKind.Anti, new DomainCounter(term.TopologyKey, working, spec, g => term.Matches(g, working.Snapshot.Namespaces) ? 1 : 0), null));
        foreach (PodTerm term in group.Terms.Preferred)
            AddPreferred(term.TopologyKey);
        if (working.AnyTerms)
            foreach (GroupRows other in working.Snapshot.GroupList)
                Notice(other.Group);
        foreach (Working.Change change in working.Log)
            Notice(change.Group);
    }

    public SpecClass Spec { get; }

    public PodGroup Group { get; }

    public IReadOnlyList<Limit> Limits => _limits;

    /// <summary>True when a pod may be the first of those that it wants to be near to: that can come true by their going too.</summary>
    public bool IsSelfAffine => _selfAffine;

    /// <summary>Why each row will not do.</summary>
    public RowReasons Reasons => _reasons ??= new RowReasons(this, _working);

    /// <summary>The answer for the last pod of this class that fitted nowhere, while nothing has changed since.</summary>
    public Failure? LastFailure { get; set; }

    /// <summary>Takes in what the plan placed since the last time.</summary>
    public void Sync()
    {
        for (; _synced < _working.Log.Count; _synced++)
        {
            Working.Change change = _working.Log[_synced];
            foreach (Limit limit in _limits)
                limit.Counter.Follow(change);
            foreach (SpreadCounter counter in _softSpread)
                counter.Follow(change);
            foreach (DomainCounter counter in _preferred)
                counter.Follow(change);
            // A counter that is new here counts what is in the log from its start, so it begins behind this change.
            if (!change.Group.Terms.IsEmpty)
                Notice(change.Group, _synced + 1);
        }
        Spec.Sync();
        bool first = _selfAffine && !_affinity.Exists(c => c.Any);
        foreach (Limit limit in _limits)
            limit.Refresh(first);
    }

    /// <summary>True when without some pods of a row nobody would be there to be near to, and the pod would be near to itself.</summary>
    public bool IsFirstWithout(int row, IReadOnlyDictionary<PodGroup, int> gone) => _selfAffine && !_affinity.Exists(c => c.AnyWithout(row, gone));

    /// <summary>The best candidate, or −1. Call <see cref="Sync"/> before.</summary>
    public int Pick()
    {
        bool scored = _softSpread.Count + _preferred.Count > 0 || Spec.Affinity is not null || Spec.Disliked is not null;
        if (!scored && _limits.Count == 0)
            return Spec.Best();
        if (_softSpread.Count == 0 && Spec.Affinity is null && Spec.Disliked is null && ByDomain() is { } choice)
            return choice.Pick(_limits, _preferred, Spec.Profile.InterPodAffinity);
        if (!scored)
            return PickWithin();
        if (SpreadAlone() is { } buckets)
            return buckets.Pick();
        if (_softSpread.Count == 0 && Spec.Affinity is null && Spec.Disliked is null)
            return PickPreferred();
        _scratch ??= new Scratch(_working.Pool, Spec.Count);
        int count = Feasible(_scratch.Rows);
        return count switch { 0 => -1, 1 => _scratch.Rows[0], _ => PickScored(_scratch, count) };
    }

    /// <summary>The best candidate in a reservation of the pods, or −1: room that is kept for them is used before any other.</summary>
    public int PickReserved()
    {
        int best = -1;
        foreach ((_, int row) in Spec.Reserved ?? [])
            if (Spec.IndexOf(row) is >= 0 and int k && Spec.Local[k] >= 0 && Spec.ReservationAt(row) is not null && Allows(k)
                && (best < 0 || Spec.Local[k] > Spec.Local[best] || (Spec.Local[k] == Spec.Local[best] && k != best && _working.Precedes(row, Spec.Rows[best]))))
                best = k;
        return best;
    }

    /// <summary>True when a candidate passes every limit.</summary>
    public bool Allows(int k)
    {
        foreach (Limit limit in _limits)
            if (!limit.Allows(limit.Counter.Counts[limit.Counter.Domains[k]]))
                return false;
        return true;
    }

    /// <summary>Each score of each row that will do, weighted, by Kubernetes' name of the score.</summary>
    public List<(int Row, Dictionary<string, long> Scores)> Scores()
    {
        _scratch ??= new Scratch(_working.Pool, Spec.Count);
        int count = Feasible(_scratch.Rows);
        ReadOnlySpan<int> feasible = _scratch.Rows.AsSpan(0, count);
        var scores = new List<(int Row, Dictionary<string, long> Scores)>(count);
        foreach (int k in feasible)
            scores.Add((Spec.Rows[k], Spec.ScoresOf(k)));
        long[] part = _working.Pool.Longs(count);
        SchedulingProfile profile = Spec.Profile;
        if (Spec.Affinity is not null)
            AddShare(feasible, Cleared(), Spec.Affinity, profile.NodeAffinity, reverse: false);
        Note("NodeAffinity", Spec.Affinity is not null);
        if (Spec.Disliked is not null)
            AddShare(feasible, Cleared(), Spec.Disliked, profile.TaintToleration, reverse: true);
        Note("TaintToleration", Spec.Disliked is not null);
        if (_softSpread.Count > 0)
            SpreadScores.Add(_softSpread, feasible, Cleared(), _scratch, profile.PodTopologySpread, _needsAllTopologies);
        Note("PodTopologySpread", _softSpread.Count > 0);
        if (_preferred.Count > 0)
            AddPreferences(feasible, Cleared(), _scratch.Raw, profile.InterPodAffinity);
        Note("InterPodAffinity", _preferred.Count > 0);
        return scores;

        long[] Cleared()
        {
            Array.Clear(part, 0, count);
            return part;
        }

        // A score that is the same everywhere, or that the pod does not ask for, says nothing.
        void Note(string name, bool matters)
        {
            for (int i = 0; matters && i < count; i++)
                scores[i].Scores[name] = part[i];
        }
    }

    // Worth while for pods that come in numbers.
    private SpreadBuckets? SpreadAlone()
    {
        if (_softSpread.Count == 0 || _limits.Count + _preferred.Count > 0 || Spec.Affinity is not null || Spec.Disliked is not null)
            return _buckets = null;
        return _buckets ??= ++_spreadUses == FewUses ? SpreadBuckets.Of(_softSpread, Spec, _working, _needsAllTopologies) : null;
    }

    // As long as one topology key is all that limits and preferences are about.
    private DomainChoice? ByDomain()
    {
        DomainCounter first = _limits.Count > 0 ? _limits[0].Counter : _preferred[0];
        foreach (Limit limit in _limits)
            if (limit.Counter.Key != first.Key)
                return null;
        foreach (DomainCounter counter in _preferred)
            if (counter.Key != first.Key)
                return null;
        return _choice ??= DomainChoice.Of(Spec, _working, first);
    }

    private int PickWithin()
    {
        int best = -1, bestScore = -1;
        ReadOnlySpan<int> local = Spec.Local, rows = Spec.Rows;
        (Limit limit, bool more) = (_limits[0], _limits.Count > 1);
        ReadOnlySpan<int> domains = limit.Counter.Domains, counts = limit.Counter.Counts;
        for (int k = 0; k < local.Length; k++)
        {
            int score = local[k];
            if (score < bestScore || score < 0 || !limit.Allows(counts[domains[k]]) || (more && !Allows(k)))
                continue;
            if (score > bestScore || _working.Precedes(rows[k], rows[best]))
                (best, bestScore) = (k, score);
        }
        return best;
    }

    // What PickScored does where only other pods are preferred, without an array: a large fleet's memory is what a decision waits for.
    private int PickPreferred()
    {
        (long least, long most) = (long.MaxValue, long.MinValue);
        ReadOnlySpan<int> local = Spec.Local, rows = Spec.Rows;
        bool limited = _limits.Count > 0;
        for (int k = 0; k < local.Length; k++)
            if (local[k] >= 0 && (!limited || Allows(k)))
            {
                long sum = Preference(k);
                (least, most) = (Math.Min(least, sum), Math.Max(most, sum));
            }
        int best = -1;
        long bestTotal = long.MinValue, last = least, share = 0;
        for (int k = 0; k < local.Length; k++)
        {
            if (local[k] < 0 || (limited && !Allows(k)))
                continue;
            if (most > least && Preference(k) is var sum && sum != last)
                (last, share) = (sum, Spec.Profile.InterPodAffinity * (100 * (sum - least) / (most - least)));
            long total = local[k] + share;
            if (total > bestTotal || (total == bestTotal && _working.Precedes(rows[k], rows[best])))
                (best, bestTotal) = (k, total);
        }
        return best;
    }

    private long Preference(int k)
    {
        long sum = 0;
        foreach (DomainCounter counter in _preferred)
            sum += counter.Counts[counter.Domains[k]];
        return sum;
    }

    private int Feasible(int[] into)
    {
        int count = 0;
        ReadOnlySpan<int> local = Spec.Local;
        bool limited = _limits.Count > 0;
        for (int k = 0; k < local.Length; k++)
            if (local[k] >= 0 && (!limited || Allows(k)))
                into[count++] = k;
        return count;
    }

    // Kubernetes normalises these scores over the nodes that passed the filters, so they take one look for the range
    // and one for the choice.
    private int PickScored(Scratch scratch, int count)
    {
        ReadOnlySpan<int> feasible = scratch.Rows.AsSpan(0, count);
        long[] total = scratch.Totals;
        for (int i = 0; i < count; i++)
            total[i] = Spec.Local[feasible[i]];
        SchedulingProfile profile = Spec.Profile;
        if (Spec.Affinity is not null)
            AddShare(feasible, total, Spec.Affinity, profile.NodeAffinity, reverse: false);
        if (Spec.Disliked is not null)
            AddShare(feasible, total, Spec.Disliked, profile.TaintToleration, reverse: true);
        if (_softSpread.Count > 0)
            SpreadScores.Add(_softSpread, feasible, total, scratch, profile.PodTopologySpread, _needsAllTopologies);
        if (_preferred.Count > 0)
            AddPreferences(feasible, total, scratch.Raw, profile.InterPodAffinity);
        int best = 0;
        for (int i = 1; i < count; i++)
            if (total[i] > total[best] || (total[i] == total[best] && _working.Precedes(Spec.Rows[feasible[i]], Spec.Rows[feasible[best]])))
                best = i;
        return feasible[best];
    }

    private static void AddShare(ReadOnlySpan<int> feasible, long[] total, int[] raw, int weight, bool reverse)
    {
        int most = 0;
        foreach (int k in feasible)
            most = Math.Max(most, raw[k]);
        for (int i = 0; i < feasible.Length; i++)
        {
            int share = most == 0 ? 0 : raw[feasible[i]] * 100 / most;
            total[i] += weight * (reverse ? 100 - share : share);
        }
    }

    private void AddPreferences(ReadOnlySpan<int> feasible, long[] total, long[] raw, int weight)
    {
        long least = long.MaxValue, most = long.MinValue;
        for (int i = 0; i < feasible.Length; i++)
        {
            long sum = raw[i] = Preference(feasible[i]);
            least = Math.Min(least, sum);
            most = Math.Max(most, sum);
        }
        if (most > least)
            for (int i = 0; i < feasible.Length; i++)
                total[i] += weight * (100 * (raw[i] - least) / (most - least));
    }

    private void AddSpread(List<TopologySpreadConstraint> constraints)
    {
        if (constraints.Count == 0)
            return;
        foreach (bool hard in (bool[])[true, false])
        {
            List<TopologySpreadConstraint> those = constraints.FindAll(c => (c.WhenUnsatisfiable != "ScheduleAnyway") == hard);
            // Only nodes that have every label are domains: constraints of one kind share their nodes.
            List<LabelColumn?> columns = those.ConvertAll(c => _working.Snapshot.Labels.Find(c.TopologyKey));
            foreach (TopologySpreadConstraint constraint in those)
            {
                LabelSelector selector = PodTerm.Narrowed(constraint.LabelSelector, constraint.MatchLabelKeys, null, Group.Labels);
                int Weight(PodGroup g) => !g.Deleting && g.Namespace == Group.Namespace && selector.Matches(g.Labels) ? 1 : 0;
                var counter = new SpreadCounter(constraint.TopologyKey, _working, Spec, Weight, Counted(constraint, hard || _needsAllTopologies ? columns : []),
                    constraint.MaxSkew, constraint.MinDomains ?? 0, selector.Matches(Group.Labels) ? 1 : 0);
                if (!hard)
                {
                    if (Spec.Profile.PodTopologySpread > 0)
                        _softSpread.Add(counter);
                    continue;
                }
                counter.Counts[0] = int.MaxValue;
                _limits.Add(new Limit(LimitKind.Spread, counter, counter));
            }
        }
    }

    // Null where every row that has a domain counts.
    private bool[]? Counted(TopologySpreadConstraint constraint, List<LabelColumn?> columns)
    {
        Snapshot snapshot = _working.Snapshot;
        bool selects = constraint.NodeAffinityPolicy != "Ignore" && Spec.Selects, taints = constraint.NodeTaintsPolicy == "Honor", open = false;
        if (!selects && !taints && columns.Count <= 1)
            return null;
        bool[] counted = _working.Pool.Bools(snapshot.Rows);
        NodeGate? last = null;
        for (int first = 0; first < snapshot.Rows; first += Column<NodeGate?>.Size)
        {
            Span<bool> page = counted.AsSpan(first, Math.Min(Column<NodeGate?>.Size, snapshot.Rows - first));
            ReadOnlySpan<NodeGate?> gates = snapshot.Gates.PageOf(first);
            for (int i = 0; i < page.Length; i++)
            {
                if (!ReferenceEquals(gates[i], last))
                    (last, open) = (gates[i], gates[i] is { } gate && (!taints || NodeMatch.TaintReason(Spec.Spec, gate) is null));
                page[i] = open && (!selects || Spec.MatchesSelection(first + i));
            }
            foreach (LabelColumn? column in columns)
            {
                ReadOnlySpan<int> values = column is null ? default : column.PageOf(first);
                for (int i = 0; i < page.Length; i++)
                    page[i] &= !values.IsEmpty && values[i] != 0;
            }
        }
        return counted;
    }

    private int MatchesAllAffinity(PodGroup group)
    {
        foreach (PodTerm term in Group.Terms.Affinity)
            if (!term.Matches(group, _working.Snapshot.Namespaces))
                return 0;
        return 1;
    }

    // Other pods' terms may be about this class: a counter for each topology key that they name.
    private void Notice(PodGroup other, int followed = int.MaxValue)
    {
        foreach (PodTerm term in other.Terms.Anti)
            if (term.Matches(Group, _working.Snapshot.Namespaces) && _knownAnti.Add(term.TopologyKey))
                _limits.Add(new Limit(LimitKind.ExistingAnti, Behind(new DomainCounter(term.TopologyKey, _working, Spec, g => Against(g, term.TopologyKey)), followed), null));
        if (Spec.Profile.InterPodAffinity == 0)
            return;
        if (Spec.Profile.HardPodAffinityWeight > 0)
            foreach (PodTerm term in other.Terms.Affinity)
                if (term.Matches(Group, _working.Snapshot.Namespaces))
                    Behind(AddPreferred(term.TopologyKey), followed);
        foreach (PodTerm term in other.Terms.Preferred)
            if (term.Matches(Group, _working.Snapshot.Namespaces))
                Behind(AddPreferred(term.TopologyKey), followed);
    }

    private DomainCounter? AddPreferred(string key)
    {
        if (Spec.Profile.InterPodAffinity == 0 || !_knownPreferred.Add(key))
            return null;
        var counter = new DomainCounter(key, _working, Spec, g => Liking(g, key));
        _preferred.Add(counter);
        return counter;
    }

    // A counter counts the whole log when it is made; what Sync still has to go through must not count twice.
    private DomainCounter Behind(DomainCounter? counter, int followed)
    {
        if (counter is not null)
            for (int i = followed; i < _working.Log.Count; i++)
                counter.Follow(_working.Log[i] with { Sign = -_working.Log[i].Sign });
        return counter!;
    }

    private int Against(PodGroup other, string key)
    {
        int count = 0;
        foreach (PodTerm term in other.Terms.Anti)
            if (term.TopologyKey == key && term.Matches(Group, _working.Snapshot.Namespaces))
                count++;
        return count;
    }

    // What I like of them, what they require of me, what they like of me.
    private int Liking(PodGroup other, string key)
    {
        int sum = 0;
        foreach (PodTerm term in Group.Terms.Preferred)
            if (term.TopologyKey == key && term.Matches(other, _working.Snapshot.Namespaces))
                sum += term.Weight;
        foreach (PodTerm term in other.Terms.Affinity)
            if (term.TopologyKey == key && term.Matches(Group, _working.Snapshot.Namespaces))
                sum += Spec.Profile.HardPodAffinityWeight;
        foreach (PodTerm term in other.Terms.Preferred)
            if (term.TopologyKey == key && term.Matches(Group, _working.Snapshot.Namespaces))
                sum += term.Weight;
        return sum;
    }

    /// <summary>Buffers of one class, made at its first scored choice and used again.</summary>
    internal sealed class Scratch(Pool pool, int rows)
    {
        public int[] Rows { get; } = pool.Ints(rows);

        public long[] Totals { get; } = pool.Longs(rows);

        public long[] Raw { get; } = pool.Longs(rows);

        public int[] Seen { get; set; } = [];

        public int Stamp { get; set; }
    }
}

/// <summary>An answer for pods of a class (and, where there are quotas, of one group) that fit nowhere: it stands until the next change.</summary>
internal sealed record Failure(int Changes, int Priority, bool Preempt, string? Barred, PodGroup? Group, Placement Placement);
