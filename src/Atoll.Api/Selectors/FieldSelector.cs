using System.Text;

namespace Atoll.Api.Selectors;

/// <summary>
/// Field selectors as text: <c>status.phase=Running,spec.nodeName!=a</c>; a backslash escapes comma, equals sign and
/// backslash in values. Which fields exist is up to the resource.
/// </summary>
public sealed class FieldSelector
{
    /// <summary>What must hold, all of it.</summary>
    public IReadOnlyList<FieldRequirement> Requirements { get; private init; } = [];

    /// <summary>Reads a selector; an empty text selects everything. False with the reason otherwise.</summary>
    public static bool TryParse(string? text, out FieldSelector selector, out string? error)
    {
        selector = new FieldSelector();
        error = null;
        if (string.IsNullOrEmpty(text))
            return true;
        var requirements = new List<FieldRequirement>();
        int start = 0;
        for (int i = 0; i <= text.Length; i++)
        {
            if (i < text.Length && text[i] == '\\')
            {
                i++;
                continue;
            }
            if (i < text.Length && text[i] != ',')
                continue;
            string term = text[start..Math.Min(i, text.Length)];
            start = i + 1;
            if (term.Length == 0)
                continue;
            if (!TryTerm(term, out FieldRequirement requirement))
            {
                error = $"invalid field selector: '{term}'; can't understand '{term}'";
                return false;
            }
            requirements.Add(requirement);
        }
        selector = new FieldSelector { Requirements = requirements };
        return true;
    }

    /// <summary>The value that a field must equal, or null when the selector does not say.</summary>
    public string? RequiredValue(string field)
    {
        for (int i = 0; i < Requirements.Count; i++)
            if (!Requirements[i].Negated && Requirements[i].Field == field)
                return Requirements[i].Value;
        return null;
    }

    private static bool TryTerm(string term, out FieldRequirement requirement)
    {
        requirement = default;
        int at = term.IndexOf('=', StringComparison.Ordinal);
        if (at <= 0)
            return false;
        bool negated = term[at - 1] == '!';
        string field = term[..(negated ? at - 1 : at)];
        int value = at + 1 < term.Length && term[at + 1] == '=' && !negated ? at + 2 : at + 1;
        requirement = new FieldRequirement(field, Unescape(term[value..]), negated);
        return field.Length > 0;
    }

    private static string Unescape(string value)
    {
        if (!value.Contains('\\', StringComparison.Ordinal))
            return value;
        var result = new StringBuilder(value.Length);
        for (int i = 0; i < value.Length; i++)
            result.Append(value[i] == '\\' && i + 1 < value.Length ? value[++i] : value[i]);
        return result.ToString();
    }
}

/// <summary>One field that must (or, negated, must not) equal a value.</summary>
public readonly record struct FieldRequirement(string Field, string Value, bool Negated);
