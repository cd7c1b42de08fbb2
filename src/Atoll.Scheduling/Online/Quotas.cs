using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Scheduling.Online;

/// <summary>What an ElasticQuota says, by column of a snapshot.</summary>
/// <param name="Key"><c>namespace/name</c>.</param>
/// <param name="Parent">Key of the quota above, whether or not it exists; null for none.</param>
/// <param name="Min">Guaranteed; 0 where nothing is said.</param>
/// <param name="Max">Never more; <see cref="long.MaxValue"/> where nothing is said.</param>
internal sealed record QuotaLimits(string Key, string? Parent, long[] Min, long[] Max)
{
    public static QuotaLimits Of(string key, ElasticQuota quota, ResourceNames names)
    {
        long[] min = names.Read(quota.Spec.Min), most = names.Read(quota.Spec.Max);
        var max = new long[most.Length];
        Array.Fill(max, long.MaxValue);
        foreach (string name in (quota.Spec.Max ?? []).Keys)
            max[names.ColumnOf(name)] = most[names.ColumnOf(name)];
        return new QuotaLimits(key, QuotaTree.ParentOf(quota), min, max);
    }

    public bool SameAs(QuotaLimits other) => Parent == other.Parent && Min.AsSpan().SequenceEqual(other.Min) && Max.AsSpan().SequenceEqual(other.Max);
}

/// <summary>A quota with what is used of it, by its own pods and those of the quotas below.</summary>
internal sealed class Quota(QuotaLimits limits)
{
    public string Key => limits.Key;

    public Quota? Parent { get; set; }

    public long[] Used = [];

    public long MinOf(int r) => r < limits.Min.Length ? limits.Min[r] : 0;

    public long MaxOf(int r) => r < limits.Max.Length ? limits.Max[r] : long.MaxValue;

    public long UsedOf(int r) => r < Used.Length ? Used[r] : 0;
}

/// <summary>
/// Hierarchical elastic quotas and what is used of them. A pod counts in the quota that its label names, or in its namespace's
/// (of several the first by name that has none below it), and in all above. Above max nothing is placed; between min and max
/// is what others leave; who stays within its min may take from those who are above theirs.
/// </summary>
internal sealed class QuotaBook
{
    private readonly Dictionary<string, Quota> _quotas = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Quota> _ofNamespace = new(StringComparer.Ordinal);
    private readonly IReadOnlyCollection<QuotaLimits> _limits;

    public QuotaBook(IReadOnlyCollection<QuotaLimits> limits)
    {
        _limits = limits;
        foreach (QuotaLimits each in limits)
            _quotas.Add(each.Key, new Quota(each));
        var tree = new QuotaTree(limits.Select(l => (l.Key, l.Parent)));
        foreach (Quota quota in _quotas.Values)
            quota.Parent = tree.Above(quota.Key) is { } parent ? _quotas[parent] : null;
        foreach ((string ns, string key) in tree.OfNamespaces)
            _ofNamespace.Add(ns, _quotas[key]);
    }

    public bool IsEmpty => _quotas.Count == 0;

    public QuotaBook Copy()
    {
        if (IsEmpty)
            return this;
        var copy = new QuotaBook(_limits);
        foreach (Quota quota in _quotas.Values)
            copy._quotas[quota.Key].Used = [.. quota.Used];
        return copy;
    }

    /// <summary>The quota of pods, or null; a quota that they name and that does not exist is <paramref name="missing"/>.</summary>
    public Quota? Of(string ns, Dictionary<string, string>? labels, out string? missing)
    {
        missing = null;
        if (labels is null || !labels.TryGetValue(ElasticQuota.Label, out string? name))
            return _ofNamespace.GetValueOrDefault(ns);
        Quota? named = _quotas.GetValueOrDefault($"{ns}/{name}");
        if (named is null)
            missing = $"{ns}/{name}";
        return named;
    }

    public Quota? Of(PodGroup pods) => Of(pods.Namespace, pods.Labels, out _);

    public void Count(PodGroup pods, long[] requests, int sign)
    {
        if (IsEmpty)
            return;
        for (Quota? quota = Of(pods); quota is not null; quota = quota.Parent)
            FairShares.Sum(ref quota.Used, requests, sign);
    }

