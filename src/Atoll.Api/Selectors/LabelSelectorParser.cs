namespace Atoll.Api.Selectors;

/// <summary>
/// Label selectors as text: <c>a=b,c!=d,e in (f,g),h notin (i),j,!k,l&gt;1</c>. Source: Kubernetes documentation,
/// "Labels and Selectors".
/// </summary>
public static class LabelSelectorParser
{
    /// <summary>Longest selector read, characters.</summary>
    public const int MaxLength = 65_536;

    /// <summary>Reads a selector; an empty text selects everything. False with the reason otherwise.</summary>
    public static bool TryParse(string? text, out LabelSelector selector, out string? error)
    {
        selector = new LabelSelector();
        error = null;
        if (string.IsNullOrWhiteSpace(text))
            return true;
        if (text.Length > MaxLength)
        {
            error = $"a selector may have at most {MaxLength} characters";
            return false;
        }
        var requirements = new List<SelectorRequirement>();
        var lexer = new Lexer(text);
        do
        {
            SelectorRequirement? requirement = ReadRequirement(ref lexer, out error);
            if (requirement is null)
            {
                error = $"unable to parse requirement: {error}";
                return false;
            }
            requirements.Add(requirement);
        }
        while (lexer.Take(","));
        if (!lexer.AtEnd)
        {
            error = $"unable to parse requirement: found '{lexer.Rest}', expected: ',' or the end";
            return false;
        }
        selector.MatchExpressions = requirements;
        return true;
    }

    private static SelectorRequirement? ReadRequirement(ref Lexer lexer, out string? error)
    {
        bool absent = lexer.Take("!");
        string key = lexer.Word();
        error = LabelSyntax.KeyError(key);
        if (error is not null)
            return null;
        if (absent || lexer.AtEnd || lexer.Peek == ',')
            return new SelectorRequirement { Key = key, Operator = absent ? "DoesNotExist" : "Exists" };
        if (lexer.Take("!="))
            return One(key, "NotIn", lexer.Word(), out error);
        if (lexer.Take("==") || lexer.Take("="))
            return One(key, "In", lexer.Word(), out error);
        if (lexer.Peek is '>' or '<')
        {
            string op = lexer.Take(">") ? "Gt" : lexer.Take("<") ? "Lt" : "";
            string number = lexer.Word();
            if (!long.TryParse(number, out _))
            {
                error = $"for '>' and '<' the value must be an integer, found '{number}'";
                return null;
            }
            return new SelectorRequirement { Key = key, Operator = op, Values = [number] };
        }
        string word = lexer.Word();
        if (word is not ("in" or "notin"))
        {
            error = $"found '{(word.Length > 0 ? word : lexer.Rest)}', expected: in, notin, =, ==, !=, >, <";
            return null;
        }
        return ReadSet(key, word == "in" ? "In" : "NotIn", ref lexer, out error);
    }

    private static SelectorRequirement? ReadSet(string key, string op, ref Lexer lexer, out string? error)
    {
        error = null;
        if (!lexer.Take("("))
        {
            error = $"found '{lexer.Rest}', expected: '('";
            return null;
        }
        var values = new List<string>();
        do
        {
            string value = lexer.Word();
            error = LabelSyntax.ValueError(value);
            if (error is not null)
                return null;
            values.Add(value);
        }
        while (lexer.Take(","));
        if (!lexer.Take(")"))
        {
            error = $"found '{lexer.Rest}', expected: ',' or ')'";
            return null;
        }
        return new SelectorRequirement { Key = key, Operator = op, Values = values };
    }

    private static SelectorRequirement? One(string key, string op, string value, out string? error)
    {
        error = LabelSyntax.ValueError(value);
        return error is null ? new SelectorRequirement { Key = key, Operator = op, Values = [value] } : null;
    }

    private ref struct Lexer(string text)
    {
        private int _at;

        public bool AtEnd { get { Skip(); return _at >= text.Length; } }

        public char Peek { get { Skip(); return _at < text.Length ? text[_at] : '\0'; } }

        public readonly string Rest => text[_at..];

        public bool Take(string symbol)
        {
            Skip();
            if (string.CompareOrdinal(text, _at, symbol, 0, symbol.Length) != 0)
                return false;
            _at += symbol.Length;
            return true;
        }

        public string Word()
        {
            Skip();
            int start = _at;
            while (_at < text.Length && !char.IsWhiteSpace(text[_at]) && !"!=<>(),".Contains(text[_at], StringComparison.Ordinal))
                _at++;
            return text[start.._at];
        }

        private void Skip()
        {
            while (_at < text.Length && char.IsWhiteSpace(text[_at]))
                _at++;
        }
    }
}
