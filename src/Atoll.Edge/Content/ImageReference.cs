namespace Atoll.Edge.Content;

/// <summary>
/// The parsed name of an image: <c>[registry/]repository[:tag][@digest]</c> with Docker's defaults, or an OCI layout folder,
/// <c>oci:/path[:tag]</c>. Grammar: github.com/distribution/reference.
/// </summary>
public sealed record ImageReference
{
    private const int MaxLength = 512;
    private const int MaxRepositoryLength = 255;
    private const string LayoutPrefix = "oci:";

    private ImageReference(string registry, string repository, string? tag, string? digest, string? layout) =>
        (Registry, Repository, Tag, Digest, LayoutPath) = (registry, repository, tag, digest, layout);

    /// <summary>Host, with port when it names one; <c>docker.io</c> by default. Empty for a layout.</summary>
    public string Registry { get; }

    /// <summary>Repository, with <c>library/</c> for Docker's own.</summary>
    public string Repository { get; }

    /// <summary>Tag; <c>latest</c> when neither tag nor digest is given.</summary>
    public string? Tag { get; }

    /// <summary>Digest (<c>sha256:…</c>), which then decides and the tag does not.</summary>
    public string? Digest { get; }

    /// <summary>Folder of an OCI layout, or null.</summary>
    public string? LayoutPath { get; }

    /// <summary>The full name, the same for every spelling of one image.</summary>
    public string Canonical => (LayoutPath is not null ? LayoutPrefix + LayoutPath : Registry + "/" + Repository)
        + (Tag is not null && Digest is null ? ":" + Tag : "") + (Digest is not null ? "@" + Digest : "");

    /// <summary>Parses a name; null when it is none.</summary>
    public static ImageReference? Parse(string text)
    {
        if (text.Length is 0 or > MaxLength) return null;
        if (text.StartsWith(LayoutPrefix + "/", StringComparison.Ordinal)) return ParseLayout(text[LayoutPrefix.Length..]);
        string? digest = null, tag = null;
        var at = text.IndexOf('@', StringComparison.Ordinal);
        if (at >= 0)
        {
            digest = text[(at + 1)..];
            text = text[..at];
            if (!IsDigest(digest)) return null;
        }
        var colon = text.LastIndexOf(':');
        if (colon > text.LastIndexOf('/'))
        {
            tag = text[(colon + 1)..];
            text = text[..colon];
            if (!IsTag(tag)) return null;
        }
        var slash = text.IndexOf('/', StringComparison.Ordinal);
        var first = slash > 0 ? text[..slash] : "";
        var named = first.Contains('.', StringComparison.Ordinal) || first.Contains(':', StringComparison.Ordinal) || first == "localhost";
        var registry = named ? first : "docker.io";
        var repository = named ? text[(slash + 1)..] : text;
        if (registry == "index.docker.io") registry = "docker.io";
        if (registry == "docker.io" && !repository.Contains('/', StringComparison.Ordinal)) repository = "library/" + repository;
        if (!IsHost(registry) || repository.Length > MaxRepositoryLength || !repository.Split('/').All(IsComponent)) return null;
        return new ImageReference(registry, repository, tag ?? (digest is null ? "latest" : null), digest, null);
    }

    /// <summary>True for <c>sha256:</c> and 64 hexadecimal digits, the only algorithm that is accepted.</summary>
    public static bool IsDigest(string text) =>
        text.Length == 71 && text.StartsWith("sha256:", StringComparison.Ordinal) && text.AsSpan(7).IndexOfAnyExcept("0123456789abcdef") < 0;

    private static ImageReference? ParseLayout(string text)
    {
        string? digest = null;
        var at = text.LastIndexOf('@');
        if (at > text.LastIndexOf('/'))
        {
            digest = text[(at + 1)..];
            text = text[..at];
            if (!IsDigest(digest)) return null;
        }
        var colon = text.LastIndexOf(':');
        string? tag = null;
        if (colon > text.LastIndexOf('/'))
        {
            tag = text[(colon + 1)..];
            text = text[..colon];
            if (!IsTag(tag)) return null;
        }
        var path = Path.TrimEndingDirectorySeparator(text);
        if (path.Length < 2 || path.Split('/').Contains("..")) return null;
        return new ImageReference("", "", tag ?? (digest is null ? "latest" : null), digest, path);
    }

    private static bool IsTag(string tag) =>
        tag.Length is > 0 and <= 128 && (char.IsAsciiLetterOrDigit(tag[0]) || tag[0] == '_') && tag.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '.' or '-');

    private static bool IsHost(string host)
    {
        var colon = host.LastIndexOf(':');
        var bracket = host.StartsWith('[') ? host.IndexOf(']', StringComparison.Ordinal) : -1;
        if (bracket > 0) return (colon < bracket || IsPort(host[(colon + 1)..])) && host[1..bracket].All(c => char.IsAsciiHexDigit(c) || c is ':' or '.');
        if (colon >= 0 && !IsPort(host[(colon + 1)..])) return false;
        var name = colon >= 0 ? host[..colon] : host;
        return name.Length > 0 && name.Split('.').All(l => l.Length > 0 && l[0] != '-' && l[^1] != '-' && l.All(c => char.IsAsciiLetterOrDigit(c) || c == '-'));
    }

    private static bool IsPort(string text) => ushort.TryParse(text, System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out _);

    /// <summary>Lower-case letters and digits, parted by one dot, one or two underscores, or hyphens.</summary>
    private static bool IsComponent(string part)
    {
        if (part.Length == 0 || !char.IsAsciiLetterOrDigit(part[0]) || !char.IsAsciiLetterOrDigit(part[^1])) return false;
        for (var i = 0; i < part.Length; i++)
        {
            var c = part[i];
            if (c is (>= 'a' and <= 'z') or (>= '0' and <= '9') or '-') continue;
            if (c is not ('.' or '_')) return false;
            var run = 1;
            while (part[i + 1] is '.' or '_' or '-' && part[i + 1] != '\0')
            {
                if (part[i + 1] != c) return false;
                i++;
                run++;
            }
            if (c == '.' ? run > 1 : run > 2) return false;
        }
        return true;
    }
}
