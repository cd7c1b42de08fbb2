namespace Atoll.Scheduling.Deliveries;

/// <summary>What a Delivery asks for. Null conditions do not matter.</summary>
public sealed record DeliveryRequest
{
    /// <summary>Instances in all.</summary>
    public int Count { get; init; }

    /// <summary>Region of the sites.</summary>
    public string? Region { get; init; }

    /// <summary>Carrier of the sites.</summary>
    public string? Carrier { get; init; }

    /// <summary>Kinds of site that will do.</summary>
    public IReadOnlyCollection<string>? Kinds { get; init; }

    /// <summary>Longest round trip to the place that was asked for, milliseconds.</summary>
    public double? Latency { get; init; }

    /// <summary>Least number of sites.</summary>
    public int MinSites { get; init; } = 1;

    /// <summary>Most of the instances in one site, percent of <see cref="Count"/> rounded down.</summary>
    public int MaxSharePercent { get; init; } = 100;

    /// <summary>Instances that quotas allow, those that stand included.</summary>
    public int Most { get; init; } = int.MaxValue;

    /// <summary>Most instances that one site may hold.</summary>
    public int Share => (int)((long)Count * MaxSharePercent / 100);
}

/// <summary>A site as a Delivery sees it.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Region">Its region.</param>
/// <param name="Carrier">Its carrier.</param>
/// <param name="Kind">Its kind: field, near or cloud.</param>
/// <param name="RoundTrip">Round trip to the place that was asked for, milliseconds; null is unknown.</param>
/// <param name="UnitCost">Cost of a core for an hour.</param>
/// <param name="Drops">How often its line went down.</param>
/// <param name="Capacity">Instances that it can hold: those it has of this Delivery, and those that still fit.</param>
/// <param name="Current">Instances of this Delivery that it has.</param>
public sealed record DeliveryCandidate(string Name, string? Region, string? Carrier, string? Kind, double? RoundTrip, double UnitCost, int Drops, int Capacity, int Current);

/// <summary>A change of the request that would make it fit: of one condition, or where none suffices by itself of as few as will do together.</summary>
/// <param name="Relax">Field of the spec, or several divided by commas.</param>
/// <param name="Value">Its nearest value that suffices; of several in the order of the fields.</param>
/// <param name="Message">The same in words.</param>
public sealed record DeliveryRelaxation(string Relax, string Value, string Message);

/// <summary>The answer: how many go where, or what is missing and what would help.</summary>
/// <param name="Sites">Instances by site, none of them 0, by name; empty when the request cannot be fulfilled.</param>
/// <param name="Missing">Instances that cannot be placed under all conditions.</param>
/// <param name="Alternatives">Changes that would make it fit, each at its nearest value.</param>
public sealed record DeliveryPlan(IReadOnlyList<(string Site, int Count)> Sites, int Missing, IReadOnlyList<DeliveryRelaxation> Alternatives)
{
    /// <summary>True when the request is fulfilled.</summary>
    public bool Fits => Missing == 0;
}
