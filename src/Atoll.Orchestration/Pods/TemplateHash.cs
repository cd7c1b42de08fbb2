using System.Buffers;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace Atoll.Orchestration.Pods;

/// <summary>
/// Equality and hash of pod templates by meaning: the order of fields and fields that are null do not count, nor does the
/// creationTimestamp that some clients write. The hash names replica sets and revisions, so it must never change
/// between versions of Atoll: FNV-1a of the canonical text, written in Kubernetes' safe alphabet.
/// </summary>
internal static class TemplateHash
{
    private const string Alphabet = "bcdfghjklmnpqrstvwxz2456789";

    /// <summary>The hash; <paramref name="collisions"/> makes another one after a name was found taken.</summary>
    public static string Of(JsonElement template, int collisions)
    {
        uint hash = 2166136261;
        foreach (byte b in Canonical(template, []))
            hash = (hash ^ b) * 16777619;
        foreach (byte b in Encoding.ASCII.GetBytes(collisions == 0 ? "" : collisions.ToString(CultureInfo.InvariantCulture)))
            hash = (hash ^ b) * 16777619;
        string digits = hash.ToString(CultureInfo.InvariantCulture);
        return string.Create(digits.Length, digits, static (span, text) =>
        {
            for (int i = 0; i < span.Length; i++)
                span[i] = Alphabet[text[i] % Alphabet.Length];
        });
    }

    /// <summary>True when two templates mean the same, leaving out the given labels.</summary>
    public static bool Equal(JsonElement left, JsonElement right, params string[] exceptLabels) =>
        Canonical(left, exceptLabels).AsSpan().SequenceEqual(Canonical(right, exceptLabels));

    /// <summary>The canonical text: fields sorted, nulls dropped.</summary>
    public static byte[] Canonical(JsonElement template, string[] exceptLabels)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer))
            Write(writer, template, 0, "", exceptLabels);
        return buffer.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter writer, JsonElement value, int depth, string path, string[] exceptLabels)
    {
        switch (value.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                foreach (JsonProperty field in value.EnumerateObject().OrderBy(f => f.Name, StringComparer.Ordinal))
                {
                    if (field.Value.ValueKind == JsonValueKind.Null || Skip(depth, path, field, exceptLabels))
                        continue;
                    writer.WritePropertyName(field.Name);
                    Write(writer, field.Value, depth + 1, depth < 2 ? $"{path}/{field.Name}" : path, exceptLabels);
                }
                writer.WriteEndObject();
                break;
            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (JsonElement item in value.EnumerateArray())
                    Write(writer, item, depth + 1, path, exceptLabels);
                writer.WriteEndArray();
                break;
            case JsonValueKind.Undefined:
                writer.WriteNullValue();
                break;
            default:
                value.WriteTo(writer);
                break;
        }
    }

    private static bool Skip(int depth, string path, JsonProperty field, string[] exceptLabels) =>
        (depth == 1 && path == "/metadata" && (field.Name == "creationTimestamp" || IsEmptyObject(field.Value)))
        || (depth == 2 && path == "/metadata/labels" && Array.IndexOf(exceptLabels, field.Name) >= 0);

    private static bool IsEmptyObject(JsonElement value) => value.ValueKind == JsonValueKind.Object && !value.EnumerateObject().Any();
}