    /// <summary>Why one more pod may not be, in words for each node, or null. What <paramref name="freed"/> holds counts as gone.</summary>
    public string? Problem(PodGroup pods, long[] requests, ResourceNames names, QuotaFreed? freed = null)
    {
        Quota? own = Of(pods.Namespace, pods.Labels, out string? missing);
        if (missing is not null)
            return $"elastic quota {missing} does not exist";
        for (Quota? quota = own; quota is not null; quota = quota.Parent)
            for (int r = 0; r < requests.Length; r++)
            {
                long used = quota.UsedOf(r) - (freed?.Of(quota, r) ?? 0), max = quota.MaxOf(r);
                if (requests[r] > 0 && max != long.MaxValue && used + requests[r] > max)
                    return string.Create(CultureInfo.InvariantCulture, $"elastic quota {quota.Key} is used up ({names[r]}: {Show(names[r], used)} used + {Show(names[r], requests[r])} asked > {Show(names[r], max)} at most)");
            }
        return null;
    }

    /// <summary>
    /// True when a pod of <paramref name="own"/> may take the place of one of <paramref name="other"/>, whatever their priorities: below
    /// the quota that both have above them (or none), its side stays within its min with the pod, and the other side and
    /// the other quota itself are above theirs in something that the pod asks for.
    /// </summary>
    public static bool MayReclaim(Quota own, long[] requests, Quota other, QuotaFreed freed)
    {
        (Quota mine, Quota theirs) = Sides(own, other);
        if (ReferenceEquals(mine, theirs))
            return false;
        bool guaranteed = false;
        for (int r = 0; r < requests.Length; r++)
        {
            long min = mine.MinOf(r);
            if (requests[r] == 0 || min == 0)
                continue;
            if (mine.UsedOf(r) + requests[r] > min)
                return false;
            guaranteed = true;
        }
        return guaranteed && IsOver(theirs) && IsOver(other);

        bool IsOver(Quota quota)
        {
            for (int r = 0; r < requests.Length; r++)
                if (requests[r] > 0 && mine.MinOf(r) > 0 && quota.UsedOf(r) - freed.Of(quota, r) > quota.MinOf(r))
                    return true;
            return false;
        }
    }

    // The two quotas below the lowest one that both have above them.
    private static (Quota, Quota) Sides(Quota own, Quota other)
    {
        var path = new Dictionary<Quota, Quota?>();
        for ((Quota? quota, Quota? below) = (own, null); quota is not null; (below, quota) = (quota, quota.Parent))
            path.Add(quota, below);
        Quota theirs = other;
        for (Quota? quota = other; quota is not null; quota = quota.Parent)
        {
            if (path.TryGetValue(quota, out Quota? mine))
                return (mine ?? quota, ReferenceEquals(theirs, quota) ? quota : theirs);
            theirs = quota;
        }
        Quota top = own;
        while (top.Parent is { } parent)
            top = parent;
        return (top, theirs);
    }

    /// <summary>An amount of a column as people write it.</summary>
    public static string Show(string resource, long amount) =>
        resource == "cpu" ? Quantity.FromMilli(amount).ToString() : resource == "memory" || resource.StartsWith("hugepages-", StringComparison.Ordinal) || resource == "ephemeral-storage" ? Quantity.FromValue(amount).ToBinaryString() : Quantity.FromValue(amount).ToString();
}

/// <summary>What pods that are thought away leave in their quotas.</summary>
internal sealed class QuotaFreed(QuotaBook book)
{
    private readonly Dictionary<Quota, long[]> _freed = [];

    public long Of(Quota quota, int r) => _freed.TryGetValue(quota, out long[]? freed) && r < freed.Length ? freed[r] : 0;

    public void Add(PodRow pod, int sign)
    {
        for (Quota? quota = book.Of(pod.Group); quota is not null; quota = quota.Parent)
        {
            long[] freed = _freed.GetValueOrDefault(quota) ?? [];
            FairShares.Sum(ref freed, pod.Requests, sign);
            _freed[quota] = freed;
        }
    }
}
