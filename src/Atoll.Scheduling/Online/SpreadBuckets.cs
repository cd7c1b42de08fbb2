using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>
/// The choice of a node by its own score and soft topology spread alone, without a look at every row: rows whose domains hold
/// equally many pods score the same for spread, so they stand in one bucket, best first, and only the first of each
/// bucket is compared. Chooses exactly what a look at every row with <see cref="SpreadScores"/> would.
/// </summary>
internal sealed class SpreadBuckets
{
    private const int MostConstraints = 2;

    private readonly List<SpreadCounter> _constraints;
    private readonly SpecClass _spec;
    private readonly Working _working;
    private readonly int _weight;
    private readonly bool _needsAll;
    private readonly Dictionary<long, Bucket> _byKey = [];
    private readonly List<Bucket> _buckets = [];
    private readonly int[] _of, _start, _slots;
    private readonly int[][] _feasible;
    private readonly int[] _distinct;
    private int _count, _ignored, _synced;

    private SpreadBuckets(List<SpreadCounter> constraints, SpecClass spec, Working working, bool needsAll)
    {
        (_constraints, _spec, _working, _needsAll) = (constraints, spec, working, needsAll);
        _weight = spec.Profile.PodTopologySpread;
        (_of, _start, _slots) = (working.Pool.Ints(spec.Count), working.Pool.Ints(spec.Count), working.Pool.Ints(spec.Count));
        _feasible = constraints.ConvertAll(c => new int[IsWide(c) ? 0 : c.Numbers]).ToArray();
        _distinct = new int[constraints.Count];
        _synced = working.Log.Count;
        Fill();
    }

    /// <summary>Buckets for a class, or null where rows do not fall into few: more than two constraints, or host names that nodes share.</summary>
    public static SpreadBuckets? Of(List<SpreadCounter> constraints, SpecClass spec, Working working, bool needsAll)
    {
        if (constraints.Count > MostConstraints)
            return null;
        foreach (SpreadCounter constraint in constraints)
        {
            if (!IsWide(constraint))
                continue;
            bool[] seen = working.Pool.Bools(constraint.Numbers);
            Array.Clear(seen, 0, constraint.Numbers);
            for (int k = 0; k < spec.Count; k++)
                if (constraint.Domains[k] is > 0 and int domain)
                {
                    if (seen[domain])
                        return null;
                    seen[domain] = true;
                }
        }
        return new SpreadBuckets(constraints, spec, working, needsAll);
    }

    /// <summary>The best candidate, or −1. The class has to have followed the log before.</summary>
    public int Pick()
    {
        for (; _synced < _working.Log.Count; _synced++)
            if (_spec.IndexOf(_working.Log[_synced].Row) is >= 0 and int k)
                Moved(k);
        Span<double> weights = stackalloc double[MostConstraints];
        for (int c = 0; c < _constraints.Count; c++)
            weights[c] = Math.Log(2 + (IsWide(_constraints[c]) ? _count - _ignored : _distinct[c]));
        long least = long.MaxValue, most = 0;
        foreach (Bucket bucket in _buckets)
        {
            bucket.Find(this);
            if (bucket.Ignored || bucket.Top < 0)
                continue;
            bucket.Raw = Raw(bucket, weights);
            least = Math.Min(least, bucket.Raw);
            most = Math.Max(most, bucket.Raw);
        }
        int best = -1;
        long bestTotal = long.MinValue;
        foreach (Bucket bucket in _buckets)
        {
            int k = bucket.Top;
            if (k < 0)
                continue;
            long total = _spec.Local[k] + (bucket.Ignored ? 0 : _weight * (most == 0 ? 100 : 100 * (most + least - bucket.Raw) / most));
            if (total > bestTotal || (total == bestTotal && _working.Precedes(_spec.Rows[k], _spec.Rows[best])))
                (best, bestTotal) = (k, total);
        }
        return best;
    }

    private static bool IsWide(SpreadCounter constraint) => constraint.Key == WellKnown.HostnameLabel;

    private long Raw(Bucket bucket, ReadOnlySpan<double> weights)
    {
        double score = 0;
        for (int c = 0; c < _constraints.Count; c++)
        {
            int part = bucket.Part(c);
            if (part >= 0)
                score += ((IsWide(_constraints[c]) ? part : _constraints[c].Counts[part]) * weights[c]) + (_constraints[c].MaxSkew - 1);
        }
        return (long)Math.Round(score, MidpointRounding.AwayFromZero);
    }

    private void Moved(int k)
    {
        Bucket? before = _of[k] < 0 ? null : _buckets[_of[k]];
        int local = _spec.Local[k];
        if (local < 0)
        {
            if (before is not null)
                Leave(k, before);
            return;
        }
        if (before is not null && before.Key != KeyOf(k))
        {
            Leave(k, before);
            before = null;
        }
        (before ?? Enter(k)).Push((local, k), this);
    }

    // Every bucket's first rows are a stretch of one array, so that a plan over a large fleet makes no large garbage.
    private void Fill()
    {
        for (int k = 0; k < _spec.Count; k++)
        {
            _of[k] = -1;
            _start[k] = _spec.Local[k];
            if (_start[k] >= 0)
                Enter(k).Length++;
        }
        int at = 0;
        foreach (Bucket bucket in _buckets)
        {
            bucket.First = at;
            at += bucket.Length;
            bucket.Length = 0;
        }
        for (int k = 0; k < _spec.Count; k++)
            if (_of[k] >= 0 && _buckets[_of[k]] is var bucket)
                _slots[bucket.First + bucket.Length++] = k;
        foreach (Bucket bucket in _buckets)
            for (int i = (bucket.Length >> 1) - 1; i >= 0; i--)
                bucket.Down(i, this);
    }

