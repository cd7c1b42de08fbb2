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
/// body of a pod that has ended carries its status, and its version moves with that end: the site may have lost everything and begin it anew,
/// or be led by a node that has not heard what the one before told.
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
    public ReadOnlyMemory<byte> Body => _body ?? Write(Key, _value, out _, withEnd: true).WrittenSpan.ToArray();

    /// <summary>Hash of the body, never 0. Made when it is asked for: of most pods that wait for a node it never is.</summary>
    public long Version
    {
        get
        {
            long version = Volatile.Read(ref _version);
            if (version == 0)
            {
                long end = 0;
                ReadOnlySpan<byte> body = _body ?? Write(Key, _value, out end).WrittenSpan;
                Volatile.Write(ref _version, version = Math.Max(1, (long)XxHash3.HashToUInt64(body, end) & VersionMask));
            }
            return version;
        }
    }

    /// <summary>The item of an object.</summary>
    public static ScopeItem Of(ObjectKey key, KubeObject value) =>
        new(key, value, key.Type == Kinds.Pod || key.Type == Kinds.Node ? null : Write(key, value, out _).WrittenSpan.ToArray());

    /// <summary>The object has another state of the same version: the former one need not be kept.</summary>
    public void Renew(KubeObject value) => _value = value;

    // Stored documents have no blanks: what stays is copied as it is.
    private static ArrayBufferWriter<byte> Write(ObjectKey key, KubeObject value, out long end, bool withEnd = false)
    {
        end = 0;
        ArrayBufferWriter<byte> body = t_buffer ??= new ArrayBufferWriter<byte>(4096);
        body.ResetWrittenCount();
        bool statusIsTheSites = key.Type == Kinds.Pod || key.Type == Kinds.Node || key.Type == Kinds.Site;
        ReadOnlySpan<byte> document = value.Utf8.Span;
        bool marked = key.Type == Kinds.Node && document.IndexOf(s_unreachable) >= 0;
        char before = '{';
        for (var at = new Property(document, 0); at.Next();)
        {
            if (at.Is("metadata"u8) && document[at.Value] == '{')
            {
                Put(body, ref before, document[at.Name..at.Value]);
                WriteMetadata(body, document[at.Value..at.End]);
            }
            else if (marked && at.Is("spec"u8))
            {
                Put(body, ref before, document[at.Name..at.Value]);
                WriteNodeSpec(body, value.Utf8[at.Value..at.End]);
            }
            else if (!statusIsTheSites || !at.Is("status"u8) || (key.Type == Kinds.Pod && (end = EndOf(document[at.Value..at.End])) != 0 && withEnd))
                Put(body, ref before, document[at.Name..at.End]);
        }
        if (before == '{')
            body.Write("{"u8);
        body.Write("}"u8);
        return body;
    }

    // 0 for a pod that has not ended, else another number for each way to end.
    private static long EndOf(ReadOnlySpan<byte> status) =>
        status.IndexOf("\"phase\":\"Succeeded\""u8) >= 0 ? 1 : status.IndexOf("\"phase\":\"Failed\""u8) < 0 ? 0 : status.IndexOf("\"reason\":\"NodeLost\""u8) < 0 ? 2 : 3;

    private static void WriteMetadata(ArrayBufferWriter<byte> body, ReadOnlySpan<byte> metadata)
    {
        char before = '{';
        for (var at = new Property(metadata, 0); at.Next();)
            if (!at.Is("resourceVersion"u8) && !at.Is("managedFields"u8))
                Put(body, ref before, metadata[at.Name..at.End]);
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

    /// <summary>
    /// One property after the other of an object in a document that was checked before. It only looks for where each ends, which is
    /// several times as fast as to read every token: a centre that starts does this with everything that its sites hold.
    /// </summary>
    private ref struct Property(ReadOnlySpan<byte> document, int start)
    {
        private readonly ReadOnlySpan<byte> _document = document;
        private int _nameEnd;

        /// <summary>Where its name begins, with the quote.</summary>
        public int Name { get; private set; } = start;

        /// <summary>Where its value begins.</summary>
        public int Value { get; private set; } = start;

        /// <summary>Where its value has ended.</summary>
        public int End { get; private set; } = start;

        public readonly bool Is(ReadOnlySpan<byte> name) => _document[(Name + 1)..(_nameEnd - 1)].SequenceEqual(name);

        /// <summary>Goes to the next; false when there is none.</summary>
        public bool Next()
        {
            int at = End;
            while (_document[at] != '"')
                if (_document[at++] == '}')
                    return false;
            Name = at;
            _nameEnd = AfterString(at);
            at = _nameEnd;
            while (_document[at] is (byte)':' or <= (byte)' ')
                at++;
            Value = at;
            End = AfterValue(at);
            return true;
        }

        private readonly int AfterString(int at)
        {
            while (true)
            {
                at += 1 + _document[(at + 1)..].IndexOfAny((byte)'"', (byte)'\\');
                if (_document[at] == '"')
                    return at + 1;
                at++; // What is escaped is no end.
            }
        }

        private readonly int AfterValue(int at)
        {
            for (int depth = 0; ; at++)
            {
                byte next = _document[at];
                if (next == '"')
                    at = AfterString(at) - 1;
                else if (next is (byte)'{' or (byte)'[')
                    depth++;
                else if (next is (byte)'}' or (byte)']')
                    depth--;
                else
                    // A number, true, false, null, or what stands between values.
                    if (depth > 0 || (at + 1 < _document.Length && _document[at + 1] is not ((byte)',' or (byte)'}' or (byte)']' or <= (byte)' ')))
                        continue;
                if (depth == 0)
                    return at + 1;
            }
        }
    }
}
