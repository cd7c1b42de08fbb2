namespace Atoll.Api.Core;

/// <summary>The full name of an image, the same for every spelling of it. Grammar: github.com/distribution/reference.</summary>
public static class ImageNames
{
    /// <summary><c>registry/repository:tag</c>, or <c>@digest</c> which then decides, with Docker's defaults filled in; what is no name comes back somehow.</summary>
    public static string Canonical(string? image)
    {
        string text = image ?? "", digest = "", tag = "";
        if (text.StartsWith("oci:/", StringComparison.Ordinal))
            return text.LastIndexOf(':') > Math.Max(3, text.LastIndexOf('/')) ? text : text + ":latest";
        if (text.IndexOf('@', StringComparison.Ordinal) is >= 0 and var at)
            (text, digest) = (text[..at], text[at..]);
        if (text.LastIndexOf(':') is var colon && colon > text.LastIndexOf('/'))
            (text, tag) = (text[..colon], text[colon..]);
        int slash = text.IndexOf('/', StringComparison.Ordinal);
        string first = slash > 0 ? text[..slash] : "";
        bool named = first == "localhost" || first.AsSpan().IndexOfAny('.', ':') >= 0;
        string registry = named && first != "index.docker.io" ? first : "docker.io", repository = named ? text[(slash + 1)..] : text;
        if (registry == "docker.io" && !repository.Contains('/', StringComparison.Ordinal))
            repository = "library/" + repository;
        return $"{registry}/{repository}{(digest.Length > 0 ? digest : tag.Length > 0 ? tag : ":latest")}";
    }
}
