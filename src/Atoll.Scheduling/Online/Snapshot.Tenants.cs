using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>What each tenant uses, for turns by dominant share.</summary>
public sealed partial class Snapshot
{
    private long[] _capacity = [];
    private Dictionary<string, long[]>? _use = new(StringComparer.Ordinal);

    /// <summary>Who a pod counts for: its elastic quota, or its namespace.</summary>
    public string TenantOf(KubeObject pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        return TenantOf(pod.Namespace, pod.Metadata.Labels);
    }

    /// <summary>Shares of this moment, to which more may be added. Valid until the snapshot changes.</summary>
    public FairShares Shares()
    {
        if (_use is null)
        {
            _use = new Dictionary<string, long[]>(StringComparer.Ordinal);
            foreach (PodRow pod in Pods().Values)
                CountTenant(pod, 1);
        }
        return new FairShares(Resources, _capacity, _use);
    }

    private string TenantOf(string ns, Dictionary<string, string>? labels) => Quotas.Of(ns, labels, out _)?.Key ?? ns;

    // A copy counts when it is asked.
    private void CountUse(PodRow pod, int sign)
    {
        _quotas?.Count(pod.Group, pod.Requests, sign);
        CountTenant(pod, sign);
    }

    private void CountTenant(PodRow pod, int sign)
    {
        if (_use is null)
            return;
        string tenant = TenantOf(pod.Group.Namespace, pod.Group.Labels);
        long[] used = _use.GetValueOrDefault(tenant) ?? [];
        FairShares.Sum(ref used, pod.Requests, sign);
        if (used[ResourceNames.Pods] == 0)
            _use.Remove(tenant);
        else
            _use[tenant] = used;
    }
}
