using System.Buffers.Text;
using System.Text;
using System.Text.Json;

namespace Atoll.Kube.Watch;

/// <summary>Small operations on UTF-8 documents that do not build a tree.</summary>
internal static class ObjectBytes
{
    /// <summary>The document with metadata.resourceVersion set; a version that stands first in the metadata (as this method puts it) is replaced.</summary>
    public static byte[] WithRevision(ReadOnlySpan<byte> document, long revision)
    {
        var reader = new Utf8JsonReader(document);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool found = reader.ValueTextEquals("metadata"u8);
            reader.Read();
            if (!found || reader.TokenType != JsonTokenType.StartObject)
            {
                reader.Skip();
                continue;
            }
            int start = (int)reader.BytesConsumed;
            reader.Read();
            int end = start;
            if (reader.TokenType == JsonTokenType.PropertyName && reader.ValueTextEquals("resourceVersion"u8))
            {
                reader.Read();
                end = (int)reader.BytesConsumed;
                reader.Read();
                if (reader.TokenType != JsonTokenType.EndObject)
                    end = document[end..].IndexOf((byte)',') + end + 1;
            }
            return Splice(document, start, end, revision, reader.TokenType != JsonTokenType.EndObject);
        }
        throw new JsonException("A stored object has no metadata.");
    }

    private static byte[] Splice(ReadOnlySpan<byte> document, int start, int end, long revision, bool more)
    {
        Span<byte> digits = stackalloc byte[20];
        Utf8Formatter.TryFormat(revision, digits, out int length);
        ReadOnlySpan<byte> head = "\"resourceVersion\":\""u8;
        int inserted = head.Length + length + (more ? 2 : 1);
        byte[] result = new byte[document.Length - (end - start) + inserted];
        document[..start].CopyTo(result);
        Span<byte> at = result.AsSpan(start);
        head.CopyTo(at);
        digits[..length].CopyTo(at[head.Length..]);
        at[head.Length + length] = (byte)'"';
        if (more)
            at[head.Length + length + 1] = (byte)',';
        document[end..].CopyTo(at[inserted..]);
        return result;
    }

    /// <summary>The text of a string, number or boolean at a path of property names, or null when it is not there.</summary>
    public static string? Find(ReadOnlySpan<byte> document, params ReadOnlySpan<string> path)
    {
        var reader = new Utf8JsonReader(document);
        if (!reader.Read())
            return null;
        foreach (string name in path)
        {
            if (reader.TokenType != JsonTokenType.StartObject || !Enter(ref reader, name))
                return null;
        }
        return reader.TokenType switch
        {
            JsonTokenType.String => reader.GetString(),
            JsonTokenType.Number => Encoding.UTF8.GetString(reader.ValueSpan),
            JsonTokenType.True => "true",
            JsonTokenType.False => "false",
            _ => null,
        };
    }

    /// <summary>The bytes of a top-level property's value; <c>{}</c> when it is missing.</summary>
    public static ReadOnlySpan<byte> Slice(ReadOnlySpan<byte> document, string name)
    {
        var reader = new Utf8JsonReader(document);
        reader.Read();
        if (!Enter(ref reader, name))
            return "{}"u8;
        int start = (int)reader.TokenStartIndex;
        reader.Skip();
        return document[start..(int)reader.BytesConsumed];
    }

    private static bool Enter(ref Utf8JsonReader reader, string name)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool found = reader.ValueTextEquals(name);
            reader.Read();
            if (found)
                return true;
            reader.Skip();
        }
        return false;
    }
}
