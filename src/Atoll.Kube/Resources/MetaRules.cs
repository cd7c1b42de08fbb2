using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Resources;

/// <summary>Rules of metadata that hold for every kind. Source: ValidateObjectMeta and ValidateObjectMetaUpdate of Kubernetes.</summary>
internal static class MetaRules
{
    private const int MaxAnnotationBytes = 256 * 1024;

    /// <summary>What is wrong with new metadata.</summary>
    public static void Check(ResourceType type, JsonObject meta, List<StatusCause> causes)
    {
        string name = meta.Text("name") ?? "";
        if (name.Length == 0)
            causes.Add(Cause("FieldValueRequired", "metadata.name", "Required value: name or generateName is required"));
        else if (!LabelSyntax.IsSubdomain(name))
            causes.Add(Cause("FieldValueInvalid", "metadata.name", $"Invalid value: \"{name}\": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character"));
        else if (type.Plural == "namespaces" && (name.Length > 63 || name.Contains('.', StringComparison.Ordinal)))
            causes.Add(Cause("FieldValueInvalid", "metadata.name", $"Invalid value: \"{name}\": a lowercase RFC 1123 label must consist of at most 63 lower case alphanumeric characters or '-'"));
        CheckMap(meta, "labels", causes, isLabel: true);
        CheckMap(meta, "annotations", causes, isLabel: false);
        CheckOwners(meta, causes);
        if (meta["finalizers"] is { } finalizers && (finalizers is not JsonArray list || list.Any(item => item is not JsonValue value || value.GetValueKind() != JsonValueKind.String)))
            causes.Add(Cause("FieldValueInvalid", "metadata.finalizers", "Invalid value: a list of names is needed"));
    }

    private static void CheckMap(JsonObject meta, string field, List<StatusCause> causes, bool isLabel)
    {
        if (meta[field] is null)
            return;
        if (meta[field] is not JsonObject map)
        {
            causes.Add(Cause("FieldValueInvalid", $"metadata.{field}", "Invalid value: a map of strings is needed"));
            return;
        }
        long size = 0;
        foreach ((string key, JsonNode? value) in map)
        {
            string? text = map.Text(key);
            if (text is null)
                causes.Add(Cause("FieldValueInvalid", $"metadata.{field}", $"Invalid value: the value of \"{key}\" must be a string (quote it), not {value?.ToJsonString() ?? "null"}"));
            string? error = LabelSyntax.KeyError(isLabel ? key : key.ToLowerInvariant()) ?? (isLabel && text is not null ? LabelSyntax.ValueError(text) : null);
            if (error is not null)
                causes.Add(Cause("FieldValueInvalid", $"metadata.{field}", $"Invalid value: {error}"));
            size += Encoding.UTF8.GetByteCount(key) + Encoding.UTF8.GetByteCount(text ?? "");
        }
        if (!isLabel && size > MaxAnnotationBytes)
            causes.Add(Cause("FieldValueTooLong", "metadata.annotations", $"Too long: may not be more than {MaxAnnotationBytes} bytes"));
    }

    private static void CheckOwners(JsonObject meta, List<StatusCause> causes)
    {
        if (meta["ownerReferences"] is null)
            return;
        if (meta["ownerReferences"] is not JsonArray owners)
        {
            causes.Add(Cause("FieldValueInvalid", "metadata.ownerReferences", "Invalid value: a list is needed"));
            return;
        }
        int controllers = 0;
        for (int i = 0; i < owners.Count; i++)
        {
            foreach (string field in (ReadOnlySpan<string>)["apiVersion", "kind", "name", "uid"])
                if (string.IsNullOrEmpty(owners[i].Text(field)))
                    causes.Add(Cause("FieldValueRequired", $"metadata.ownerReferences[{i}].{field}", "Required value: must not be empty"));
            if (owners[i] is JsonObject owner && owner["controller"] is JsonValue flag && flag.GetValueKind() == JsonValueKind.True)
                controllers++;
        }
        if (controllers > 1)
            causes.Add(Cause("FieldValueInvalid", "metadata.ownerReferences", "Invalid value: only one reference can have controller set to true"));
    }

    /// <summary>
    /// Carries over what a client may leave out and reports what it may not change. Name and namespace were checked
    /// against the path.
    /// </summary>
    public static void CarryOver(JsonObject old, JsonObject meta, List<StatusCause> causes)
    {
        foreach (string field in (ReadOnlySpan<string>)["uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"])
        {
            bool leftOut = meta[field] is null;
            if (!leftOut && !JsonNode.DeepEquals(old[field], meta[field]))
                causes.Add(Cause("FieldValueInvalid", $"metadata.{field}", $"Invalid value: {meta[field]!.ToJsonString()}: field is immutable"));
            meta.Put(field, old[field]);
        }
        meta.Put("generation", old["generation"]);
        meta.Put("generateName", old["generateName"]);
        meta.Remove("managedFields");
        meta.Remove("selfLink");
        if (old["deletionTimestamp"] is null || meta["finalizers"] is not JsonArray finalizers)
            return;
        HashSet<string> before = [.. Names(old["finalizers"] as JsonArray)];
        string[] added = [.. Names(finalizers).Where(name => !before.Contains(name))];
        if (added.Length > 0)
            causes.Add(Cause("FieldValueForbidden", "metadata.finalizers", $"Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers [{string.Join(", ", added.Select(name => $"\"{name}\""))}]"));
    }

    /// <summary>The strings of an array.</summary>
    public static IEnumerable<string> Names(JsonArray? list)
    {
        if (list is not null)
            foreach (JsonNode? item in list)
                if (item is JsonValue value && value.GetValueKind() == JsonValueKind.String)
                    yield return value.GetValue<string>();
    }

    /// <summary>A cause.</summary>
    public static StatusCause Cause(string reason, string field, string message) => new() { Reason = reason, Field = field, Message = message };
}
