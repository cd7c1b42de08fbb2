using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Kube.Schema;
using Atoll.Kube.Tables;
using CsCheck;

namespace Atoll.UnitTests.Kube.Schema;

public sealed class FuzzTests
{
    /// <summary>A document along the type's fields in which any value may be of any kind.</summary>
    private static JsonNode? Make(TypeShape? type, Random random, int depth)
    {
        int dice = random.Next(type is null || depth > 9 ? 6 : 20);
        switch (dice)
        {
            case 0: return null;
            case 1: return JsonValue.Create(random.Next(-2, 3));
            case 2: return JsonValue.Create(random.Next(2) == 0);
            case 3: return JsonValue.Create(((string[])["", "a", "-1", "Always", "RollingUpdate", "50%", "A_b/..", "1Gi"])[random.Next(8)]);
            case 4: return new JsonArray();
            case 5: return new JsonObject();
        }
        var result = new JsonObject();
        foreach (FieldShape field in type!.Fields)
            if (random.Next(3) == 0 || (depth < 6 && field.Name is "spec" or "template" or "containers"))
                result[field.Name] = field.Form switch
                {
                    ShapeForm.List => random.Next(6) == 0 ? Make(null, random, depth + 1) : new JsonArray(Make(field.Type, random, depth + 1), Make(field.Type, random, depth + 1)),
                    ShapeForm.Map => random.Next(6) == 0 ? Make(null, random, depth + 1) : new JsonObject { ["k"] = Make(field.Type, random, depth + 1), ["cpu"] = "x" },
                    _ => Make(field.Type, random, depth + 1),
                };
        return result;
    }

    [Fact]
    public void No_document_breaks_it_and_defaults_are_idempotent() => Gen.Int.Sample(seed =>
    {
        var random = new Random(seed);
        ResourceType type = Kinds.All[random.Next(Kinds.All.Count)];
        TypeShape shape = Shapes.Instance.Find(type.Group, type.Version, type.Kind)!;
        if (Make(shape, random, 0) is not JsonObject document)
            return;
        var old = (JsonObject)document.DeepClone();
        ObjectSchemas.UnknownFields(type, document);
        ObjectSchemas.ApplyDefaults(type, document);
        JsonNode once = document.DeepClone();
        ObjectSchemas.ApplyDefaults(type, document);
        Assert.True(JsonNode.DeepEquals(once, document), document.ToJsonString());
        foreach (string? subresource in (string?[])[null, "status", "scale"])
        {
            ObjectSchemas.Validate(type, document, null, subresource);
            ObjectSchemas.Validate(type, document, old, subresource);
        }
        document["apiVersion"] = type.ApiVersion;
        document["kind"] = type.Kind;
        document["metadata"] = new JsonObject { ["name"] = "a" };
        using var writer = new Utf8JsonWriter(new MemoryStream());
        TablePrinter.WriteCells(type, new KubeObject(Encoding.UTF8.GetBytes(document.ToJsonString())), DateTimeOffset.UnixEpoch, writer);
    }, iter: 4000);
}
