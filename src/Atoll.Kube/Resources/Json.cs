using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Kube.Schema;

namespace Atoll.Kube.Resources;

/// <summary>Small readers and writers of JSON trees.</summary>
internal static class Json
{
    /// <summary>Deepest document read.</summary>
    public const int MaxDepth = 64;

    /// <summary>The text of a property, or null when it is missing or no string.</summary>
    public static string? Text(this JsonNode? node, string name) =>
        node is JsonObject map && map[name] is JsonValue value && value.GetValueKind() == JsonValueKind.String ? value.GetValue<string>() : null;

    /// <summary>The whole number of a property, or null.</summary>
    public static long? Number(this JsonNode? node, string name) =>
        node is JsonObject map && map[name] is JsonValue value && value.GetValueKind() == JsonValueKind.Number && value.TryGetValue(out long number) ? number : null;

    /// <summary>The object of a property, or null.</summary>
    public static JsonObject? Map(this JsonNode? node, string name) => node is JsonObject map ? map[name] as JsonObject : null;

    /// <summary>The array of a property, or null.</summary>
    public static JsonArray? List(this JsonNode? node, string name) => node is JsonObject map ? map[name] as JsonArray : null;

    /// <summary>The object of a property, made when it is missing.</summary>
    public static JsonObject Ensure(this JsonObject map, string name)
    {
        if (map[name] is JsonObject existing)
            return existing;
        JsonObject made = [];
        map[name] = made;
        return made;
    }

    /// <summary>Sets a property to a copy of a value, or removes it.</summary>
    public static void Put(this JsonObject map, string name, JsonNode? value)
    {
        if (value is null)
            map.Remove(name);
        else
            map[name] = value.DeepClone();
    }

    /// <summary>The tree's bytes.</summary>
    public static byte[] ToBytes(this JsonNode node)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, ApiJson.WriterOptions))
            node.WriteTo(writer);
        return buffer.ToArray();
    }

    /// <summary>
    /// Reads a document. Of duplicate fields the last counts, as in Kubernetes, and their paths are told. Throws
    /// <see cref="JsonException"/> when it is no JSON.
    /// </summary>
    public static JsonNode? Parse(ReadOnlySpan<byte> utf8, List<string>? duplicates)
    {
        var reader = new Utf8JsonReader(utf8, new JsonReaderOptions { MaxDepth = MaxDepth });
        if (!reader.Read())
            throw new JsonException("the body is empty");
        JsonNode? node = ReadNode(ref reader, null, duplicates);
        if (reader.Read())
            throw new JsonException("there is more than one document in the body");
        return node;
    }

    private static JsonNode? ReadNode(ref Utf8JsonReader reader, FieldPath? path, List<string>? duplicates)
    {
        switch (reader.TokenType)
        {
            case JsonTokenType.StartObject:
                return ReadObject(ref reader, path ?? FieldPath.Root, duplicates);
            case JsonTokenType.StartArray:
                JsonArray list = [];
                while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
                    list.Add(ReadNode(ref reader, (path ?? FieldPath.Root).Index(list.Count), duplicates));
                return list;
            case JsonTokenType.String:
                return JsonValue.Create(reader.GetString());
            case JsonTokenType.True:
                return JsonValue.Create(true);
            case JsonTokenType.False:
                return JsonValue.Create(false);
            case JsonTokenType.Null:
                return null;
            default:
                // Numbers keep their text, so that none loses digits; a short whole number has only one.
                return reader.ValueSpan is { Length: < 16 } digits && digits[0] != (byte)'-' && !digits.ContainsAny(".eE"u8)
                    ? JsonValue.Create(reader.GetInt64())
                    : JsonValue.Create(JsonElement.ParseValue(ref reader));
        }
    }

    private static JsonObject ReadObject(ref Utf8JsonReader reader, FieldPath path, List<string>? duplicates)
    {
        JsonObject map = [];
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            string name = reader.GetString()!;
            FieldPath child = path.Child(name);
            reader.Read();
            JsonNode? value = ReadNode(ref reader, child, duplicates);
            if (!map.TryAdd(name, value))
            {
                duplicates?.Add(child.ToString());
                map[name] = value;
            }
        }
        return map;
    }
}
