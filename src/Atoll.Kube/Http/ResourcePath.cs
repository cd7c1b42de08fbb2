using Atoll.Api.Objects;

namespace Atoll.Kube.Http;

/// <summary>What a path below /api or /apis names.</summary>
internal readonly record struct ResourcePath(ResourceType Type, string? Namespace, string? Name, string? Subresource)
{
    /// <summary>Reads a path such as <c>/apis/apps/v1/namespaces/default/deployments/web/scale</c>; false when nothing of the kind is served.</summary>
    public static bool TryParse(string path, out ResourcePath result)
    {
        result = default;
        string[] parts = path.Split('/');
        int at;
        string group, version;
        if (parts.Length >= 4 && parts[1] == "api")
        {
            (group, version, at) = ("", parts[2], 3);
        }
        else if (parts.Length >= 5 && parts[1] == "apis")
        {
            (group, version, at) = (parts[2], parts[3], 4);
        }
        else
        {
            return false;
        }
        ReadOnlySpan<string> rest = parts.AsSpan(at);
        if (rest.Length > 1 && rest[^1].Length == 0)
            rest = rest[..^1];
        foreach (string part in rest)
            if (part.Length == 0)
                return false;
        string? ns = null;
        // namespaces/a/pods is a pod list; namespaces/a, namespaces/a/status and .../finalize are the namespace itself.
        if (rest.Length >= 3 && rest[0] == "namespaces" && !(rest.Length == 3 && Kinds.Namespace.Has(rest[2])))
        {
            ns = Uri.UnescapeDataString(rest[1]);
            rest = rest[2..];
        }
        if (rest.Length is 0 or > 3 || Kinds.Find(group, version, rest[0]) is not { } type)
            return false;
        string? name = rest.Length > 1 ? Uri.UnescapeDataString(rest[1]) : null, subresource = rest.Length > 2 ? rest[2] : null;
        if (type.Namespaced ? ns is null && name is not null : ns is not null)
            return false;
        if (subresource is not null && !type.Has(subresource))
            return false;
        result = new ResourcePath(type, ns, name, subresource);
        return true;
    }
}
