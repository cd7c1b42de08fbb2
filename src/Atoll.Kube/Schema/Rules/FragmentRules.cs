using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Quantities;

namespace Atoll.Kube.Schema.Rules;

/// <summary>What the shape of a DefragmentationPlan cannot say.</summary>
internal static class FragmentRules
{
    private const int MaxWeight = 1_000_000, MaxFlavours = 64, MaxWindows = 32, MaxMoves = 1000;

    public static void DefragmentationPlan(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int i, JsonObject flavour) in spec.Objects("flavours"))
        {
            FieldPath at = path.Child("flavours").Index(i);
            Range(flavour, "weight", 0, MaxWeight, at, errors);
            if (flavour.Text("name") is { } name && !names.Add(name))
                errors.Duplicate(at.Child("name"), name);
        }
        if (spec.Array("flavours") is { Count: > MaxFlavours } many)
            errors.Invalid(path.Child("flavours"), many.Count, $"must have at most {MaxFlavours} items");
        if (spec.Text("site") is { Length: > 0 } && spec.Text("region") is { Length: > 0 })
            errors.Invalid(path.Child("region"), spec.Text("region")!, "a plan is for a region or for a site, not for both");
        JsonObject? limits = spec.Object("limits");
        FieldPath limit = path.Child("limits");
        Range(limits, "maxMoves", 1, MaxMoves, limit, errors);
        Range(limits, "stepTimeoutSeconds", 10, 86_400, limit, errors);
        if (limits?["siteBandwidth"] is { } bandwidth)
            Positive(bandwidth, limit.Child("siteBandwidth"), errors);
        Range(spec, "autoApproveMoves", 0, MaxMoves, path, errors);
        foreach ((int i, JsonObject window) in spec.Objects("windows"))
            foreach (string field in (ReadOnlySpan<string>)["start", "end"])
                if (window.Text(field) is { } time && !TimeOnly.TryParseExact(time, "HH:mm", CultureInfo.InvariantCulture, DateTimeStyles.None, out _))
                    errors.Invalid(path.Child("windows").Index(i).Child(field), time, "must be a time of day in UTC, such as 02:30");
        if (spec.Array("windows") is { Count: > MaxWindows } windows)
            errors.Invalid(path.Child("windows"), windows.Count, $"must have at most {MaxWindows} items");
        SchedulingRules.Selector(spec.Object("doNotMove"), path.Child("doNotMove"), errors);
    }

    // What is no quantity at all the shape says.
    private static bool Positive(JsonNode amount, FieldPath path, FieldErrors errors)
    {
        if (!Quantity.TryParse(amount.ToString(), out Quantity value) || value > Quantity.Zero)
            return true;
        errors.Invalid(path, amount, "must be greater than 0");
        return false;
    }

    private static void Range(JsonObject? node, string field, long least, long most, FieldPath path, FieldErrors errors)
    {
        if (node.Long(field) is { } value && (value < least || value > most))
            errors.Invalid(path.Child(field), value, $"must be between {least} and {most}");
    }
}
