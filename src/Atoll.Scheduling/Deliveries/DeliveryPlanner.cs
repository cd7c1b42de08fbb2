using System.Globalization;

namespace Atoll.Scheduling.Deliveries;

/// <summary>
/// Plans a Delivery as a whole: pure and deterministic. Of all plans that fulfil the request it takes one that moves the fewest
/// instances that stand already, and among those one that costs least (then the nearest, then the steadiest line, then by
/// name). That greedy choice is exact: every site has one upper bound, the least number of sites is reached with one instance
/// each, and what is left goes where it costs least.
/// </summary>
public static class DeliveryPlanner
{
    /// <summary>Plans, or says what is missing and which single change would make it fit.</summary>
    public static DeliveryPlan Make(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(sites);
        List<DeliveryCandidate> eligible = [.. sites.Where(s => Passes(s, request))];
        if (new Capacities(eligible).Fit(request))
            return new DeliveryPlan(Distribute(request, eligible), 0, []);
        int most = Most(request, new Capacities(eligible));
        return new DeliveryPlan([], request.Count - most, Alternatives(request, sites, eligible, most));
    }

    private static bool Passes(DeliveryCandidate site, DeliveryRequest request) =>
        (request.Region is null || site.Region == request.Region)
        && (request.Carrier is null || site.Carrier == request.Carrier)
        && (request.Kinds is not { Count: > 0 } || (site.Kind is not null && request.Kinds.Contains(site.Kind)))
        && (request.Latency is null || site.RoundTrip <= request.Latency);

    private static List<(string, int)> Distribute(DeliveryRequest request, List<DeliveryCandidate> sites)
    {
        sites.Sort(static (a, b) =>
        {
            int order = a.UnitCost.CompareTo(b.UnitCost);
            order = order != 0 ? order : (a.RoundTrip ?? 0).CompareTo(b.RoundTrip ?? 0);
            order = order != 0 ? order : a.Drops.CompareTo(b.Drops);
            return order != 0 ? order : string.CompareOrdinal(a.Name, b.Name);
        });
        List<DeliveryCandidate> standing = [.. sites.Where(s => s.Current > 0), .. sites.Where(s => s.Current <= 0)];
        var takes = new Dictionary<string, int>(StringComparer.Ordinal);
        int left = request.Count, spread = Math.Min(request.MinSites, left);
        foreach (DeliveryCandidate site in standing)
            if (takes.Count < spread)
                Raise(site, 1);
        foreach (DeliveryCandidate site in standing)
            Raise(site, site.Current);
        foreach (DeliveryCandidate site in sites)
            Raise(site, int.MaxValue);
        return [.. takes.OrderBy(t => t.Key, StringComparer.Ordinal).Select(t => (t.Key, t.Value))];

        void Raise(DeliveryCandidate site, int to)
        {
            int has = takes.GetValueOrDefault(site.Name), more = Math.Min(left, Math.Min(to, Math.Min(site.Capacity, request.Share)) - has);
            if (more <= 0)
                return;
            takes[site.Name] = has + more;
            left -= more;
        }
    }

    private static int Most(DeliveryRequest request, Capacities capacities)
    {
        for (int count = request.Count - 1; count > 0; count--)
            if (capacities.Fit(request with { Count = count }))
                return count;
        return 0;
    }

    private static List<DeliveryRelaxation> Alternatives(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites, List<DeliveryCandidate> eligible, int most)
    {
        var found = new List<DeliveryRelaxation>();
        CultureInfo culture = CultureInfo.InvariantCulture;
        var capacities = new Capacities(eligible);
        if (request.Latency is { } latency && Nearest(request, sites) is { } milliseconds)
            found.Add(new("latency", milliseconds.ToString(culture), string.Create(culture, $"{milliseconds} ms instead of {latency} ms would do")));
        for (int share = request.MaxSharePercent + 1; share <= 100; share++)
            if (capacities.Fit(request with { MaxSharePercent = share }))
            {
                found.Add(new("maxSharePercent", share.ToString(culture), $"at most {share} % in one site instead of {request.MaxSharePercent} % would do"));
                break;
            }
        Choice("carrier", request.Carrier, static s => s.Carrier, static (r, v) => r with { Carrier = v });
        Choice("region", request.Region, static s => s.Region, static (r, v) => r with { Region = v });
        if (request.Kinds is { Count: > 0 } && Suffices(request with { Kinds = null }, sites))
            found.Add(new("kinds", "any", $"any kind of site instead of {string.Join(", ", request.Kinds)} would do"));
        for (int spread = request.MinSites - 1; spread > 0; spread--)
            if (capacities.Fit(request with { MinSites = spread }))
            {
                found.Add(new("minSites", spread.ToString(culture), $"{spread} {(spread == 1 ? "site" : "sites")} instead of {request.MinSites} would do"));
                break;
            }
        if (most > 0)
            found.Add(new("count", most.ToString(culture), $"{most} instead of {request.Count} can be delivered"));
        return found;

        // Another value by itself is nearer than any.
        void Choice(string field, string? asked, Func<DeliveryCandidate, string?> of, Func<DeliveryRequest, string?, DeliveryRequest> with)
        {
            if (asked is null)
                return;
            foreach (string? value in sites.Select(of).Where(v => !string.IsNullOrEmpty(v) && v != asked).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Append(null))
                if (Suffices(with(request, value), sites))
                {
                    found.Add(new(field, value ?? "any", $"{field} {value ?? "any"} instead of {asked} would do"));
                    return;
                }
        }
    }

    private static bool Suffices(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites) => new Capacities(sites.Where(s => Passes(s, request))).Fit(request);

    // More milliseconds never make less fit.
    private static double? Nearest(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites)
    {
        double[] steps = [.. sites.Select(s => s.RoundTrip).Where(t => t > request.Latency).Select(t => t!.Value).Distinct().Order()];
        int low = 0, high = steps.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (Suffices(request with { Latency = steps[middle] }, sites))
                high = middle;
            else
                low = middle + 1;
        }
        return low < steps.Length ? steps[low] : null;
    }

    /// <summary>Capacities of sites in ascending order with their sums: whether a request fits is one search.</summary>
    private sealed class Capacities
    {
        private readonly int[] _sorted;
        private readonly long[] _sums;

        public Capacities(IEnumerable<DeliveryCandidate> sites)
        {
            _sorted = [.. sites.Select(s => s.Capacity).Where(c => c > 0).Order()];
            _sums = new long[_sorted.Length + 1];
            for (int i = 0; i < _sorted.Length; i++)
                _sums[i + 1] = _sums[i] + _sorted[i];
        }

        public bool Fit(DeliveryRequest request)
        {
            if (request.Count == 0)
                return true;
            int share = request.Share;
            if (share == 0 || request.Count < request.MinSites || _sorted.Length < request.MinSites)
                return false;
            int low = 0, high = _sorted.Length;
            while (low < high)
            {
                int middle = (low + high) / 2;
                if (_sorted[middle] > share)
                    high = middle;
                else
                    low = middle + 1;
            }
            return _sums[low] + ((long)(_sorted.Length - low) * share) >= request.Count;
        }
    }
}
