using System.Text.Json.Nodes;

namespace Atoll.Kube.Apply;

/// <summary>Which fields differ between two documents of a kind. An object, entry or item that came or went is a path of its own, beside what is in it.</summary>
internal sealed class FieldDifference
{
    /// <summary>Paths that only the newer has.</summary>
    public FieldSet Added { get; }

    /// <summary>Paths that only the older has.</summary>
    public FieldSet Removed { get; }

    /// <summary>Paths whose value is another.</summary>
    public FieldSet Modified { get; }

    private FieldDifference(FieldSet added, FieldSet removed, FieldSet modified) => (Added, Removed, Modified) = (added, removed, modified);

    /// <summary>Paths that were written: added or modified.</summary>
    public FieldSet Written => Added.Union(Modified);

    public static FieldDifference Of(FieldPlace place, JsonObject older, JsonObject newer)
    {
        FieldSet added = new(), removed = new(), modified = new();
        Compare(place, older, newer, added, removed, modified);
        return new(added, removed, modified);
    }

    private static void Compare(FieldPlace place, JsonNode? older, JsonNode? newer, FieldSet added, FieldSet removed, FieldSet modified)
    {
        if (older is null)
            added.IsMember = true;
        else if (newer is null)
            removed.IsMember = true;
        if (place.Ownership == Ownership.Whole || (IsNothing(older) && IsNothing(newer)))
        {
            if (older is not null && newer is not null && !JsonNode.DeepEquals(older, newer))
                modified.IsMember = true;
            return;
        }
        Dictionary<string, (FieldPlace Place, JsonNode? Value)> before = Structured.Parts(place, older), after = Structured.Parts(place, newer);
        foreach ((string element, (FieldPlace part, JsonNode? value)) in before)
            Descend(element, part, value, after.TryGetValue(element, out (FieldPlace, JsonNode? Value) other) ? other.Value : null);
        foreach ((string element, (FieldPlace part, JsonNode? value)) in after)
            if (!before.ContainsKey(element))
                Descend(element, part, null, value);

        void Descend(string element, FieldPlace part, JsonNode? was, JsonNode? now)
        {
            FieldSet a = new(), r = new(), m = new();
            Compare(part, was, now, a, r, m);
            added.Put(element, a);
            removed.Put(element, r);
            modified.Put(element, m);
        }
    }

    private static bool IsNothing(JsonNode? value) => value is null or JsonObject { Count: 0 } or JsonArray { Count: 0 };
}
