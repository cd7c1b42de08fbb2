using System.Text;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Pods that no selector tells apart: one namespace, equal labels, equal terms of affinity to other pods, all ending or none.
/// Constraints are matched against groups, not against each pod.
/// </summary>
internal sealed class PodGroup
{
    private PodGroup(string key, string ns, Dictionary<string, string> labels, bool deleting, PodTerms terms)
    {
        Key = key;
        Namespace = ns;
        Labels = labels;
        Deleting = deleting;
        Terms = terms;
    }

    public string Key { get; }

    public string Namespace { get; }

    public Dictionary<string, string> Labels { get; }

    public bool Deleting { get; }

    public PodTerms Terms { get; }

    /// <summary>The identity of a pod's group. Parts are told apart by characters that no label, name or JSON has.</summary>
    public static string KeyOf(KubeObject pod, PodSpec spec)
    {
        var key = new StringBuilder(128);
        key.Append(pod.Namespace).Append(pod.IsDeleting ? '\u0001' : '\u0002');
        if (pod.Metadata.Labels is { Count: > 0 } labels)
        {
            string[] names = new string[labels.Count];
            labels.Keys.CopyTo(names, 0);
            Array.Sort(names, StringComparer.Ordinal);
            foreach (string name in names)
                key.Append(name).Append('\u0003').Append(labels[name]).Append('\u0004');
        }
        if (spec.Affinity?.PodAffinity is not null || spec.Affinity?.PodAntiAffinity is not null)
            key.Append('\u0005').Append(JsonSerializer.Serialize(new Affinity { PodAffinity = spec.Affinity.PodAffinity, PodAntiAffinity = spec.Affinity.PodAntiAffinity }, ApiJson.Default.Affinity));
        return key.ToString();
    }

    public static PodGroup Of(string key, KubeObject pod, PodSpec spec) =>
        new(key, pod.Namespace, pod.Metadata.Labels ?? [], pod.IsDeleting, PodTerms.Of(spec.Affinity, pod.Namespace, pod.Metadata.Labels ?? []));
}

/// <summary>A group's pods: how many on which row. Copied before it is written by a snapshot that does not own it.</summary>
internal sealed class GroupRows(PodGroup group, object owner, RowCounts counts)
{
    public PodGroup Group { get; } = group;

    public object Owner { get; } = owner;

    public RowCounts Counts { get; } = counts;
}

/// <summary>What a pod says of other pods.</summary>
internal sealed class PodTerms
{
    private static readonly PodTerms s_none = new([], [], []);

    private PodTerms(PodTerm[] affinity, PodTerm[] anti, PodTerm[] preferred) => (Affinity, Anti, Preferred) = (affinity, anti, preferred);

    /// <summary>Required affinity.</summary>
    public PodTerm[] Affinity { get; }

    /// <summary>Required anti-affinity.</summary>
    public PodTerm[] Anti { get; }

    /// <summary>Preferred affinity, and anti-affinity with negative weights.</summary>
    public PodTerm[] Preferred { get; }

    public bool IsEmpty => Affinity.Length + Anti.Length + Preferred.Length == 0;

    public static PodTerms Of(Affinity? affinity, string ns, Dictionary<string, string> labels)
    {
        if (affinity?.PodAffinity is null && affinity?.PodAntiAffinity is null)
            return s_none;
        var preferred = new List<PodTerm>();
        foreach (WeightedPodAffinityTerm term in affinity.PodAffinity?.PreferredDuringSchedulingIgnoredDuringExecution ?? [])
            preferred.Add(new PodTerm(term.PodAffinityTerm, term.Weight, ns, labels));
        foreach (WeightedPodAffinityTerm term in affinity.PodAntiAffinity?.PreferredDuringSchedulingIgnoredDuringExecution ?? [])
            preferred.Add(new PodTerm(term.PodAffinityTerm, -term.Weight, ns, labels));
        return new PodTerms(
            Required(affinity.PodAffinity?.RequiredDuringSchedulingIgnoredDuringExecution),
            Required(affinity.PodAntiAffinity?.RequiredDuringSchedulingIgnoredDuringExecution),
            [.. preferred]);

        PodTerm[] Required(List<PodAffinityTerm>? terms) => terms is null ? [] : [.. terms.ConvertAll(t => new PodTerm(t, 1, ns, labels))];
    }
}

/// <summary>One term of affinity to other pods, with the namespaces and labels of the pod that has it filled in.</summary>
internal sealed class PodTerm
{
    private readonly LabelSelector _selector;
    private readonly List<string>? _namespaces;
    private readonly LabelSelector? _namespaceSelector;
    private readonly string _own;

    public PodTerm(PodAffinityTerm term, int weight, string ns, Dictionary<string, string> labels)
    {
        TopologyKey = term.TopologyKey;
        Weight = weight;
        _selector = Narrowed(term.LabelSelector, term.MatchLabelKeys, term.MismatchLabelKeys, labels);
        _namespaces = term.Namespaces is { Count: > 0 } ? term.Namespaces : null;
        _namespaceSelector = term.NamespaceSelector;
        _own = ns;
    }

    public string TopologyKey { get; }

    public int Weight { get; }

    /// <summary>True when the term is about pods of a group.</summary>
    public bool Matches(PodGroup group, IReadOnlyDictionary<string, Dictionary<string, string>> namespaces) =>
        About(group.Namespace, namespaces) && _selector.Matches(group.Labels);

    // Named namespaces and those of the selector together; neither means the pod's own. An empty selector means all.
    private bool About(string ns, IReadOnlyDictionary<string, Dictionary<string, string>> namespaces)
    {
        if (_namespaces is null && _namespaceSelector is null)
            return ns == _own;
        return _namespaces?.Contains(ns) == true
            || (_namespaceSelector is not null && (_namespaceSelector.IsEmpty || _namespaceSelector.Matches(namespaces.GetValueOrDefault(ns))));
    }

    /// <summary>A selector with matchLabelKeys filled in from a pod's labels. No selector selects nothing.</summary>
    public static LabelSelector Narrowed(LabelSelector? selector, List<string>? same, List<string>? different, Dictionary<string, string> labels)
    {
        LabelSelector given = selector ?? new LabelSelector { MatchExpressions = [new SelectorRequirement { Key = "", Operator = "None" }] };
        if (same is not { Count: > 0 } && different is not { Count: > 0 })
            return given;
        var expressions = new List<SelectorRequirement>(given.MatchExpressions ?? []);
        foreach (string key in same ?? [])
            if (labels.TryGetValue(key, out string? value))
                expressions.Add(new SelectorRequirement { Key = key, Operator = "In", Values = [value] });
        foreach (string key in different ?? [])
            if (labels.TryGetValue(key, out string? value))
                expressions.Add(new SelectorRequirement { Key = key, Operator = "NotIn", Values = [value] });
        return new LabelSelector { MatchLabels = given.MatchLabels, MatchExpressions = expressions };
    }
}
