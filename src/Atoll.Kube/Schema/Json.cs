using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Atoll.Kube.Schema;

/// <summary>Readers over documents that may have any shape: a value of the wrong type reads as absent, never as an exception.</summary>
internal static class Json
{
    public static JsonObject? Object(this JsonObject? node, string name) => node?[name] as JsonObject;

    public static JsonArray? Array(this JsonObject? node, string name) => node?[name] as JsonArray;

    public static string? Text(this JsonObject? node, string name) => AsText(node?[name]);

    public static bool Has(this JsonObject? node, string name) => node?[name] is not null;

    public static bool? Bool(this JsonObject? node, string name) => node?[name] is JsonValue value && value.GetValueKind() is JsonValueKind.True or JsonValueKind.False
        ? node[name]!.GetValueKind() == JsonValueKind.True
        : null;

    public static long? Long(this JsonObject? node, string name) => AsLong(node?[name]);

    public static double? Double(this JsonObject? node, string name) =>
        node?[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number && double.TryParse(value.ToJsonString(), NumberStyles.Float, CultureInfo.InvariantCulture, out double number) ? number : null;

    public static string? AsText(JsonNode? node) => node is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    public static long? AsLong(JsonNode? node) =>
        node is not JsonValue value || value.GetValueKind() != JsonValueKind.Number ? null
        : value.TryGetValue(out long whole) ? whole
        : long.TryParse(value.ToJsonString(), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long number) ? number : null;

    /// <summary>The objects of a list, with their indices; other members are skipped (the shape check reports them).</summary>
    public static IEnumerable<(int Index, JsonObject Item)> Objects(this JsonObject? node, string name)
    {
        JsonArray? array = node.Array(name);
        if (array is null)
            yield break;
        for (int i = 0; i < array.Count; i++)
            if (array[i] is JsonObject item)
                yield return (i, item);
    }

    /// <summary>The strings of a list, with their indices.</summary>
    public static IEnumerable<(int Index, string Item)> Texts(this JsonObject? node, string name)
    {
        JsonArray? array = node.Array(name);
        if (array is null)
            yield break;
        for (int i = 0; i < array.Count; i++)
            if (AsText(array[i]) is { } item)
                yield return (i, item);
    }

    /// <summary>The string values of a map.</summary>
    public static IEnumerable<KeyValuePair<string, string>> Map(this JsonObject? node, string name)
    {
        if (node.Object(name) is not { } map)
            yield break;
        foreach (KeyValuePair<string, JsonNode?> pair in map)
            if (AsText(pair.Value) is { } value)
                yield return new(pair.Key, value);
    }

    /// <summary>Sets a field when it is absent or null.</summary>
    public static void Default(this JsonObject node, string name, JsonNode value)
    {
        if (node[name] is null)
            node[name] = value;
    }

    /// <summary>The object of a field, made when absent; null when something else is there.</summary>
    public static JsonObject? Ensure(this JsonObject node, string name)
    {
        if (node[name] is null)
            node[name] = new JsonObject();
        return node[name] as JsonObject;
    }

    public static bool Same(JsonNode? a, JsonNode? b) => JsonNode.DeepEquals(a, b);
}
