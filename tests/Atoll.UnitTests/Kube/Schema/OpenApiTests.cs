using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Schema;

namespace Atoll.UnitTests.Kube.Schema;

public sealed class OpenApiTests
{
    public static TheoryData<string, string, string> AllKinds()
    {
        var data = new TheoryData<string, string, string>();
        foreach (ResourceType type in Kinds.All)
            data.Add(type.Group, type.Version, type.Plural);
        return data;
    }

    [Theory]
    [MemberData(nameof(AllKinds))]
    public void Every_kind_has_a_schema_a_list_and_paths(string group, string version, string plural)
    {
        ResourceType type = Kinds.Find(group, version, plural)!;
        string document = group.Length == 0 ? $"api/{version}" : $"apis/{group}/{version}";
        Assert.Contains(ObjectSchemas.OpenApiPaths, p => p.Path == document && p.Hash.Length == 64);
        JsonNode json = JsonNode.Parse(ObjectSchemas.OpenApiV3(document)!.Value.Span)!;
        JsonObject schemas = json["components"]!["schemas"]!.AsObject();
        Assert.Contains(schemas, s => IsGvk(s.Value!, type.Kind));
        Assert.Contains(schemas, s => IsGvk(s.Value!, type.Kind + "List"));
        string path = $"/{document}/{(type.Namespaced ? "namespaces/{namespace}/" : "")}{plural}";
        JsonObject paths = json["paths"]!.AsObject();
        Assert.Equal(type.Kind, (string?)paths[path]!["post"]!["x-kubernetes-group-version-kind"]!["kind"]);
        JsonNode item = paths[path + "/{name}"]!;
        foreach (string method in new[] { "put", "patch" })
            foreach (string parameter in new[] { "dryRun", "fieldManager", "fieldValidation" })
                Assert.Contains(item[method]!["parameters"]!.AsArray(), p => (string?)p!["name"] == parameter);
        foreach (string subresource in type.Subresources)
            Assert.True(paths.ContainsKey($"{path}/{{name}}/{subresource}"), subresource);

        bool IsGvk(JsonNode schema, string kind) => schema["x-kubernetes-group-version-kind"] is JsonArray gvks
            && gvks.Any(g => (string?)g!["kind"] == kind && (string?)g["group"] == group && (string?)g["version"] == version);
    }

    [Fact]
    public void Every_reference_resolves()
    {
        foreach ((string path, _) in ObjectSchemas.OpenApiPaths)
        {
            JsonNode json = JsonNode.Parse(ObjectSchemas.OpenApiV3(path)!.Value.Span)!;
            JsonObject schemas = json["components"]!["schemas"]!.AsObject();
            var references = new List<string>();
            Collect(json, references);
            Assert.NotEmpty(references);
            Assert.All(references, r => Assert.True(schemas.ContainsKey(r["#/components/schemas/".Length..]), r));
        }

        static void Collect(JsonNode? node, List<string> into)
        {
            if (node is JsonArray list)
                foreach (JsonNode? item in list)
                    Collect(item, into);
            if (node is JsonObject map)
                foreach (KeyValuePair<string, JsonNode?> pair in map)
                    if (pair.Key == "$ref" && pair.Value is JsonValue)
                        into.Add((string)pair.Value!);
                    else
                        Collect(pair.Value, into);
        }
    }

    [Fact]
    public void Lists_say_how_they_merge_and_fields_are_described()
    {
        JsonNode schemas = JsonNode.Parse(ObjectSchemas.OpenApiV3("api/v1")!.Value.Span)!["components"]!["schemas"]!;
        JsonNode containers = schemas["io.k8s.api.core.v1.PodSpec"]!["properties"]!["containers"]!;
        Assert.Equal("name", (string?)containers["x-kubernetes-patch-merge-key"]);
        Assert.Equal("merge", (string?)containers["x-kubernetes-patch-strategy"]);
        Assert.StartsWith("List of containers belonging to the pod.", (string?)containers["description"], StringComparison.Ordinal);
        Assert.Equal("merge,retainKeys", (string?)schemas["io.k8s.api.core.v1.PodSpec"]!["properties"]!["volumes"]!["x-kubernetes-patch-strategy"]);
        JsonNode ports = schemas["io.k8s.api.core.v1.Container"]!["properties"]!["ports"]!;
        Assert.Equal("containerPort", (string?)ports["x-kubernetes-patch-merge-key"]);
        Assert.Equal(["containerPort", "protocol"], ports["x-kubernetes-list-map-keys"]!.AsArray().Select(k => (string?)k));
        JsonNode site = JsonNode.Parse(ObjectSchemas.OpenApiV3("apis/edge.atoll.dev/v1alpha1")!.Value.Span)!["components"]!["schemas"]!["dev.atoll.edge.v1alpha1.SiteSpec"]!;
        Assert.StartsWith("Tier: distance to the user", (string?)site["properties"]!["kind"]!["description"], StringComparison.Ordinal);
    }

    [Fact]
    public void No_type_that_people_read_lacks_a_description()
    {
        string[] descriptions = Shapes.Descriptions();
        foreach (TypeShape type in Shapes.Instance.All)
        {
            Assert.NotEqual("", descriptions[type.Line]);
            foreach (FieldShape field in type.Fields)
                Assert.True(descriptions[field.Line].Length > 0, $"{type.Name}.{field.Name}");
        }
    }

    [Fact]
    public void An_unknown_path_has_no_document() => Assert.Null(ObjectSchemas.OpenApiV3("apis/nope/v1"));

    [Fact]
    public void The_old_document_is_protobuf_that_names_every_definition()
    {
        ReadOnlySpan<byte> v2 = ObjectSchemas.OpenApiV2Protobuf().Span;
        Assert.Equal([0x0a, 3, (byte)'2', (byte)'.', (byte)'0'], v2[..5].ToArray());
        foreach (ResourceType type in Kinds.All)
            Assert.True(v2.IndexOf(System.Text.Encoding.UTF8.GetBytes(Shapes.Instance.Find(type.Group, type.Version, type.Kind)!.Name)) > 0, type.Kind);
    }
}
