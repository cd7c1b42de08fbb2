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

    /// <summary>What its own pods use, without those of the quotas below.</summary>
    public long[] Own = [];

    public long MinOf(int r) => r < limits.Min.Length ? limits.Min[r] : 0;

    public long MaxOf(int r) => r < limits.Max.Length ? limits.Max[r] : long.MaxValue;

    public long UsedOf(int r) => r < Used.Length ? Used[r] : 0;

    public long OwnOf(int r) => r < Own.Length ? Own[r] : 0;
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
            (copy._quotas[quota.Key].Used, copy._quotas[quota.Key].Own) = ([.. quota.Used], [.. quota.Own]);
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
        Quota? own = Of(pods);
        if (own is not null)
            FairShares.Sum(ref own.Own, requests, sign);
        for (Quota? quota = own; quota is not null; quota = quota.Parent)
            FairShares.Sum(ref quota.Used, requests, sign);
    }

    /// <summary>Why one more pod may not be, in words for each node, or null. What <paramref name="freed"/> holds counts as gone.</summary>
    public string? Problem(PodGroup pods, long[] requests, ResourceNames names, QuotaFreed? freed = null)
    {
        Quota? own = Of(pods.Namespace, pods.Labels, out string? missing);
        if (missing is not null)
            return $"elastic quota {missing} does not exist";
        for (Quota? quota = own; quota is not null; quota = quota.Parent)
        {
            int over = -1;
            for (int r = 0; r < requests.Length; r++)
                if (requests[r] > 0 && quota.MaxOf(r) != long.MaxValue && Used(quota, r) + requests[r] > quota.MaxOf(r) && (over < 0 || names.Precedes(r, over)))
                    over = r;
            if (over >= 0)
                return string.Create(CultureInfo.InvariantCulture, $"elastic quota {quota.Key} is used up ({names[over]}: {Show(names[over], Used(quota, over))} used + {Show(names[over], requests[over])} asked > {Show(names[over], quota.MaxOf(over))} at most)");
        }
        return null;

        long Used(Quota quota, int r) => quota.UsedOf(r) - (freed?.Of(quota, r) ?? 0);
    }

    /// <summary>
    /// True when a pod of <paramref name="own"/> may take the place of one of <paramref name="other"/>, whatever their priorities: of the
    /// sides below the lowest quota that both are in or below (or of all, when there is none), its side stays within its min with the
    /// pod, and the other side and the other quota itself are above theirs in something that the pod asks for. Pods right in that
    /// lowest quota are a side without a min: they never take from the quotas below it, and all that they have is only lent.
    /// </summary>
    public static bool MayReclaim(Quota own, long[] requests, Quota other, QuotaFreed freed)
    {
        if (Sides(own, other) is not (var mine, var theirs))
            return false;
        bool guaranteed = false, lent = false;
        for (int r = 0; r < requests.Length; r++)
        {
            long min = mine.MinOf(r);
            if (requests[r] == 0 || min == 0)
                continue;
            if (mine.UsedOf(r) + requests[r] > min)
                return false;
            guaranteed = true;
            lent |= other.OwnOf(r) > freed.OwnOf(other, r);
        }
        return guaranteed && (theirs is null ? lent : IsOver(theirs) && IsOver(other));

        bool IsOver(Quota quota)
        {
            for (int r = 0; r < requests.Length; r++)
                if (requests[r] > 0 && mine.MinOf(r) > 0 && quota.UsedOf(r) - freed.Of(quota, r) > quota.MinOf(r))
                    return true;
            return false;
        }
    }

    // The two quotas below the lowest one that both are in or below; null when the first is that one, no second when the other is.
    private static (Quota Mine, Quota? Theirs)? Sides(Quota own, Quota other)
    {
        var below = new Dictionary<Quota, Quota?>();
        Quota top = own;
        for ((Quota? quota, Quota? last) = (own, null); quota is not null; (last, quota) = (quota, quota.Parent))
        {
            below.Add(quota, last);
            top = quota;
        }
        Quota? theirs = null;
        for (Quota? quota = other; quota is not null; (theirs, quota) = (quota, quota.Parent))
            if (below.TryGetValue(quota, out Quota? mine))
                return mine is null ? null : (mine, theirs);
        return (top, theirs);
    }

    /// <summary>An amount of a column as people write it.</summary>
    public static string Show(string resource, long amount) =>
        resource == "cpu" ? Quantity.FromMilli(amount).ToString() : resource == "memory" || resource.StartsWith("hugepages-", StringComparison.Ordinal) || resource == "ephemeral-storage" ? Quantity.FromValue(amount).ToBinaryString() : Quantity.FromValue(amount).ToString();
}

/// <summary>What pods that are thought away leave in their quotas.</summary>
internal sealed class QuotaFreed(QuotaBook book)
{
    private readonly Dictionary<Quota, long[]> _freed = [], _own = [];

    public long Of(Quota quota, int r) => At(_freed, quota, r);

    public long OwnOf(Quota quota, int r) => At(_own, quota, r);

    public void Add(PodRow pod, int sign)
    {
        Quota? own = book.Of(pod.Group);
        if (own is not null)
            Add(_own, own, pod, sign);
        for (Quota? quota = own; quota is not null; quota = quota.Parent)
            Add(_freed, quota, pod, sign);
    }

    private static long At(Dictionary<Quota, long[]> amounts, Quota quota, int r) => amounts.TryGetValue(quota, out long[]? freed) && r < freed.Length ? freed[r] : 0;

    private static void Add(Dictionary<Quota, long[]> amounts, Quota quota, PodRow pod, int sign)
    {
        long[] freed = amounts.GetValueOrDefault(quota) ?? [];
        FairShares.Sum(ref freed, pod.Requests, sign);
        amounts[quota] = freed;
    }
}
