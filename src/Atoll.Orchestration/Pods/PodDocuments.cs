using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Orchestration.Pods;

/// <summary>Makes pod documents from templates without parsing them, so that fields we do not know reach the node.</summary>
internal static class PodDocuments
{
    /// <summary>A pod of a template: its labels, annotations, finalizers and spec, and the owner as its controller.</summary>
    public static JsonObject FromTemplate(JsonElement template, KubeObject owner, string generateName)
    {
        JsonObject source = AsObject(template);
        var metadata = new JsonObject { ["generateName"] = generateName, ["namespace"] = owner.Namespace };
        if (source["metadata"] is JsonObject given)
            foreach (string field in s_metadata)
                if (given[field] is { } value)
                    metadata[field] = value.DeepClone();
        metadata["ownerReferences"] = new JsonArray(ControllerReference(owner));
        return new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Pod",
            ["metadata"] = metadata,
            ["spec"] = source["spec"]?.DeepClone() ?? new JsonObject(),
        };
    }

    /// <summary>A reference that makes <paramref name="owner"/> the managing controller.</summary>
    public static JsonObject ControllerReference(KubeObject owner) => new()
    {
        ["apiVersion"] = owner.ApiVersion,
        ["kind"] = owner.Kind,
        ["name"] = owner.Name,
        ["uid"] = owner.Uid,
        ["controller"] = true,
        ["blockOwnerDeletion"] = true,
    };

    /// <summary>A mutable copy of a JSON object; empty when it is none.</summary>
    public static JsonObject AsObject(JsonElement element) =>
        element.ValueKind == JsonValueKind.Object ? JsonObject.Create(element)!.DeepClone().AsObject() : [];

    /// <summary>The object at a path, made where it is missing.</summary>
    public static JsonObject Child(JsonObject parent, string name)
    {
        if (parent[name] is not JsonObject child)
            parent[name] = child = [];
        return child;
    }

    /// <summary>The labels of a template.</summary>
    public static Dictionary<string, string> Labels(JsonElement template) => Map(template, "labels");

    /// <summary>The annotations of a template.</summary>
    public static Dictionary<string, string> Annotations(JsonElement template) => Map(template, "annotations");

    private static Dictionary<string, string> Map(JsonElement template, string field)
    {
        var labels = new Dictionary<string, string>(StringComparer.Ordinal);
        if (template.ValueKind == JsonValueKind.Object && template.TryGetProperty("metadata", out JsonElement metadata) && metadata.ValueKind == JsonValueKind.Object
            && metadata.TryGetProperty(field, out JsonElement found) && found.ValueKind == JsonValueKind.Object)
            foreach (JsonProperty label in found.EnumerateObject())
                labels[label.Name] = label.Value.ValueKind == JsonValueKind.String ? label.Value.GetString()! : "";
        return labels;
    }

    /// <summary>The prefix of generated names; long owners are cut so that a name stays below 63 characters.</summary>
    public static string NamePrefix(string owner) => (owner.Length <= 57 ? owner : owner[..57]) + "-";

    private static readonly string[] s_metadata = ["labels", "annotations", "finalizers"];
}
