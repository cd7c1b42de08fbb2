using System.Text.Json.Nodes;
using Atoll.Kube.Schema;
using Atoll.Kube.Schema.OpenApi;

namespace Atoll.Kube.Apply;

/// <summary>How the value at a place is owned.</summary>
internal enum Ownership
{
    /// <summary>As a whole: a plain value, an atomic list or an atomic object.</summary>
    Whole,

    /// <summary>Field by field.</summary>
    Fields,

    /// <summary>Key by key: a map.</summary>
    Entries,

    /// <summary>Item by item, items known by their keys: a list of objects.</summary>
    Items,

    /// <summary>Value by value: a list that is a set.</summary>
    Values,
}

/// <summary>A place in a document of a kind, by the schema: what is there, and how several managers share it.</summary>
internal readonly record struct FieldPlace
{
    private readonly TypeShape? _type;
    private readonly FieldShape? _field;
    private readonly string[] _keys;

    private FieldPlace(TypeShape? type, FieldShape? field, Ownership ownership, string[] keys) => (_type, _field, Ownership, _keys) = (type, field, ownership, keys);

    /// <summary>How its value is owned.</summary>
    public Ownership Ownership { get; }

    /// <summary>The document as a whole.</summary>
    public static FieldPlace Root(TypeShape type) => new(type, null, Ownership.Fields, []);

    /// <summary>The place of a member of an object or map; null when the schema has none of the name.</summary>
    public FieldPlace? Member(string name)
    {
        if (Ownership == Ownership.Entries)
            return One(_field!);
        return _type!.Find(name) is not { } field ? null : field.Form switch
        {
            ShapeForm.One => One(field),
            // Kubernetes' selectors of pods and of nodes are one value.
            ShapeForm.Map => field.Name is "selector" or "nodeSelector" ? new(null, field, Ownership.Whole, []) : new(null, field, Ownership.Entries, []),
            _ => Listed(field),
        };
    }

    /// <summary>The place of an item of a list.</summary>
    public FieldPlace Item() => One(_field!);

    /// <summary>The path element of an item; null when a key of it is missing or it is no object.</summary>
    public string? ElementOf(JsonNode? item)
    {
        if (Ownership == Ownership.Values)
            return FieldSet.OfValue(item);
        if (item is not JsonObject map)
            return null;
        JsonObject keys = [];
        foreach (string key in _keys)
            if (map[key] is JsonValue value)
                keys[key] = value.DeepClone();
            else if (key == "protocol")
                keys[key] = "TCP"; // The one key that has a default.
            else
                return null;
        return FieldSet.OfKeys(keys);
    }

    /// <summary>Names of the keys, for messages.</summary>
    public string Keys => string.Join(", ", _keys);

    private static FieldPlace One(FieldShape field) =>
        field.Kind == ShapeKind.Object && !OpenApiExtensions.IsAtomic(field.Type!) ? new(field.Type, field, Ownership.Fields, []) : new(null, field, Ownership.Whole, []);

    private static FieldPlace Listed(FieldShape field) =>
        field.Has("a") ? new(null, field, Ownership.Whole, [])
        : (field.Flag("k=") ?? field.Flag("m=") ?? field.Flag("mr=")) is { } keys ? new(null, field, Ownership.Items, keys.Split(','))
        : field.Has("s") || field.Has("ms") ? new(null, field, Ownership.Values, [])
        : new(null, field, Ownership.Whole, []);
}

/// <summary>What is wrong with a configuration that was applied.</summary>
internal sealed class ApplyException(string message) : Exception(message);
