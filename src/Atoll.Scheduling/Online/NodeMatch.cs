using Atoll.Api.Core;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>Which nodes a pod may be on at all, whatever else runs there: name, cordon, taints, selector and affinity.</summary>
internal static class NodeMatch
{
    public const string Unschedulable = "node(s) were unschedulable";
    public const string WrongName = "node(s) didn't match the requested node name";
    public const string Affinity = "node(s) didn't match Pod's node affinity/selector";

    private static readonly Toleration s_cordon = new() { Key = "node.kubernetes.io/unschedulable", Operator = "Exists", Effect = "NoSchedule" };

    /// <summary>Why the pod may not be on the node, or null. The order is Kubernetes' order of filters: the first reason counts.</summary>
    public static string? Reason(PodSpec spec, NodeRow node)
    {
        if (node.Unschedulable && !Tolerates(spec, s_cordon.Key!, null, "NoSchedule"))
            return Unschedulable;
        if (!string.IsNullOrEmpty(spec.NodeName) && spec.NodeName != node.Name)
            return WrongName;
        foreach (Taint taint in node.Taints)
            if (taint.Effect is "NoSchedule" or "NoExecute" && !Tolerates(spec, taint.Key, taint.Value, taint.Effect))
                return $"node(s) had untolerated taint {{{taint.Key}: {taint.Value}}}";
        return AffinityMatches(spec, node) ? null : Affinity;
    }

    /// <summary>nodeSelector and required node affinity.</summary>
    public static bool AffinityMatches(PodSpec spec, NodeRow node)
    {
        if (spec.NodeSelector is not null)
            foreach (KeyValuePair<string, string> wanted in spec.NodeSelector)
                if (!node.Labels.TryGetValue(wanted.Key, out string? value) || value != wanted.Value)
                    return false;
        if (spec.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution?.NodeSelectorTerms is not { } terms)
            return true;
        foreach (NodeSelectorTerm term in terms)
            if (TermMatches(term, node))
                return true;
        return false;
    }

    /// <summary>True when no taint with effect NoSchedule or NoExecute keeps the pod away.</summary>
    public static bool TaintsTolerated(PodSpec spec, NodeRow node)
    {
        foreach (Taint taint in node.Taints)
            if (taint.Effect is "NoSchedule" or "NoExecute" && !Tolerates(spec, taint.Key, taint.Value, taint.Effect))
                return false;
        return true;
    }

    /// <summary>Sum of the weights of preferred terms that match.</summary>
    public static int Preference(PodSpec spec, NodeRow node)
    {
        int sum = 0;
        foreach (PreferredSchedulingTerm term in spec.Affinity?.NodeAffinity?.PreferredDuringSchedulingIgnoredDuringExecution ?? [])
            if (TermMatches(term.Preference, node))
                sum += term.Weight;
        return sum;
    }

    /// <summary>How many PreferNoSchedule taints the pod does not tolerate.</summary>
    public static int Disliked(PodSpec spec, NodeRow node)
    {
        int count = 0;
        foreach (Taint taint in node.Taints)
            if (taint.Effect == "PreferNoSchedule" && !Tolerates(spec, taint.Key, taint.Value, taint.Effect))
                count++;
        return count;
    }

    // An empty term matches nothing (Kubernetes API, NodeSelectorTerm).
    private static bool TermMatches(NodeSelectorTerm term, NodeRow node)
    {
        if (term.MatchExpressions is not { Count: > 0 } && term.MatchFields is not { Count: > 0 })
            return false;
        foreach (SelectorRequirement requirement in term.MatchExpressions ?? [])
            if (!requirement.Matches(node.Labels))
                return false;
        foreach (SelectorRequirement requirement in term.MatchFields ?? [])
        {
            bool equal = requirement.Key == "metadata.name" && requirement.Values is [var name] && name == node.Name;
            if (requirement.Key != "metadata.name" || requirement.Operator is not ("In" or "NotIn") || equal != (requirement.Operator == "In"))
                return false;
        }
        return true;
    }

    private static bool Tolerates(PodSpec spec, string key, string? value, string effect)
    {
        foreach (Toleration toleration in spec.Tolerations ?? [])
        {
            if (!string.IsNullOrEmpty(toleration.Effect) && toleration.Effect != effect)
                continue;
            if (string.IsNullOrEmpty(toleration.Key))
            {
                if (toleration.Operator == "Exists")
                    return true;
                continue;
            }
            if (toleration.Key == key && (toleration.Operator == "Exists" || (toleration.Value ?? "") == (value ?? "")))
                return true;
        }
        return false;
    }
}
