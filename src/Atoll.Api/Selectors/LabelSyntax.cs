namespace Atoll.Api.Selectors;

/// <summary>What label keys and values may look like. Source: Kubernetes documentation, "Labels and Selectors", syntax.</summary>
public static class LabelSyntax
{
    /// <summary>Why a text is no label key, or null.</summary>
    public static string? KeyError(string key)
    {
        ArgumentNullException.ThrowIfNull(key);
        int slash = key.IndexOf('/', StringComparison.Ordinal);
        string name = slash < 0 ? key : key[(slash + 1)..];
        bool good = name.Length is > 0 and <= 63 && IsName(name) && (slash < 0 || IsSubdomain(key[..slash]));
        return good ? null : $"key '{key}' is not valid: an optional DNS subdomain and '/', then at most 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit";
    }

    /// <summary>Why a text is no label value, or null.</summary>
    public static string? ValueError(string value)
    {
        ArgumentNullException.ThrowIfNull(value);
        return value.Length == 0 || (value.Length <= 63 && IsName(value))
            ? null
            : $"value '{value}' is not valid: at most 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit";
    }

    /// <summary>True for a DNS subdomain (RFC 1123, lower case, at most 253 characters).</summary>
    public static bool IsSubdomain(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length is 0 or > 253)
            return false;
        bool edge = true; // The next character must be a letter or digit.
        for (int i = 0; i < text.Length; i++)
        {
            char c = text[i];
            bool alphanumeric = c is >= 'a' and <= 'z' || char.IsAsciiDigit(c);
            if (!alphanumeric && (edge || c is not ('-' or '.')))
                return false;
            if (c == '.' && text[i - 1] == '-')
                return false;
            edge = c == '.';
        }
        return text[^1] is not ('-' or '.');
    }

    private static bool IsName(string text)
    {
        foreach (char c in text)
            if (!char.IsAsciiLetterOrDigit(c) && c is not ('-' or '_' or '.'))
                return false;
        return char.IsAsciiLetterOrDigit(text[0]) && char.IsAsciiLetterOrDigit(text[^1]);
    }
}
