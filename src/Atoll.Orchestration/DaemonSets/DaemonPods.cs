using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;
using Atoll.Orchestration.Nodes;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.Revisions;

namespace Atoll.Orchestration.DaemonSets;

/// <summary>The pod that a DaemonSet wants on a node, and whether the node is one for it.</summary>
internal static class DaemonPods
{
    public const string GenerationLabel = "pod-template-generation";
    private const string NodeNameField = "metadata.name";

    /// <summary>
    /// What Kubernetes gives every daemon pod, and NoSchedule for nodes that are out of reach: a daemon belongs on its node
    /// whatever the line does, and gets there when the site returns.
    /// </summary>
    private static readonly (string Key, string Effect)[] s_tolerations =
    [
        (Taints.NotReady, Taints.NoExecute), (Taints.Unreachable, Taints.NoExecute), (Taints.NotReady, Taints.NoSchedule), (Taints.Unreachable, Taints.NoSchedule),
        (Taints.DiskPressure, Taints.NoSchedule), (Taints.MemoryPressure, Taints.NoSchedule), (Taints.PidPressure, Taints.NoSchedule), (Taints.Unschedulable, Taints.NoSchedule),
    ];

    /// <summary>The node that a pod is on or is meant for, or null.</summary>
    public static string? NodeOf(Pod pod)
    {
        if (!string.IsNullOrEmpty(pod.Spec.NodeName))
            return pod.Spec.NodeName;
        foreach (NodeSelectorTerm term in pod.Spec.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution?.NodeSelectorTerms ?? [])
            foreach (SelectorRequirement field in term.MatchFields ?? [])
                if (field is { Key: NodeNameField, Operator: "In", Values: [string only] })
                    return only;
        return null;
    }

    /// <summary>The pod's document: bound to the node by required affinity, placed by the scheduler.</summary>
    public static JsonObject Document(KubeObject set, DaemonSet view, string node, string hash)
    {
        JsonObject pod = PodDocuments.FromTemplate(view.Spec.Template, set, PodDocuments.NamePrefix(set.Name));
        JsonObject labels = PodDocuments.Child(pod["metadata"]!.AsObject(), "labels");
        labels[RevisionHistory.HashLabel] = hash;
        labels[GenerationLabel] = Deployments.Annotations.Text(set.Metadata.Generation ?? 1);
        JsonObject spec = pod["spec"]!.AsObject();
        JsonObject affinity = PodDocuments.Child(PodDocuments.Child(spec, "affinity"), "nodeAffinity");
        affinity["requiredDuringSchedulingIgnoredDuringExecution"] = new JsonObject
        {
            ["nodeSelectorTerms"] = new JsonArray(new JsonObject
            {
                ["matchFields"] = new JsonArray(new JsonObject { ["key"] = NodeNameField, ["operator"] = "In", ["values"] = new JsonArray(node) }),
            }),
        };
        JsonArray tolerations = spec["tolerations"] as JsonArray ?? [];
        spec["tolerations"] = tolerations;
        foreach ((string key, string effect) in Tolerations((bool?)spec["hostNetwork"] == true))
            if (!tolerations.Any(t => (string?)t?["key"] == key && (string?)t["effect"] == effect && (string?)t["operator"] == "Exists"))
                tolerations.Add((JsonNode)new JsonObject { ["key"] = key, ["operator"] = "Exists", ["effect"] = effect });
        return pod;
    }

    /// <summary>Whether a pod should be started on the node, and whether one that is there may stay.</summary>
    public static (bool Run, bool Stay) Fits(PodSpec template, KubeObject node)
    {
        Node view = node.View(ApiJson.Default.Node);
        if (!string.IsNullOrEmpty(template.NodeName) && template.NodeName != node.Name)
            return (false, false);
        foreach (KeyValuePair<string, string> wanted in template.NodeSelector ?? [])
            if (node.Metadata.Label(wanted.Key) != wanted.Value)
                return (false, false);
        if (template.Affinity?.NodeAffinity?.RequiredDuringSchedulingIgnoredDuringExecution is { } required && !Matches(required, node))
            return (false, false);
        List<Toleration> tolerations = [.. template.Tolerations ?? []];
        foreach ((string key, string effect) in Tolerations(template.HostNetwork == true))
            tolerations.Add(new Toleration { Key = key, Operator = "Exists", Effect = effect });
        return Taints.Untolerated(view.Spec.Taints, tolerations, Taints.NoSchedule, Taints.NoExecute) is null
            ? (true, true)
            : (false, Taints.Untolerated(view.Spec.Taints, tolerations, Taints.NoExecute) is null);
    }

    private static IEnumerable<(string Key, string Effect)> Tolerations(bool hostNetwork) =>
        hostNetwork ? s_tolerations.Append((Taints.NetworkUnavailable, Taints.NoSchedule)) : s_tolerations;

    /// <summary>One of the terms must hold; a term holds when all it asks for does, and one that asks for nothing never does.</summary>
    private static bool Matches(NodeSelector selector, KubeObject node)
    {
        var fields = new Dictionary<string, string>(StringComparer.Ordinal) { [NodeNameField] = node.Name };
        foreach (NodeSelectorTerm term in selector.NodeSelectorTerms ?? [])
            if ((term.MatchExpressions?.Count > 0 || term.MatchFields?.Count > 0)
                && (term.MatchExpressions ?? []).TrueForAll(e => e.Matches(node.Metadata.Labels)) && (term.MatchFields ?? []).TrueForAll(f => f.Matches(fields)))
                return true;
        return false;
    }
}
