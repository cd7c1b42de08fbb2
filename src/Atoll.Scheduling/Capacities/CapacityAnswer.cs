namespace Atoll.Scheduling.Capacities;

/// <summary>What of one flavour a part of the fleet can still sell.</summary>
public sealed class CapacityAnswer(string region, string site, IReadOnlyList<string> resources)
{
    private readonly long[] _free = new long[resources.Count], _sold = new long[resources.Count];
    private readonly int[] _short = new int[resources.Count];

    /// <summary>The region, or empty for all.</summary>
    public string Region { get; } = region;

    /// <summary>The site, or empty for all.</summary>
    public string Site { get; } = site;

    /// <summary>Nodes that take new work.</summary>
    public int OpenNodes { get; private set; }

    /// <summary>Nodes that take none: cordoned, silent, not ready or tainted. Their free capacity counts nowhere here.</summary>
    public int ClosedNodes { get; private set; }

    /// <summary>Instances that can be sold now: exact for the resources of each node (the pods limit is one of them).</summary>
    public long Sellable { get; private set; }

    /// <summary>Instances that the free capacity would hold if it were in one piece.</summary>
    public long Pooled { get; private set; } = long.MaxValue;

    /// <summary>The flavour's resources; the lists below are in their order. Units of Kubernetes, cpu in millicores.</summary>
    public IReadOnlyList<string> Resources { get; } = resources;

    /// <summary>Free on open nodes.</summary>
    public IReadOnlyList<long> Free => _free;

    /// <summary>On how many open nodes each resource is short for one more instance: what blocks more.</summary>
    public IReadOnlyList<int> ShortOn => _short;

    /// <summary>Share of the instances that the free capacity would hold in one piece which are lost because it is in pieces, 0 to 1.</summary>
    public double Fragmentation => Pooled == 0 ? 0 : 1 - (Sellable / (double)Pooled);

    /// <summary>Fragmentation rate of one resource, 0 to 1: free capacity that cannot be sold as this flavour, divided by free capacity.</summary>
    public double Unsaleable(int resource) => _free[resource] == 0 ? 0 : (_free[resource] - _sold[resource]) / (double)_free[resource];

    internal void Close() => ClosedNodes++;

    internal void Add(ReadOnlySpan<long> free, ReadOnlySpan<long> need)
    {
        OpenNodes++;
        long units = Units(free, need);
        Sellable += units;
        Pooled = long.MaxValue;
        for (int r = 0; r < need.Length; r++)
        {
            _free[r] += Math.Max(0, free[r]);
            _sold[r] += units * need[r];
            if (free[r] < (units + 1) * need[r])
                _short[r]++;
            Pooled = Math.Min(Pooled, _free[r] / need[r]);
        }
    }

    internal CapacityAnswer Done()
    {
        if (OpenNodes == 0)
            Pooled = 0;
        return this;
    }

    internal static long Units(ReadOnlySpan<long> free, ReadOnlySpan<long> need)
    {
        long units = long.MaxValue;
        for (int r = 0; r < need.Length; r++)
            units = Math.Min(units, Math.Max(0, free[r]) / need[r]);
        return units;
    }
}
