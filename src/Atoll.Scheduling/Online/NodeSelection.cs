using Atoll.Api.Core;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>
/// A pod's nodeSelector and required node affinity over one snapshot, made ready to be asked about every row: each
/// requirement is tried once for each value that its label has in the fleet, and a selector that names values starts from
/// the rows of those values instead of all.
/// </summary>
internal sealed class NodeSelection
{
    private readonly Snapshot _snapshot;
    private readonly Term? _selector;
    private readonly List<Term>? _terms;

    public NodeSelection(PodSpec spec, Snapshot snapshot)
    {
        _snapshot = snapshot;
        if (spec.NodeSelector is { Count: > 0 } selector)
        {
            var all = new NodeSelectorTerm { MatchExpressions = [] };
            foreach (KeyValuePair<string, string> wanted in selector)
                all.MatchExpressions.Add(new SelectorRequirement { Key = wanted.Key, Operator = "In", Values = [wanted.Value] });
            _selector = new Term(all, snapshot);
        }
        if (spec.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution is { } required)
            _terms = (required.NodeSelectorTerms ?? []).ConvertAll(t => new Term(t, snapshot));
    }

    /// <summary>True when the pod says nothing.</summary>
    public bool IsEmpty => _selector is null && _terms is null;

    /// <summary>True when every term names its nodes: the others are then not looked at at all.</summary>
    public bool NamesNodes => _terms is { Count: > 0 } && _terms.TrueForAll(t => t.NamesNodes);

    /// <summary>True when a term names the row, or terms do not name nodes.</summary>
    public bool Names(int row) => !NamesNodes || _terms!.Exists(t => t.Names(row));

    public bool Matches(int row)
    {
        if (_selector?.Matches(row) == false)
            return false;
        if (_terms is null)
            return true;
        foreach (Term term in _terms)
            if (term.Matches(row))
                return true;
        return false;
    }

    /// <summary>Rows among which all that match are, ascending; null when it may be any.</summary>
    public int[]? Narrowed()
    {
        int[]? best = _selector?.Narrowed();
        if (_terms is null)
            return best;
        var union = new SortedSet<int>();
        foreach (Term term in _terms)
        {
            if (term.Narrowed() is not { } rows)
                return best;
            union.UnionWith(rows);
        }
        return best is null || union.Count < best.Length ? [.. union] : best;
    }

    /// <summary>One term: every requirement holds; no requirement, no match.</summary>
    internal sealed class Term
    {
        private readonly Snapshot _snapshot;
        private readonly List<Check> _checks = [];
        private readonly List<SelectorRequirement> _fields;

        public Term(NodeSelectorTerm term, Snapshot snapshot)
        {
            _snapshot = snapshot;
            _fields = term.MatchFields ?? [];
            foreach (SelectorRequirement requirement in term.MatchExpressions ?? [])
                _checks.Add(new Check(requirement, snapshot));
        }

        public bool NamesNodes => _fields.Exists(f => f.Key == "metadata.name" && f.Operator == "In");

        public bool Matches(int row)
        {
            if (_checks.Count + _fields.Count == 0)
                return false;
            foreach (Check check in _checks)
                if (!check.Matches(row))
                    return false;
            foreach (SelectorRequirement field in _fields)
                if (!FieldMatches(field, row))
                    return false;
            return true;
        }

        public bool Names(int row)
        {
            foreach (SelectorRequirement field in _fields)
                if (field.Operator == "In" && !FieldMatches(field, row))
                    return false;
            return true;
        }

        public int[]? Narrowed()
        {
            if (_fields.Find(f => f.Key == "metadata.name" && f.Operator == "In") is { } named)
            {
                int[] rows = [.. (named.Values ?? []).Select(_snapshot.RowOf).Where(r => r >= 0).Distinct()];
                Array.Sort(rows);
                return rows;
            }
            int[]? best = null;
            foreach (Check check in _checks)
                if (check.Narrowed() is { } rows && (best is null || rows.Length < best.Length))
                    best = rows;
            return best;
        }

        private bool FieldMatches(SelectorRequirement field, int row) =>
            field.Key == "metadata.name" && (field.Operator is "In" or "NotIn")
            && (field.Values?.Contains(_snapshot.Nodes[row]!.Name) == true) == (field.Operator == "In");
    }

    private sealed class Check
    {
        private const byte Yes = 1, No = 2;

        private readonly Snapshot _snapshot;
        private readonly SelectorRequirement _requirement;
        private readonly LabelColumn? _column;
        private readonly byte[] _verdicts;

        public Check(SelectorRequirement requirement, Snapshot snapshot)
        {
            _snapshot = snapshot;
            _requirement = requirement;
            _column = snapshot.Labels.Find(requirement.Key);
            _verdicts = new byte[_column?.Count ?? 1];
        }

        public bool Matches(int row)
        {
            int value = _column?[row] ?? 0;
            if (_verdicts[value] == 0)
                _verdicts[value] = _requirement.Matches(value == 0 ? null : new Dictionary<string, string> { [_requirement.Key] = _column!.NameOf(value) }) ? Yes : No;
            return _verdicts[value] == Yes;
        }

        public int[]? Narrowed()
        {
            if (_requirement.Operator != "In" || _requirement.Values is null)
                return null;
            if (_column is null)
                return [];
            var lists = new List<int[]>();
            foreach (string value in _requirement.Values.Distinct(StringComparer.Ordinal))
                if (_column.Find(value) is > 0 and int id)
                    lists.Add(_column.RowsOf(id, _snapshot.Rows));
            if (lists.Count == 1)
                return lists[0];
            int[] rows = [.. lists.SelectMany(l => l)];
            Array.Sort(rows);
            return rows;
        }
    }
}
