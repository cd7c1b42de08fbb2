using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Orchestration.Loop;
using Atoll.Scheduling.Capacities;

namespace Atoll.Orchestration.Capacities;

/// <summary>Answers of the library as the status of a Capacity. Pure.</summary>
internal static class CapacityFigures
{
    /// <summary>Nodes and pods named at most.</summary>
    private const int Top = 5;

    /// <summary>Reasons named at most.</summary>
    private const int Reasons = 10;

    /// <summary>The whole fleet and each region: a point every ten minutes, a day of them.</summary>
    internal const int WideSeconds = 600, WidePoints = 144;

    /// <summary>A site: a point every hour, a day of them.</summary>
    internal const int SiteSeconds = 3600, SitePoints = 24;

    /// <summary>The figures, without times, history and migrations.</summary>
    public static CapacityStatus Of(FleetCapacity capacity, CapacityAnswer answer, GpuMix? gpus)
    {
        var resources = new List<CapacityResource>();
        for (int r = 0; r < answer.Resources.Count; r++)
            resources.Add(new CapacityResource { Name = answer.Resources[r], Free = Amount(answer.Resources[r], answer.Free[r]), Services = answer.Services[r] > 0 ? Amount(answer.Resources[r], answer.Services[r]) : null, Fragmentation = Share(answer.Unsaleable(r)), ShortOn = answer.ShortOn[r], Blocks = answer.Blocks[r] });
        string scarcest = answer.Resources[answer.Scarcest];
        var status = new CapacityStatus
        {
            Nodes = answer.OpenNodes,
            ClosedNodes = answer.ClosedNodes,
            Saleable = answer.Sellable,
            Pooled = answer.Pooled,
            Fragmentation = Share(answer.Fragmentation),
            Resources = resources,
            Blocked = answer.Closed.Count == 0 ? null : [.. answer.Closed.OrderByDescending(c => c.Sellable).Take(Reasons).Select(c => new CapacityBlock { Reason = c.Reason, Nodes = c.Nodes, Saleable = c.Sellable })],
            TopNodes = NullIfEmpty(capacity.TopNodes(answer, Top).Select(n => new CapacityNode { Name = n.Name, Site = n.Site.Length == 0 ? null : n.Site, Stranded = Amount(scarcest, n.Stranded), ShortOf = n.ShortOf, Share = Share(n.Share) })),
            TopPods = NullIfEmpty(capacity.TopPods(answer, Top).Select(p => new CapacityPod { Namespace = p.Namespace, Name = p.Name, Node = p.Node, Blocks = p.Blocks })),
        };
        if (gpus is not null)
        {
            (double free, double fragment) = gpus.Of(answer.Region, answer.Site);
            status.Gpu = new CapacityGpu { Free = free, ExpectedFragment = Share(fragment) };
        }
        return status;
    }

    /// <summary>The history with a point of now where one is due; null when none is.</summary>
    public static List<CapacityPoint>? Extend(List<CapacityPoint>? history, bool site, DateTimeOffset now, CapacityStatus figures)
    {
        int seconds = site ? SiteSeconds : WideSeconds, most = site ? SitePoints : WidePoints;
        // Points stand on whole multiples, so that those of different objects can be laid beside each other.
        DateTimeOffset at = DateTimeOffset.FromUnixTimeSeconds(now.ToUnixTimeSeconds() / seconds * seconds);
        if (history is { Count: > 0 } && history[^1].Time >= at)
            return null;
        var extended = new List<CapacityPoint>(history ?? []) { new() { Time = at, Saleable = figures.Saleable, Fragmentation = figures.Fragmentation } };
        if (extended.Count > most)
            extended.RemoveRange(0, extended.Count - most);
        return extended;
    }

    /// <summary>Name of the object for a flavour and a part of the fleet.</summary>
    public static string NameOf(string flavour, string region, string site) =>
        site.Length > 0 ? $"{flavour}.site.{Safe(site)}" : region.Length > 0 ? $"{flavour}.region.{Safe(region)}" : flavour;

    // A label may have letters that a name must not; then a digest keeps two of them apart.
    private static string Safe(string label)
    {
        string lower = string.Concat(label.Select(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '.' ? c : char.IsAsciiLetterUpper(c) ? char.ToLowerInvariant(c) : '-')).Trim('-', '.');
        return lower == label ? lower : $"{lower}-{Digest.Of(label, 4)}";
    }

    private static string Amount(string resource, long amount) => resource switch
    {
        "cpu" or WellKnown.Compute => Quantity.FromMilli(amount).ToString(),
        "memory" or "ephemeral-storage" or WellKnown.GpuMemory => Quantity.FromValue(amount).ToBinaryString(),
        _ => amount.ToString(CultureInfo.InvariantCulture),
    };

    private static double Share(double value) => Math.Round(value, 4);

    private static List<T>? NullIfEmpty<T>(IEnumerable<T> items) => items.ToList() is { Count: > 0 } list ? list : null;
}
