namespace Atoll.Scheduling.Capacities;

/// <summary>What of one flavour a part of the fleet can still sell.</summary>
public sealed class CapacityAnswer
{
    private readonly long[] _need, _free, _blocks;
    private readonly int[] _short;
    private readonly SortedDictionary<string, CapacityClosed> _closed = new(StringComparer.Ordinal);

    internal CapacityAnswer(string region, string site, IReadOnlyList<string> resources, long[] need)
    {
        (Region, Site, Resources, _need) = (region, site, resources, need);
        (_free, _blocks, _short) = (new long[need.Length], new long[need.Length], new int[need.Length]);
    }

    /// <summary>The region, or empty for all.</summary>
    public string Region { get; }

    /// <summary>The site, or empty for all.</summary>
    public string Site { get; }

    /// <summary>Nodes that take new work.</summary>
    public int OpenNodes { get; private set; }

    /// <summary>Nodes that take none, or not this flavour. Their free capacity counts nowhere here but in <see cref="Closed"/>.</summary>
    public int ClosedNodes { get; private set; }

    /// <summary>Why nodes are closed, and what they would sell otherwise.</summary>
    public IReadOnlyCollection<CapacityClosed> Closed => _closed.Values;

    /// <summary>Instances that can be sold now: exact for the resources of each node (the pods limit is one of them).</summary>
    public long Sellable { get; private set; }

    /// <summary>Instances that the free capacity would hold if it were in one piece.</summary>
    public long Pooled => OpenNodes == 0 ? 0 : _free[Scarcest] / _need[Scarcest];

    /// <summary>The flavour's resources; the lists below are in their order. Units of Kubernetes, cpu in millicores.</summary>
    public IReadOnlyList<string> Resources { get; }

    /// <summary>Free on open nodes.</summary>
    public IReadOnlyList<long> Free => _free;

    /// <summary>On how many open nodes each resource is short for one more instance.</summary>
    public IReadOnlyList<int> ShortOn => _short;

    /// <summary>Instances more that would fit if there were enough of this resource alone: what blocks more.</summary>
    public IReadOnlyList<long> Blocks => _blocks;

    /// <summary>The resource of which the free capacity would hold the fewest instances in one piece.</summary>
    public int Scarcest
    {
        get
        {
            int scarcest = 0;
            for (int r = 1; r < _need.Length; r++)
                if ((Int128)_free[r] * _need[scarcest] < (Int128)_free[scarcest] * _need[r])
                    scarcest = r;
            return scarcest;
        }
    }

    /// <summary>Fragmentation rate, 0 to 1: free capacity that cannot be sold as this flavour, divided by free capacity, of the scarcest resource.</summary>
    public double Fragmentation => Unsaleable(Scarcest);

    /// <summary>Fragmentation rate of one resource, 0 to 1.</summary>
    public double Unsaleable(int resource) => _free[resource] == 0 ? 0 : (_free[resource] - Sellable * _need[resource]) / (double)_free[resource];

    internal int From { get; set; }

    internal int To { get; set; }

    internal void Close(string reason, ReadOnlySpan<long> free)
    {
        ClosedNodes++;
        CapacityClosed closed = _closed.GetValueOrDefault(reason, new CapacityClosed(reason, 0, 0));
        _closed[reason] = closed with { Nodes = closed.Nodes + 1, Sellable = closed.Sellable + Units(free, _need, -1) };
    }

    internal void Add(ReadOnlySpan<long> free)
    {
        OpenNodes++;
        long units = Units(free, _need, -1);
        Sellable += units;
        for (int r = 0; r < _need.Length; r++)
        {
            _free[r] += Math.Max(0, free[r]);
            if (free[r] >= (units + 1) * _need[r])
                continue;
            _short[r]++;
            if (_need.Length > 1)
                _blocks[r] += Units(free, _need, r) - units;
        }
    }

    /// <summary>Instances that fit; one resource may be left out.</summary>
    internal static long Units(ReadOnlySpan<long> free, ReadOnlySpan<long> need, int without)
    {
        long units = long.MaxValue;
        for (int r = 0; r < need.Length; r++)
            if (r != without)
                units = Math.Min(units, Math.Max(0, free[r]) / need[r]);
        return units;
    }
}

/// <summary>Nodes closed for one reason.</summary>
/// <param name="Reason">The reason in words.</param>
/// <param name="Nodes">How many.</param>
/// <param name="Sellable">Instances that they would sell otherwise.</param>
public sealed record CapacityClosed(string Reason, int Nodes, long Sellable);

/// <summary>A node that strands capacity.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Site">Its site.</param>
/// <param name="Stranded">Free and unsaleable amount of the scarcest resource.</param>
/// <param name="ShortOf">The resource that is short for one more instance.</param>
/// <param name="Share">Share of all that is stranded, 0 to 1.</param>
public sealed record StrandingNode(string Name, string Site, long Stranded, string ShortOf, double Share);

/// <summary>A pod without which its node would sell more.</summary>
/// <param name="Namespace">Its namespace.</param>
/// <param name="Name">Its name.</param>
/// <param name="Node">Its node.</param>
/// <param name="Blocks">Instances more without it.</param>
public sealed record StrandingPod(string Namespace, string Name, string Node, long Blocks);
