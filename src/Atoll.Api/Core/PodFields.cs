using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Atoll.Api.Objects;

namespace Atoll.Api.Core;

/// <summary>
/// Where in a pod's document the fields are that placement and scopes look at for every pod, found in one pass and without a typed
/// view: a view costs ten times as much, and 100,000 pods are looked at before a centre's first plan.
/// </summary>
public readonly record struct PodFields
{
    /// <summary>The bytes of <c>spec</c>.</summary>
    public Range Spec { get; private init; }

    /// <summary>The bytes of <c>status</c>; empty without one.</summary>
    public Range Status { get; private init; }

    /// <summary>The bytes of <c>metadata.labels</c>; empty without labels.</summary>
    public Range Labels { get; private init; }

    /// <summary>The text of <c>metadata.uid</c>; empty where it is missing or escaped.</summary>
    public Range Uid { get; private init; }

    /// <summary>False when the document certainly says nothing of Atoll's own: no key of ours, no runtime class that takes a whole node.</summary>
    public bool MayAskForMore { get; private init; }

    /// <summary>The text of <c>spec.nodeName</c>; empty without a node.</summary>
    public Range NodeName { get; private init; }

    /// <summary>True once deletion was asked for.</summary>
    public bool IsDeleting { get; private init; }

    /// <summary>True when <c>status.phase</c> is Succeeded or Failed.</summary>
    public bool IsOver { get; private init; }

    /// <summary><c>status.startTime</c>, else the creation time.</summary>
    public DateTimeOffset Since { get; private init; }

    /// <summary>True when the pod has a node.</summary>
    public bool IsBound => NodeName.End.Value > NodeName.Start.Value;

    /// <summary>The name of the pod's node, or null.</summary>
    public string? NodeOf(KubeObject pod) => IsBound ? Encoding.UTF8.GetString(pod.Utf8.Span[NodeName]) : null;

    /// <summary>The fields of a pod, read once for all who ask.</summary>
    public static PodFields Of(KubeObject pod)
    {
        ArgumentNullException.ThrowIfNull(pod);
        return (pod.Fields ??= new StrongBox<PodFields>(Read(pod.Utf8.Span))).Value;
    }

    /// <summary>Reads a stored pod. What has another type than it should is as if it were absent.</summary>
    public static PodFields Read(ReadOnlySpan<byte> document) => Read(document, null, default);

    /// <summary>The same for one of many: its spec is not parsed when it is in <paramref name="recent"/> but for its node.</summary>
    public static PodFields Read(ReadOnlyMemory<byte> document, RecentSpecs recent) => Read(document.Span, recent, document);

    private static PodFields Read(ReadOnlySpan<byte> document, RecentSpecs? recent, ReadOnlyMemory<byte> kept)
    {
        var reader = new Utf8JsonReader(document);
        // Searching bytes costs next to nothing, and nearly no pod has these.
        var fields = new PodFields { MayAskForMore = document.IndexOf("edge.atoll.dev/"u8) >= 0 || document.IndexOf("\"metal\""u8) >= 0 };
        DateTimeOffset? started = null;
        // Where the reader began; it begins again after what it passes over.
        int at = 0;
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool metadata = reader.ValueTextEquals("metadata"u8), spec = reader.ValueTextEquals("spec"u8), status = reader.ValueTextEquals("status"u8);
            if (spec && recent is not null && recent.Find(document, at + (int)reader.BytesConsumed) is { } found)
            {
                fields = fields with { Spec = found.Spec, NodeName = found.NodeName };
                at = found.Spec.End.Value;
                reader = new Utf8JsonReader(document[at..], isFinalBlock: true, found.After);
                continue;
            }
            reader.Read();
            if (reader.TokenType != JsonTokenType.StartObject || !(metadata || spec || status))
                reader.Skip();
            else if (metadata)
                fields = ReadMetadata(ref reader, at, fields);
            else if (spec)
            {
                fields = ReadSpec(ref reader, at, fields);
                recent?.Add(kept, fields.Spec, fields.NodeName, reader.CurrentState);
            }
            else
                fields = ReadStatus(ref reader, at, fields, ref started);
        }
        return started is { } since ? fields with { Since = since } : fields;
    }

    private static PodFields ReadMetadata(ref Utf8JsonReader reader, int at, PodFields fields)
    {
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool labels = reader.ValueTextEquals("labels"u8), uid = reader.ValueTextEquals("uid"u8), deleting = reader.ValueTextEquals("deletionTimestamp"u8), created = reader.ValueTextEquals("creationTimestamp"u8);
            reader.Read();
            int start = at + (int)reader.TokenStartIndex;
            if (uid && reader.TokenType == JsonTokenType.String && !reader.ValueIsEscaped)
                fields = fields with { Uid = (start + 1)..(at + (int)reader.BytesConsumed - 1) };
            else if (deleting && reader.TokenType == JsonTokenType.String)
                fields = fields with { IsDeleting = true };
            else if (created && reader.TokenType == JsonTokenType.String && reader.TryGetDateTimeOffset(out DateTimeOffset time))
                fields = fields with { Since = time };
            reader.Skip();
            if (labels)
                fields = fields with { Labels = start..(at + (int)reader.BytesConsumed) };
        }
        return fields;
    }

    private static PodFields ReadSpec(ref Utf8JsonReader reader, int at, PodFields fields)
    {
        int start = at + (int)reader.TokenStartIndex;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool node = reader.ValueTextEquals("nodeName"u8);
            reader.Read();
            if (node && reader.TokenType == JsonTokenType.String && reader.ValueSpan.Length > 0)
                fields = fields with { NodeName = (at + (int)reader.TokenStartIndex + 1)..(at + (int)reader.BytesConsumed - 1) };
            reader.Skip();
        }
        return fields with { Spec = start..(at + (int)reader.BytesConsumed) };
    }

    private static PodFields ReadStatus(ref Utf8JsonReader reader, int at, PodFields fields, ref DateTimeOffset? started)
    {
        int from = at + (int)reader.TokenStartIndex;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool phase = reader.ValueTextEquals("phase"u8), start = reader.ValueTextEquals("startTime"u8);
            reader.Read();
            if (phase && reader.TokenType == JsonTokenType.String)
                fields = fields with { IsOver = reader.ValueTextEquals("Succeeded"u8) || reader.ValueTextEquals("Failed"u8) };
            else if (start && reader.TokenType == JsonTokenType.String && reader.TryGetDateTimeOffset(out DateTimeOffset time))
                started = time;
            reader.Skip();
        }
        return fields with { Status = from..(at + (int)reader.BytesConsumed) };
    }
}

