using Atoll.Api.Core;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Capacities;

/// <summary>What of one resource the pods of a site take, and what of that is Atoll's own services. Kubernetes' units, cpu in thousandths.</summary>
public readonly record struct SiteUse(long Taken, long Services);

/// <summary>Where the resources of sites go.</summary>
public static class SiteUsage
{
    /// <summary>Use by site and resource. Reads a snapshot and changes nothing.</summary>
    public static IReadOnlyDictionary<string, IReadOnlyDictionary<string, SiteUse>> Of(Snapshot fleet)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        var sites = new Dictionary<string, Dictionary<string, SiteUse>>(StringComparer.Ordinal);
        for (int row = 0; row < fleet.Rows; row++)
        {
            if (fleet.Nodes[row]?.Labels.GetValueOrDefault(WellKnown.SiteLabel) is not { Length: > 0 } site)
                continue;
            if (!sites.TryGetValue(site, out Dictionary<string, SiteUse>? uses))
                sites.Add(site, uses = new Dictionary<string, SiteUse>(StringComparer.Ordinal));
            for (int r = 0; r < fleet.Requested.Count; r++)
                if (fleet.Requested[r][row] is > 0 and long taken)
                    Add(uses, fleet.Resources[r], taken, 0);
            foreach (PodRow pod in fleet.PodsAt[row] ?? [])
                if (pod.Group.Labels.ContainsKey(WellKnown.ServiceLabel))
                {
                    long[] demand = fleet.DemandOf(pod.Requests, pod.Wants?.Whole == true, row);
                    for (int r = 0; r < demand.Length; r++)
                        if (demand[r] > 0)
                            Add(uses, fleet.Resources[r], 0, demand[r]);
                }
        }
        return sites.ToDictionary(s => s.Key, s => (IReadOnlyDictionary<string, SiteUse>)s.Value, StringComparer.Ordinal);
    }

    private static void Add(Dictionary<string, SiteUse> uses, string resource, long taken, long services)
    {
        SiteUse use = uses.GetValueOrDefault(resource);
        uses[resource] = new SiteUse(use.Taken + taken, use.Services + services);
    }
}
