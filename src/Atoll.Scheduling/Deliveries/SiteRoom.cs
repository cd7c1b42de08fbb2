using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Deliveries;

/// <summary>How many more of a pod each site can hold now, by the filters that the placement of pods goes through.</summary>
public static class SiteRoom
{
    /// <summary>
    /// Pods by site (label <c>edge.atoll.dev/site</c> of nodes), at most <paramref name="limit"/> each: exact for a pod without
    /// affinity to other pods and without topology spread. Changes nothing.
    /// </summary>
    public static IReadOnlyDictionary<string, int> Of(Snapshot fleet, KubeObject pod, int limit)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        ArgumentNullException.ThrowIfNull(pod);
        using var working = new Working(fleet, seed: 0);
        var spec = new SpecClass(pod.View(ApiJson.Default.Pod).Spec, SchedulingProfile.Default, working);
        var rooms = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int k = 0; k < spec.Count; k++)
        {
            int row = spec.Rows[k];
            if (spec.Local[k] < 0 || fleet.Nodes[row]!.Labels.GetValueOrDefault(WellKnown.SiteLabel) is not { Length: > 0 } site)
                continue;
            int has = rooms.GetValueOrDefault(site);
            if (has < limit)
                rooms[site] = has + (int)Math.Min(limit - has, Units(spec, working, row));
        }
        return rooms;
    }

    private static long Units(SpecClass spec, Working working, int row)
    {
        long units = spec.Ports.IsEmpty ? long.MaxValue : 1;
        for (int r = 0; r < spec.Requests.Length; r++)
            if (spec.Requests[r] > 0)
                units = Math.Min(units, (working.AllocatableOf(r, row) - working.RequestedOf(r, row)) / spec.Requests[r]);
        return units;
    }
}
