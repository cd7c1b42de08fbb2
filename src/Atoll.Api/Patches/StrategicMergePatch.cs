using System.Text.Json;
using System.Text.Json.Nodes;

namespace Atoll.Api.Patches;

/// <summary>
/// Kubernetes' strategic merge patch: a merge patch in which lists that have a merge key are merged item by item, with
/// the directives <c>$patch</c>, <c>$retainKeys</c>, <c>$setElementOrder/…</c> and <c>$deleteFromPrimitiveList/…</c>.
/// Source: Kubernetes API conventions, "Strategic Merge Patch", and the patchMergeKey tags of its types.
/// </summary>
public static class StrategicMergePatch
{
    private const string Directive = "$patch", Retain = "$retainKeys", Order = "$setElementOrder/", DeletePrimitive = "$deleteFromPrimitiveList/";

    /// <summary>The document after the patch; both inputs stay as they are.</summary>
    public static PatchResult Apply(JsonObject document, JsonObject patch)
    {
        ArgumentNullException.ThrowIfNull(document);
        ArgumentNullException.ThrowIfNull(patch);
        try
        {
            return new PatchResult(MergeObject((JsonObject)document.DeepClone(), patch, ""), null);
        }
        catch (PatchException e)
        {
            return PatchResult.Fail(e.Message);
        }
    }

    /// <summary>Merges in place; <paramref name="field"/> is the name under which the object (or its list) stands.</summary>
    private static JsonObject MergeObject(JsonObject target, JsonObject patch, string field)
    {
        switch (DirectiveOf(patch))
        {
            case "replace":
                return Clean(patch, field);
            case "delete":
                return [];
        }
        if (patch.TryGetPropertyValue(Retain, out JsonNode? retain))
            RetainKeys(target, patch, retain);
        foreach ((string name, JsonNode? value) in patch)
        {
            if (name is Directive or Retain || name.StartsWith(DeletePrimitive, StringComparison.Ordinal))
                continue;
            if (name.StartsWith(Order, StringComparison.Ordinal))
            {
                ReorderOnly(target, patch, name[Order.Length..], field);
                continue;
            }
            if (value is null)
                target.Remove(name);
            else
                MergeValue(target, patch, name, value, field);
        }
        DeletePrimitives(target, patch);
        return target;
    }

    private static void MergeValue(JsonObject target, JsonObject patch, string name, JsonNode value, string field)
    {
        JsonNode? old = target[name];
        if (value is JsonObject map)
        {
            target[name] = old is JsonObject oldMap
                ? Detached(target, name, MergeObject(oldMap, map, name))
                : DirectiveOf(map) == "delete" ? null : Clean(map, name);
            if (target[name] is null)
                target.Remove(name);
        }
        else if (value is JsonArray list && MergeKeys.Of(name, field) is { } key)
        {
            JsonArray merged = key.Length == 0
                ? MergePrimitives(old as JsonArray, list)
                : MergeList(old as JsonArray, list, name, key);
            target[name] = OrderOf(patch, name) is { } order ? Sort(merged, list, order, old as JsonArray, key, name) : merged;
        }
        else
        {
            target[name] = value.DeepClone();
        }
    }

    // A node may have one parent: take the merged object out before it is put back.
    private static JsonObject Detached(JsonObject target, string name, JsonObject merged)
    {
        if (merged.Parent is not null)
            target.Remove(name);
        return merged;
    }

    private static JsonArray MergeList(JsonArray? old, JsonArray patch, string field, string key)
    {
        var result = new List<JsonObject>();
        foreach (JsonNode? item in patch)
            if (item is not JsonObject)
                throw new PatchException($"{field}: items must be objects with the merge key \"{key}\"");
        bool replace = patch.Any(item => DirectiveOf((JsonObject)item!) == "replace");
        if (old is not null && !replace)
            foreach (JsonNode? item in old)
                if (item is JsonObject existing)
                    result.Add((JsonObject)existing.DeepClone());
        foreach (JsonNode? item in patch)
        {
            var change = (JsonObject)item!;
            string? directive = DirectiveOf(change);
            if (directive == "replace" && !change.ContainsKey(key))
                continue; // The marker that the whole list is replaced.
            if (!change.TryGetPropertyValue(key, out JsonNode? identity) || identity is null)
                throw new PatchException($"{field}: map: {change.ToJsonString()} does not contain declared merge key: {key}");
            int index = result.FindIndex(candidate => Same(candidate[key], identity));
            if (directive == "delete")
                result.RemoveAll(candidate => Same(candidate[key], identity));
            else if (index >= 0)
                result[index] = MergeObject(result[index], change, field);
            else
                result.Add(Clean(change, field));
        }
        return new JsonArray([.. result]);
    }

    private static JsonArray MergePrimitives(JsonArray? old, JsonArray patch)
    {
        JsonArray result = [];
        foreach (JsonArray source in (ReadOnlySpan<JsonArray>)[old ?? [], patch])
            foreach (JsonNode? item in source)
                if (!result.Any(existing => Same(existing, item)))
                    result.Add(item?.DeepClone());
        return result;
    }

