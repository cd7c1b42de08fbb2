using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Kube.Resources;

/// <summary>
/// What a kind does with a document that is about to be made or changed: which parts clients may write where, and the
/// parts that the server fills. Source: the registry strategies of Kubernetes' API server.
/// </summary>
internal static class Strategy
{
    private static readonly string[] s_generations = ["pods", "deployments", "replicasets", "daemonsets", "statefulsets", "jobs", "sites", "deliveries"];

    /// <summary>True when the kind counts changes of its spec.</summary>
    public static bool HasGeneration(ResourceType type) => Array.IndexOf(s_generations, type.Plural) >= 0;

    /// <summary>Before an object is made: the status is the server's (a node brings its own), the generation starts at 1.</summary>
    public static void PrepareForCreate(ResourceType type, JsonObject document)
    {
        JsonObject meta = document.Ensure("metadata");
        meta.Remove("generation");
        if (HasGeneration(type))
            meta["generation"] = 1;
        if (type.Has("status") && type.Plural != "nodes")
            document.Remove("status");
        switch (type.Plural)
        {
            case "pods":
                document["status"] = new JsonObject { ["phase"] = "Pending", ["qosClass"] = QosClass(document.Map("spec")) };
                if (document.Map("spec").List("schedulingGates") is { Count: > 0 })
                    document["status"]!["conditions"] = new JsonArray(new JsonObject { ["type"] = "PodScheduled", ["status"] = "False", ["reason"] = "SchedulingGated", ["message"] = "Scheduling is blocked due to non-empty scheduling gates" });
                break;
            case "namespaces":
                document["status"] = new JsonObject { ["phase"] = "Active" };
                document.Ensure("spec")["finalizers"] = new JsonArray("kubernetes");
                meta.Ensure("labels")["kubernetes.io/metadata.name"] = meta.Text("name");
                break;
            case "services":
                document["status"] = new JsonObject { ["loadBalancer"] = new JsonObject() };
                break;
            case "deployments" or "replicasets" or "daemonsets" or "jobs" or "sites" or "deliveries":
                document["status"] = new JsonObject();
                break;
            case "statefulsets":
                document["status"] = new JsonObject { ["replicas"] = 0, ["availableReplicas"] = 0 };
                break;
        }
        FoldStringData(type, document);
    }

    /// <summary>Before an object is changed through its main resource or a subresource; returns the document to store.</summary>
    public static JsonObject PrepareForUpdate(ResourceType type, JsonObject old, JsonObject next, string? subresource)
    {
        if (subresource == "status")
            return StatusUpdate(type, old, next);
        if (type.Has("status"))
            next.Put("status", old["status"]);
        if (type.Plural == "namespaces" && subresource != "finalize")
            KeepFinalizers(old, next);
        FoldStringData(type, next);
        return next;
    }

    /// <summary>Raises the generation when anything but metadata and status changed.</summary>
    public static void BumpGeneration(ResourceType type, JsonObject old, JsonObject next)
    {
        if (!HasGeneration(type))
            return;
        foreach (string name in old.Select(pair => pair.Key).Union(next.Select(pair => pair.Key)))
        {
            if (name is "metadata" or "status" or "kind" or "apiVersion" || JsonNode.DeepEquals(old[name], next[name]))
                continue;
            next.Ensure("metadata")["generation"] = (old.Map("metadata").Number("generation") ?? 0) + 1;
            return;
        }
    }

    // Only the status and the annotations come from the document: labels belong to whoever writes the spec.
    private static JsonObject StatusUpdate(ResourceType type, JsonObject old, JsonObject next)
    {
        var result = (JsonObject)old.DeepClone();
        result.Put("status", next["status"]);
        JsonObject from = next.Ensure("metadata"), to = result.Ensure("metadata");
        to.Put("annotations", from["annotations"]);
        foreach (string field in (ReadOnlySpan<string>)["uid", "resourceVersion"])
            to.Put(field, from[field] ?? to[field]);
        return result;
    }

    private static void KeepFinalizers(JsonObject old, JsonObject next)
    {
        if (old.Map("spec")?["finalizers"] is { } finalizers)
            next.Ensure("spec")["finalizers"] = finalizers.DeepClone();
        else
            next.Map("spec")?.Remove("finalizers");
    }

    /// <summary>A secret's stringData becomes part of its data.</summary>
    public static void FoldStringData(ResourceType type, JsonObject document)
    {
        if (type.Plural != "secrets" || type.Group.Length > 0 || document["stringData"] is not JsonObject plain)
            return;
        JsonObject data = document.Ensure("data");
        foreach ((string key, JsonNode? _) in plain)
            if (plain.Text(key) is { } text)
                data[key] = Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(text));
        document.Remove("stringData");
    }

    /// <summary>Quality of service of a pod. Source: Kubernetes, "Pod Quality of Service Classes".</summary>
    public static string QosClass(JsonObject? spec)
    {
        bool any = false, guaranteed = true;
        foreach (string list in (ReadOnlySpan<string>)["initContainers", "containers"])
        {
            if (spec.List(list) is not { } containers)
                continue;
            foreach (JsonNode? container in containers)
            {
                JsonObject? requests = container.Map("resources").Map("requests"), limits = container.Map("resources").Map("limits");
                foreach (string resource in (ReadOnlySpan<string>)["cpu", "memory"])
                {
                    JsonNode? limit = limits?[resource], request = requests?[resource] ?? limit;
                    any |= limit is not null || request is not null;
                    guaranteed &= limit is not null && SameQuantity(limit, request!);
                }
            }
        }
        return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
    }

    private static bool SameQuantity(JsonNode a, JsonNode b) =>
        Api.Quantities.Quantity.TryParse(a.ToString(), out Api.Quantities.Quantity left) && Api.Quantities.Quantity.TryParse(b.ToString(), out Api.Quantities.Quantity right)
            ? left.Milli == right.Milli
            : JsonNode.DeepEquals(a, b);
}
