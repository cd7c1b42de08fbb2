using System.Text.Json;

namespace Atoll.Api.Objects;

/// <summary>
/// Reads the head of a stored document, which was checked before it was stored, and nothing behind it: metadata stands near the
/// beginning, and what follows is most of the bytes. A fleet's start reads the head of every object, and then some.
/// </summary>
internal static class StoredHead
{
    /// <summary>apiVersion, kind and metadata.</summary>
    public static ObjectHead Read(ReadOnlySpan<byte> document)
    {
        var head = new ObjectHead();
        var reader = new Utf8JsonReader(document);
        reader.Read();
        while ((head.ApiVersion is null || head.Kind is null || head.Metadata is null) && reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool version = reader.ValueTextEquals("apiVersion"u8), kind = reader.ValueTextEquals("kind"u8), metadata = reader.ValueTextEquals("metadata"u8);
            reader.Read();
            if (version && reader.TokenType == JsonTokenType.String)
                head.ApiVersion = reader.GetString();
            else if (kind && reader.TokenType == JsonTokenType.String)
                head.Kind = reader.GetString();
            else if (metadata)
                head.Metadata = JsonSerializer.Deserialize(ref reader, ApiJson.Default.ObjectMeta);
            else
                reader.Skip();
        }
        head.Metadata ??= new ObjectMeta();
        return head;
    }

    /// <summary>metadata.resourceVersion, which the API puts first in the metadata; null without one.</summary>
    public static string? ReadVersion(ReadOnlySpan<byte> document)
    {
        var reader = new Utf8JsonReader(document);
        return Enter(ref reader, "resourceVersion"u8) && reader.TokenType == JsonTokenType.String ? reader.GetString() : null;
    }

    /// <summary>The uids of metadata.ownerReferences, and whether one of the owners is the controller; null without any.</summary>
    public static List<string>? ReadOwners(ReadOnlySpan<byte> document, out bool controlled)
    {
        controlled = false;
        // Searching bytes costs less than reading them, and most kinds have no owners.
        var reader = new Utf8JsonReader(document);
        if (document.IndexOf("\"ownerReferences\""u8) < 0 || !Enter(ref reader, "ownerReferences"u8) || reader.TokenType != JsonTokenType.StartArray)
            return null;
        var owners = new List<string>(1);
        while (reader.Read() && reader.TokenType == JsonTokenType.StartObject)
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool uid = reader.ValueTextEquals("uid"u8), controller = reader.ValueTextEquals("controller"u8);
                reader.Read();
                if (uid && reader.TokenType == JsonTokenType.String)
                    owners.Add(reader.GetString()!);
                controlled |= controller && reader.TokenType == JsonTokenType.True;
                reader.Skip();
            }
        return owners;
    }

    // Stands on the value of a field of the metadata when it is there.
    private static bool Enter(ref Utf8JsonReader reader, ReadOnlySpan<byte> field)
    {
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool metadata = reader.ValueTextEquals("metadata"u8);
            reader.Read();
            if (!metadata || reader.TokenType != JsonTokenType.StartObject)
            {
                reader.Skip();
                continue;
            }
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                bool found = reader.ValueTextEquals(field);
                reader.Read();
                if (found)
                    return true;
                reader.Skip();
            }
            return false;
        }
        return false;
    }
}
