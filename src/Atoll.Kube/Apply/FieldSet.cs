using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;

namespace Atoll.Kube.Apply;

/// <summary>
/// A set of paths in a document, as a tree by path elements: <c>f:NAME</c> a field or a key of a map, <c>k:{…}</c> an item of a list by its keys,
/// <c>v:VALUE</c> a value of a set. The form in JSON is Kubernetes' FieldsV1. A set is never changed once others have it: the
/// operations make new ones, and may share parts.
/// </summary>
internal sealed class FieldSet
{
    private const string Self = ".";

    private readonly SortedDictionary<string, FieldSet> _children = new(StringComparer.Ordinal);

    /// <summary>True when the path that this node stands for is in the set itself, not only paths below it.</summary>
    public bool IsMember { get; set; }

    /// <summary>Paths below, by element.</summary>
    public IReadOnlyDictionary<string, FieldSet> Children => _children;

    /// <summary>True when no path is in it.</summary>
    public bool IsEmpty => !IsMember && _children.Count == 0;

    /// <summary>What is below an element, or null.</summary>
    public FieldSet? At(string element) => _children.GetValueOrDefault(element);

    /// <summary>Puts what is below an element; nothing is put for an empty set.</summary>
    public void Put(string element, FieldSet below)
    {
        if (!below.IsEmpty)
            _children[element] = below;
    }

    /// <summary>Paths in either.</summary>
    public FieldSet Union(FieldSet other)
    {
        var result = new FieldSet { IsMember = IsMember || other.IsMember };
        foreach ((string element, FieldSet below) in _children)
            result.Put(element, other.At(element) is { } also ? below.Union(also) : below);
        foreach ((string element, FieldSet below) in other._children)
            if (!_children.ContainsKey(element))
                result.Put(element, below);
        return result;
    }

    /// <summary>Paths in both.</summary>
    public FieldSet Intersect(FieldSet other)
    {
        var result = new FieldSet { IsMember = IsMember && other.IsMember };
        foreach ((string element, FieldSet below) in _children)
            if (other.At(element) is { } also)
                result.Put(element, below.Intersect(also));
        return result;
    }

    /// <summary>Paths in this and not in the other; with <paramref name="recursive"/> also without those below a path of the other.</summary>
    public FieldSet Except(FieldSet other, bool recursive = false)
    {
        var result = new FieldSet { IsMember = IsMember && !other.IsMember };
        foreach ((string element, FieldSet below) in _children)
            if (other.At(element) is not { } also)
                result.Put(element, below);
            else if (!recursive || !also.IsMember)
                result.Put(element, below.Except(also, recursive));
        return result;
    }

    /// <summary>True when both have the same paths.</summary>
    public bool SameAs(FieldSet other)
    {
        if (IsMember != other.IsMember || _children.Count != other._children.Count)
            return false;
        foreach ((string element, FieldSet below) in _children)
            if (other.At(element) is not { } also || !below.SameAs(also))
                return false;
        return true;
    }

    /// <summary>Every path of the set as people read it, such as <c>.spec.containers[name="c"].image</c>.</summary>
    public IEnumerable<string> Paths() => Paths("");

    private IEnumerable<string> Paths(string prefix)
    {
        foreach ((string element, FieldSet below) in _children)
        {
            string path = prefix + Readable(element);
            if (below.IsMember)
                yield return path;
            foreach (string deeper in below.Paths(path))
                yield return deeper;
        }
    }

    private static string Readable(string element)
    {
        if (element[0] == 'f')
            return "." + element[2..];
        JsonNode? value = JsonNode.Parse(element[2..]);
        return value is JsonObject keys && element[0] == 'k' ? $"[{string.Join(",", keys.Select(k => $"{k.Key}={k.Value?.ToJsonString()}"))}]" : $"[={element[2..]}]";
    }

    /// <summary>FieldsV1.</summary>
    public JsonObject ToJson()
    {
        JsonObject result = [];
        // A path without others below it needs no mark.
        if (IsMember && _children.Count > 0)
            result[Self] = new JsonObject();
        foreach ((string element, FieldSet below) in _children)
            result[element] = below.ToJson();
        return result;
    }

    /// <summary>Reads FieldsV1; null when it is none.</summary>
    public static FieldSet? FromJson(JsonNode? fields) => Read(fields, isRoot: true);

    private static FieldSet? Read(JsonNode? fields, bool isRoot)
    {
        if (fields is not JsonObject map)
            return null;
        var result = new FieldSet { IsMember = !isRoot && (map.Count == 0 || map.ContainsKey(Self)) };
        foreach ((string element, JsonNode? value) in map)
        {
            if (element == Self)
                continue;
            if (Canonical(element) is not { } known || Read(value, isRoot: false) is not { } below)
                return null;
            result.Put(known, below);
        }
        return result;
    }

    // Others may write the same keys with other spaces or in another order.
    private static string? Canonical(string element)
    {
        if (element.Length < 2 || element[1] != ':')
            return null;
        if (element[0] is 'f' or 'i')
            return element;
        try
        {
            JsonNode? value = JsonNode.Parse(element[2..]);
            return element[0] switch { 'k' => value is JsonObject keys ? OfKeys(keys) : null, 'v' => OfValue(value), _ => null };
        }
        catch (Exception e) when (e is JsonException or ArgumentException)
        {
            return null;
        }
    }

    /// <summary>The element of a list's item by its keys.</summary>
    public static string OfKeys(JsonObject keys)
    {
        JsonObject sorted = [];
        foreach ((string key, JsonNode? value) in keys.OrderBy(k => k.Key, StringComparer.Ordinal))
            sorted[key] = value?.DeepClone();
        return "k:" + Text(sorted);
    }

    /// <summary>The element of a value of a set.</summary>
    public static string OfValue(JsonNode? value) => "v:" + Text(value);

    /// <summary>The element of a field or a map's key.</summary>
    public static string OfField(string name) => "f:" + name;

    private static string Text(JsonNode? value)
    {
        if (value is null)
            return "null";
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, ApiJson.WriterOptions))
            value.WriteTo(writer);
        return Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length);
    }
}
