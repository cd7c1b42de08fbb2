using System.Collections.Immutable;

namespace Atoll.Scheduling.Fragments.Policies;

/// <summary>The policies by name.</summary>
public static class PolicyCatalog
{
    /// <summary>Their names, ours first.</summary>
    public static ImmutableArray<string> Names { get; } = ["Outlook", "FGD", "BestFit", "DotProd", "Random"];

    /// <summary>A policy for one replay, by its name in any case of letters; null for a name that there is not.</summary>
    /// <param name="fleet">The nodes of the replay.</param>
    /// <param name="mix">The typical workload.</param>
    /// <param name="seed">For policies that draw.</param>
    public static PlacementPolicy? Create(string name, GpuFleet fleet, TypicalMix mix, ulong seed) => name.ToUpperInvariant() switch
    {
        "OUTLOOK" => new OutlookPolicy(mix),
        "FGD" => new FgdPolicy(mix),
        "BESTFIT" => new BestFitPolicy(fleet),
        "DOTPROD" => new DotProductPolicy(fleet),
        "RANDOM" => new RandomPolicy(new SeededRandom(seed)),
        _ => null,
    };
}
