using System.Text.Json.Nodes;

namespace Atoll.Api.Patches;

/// <summary>JSON Merge Patch (RFC 7386): objects merge, null removes, everything else replaces.</summary>
public static class MergePatch
{
    /// <summary>The document after the patch; both inputs stay as they are.</summary>
    public static JsonNode? Apply(JsonNode? document, JsonNode? patch)
    {
        if (patch is not JsonObject changes)
            return patch?.DeepClone();
        JsonObject target = document is JsonObject existing ? (JsonObject)existing.DeepClone() : [];
        MergeInto(target, changes);
        return target;
    }

    private static void MergeInto(JsonObject target, JsonObject changes)
    {
        foreach ((string name, JsonNode? value) in changes)
        {
            if (value is null)
            {
                target.Remove(name);
            }
            else if (value is JsonObject nested)
            {
                if (target[name] is not JsonObject inner)
                {
                    inner = [];
                    target[name] = inner;
                }
                MergeInto(inner, nested);
            }
            else
            {
                target[name] = value.DeepClone();
            }
        }
    }
}
