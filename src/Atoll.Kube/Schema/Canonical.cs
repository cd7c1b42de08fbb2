using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Quantities;

namespace Atoll.Kube.Schema;

/// <summary>
/// Brings what may be written in several ways into the one way that is stored, as Kubernetes' decoder does: a field that is
/// null is absent, a null member of a map of texts is empty, and a quantity that was written as a number (<c>cpu: 2</c>) is
/// a text. What has the wrong type is left alone: <see cref="ShapeCheck"/> says so.
/// </summary>
internal static class Canonical
{
    public static void Apply(TypeShape type, JsonObject document) => Object(type, document, 0);

    private static void Object(TypeShape type, JsonObject value, int depth)
    {
        if (depth > ShapeCheck.MaxDepth)
            return;
        foreach (FieldShape field in type.Fields)
        {
            if (!value.TryGetPropertyValue(field.Name, out JsonNode? child))
                continue;
            if (child is null)
                value.Remove(field.Name);
            else if (field.Form == ShapeForm.One)
                Set(field, child, depth, text => value[field.Name] = text);
            else if (child is JsonArray list && field.Form == ShapeForm.List)
            {
                for (int i = 0; i < list.Count; i++)
                    if (list[i] is { } item)
                    {
                        int at = i;
                        Set(field, item, depth, text => list[at] = text);
                    }
            }
            else if (child is JsonObject map && field.Form == ShapeForm.Map)
                Map(field, map, depth);
        }
    }

    private static void Map(FieldShape field, JsonObject map, int depth)
    {
        foreach (string key in (string[])[.. ((IDictionary<string, JsonNode?>)map).Keys])
            if (map[key] is { } member)
                Set(field, member, depth, text => map[key] = text);
            else if (field.Kind == ShapeKind.Text)
                map[key] = "";
            else if (field.Kind != ShapeKind.Any)
                map.Remove(key);
    }

    private static void Set(FieldShape field, JsonNode value, int depth, Action<string> replace)
    {
        if (field.Kind == ShapeKind.Object && value is JsonObject child)
            Object(field.Type!, child, depth + 1);
        else if (field.Kind == ShapeKind.Quantity && value.GetValueKind() == JsonValueKind.Number && Quantity.TryParse(value.ToJsonString(), out Quantity amount))
            replace(amount.ToString());
    }
}
