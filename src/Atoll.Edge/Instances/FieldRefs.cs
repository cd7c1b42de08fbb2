using System.Globalization;
using System.Text;
using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Edge.Instances;

/// <summary>Node facts that downward references read.</summary>
internal sealed record NodeFacts(string NodeName, string HostIp, long AllocatableCpuMilli, long AllocatableMemoryBytes)
{
    /// <summary>What the node is made of.</summary>
    public NodeEdge? Parts { get; init; }
}

/// <summary>The downward API: fields of the pod and resources of its containers as text.</summary>
internal static class FieldRefs
{
    public static string Field(Pod pod, string path, NodeFacts node, IReadOnlyList<string> addresses)
    {
        ArgumentNullException.ThrowIfNull(path);
        switch (path)
        {
            case "metadata.name": return pod.Metadata.Name ?? "";
            case "metadata.namespace": return pod.Metadata.Namespace ?? "";
            case "metadata.uid": return pod.Metadata.Uid ?? "";
            case "metadata.labels": return Format(pod.Metadata.Labels);
            case "metadata.annotations": return Format(pod.Metadata.Annotations);
            case "spec.nodeName": return node.NodeName;
            case "spec.serviceAccountName": return pod.Spec.ServiceAccountName ?? "default";
            case "spec.hostname": return pod.Spec.Hostname ?? pod.Metadata.Name ?? "";
            case "spec.restartPolicy": return pod.Spec.RestartPolicy ?? "Always";
            case "status.hostIP":
            case "status.hostIPs": return node.HostIp;
            case "status.podIP": return addresses.Count > 0 ? addresses[0] : "";
            case "status.podIPs": return string.Join(',', addresses);
        }
        if (Subscript(path, "metadata.labels") is { } label)
            return pod.Metadata.Label(label) ?? "";
        if (Subscript(path, "metadata.annotations") is { } annotation)
            return pod.Metadata.Annotation(annotation) ?? "";
        throw new UnresolvedException($"unsupported fieldPath: {path}");
    }

    public static string Resource(PodSpec spec, Container self, ResourceFieldSelector selector, NodeFacts node)
    {
        Container? container = string.IsNullOrEmpty(selector.ContainerName)
            ? self
            : spec.Containers.Find(c => c.Name == selector.ContainerName) ?? spec.InitContainers?.Find(c => c.Name == selector.ContainerName);
        if (container is null)
            throw new UnresolvedException($"container {selector.ContainerName} not found");
        string[] parts = selector.Resource.Split('.', 2);
        if (parts.Length != 2 || parts[0] is not ("limits" or "requests"))
            throw new UnresolvedException($"Unsupported container resource : {selector.Resource}");
        Quantity value = parts[0] == "limits" ? PodResources.Limit(container, parts[1]) : PodResources.Request(container, parts[1]);
        if (parts[0] == "limits" && value == Quantity.Zero)
            value = parts[1] switch
            {
                "cpu" => Quantity.FromMilli(node.AllocatableCpuMilli),
                "memory" => Quantity.FromValue(node.AllocatableMemoryBytes),
                _ => Quantity.Zero,
            };
        Quantity divisor = Quantity.Parse(selector.Divisor) is { } given && given > Quantity.Zero ? given : Quantity.FromValue(1);
        long result = parts[1] == "cpu"
            ? (value.Milli + divisor.Milli - 1) / divisor.Milli
            : (value.Value + divisor.Value - 1) / Math.Max(1, divisor.Value);
        return result.ToString(CultureInfo.InvariantCulture);
    }

    private static string? Subscript(string path, string map) =>
        path.Length > map.Length + 4 && path.StartsWith(map, StringComparison.Ordinal) && path.AsSpan(map.Length).StartsWith("['") && path.EndsWith("']", StringComparison.Ordinal)
            ? path[(map.Length + 2)..^2]
            : null;

    /// <summary>Labels or annotations as lines <c>key="value"</c>, sorted, quoted as Go quotes.</summary>
    private static string Format(Dictionary<string, string>? map)
    {
        var text = new StringBuilder();
        foreach (KeyValuePair<string, string> pair in (map ?? []).OrderBy(p => p.Key, StringComparer.Ordinal))
        {
            if (text.Length > 0)
                text.Append('\n');
            text.Append(pair.Key).Append("=\"");
            foreach (char c in pair.Value)
                _ = c switch
                {
                    '"' => text.Append("\\\""),
                    '\\' => text.Append("\\\\"),
                    '\n' => text.Append("\\n"),
                    '\r' => text.Append("\\r"),
                    '\t' => text.Append("\\t"),
                    < ' ' => text.Append(CultureInfo.InvariantCulture, $"\\x{(int)c:x2}"),
                    _ => text.Append(c),
                };
            text.Append('"');
        }
        return text.ToString();
    }
}
