using System.Runtime.CompilerServices;
using System.Text;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Kube.Watch;

/// <summary>
/// One object in the cache: its bytes as served, and little else. What reads it gets one object for all, whose parsed form is
/// made when somebody asks and forgotten after a while, so that an idle object costs its bytes.
/// </summary>
internal sealed class CachedObject
{
    private KubeObject? _object;
    private string? _uid;

    /// <summary>A stored state; what it has in common with the state before (<paramref name="old"/>) is shared with it. <paramref name="nodeName"/> gives the text of a node's name, <paramref name="recent"/> the pods before of one reading.</summary>
    public CachedObject(string key, ReadOnlySpan<byte> stored, long revision, bool isPod, CachedObject? old = null, Func<ReadOnlySpan<byte>, string>? nodeName = null, RecentSpecs? recent = null)
    {
        Key = old?.Key ?? key;
        Revision = revision;
        Utf8 = ObjectBytes.WithRevision(stored, revision);
        // One pass over a pod's bytes for everybody who looks at it.
        PodFields fields = !isPod ? default : recent is null ? PodFields.Read(Utf8.Span) : PodFields.Read(Utf8, recent);
        if (!fields.Uid.Equals(default))
            _uid = Encoding.UTF8.GetString(Utf8.Span[fields.Uid]);
        if (old is not null && old.Uid == Uid)
            _uid = old.Uid;
        if (!isPod)
            return;
        string? node = !fields.IsBound ? null : nodeName is null ? Encoding.UTF8.GetString(Utf8.Span[fields.NodeName]) : nodeName(Utf8.Span[fields.NodeName]);
        NodeName = old?.NodeName == node ? old?.NodeName : node;
        _object = KubeObject.Stored(Utf8, Key, Uid, new StrongBox<PodFields>(fields));
    }

    private CachedObject(string key, byte[] document)
    {
        Key = key;
        Utf8 = document;
    }

    private CachedObject(CachedObject old, long revision)
    {
        Key = old.Key;
        Revision = revision;
        Utf8 = ObjectBytes.WithRevision(old.Utf8.Span, revision);
        _uid = old.Uid;
        NodeName = old.NodeName;
    }

    /// <summary><c>namespace/name</c> or <c>name</c>.</summary>
    public string Key { get; }

    public long Revision { get; }

    public ReadOnlyMemory<byte> Utf8 { get; }

    /// <summary>metadata.uid, looked up when somebody asks: who wrote the object and only answers with it does not.</summary>
    public string Uid => _uid ??= ObjectBytes.Find(Utf8.Span, "metadata", "uid") ?? "";

    /// <summary>Node of a pod, or null.</summary>
    public string? NodeName { get; internal set; }

    /// <summary>The object for readers; the same instance for all of them.</summary>
    public KubeObject Object => _object ?? Interlocked.CompareExchange(ref _object, KubeObject.Stored(Utf8, Key, Uid), null) ?? _object;

    /// <summary>An object that was checked and not stored: it has no revision.</summary>
    public static CachedObject Unstored(string key, byte[] document) => new(key, document);

    /// <summary>The same state under another revision: how a deletion is told.</summary>
    public CachedObject At(long revision) => new(this, revision);
}

/// <summary>One change of one object. Both states are set for a modification; never neither.</summary>
internal sealed class CacheChange(CachedObject? old, CachedObject? current, long revision)
{
    private CachedObject? _gone;

    public CachedObject? Old { get; } = old;

    public CachedObject? Current { get; } = current;

    public long Revision { get; } = revision;

    /// <summary>The old state under the revision of this change.</summary>
    public CachedObject Gone => _gone ??= Old!.At(Revision);
}
