using Microsoft.AspNetCore.Http;

namespace Atoll.Kube.Http;

/// <summary>Form in which a client wants objects.</summary>
internal enum ObjectForm
{
    /// <summary>Whole documents.</summary>
    Whole,

    /// <summary>meta.k8s.io Table.</summary>
    Table,

    /// <summary>Metadata only.</summary>
    Metadata,
}

/// <summary>What the Accept header asks for: the first of its forms that the server can write.</summary>
internal readonly record struct Accepts(bool Possible, ObjectForm Form, string FormVersion)
{
    /// <summary>Reads the header; none means plain JSON.</summary>
    public static Accepts Read(HttpRequest request)
    {
        string? header = request.Headers.Accept;
        if (string.IsNullOrWhiteSpace(header))
            return new Accepts(true, ObjectForm.Whole, "v1");
        foreach (string range in header.Split(','))
            if (TryRange(range, out Accepts accepts))
                return accepts;
        return default;
    }

    private static bool TryRange(string range, out Accepts accepts)
    {
        accepts = default;
        string[] parts = range.Split(';');
        if (parts[0].Trim() is not ("application/json" or "*/*" or "application/*"))
            return false;
        string? form = Parameter(parts, "as");
        string version = Parameter(parts, "v") ?? "v1";
        switch (form)
        {
            case null:
                accepts = new Accepts(true, ObjectForm.Whole, "v1");
                return true;
            case "Table":
                accepts = new Accepts(true, ObjectForm.Table, version);
                return version is "v1" or "v1beta1";
            case "PartialObjectMetadata" or "PartialObjectMetadataList":
                accepts = new Accepts(true, ObjectForm.Metadata, version);
                return version is "v1" or "v1beta1";
            default:
                return false;
        }
    }

    /// <summary>The value of a media type's parameter, or null.</summary>
    public static string? Parameter(ReadOnlySpan<string> parts, string name)
    {
        foreach (string part in parts)
        {
            string text = part.Trim();
            if (text.Length > name.Length && text[name.Length] == '=' && text.StartsWith(name, StringComparison.Ordinal))
                return text[(name.Length + 1)..].Trim('"');
        }
        return null;
    }
}
