using System.Text.Json.Nodes;

namespace Atoll.Kube.Apply;

/// <summary>
/// Documents as server-side apply sees them: by the schema's fields, entries and items. The rules are those of Kubernetes' structured merge
/// (KEP 555). Live documents are taken as they are; a configuration that does not fit the schema is an <see cref="ApplyException"/>.
/// </summary>
internal static class Structured
{
    /// <summary>What a value that is not owned as a whole consists of, by path element. Of items with the same keys the first counts.</summary>
    public static Dictionary<string, (FieldPlace Place, JsonNode? Value)> Parts(FieldPlace place, JsonNode? value)
    {
        var parts = new Dictionary<string, (FieldPlace, JsonNode?)>(StringComparer.Ordinal);
        if (value is JsonObject map && place.Ownership is Ownership.Fields or Ownership.Entries)
        {
            foreach ((string name, JsonNode? member) in map)
                if (member is not null && place.Member(name) is { } at)
                    parts[FieldSet.OfField(name)] = (at, member);
        }
        else if (value is JsonArray list && place.Ownership is Ownership.Items or Ownership.Values)
        {
            foreach (JsonNode? item in list)
                if (place.ElementOf(item) is { } element)
                    parts.TryAdd(element, (place.Item(), item));
        }
        return parts;
    }

    /// <summary>Throws when a configuration does not fit the schema.</summary>
    public static void Check(FieldPlace place, JsonNode? value, string path)
    {
        switch (place.Ownership)
        {
            case Ownership.Fields or Ownership.Entries when value is JsonObject map:
                foreach ((string name, JsonNode? member) in map)
                    Check(place.Member(name) ?? throw new ApplyException($"{path}.{name}: field not declared in schema"), member, $"{path}.{name}");
                break;
            case Ownership.Items or Ownership.Values when value is JsonArray list:
                var seen = new HashSet<string>(StringComparer.Ordinal);
                for (int i = 0; i < list.Count; i++)
                {
                    string element = place.ElementOf(list[i]) ?? throw new ApplyException($"{path}: element {i}: associative list with keys has an element that omits key field \"{place.Keys}\"");
                    if (!seen.Add(element))
                        throw new ApplyException($"{path}: duplicate entries for key {element[2..]}");
                    Check(place.Item(), list[i], $"{path}[{i}]");
                }
                break;
            case Ownership.Fields or Ownership.Entries when value is not null:
                throw new ApplyException($"{path}: expected map, got {value.ToJsonString()}");
            case Ownership.Items or Ownership.Values when value is not null:
                throw new ApplyException($"{path}: expected list, got {value.ToJsonString()}");
        }
    }

    /// <summary>Takes empty lists and maps out of a configuration, in place: they say nothing, and nobody would own them. An empty object may say something (<c>emptyDir: {}</c>).</summary>
    public static void Tidy(FieldPlace place, JsonNode? value)
    {
        if (place.Ownership == Ownership.Whole)
            return;
        foreach ((string element, (FieldPlace part, JsonNode? member)) in Parts(place, value))
        {
            Tidy(part, member);
            if (IsEmpty(member) && part.Ownership is not (Ownership.Whole or Ownership.Fields))
                Remove(place, value!, element);
        }
    }

    /// <summary>The paths that a document sets. Objects that only hold others are none, unless they are empty; entries of maps and items of lists are.</summary>
    public static FieldSet FieldsOf(FieldPlace place, JsonNode? value)
    {
        if (place.Ownership == Ownership.Whole)
            return new FieldSet { IsMember = true };
        var set = new FieldSet();
        foreach ((string element, (FieldPlace part, JsonNode? member)) in Parts(place, value))
        {
            FieldSet below = FieldsOf(part, member);
            if (place.Ownership != Ownership.Fields || member is JsonObject { Count: 0 })
                below = below.Union(new FieldSet { IsMember = true });
            set.Put(element, below);
        }
        return set;
    }

    /// <summary>A live document with a configuration over it, as a new tree.</summary>
    public static JsonNode? Merge(FieldPlace place, JsonNode? live, JsonNode? applied)
    {
        if (applied is null || live is null || place.Ownership == Ownership.Whole)
            return (applied ?? live)?.DeepClone();
        if (live is JsonObject before && applied is JsonObject after)
        {
            JsonObject result = [];
            foreach ((string name, JsonNode? value) in before)
                result[name] = place.Member(name) is { } part ? Merge(part, value, after[name]) : value?.DeepClone();
            foreach ((string name, JsonNode? value) in after)
                if (!before.ContainsKey(name))
                    result[name] = value?.DeepClone();
            return result;
        }
        return live is JsonArray old && applied is JsonArray wanted ? MergeList(place, old, wanted) : applied.DeepClone();
    }

    /// <summary>The items of the configuration in its order; the other live ones stay behind the item after which they were.</summary>
    private static JsonArray MergeList(FieldPlace place, JsonArray live, JsonArray applied)
    {
        HashSet<string> wanted = [.. applied.Select(item => place.ElementOf(item)!)];
        Dictionary<string, (FieldPlace Place, JsonNode? Value)> known = Parts(place, live);
        // Live items that the configuration does not name, by the named item that they follow ("" is the front).
        var followers = new Dictionary<string, List<JsonNode?>>(StringComparer.Ordinal) { [""] = [] };
        string last = "";
        foreach (JsonNode? item in live)
            if (place.ElementOf(item) is { } element && wanted.Contains(element))
                followers.TryAdd(last = element, []);
            else
                followers[last].Add(item);
        JsonArray result = [];
        Follow("");
        foreach (JsonNode? item in applied)
        {
            string element = place.ElementOf(item)!;
            result.Add(Merge(place.Item(), known.TryGetValue(element, out (FieldPlace, JsonNode? Value) before) ? before.Value : null, item));
            Follow(element);
        }
        return result;

        void Follow(string element)
        {
            foreach (JsonNode? item in followers.GetValueOrDefault(element) ?? [])
                result.Add(item?.DeepClone());
        }
    }

    /// <summary>
    /// Takes out of a document, in place, what a manager applied before and does not any more: a field, entry or item in
    /// <paramref name="before"/> that is not in <paramref name="owned"/>, which is what all managers have now. An item or entry goes with all
    /// that is in it unless somebody owns itself; an object goes unless somebody owns anything in it.
    /// </summary>
    public static void Prune(FieldPlace place, JsonNode? value, FieldSet before, FieldSet? owned)
    {
        if (place.Ownership == Ownership.Whole)
            return;
        foreach ((string element, (FieldPlace part, JsonNode? member)) in Parts(place, value))
        {
            if (before.At(element) is not { } mine)
                continue;
            FieldSet? kept = owned?.At(element);
            bool isField = place.Ownership == Ownership.Fields;
            bool isMine = mine.IsMember || isField, isOwned = kept is not null && (kept.IsMember || isField);
            if (isMine && !isOwned)
            {
                Remove(place, value!, element);
                continue;
            }
            bool was = IsEmpty(member);
            Prune(part, member, mine, kept);
            if (!was && IsEmpty(member) && (part.Ownership != Ownership.Fields || kept?.IsMember != true))
                Remove(place, value!, element);
        }
    }

    private static bool IsEmpty(JsonNode? value) => value is JsonObject { Count: 0 } or JsonArray { Count: 0 };

    private static void Remove(FieldPlace place, JsonNode value, string element)
    {
        if (value is JsonObject map)
            map.Remove(element[2..]);
        else if (value is JsonArray list)
            list.RemoveAll(item => place.ElementOf(item) == element);
    }
}
