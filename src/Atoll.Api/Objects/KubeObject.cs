using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Atoll.Api.Core;

namespace Atoll.Api.Objects;

/// <summary>
/// One Kubernetes object: an immutable JSON document (UTF-8) with its metadata parsed. The document is the truth and is
/// never rebuilt from a typed model, so fields that Atoll does not know survive every round trip. Typed readers go
/// through <see cref="View{T}"/>; writers take a copy with <see cref="ToNode"/> and make a new object.
/// </summary>
public sealed class KubeObject
{
    private readonly bool _isStored;
    private readonly string? _uid;
    private string? _key;
    private ObjectHead? _head;
    private object? _view;

    /// <summary>Parses a document. Throws <see cref="JsonException"/> when it is no JSON object or its metadata has wrong types.</summary>
    public KubeObject(ReadOnlyMemory<byte> utf8)
    {
        Utf8 = utf8;
        _head = ReadHead(utf8);
    }

    private KubeObject(ReadOnlyMemory<byte> utf8, string key, string uid)
    {
        Utf8 = utf8;
        (_key, _uid, _isStored) = (key, uid, true);
    }

    /// <summary>The whole document, as served.</summary>
    public ReadOnlyMemory<byte> Utf8 { get; }

    /// <summary>Group and version, such as <c>apps/v1</c>.</summary>
    public string ApiVersion => Head.ApiVersion ?? "";

    /// <summary>Kind in CamelCase.</summary>
    public string Kind => Head.Kind ?? "";

    /// <summary>Parsed metadata: read only, by convention of all callers.</summary>
    public ObjectMeta Metadata => Head.Metadata!;

    /// <summary>metadata.name.</summary>
    public string Name => _head is null ? _key![(_key!.IndexOf('/', StringComparison.Ordinal) + 1)..] : Metadata.Name ?? "";

    /// <summary>metadata.namespace; empty for cluster-wide objects.</summary>
    public string Namespace => _head is null ? _key![..Math.Max(0, _key!.IndexOf('/', StringComparison.Ordinal))] : Metadata.Namespace ?? "";

    /// <summary>metadata.uid: the identity of the object on every tier.</summary>
    public string Uid => _uid ?? Metadata.Uid ?? "";

    /// <summary>metadata.resourceVersion: opaque, of the server that issued it.</summary>
    public string ResourceVersion => (_head is null && _isStored ? StoredHead.ReadVersion(Utf8.Span) : Metadata.ResourceVersion) ?? "";

    /// <summary>True once deletion was asked for.</summary>
    public bool IsDeleting => Metadata.DeletionTimestamp is not null;

    /// <summary><c>namespace/name</c>, or the name alone for cluster-wide objects.</summary>
    public string Key => _key ??= Namespace.Length == 0 ? Name : $"{Namespace}/{Name}";

    /// <summary>See <see cref="PodFields.Of"/>: a few numbers, which stay.</summary>
    internal StrongBox<PodFields>? Fields { get; set; }

    private ObjectHead Head
    {
        get
        {
            if (_head is { } kept)
                return kept;
            ObjectHead head = StoredHead.Read(Utf8.Span);
            Read();
            _head = head;
            return head;
        }
    }

    /// <summary>
    /// An object out of a store, which checked it before: nothing is parsed until somebody asks, and the parsed forms are kept
    /// only while the object is among those read last (<see cref="RecentForms"/>), so that an idle object costs its bytes.
    /// </summary>
    /// <param name="utf8">The document.</param>
    /// <param name="key"><c>namespace/name</c> or <c>name</c>.</param>
    /// <param name="uid">metadata.uid.</param>
    /// <param name="fields">Of a pod, when they were read before.</param>
    public static KubeObject Stored(ReadOnlyMemory<byte> utf8, string key, string uid, StrongBox<PodFields>? fields = null) => new(utf8, key, uid) { Fields = fields };

    /// <summary>
    /// The fields that Atoll acts on, as a typed view over this document. Others may get the same one, so treat it as read
    /// only. Example: <c>pod.View(ApiJson.Default.Pod)</c>.
    /// </summary>
    public T View<T>(JsonTypeInfo<T> type) where T : class
    {
        if (_view is T kept)
            return kept;
        T view = (_isStored && typeof(T) == typeof(Pod) ? SharedSpecs.Read(this) as T : JsonSerializer.Deserialize(Utf8.Span, type)) ?? throw new JsonException("The document is null; an object is needed.");
        Read();
        _view = view;
        return view;
    }

    /// <summary>A fresh, mutable copy of the document.</summary>
    public JsonObject ToNode() => JsonNode.Parse(Utf8.Span)!.AsObject();

    /// <summary>An object of a mutable document; later changes to <paramref name="node"/> are not seen.</summary>
    public static KubeObject FromNode(JsonObject node)
    {
        ArgumentNullException.ThrowIfNull(node);
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, ApiJson.WriterOptions))
            node.WriteTo(writer);
        return new KubeObject(buffer.ToArray());
    }

    /// <summary>An object of a typed view (for documents that Atoll itself makes).</summary>
    public static KubeObject FromView<T>(T view, JsonTypeInfo<T> type) => new(JsonSerializer.SerializeToUtf8Bytes(view, type));

    /// <summary>Drops the parsed forms; whoever holds one keeps it.</summary>
    internal void Forget() => (_head, _view) = (null, null);

    private void Read()
    {
        if (_isStored && _head is null && _view is null)
            RecentForms.Keep(this);
    }

    private static ObjectHead ReadHead(ReadOnlyMemory<byte> utf8)
    {
        ObjectHead head = JsonSerializer.Deserialize(utf8.Span, ApiJson.Default.ObjectHead) ?? throw new JsonException("The document is null; an object is needed.");
        head.Metadata ??= new ObjectMeta();
        return head;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Kind} {Key} uid={Uid} rv={ResourceVersion}";
}

/// <summary>The head that every object shares.</summary>
public sealed class ObjectHead
{
    /// <summary>Group and version.</summary>
    public string? ApiVersion { get; set; }

    /// <summary>Kind.</summary>
    public string? Kind { get; set; }

    /// <summary>Metadata.</summary>
    public ObjectMeta? Metadata { get; set; }
}
