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
        PodSpec asked = pod.View(ApiJson.Default.Pod).Spec;
        var spec = new SpecClass(asked, SchedulingProfile.Default, working, wants: PodWants.Of(pod, asked));
        Online.PodGroup group = fleet.GroupOf(pod, asked);
        var rooms = new Dictionary<string, int>(StringComparer.Ordinal);
        for (int k = 0; k < spec.Count; k++)
        {
            int row = spec.Rows[k];
            if (spec.Local[k] < 0 || fleet.Nodes[row]!.Labels.GetValueOrDefault(WellKnown.SiteLabel) is not { Length: > 0 } site)
                continue;
            int has = rooms.GetValueOrDefault(site);
            if (has < limit)
                rooms[site] = has + (int)Math.Min(limit - has, spec.Special is null ? Units(spec, working, row) : Fill(spec, group, working, row, limit - has));
        }
        return rooms;
    }

    // What is no sum is found by filling: parts that fit, and what is left of the site.
    private static int Fill(SpecClass spec, Online.PodGroup group, Working working, int row, int limit)
    {
        int count = 0;
        for (; count < limit && spec.HasRoom(row) && (spec.Ports.IsEmpty || !working.PortsTaken(spec.Ports, row)) && spec.Special!.Reason(row) is null; count++)
        {
            if (spec.Special.Choose(row) is { } claim)
                working.Claim(row, claim);
            working.Count(row, group, spec.DemandAt(row), spec.ScoredCpu, spec.ScoredMemory, spec.Ports, 1);
        }
        return count;
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
