using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Revisions;

/// <summary>A set that keeps revisions of its template: a DaemonSet or a StatefulSet.</summary>
internal sealed record RevisedSet(ResourceType Type, KubeObject Object, JsonElement Template, int? Collisions, int? Limit);

/// <summary>
/// The revisions of a set, as <c>kubectl rollout history</c> and <c>undo</c> read them: each holds the template as a
/// strategic merge patch of the set.
/// </summary>
internal static class RevisionHistory
{
    /// <summary>Label of the hash on a revision, and of the revision on pods.</summary>
    public const string HashLabel = "controller-revision-hash";

    /// <summary>The revision that holds the set's present template, or null.</summary>
    public static KubeObject? Current(RevisedSet set, IEnumerable<KubeObject> revisions)
    {
        byte[] wanted = TemplateHash.Canonical(Element(Data(set.Template)), []);
        return revisions.Where(r => Data(r) is { } data && TemplateHash.Canonical(data, []).AsSpan().SequenceEqual(wanted)).OrderByDescending(Number).FirstOrDefault();
    }

    /// <summary>A new revision of the present template.</summary>
    public static JsonObject Document(RevisedSet set, long number)
    {
        string hash = TemplateHash.Of(set.Template, set.Collisions ?? 0);
        var labels = new JsonObject();
        foreach (KeyValuePair<string, string> label in PodDocuments.Labels(set.Template))
            labels[label.Key] = label.Value;
        labels[HashLabel] = hash;
        var metadata = new JsonObject
        {
            ["name"] = $"{set.Object.Name}-{hash}",
            ["namespace"] = set.Object.Namespace,
            ["labels"] = labels,
            ["ownerReferences"] = new JsonArray(PodDocuments.ControllerReference(set.Object)),
        };
        if (set.Object.Metadata.Annotations is { Count: > 0 } annotations)
        {
            JsonObject copied = PodDocuments.Child(metadata, "annotations");
            foreach (KeyValuePair<string, string> annotation in annotations)
                copied[annotation.Key] = annotation.Value;
        }
        return new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = "ControllerRevision", ["metadata"] = metadata, ["data"] = Data(set.Template), ["revision"] = number };
    }

    /// <summary>The number of a revision.</summary>
    public static long Number(KubeObject revision) => revision.View(ApiJson.Default.ControllerRevision).Revision;

    /// <summary>The hash that a revision's name ends with.</summary>
    public static string Hash(KubeObject revision) => revision.Metadata.Label(HashLabel) ?? "";

    /// <summary>The template that a revision holds.</summary>
    public static JsonElement Template(KubeObject revision) =>
        Data(revision) is { } data && data.TryGetProperty("spec", out JsonElement spec) && spec.TryGetProperty("template", out JsonElement template) ? template : default;

    /// <summary>Old revisions that are no longer kept; those that are <paramref name="live"/> are.</summary>
    public static List<KubeObject> Surplus(RevisedSet set, List<KubeObject> revisions, Func<KubeObject, bool> live)
    {
        List<KubeObject> old = [.. revisions.Where(r => !live(r))];
        int surplus = old.Count - (set.Limit ?? 10);
        return surplus <= 0 ? [] : [.. old.OrderBy(Number).Take(surplus)];
    }

    /// <summary>The revision of the present template, made or renumbered when needed; null when that did not work or the set is going.</summary>
    public static async ValueTask<(KubeObject? Current, int? Collisions)> EnsureAsync(Cluster cluster, RevisedSet set, List<KubeObject> revisions, CancellationToken cancellation)
    {
        int? collisions = set.Collisions;
        long highest = revisions.Count == 0 ? 0 : revisions.Max(Number);
        KubeObject? current = Current(set, revisions);
        if (set.Object.IsDeleting)
            return (current, collisions);
        if (current is null)
        {
            JsonObject document = Document(set, highest + 1);
            ApiResult created = await cluster.CreateAsync(Kinds.ControllerRevision, set.Object.Namespace, document, cancellation).ConfigureAwait(false);
            if (!created.IsAlreadyExists)
                return (created.Object, collisions);
            ApiResult taken = await cluster.Api.GetAsync(Kinds.ControllerRevision, set.Object.Namespace, (string)document["metadata"]!["name"]!, cancellation).ConfigureAwait(false);
            if (taken.Object is { } other && other.Metadata.Controller()?.Uid == set.Object.Uid && Current(set, [other]) is not null)
                cluster.Of(Kinds.ControllerRevision).Wrote(other);
            else if (taken.Object is not null)
                collisions = (collisions ?? 0) + 1;
            return (null, collisions);
        }
        if (Number(current) < highest)
        {
            // The template came back from history: its revision becomes the newest.
            ApiResult renumbered = await cluster.PatchAsync(Kinds.ControllerRevision, current, new JsonObject { ["revision"] = highest + 1 }, true, cancellation).ConfigureAwait(false);
            return (renumbered.Object, collisions);
        }
        return (current, collisions);
    }

    /// <summary>Tells that a name was taken by another template, so that the next look hashes to another one.</summary>
    public static async ValueTask TellCollisionsAsync(Cluster cluster, RevisedSet set, int? collisions, CancellationToken cancellation)
    {
        if (collisions != set.Collisions)
            await cluster.PatchAsync(set.Type, set.Object, new JsonObject { ["status"] = new JsonObject { ["collisionCount"] = collisions } }, false, cancellation, "status").ConfigureAwait(false);
    }

    /// <summary>The template as a patch that replaces the set's.</summary>
    private static JsonObject Data(JsonElement of)
    {
        JsonObject template = PodDocuments.AsObject(of);
        template["$patch"] = "replace";
        return new JsonObject { ["spec"] = new JsonObject { ["template"] = template } };
    }

    private static JsonElement? Data(KubeObject revision) => revision.View(ApiJson.Default.ControllerRevision).Data;

    private static JsonElement Element(JsonObject node) => JsonSerializer.Deserialize(node.ToJsonString(), ApiJson.Default.JsonElement);
}
