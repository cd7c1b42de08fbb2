using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Atoll.Api.Patches;

/// <summary>JSON Patch (RFC 6902) with JSON Pointer (RFC 6901). All operations happen or none.</summary>
public static class JsonPatch
{
    /// <summary>Most operations in one patch, as in Kubernetes.</summary>
    public const int MaxOperations = 10_000;

    /// <summary>The document after all operations, or the first one that failed.</summary>
    public static PatchResult Apply(JsonNode? document, JsonNode? patch)
    {
        if (patch is not JsonArray operations)
            return PatchResult.Fail("a JSON patch must be an array of operations");
        if (operations.Count > MaxOperations)
            return PatchResult.Fail($"the allowed maximum of operations in a JSON patch is {MaxOperations}, got {operations.Count}");
        JsonNode? root = document?.DeepClone();
        for (int i = 0; i < operations.Count; i++)
        {
            string? error = operations[i] is JsonObject operation ? ApplyOne(ref root, operation) : "an operation must be an object";
            if (error is not null)
                return PatchResult.Fail($"operation {i}: {error}");
        }
        return new PatchResult(root, null);
    }

    private static string? ApplyOne(ref JsonNode? root, JsonObject operation)
    {
        if (Text(operation, "op") is not { } op)
            return "\"op\" is missing";
        if (Text(operation, "path") is not { } path)
            return $"{op}: \"path\" is missing";
        if (!TryParse(path, out string[] tokens))
            return $"{op}: path \"{path}\" is no JSON pointer";
        switch (op)
        {
            case "add" or "replace" or "test":
                if (!operation.TryGetPropertyValue("value", out JsonNode? value))
                    return $"{op} {path}: \"value\" is missing";
                return op switch
                {
                    "add" => Add(ref root, tokens, path, value?.DeepClone()),
                    "replace" => Replace(ref root, tokens, path, value?.DeepClone()),
                    _ => Test(root, tokens, path, value),
                };
            case "remove":
                return Remove(ref root, tokens, path, out _);
            case "move" or "copy":
                if (Text(operation, "from") is not { } from || !TryParse(from, out string[] source))
                    return $"{op} {path}: \"from\" is missing or no JSON pointer";
                return op == "copy" ? Copy(ref root, source, from, tokens, path) : Move(ref root, source, from, tokens, path);
            default:
                return $"unknown operation \"{op}\": add, remove, replace, move, copy and test exist";
        }
    }

    private static string? Copy(ref JsonNode? root, string[] source, string from, string[] tokens, string path) =>
        TryGet(root, source, out JsonNode? found) ? Add(ref root, tokens, path, found?.DeepClone()) : Missing("copy", from);

    private static string? Move(ref JsonNode? root, string[] source, string from, string[] tokens, string path)
    {
        if (path.StartsWith(from + "/", StringComparison.Ordinal))
            return $"move {from}: a value cannot move into itself";
        return Remove(ref root, source, from, out JsonNode? moved) ?? Add(ref root, tokens, path, moved);
    }

    private static string? Test(JsonNode? root, string[] tokens, string path, JsonNode? expected)
    {
        // A missing value equals null, as in the library that Kubernetes uses.
        bool found = TryGet(root, tokens, out JsonNode? actual);
        return (found || expected is null) && JsonNode.DeepEquals(actual, expected) ? null : $"testing value {path} failed";
    }

    private static string? Add(ref JsonNode? root, string[] tokens, string path, JsonNode? value)
    {
        if (tokens.Length == 0)
        {
            root = value;
            return null;
        }
        if (!TryGet(root, tokens.AsSpan(0, tokens.Length - 1), out JsonNode? parent))
            return Missing("add", path);
        string last = tokens[^1];
        switch (parent)
        {
            case JsonObject map:
                map[last] = value;
                return null;
            case JsonArray list:
                if (last == "-")
                {
                    list.Add(value);
                    return null;
                }
                if (!TryIndex(last, list.Count + 1, out int index))
                    return $"add {path}: index \"{last}\" is outside the array of {list.Count}";
                list.Insert(index, value);
                return null;
            default:
                return Missing("add", path);
        }
    }

    private static string? Replace(ref JsonNode? root, string[] tokens, string path, JsonNode? value)
    {
        if (tokens.Length == 0)
        {
            root = value;
            return null;
        }
        if (!TryGet(root, tokens.AsSpan(0, tokens.Length - 1), out JsonNode? parent))
            return Missing("replace", path);
        string last = tokens[^1];
        switch (parent)
        {
            case JsonObject map when map.ContainsKey(last):
                map[last] = value;
                return null;
            case JsonArray list when TryIndex(last, list.Count, out int index):
                list[index] = value;
                return null;
            default:
                return Missing("replace", path);
        }
    }

    private static string? Remove(ref JsonNode? root, string[] tokens, string path, out JsonNode? removed)
    {
        removed = null;
        if (tokens.Length == 0)
        {
            removed = root;
            root = null;
            return null;
        }
        if (!TryGet(root, tokens.AsSpan(0, tokens.Length - 1), out JsonNode? parent))
            return Missing("remove", path);
        string last = tokens[^1];
        switch (parent)
        {
            case JsonObject map when map.TryGetPropertyValue(last, out removed):
                map.Remove(last);
                return null;
            case JsonArray list when TryIndex(last, list.Count, out int index):
                removed = list[index];
                list.RemoveAt(index);
                return null;
            default:
                return Missing("remove", path);
        }
    }

    private static bool TryGet(JsonNode? root, ReadOnlySpan<string> tokens, out JsonNode? value)
    {
        value = root;
        foreach (string token in tokens)
        {
            switch (value)
            {
                case JsonObject map when map.TryGetPropertyValue(token, out JsonNode? child):
                    value = child;
                    break;
                case JsonArray list when TryIndex(token, list.Count, out int index):
                    value = list[index];
                    break;
                default:
                    value = null;
                    return false;
            }
        }
        return true;
    }

    // RFC 6901: digits without leading zeros.
    private static bool TryIndex(string token, int count, out int index) =>
        int.TryParse(token, NumberStyles.None, CultureInfo.InvariantCulture, out index) && index < count && (token.Length == 1 || token[0] != '0');

    private static bool TryParse(string pointer, out string[] tokens)
    {
        tokens = [];
        if (pointer.Length == 0)
            return true;
        if (pointer[0] != '/')
            return false;
        tokens = pointer[1..].Split('/');
        for (int i = 0; i < tokens.Length; i++)
            tokens[i] = tokens[i].Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal);
        return true;
    }

    private static string? Text(JsonObject operation, string name) =>
        operation[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    private static string Missing(string op, string path) => $"{op} operation does not apply: doc is missing path: \"{path}\"";
}
