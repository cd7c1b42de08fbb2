using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.DaemonSets;

/// <summary>
/// The revisions of a DaemonSet, as <c>kubectl rollout history</c> and <c>undo</c> read them: each holds the template as a
/// strategic merge patch of the set.
/// </summary>
internal static class DaemonHistory
{
    /// <summary>The revision that holds the set's present template, or null.</summary>
    public static KubeObject? Current(DaemonSet set, IEnumerable<KubeObject> revisions)
    {
        byte[] wanted = TemplateHash.Canonical(Element(Data(set)), []);
        return revisions.Where(r => Data(r) is { } data && TemplateHash.Canonical(data, []).AsSpan().SequenceEqual(wanted)).OrderByDescending(Number).FirstOrDefault();
    }

    /// <summary>A new revision of the present template.</summary>
    public static JsonObject Document(KubeObject set, DaemonSet view, long number, out string hash)
    {
        hash = TemplateHash.Of(view.Spec.Template, view.Status?.CollisionCount ?? 0);
        var labels = new JsonObject();
        foreach (KeyValuePair<string, string> label in PodDocuments.Labels(view.Spec.Template))
            labels[label.Key] = label.Value;
        labels[DaemonPods.HashLabel] = hash;
        var metadata = new JsonObject
        {
            ["name"] = $"{set.Name}-{hash}",
            ["namespace"] = set.Namespace,
            ["labels"] = labels,
            ["ownerReferences"] = new JsonArray(PodDocuments.ControllerReference(set)),
        };
        if (set.Metadata.Annotations is { Count: > 0 } annotations)
        {
            JsonObject copied = PodDocuments.Child(metadata, "annotations");
            foreach (KeyValuePair<string, string> annotation in annotations)
                copied[annotation.Key] = annotation.Value;
        }
        return new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "ControllerRevision", ["metadata"] = metadata, ["data"] = Data(view), ["revision"] = number };
    }

    /// <summary>The number of a revision.</summary>
    public static long Number(KubeObject revision) => revision.View(ApiJson.Default.ControllerRevision).Revision;

    /// <summary>The hash that pods of a revision carry.</summary>
    public static string Hash(KubeObject revision) => revision.Metadata.Label(DaemonPods.HashLabel) ?? "";

    /// <summary>Old revisions that are no longer kept; those that pods still run are.</summary>
    public static List<KubeObject> Surplus(DaemonSet set, List<KubeObject> revisions, KubeObject current, IReadOnlyList<PodState> pods)
    {
        var live = pods.Select(p => p.Object.Metadata.Label(DaemonPods.HashLabel) ?? "").ToHashSet(StringComparer.Ordinal);
        int surplus = revisions.Count - 1 - (set.Spec.RevisionHistoryLimit ?? 10);
        return surplus <= 0 ? [] : [.. revisions.Where(r => r.Uid != current.Uid && !live.Contains(Hash(r))).OrderBy(Number).Take(surplus)];
    }

    /// <summary>The template as a patch that replaces the set's.</summary>
    private static JsonObject Data(DaemonSet set)
    {
        JsonObject template = PodDocuments.AsObject(set.Spec.Template);
        template["$patch"] = "replace";
        return new JsonObject { ["spec"] = new JsonObject { ["template"] = template } };
    }

    private static JsonElement? Data(KubeObject revision) => revision.View(ApiJson.Default.ControllerRevision).Data;

    private static JsonElement Element(JsonObject node) => JsonSerializer.Deserialize(node.ToJsonString(), ApiJson.Default.JsonElement);
}
