using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>
/// PodTopologySpread's score of ScheduleAnyway constraints: pods already in a node's domains, with more weight the more
/// domains there are, turned around and normalised over the nodes that passed the filters. Source: Kubernetes.
/// </summary>
internal static class SpreadScores
{
    private const long Ignored = -1;

    public static void Add(List<SpreadCounter> constraints, ReadOnlySpan<int> feasible, long[] total, PodClass.Scratch scratch, int weight, bool needsAll)
    {
        long[] raw = scratch.Raw;
        int ignored = 0;
        for (int i = 0; i < feasible.Length; i++)
        {
            raw[i] = 0;
            if (!needsAll)
                continue;
            foreach (SpreadCounter constraint in constraints)
                if (constraint.Domains[feasible[i]] == 0)
                    raw[i] = Ignored;
            if (raw[i] == Ignored)
                ignored++;
        }
        Span<double> weights = constraints.Count <= 16 ? stackalloc double[constraints.Count] : new double[constraints.Count];
        for (int c = 0; c < constraints.Count; c++)
            weights[c] = Math.Log(2 + (constraints[c].Key == WellKnown.HostnameLabel ? feasible.Length - ignored : Domains(constraints[c], feasible, raw, scratch)));
        long least = long.MaxValue, most = 0;
        for (int i = 0; i < feasible.Length; i++)
        {
            if (raw[i] == Ignored)
                continue;
            double score = 0;
            for (int c = 0; c < weights.Length; c++)
            {
                SpreadCounter constraint = constraints[c];
                int domain = constraint.Domains[feasible[i]];
                if (domain != 0)
                    score += (constraint.Counts[domain] * weights[c]) + (constraint.MaxSkew - 1);
            }
            raw[i] = (long)Math.Round(score, MidpointRounding.AwayFromZero);
            least = Math.Min(least, raw[i]);
            most = Math.Max(most, raw[i]);
        }
        for (int i = 0; i < feasible.Length; i++)
            if (raw[i] != Ignored)
                total[i] += weight * (most == 0 ? 100 : 100 * (most + least - raw[i]) / most);
    }

    private static int Domains(SpreadCounter constraint, ReadOnlySpan<int> feasible, long[] raw, PodClass.Scratch scratch)
    {
        if (scratch.Seen.Length < constraint.Numbers)
            scratch.Seen = new int[constraint.Numbers];
        int stamp = ++scratch.Stamp, count = 0;
        for (int i = 0; i < feasible.Length; i++)
        {
            int domain = constraint.Domains[feasible[i]];
            if (raw[i] == Ignored || domain == 0 || scratch.Seen[domain] == stamp)
                continue;
            scratch.Seen[domain] = stamp;
            count++;
        }
        return count;
    }
}
