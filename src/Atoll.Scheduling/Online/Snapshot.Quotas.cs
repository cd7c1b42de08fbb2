using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>Elastic quotas of a snapshot.</summary>
public sealed partial class Snapshot
{
    /// <summary>What the quotas say, by <c>namespace/name</c>.</summary>
    internal ImmutableDictionary<string, QuotaLimits> Limits { get; private set; } = ImmutableDictionary.Create<string, QuotaLimits>(StringComparer.Ordinal);

    private QuotaBook? _quotas = new([]);

    /// <summary>Quotas with what the pods of this moment use.</summary>
    internal QuotaBook Quotas
    {
        get
        {
            if (_quotas is not null)
                return _quotas;
            _quotas = new QuotaBook([.. Limits.Values]);
            foreach (PodRow pod in Pods().Values)
                _quotas.Count(pod.Group, pod.Requests, 1);
            return _quotas;
        }
    }

    /// <summary>Takes in an ElasticQuota. True when it says something else than before.</summary>
    public bool UpsertQuota(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        QuotaLimits now = QuotaLimits.Of(value.Key, value.View(ApiJson.Default.ElasticQuota), Resources);
        if (Limits.TryGetValue(value.Key, out QuotaLimits? known) && known.SameAs(now))
            return false;
        Limits = Limits.SetItem(value.Key, now);
        (_quotas, _use) = (null, null);
        return true;
    }

    /// <summary>Forgets an ElasticQuota by its <c>namespace/name</c>.</summary>
    public void RemoveQuota(string key)
    {
        Limits = Limits.Remove(key);
        (_quotas, _use) = (null, null);
    }
}
