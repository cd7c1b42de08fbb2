using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Link;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Hub;

/// <summary>
/// Takes in what a site reports. The site is the only writer of these facts, and only of its own: every outcome is checked
/// against the site's scope, so that a compromised site can neither touch another site's objects nor choose its own labels.
/// Each is idempotent, for a site repeats what was not acknowledged. An outcome about an object that is gone, or whose
/// name now belongs to another UID, has nothing left to change and is acknowledged.
/// </summary>
internal sealed class Outcomes(IResources resources, ILogger logger, Action<KubeObject, string, string>? warn = null)
{
    /// <summary>Applies one outcome durably.</summary>
    public async Task ApplyAsync(KubeObject site, Outcome outcome, Func<ObjectKey, string, bool> holds, CancellationToken cancellation)
    {
        ResourceType? type = outcome.Kind switch { "pods" => Kinds.Pod, "nodes" => Kinds.Node, "events" => Kinds.Event, "sites.edge.atoll.dev" => Kinds.Site, "persistentvolumes" => Kinds.PersistentVolume, _ => null };
        JsonObject? body = Parse(outcome);
        if (type is null || body is null)
        {
            logger.LogWarning("Site {Site}: outcome {Operation} of {Kind} {Name} is not understood and is dropped", site.Name, outcome.Operation, outcome.Kind, outcome.Name);
            return;
        }
        var key = new ObjectKey(type, outcome.Name);
        ApiStatus? error = outcome.Operation switch
        {
            "register" when type == Kinds.Node => await RegisterAsync(site, outcome, body, cancellation),
            "event" when type == Kinds.Event => await EventAsync(outcome, body, cancellation),
            _ when !holds(key, outcome.Uid) && !ProtocolFaults.Is(ProtocolFault.IdentityIgnored) => null,
            "erased" when type == Kinds.PersistentVolume => await ErasedAsync(outcome, cancellation),
            "status" when type == Kinds.Site => await LedAsync(outcome, body, cancellation),
            "status" when type != Kinds.PersistentVolume => await StatusAsync(key, outcome.Uid, body, cancellation),
            "stopped" when type == Kinds.Pod => await StoppedAsync(key, outcome.Uid, body, cancellation),
            _ => ApiStatus.BadRequest($"unknown operation {outcome.Operation}"),
        };
        // Gone or replaced meanwhile: the fact has no object any more. Anything else must not be acknowledged as durable.
        if (error is { Code: >= 500 or 429 })
            throw new InvalidOperationException($"outcome {outcome.Operation} of {outcome.Kind} {outcome.Name}: {error}");
        if (error is not null and not { Code: 404 or 409 })
        {
            logger.LogWarning("Site {Site}: outcome {Operation} of {Kind} {Name} was refused: {Error}", site.Name, outcome.Operation, outcome.Kind, outcome.Name, error.Message);
            if (outcome.Operation == "register")
                warn?.Invoke(site, "NodeRefused", $"Node {outcome.Name} was not registered: {error.Message}");
        }
    }

    private async Task<ApiStatus?> StatusAsync(ObjectKey key, string uid, JsonObject status, CancellationToken cancellation)
    {
        (string? ns, string name) = Split(key);
        if (ProtocolFaults.Is(ProtocolFault.IdentityIgnored))
            uid = (await resources.GetAsync(key.Type, ns, name, cancellation)).Object?.Uid ?? uid;
        ApiResult result = await resources.PatchAsync(key.Type, ns, name, PatchType.Json, Replace(uid, status), cancellation, "status");
        return result.Error;
    }

    // Of its Site a site writes one condition: who of its nodes leads.
    private async Task<ApiStatus?> LedAsync(Outcome outcome, JsonObject body, CancellationToken cancellation)
    {
        JsonNode? led = (body["conditions"] as JsonArray)?.FirstOrDefault(c => c is JsonObject said && (string?)said["type"] == WellKnown.LedCondition);
        ApiResult found = default;
        for (int attempt = 0; attempt < 5 && led is not null; attempt++)
        {
            found = await resources.GetAsync(Kinds.Site, null, outcome.Name, cancellation);
            if (found.Object is not { } value || value.Uid != outcome.Uid)
                return found.Error;
            JsonObject site = value.ToNode();
            if (site["status"] is not JsonObject status)
                site["status"] = status = [];
            if (status["conditions"] is not JsonArray conditions)
                status["conditions"] = conditions = [];
            conditions.RemoveAll(c => (string?)c?["type"] == WellKnown.LedCondition);
            conditions.Add(led.DeepClone());
            found = await resources.UpdateAsync(Kinds.Site, null, outcome.Name, site, cancellation, "status");
            if (!found.IsConflict)
                break;
        }
        return found.Error;
    }

    private async Task<ApiStatus?> StoppedAsync(ObjectKey key, string uid, JsonObject status, CancellationToken cancellation)
    {
        (string? ns, string name) = Split(key);
        if (status.Count > 0)
            await StatusAsync(key, uid, status, cancellation);
        return (await resources.DeleteAsync(key.Type, ns, name, new DeleteOptions { GracePeriodSeconds = 0, Uid = uid }, cancellation)).Error;
    }

