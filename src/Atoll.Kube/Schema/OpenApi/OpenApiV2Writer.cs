using System.Text;
using System.Text.Json;
using Atoll.Api.Objects;

namespace Atoll.Kube.Schema.OpenApi;

/// <summary>
/// Writes the OpenAPI v2 document as protobuf (messages of gnostic's openapi.v2 package), which kubectl before 1.24 needs
/// for explain and for checking what it creates. Field numbers are those of the published message definitions.
/// </summary>
internal static class OpenApiV2Writer
{
    public static byte[] Write(IReadOnlyList<ResourceType> resources, string[] descriptions)
    {
        var types = new SortedDictionary<string, TypeShape>(StringComparer.Ordinal);
        var paths = new SortedDictionary<string, ApiPath>(StringComparer.Ordinal);
        foreach (ResourceType resource in resources)
            foreach (ApiPath path in ApiOperations.Of(resource))
            {
                paths[path.Path] = path;
                foreach (ApiOperation operation in path.Operations)
                {
                    if (operation.Body is not null and not "patch")
                        ApiOperations.Close(Shapes.Instance.Get(operation.Body), types);
                    if (operation.Answer is not null)
                        ApiOperations.Close(Shapes.Instance.Get(operation.Answer), types);
                }
            }
        var pathList = new ProtoWriter();
        foreach (ApiPath path in paths.Values)
            pathList.Message(2, Named(path.Path, PathItem(path)));
        var definitions = new ProtoWriter();
        foreach (TypeShape type in types.Values)
            definitions.Message(1, Named(type.Name, Definition(type, descriptions)));
        return new ProtoWriter()
            .Text(1, "2.0")
            .Message(2, new ProtoWriter().Text(1, "Atoll").Text(2, "v1alpha1"))
            .Message(8, pathList)
            .Message(9, definitions)
            .Written.ToArray();
    }

    private static ProtoWriter Named(string name, ProtoWriter value) => new ProtoWriter().Text(1, name).Message(2, value);

    /// <summary>A vendor extension: its value is YAML, and JSON is YAML.</summary>
    private static ProtoWriter Extension(string name, string yaml) => Named(name, new ProtoWriter().Text(2, yaml));

    private static string Gvk(string gvk)
    {
        string[] parts = gvk.Split('/');
        return $"{{\"group\":\"{parts[0]}\",\"kind\":\"{parts[2]}\",\"version\":\"{parts[1]}\"}}\n";
    }

    private static ProtoWriter PathItem(ApiPath path)
    {
        var item = new ProtoWriter();
        foreach (ApiOperation operation in path.Operations)
            item.Message(operation.Method switch { "get" => 2, "put" => 3, "post" => 4, "delete" => 5, _ => 8 }, Operation(path, operation));
        if (path.HasName)
            item.Message(9, PathParameter("name"));
        if (path.HasNamespace)
            item.Message(9, PathParameter("namespace"));
        return item;
    }

    private static ProtoWriter Operation(ApiPath path, ApiOperation operation)
    {
        var result = new ProtoWriter().Text(5, OpenApiV3Writer.OperationId(path.Path, operation)).Text(6, "application/json");
        foreach (string media in operation.Body == "patch" ? ApiOperations.PatchTypes(operation.Gvk) : ["*/*"])
            result.Text(7, media);
        if (operation.Body is not null)
            result.Message(8, BodyParameter(operation));
        foreach ((string name, string type) in ApiOperations.QueryOf(operation))
            result.Message(8, QueryParameter(name, type));
        var response = new ProtoWriter().Text(1, "OK");
        if (operation.Answer is not null)
            response.Message(2, new ProtoWriter().Message(1, Reference(operation.Answer)));
        result.Message(9, new ProtoWriter().Message(1, Named(operation.Action == "post" ? "201" : "200", new ProtoWriter().Message(1, response))));
        result.Message(13, Extension("x-kubernetes-action", operation.Action + "\n"));
        return result.Message(13, Extension("x-kubernetes-group-version-kind", Gvk(operation.Gvk)));
    }

