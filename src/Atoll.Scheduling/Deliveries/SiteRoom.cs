using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
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
        using var room = new RowRoom(fleet, pod);
        var rooms = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int k = 0; k < room.Candidates; k++)
        {
            if (fleet.Nodes[room.RowAt(k)]!.Labels.GetValueOrDefault(WellKnown.SiteLabel) is not { Length: > 0 } site)
                continue;
            int has = rooms.GetValueOrDefault(site);
            if (room.Count(k, limit - has) is > 0 and long more)
                rooms[site] = has + (int)more;
        }
        return rooms;
    }
}
