using System.Globalization;
using System.Numerics;

namespace Atoll.Scheduling.Deliveries;

/// <summary>
/// Plans a Delivery as a whole: pure and deterministic. Of all plans that fulfil the request it takes one that moves the fewest
/// instances that stand already, and among those one that costs least (then the nearest, then the steadiest line, then by
/// name). That greedy choice is exact: every site has one upper bound, the least number of sites is reached with one instance
/// each, and what is left goes where it costs least.
/// </summary>
public static class DeliveryPlanner
{
    // A round trip that nobody estimated is near to no place.
    private static readonly DeliveryRequest s_anything = new() { Latency = double.PositiveInfinity };

    private static readonly Condition[] s_conditions =
    [
        new("latency", r => r.Latency is not null, (r, of) => r with { Latency = of.Latency }, NearestLatency),
        new("maxSharePercent", r => r.MaxSharePercent < 100, (r, of) => r with { MaxSharePercent = of.MaxSharePercent }, NearestShare),
        new("carrier", r => r.Carrier is not null, (r, of) => r with { Carrier = of.Carrier }, (r, sites) => NearestName("carrier", r.Carrier, s => s.Carrier, v => r with { Carrier = v }, sites)),
        new("region", r => r.Region is not null, (r, of) => r with { Region = of.Region }, (r, sites) => NearestName("region", r.Region, s => s.Region, v => r with { Region = v }, sites)),
        new("kinds", r => r.Kinds is { Count: > 0 }, (r, of) => r with { Kinds = of.Kinds }, NearestKinds),
        new("minSites", r => r.MinSites > 1, (r, of) => r with { MinSites = of.MinSites }, NearestSpread),
    ];

    /// <summary>Told of every plan: tests prove them all. Null outside of tests.</summary>
    internal static Action<DeliveryRequest, IReadOnlyList<DeliveryCandidate>, DeliveryPlan>? Made { get; set; }

    /// <summary>Plans, or says what is missing and which changes would make it fit.</summary>
    public static DeliveryPlan Make(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites)
    {
        ArgumentNullException.ThrowIfNull(request);
        ArgumentNullException.ThrowIfNull(sites);
        DeliveryPlan plan = Plan(request, sites, [.. sites.Where(s => Passes(s, request))]);
        Made?.Invoke(request, sites, plan);
        return plan;
    }

    private static DeliveryPlan Plan(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites, List<DeliveryCandidate> eligible)
    {
        if (new Capacities(eligible).Fit(request))
            return new DeliveryPlan(Distribute(request, eligible), 0, []);
        int most = Most(request, new Capacities(eligible));
        return new DeliveryPlan([], request.Count - most, Alternatives(request, sites, most));
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

    private static List<DeliveryRelaxation> Alternatives(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites, int most)
    {
        var found = new List<DeliveryRelaxation>();
        Condition[] asked = [.. s_conditions.Where(c => c.IsAsked(request))];
        foreach (Condition condition in asked)
            if (condition.Nearest(request, sites) is { } nearest)
                found.Add(new(condition.Field, nearest.Value, nearest.Words + " would do"));
        if (found.Count == 0 && Together(request, sites, asked) is { } together)
            found.Add(together);
        if (most > 0)
            found.Add(new("count", most.ToString(CultureInfo.InvariantCulture), $"{most} instead of {request.Count} can be delivered"));
        return found;
    }

    // As few conditions as will do, each at the nearest value that the others leave it.
    private static DeliveryRelaxation? Together(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites, Condition[] asked)
    {
        for (int size = 2; size <= asked.Length; size++)
            for (int mask = 0; mask < 1 << asked.Length; mask++)
            {
                if (BitOperations.PopCount((uint)mask) != size)
                    continue;
                Condition[] given = [.. asked.Where((_, i) => (mask >> i & 1) != 0)];
                DeliveryRequest with = given.Aggregate(request, static (r, c) => c.Like(r, s_anything));
                if (!Suffices(with, sites))
                    continue;
                var parts = new List<(string Value, string Words)>(size);
                foreach (Condition condition in given)
                {
                    // With fewer given up it did not fit, with this one given up as well it does: there is a nearest value.
                    (with, string value, string words) = condition.Nearest(condition.Like(with, request), sites)!.Value;
                    parts.Add((value, words));
                }
                return new(string.Join(',', given.Select(c => c.Field)), string.Join(',', parts.Select(p => p.Value)), string.Join(" together with ", parts.Select(p => p.Words)) + " would do");
            }
        return null;
    }

    private static (DeliveryRequest, string, string)? NearestLatency(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites)
    {
        // More milliseconds never make less fit.
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
        return low == steps.Length ? null
            : (request with { Latency = steps[low] }, steps[low].ToString(CultureInfo.InvariantCulture), string.Create(CultureInfo.InvariantCulture, $"{steps[low]} ms instead of {request.Latency} ms"));
    }

    private static (DeliveryRequest, string, string)? NearestShare(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites)
    {
        var capacities = new Capacities(sites.Where(s => Passes(s, request)));
        for (int share = request.MaxSharePercent + 1; share <= 100; share++)
            if (request with { MaxSharePercent = share } is var with && capacities.Fit(with))
                return (with, share.ToString(CultureInfo.InvariantCulture), $"at most {share} % in one site instead of {request.MaxSharePercent} %");
        return null;
    }

    private static (DeliveryRequest, string, string)? NearestSpread(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites)
    {
        var capacities = new Capacities(sites.Where(s => Passes(s, request)));
        for (int spread = request.MinSites - 1; spread > 0; spread--)
            if (request with { MinSites = spread } is var with && capacities.Fit(with))
                return (with, spread.ToString(CultureInfo.InvariantCulture), $"{spread} {(spread == 1 ? "site" : "sites")} instead of {request.MinSites}");
        return null;
    }

    // Another value by itself is nearer than any.
    private static (DeliveryRequest, string, string)? NearestName(string field, string? asked, Func<DeliveryCandidate, string?> of, Func<string?, DeliveryRequest> with, IReadOnlyList<DeliveryCandidate> sites)
    {
        foreach (string? value in sites.Select(of).Where(v => !string.IsNullOrEmpty(v) && v != asked).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal).Append(null))
            if (Suffices(with(value), sites))
                return (with(value), value ?? "any", $"{field} {value ?? "any"} instead of {asked}");
        return null;
    }

    private static (DeliveryRequest, string, string)? NearestKinds(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites) =>
        request with { Kinds = null } is var with && Suffices(with, sites) ? (with, "any", $"any kind of site instead of {string.Join(", ", request.Kinds!)}") : null;

    private static bool Suffices(DeliveryRequest request, IReadOnlyList<DeliveryCandidate> sites) => new Capacities(sites.Where(s => Passes(s, request))).Fit(request);

    /// <summary>A condition that can be given up.</summary>
    /// <param name="Field">Its field of the spec.</param>
    /// <param name="IsAsked">True when a request has it.</param>
    /// <param name="Like">The first request with this condition of the second.</param>
    /// <param name="Nearest">Its nearest value that suffices while all else stays: the request with it, and it in words.</param>
    private sealed record Condition(string Field, Func<DeliveryRequest, bool> IsAsked, Func<DeliveryRequest, DeliveryRequest, DeliveryRequest> Like,
        Func<DeliveryRequest, IReadOnlyList<DeliveryCandidate>, (DeliveryRequest With, string Value, string Words)?> Nearest);

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
            if (share == 0 || request.Count > request.Most || request.Count < request.MinSites || _sorted.Length < request.MinSites)
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
