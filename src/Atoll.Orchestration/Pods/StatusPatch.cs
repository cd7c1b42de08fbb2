using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Orchestration.Pods;

/// <summary>Writes a status only when it says something new.</summary>
internal static class StatusPatch
{
    /// <summary>
    /// A merge patch with the fields of <paramref name="wanted"/> that differ from the object's status (null: the field
    /// should not be there), or null when nothing differs.
    /// </summary>
    public static JsonObject? Changes(KubeObject target, JsonObject wanted)
    {
        using JsonDocument document = JsonDocument.Parse(target.Utf8);
        bool has = document.RootElement.TryGetProperty("status", out JsonElement status) && status.ValueKind == JsonValueKind.Object;
        var changes = new JsonObject();
        foreach ((string field, JsonNode? value) in wanted)
        {
            JsonElement current = default;
            bool present = has && status.TryGetProperty(field, out current) && current.ValueKind != JsonValueKind.Null;
            JsonNode? known = present ? JsonNode.Parse(current.GetRawText()) : null;
            if (value is null ? present : !present || !Same(known, value))
                changes[field] = Replacing(known, value);
        }
        return changes.Count == 0 ? null : new JsonObject { ["status"] = changes };
    }

    /// <summary>A merge patch merges objects: what should not be there any more must be said.</summary>
    private static JsonNode? Replacing(JsonNode? current, JsonNode? wanted)
    {
        JsonNode? copy = wanted?.DeepClone();
        if (current is JsonObject had && copy is JsonObject has)
            foreach ((string field, JsonNode? _) in had)
                if (!has.ContainsKey(field))
                    has[field] = null;
        return copy;
    }

    private static bool Same(JsonNode? current, JsonNode wanted) =>
        JsonNode.DeepEquals(current, wanted) || (wanted is JsonArray { Count: 0 } && current is JsonArray { Count: 0 });
}
