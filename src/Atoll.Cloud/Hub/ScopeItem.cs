using System.IO.Hashing;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Cloud.Hub;

/// <summary>
/// An object as it travels to a site: without what the site itself writes (status of pods and nodes) and without what only
/// the issuing server means (resourceVersion, managedFields). Its version is a hash of that body, so it survives a restart
/// of the centre and moves only when the site has something new to learn: a status that came up never goes down again.
/// </summary>
public sealed class ScopeItem
{
    // Versions stay below every store revision (epoch << 48): the link orders by digest, never by version.
    private const long VersionMask = (1L << 47) - 1;

    private ScopeItem(ObjectKey key, string uid, byte[] body, long version)
    {
        Key = key;
        Uid = uid;
        Body = body;
        Version = version;
    }

    /// <summary>Which object.</summary>
    public ObjectKey Key { get; }

    /// <summary>Its identity.</summary>
    public string Uid { get; }

    /// <summary>The document that the site gets.</summary>
    public ReadOnlyMemory<byte> Body { get; }

    /// <summary>Hash of the body, never 0.</summary>
    public long Version { get; }

    /// <summary>The item of an object.</summary>
    public static ScopeItem Of(ObjectKey key, KubeObject value)
    {
        bool statusIsTheSites = key.Type == Kinds.Pod || key.Type == Kinds.Node || key.Type == Kinds.Site;
        using var document = JsonDocument.Parse(value.Utf8);
        using var buffer = new MemoryStream(value.Utf8.Length);
        using (var writer = new Utf8JsonWriter(buffer, ApiJson.WriterOptions))
        {
            writer.WriteStartObject();
            foreach (JsonProperty property in document.RootElement.EnumerateObject())
                if (property.NameEquals("metadata"u8))
                    WriteMetadata(property.Value, writer);
                else if (key.Type == Kinds.Node && property.NameEquals("spec"u8))
                    WriteNodeSpec(property.Value, writer);
                else if (!statusIsTheSites || !property.NameEquals("status"u8))
                    property.WriteTo(writer);
            writer.WriteEndObject();
        }
        byte[] body = buffer.ToArray();
        return new ScopeItem(key, value.Uid, body, Math.Max(1, (long)XxHash3.HashToUInt64(body) & VersionMask));
    }

    // What the centre derives from the silence of the link is no news to the site, least of all when it is back.
    private static void WriteNodeSpec(JsonElement spec, Utf8JsonWriter writer)
    {
        writer.WriteStartObject("spec"u8);
        foreach (JsonProperty property in spec.EnumerateObject())
        {
            if (!property.NameEquals("taints"u8) || property.Value.ValueKind != JsonValueKind.Array)
            {
                property.WriteTo(writer);
                continue;
            }
            bool any = false;
            foreach (JsonElement taint in property.Value.EnumerateArray())
            {
                if (taint.TryGetProperty("key"u8, out JsonElement name) && name.ValueEquals("node.kubernetes.io/unreachable"u8))
                    continue;
                if (!any)
                    writer.WriteStartArray("taints"u8);
                any = true;
                taint.WriteTo(writer);
            }
            if (any)
                writer.WriteEndArray();
        }
        writer.WriteEndObject();
    }

    private static void WriteMetadata(JsonElement metadata, Utf8JsonWriter writer)
    {
        writer.WriteStartObject("metadata"u8);
        foreach (JsonProperty property in metadata.EnumerateObject())
            if (!property.NameEquals("resourceVersion"u8) && !property.NameEquals("managedFields"u8))
                property.WriteTo(writer);
        writer.WriteEndObject();
    }
}
