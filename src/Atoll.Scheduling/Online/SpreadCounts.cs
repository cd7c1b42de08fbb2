using Atoll.Api.Core;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>
/// One topology spread constraint during one plan: how many matching pods each domain has. Counted once for all pods of a
/// template and kept up to date as the plan goes on. Source: Kubernetes, Pod Topology Spread Constraints.
/// </summary>
internal sealed class SpreadCounts
{
    public const string MissingLabel = "node(s) didn't match pod topology spread constraints (missing required label)";
    public const string Violated = "node(s) didn't match pod topology spread constraints";

    private readonly TopologySpreadConstraint _constraint;
    private readonly string _namespace;
    private readonly LabelSelector _selector;
    private readonly Dictionary<string, int> _counts = new(StringComparer.Ordinal);

    public SpreadCounts(TopologySpreadConstraint constraint, string ns, PodSpec spec, Dictionary<string, string> podLabels, Snapshot snapshot)
    {
        _constraint = constraint;
        _namespace = ns;
        _selector = Selector(constraint, podLabels);
        for (int row = 0; row < snapshot.Rows; row++)
        {
            if (snapshot.Nodes[row] is not { } node || !node.Labels.TryGetValue(constraint.TopologyKey, out string? domain) || !Counts(spec, node))
                continue;
            int count = _counts.GetValueOrDefault(domain);
            foreach (PodRow pod in node.Pods)
                if (!pod.Deleting && pod.Namespace == ns && _selector.Matches(pod.Labels))
                    count++;
            _counts[domain] = count;
        }
    }

    public bool IsRequired => _constraint.WhenUnsatisfiable != "ScheduleAnyway";

    /// <summary>Why a pod with these labels may not go to the node, or null.</summary>
    public string? Reason(NodeRow node, Dictionary<string, string> podLabels)
    {
        if (!node.Labels.TryGetValue(_constraint.TopologyKey, out string? domain))
            return MissingLabel;
        int self = _selector.Matches(podLabels) ? 1 : 0;
        return _counts.GetValueOrDefault(domain) + self - Least() > _constraint.MaxSkew ? Violated : null;
    }

    /// <summary>Matching pods in the node's domain: fewer is better.</summary>
    public int CountAt(NodeRow node) => node.Labels.TryGetValue(_constraint.TopologyKey, out string? domain) ? _counts.GetValueOrDefault(domain) : int.MaxValue / 4;

    /// <summary>A pod was planned onto a node.</summary>
    public void Placed(NodeRow node, string ns, Dictionary<string, string> labels)
    {
        if (ns == _namespace && node.Labels.TryGetValue(_constraint.TopologyKey, out string? domain) && _counts.TryGetValue(domain, out int count) && _selector.Matches(labels))
            _counts[domain] = count + 1;
    }

    private int Least()
    {
        if (_constraint.MinDomains > _counts.Count)
            return 0;
        int least = int.MaxValue;
        foreach (int count in _counts.Values)
            least = Math.Min(least, count);
        return least == int.MaxValue ? 0 : least;
    }

    private bool Counts(PodSpec spec, NodeRow node) =>
        (_constraint.NodeAffinityPolicy == "Ignore" || NodeMatch.AffinityMatches(spec, node)) &&
        (_constraint.NodeTaintsPolicy != "Honor" || NodeMatch.TaintsTolerated(spec, node));

    private static LabelSelector Selector(TopologySpreadConstraint constraint, Dictionary<string, string> podLabels)
    {
        // No selector matches no pods; matchLabelKeys narrows it to the pod's own revision.
        LabelSelector given = constraint.LabelSelector ?? new LabelSelector { MatchExpressions = [new SelectorRequirement { Key = "", Operator = "Exists" }] };
        if (constraint.MatchLabelKeys is not { Count: > 0 } keys)
            return given;
        var expressions = new List<SelectorRequirement>(given.MatchExpressions ?? []);
        foreach (string key in keys)
            if (podLabels.TryGetValue(key, out string? value))
                expressions.Add(new SelectorRequirement { Key = key, Operator = "In", Values = [value] });
        return new LabelSelector { MatchLabels = given.MatchLabels, MatchExpressions = expressions };
    }
}