    private Bucket Enter(int k)
    {
        long key = KeyOf(k);
        if (!_byKey.TryGetValue(key, out Bucket? bucket))
        {
            bool ignored = false;
            foreach (SpreadCounter constraint in _constraints)
                ignored |= _needsAll && constraint.Domains[k] == 0;
            _byKey.Add(key, bucket = new Bucket(key, ignored, _constraints.Count, _buckets.Count));
            _buckets.Add(bucket);
        }
        _of[k] = bucket.Id;
        Count(k, bucket, 1);
        return bucket;
    }

    private void Leave(int k, Bucket bucket)
    {
        _of[k] = -1;
        Count(k, bucket, -1);
    }

    private void Count(int k, Bucket bucket, int sign)
    {
        _count += sign;
        if (bucket.Ignored)
        {
            _ignored += sign;
            return;
        }
        for (int c = 0; c < _constraints.Count; c++)
        {
            int domain = _constraints[c].Domains[k];
            if (domain == 0 || _feasible[c].Length == 0)
                continue;
            int now = _feasible[c][domain] += sign;
            if (now == (sign > 0 ? 1 : 0))
                _distinct[c] += sign;
        }
    }

    // One half for each constraint: a domain's number, or where every row is its own domain the pods in it; 0 for none, so one more.
    private long KeyOf(int k)
    {
        long key = 0;
        for (int c = 0; c < _constraints.Count; c++)
        {
            int domain = _constraints[c].Domains[k];
            key = (key << 32) | (uint)(domain == 0 ? 0 : 1 + (IsWide(_constraints[c]) ? _constraints[c].Counts[domain] : domain));
        }
        return key;
    }

    private bool IsTrue(int local, int k, Bucket bucket) => _of[k] == bucket.Id && _spec.Local[k] == local;

    private bool Beats(int localA, int a, int localB, int b) => localA != localB ? localA > localB : a != b && _working.Precedes(_spec.Rows[a], _spec.Rows[b]);

    /// <summary>
    /// Two heaps of rows by score, the best on top: the rows that were here at the start, and those that came or changed since. What
    /// is no longer true is dropped when it comes up.
    /// </summary>
    private sealed class Bucket(long key, bool ignored, int constraints, int id)
    {
        private readonly List<(int Local, int K)> _later = [];

        public int Id { get; } = id;

        public long Key { get; } = key;

        public bool Ignored { get; } = ignored;

        public long Raw { get; set; }

        /// <summary>The best row of the last <see cref="Find"/>, or −1.</summary>
        public int Top { get; private set; }

        public int First { get; set; }

        public int Length { get; set; }

        /// <summary>What the key says of constraint c: a domain or a count, −1 for none.</summary>
        public int Part(int c) => (int)(constraints == 2 && c == 0 ? Key >> 32 : Key & uint.MaxValue) - 1;

        public void Find(SpreadBuckets owner)
        {
            int[] slots = owner._slots;
            while (Length > 0 && !owner.IsTrue(owner._start[slots[First]], slots[First], this))
            {
                slots[First] = slots[First + --Length];
                Down(0, owner);
            }
            while (_later.Count > 0 && !owner.IsTrue(_later[0].Local, _later[0].K, this))
            {
                _later[0] = _later[^1];
                _later.RemoveAt(_later.Count - 1);
                DownLater(owner);
            }
            Top = Length > 0 ? slots[First] : -1;
            if (_later.Count > 0 && (Top < 0 || owner.Beats(_later[0].Local, _later[0].K, owner._start[Top], Top)))
                Top = _later[0].K;
        }

        public void Push((int Local, int K) entry, SpreadBuckets owner)
        {
            _later.Add(entry);
            for (int i = _later.Count - 1, up; i > 0; i = up)
            {
                up = (i - 1) >> 1;
                if (!owner.Beats(_later[i].Local, _later[i].K, _later[up].Local, _later[up].K))
                    return;
                (_later[i], _later[up]) = (_later[up], _later[i]);
            }
        }

        public void Down(int i, SpreadBuckets owner)
        {
            int[] slots = owner._slots;
            while (true)
            {
                int top = i;
                for (int child = (2 * i) + 1; child <= (2 * i) + 2 && child < Length; child++)
                    if (owner.Beats(owner._start[slots[First + child]], slots[First + child], owner._start[slots[First + top]], slots[First + top]))
                        top = child;
                if (top == i)
                    return;
                (slots[First + i], slots[First + top]) = (slots[First + top], slots[First + i]);
                i = top;
            }
        }

        private void DownLater(SpreadBuckets owner)
        {
            for (int i = 0; ;)
            {
                int top = i;
                for (int child = (2 * i) + 1; child <= (2 * i) + 2 && child < _later.Count; child++)
                    if (owner.Beats(_later[child].Local, _later[child].K, _later[top].Local, _later[top].K))
                        top = child;
                if (top == i)
                    return;
                (_later[i], _later[top]) = (_later[top], _later[i]);
                i = top;
            }
        }
    }
}
