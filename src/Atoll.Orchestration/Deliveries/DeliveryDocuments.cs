using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Deliveries;

/// <summary>The documents that a Delivery turns into.</summary>
internal static class DeliveryDocuments
{
    private const int LongestName = 200;

    /// <summary>
    /// One instance as a pod that nobody owns, for the question of where it fits: the template with flavour and form filled in
    /// as admission does. Null with the reason when the flavour is unknown or contradicts the template.
    /// </summary>
    public static (KubeObject? Pod, string? Problem) Probe(KubeObject delivery, DeliverySpec spec, Func<string, KubeObject?> flavourOf, Func<string, KubeObject?> classOf)
    {
        JsonObject pod = spec.Template is { } template ? PodDocuments.AsObject(template)
            : new JsonObject { ["spec"] = new JsonObject { ["containers"] = new JsonArray(new JsonObject { ["name"] = "instance" }) } };
        PodDocuments.Child(pod, "spec");
        if (!string.IsNullOrEmpty(spec.Flavour))
        {
            if (Flavours.Resolve(spec.Flavour, flavourOf) is not { } flavour)
                return (null, $"there is no Flavour {spec.Flavour} (kubectl get flavours), and it is no size such as 4c8g");
            if (Flavours.Apply(pod, flavour) is { } wrong)
                return (null, $"spec.template.{wrong.Field} {wrong.Reason}");
        }
        BatchResources.Convert(pod);
        JsonObject inner = pod["spec"]!.AsObject(), metadata = PodDocuments.Child(pod, "metadata");
        if ((string?)inner["runtimeClassName"] is { Length: > 0 } form)
        {
            if (classOf(form) is not { } found)
                return (null, $"there is no RuntimeClass {form}");
            RuntimeClass its = found.View(ApiJson.Default.RuntimeClass);
            foreach (KeyValuePair<string, string> amount in its.Overhead?.PodFixed ?? [])
                PodDocuments.Child(inner, "overhead")[amount.Key] = amount.Value;
            foreach (KeyValuePair<string, string> label in its.Scheduling?.NodeSelector ?? [])
                PodDocuments.Child(inner, "nodeSelector")[label.Key] = label.Value;
            if (found.ToNode()["scheduling"]?["tolerations"] is JsonArray { Count: > 0 } tolerated)
                inner["tolerations"] = new JsonArray([.. (inner["tolerations"] as JsonArray ?? []).Concat(tolerated).Select(t => t?.DeepClone())]);
        }
        metadata["name"] = delivery.Name;
        metadata["namespace"] = delivery.Namespace;
        metadata["uid"] = delivery.Uid;
        pod["apiVersion"] = "v1";
        pod["kind"] = "Pod";
        return (KubeObject.FromNode(pod), null);
    }

    /// <summary>A copy of a probe as one of many pods, to be put somewhere.</summary>
    public static KubeObject Copy(KubeObject probe, string uid)
    {
        JsonObject pod = probe.ToNode();
        pod["metadata"]!["uid"] = uid;
        return KubeObject.FromNode(pod);
    }

    /// <summary>The ReplicaSet that keeps a Delivery's pods at one site.</summary>
    public static JsonObject ReplicaSet(KubeObject delivery, DeliverySpec spec, string site, int replicas)
    {
        JsonObject labels = new() { [WellKnown.DeliveryLabel] = delivery.Name, [WellKnown.DeliverySiteLabel] = site };
        JsonObject template = PodDocuments.AsObject(spec.Template!.Value), podLabels = PodDocuments.Child(PodDocuments.Child(template, "metadata"), "labels");
        foreach (KeyValuePair<string, JsonNode?> label in labels)
            podLabels[label.Key] = label.Value!.DeepClone();
        if (!string.IsNullOrEmpty(spec.Flavour))
            podLabels[WellKnown.FlavourLabel] = spec.Flavour;
        PodDocuments.Child(PodDocuments.Child(template, "spec"), "nodeSelector")[WellKnown.SiteLabel] = site;
        return new JsonObject
        {
            ["apiVersion"] = "apps/v1",
            ["kind"] = "ReplicaSet",
            ["metadata"] = new JsonObject
            {
                ["name"] = NameOf(delivery.Name, site),
                ["namespace"] = delivery.Namespace,
                ["labels"] = labels,
                ["ownerReferences"] = new JsonArray(PodDocuments.ControllerReference(delivery)),
            },
            ["spec"] = new JsonObject
            {
                ["replicas"] = replicas,
                ["selector"] = new JsonObject { ["matchLabels"] = labels.DeepClone() },
                ["template"] = template,
            },
        };
    }

    private static string NameOf(string delivery, string site)
    {
        string name = $"{delivery}-{site}";
        if (name.Length <= LongestName)
            return name;
        uint hash = 2166136261;
        foreach (char c in name)
            hash = (hash ^ c) * 16777619;
        return $"{name[..(LongestName - 9)].TrimEnd('-', '.')}-{hash:x8}";
    }
}
