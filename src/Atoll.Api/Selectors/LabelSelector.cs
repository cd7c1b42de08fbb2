namespace Atoll.Api.Selectors;

/// <summary>metav1.LabelSelector: all of <see cref="MatchLabels"/> and all of <see cref="MatchExpressions"/>.</summary>
public sealed class LabelSelector
{
    /// <summary>Labels that must be equal.</summary>
    public Dictionary<string, string>? MatchLabels { get; set; }

    /// <summary>Requirements that must hold.</summary>
    public List<SelectorRequirement>? MatchExpressions { get; set; }

    /// <summary>True when it selects everything.</summary>
    public bool IsEmpty => (MatchLabels is null || MatchLabels.Count == 0) && (MatchExpressions is null || MatchExpressions.Count == 0);

    /// <summary>True when the labels satisfy the selector. An empty selector matches everything.</summary>
    public bool Matches(IReadOnlyDictionary<string, string>? labels)
    {
        if (MatchLabels is not null)
            foreach (KeyValuePair<string, string> wanted in MatchLabels)
                if (labels is null || !labels.TryGetValue(wanted.Key, out string? value) || value != wanted.Value)
                    return false;
        if (MatchExpressions is not null)
            foreach (SelectorRequirement requirement in MatchExpressions)
                if (!requirement.Matches(labels))
                    return false;
        return true;
    }
}

/// <summary>One requirement: key, operator (In, NotIn, Exists, DoesNotExist, and for nodes Gt, Lt), values.</summary>
public sealed class SelectorRequirement
{
    /// <summary>Label (or field) key.</summary>
    public string Key { get; set; } = "";

    /// <summary>In, NotIn, Exists, DoesNotExist, Gt or Lt.</summary>
    public string Operator { get; set; } = "";

    /// <summary>Values of In and NotIn; one integer for Gt and Lt.</summary>
    public List<string>? Values { get; set; }

    /// <summary>True when the labels satisfy the requirement; an unknown operator matches nothing.</summary>
    public bool Matches(IReadOnlyDictionary<string, string>? labels)
    {
        string? value = null;
        bool present = labels is not null && labels.TryGetValue(Key, out value);
        return Operator switch
        {
            "In" => present && Values is not null && Values.Contains(value!),
            "NotIn" => !present || Values is null || !Values.Contains(value!),
            "Exists" => present,
            "DoesNotExist" => !present,
            "Gt" => present && Compare(value!, out int order) && order > 0,
            "Lt" => present && Compare(value!, out int order) && order < 0,
            _ => false,
        };
    }

    private bool Compare(string value, out int order)
    {
        order = 0;
        if (Values is not { Count: 1 } || !long.TryParse(value, out long left) || !long.TryParse(Values[0], out long right))
            return false;
        order = left.CompareTo(right);
        return true;
    }
}