    private static ProtoWriter Reference(string type) => new ProtoWriter().Text(1, "#/definitions/" + type);

    private static ProtoWriter BodyParameter(ApiOperation operation)
    {
        ProtoWriter schema = operation.Body == "patch" ? Typed("object") : Reference(operation.Body!);
        ProtoWriter body = new ProtoWriter().Text(2, "body").Text(3, "body").Flag(4, operation.Body != ApiOperations.DeleteOptions).Message(5, schema);
        return Parameter(1, body);
    }

    /// <summary>ParametersItem → Parameter → BodyParameter (1) or NonBodyParameter (2).</summary>
    private static ProtoWriter Parameter(int form, ProtoWriter value) => new ProtoWriter().Message(1, new ProtoWriter().Message(form, value));

    private static ProtoWriter QueryParameter(string name, string type) =>
        Parameter(2, new ProtoWriter().Message(3, new ProtoWriter().Text(2, "query").Text(4, name).Text(6, type)));

    private static ProtoWriter PathParameter(string name) =>
        Parameter(2, new ProtoWriter().Message(4, new ProtoWriter().Flag(1, true).Text(2, "path").Text(4, name).Text(5, "string")));

    private static ProtoWriter Typed(string type) => new ProtoWriter().Message(22, new ProtoWriter().Text(1, type));

    private static ProtoWriter Definition(TypeShape type, string[] descriptions)
    {
        var schema = new ProtoWriter();
        if (descriptions[type.Line].Length > 0)
            schema.Text(4, descriptions[type.Line]);
        foreach (FieldShape field in type.Fields)
            if (field.Required)
                schema.Text(19, field.Name);
        schema.Message(22, new ProtoWriter().Text(1, "object"));
        if (type.Fields.Length > 0)
        {
            var properties = new ProtoWriter();
            foreach (FieldShape field in type.Fields)
                properties.Message(1, Named(field.Name, Field(field, descriptions[field.Line])));
            schema.Message(25, properties);
        }
        if (type.Gvk is not null)
            schema.Message(31, Extension("x-kubernetes-group-version-kind", $"[{Gvk(type.Gvk).TrimEnd()}]\n"));
        return schema;
    }

    private static ProtoWriter Field(FieldShape field, string description)
    {
        ProtoWriter schema;
        if (field.Form == ShapeForm.One)
            schema = Value(field);
        else if (field.Form == ShapeForm.List)
            schema = Typed("array").Message(23, new ProtoWriter().Message(1, Value(field)));
        else
            schema = Typed("object").Message(21, new ProtoWriter().Message(1, Value(field)));
        if (description.Length > 0)
            schema.Text(4, description);
        foreach ((string name, string[] values) in OpenApiExtensions.Of(field))
            schema.Message(31, Extension(name, name == "x-kubernetes-list-map-keys" ? List(values) : values[0] + "\n"));
        return schema;
    }

    private static string List(string[] values)
    {
        var yaml = new StringBuilder();
        foreach (string value in values)
            yaml.Append("- ").Append(JsonEncodedText.Encode(value)).Append('\n');
        return yaml.ToString();
    }

    private static ProtoWriter Value(FieldShape field)
    {
        switch (field.Kind)
        {
            case ShapeKind.Object:
                return Reference(field.TypeName!);
            case ShapeKind.Quantity:
                return Typed("string");
            case ShapeKind.IntOrString:
                return Typed("string").Text(2, "int-or-string");
            case ShapeKind.Time or ShapeKind.MicroTime:
                return Typed("string").Text(2, "date-time");
            case ShapeKind.Any:
                return Typed("object");
            default:
                (string type, string? format) = OpenApiExtensions.Scalar(field.Kind);
                ProtoWriter scalar = Typed(type);
                return format is null ? scalar : scalar.Text(2, format);
        }
    }
}