    // The volume goes: its node has nothing of it any more.
    private async Task<ApiStatus?> ErasedAsync(Outcome outcome, CancellationToken cancellation)
    {
        ApiResult current = await resources.GetAsync(Kinds.PersistentVolume, null, outcome.Name, cancellation);
        if (current.Object is not { IsDeleting: true } volume || volume.Uid != outcome.Uid || volume.Metadata.Finalizers?.IndexOf(StorageNames.ErasedByNode) is not (>= 0 and int index))
            return current.Error;
        var patch = new JsonArray(
            new JsonObject { ["op"] = "test", ["path"] = "/metadata/uid", ["value"] = volume.Uid },
            new JsonObject { ["op"] = "test", ["path"] = $"/metadata/finalizers/{index}", ["value"] = StorageNames.ErasedByNode },
            new JsonObject { ["op"] = "remove", ["path"] = $"/metadata/finalizers/{index}" });
        return (await resources.PatchAsync(Kinds.PersistentVolume, null, volume.Name, PatchType.Json, patch, cancellation)).Error;
    }

    private async Task<ApiStatus?> RegisterAsync(KubeObject site, Outcome outcome, JsonObject node, CancellationToken cancellation)
    {
        ApiResult existing = await resources.GetAsync(Kinds.Node, null, outcome.Name, cancellation);
        if (existing.Object is { } old && old.Metadata.Label(WellKnown.SiteLabel) == site.Name && !IsOf(old, site))
        {
            // Left over from a site of the same name that was deleted: this one starts anew.
            await resources.DeleteAsync(Kinds.Node, null, old.Name, new DeleteOptions { Uid = old.Uid }, cancellation);
            existing = await resources.GetAsync(Kinds.Node, null, outcome.Name, cancellation);
        }
        if (existing.Object is { } known)
        {
            if (known.Metadata.Label(WellKnown.SiteLabel) != site.Name)
                return ApiStatus.Forbidden(Kinds.Node, outcome.Name, $"a node of that name belongs to site {known.Metadata.Label(WellKnown.SiteLabel) ?? "(none)"}; start the agent with another --node-name");
            return known.Uid == outcome.Uid && node["status"] is JsonObject again ? await StatusAsync(new ObjectKey(Kinds.Node, outcome.Name), outcome.Uid, again, cancellation) : null;
        }
        JsonObject document = Labelled(site, outcome, node);
        ApiResult created = await resources.CreateAsync(Kinds.Node, null, document, cancellation);
        if (!created.Ok)
            return created.Error;
        return node["status"] is JsonObject status ? await StatusAsync(new ObjectKey(Kinds.Node, outcome.Name), outcome.Uid, status, cancellation) : null;
    }

    private static bool IsOf(KubeObject node, KubeObject site) => node.Metadata.OwnerReferences?.Exists(o => o.Uid == site.Uid) == true;

    // Registration creates and never overwrites. Where a node is (site, region, kind, carrier) is the operator's word, not the node's.
    private static JsonObject Labelled(KubeObject site, Outcome outcome, JsonObject node)
    {
        SiteSpec spec = site.View(ApiJson.Default.Site).Spec;
        var labels = new JsonObject();
        if (node["metadata"]?["labels"] is JsonObject asked)
            foreach (KeyValuePair<string, JsonNode?> label in asked)
                if (!label.Key.StartsWith("edge.atoll.dev/", StringComparison.Ordinal) && !label.Key.StartsWith("topology.kubernetes.io/", StringComparison.Ordinal))
                    labels[label.Key] = label.Value?.DeepClone();
        labels[WellKnown.HostnameLabel] = outcome.Name;
        labels[WellKnown.SiteLabel] = site.Name;
        labels[WellKnown.ZoneLabel] = site.Name;
        Set(WellKnown.RegionLabel, spec.Region);
        Set(WellKnown.SiteKindLabel, spec.Kind);
        Set(WellKnown.CarrierLabel, spec.Carrier);
        return new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Node",
            ["metadata"] = new JsonObject
            {
                ["name"] = outcome.Name,
                ["uid"] = outcome.Uid,
                ["labels"] = labels,
                // A deleted site takes its nodes along.
                ["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = Kinds.Site.ApiVersion, ["kind"] = Kinds.Site.Kind, ["name"] = site.Name, ["uid"] = site.Uid }),
            },
            ["spec"] = new JsonObject(),
        };

        void Set(string label, string? value)
        {
            if (!string.IsNullOrEmpty(value))
                labels[label] = value;
        }
    }

    private async Task<ApiStatus?> EventAsync(Outcome outcome, JsonObject document, CancellationToken cancellation)
    {
        (string? ns, string name) = Split(new ObjectKey(Kinds.Event, outcome.Name));
        (document["metadata"] as JsonObject)?.Remove("resourceVersion");
        ApiResult created = await resources.CreateAsync(Kinds.Event, ns, document, cancellation);
        if (!created.IsAlreadyExists)
            return created.Error;
        // What it was first told with stays: the site may have forgotten it, and its clock may be another since.
        (document["metadata"] as JsonObject)?.Remove("uid");
        (document["metadata"] as JsonObject)?.Remove("creationTimestamp");
        return (await resources.UpdateAsync(Kinds.Event, ns, name, document, cancellation)).Error;
    }

    private static JsonArray Replace(string uid, JsonObject status) => new(
        new JsonObject { ["op"] = "test", ["path"] = "/metadata/uid", ["value"] = uid },
        new JsonObject { ["op"] = "add", ["path"] = "/status", ["value"] = status.DeepClone() });

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

    private static (string? Namespace, string Name) Split(ObjectKey key)
    {
        int slash = key.Key.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? (null, key.Key) : (key.Key[..slash], key.Key[(slash + 1)..]);
    }
}
