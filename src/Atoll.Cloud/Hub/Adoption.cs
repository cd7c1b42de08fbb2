using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Import;
using Atoll.Link;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Hub;

/// <summary>
/// Takes over a pod that a site made in place of one whose node died: in one transaction the lost one is Failed and the new
/// one is there, so that nobody ever counts one too many or too few. The spec is the centre's own, which the owner's template
/// made for the lost pod; from the site come only the node, which must be its own, and the status, so a compromised site cannot
/// ask for somebody's Secret. When the lost pod or its owner is gone meanwhile, or being deleted, the answer is a deletion: the
/// new pod comes with its end already asked for. A scale-down needs nothing of its own: the owner counts, and deletes one.
/// <para>A pod with an identity has the lost one's name: in that transaction the name goes from one UID to the other.</para>
/// </summary>
internal sealed class Adoption(IResources resources, Func<ImportBatch, CancellationToken, ValueTask<ImportResult>> import, TimeProvider time, ILogger logger)
{
    private const int Attempts = 10;

    /// <summary>Adopts one replacement durably; it may be told again.</summary>
    /// <param name="site">The site that tells.</param>
    /// <param name="outcome">What it tells: identity and name of its pod, and in the body <c>replaces</c>, <c>node</c> and <c>status</c>.</param>
    /// <param name="siteOfNode">The site of a node.</param>
    /// <param name="held">The key of an identity in the scope of this site, or null.</param>
    /// <param name="cancellation">Stops it.</param>
    public async Task AdoptAsync(string site, Outcome outcome, Func<string?, string?> siteOfNode, Func<string, ObjectKey?> held, CancellationToken cancellation)
    {
        JsonObject? body = Parse(outcome);
        string? node = Text(body, "node"), replaces = Text(body, "replaces");
        int slash = outcome.Name.IndexOf('/', StringComparison.Ordinal);
        if (node is null || replaces is null || slash <= 0 || siteOfNode(node) != site)
        {
            logger.LogWarning("Site {Site}: its replacement {Name} on node {Node} is refused: it must name a node of the site and the pod it replaces", site, outcome.Name, node);
            return;
        }
        (string ns, string name) = (outcome.Name[..slash], outcome.Name[(slash + 1)..]);
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            ApiResult existing = await resources.GetAsync(Kinds.Pod, ns, name, cancellation);
            if (existing.Object?.Uid == outcome.Uid)
                return;
            KubeObject? lost = await LostAsync(body!, replaces, ns, held, cancellation);
            if (existing.Object is not null && existing.Object.Uid != lost?.Uid)
            {
                logger.LogWarning("Site {Site}: its replacement {Name} is refused: another pod has that name", site, outcome.Name);
                return;
            }
            bool ended = lost?.View(ApiJson.Default.Pod).Status?.Phase is "Failed" or "Succeeded";
            bool wanted = lost is { IsDeleting: false } && !ended && await HasOwnerAsync(lost, cancellation);
            var upserts = new List<ImportObject>();
            bool takesName = existing.Object is not null;
            if (lost is not null && !ended && !takesName && !ProtocolFaults.Is(ProtocolFault.AdoptedBeside))
                upserts.Add(new ImportObject(Kinds.Pod, Lost(lost, name), KeepLocalStatus: false, lost.ResourceVersion));
            upserts.Add(new ImportObject(Kinds.Pod, InPlaceOf(lost, outcome.Uid, ns, name, node, replaces, body!["status"] as JsonObject, wanted), KeepLocalStatus: false, takesName ? lost!.ResourceVersion : null));
            ImportResult result = await import(new ImportBatch { Upserts = upserts }, cancellation);
            if (result.Error is null)
            {
                logger.LogInformation("Site {Site}: pod {Name} on node {Node} {Answer}", site, outcome.Name, node, wanted ? "is adopted" : "is no longer wanted and is to end");
                return;
            }
            if (result.Error.Code != 409)
                throw new InvalidOperationException($"replacement {outcome.Name}: {result.Error}");
        }
        throw new InvalidOperationException($"replacement {outcome.Name}: the lost pod changes too often");
    }

    // The one that the centre knows of those that were replaced in turn.
    private async Task<KubeObject?> LostAsync(JsonObject body, string replaces, string ns, Func<string, ObjectKey?> held, CancellationToken cancellation)
    {
        IEnumerable<string> before = (body["before"] as JsonArray ?? []).Take(32).Select(e => e is JsonValue value && value.TryGetValue(out string? text) ? text : "");
        foreach (string uid in before.Prepend(replaces))
            if (held(uid) is { } key && key.Type == Kinds.Pod && key.Key.StartsWith(ns + "/", StringComparison.Ordinal)
                && (await resources.GetAsync(Kinds.Pod, ns, key.Key[(ns.Length + 1)..], cancellation)).Object is { } found && found.Uid == uid)
                return found;
        return null;
    }

    private async Task<bool> HasOwnerAsync(KubeObject pod, CancellationToken cancellation)
    {
        if (pod.Metadata.Controller() is not { } owner || Kinds.Find(owner.ApiVersion, owner.Kind) is not { } type)
            return false;
        KubeObject? found = (await resources.GetAsync(type, pod.Namespace, owner.Name, cancellation)).Object;
        return found is { IsDeleting: false } && found.Uid == owner.Uid;
    }

    private JsonObject Lost(KubeObject pod, string by)
    {
        JsonObject document = pod.ToNode();
        if (document["status"] is not JsonObject status)
            document["status"] = status = [];
        status["phase"] = "Failed";
        status["reason"] = WellKnown.NodeLost;
        status["message"] = $"Node {pod.View(ApiJson.Default.Pod).Spec.NodeName} is dead; pod {by} runs in this one's place.";
        foreach (JsonNode? condition in status["conditions"] as JsonArray ?? [])
            if ((string?)condition?["type"] is "Ready" or "ContainersReady" && (string?)condition["status"] != "False")
            {
                condition["status"] = "False";
                condition["lastTransitionTime"] = KubeTime.Format(time.GetUtcNow());
            }
        foreach (JsonNode? container in status["containerStatuses"] as JsonArray ?? [])
            container!["ready"] = false;
        return document;
    }

    private JsonObject InPlaceOf(KubeObject? lost, string uid, string ns, string name, string node, string replaces, JsonObject? status, bool wanted)
    {
        JsonObject document = lost?.ToNode() ?? new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Pod",
            ["metadata"] = new JsonObject(),
            // The site has the real one and only has to end it.
            ["spec"] = new JsonObject { ["containers"] = new JsonArray(new JsonObject { ["name"] = "ended", ["image"] = "ended" }), ["terminationGracePeriodSeconds"] = 30L },
        };
        JsonObject old = document["metadata"]!.AsObject(), meta = new()
        {
            ["name"] = name,
            ["namespace"] = ns,
            ["uid"] = uid,
            ["creationTimestamp"] = KubeTime.Format(time.GetUtcNow()),
        };
        foreach (string field in wanted ? (string[])["generateName", "labels", "annotations", "ownerReferences", "finalizers"] : ["labels", "annotations"])
            if (old[field] is { } value)
                meta[field] = value.DeepClone();
        Map(meta, "labels")[WellKnown.CreatedByLabel] = "site";
        JsonObject annotations = Map(meta, "annotations");
        annotations[WellKnown.ReplacesAnnotation] = replaces;
        // By these a stand-in elsewhere finds what became of the pod that it stands in for.
        string earlier = string.Join(',', new[] { lost?.Uid == replaces ? null : lost?.Uid, lost?.Metadata.Annotation(WellKnown.ReplacesAnnotation), lost?.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation) }.Where(u => u is not null));
        if (earlier.Length is > 0 and < 1000)
            annotations[WellKnown.ReplacedBeforeAnnotation] = earlier;
        if (!wanted)
        {
            long grace = (long?)document["spec"]?["terminationGracePeriodSeconds"] ?? 30;
            meta["deletionGracePeriodSeconds"] = grace;
            meta["deletionTimestamp"] = KubeTime.Format(time.GetUtcNow().AddSeconds(grace));
        }
        document["metadata"] = meta;
        document["spec"]!["nodeName"] = node;
        document["status"] = status?.DeepClone() ?? new JsonObject { ["phase"] = "Pending" };
        return document;
    }

    private static JsonObject Map(JsonObject parent, string name)
    {
        if (parent[name] is not JsonObject map)
            parent[name] = map = [];
        return map;
    }

    private static string? Text(JsonObject? body, string name) => body?[name] is JsonValue value && value.TryGetValue(out string? text) && text.Length > 0 ? text : null;

    private static JsonObject? Parse(Outcome outcome)
    {
        try
        {
            return JsonNode.Parse(outcome.Body.Span) as JsonObject;
        }
        catch (JsonException)
        {
            return null;
        }
    }
}
