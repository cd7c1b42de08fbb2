using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Kube.Resources;

/// <summary>core/v1 Event and events.k8s.io/v1 Event are one stored object (in the core form); only names of fields differ.</summary>
internal static class EventForms
{
    private static readonly (string Core, string Newer)[] s_names =
    [
        ("involvedObject", "regarding"), ("message", "note"), ("source", "deprecatedSource"), ("count", "deprecatedCount"),
        ("firstTimestamp", "deprecatedFirstTimestamp"), ("lastTimestamp", "deprecatedLastTimestamp"), ("reportingComponent", "reportingController"),
    ];

    /// <summary>True for the newer form, which must be converted.</summary>
    public static bool IsNewer(ResourceType type) => type.Group == Kinds.EventsEvent.Group && type.Plural == Kinds.EventsEvent.Plural;

    /// <summary>The stored form of what a client sent.</summary>
    public static JsonObject ToStored(ResourceType type, JsonObject document) => IsNewer(type) ? Rename(document, Kinds.Event.ApiVersion, toCore: true) : document;

    /// <summary>The form that a client of <paramref name="type"/> expects.</summary>
    public static JsonObject ToServed(ResourceType type, JsonObject document) => IsNewer(type) ? Rename(document, Kinds.EventsEvent.ApiVersion, toCore: false) : document;

    /// <summary>The form that a client of <paramref name="type"/> expects, as bytes.</summary>
    public static ReadOnlyMemory<byte> ToServed(ResourceType type, ReadOnlyMemory<byte> document) =>
        IsNewer(type) ? Rename(JsonNode.Parse(document.Span)!.AsObject(), Kinds.EventsEvent.ApiVersion, toCore: false).ToBytes() : document;

    private static JsonObject Rename(JsonObject document, string apiVersion, bool toCore)
    {
        JsonObject result = [];
        foreach ((string name, JsonNode? value) in document)
            result[Other(name, toCore)] = value?.DeepClone();
        result["apiVersion"] = apiVersion;
        return result;
    }

    private static string Other(string name, bool toCore)
    {
        foreach ((string core, string newer) in s_names)
            if (name == (toCore ? newer : core))
                return toCore ? core : newer;
        return name;
    }
}