    private static void DeletePrimitives(JsonObject target, JsonObject patch)
    {
        foreach ((string name, JsonNode? value) in patch)
        {
            if (!name.StartsWith(DeletePrimitive, StringComparison.Ordinal))
                continue;
            if (value is not JsonArray gone)
                throw new PatchException($"{name} must be a list");
            if (target[name[DeletePrimitive.Length..]] is not JsonArray list)
                continue;
            for (int i = list.Count - 1; i >= 0; i--)
                if (gone.Any(item => Same(item, list[i])))
                    list.RemoveAt(i);
        }
    }

    private static void RetainKeys(JsonObject target, JsonObject patch, JsonNode? retain)
    {
        if (retain is not JsonArray list)
            throw new PatchException("$retainKeys must be a list");
        var kept = new HashSet<string>(StringComparer.Ordinal);
        foreach (JsonNode? item in list)
            if (item is JsonValue value && value.GetValueKind() == JsonValueKind.String)
                kept.Add(value.GetValue<string>());
        foreach ((string name, JsonNode? value) in patch)
            if (!name.StartsWith('$') && value is not null && !kept.Contains(name))
                throw new PatchException($"$retainKeys must contain every key of the patch; \"{name}\" is missing");
        foreach (string name in target.Select(pair => pair.Key).Where(name => !kept.Contains(name)).ToList())
            target.Remove(name);
    }

    // $setElementOrder without the list itself: only the order changes.
    private static void ReorderOnly(JsonObject target, JsonObject patch, string name, string field)
    {
        if (patch.ContainsKey(name) || target[name] is not JsonArray list || MergeKeys.Of(name, field) is not { } key || OrderOf(patch, name) is not { } order)
            return;
        target[name] = Sort((JsonArray)list.DeepClone(), [], order, list, key, name);
    }

    /// <summary>Items named in the order come in that order, the server's other items keep their relative place.</summary>
    private static JsonArray Sort(JsonArray merged, JsonArray patch, JsonArray order, JsonArray? server, string key, string field)
    {
        List<JsonNode?> wanted = [.. order.Select(item => Identity(item, key))];
        foreach (JsonNode? item in patch)
            if (!(item is JsonObject change && DirectiveOf(change) is not null) && !wanted.Exists(id => Same(id, Identity(item, key))))
                throw new PatchException($"{field}: the order in the patch list does not match the $setElementOrder list");
        List<JsonNode?> before = server is null ? [] : [.. server.Select(item => Identity(item, key))];
        List<JsonNode?> left = [], right = [];
        foreach (JsonNode? id in wanted)
            if (merged.FirstOrDefault(item => Same(Identity(item, key), id)) is { } found)
                left.Add(found);
        foreach (JsonNode? item in merged)
            if (!wanted.Exists(id => Same(id, Identity(item, key))))
                right.Add(item);
        right.Sort((a, b) => Index(before, a, key).CompareTo(Index(before, b, key)));
        JsonArray sorted = [];
        for (int i = 0, j = 0; i < left.Count || j < right.Count;)
        {
            bool takeLeft = j >= right.Count;
            if (i < left.Count && j < right.Count)
            {
                int l = Index(before, left[i], key), r = Index(before, right[j], key);
                takeLeft = l >= 0 && r >= 0 && l < r;
            }
            sorted.Add((takeLeft ? left[i++] : right[j++])?.DeepClone());
        }
        return sorted;
    }

    private static int Index(List<JsonNode?> order, JsonNode? item, string key)
    {
        JsonNode? id = Identity(item, key);
        return order.FindIndex(candidate => Same(candidate, id));
    }

    private static JsonNode? Identity(JsonNode? item, string key) => key.Length > 0 && item is JsonObject map ? map[key] : item;

    private static bool Same(JsonNode? a, JsonNode? b) => JsonNode.DeepEquals(a, b);

    private static JsonArray? OrderOf(JsonObject patch, string name) =>
        !patch.TryGetPropertyValue(Order + name, out JsonNode? order) ? null
        : order as JsonArray ?? throw new PatchException($"{Order}{name} must be a list");

    private static string? DirectiveOf(JsonObject patch)
    {
        if (!patch.TryGetPropertyValue(Directive, out JsonNode? value))
            return null;
        string? text = value is JsonValue known && known.GetValueKind() == JsonValueKind.String ? known.GetValue<string>() : null;
        return text is "replace" or "delete" or "merge" ? text : throw new PatchException($"unknown $patch directive {value?.ToJsonString() ?? "null"}: replace, delete and merge exist");
    }

    /// <summary>A copy without directives and nulls: what a patch means where nothing was before.</summary>
    private static JsonObject Clean(JsonObject patch, string field)
    {
        JsonObject result = [];
        foreach ((string name, JsonNode? value) in patch)
        {
            if (value is null || name is Directive or Retain || name.StartsWith(Order, StringComparison.Ordinal) || name.StartsWith(DeletePrimitive, StringComparison.Ordinal))
                continue;
            if (value is JsonObject map)
            {
                if (DirectiveOf(map) != "delete")
                    result[name] = Clean(map, name);
            }
            else if (value is JsonArray list && MergeKeys.Of(name, field) is { Length: > 0 } key)
            {
                result[name] = MergeList(null, list, name, key);
            }
            else
            {
                result[name] = value.DeepClone();
            }
        }
        return result;
    }

    private sealed class PatchException(string message) : Exception(message);
}
