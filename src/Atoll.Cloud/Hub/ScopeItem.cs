using System.Buffers;
using System.IO.Hashing;
using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Objects;

namespace Atoll.Cloud.Hub;

/// <summary>
/// An object as it travels to a site: without what the site itself writes (status of pods and nodes) and without what only
/// the issuing server means (resourceVersion, managedFields). Its version is a hash of that body, so it survives a restart
/// of the centre and moves only when the site has something new to learn: a status that came up is no reason to send it again. Only the
/// body of a pod that has ended carries its status, for a site that lost everything and would begin it anew.
/// </summary>
public sealed class ScopeItem
{
    // Versions stay below every store revision (epoch << 48): the link orders by digest, never by version.
    private const long VersionMask = (1L << 47) - 1;

    private static readonly byte[] s_unreachable = "node.kubernetes.io/unreachable"u8.ToArray();

    [ThreadStatic]
    private static ArrayBufferWriter<byte>? t_buffer;

    // Pods and nodes are many and each goes to one site: their body is made when it is sent. Others go to many sites: theirs is kept.
    private readonly byte[]? _body;
    private volatile KubeObject _value;
    private long _version;

    private ScopeItem(ObjectKey key, KubeObject value, byte[]? body)
    {
        Key = key;
        _value = value;
        _body = body;
    }

    /// <summary>Which object.</summary>
    public ObjectKey Key { get; }

    /// <summary>Its identity.</summary>
    public string Uid => _value.Uid;

    /// <summary>The document that the site gets.</summary>
    public ReadOnlyMemory<byte> Body => _body ?? Write(Key, _value, withEnd: true).WrittenSpan.ToArray();

    /// <summary>Hash of the body, never 0. Made when it is asked for: of most pods that wait for a node it never is.</summary>
    public long Version
    {
        get
        {
            long version = Volatile.Read(ref _version);
            if (version == 0)
                Volatile.Write(ref _version, version = Math.Max(1, (long)XxHash3.HashToUInt64(_body ?? Write(Key, _value).WrittenSpan) & VersionMask));
            return version;
        }
    }

    /// <summary>The item of an object.</summary>
    public static ScopeItem Of(ObjectKey key, KubeObject value) =>
        new(key, value, key.Type == Kinds.Pod || key.Type == Kinds.Node ? null : Write(key, value).WrittenSpan.ToArray());

    /// <summary>The object has another state of the same version: the former one need not be kept.</summary>
    public void Renew(KubeObject value) => _value = value;

    // Stored documents have no blanks: what stays is copied as it is.
    private static ArrayBufferWriter<byte> Write(ObjectKey key, KubeObject value, bool withEnd = false)
    {
        ArrayBufferWriter<byte> body = t_buffer ??= new ArrayBufferWriter<byte>(4096);
        body.ResetWrittenCount();
        bool statusIsTheSites = key.Type == Kinds.Pod || key.Type == Kinds.Node || key.Type == Kinds.Site;
        ReadOnlySpan<byte> document = value.Utf8.Span;
        bool marked = key.Type == Kinds.Node && document.IndexOf(s_unreachable) >= 0;
        var reader = new Utf8JsonReader(document);
        reader.Read();
        char before = '{';
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            int start = (int)reader.TokenStartIndex;
            bool metadata = reader.ValueTextEquals("metadata"u8), spec = marked && reader.ValueTextEquals("spec"u8);
            bool dropped = statusIsTheSites && reader.ValueTextEquals("status"u8);
            reader.Read();
            int at = (int)reader.TokenStartIndex;
            if (metadata && reader.TokenType == JsonTokenType.StartObject)
            {
                Put(body, ref before, document[start..at]);
                WriteMetadata(body, document, ref reader);
                continue;
            }
            reader.Skip();
            if (spec)
            {
                Put(body, ref before, document[start..at]);
                WriteNodeSpec(body, value.Utf8[at..(int)reader.BytesConsumed]);
            }
            else if (!dropped || (withEnd && key.Type == Kinds.Pod && HasEnded(document[at..(int)reader.BytesConsumed])))
                Put(body, ref before, document[start..(int)reader.BytesConsumed]);
        }
        if (before == '{')
            body.Write("{"u8);
        body.Write("}"u8);
        return body;
    }

    private static bool HasEnded(ReadOnlySpan<byte> status) => status.IndexOf("\"phase\":\"Succeeded\""u8) >= 0 || status.IndexOf("\"phase\":\"Failed\""u8) >= 0;

    private static void WriteMetadata(ArrayBufferWriter<byte> body, ReadOnlySpan<byte> document, ref Utf8JsonReader reader)
    {
        char before = '{';
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            int start = (int)reader.TokenStartIndex;
            bool dropped = reader.ValueTextEquals("resourceVersion"u8) || reader.ValueTextEquals("managedFields"u8);
            reader.Read();
            reader.Skip();
            if (!dropped)
                Put(body, ref before, document[start..(int)reader.BytesConsumed]);
        }
        if (before == '{')
            body.Write("{"u8);
        body.Write("}"u8);
    }

    private static void Put(ArrayBufferWriter<byte> body, ref char before, ReadOnlySpan<byte> bytes)
    {
        body.Write(before == '{' ? "{"u8 : ","u8);
        before = ',';
        body.Write(bytes);
    }

    // What the centre derives from the silence of the link is no news to the site, least of all when it is back.
    private static void WriteNodeSpec(ArrayBufferWriter<byte> body, ReadOnlyMemory<byte> bytes)
    {
        using var spec = JsonDocument.Parse(bytes);
        using var writer = new Utf8JsonWriter(body, ApiJson.WriterOptions);
        writer.WriteStartObject();
        foreach (JsonProperty property in spec.RootElement.EnumerateObject())
        {
            if (!property.NameEquals("taints"u8) || property.Value.ValueKind != JsonValueKind.Array)
            {
                property.WriteTo(writer);
                continue;
            }
            bool any = false;
            foreach (JsonElement taint in property.Value.EnumerateArray())
            {
                if (taint.TryGetProperty("key"u8, out JsonElement name) && name.ValueEquals(s_unreachable))
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
}
