using Atoll.Api;
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

    /// <summary>How many more of a pod its elastic quotas allow, at most <paramref name="limit"/>, and why no more.</summary>
    public static (int More, string? Why) Allowed(Snapshot fleet, KubeObject pod, int limit)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        ArgumentNullException.ThrowIfNull(pod);
        if (fleet.Quotas.IsEmpty)
            return (limit, null);
        PodSpec spec = pod.View(ApiJson.Default.Pod).Spec;
        (QuotaBook quotas, Online.PodGroup group, ResourceNames names) = (fleet.Quotas.Copy(), fleet.GroupOf(pod, spec), fleet.Resources.Copy());
        long[] requests = names.RequestsOf(spec);
        for (int more = 0; more < limit; more++)
        {
            if (quotas.Problem(group, requests, names) is { } why)
                return (more, why);
            quotas.Count(group, requests, 1);
        }
        return (limit, null);
    }
}
