using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;
using Atoll.Edge.Devices;

namespace Atoll.Edge.Instances;

/// <summary>Whether this node takes a pod that was bound to it. Pure. The words are the kubelet's.</summary>
internal static class Admission
{
    /// <summary>
    /// Null reason is yes. <paramref name="others"/> are the pods that this node has taken and not ended, <paramref name="handler"/>
    /// is that of the pod's RuntimeClass, null without one.
    /// </summary>
    public static (string? Reason, string? Message) Decide(Pod pod, Node? node, IReadOnlyList<Pod> others, IReadOnlyDictionary<string, Quantity> allocatable, IReadOnlyList<string> runtimeHandlers, string? handler)
    {
        if (Unsupported(pod.Spec) is { } field)
            return ("UnsupportedField", field);
        if (handler is not null && !runtimeHandlers.Contains(handler))
            return ("RuntimeHandlerNotSupported", $"RuntimeClass \"{pod.Spec.RuntimeClassName}\" needs the runtime \"{handler}\", which this node does not offer (it offers {string.Join(", ", runtimeHandlers)})");
        if (node is not null && !MatchesNode(pod.Spec, node))
            return ("NodeAffinity", "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector");
        if (Resources(pod, others, allocatable) is { } lack)
            return lack;
        if (PortConflict(pod.Spec, others))
            return ("NodePorts", "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports");
        return default;
    }

    private static (string?, string?)? Resources(Pod pod, IReadOnlyList<Pod> others, IReadOnlyDictionary<string, Quantity> allocatable)
    {
        if (allocatable.TryGetValue("pods", out Quantity pods) && others.Count + 1 > pods.Value)
            return ("OutOfpods", Text("pods", 1, others.Count, pods.Value));
        if (others.Count > 0 && (IsWhole(pod) || others.Any(IsWhole)))
            return ("NodeNotEmpty", IsWhole(pod) ? "The pod takes a whole node, and other pods run here" : "A pod that takes the whole node runs here");
        foreach (string name in PodResources.Names(pod.Spec))
        {
            Quantity wanted = Wanted(pod, name);
            // Normalised cores are counted as cores; what the site has as a whole is its parent's to count.
            if (wanted == Quantity.Zero || name == WellKnown.Compute || name.StartsWith(WellKnown.SiteResourcePrefix, StringComparison.Ordinal))
                continue;
            Quantity capacity = allocatable.GetValueOrDefault(name), used = Quantity.Zero;
            foreach (Pod other in others)
                used += Wanted(other, name);
            if (used + wanted > capacity)
                return ($"OutOf{name}", name == "cpu" ? Text(name, wanted.Milli, used.Milli, capacity.Milli) : Text(name, wanted.Value, used.Value, capacity.Value));
        }
        return null;
    }

    private static Quantity Wanted(Pod pod, string name) => name == "cpu" ? GivenParts.Cores(pod) : PodResources.PodRequest(pod.Spec, name);

    private static bool IsWhole(Pod pod) => pod.Spec.RuntimeClassName == "metal";

    private static string Text(string resource, long requested, long used, long capacity) =>
        string.Create(CultureInfo.InvariantCulture, $"Node didn't have enough resource: {resource}, requested: {requested}, used: {used}, capacity: {capacity}");

    private static bool PortConflict(PodSpec spec, IReadOnlyList<Pod> others)
    {
        foreach ((int port, string protocol, string ip) in HostPorts(spec))
            foreach (Pod other in others)
                foreach ((int taken, string itsProtocol, string itsIp) in HostPorts(other.Spec))
                    if (port == taken && protocol == itsProtocol && (ip == itsIp || ip == "0.0.0.0" || itsIp == "0.0.0.0"))
                        return true;
        return false;
    }

    private static IEnumerable<(int, string, string)> HostPorts(PodSpec spec)
    {
        foreach (Container container in spec.Containers.Concat(spec.InitContainers?.Where(c => c.RestartPolicy == "Always") ?? []))
            foreach (ContainerPort port in container.Ports ?? [])
            {
                int host = port.HostPort is > 0 ? port.HostPort.Value : spec.HostNetwork == true ? port.Number : 0;
                if (host > 0)
                    yield return (host, port.Protocol ?? "TCP", string.IsNullOrEmpty(port.HostIP) ? "0.0.0.0" : port.HostIP);
            }
    }

    private static bool MatchesNode(PodSpec spec, Node node)
    {
        Dictionary<string, string> labels = node.Metadata.Labels ?? [];
        foreach (KeyValuePair<string, string> wanted in spec.NodeSelector ?? [])
            if (!labels.TryGetValue(wanted.Key, out string? value) || value != wanted.Value)
                return false;
        if (spec.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution is not { } required)
            return true;
        var fields = new Dictionary<string, string> { ["metadata.name"] = node.Metadata.Name ?? "" };
        foreach (NodeSelectorTerm term in required.NodeSelectorTerms ?? [])
        {
            bool any = term.MatchExpressions is { Count: > 0 } || term.MatchFields is { Count: > 0 };
            if (any && All(term.MatchExpressions, labels) && All(term.MatchFields, fields))
                return true;
        }
        return false;
    }

    private static bool All(List<SelectorRequirement>? requirements, Dictionary<string, string> labels)
    {
        foreach (SelectorRequirement requirement in requirements ?? [])
            if (!requirement.Matches(labels))
                return false;
        return true;
    }

    /// <summary>What cannot be run is refused with the field named, never run differently from what was asked.</summary>
    private static string? Unsupported(PodSpec spec)
    {
        if (spec.ShareProcessNamespace == true)
            return "spec.shareProcessNamespace: sharing process namespaces is not supported by this node";
        if (spec.SecurityContext?.SeccompProfile is { Type: "Localhost" })
            return "spec.securityContext.seccompProfile: Localhost profiles are not supported by this node; use RuntimeDefault or Unconfined";
        foreach (Container container in spec.Containers.Concat(spec.InitContainers ?? []))
        {
            foreach ((Probe? probe, string name) in (ReadOnlySpan<(Probe?, string)>)[(container.LivenessProbe, "livenessProbe"), (container.ReadinessProbe, "readinessProbe"), (container.StartupProbe, "startupProbe")])
                if (probe?.Grpc is not null)
                    return $"spec.containers[{container.Name}].{name}.grpc: gRPC probes are not supported by this node; use exec, httpGet or tcpSocket";
            if (container.SecurityContext?.SeccompProfile is { Type: "Localhost" })
                return $"spec.containers[{container.Name}].securityContext.seccompProfile: Localhost profiles are not supported by this node";
        }
        return null;
    }
}
