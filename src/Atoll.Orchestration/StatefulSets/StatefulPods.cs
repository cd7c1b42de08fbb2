using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.Revisions;

namespace Atoll.Orchestration.StatefulSets;

/// <summary>The documents of an identity: its pod and its claims.</summary>
internal static class StatefulPods
{
    /// <summary>Labels of an identity on its pod.</summary>
    public const string NameLabel = "statefulset.kubernetes.io/pod-name", IndexLabel = "apps.kubernetes.io/pod-index";

    /// <summary>The pod of an ordinal.</summary>
    public static JsonObject Document(KubeObject set, StatefulSet view, int ordinal, JsonElement template, string revision)
    {
        string name = Name(set, ordinal);
        JsonObject pod = PodDocuments.FromTemplate(template, set, "");
        JsonObject metadata = pod["metadata"]!.AsObject();
        metadata.Remove("generateName");
        metadata["name"] = name;
        JsonObject labels = PodDocuments.Child(metadata, "labels");
        labels[NameLabel] = name;
        labels[IndexLabel] = ordinal.ToString(CultureInfo.InvariantCulture);
        labels[RevisionHistory.HashLabel] = revision;
        JsonObject spec = pod["spec"]!.AsObject();
        spec["hostname"] = name;
        if (view.Spec.ServiceName is { Length: > 0 } service)
            spec["subdomain"] = service;
        if (Claims(view) is not { Count: > 0 } claims)
            return pod;
        JsonArray volumes = spec["volumes"] as JsonArray ?? [];
        spec["volumes"] = volumes;
        foreach (string claim in claims.Keys)
        {
            for (int i = volumes.Count - 1; i >= 0; i--)
                if ((string?)volumes[i]?["name"] == claim)
                    volumes.RemoveAt(i);
            volumes.Add((JsonNode)new JsonObject { ["name"] = claim, ["persistentVolumeClaim"] = new JsonObject { ["claimName"] = $"{claim}-{name}" } });
        }
        return pod;
    }

    /// <summary>The name of an ordinal's pod.</summary>
    public static string Name(KubeObject set, int ordinal) => $"{set.Name}-{ordinal.ToString(CultureInfo.InvariantCulture)}";

    /// <summary>The set's claim templates by name.</summary>
    public static Dictionary<string, JsonObject> Claims(StatefulSet view)
    {
        var claims = new Dictionary<string, JsonObject>(StringComparer.Ordinal);
        foreach (JsonElement template in view.Spec.VolumeClaimTemplates ?? [])
            if (PodDocuments.AsObject(template) is var claim && (string?)claim["metadata"]?["name"] is { Length: > 0 } name)
                claims[name] = claim;
        return claims;
    }

    /// <summary>The claim of a template for an identity. <paramref name="owner"/>: what it goes with, or null to outlive everything.</summary>
    public static JsonObject Claim(KubeObject set, StatefulSet view, string name, JsonObject template, int ordinal, JsonObject? owner)
    {
        JsonObject claim = template.DeepClone().AsObject();
        claim.Remove("status");
        claim["apiVersion"] = "v1";
        claim["kind"] = "PersistentVolumeClaim";
        JsonObject metadata = PodDocuments.Child(claim, "metadata");
        metadata["name"] = $"{name}-{Name(set, ordinal)}";
        metadata["namespace"] = set.Namespace;
        JsonObject labels = PodDocuments.Child(metadata, "labels");
        foreach ((string key, string value) in view.Spec.Selector?.MatchLabels ?? [])
            labels[key] = value;
        if (owner is not null)
            metadata["ownerReferences"] = new JsonArray(owner);
        return claim;
    }
}
