using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Resources;

namespace Atoll.Kube.Discovery;

/// <summary>
/// What the server serves, told to clients: the legacy documents (/api, /apis and one for each group and version) and
/// the aggregated ones (apidiscovery.k8s.io). Built once from <see cref="Kinds.All"/>.
/// </summary>
internal sealed class DiscoveryDocuments
{
    private static readonly ResourceType[] s_reviews =
    [
        Review("authentication.k8s.io", "SelfSubjectReview"),
        Review("authorization.k8s.io", "SelfSubjectAccessReview"),
        Review("authorization.k8s.io", "SelfSubjectRulesReview"),
    ];

    private readonly List<(string Group, string Version, List<ResourceType> Types)> _groups = [];
    private readonly Dictionary<string, byte[]> _documents = new(StringComparer.Ordinal);

    public DiscoveryDocuments()
    {
        foreach (ResourceType type in Kinds.All.Concat(s_reviews))
            GroupOf(type.Group, type.Version).Add(type);
        // kubectl drain looks for the group before it evicts; the subresource is pods/eviction.
        GroupOf("policy", "v1");
        _documents["/api"] = new JsonObject
        {
            ["kind"] = "APIVersions",
            ["versions"] = new JsonArray("v1"),
            ["serverAddressByClientCIDRs"] = new JsonArray(),
        }.ToBytes();
        _documents["/apis"] = new JsonObject
        {
            ["kind"] = "APIGroupList",
            ["apiVersion"] = "v1",
            ["groups"] = new JsonArray([.. _groups.Where(g => g.Group.Length > 0).Select(g => (JsonNode)Group(g.Group, g.Version, top: false))]),
        }.ToBytes();
        foreach ((string group, string version, List<ResourceType> types) in _groups)
        {
            if (group.Length > 0)
                _documents[$"/apis/{group}"] = Group(group, version, top: true).ToBytes();
            _documents[group.Length == 0 ? $"/api/{version}" : $"/apis/{group}/{version}"] = Resources(group, version, types).ToBytes();
        }
        foreach (string version in (ReadOnlySpan<string>)["v2", "v2beta1"])
        {
            _documents[$"/api;{version}"] = Aggregated(version, core: true).ToBytes();
            _documents[$"/apis;{version}"] = Aggregated(version, core: false).ToBytes();
        }
    }

    /// <summary>The legacy document of a path, or null.</summary>
    public byte[]? Legacy(string path) => _documents.GetValueOrDefault(path);

    /// <summary>The aggregated document of /api or /apis in a version, or null.</summary>
    public byte[]? Aggregated(string path, string version) => _documents.GetValueOrDefault($"{path};{version}");

    /// <summary>The first paths that a visitor may follow.</summary>
    public IEnumerable<string> Paths => _documents.Keys.Where(path => !path.Contains(';', StringComparison.Ordinal));

    private static ResourceType Review(string group, string kind) =>
        new() { Group = group, Version = "v1", Kind = kind, Plural = kind.ToLowerInvariant() + "s", Namespaced = false, Verbs = ["create"] };

    private List<ResourceType> GroupOf(string group, string version)
    {
        foreach ((string known, string knownVersion, List<ResourceType> types) in _groups)
            if (known == group && knownVersion == version)
                return types;
        List<ResourceType> made = [];
        _groups.Add((group, version, made));
        return made;
    }

    private static JsonObject Group(string group, string version, bool top)
    {
        JsonObject GroupVersion() => new() { ["groupVersion"] = $"{group}/{version}", ["version"] = version };
        var result = new JsonObject();
        if (top)
        {
            result["kind"] = "APIGroup";
            result["apiVersion"] = "v1";
        }
        result["name"] = group;
        result["versions"] = new JsonArray(GroupVersion());
        result["preferredVersion"] = GroupVersion();
        return result;
    }

