using System.Text.Json;
using Atoll.Api.Objects;

namespace Atoll.Kube.Schema.OpenApi;

/// <summary>
/// Writes the OpenAPI v3 document of one group and version, laid out as kube-apiserver does (allOf around references,
/// x-kubernetes extensions), because kubectl explain, kubectl apply and validating clients look for exactly that.
/// </summary>
internal static class OpenApiV3Writer
{
    private const string Quantity = "io.k8s.apimachinery.pkg.api.resource.Quantity", IntOrString = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";
    private const string Time = "io.k8s.apimachinery.pkg.apis.meta.v1.Time", MicroTime = "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime", Patch = "io.k8s.apimachinery.pkg.apis.meta.v1.Patch";

    /// <summary>Writes the document of the resources, which share one group and version.</summary>
    public static void Write(Utf8JsonWriter json, IReadOnlyList<ResourceType> resources, string[] descriptions)
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
        json.WriteStartObject();
        json.WriteString("openapi", "3.0.0");
        json.WriteStartObject("info");
        json.WriteString("title", "Atoll");
        json.WriteString("version", "v1alpha1");
        json.WriteEndObject();
        json.WriteStartObject("paths");
        foreach (ApiPath path in paths.Values)
            WritePath(json, path);
        json.WriteEndObject();
        json.WriteStartObject("components");
        json.WriteStartObject("schemas");
        WriteScalars(json);
        foreach (TypeShape type in types.Values)
            WriteType(json, type, descriptions);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WritePath(Utf8JsonWriter json, ApiPath path)
    {
        json.WriteStartObject(path.Path);
        foreach (ApiOperation operation in path.Operations)
            WriteOperation(json, path, operation);
        if (path.HasNamespace || path.HasName)
        {
            json.WriteStartArray("parameters");
            if (path.HasName)
                WriteParameter(json, "name", "path", "string");
            if (path.HasNamespace)
                WriteParameter(json, "namespace", "path", "string");
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private static void WriteOperation(Utf8JsonWriter json, ApiPath path, ApiOperation operation)
    {
        json.WriteStartObject(operation.Method);
        json.WriteString("operationId", OperationId(path.Path, operation));
        (string Name, string Type)[] query = ApiOperations.QueryOf(operation);
        if (query.Length > 0)
        {
            json.WriteStartArray("parameters");
            foreach ((string name, string type) in query)
                WriteParameter(json, name, "query", type);
            json.WriteEndArray();
        }
        if (operation.Body is not null)
        {
            json.WriteStartObject("requestBody");
            json.WriteStartObject("content");
            foreach (string media in operation.Body == "patch" ? ApiOperations.PatchTypes(operation.Gvk) : ["*/*"])
                WriteMedia(json, media, operation.Body == "patch" ? Patch : operation.Body);
            json.WriteEndObject();
            if (operation.Body != ApiOperations.DeleteOptions)
                json.WriteBoolean("required", true);
            json.WriteEndObject();
        }
        WriteResponses(json, operation);
        json.WriteString("x-kubernetes-action", operation.Action);
        json.WritePropertyName("x-kubernetes-group-version-kind");
        WriteGvk(json, operation.Gvk);
        json.WriteEndObject();
    }

    private static void WriteResponses(Utf8JsonWriter json, ApiOperation operation)
    {
        json.WriteStartObject("responses");
        json.WriteStartObject(operation.Action == "post" ? "201" : "200");
        json.WriteString("description", operation.Action == "post" ? "Created" : "OK");
        json.WriteStartObject("content");
        if (operation.Answer is null)
        {
            json.WriteStartObject("text/plain");
            json.WriteStartObject("schema");
            json.WriteString("type", "string");
            json.WriteEndObject();
            json.WriteEndObject();
        }
        else
            WriteMedia(json, "application/json", operation.Answer);
        json.WriteEndObject();
        json.WriteEndObject();
        json.WriteStartObject("401");
        json.WriteString("description", "Unauthorized");
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteMedia(Utf8JsonWriter json, string media, string type)
    {
        json.WriteStartObject(media);
        json.WriteStartObject("schema");
        json.WriteString("$ref", "#/components/schemas/" + type);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteParameter(Utf8JsonWriter json, string name, string where, string type)
    {
        json.WriteStartObject();
        json.WriteString("name", name);
        json.WriteString("in", where);
        if (where == "path")
            json.WriteBoolean("required", true);
        json.WriteStartObject("schema");
        json.WriteString("type", type);
        json.WriteBoolean("uniqueItems", true);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static void WriteGvk(Utf8JsonWriter json, string gvk)
    {
        string[] parts = gvk.Split('/');
        json.WriteStartObject();
        json.WriteString("group", parts[0]);
        json.WriteString("kind", parts[2]);
        json.WriteString("version", parts[1]);
        json.WriteEndObject();
    }

    private static void WriteScalars(Utf8JsonWriter json)
    {
        json.WriteStartObject(Quantity);
        json.WriteString("description", "Quantity is a fixed-point number with an optional suffix: m, k, M, G, T, P, E (powers of 1000) or Ki, Mi, Gi, Ti, Pi, Ei (powers of 1024). Examples: 100m, 1.5, 64Mi.");
        WriteOneOf(json, "string", "number");
        json.WriteEndObject();
        json.WriteStartObject(IntOrString);
        json.WriteString("description", "IntOrString is an integer or a string, such as a port by number or name, a count or a percentage.");
        json.WriteString("format", "int-or-string");
        json.WriteBoolean("x-kubernetes-int-or-string", true);
        WriteOneOf(json, "integer", "string");
        json.WriteEndObject();
        json.WriteStartObject(Time);
        json.WriteString("description", "A time in RFC 3339, in whole seconds.");
        json.WriteString("format", "date-time");
        json.WriteString("type", "string");
        json.WriteEndObject();
        json.WriteStartObject(MicroTime);
        json.WriteString("description", "A time in RFC 3339, with microseconds.");
        json.WriteString("format", "date-time");
        json.WriteString("type", "string");
        json.WriteEndObject();
        json.WriteStartObject(Patch);
        json.WriteString("description", "Patch gives a partial or whole change of an object, in the form that the content type says.");
        json.WriteString("type", "object");
        json.WriteEndObject();
    }

    private static void WriteOneOf(Utf8JsonWriter json, params string[] types)
    {
        json.WriteStartArray("oneOf");
        foreach (string type in types)
        {
            json.WriteStartObject();
            json.WriteString("type", type);
            json.WriteEndObject();
        }
        json.WriteEndArray();
    }

    private static void WriteType(Utf8JsonWriter json, TypeShape type, string[] descriptions)
    {
        json.WriteStartObject(type.Name);
        WriteDescription(json, descriptions[type.Line]);
        json.WriteString("type", "object");
        bool required = false;
        foreach (FieldShape field in type.Fields)
            if (field.Required)
            {
                if (!required)
                    json.WriteStartArray("required");
                required = true;
                json.WriteStringValue(field.Name);
            }
        if (required)
            json.WriteEndArray();
        if (type.Fields.Length > 0)
        {
            json.WriteStartObject("properties");
            foreach (FieldShape field in type.Fields)
                WriteField(json, field, descriptions[field.Line]);
            json.WriteEndObject();
        }
        if (OpenApiExtensions.IsAtomic(type))
            json.WriteString("x-kubernetes-map-type", "atomic");
        if (type.Gvk is not null)
        {
            json.WriteStartArray("x-kubernetes-group-version-kind");
            WriteGvk(json, type.Gvk);
            json.WriteEndArray();
        }
        json.WriteEndObject();
    }

    private static void WriteDescription(Utf8JsonWriter json, string description)
    {
        if (description.Length > 0)
            json.WriteString("description", description);
    }

    private static void WriteField(Utf8JsonWriter json, FieldShape field, string description)
    {
        json.WriteStartObject(field.Name);
        WriteDescription(json, description);
        if (field.Form == ShapeForm.One)
            WriteValue(json, field, inField: true);
        else
        {
            json.WriteString("type", field.Form == ShapeForm.List ? "array" : "object");
            json.WriteStartObject(field.Form == ShapeForm.List ? "items" : "additionalProperties");
            WriteValue(json, field, inField: false);
            json.WriteEndObject();
        }
        foreach ((string name, string[] values) in OpenApiExtensions.Of(field))
            if (name == "x-kubernetes-list-map-keys")
            {
                json.WriteStartArray(name);
                foreach (string value in values)
                    json.WriteStringValue(value);
                json.WriteEndArray();
            }
            else
                json.WriteString(name, values[0]);
        json.WriteEndObject();
    }

    private static void WriteValue(Utf8JsonWriter json, FieldShape field, bool inField)
    {
        switch (field.Kind)
        {
            case ShapeKind.Object: WriteReference(json, field.TypeName!); break;
            case ShapeKind.Quantity: WriteReference(json, Quantity); break;
            case ShapeKind.IntOrString: WriteReference(json, IntOrString); break;
            case ShapeKind.Time: WriteReference(json, Time); break;
            case ShapeKind.MicroTime: WriteReference(json, MicroTime); break;
            case ShapeKind.Any: json.WriteString("type", "object"); break;
            default: WriteScalar(json, field, inField); break;
        }
    }

    private static void WriteScalar(Utf8JsonWriter json, FieldShape field, bool inField)
    {
        (string type, string? format) = OpenApiExtensions.Scalar(field.Kind);
        json.WriteString("type", type);
        if (format is not null)
            json.WriteString("format", format);
        if (!inField || (field.Required && field.Enum is null))
        {
            // Kubernetes' zero value: kubectl does not read it, generators of clients do.
            if (type == "string")
                json.WriteString("default", "");
            else if (type == "boolean")
                json.WriteBoolean("default", false);
            else
                json.WriteNumber("default", 0);
        }
        if (field.Enum is { } allowed)
        {
            json.WriteStartArray("enum");
            foreach (string value in allowed)
                json.WriteStringValue(value);
            json.WriteEndArray();
        }
    }

    private static void WriteReference(Utf8JsonWriter json, string type)
    {
        json.WriteStartArray("allOf");
        json.WriteStartObject();
        json.WriteString("$ref", "#/components/schemas/" + type);
        json.WriteEndObject();
        json.WriteEndArray();
    }

    /// <summary>An id that is unique in the document: the action and the path's words.</summary>
    internal static string OperationId(string path, ApiOperation operation)
    {
        var id = new System.Text.StringBuilder(operation.Action == "connect" ? operation.Method + "Connect" : operation.Action);
        foreach (string word in path.Split('/', '.', '-'))
            if (word.Length > 0)
            {
                string plain = word.Trim('{', '}');
                id.Append(char.ToUpperInvariant(plain[0])).Append(plain.AsSpan(1));
            }
        return id.ToString();
    }
}
