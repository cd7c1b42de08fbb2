using System.Text;
using Atoll.Api.Core;

namespace Atoll.Edge.Instances;

/// <summary>A container's environment from literals, config maps, secrets and the downward API; and $(VAR) expansion.</summary>
internal static class EnvironmentResolver
{
    public static Dictionary<string, string> Resolve(Pod pod, Container container, PodReferences references, NodeFacts node, IReadOnlyList<string> addresses)
    {
        string ns = pod.Metadata.Namespace ?? "";
        var result = new Dictionary<string, string>(StringComparer.Ordinal);
        foreach (EnvFromSource from in container.EnvFrom ?? [])
            AddAll(result, ns, from, references);
        foreach (EnvVar env in container.Env ?? [])
        {
            string? value = env.ValueFrom is null
                ? Expand(env.Value ?? "", result)
                : FromSource(pod, container, env.ValueFrom, ns, references, node, addresses);
            if (value is not null)
                result[env.Name] = value;
        }
        return result;
    }

    private static void AddAll(Dictionary<string, string> result, string ns, EnvFromSource from, PodReferences references)
    {
        (OptionalReference? reference, bool secret) = from.ConfigMapRef is not null ? (from.ConfigMapRef, false) : (from.SecretRef, true);
        if (reference is null)
            return;
        string name = reference.Name ?? "";
        Dictionary<string, byte[]>? data = secret ? references.SecretData(ns, name) : references.ConfigMapData(ns, name);
        if (data is null)
        {
            if (reference.Optional == true)
                return;
            throw new UnresolvedException($"{(secret ? "secret" : "configmap")} \"{name}\" not found");
        }
        // Binary data of a config map is no environment; only its text is.
        Dictionary<string, string>? text = secret ? null : references.ConfigMap(ns, name)!.Data;
        foreach (KeyValuePair<string, byte[]> pair in data)
            if (secret || (text is not null && text.ContainsKey(pair.Key)))
                result[(from.Prefix ?? "") + pair.Key] = Encoding.UTF8.GetString(pair.Value);
    }

    private static string? FromSource(Pod pod, Container container, EnvVarSource source, string ns, PodReferences references, NodeFacts node, IReadOnlyList<string> addresses)
    {
        if (source.FieldRef is { } field)
            return FieldRefs.Field(pod, field.FieldPath, node, addresses);
        if (source.ResourceFieldRef is { } resource)
            return FieldRefs.Resource(pod.Spec, container, resource, node);
        if (source.ConfigMapKeyRef is { } map)
            return Key(references.ConfigMapData(ns, map.Name ?? ""), map, "configmap", "ConfigMap", ns);
        if (source.SecretKeyRef is { } secret)
            return Key(references.SecretData(ns, secret.Name ?? ""), secret, "secret", "Secret", ns);
        return "";
    }

    private static string? Key(Dictionary<string, byte[]>? data, KeySelector selector, string lower, string kind, string ns)
    {
        if (data is not null && data.TryGetValue(selector.Key, out byte[]? value))
            return Encoding.UTF8.GetString(value);
        if (selector.Optional == true)
            return null;
        throw new UnresolvedException(data is null ? $"{lower} \"{selector.Name}\" not found" : $"couldn't find key {selector.Key} in {kind} {ns}/{selector.Name}");
    }

    /// <summary>Kubernetes' expansion: <c>$(NAME)</c> of a known name is its value, <c>$$</c> is <c>$</c>, all else stays.</summary>
    public static string Expand(string text, IReadOnlyDictionary<string, string> values)
    {
        if (!text.Contains('$', StringComparison.Ordinal))
            return text;
        var result = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] != '$' || i + 1 == text.Length)
            {
                result.Append(text[i]);
                continue;
            }
            int end;
            if (text[i + 1] == '$')
            {
                result.Append('$');
                i++;
            }
            else if (text[i + 1] == '(' && (end = text.IndexOf(')', i + 2)) > 0)
            {
                string name = text[(i + 2)..end];
                result.Append(values.TryGetValue(name, out string? value) ? value : text[i..(end + 1)]);
                i = end;
            }
            else
                result.Append('$');
        }
        return result.ToString();
    }
}
