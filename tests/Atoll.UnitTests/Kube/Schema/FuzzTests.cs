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
    public void No_document_breaks_it_and_defaults_are_idempotent() => Gen.Int.Each(4000, seed =>
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
    });

    /// <summary>Any value that the shape check accepts, in its less usual spellings too.</summary>
    private static JsonNode? Valid(FieldShape field, Random random, int depth) => field.Kind switch
    {
        ShapeKind.Object => Fill(field.Type!, random, depth + 1),
        ShapeKind.Text => field.Enum is { } allowed ? allowed[random.Next(allowed.Length)] : Pick(random, "", "a", "é\n\u0000", "1"),
        ShapeKind.Int32 => Pick(random, 0, -1, int.MaxValue, int.MinValue),
        ShapeKind.Int64 => Pick(random, 0L, -1L, long.MaxValue, long.MinValue),
        ShapeKind.Bool => random.Next(2) == 0,
        ShapeKind.Float => Pick(random, 0, 1.5, -3e9),
        ShapeKind.Time => Pick(random, "2026-01-02T03:04:05Z", "2026-01-02T03:04:05+02:00", "2026-01-02T03:04:05.123456Z", "2026-01-02t03:04:05z"),
        ShapeKind.MicroTime => Pick(random, "2026-01-02T03:04:05.000001Z", "2026-01-02T03:04:05.123456789Z"),
        ShapeKind.Bytes => Pick(random, "", "YQ==", "YWJj\nZGVm"),
        ShapeKind.Quantity => random.Next(3) switch { 0 => JsonValue.Create(2), 1 => JsonValue.Create(0.5), _ => Pick(random, "1", "100m", "1Gi", "1e3", "0.1") },
        ShapeKind.IntOrString => random.Next(2) == 0 ? Pick(random, 0, 80) : Pick(random, "25%", "http"),
        _ => Pick(random, "x", "y"),
    };

    private static JsonNode Pick<T>(Random random, params ReadOnlySpan<T> values) => JsonValue.Create(values[random.Next(values.Length)])!;

    private static JsonObject Fill(TypeShape type, Random random, int depth)
    {
        var result = new JsonObject();
        foreach (FieldShape field in type.Fields)
        {
            if (!field.Required && (depth > 8 || random.Next(3) > 0))
                continue;
            result[field.Name] = random.Next(12) == 0 && !field.Required ? null : field.Form switch
            {
                ShapeForm.List => new JsonArray(Valid(field, random, depth)),
                ShapeForm.Map => new JsonObject { ["k"] = Valid(field, random, depth), ["n"] = null },
                _ => Valid(field, random, depth),
            };
        }
        return result;
    }

    [Fact]
    public void What_the_shapes_accept_every_controller_can_read()
    {
        int read = 0;
        Gen.Int.Each(3000, seed => read += Read(seed));
        Assert.InRange(read, 1000, 3000);
    }

    private static int Read(int seed)
    {
        var random = new Random(seed);
        ResourceType type = Kinds.All[random.Next(Kinds.All.Count)];
        TypeShape shape = Shapes.Instance.Find(type.Group, type.Version, type.Kind)!;
        JsonObject document = Fill(shape, random, 0);
        ObjectSchemas.ApplyDefaults(type, document);
        var errors = new FieldErrors();
        ShapeCheck.Validate(shape, document, errors, statusOnly: false);
        if (errors.Causes.Count > 0)
            return 0;
        TypedCheck.Validate(type, document, errors);
        Assert.True(errors.Causes.Count == 0, $"{type.Kind}: {errors.Causes.FirstOrDefault()?.Field}: {document.ToJsonString()}");
        return 1;
    }
}
