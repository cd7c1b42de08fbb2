using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Dominant resource shares: of all resources the largest fraction of the fleet that a tenant's pods ask for. A tenant is an
/// elastic quota, or a namespace without one. What is added counts here only. Source: Ghodsi et al., Dominant Resource
/// Fairness, NSDI 2011.
/// </summary>
public sealed class FairShares
{
    private readonly ResourceNames _resources;
    private readonly long[] _capacity;
    private readonly Dictionary<string, long[]> _used;
    private readonly Dictionary<string, long[]> _added = new(StringComparer.Ordinal);

    internal FairShares(ResourceNames resources, long[] capacity, Dictionary<string, long[]> used) => (_resources, _capacity, _used) = (resources, capacity, used);

    /// <summary>A tenant's share, 0 and up.</summary>
    public double Of(string tenant)
    {
        long[]? used = _added.GetValueOrDefault(tenant) ?? _used.GetValueOrDefault(tenant);
        double share = 0;
        // Places for pods are no resource that a tenant wants more of.
        for (int r = 0; used is not null && r < Math.Min(used.Length, _capacity.Length); r++)
            if (r != ResourceNames.Pods && _capacity[r] > 0)
                share = Math.Max(share, used[r] / (double)_capacity[r]);
        return share;
    }

    /// <summary>Counts a pod that is about to be placed.</summary>
    public void Add(string tenant, KubeObject pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        if (!_added.TryGetValue(tenant, out long[]? used))
            used = _used.TryGetValue(tenant, out long[]? before) ? [.. before] : [];
        Sum(ref used, _resources.RequestsOf(pod.View(ApiJson.Default.Pod).Spec), 1);
        _added[tenant] = used;
    }

    internal static void Sum(ref long[] into, long[] amounts, int sign)
    {
        if (into.Length < amounts.Length)
            Array.Resize(ref into, amounts.Length);
        for (int r = 0; r < amounts.Length; r++)
            into[r] += sign * amounts[r];
    }
}
