using System.Text;
using System.Text.Json;
using Atoll.Api.Core;
using Atoll.Edge.Content;

namespace Atoll.Edge.Instances;

/// <summary>Credentials for an image's registry from a pod's pull secrets (dockerconfigjson and the older dockercfg).</summary>
internal static class PullSecrets
{
    public static IReadOnlyList<ImageCredential> For(Pod pod, string image, PodReferences references)
    {
        string ns = pod.Metadata.Namespace ?? "";
        var names = new List<string>();
        foreach (LocalObjectReference reference in pod.Spec.ImagePullSecrets ?? references.ServiceAccount(ns, pod.Spec.ServiceAccountName ?? "default")?.ImagePullSecrets ?? [])
            if (!string.IsNullOrEmpty(reference.Name))
                names.Add(reference.Name);
        var found = new List<ImageCredential>();
        string repository = Repository(image);
        foreach (string name in names)
            if (references.SecretData(ns, name) is { } data)
            {
                if (data.TryGetValue(".dockerconfigjson", out byte[]? config))
                    Add(found, config, nested: true, repository);
                else if (data.TryGetValue(".dockercfg", out config))
                    Add(found, config, nested: false, repository);
            }
        return found;
    }

    /// <summary>Registry and path of a reference: <c>nginx:1</c> is <c>docker.io/library/nginx</c>.</summary>
    internal static string Repository(string image)
    {
        string name = image.Split('@', 2)[0];
        int slash = name.IndexOf('/', StringComparison.Ordinal);
        string first = slash < 0 ? "" : name[..slash];
        bool host = first.Contains('.', StringComparison.Ordinal) || first.Contains(':', StringComparison.Ordinal) || first == "localhost";
        int tag = name.LastIndexOf(':');
        if (tag > name.LastIndexOf('/'))
            name = name[..tag];
        return host ? name : slash < 0 ? "docker.io/library/" + name : "docker.io/" + name;
    }

    private static void Add(List<ImageCredential> found, byte[] json, bool nested, string repository)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json);
            JsonElement auths = document.RootElement;
            if (nested && !auths.TryGetProperty("auths", out auths))
                return;
            // The most specific path first, as Kubernetes tries them.
            foreach (JsonProperty entry in auths.EnumerateObject().OrderByDescending(e => e.Name.Length))
                if (Matches(entry.Name, repository) && Credential(entry.Value) is { } credential)
                    found.Add(credential);
        }
        catch (Exception e) when (e is JsonException or InvalidOperationException or FormatException)
        {
            // A malformed secret gives no credential; the registry's refusal is what the user sees.
        }
    }

    private static bool Matches(string key, string repository)
    {
        string name = key.Replace("https://", "", StringComparison.Ordinal).Replace("http://", "", StringComparison.Ordinal).TrimEnd('/');
        if (name is "index.docker.io/v1" or "index.docker.io" or "registry-1.docker.io")
            name = "docker.io";
        foreach (string suffix in (ReadOnlySpan<string>)["/v1", "/v2"])
            if (name.EndsWith(suffix, StringComparison.Ordinal))
                name = name[..^suffix.Length];
        if (name.StartsWith("*.", StringComparison.Ordinal))
            return repository.Split('/', 2)[0].EndsWith(name[1..], StringComparison.Ordinal);
        return repository == name || repository.StartsWith(name + "/", StringComparison.Ordinal);
    }

    private static ImageCredential? Credential(JsonElement entry)
    {
        string user = entry.TryGetProperty("username", out JsonElement u) ? u.GetString() ?? "" : "";
        string password = entry.TryGetProperty("password", out JsonElement p) ? p.GetString() ?? "" : "";
        if (entry.TryGetProperty("auth", out JsonElement auth) && auth.GetString() is { Length: > 0 } text)
        {
            string[] parts = Encoding.UTF8.GetString(Convert.FromBase64String(text)).Split(':', 2);
            if (parts.Length == 2)
                (user, password) = (parts[0], parts[1].TrimEnd('\0'));
        }
        return user.Length == 0 && password.Length == 0 ? null : new ImageCredential(user, password);
    }
}
