using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Which elastic quota is above which, and which one a namespace's pods count in. A parent that does not exist, or that has its
/// child above it in turn, is none.
/// </summary>
public sealed class QuotaTree
{
    private readonly SortedDictionary<string, string?> _parents = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _ofNamespace = new(StringComparer.Ordinal);

    /// <summary>Makes the tree of all quotas, each with its key (<c>namespace/name</c>) and its parent's.</summary>
    public QuotaTree(IEnumerable<(string Key, string? Parent)> quotas)
    {
        ArgumentNullException.ThrowIfNull(quotas);
        foreach ((string key, string? parent) in quotas)
            _parents[key] = parent;
        var parents = new HashSet<string>(StringComparer.Ordinal);
        foreach (string key in _parents.Keys)
            if (Above(key) is { } parent)
                parents.Add(parent);
        // The first by name that has none below it; if all have, the first.
        foreach (bool leaf in (bool[])[true, false])
            foreach (string key in _parents.Keys)
                if (!leaf || !parents.Contains(key))
                    _ofNamespace.TryAdd(key[..key.IndexOf('/', StringComparison.Ordinal)], key);
    }

    /// <summary>The quota of each namespace that has one.</summary>
    public IReadOnlyDictionary<string, string> OfNamespaces => _ofNamespace;

    /// <summary>The key that a quota's spec.parent means, or null.</summary>
    public static string? ParentOf(ElasticQuota quota)
    {
        ArgumentNullException.ThrowIfNull(quota);
        return quota.Spec.Parent is not { Length: > 0 } parent ? null : parent.Contains('/', StringComparison.Ordinal) ? parent : $"{quota.Metadata.Namespace}/{parent}";
    }

    /// <summary>The quota above, or null.</summary>
    public string? Above(string key) => IsInCircle(key) || _parents.GetValueOrDefault(key) is not { } parent || !_parents.ContainsKey(parent) ? null : parent;

    /// <summary>True when a quota has itself above it.</summary>
    public bool IsInCircle(string key)
    {
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (string? at = _parents.GetValueOrDefault(key); at is not null && seen.Add(at); at = _parents.GetValueOrDefault(at))
            if (at == key)
                return true;
        return false;
    }

    /// <summary>The quota that pods of a namespace with such labels count in, or null.</summary>
    public string? Of(string ns, IReadOnlyDictionary<string, string>? labels)
    {
        if (labels is null || !labels.TryGetValue(ElasticQuota.Label, out string? name))
            return _ofNamespace.GetValueOrDefault(ns);
        return _parents.ContainsKey($"{ns}/{name}") ? $"{ns}/{name}" : null;
    }
}