/// <summary>The specs that were parsed last of many pods that are read one after the other, by one thread.</summary>
public sealed class RecentSpecs
{
    // More templates than these rarely take turns; what does not fit is parsed.
    private const int Most = 16;

    private readonly (ReadOnlyMemory<byte> Document, Range Spec, Range NodeName, JsonReaderState After)[] _known = new (ReadOnlyMemory<byte>, Range, Range, JsonReaderState)[Most];
    private int _next;

    /// <summary>Where the spec and its node's name are in a document, when what is at <paramref name="start"/> is byte for byte one of these but for the node.</summary>
    internal (Range Spec, Range NodeName, JsonReaderState After)? Find(ReadOnlySpan<byte> document, int start)
    {
        foreach (ref readonly (ReadOnlyMemory<byte> Document, Range Spec, Range NodeName, JsonReaderState After) known in _known.AsSpan())
        {
            ReadOnlySpan<byte> spec = known.Document.Span[known.Spec];
            if (spec.IsEmpty)
                return null;
            int from = known.NodeName.Start.Value - known.Spec.Start.Value, length = known.NodeName.End.Value - known.NodeName.Start.Value;
            bool bound = length > 0;
            if (!document[start..].StartsWith(bound ? spec[..from] : spec))
                continue;
            if (!bound)
                return (start..(start + spec.Length), default, known.After);
            int now = document[(start + from)..].IndexOfAny((byte)'"', (byte)'\\');
            if (now > 0 && document[(start + from + now)..].StartsWith(spec[(from + length)..]))
                return (start..(start + spec.Length - length + now), (start + from)..(start + from + now), known.After);
        }
        return null;
    }

    internal void Add(ReadOnlyMemory<byte> document, Range spec, Range nodeName, JsonReaderState after) => _known[_next++ % Most] = (document, spec, nodeName, after);
}
