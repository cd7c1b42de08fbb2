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
        else if (NameProblem(type, name) is { } problem)
            causes.Add(Cause("FieldValueInvalid", "metadata.name", $"Invalid value: {Quoted(name)}: {problem}"));
        CheckMap(meta, "labels", causes, isLabel: true);
        CheckMap(meta, "annotations", causes, isLabel: false);
        CheckOwners(meta, causes);
        CheckFinalizers(meta, causes);
    }

    /// <summary>What is wrong with the prefix that a name is about to be made of: a letter or digit will follow it.</summary>
    public static void CheckGenerateName(ResourceType type, string prefix, List<StatusCause> causes)
    {
        if (NameProblem(type, prefix + "x") is { } problem)
            causes.Add(Cause("FieldValueInvalid", "metadata.generateName", $"Invalid value: {Quoted(prefix)}: {problem}"));
    }

    private static string? NameProblem(ResourceType type, string name) => type switch
    {
        { Group: "", Plural: "namespaces" } => Schema.Rules.Names.Label(name),
        _ => Schema.Rules.Names.Subdomain(name),
    };

    private static string Quoted(string text) => "\"" + (text.Length <= 256 ? text : text[..256] + "…") + "\"";

    private static void CheckFinalizers(JsonObject meta, List<StatusCause> causes)
    {
        if (meta["finalizers"] is not { } finalizers)
            return;
        if (finalizers is not JsonArray list || list.Any(item => item is not JsonValue value || value.GetValueKind() != JsonValueKind.String))
        {
            causes.Add(Cause("FieldValueInvalid", "metadata.finalizers", "Invalid value: a list of names is needed, such as [\"example.com/hold\"]"));
            return;
        }
        string[] names = [.. Names(list)];
        for (int i = 0; i < names.Length; i++)
            if (LabelSyntax.KeyError(names[i]) is { } problem)
                causes.Add(Cause("FieldValueInvalid", $"metadata.finalizers[{i}]", $"Invalid value: {Quoted(names[i])}: {problem}, such as example.com/hold"));
        if (names.Contains(Verbs.Foreground) && names.Contains(Verbs.Orphan))
            causes.Add(Cause("FieldValueInvalid", "metadata.finalizers", $"Invalid value: {Verbs.Orphan} and {Verbs.Foreground} cannot be both set: take one out"));
    }

    private static void CheckMap(JsonObject meta, string field, List<StatusCause> causes, bool isLabel)
    {
        if (meta[field] is null)
            return;
        if (meta[field] is not JsonObject map)
        {
            causes.Add(Cause("FieldValueInvalid", $"metadata.{field}", "Invalid value: a map of strings is needed, such as {\"key\": \"value\"}"));
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
            causes.Add(Cause("FieldValueInvalid", "metadata.ownerReferences", "Invalid value: a list of references is needed, each with apiVersion, kind, name and uid"));
            return;
        }
        int controllers = 0;
        for (int i = 0; i < owners.Count; i++)
        {
            foreach (string field in (ReadOnlySpan<string>)["apiVersion", "kind", "name", "uid"])
                if (string.IsNullOrEmpty(owners[i].Text(field)))
                    causes.Add(Cause("FieldValueRequired", $"metadata.ownerReferences[{i}].{field}", $"Required value: must not be empty: take {field} from the owner"));
            if (owners[i] is JsonObject owner && owner["controller"] is JsonValue flag && flag.GetValueKind() == JsonValueKind.True)
                controllers++;
        }
        if (controllers > 1)
            causes.Add(Cause("FieldValueInvalid", "metadata.ownerReferences", "Invalid value: only one reference can have controller set to true: set it to false in the others"));
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
                causes.Add(Cause("FieldValueInvalid", $"metadata.{field}", $"Invalid value: {meta[field]!.ToJsonString()}: field is immutable: leave it out or as it is ({old[field]?.ToJsonString() ?? "not set"})"));
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
