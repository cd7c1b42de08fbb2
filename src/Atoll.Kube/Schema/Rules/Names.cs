using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>What names may look like, with the messages of apimachinery util/validation. Each returns why not, or null.</summary>
internal static class Names
{
    public const string SubdomainMessage = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    private const string LabelMessage = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
    private const string Label1035Message = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";

    public static string? Subdomain(string text) => text.Length > 253 ? "must be no more than 253 bytes" : LabelSyntax.IsSubdomain(text) ? null : SubdomainMessage;

    public static string? Label(string text) => text.Length > 63 ? "must be no more than 63 bytes" : IsLabel(text) ? null : LabelMessage;

    public static string? Label1035(string text) => text.Length > 63 ? "must be no more than 63 bytes" : IsLabel(text) && char.IsAsciiLetterLower(text[0]) ? null : Label1035Message;

    /// <summary>The name of a port: an IANA service name.</summary>
    public static string? Port(string text)
    {
        if (text.Length > 15)
            return "must be no more than 15 characters";
        bool letter = false;
        foreach (char c in text)
        {
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c != '-')
                return "must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)";
            letter |= char.IsAsciiLetterLower(c);
        }
        if (!letter)
            return "must contain at least one letter (a-z)";
        if (text.Contains("--", StringComparison.Ordinal))
            return "must not contain consecutive hyphens";
        return text[0] == '-' || text[^1] == '-' ? "must not begin or end with a hyphen" : null;
    }

    /// <summary>The name of an environment variable: printable ASCII without '='.</summary>
    public static string? Environment(string text)
    {
        foreach (char c in text)
            if (c is < ' ' or > '~' or '=')
                return "a valid environment variable name must consist only of printable ASCII characters other than '='";
        return null;
    }

    /// <summary>A key of a ConfigMap or Secret.</summary>
    public static string? ConfigKey(string text)
    {
        if (text.Length > 253)
            return "must be no more than 253 bytes";
        if (text is ".")
            return "must not be '.'";
        if (text is ".." || text.StartsWith("..", StringComparison.Ordinal))
            return text is ".." ? "must not be '..'" : "must not start with '..'";
        bool good = text.Length > 0;
        foreach (char c in text)
            good &= char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.';
        return good ? null : "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
    }

    private static bool IsLabel(string text)
    {
        foreach (char c in text)
            if (!char.IsAsciiLetterLower(c) && !char.IsAsciiDigit(c) && c != '-')
                return false;
        return text.Length > 0 && text[0] != '-' && text[^1] != '-';
    }
}
