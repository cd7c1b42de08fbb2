using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;

namespace Atoll.Scheduling.Checking;

/// <summary>Elastic quotas over plain documents: sums made anew at each question.</summary>
internal sealed class PlainQuotas
{
    private readonly SortedDictionary<string, ElasticQuota> _quotas = new(StringComparer.Ordinal);
    private readonly PlainFleet _fleet;
    private readonly HashSet<string> _doomed;

    /// <param name="fleet">The fleet, which changes as the plan is carried out.</param>
    /// <param name="others">Documents, of which the ElasticQuotas count.</param>
    /// <param name="doomed">Identities of pods that are decided to go: they use nothing any more.</param>
    public PlainQuotas(PlainFleet fleet, IReadOnlyList<KubeObject> others, HashSet<string> doomed)
    {
        (_fleet, _doomed) = (fleet, doomed);
        foreach (KubeObject value in others)
            if (value.Kind == "ElasticQuota")
                _quotas[value.Key] = value.View(ApiJson.Default.ElasticQuota);
    }

    /// <summary>The quota that has no room for a pod, or that it names and that is not there; null when all have.</summary>
    public string? Without(KubeObject pod)
    {
        if (pod.Metadata.Label(ElasticQuota.Label) is { } named && !_quotas.ContainsKey($"{pod.Namespace}/{named}"))
            return $"elastic quota {pod.Namespace}/{named} does not exist";
        foreach (string key in Chain(Of(pod)))
            foreach ((string resource, string max) in _quotas[key].Spec.Max ?? [])
                if (Need(pod, resource) > 0 && Used(key, resource) + Need(pod, resource) > Quantity.Parse(max).Milli)
                    return $"elastic quota {key} is used up ({resource}: ";
        return null;
    }

    /// <summary>True when a pod is guaranteed what it asks for, and the other is only lent what it has.</summary>
    public bool MayReclaim(KubeObject pod, KubeObject victim)
    {
        if (Of(pod) is not { } own || Of(victim) is not { } other || own == other)
            return false;
        List<string> mine = Chain(own), theirs = Chain(other);
        while (mine.Count > 0 && theirs.Count > 0 && mine[^1] == theirs[^1])
        {
            mine.RemoveAt(mine.Count - 1);
            theirs.RemoveAt(theirs.Count - 1);
        }
        // Pods right in the lowest common quota have no guarantee of their own there, and against its parts' all that they use is lent.
        if (mine.Count == 0)
            return false;
        List<string> asked = [.. (_quotas[mine[^1]].Spec.Min ?? []).Where(m => Quantity.Parse(m.Value) > Quantity.Zero && Need(pod, m.Key) > 0).Select(m => m.Key)];
        return asked.Count > 0 && asked.TrueForAll(r => Used(mine[^1], r) + Need(pod, r) <= Min(mine[^1], r))
            && (theirs.Count == 0 ? asked.Exists(r => Used(other, r, its: true) > 0)
                : asked.Exists(r => Used(theirs[^1], r) > Min(theirs[^1], r)) && asked.Exists(r => Used(other, r) > Min(other, r)));
    }

    /// <summary>True when two pods count in different quotas.</summary>
    public bool Differ(KubeObject pod, KubeObject other) => Of(pod) is { } own && Of(other) is { } its && own != its;

    private string? Of(KubeObject pod)
    {
        if (pod.Metadata.Label(ElasticQuota.Label) is { } named)
            return _quotas.ContainsKey($"{pod.Namespace}/{named}") ? $"{pod.Namespace}/{named}" : null;
        List<string> own = [.. _quotas.Keys.Where(k => k.StartsWith(pod.Namespace + "/", StringComparison.Ordinal))];
        return own.Find(k => !_quotas.Keys.Any(c => Above(c) == k)) ?? own.FirstOrDefault();
    }

    private List<string> Chain(string? key)
    {
        var chain = new List<string>();
        for (; key is not null; key = Above(key))
            chain.Add(key);
        return chain;
    }

    private string? Above(string key)
    {
        string? parent = Named(key);
        if (parent is null || !_quotas.ContainsKey(parent))
            return null;
        string? at = parent;
        for (int i = 0; i <= _quotas.Count && at is not null; i++, at = _quotas.ContainsKey(at) ? Named(at) : null)
            if (at == key)
                return null;
        return parent;
    }

    private string? Named(string key) =>
        _quotas[key].Spec.Parent is not { Length: > 0 } parent ? null : parent.Contains('/', StringComparison.Ordinal) ? parent : $"{key.Split('/')[0]}/{parent}";

    // By the pods in it and below, or by its own alone.
    private Int128 Used(string key, string resource, bool its = false)
    {
        Int128 used = 0;
        foreach (PlainPod pod in _fleet.Pods)
            if (!_doomed.Contains(pod.Object.Uid) && (its ? Of(pod.Object) == key : Chain(Of(pod.Object)).Contains(key)))
                used += Need(pod.Object, resource);
        return used;
    }

    private Int128 Min(string key, string resource) => Quantity.Parse((_quotas[key].Spec.Min ?? []).GetValueOrDefault(resource)).Milli;

    private static Int128 Need(KubeObject pod, string resource) => resource == "pods" ? 1000 : PlainFleet.Need(pod.View(ApiJson.Default.Pod).Spec, resource);
}
