namespace Atoll.Scheduling.Online;

/// <summary>
/// The choice of a node where all limits and preferences of a class count the same domains: within a domain they are the same for
/// every row, so only the best row of each domain is compared. Chooses exactly what a look at every row would. A domain is looked
/// through again when its best row lost by what the plan placed there.
/// </summary>
internal sealed class DomainChoice
{
    private const int FewDomains = 64;

    private readonly SpecClass _spec;
    private readonly Working _working;
    private readonly int _domains;
    private readonly int[] _of, _best;
    private readonly ulong[] _rank;
    private int[] _start = [], _rows = [];
    private int _synced;

    private DomainChoice(SpecClass spec, Working working, DomainCounter counter)
    {
        (_spec, _working, _domains, _of) = (spec, working, counter.Numbers, counter.Domains);
        (_best, _rank) = (working.Pool.Ints(_domains), working.Pool.Ulongs(_domains));
        _synced = working.Log.Count;
        for (int domain = 0; domain < _domains; domain++)
            Clear(domain);
        ReadOnlySpan<int> local = spec.Local, rows = spec.Rows[..local.Length], of = _of.AsSpan(0, local.Length);
        ReadOnlySpan<uint> ties = working.Ties;
        for (int k = 0; k < local.Length; k++)
            if (local[k] >= 0 && RankOf(local[k], ties[rows[k]]) >= _rank[of[k]])
                Offer(k, local[k], rows[k]);
    }

    /// <summary>Null where domains are too many for it to pay, or rows change that the plan's log does not name.</summary>
    public static DomainChoice? Of(SpecClass spec, Working working, DomainCounter counter) =>
        counter.Numbers > Math.Max(FewDomains, spec.Count / 4) || spec.Special is { IsSiteWide: true } ? null : new DomainChoice(spec, working, counter);

    /// <summary>The best candidate, or −1. The class has to have followed the log before.</summary>
    public int Pick(List<Limit> limits, List<DomainCounter> preferred, int weight)
    {
        for (; _synced < _working.Log.Count; _synced++)
            if (_spec.IndexOf(_working.Log[_synced].Row) is >= 0 and int k)
                Moved(k);
        (long least, long most) = preferred.Count == 0 ? (0, 0) : Bounds(limits, preferred);
        ReadOnlySpan<int> rows = _spec.Rows;
        int best = -1;
        long bestTotal = long.MinValue;
        for (int domain = 0; domain < _domains; domain++)
        {
            int k = _best[domain];
            if (k < 0 || !Allows(limits, domain))
                continue;
            long total = (long)(_rank[domain] >> 32) + (most > least ? weight * (100 * (Preference(preferred, domain) - least) / (most - least)) : 0);
            if (total > bestTotal || (total == bestTotal && _working.Precedes(rows[k], rows[best])))
                (best, bestTotal) = (k, total);
        }
        return best;
    }

    private (long Least, long Most) Bounds(List<Limit> limits, List<DomainCounter> preferred)
    {
        (long least, long most) = (long.MaxValue, long.MinValue);
        for (int domain = 0; domain < _domains; domain++)
            if (_best[domain] >= 0 && Allows(limits, domain))
            {
                long sum = Preference(preferred, domain);
                (least, most) = (Math.Min(least, sum), Math.Max(most, sum));
            }
        return (least, most);
    }

    private static bool Allows(List<Limit> limits, int domain)
    {
        foreach (Limit limit in limits)
            if (!limit.Allows(limit.Counter.Counts[domain]))
                return false;
        return true;
    }

    private static long Preference(List<DomainCounter> preferred, int domain)
    {
        long sum = 0;
        foreach (DomainCounter counter in preferred)
            sum += counter.Counts[domain];
        return sum;
    }

    private void Moved(int k)
    {
        ReadOnlySpan<int> local = _spec.Local, rows = _spec.Rows;
        int domain = _of[k];
        if (_best[domain] != k)
        {
            Offer(k, local[k], rows[k]);
            return;
        }
        if (_start.Length == 0)
            Sort();
        Clear(domain);
        for (int i = _start[domain]; i < _start[domain + 1]; i++)
            Offer(_rows[i], local[_rows[i]], rows[_rows[i]]);
    }

    private void Clear(int domain) => (_best[domain], _rank[domain]) = (-1, 0);

    // What the best of a domain is compared by stands beside it: reading it out of a large fleet's columns would be what this costs.
    private void Offer(int k, int score, int row)
    {
        int domain = _of[k];
        ulong rank = RankOf(score, _working.Ties[row]);
        if (score < 0 || rank < _rank[domain] || (rank == _rank[domain] && _best[domain] >= 0 && !_working.Precedes(row, _spec.Rows[_best[domain]])))
            return;
        (_best[domain], _rank[domain]) = (k, rank);
    }

    // The score, and among equals the lowest tie.
    private static ulong RankOf(int score, uint tie) => ((ulong)(uint)score << 32) | ~tie;

    // The candidates of domain d are those from start[d] to start[d + 1].
    private void Sort()
    {
        int count = _spec.Count;
        _start = new int[_domains + 1];
        _rows = _working.Pool.Ints(count);
        for (int k = 0; k < count; k++)
            _start[_of[k]]++;
        for (int domain = 1; domain <= _domains; domain++)
            _start[domain] += _start[domain - 1];
        for (int k = count - 1; k >= 0; k--)
            _rows[--_start[_of[k]]] = k;
    }
}
