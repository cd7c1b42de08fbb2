using System.Text.Json;
using Atoll.Api;

namespace Atoll.Kube.Tables;

/// <summary>Readers over a document of any shape: what is missing or of the wrong type reads as nothing.</summary>
internal static class Cells
{
    public static JsonElement At(this JsonElement value, string name) =>
        value.ValueKind == JsonValueKind.Object && value.TryGetProperty(name, out JsonElement child) ? child : default;

    public static JsonElement At(this JsonElement value, string first, string second) => value.At(first).At(second);

    public static string Text(this JsonElement value, string name) => value.At(name) is { ValueKind: JsonValueKind.String } text ? text.GetString()! : "";

    public static long Number(this JsonElement value, string name) => value.OptionalNumber(name) ?? 0;

    public static long? OptionalNumber(this JsonElement value, string name) =>
        value.At(name) is { ValueKind: JsonValueKind.Number } number && number.TryGetInt64(out long result) ? result : null;

    public static bool Flag(this JsonElement value, string name) => value.At(name).ValueKind == JsonValueKind.True;

    public static bool Has(this JsonElement value, string name) => value.At(name).ValueKind is not JsonValueKind.Undefined and not JsonValueKind.Null;

    public static DateTimeOffset? Time(this JsonElement value, string name) => KubeTime.TryParse(value.Text(name), out DateTimeOffset time) ? time : null;

    /// <summary>The members of a list; none when it is no list.</summary>
    public static IEnumerable<JsonElement> Each(this JsonElement value, string name)
    {
        JsonElement list = value.At(name);
        if (list.ValueKind != JsonValueKind.Array)
            yield break;
        foreach (JsonElement item in list.EnumerateArray())
            yield return item;
    }

    public static int Count(this JsonElement value, string name) => value.At(name) switch
    {
        { ValueKind: JsonValueKind.Array } list => list.GetArrayLength(),
        { ValueKind: JsonValueKind.Object } map => map.EnumerateObject().Count(),
        _ => 0,
    };

    /// <summary>The condition of a type, or nothing.</summary>
    public static JsonElement Condition(this JsonElement status, string type)
    {
        foreach (JsonElement condition in status.Each("conditions"))
            if (condition.Text("type") == type)
                return condition;
        return default;
    }

    public static bool IsTrue(this JsonElement status, string type) => status.Condition(type).Text("status") == "True";

    public static string OrNone(string text) => text.Length == 0 ? "<none>" : text;

    public static string Join(IEnumerable<string> parts) => string.Join(',', parts);

    /// <summary>Labels as <c>a=b,c=d</c>, sorted.</summary>
    public static string Labels(JsonElement map)
    {
        if (map.ValueKind != JsonValueKind.Object)
            return "<none>";
        return OrNone(Join(map.EnumerateObject().Where(p => p.Value.ValueKind == JsonValueKind.String).OrderBy(p => p.Name, StringComparer.Ordinal).Select(p => $"{p.Name}={p.Value.GetString()}")));
    }

    /// <summary>A label selector as <c>a=b,c in (x,y),!d</c>, sorted by key.</summary>
    public static string Selector(JsonElement selector)
    {
        var parts = new List<(string Key, string Text)>();
        if (selector.At("matchLabels") is { ValueKind: JsonValueKind.Object } labels)
            foreach (JsonProperty label in labels.EnumerateObject())
                if (label.Value.ValueKind == JsonValueKind.String)
                    parts.Add((label.Name, $"{label.Name}={label.Value.GetString()}"));
        foreach (JsonElement requirement in selector.Each("matchExpressions"))
        {
            string key = requirement.Text("key");
            string values = Join(requirement.Each("values").Where(v => v.ValueKind == JsonValueKind.String).Select(v => v.GetString()!).Order(StringComparer.Ordinal));
            parts.Add((key, requirement.Text("operator") switch
            {
                "In" => $"{key} in ({values})",
                "NotIn" => $"{key} notin ({values})",
                "DoesNotExist" => "!" + key,
                _ => key,
            }));
        }
        return OrNone(Join(parts.OrderBy(p => p.Key, StringComparer.Ordinal).Select(p => p.Text)));
    }
}
