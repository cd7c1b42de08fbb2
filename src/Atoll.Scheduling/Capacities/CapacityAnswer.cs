namespace Atoll.Scheduling.Capacities;

/// <summary>What of one flavour a part of the fleet can still sell.</summary>
public sealed class CapacityAnswer
{
    private readonly long[] _need, _free, _blocks, _sold, _services;
    private readonly int[] _short;
    private readonly SortedDictionary<string, CapacityClosed> _closed = new(StringComparer.Ordinal);

    private readonly bool _whole;

    internal CapacityAnswer(string region, string site, IReadOnlyList<string> resources, long[] need, bool whole)
    {
        (Region, Site, Resources, _need, _whole) = (region, site, resources, need, whole);
        (_free, _blocks, _sold, _services, _short) = (new long[need.Length], new long[need.Length], new long[need.Length], new long[need.Length], new int[need.Length]);
    }

    /// <summary>The region, or empty for all.</summary>
    public string Region { get; }

    /// <summary>The site, or empty for all.</summary>
    public string Site { get; }

    /// <summary>Nodes that take new work.</summary>
    public int OpenNodes { get; private set; }

    /// <summary>Nodes that take none, or not this flavour. Their free capacity counts nowhere here but in <see cref="Closed"/>.</summary>
    public int ClosedNodes { get; private set; }

    /// <summary>
    /// Why nodes are closed, and what they would sell otherwise; also why open nodes sell less than their amounts would hold, with
    /// what is lost: devices, NUMA nodes, what the site has as a whole, headroom.
    /// </summary>
    public IReadOnlyCollection<CapacityClosed> Closed => _closed.Values;

    /// <summary>Instances that can be sold now, one after another: exact, by the filters that the placement of pods goes through.</summary>
    public long Sellable { get; private set; }

    /// <summary>Instances that the free capacity would hold if it were in one piece; of a flavour that takes whole nodes, the open nodes.</summary>
    public long Pooled => _whole || OpenNodes == 0 ? OpenNodes : _free[Scarcest] / _need[Scarcest];

    /// <summary>The flavour's resources; the lists below are in their order. Units of Kubernetes, cpu in millicores.</summary>
    public IReadOnlyList<string> Resources { get; }

    /// <summary>Free on open nodes.</summary>
    public IReadOnlyList<long> Free => _free;

    /// <summary>Taken on all nodes by Atoll's own services (disks, networks, balancers): capacity that is not for sale.</summary>
    public IReadOnlyList<long> Services => _services;

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
    public double Unsaleable(int resource) => _free[resource] == 0 ? 0 : (_free[resource] - _sold[resource]) / (double)_free[resource];

    internal int From { get; set; }

    internal int To { get; set; }

    /// <summary>Free and not saleable, of one resource.</summary>
    internal long StrandedOf(int resource) => _free[resource] - _sold[resource];

    internal void Close(string reason, ReadOnlySpan<long> free)
    {
        ClosedNodes++;
        Lose(reason, Units(free, _need, -1));
    }

    /// <summary>An open node: what it has left, how many it sells, and what else than amounts keeps it from more; null is nothing else.</summary>
    internal void Add(ReadOnlySpan<long> free, long units, string? held)
    {
        OpenNodes++;
        Sellable += units;
        if (held is not null)
            Lose(held, _whole ? 1 : Units(free, _need, -1) - units);
        for (int r = 0; r < _need.Length; r++)
        {
            long left = Math.Max(0, free[r]);
            _free[r] += left;
            _sold[r] += _whole && units > 0 ? left : Math.Min(left, units * _need[r]);
            if (free[r] >= (units + 1) * _need[r])
                continue;
            _short[r]++;
            if (_need.Length > 1 && held is null)
                _blocks[r] += Units(free, _need, r) - units;
        }
    }

    internal void AddService(int resource, long amount) => _services[resource] += amount;

    private void Lose(string reason, long units)
    {
        CapacityClosed closed = _closed.GetValueOrDefault(reason, new CapacityClosed(reason, 0, 0));
        _closed[reason] = closed with { Nodes = closed.Nodes + 1, Sellable = closed.Sellable + Math.Max(0, units) };
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
