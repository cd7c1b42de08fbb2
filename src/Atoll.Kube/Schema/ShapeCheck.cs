using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Quantities;

namespace Atoll.Kube.Schema;

/// <summary>Walks a document along its schema: types, required fields and enums, and fields that the schema does not know.</summary>
internal static class ShapeCheck
{
    internal const int MaxDepth = 64;

    /// <summary>Reports what does not have the shape of the type.</summary>
    public static void Validate(TypeShape type, JsonObject document, FieldErrors errors, bool statusOnly)
    {
        Object(type, document, FieldPath.Root, errors, 0, lenient: false, statusOnly);
    }

    /// <summary>Reports fields that the type does not have.</summary>
    public static void Unknown(TypeShape type, JsonObject document, List<string> unknown) => Unknown(type, document, FieldPath.Root, unknown, 0);

    private static void Object(TypeShape type, JsonObject value, FieldPath path, FieldErrors errors, int depth, bool lenient, bool statusOnly)
    {
        if (depth > MaxDepth)
            return;
        foreach (FieldShape field in type.Fields)
        {
            // Outcomes are reported by nodes of any version: only their types are checked.
            bool outcome = depth == 0 && field.Name == "status";
            if (statusOnly && depth == 0 && !outcome && field.Name != "metadata")
                continue;
            JsonNode? child = value[field.Name];
            if (child is null)
            {
                if (field.Required && !lenient && MustBeWritten(field))
                    errors.Required(path.Child(field.Name));
                continue;
            }
            Field(field, child, path.Child(field.Name), errors, depth, lenient || outcome, statusOnly);
        }
    }

    /// <summary>Numbers and free text have a usable zero in Kubernetes' decoder; what names or holds something has not.</summary>
    private static bool MustBeWritten(FieldShape field) => field.Form != ShapeForm.One || field.Kind == ShapeKind.Object
        ? field.Name != "metadata"
        : field.Kind is ShapeKind.Text or ShapeKind.IntOrString && field.Name is not ("value" or "whenUnsatisfiable");

    private static void Field(FieldShape field, JsonNode value, FieldPath path, FieldErrors errors, int depth, bool lenient, bool statusOnly)
    {
        if (field.Form == ShapeForm.List)
        {
            if (value is not JsonArray list)
            {
                errors.TypeInvalid(path, value, "must be a list");
                return;
            }
            for (int i = 0; i < list.Count; i++)
                if (list[i] is { } item)
                    One(field, item, path.Index(i), errors, depth, lenient, statusOnly);
                else if (field.Kind != ShapeKind.Any)
                    errors.TypeInvalid(path.Index(i), null, "must not be null");
        }
        else if (field.Form == ShapeForm.Map)
        {
            if (value is not JsonObject map)
            {
                errors.TypeInvalid(path, value, "must be an object");
                return;
            }
            foreach (KeyValuePair<string, JsonNode?> pair in map)
                if (pair.Value is not null)
                    One(field, pair.Value, path.Key(pair.Key), errors, depth, lenient, statusOnly);
        }
        else
            One(field, value, path, errors, depth, lenient, statusOnly);
    }

    private static void One(FieldShape field, JsonNode value, FieldPath path, FieldErrors errors, int depth, bool lenient, bool statusOnly)
    {
        if (field.Kind == ShapeKind.Object)
        {
            if (value is JsonObject child)
                Object(field.Type!, child, path, errors, depth + 1, lenient, statusOnly);
            else
                errors.TypeInvalid(path, value, "must be an object");
            return;
        }
        if (Problem(field.Kind, value) is { } problem)
        {
            if (field.Kind == ShapeKind.Quantity && value.GetValueKind() == JsonValueKind.String)
                errors.Invalid(path, value, problem);
            else
                errors.TypeInvalid(path, value, problem);
        }
        else if (field.Enum is { } allowed && !lenient && Json.AsText(value) is { } text && Array.IndexOf(allowed, text) < 0)
            errors.NotSupported(path, text, allowed);
    }

    private static string? Problem(ShapeKind kind, JsonNode value)
    {
        JsonValueKind json = value.GetValueKind();
        switch (kind)
        {
            case ShapeKind.Text:
                return json == JsonValueKind.String ? null : "must be a string";
            case ShapeKind.Bool:
                return json is JsonValueKind.True or JsonValueKind.False ? null : "must be a boolean";
            case ShapeKind.Float:
                return json == JsonValueKind.Number ? null : "must be a number";
            case ShapeKind.Int32:
                return Json.AsLong(value) is not { } number ? "must be an integer" : number is < int.MinValue or > int.MaxValue ? "must fit in 32 bits" : null;
            case ShapeKind.Int64:
                return Json.AsLong(value) is null ? "must be an integer" : null;
            case ShapeKind.IntOrString:
                return json == JsonValueKind.String || Json.AsLong(value) is >= int.MinValue and <= int.MaxValue ? null : "must be an integer or a string";
            case ShapeKind.Bytes:
                return Json.AsText(value) is { } data && IsBase64(data) ? null : "must be base64";
            case ShapeKind.Quantity:
                if (json is not (JsonValueKind.String or JsonValueKind.Number))
                    return "must be a quantity, such as 100m or 64Mi";
                return Quantity.TryParse(json == JsonValueKind.String ? Json.AsText(value) : value.ToJsonString(), out _)
                    ? null
                    : "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";
            case ShapeKind.Time or ShapeKind.MicroTime:
                return Json.AsText(value) is { } time && IsTime(time) ? null : "must be a time in RFC 3339, such as 2026-01-02T03:04:05Z";
            default:
                return null;
        }
    }

    private static bool IsTime(string text) =>
        text.Length >= 20 && text[10] is 'T' or 't' && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out _);

    private static bool IsBase64(string text) => System.Buffers.Text.Base64.IsValid(text);

    private static void Unknown(TypeShape type, JsonObject value, FieldPath path, List<string> unknown, int depth)
    {
        if (depth > MaxDepth || unknown.Count >= 100)
            return;
        foreach (KeyValuePair<string, JsonNode?> pair in value)
        {
            FieldShape? field = type.Find(pair.Key);
            if (field is null)
                unknown.Add(path.Child(pair.Key).ToString());
            else if (field.Type is { } child)
                Descend(field, child, pair.Value, path.Child(pair.Key), unknown, depth + 1);
        }
    }

    private static void Descend(FieldShape field, TypeShape child, JsonNode? value, FieldPath path, List<string> unknown, int depth)
    {
        if (field.Form == ShapeForm.One && value is JsonObject one)
            Unknown(child, one, path, unknown, depth);
        else if (field.Form == ShapeForm.List && value is JsonArray list)
        {
            for (int i = 0; i < list.Count; i++)
                if (list[i] is JsonObject item)
                    Unknown(child, item, path.Index(i), unknown, depth);
        }
        else if (field.Form == ShapeForm.Map && value is JsonObject map)
        {
            foreach (KeyValuePair<string, JsonNode?> pair in map)
                if (pair.Value is JsonObject item)
                    Unknown(child, item, path.Key(pair.Key), unknown, depth);
        }
    }
}