    private static JsonObject Resources(string group, string version, List<ResourceType> types)
    {
        JsonArray resources = [];
        foreach (ResourceType type in types)
        {
            var resource = new JsonObject
            {
                ["name"] = type.Plural,
                ["singularName"] = type.Singular,
                ["namespaced"] = type.Namespaced,
                ["kind"] = type.Kind,
                ["verbs"] = Texts(type.Verbs),
            };
            if (type.ShortNames.Count > 0)
                resource["shortNames"] = Texts(type.ShortNames);
            if (type.Categories.Count > 0)
                resource["categories"] = Texts(type.Categories);
            resources.Add((JsonNode)resource);
            foreach (string name in type.Subresources)
            {
                Subresource sub = Of(type, name);
                var entry = new JsonObject { ["name"] = $"{type.Plural}/{name}", ["singularName"] = "", ["namespaced"] = type.Namespaced };
                if (sub.Group != type.Group || sub.Version != type.Version)
                {
                    entry["group"] = sub.Group;
                    entry["version"] = sub.Version;
                }
                entry["kind"] = sub.Kind;
                entry["verbs"] = Texts(sub.Verbs);
                resources.Add((JsonNode)entry);
            }
        }
        return new JsonObject
        {
            ["kind"] = "APIResourceList",
            ["apiVersion"] = "v1",
            ["groupVersion"] = group.Length == 0 ? version : $"{group}/{version}",
            ["resources"] = resources,
        };
    }

    private JsonObject Aggregated(string version, bool core)
    {
        JsonArray items = [];
        foreach ((string group, string groupVersion, List<ResourceType> types) in _groups)
        {
            if (group.Length == 0 != core)
                continue;
            JsonArray resources = [.. types.Select(type => (JsonNode)AggregatedResource(type))];
            items.Add((JsonNode)new JsonObject
            {
                ["metadata"] = new JsonObject { ["name"] = group, ["creationTimestamp"] = null },
                ["versions"] = new JsonArray(new JsonObject { ["version"] = groupVersion, ["resources"] = resources, ["freshness"] = "Current" }),
            });
        }
        return new JsonObject { ["kind"] = "APIGroupDiscoveryList", ["apiVersion"] = $"apidiscovery.k8s.io/{version}", ["metadata"] = new JsonObject(), ["items"] = items };
    }

    private static JsonObject AggregatedResource(ResourceType type)
    {
        var resource = new JsonObject
        {
            ["resource"] = type.Plural,
            ["responseKind"] = Kind(type.Group, type.Version, type.Kind),
            ["scope"] = type.Namespaced ? "Namespaced" : "Cluster",
            ["singularResource"] = type.Singular,
            ["verbs"] = Texts(type.Verbs),
        };
        if (type.ShortNames.Count > 0)
            resource["shortNames"] = Texts(type.ShortNames);
        if (type.Categories.Count > 0)
            resource["categories"] = Texts(type.Categories);
        if (type.Subresources.Count == 0)
            return resource;
        JsonArray subresources = [];
        foreach (string name in type.Subresources)
        {
            Subresource sub = Of(type, name);
            subresources.Add((JsonNode)new JsonObject { ["subresource"] = name, ["responseKind"] = Kind(sub.Group, sub.Version, sub.Kind), ["verbs"] = Texts(sub.Verbs) });
        }
        resource["subresources"] = subresources;
        return resource;
    }

    private static Subresource Of(ResourceType type, string name) => name switch
    {
        "scale" => new("autoscaling", "v1", "Scale", ["get", "patch", "update"]),
        "binding" => new("", "v1", "Binding", ["create"]),
        "eviction" => new("policy", "v1", "Eviction", ["create"]),
        "exec" => new("", "v1", "PodExecOptions", ["create", "get"]),
        "attach" => new("", "v1", "PodAttachOptions", ["create", "get"]),
        "portforward" => new("", "v1", "PodPortForwardOptions", ["create", "get"]),
        "log" => new("", "v1", "Pod", ["get"]),
        "finalize" => new(type.Group, type.Version, type.Kind, ["update"]),
        _ => new(type.Group, type.Version, type.Kind, ["get", "patch", "update"]),
    };

    private static JsonObject Kind(string group, string version, string kind) => new() { ["group"] = group, ["version"] = version, ["kind"] = kind };

    private static JsonArray Texts(IReadOnlyList<string> values) => [.. values.Select(value => (JsonNode?)JsonValue.Create(value))];

    private sealed record Subresource(string Group, string Version, string Kind, string[] Verbs);
}
