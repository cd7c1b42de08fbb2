using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>Our own kinds: sites, flavours, models of processors, deliveries.</summary>
internal static class EdgeRules
{
    private const int MaxRoundTrips = 256, MaxCount = 100_000, MaxSites = 10_000, MaxResources = 64;

    public static void Site(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        foreach (string field in (string[])["region", "carrier"])
            LabelValue(spec, field, path, errors);
        Between(spec, "latitude", -90, 90, " degrees", path, errors);
        Between(spec, "longitude", -180, 180, " degrees", path, errors);
        Between(spec, "unitCost", 0, 1_000_000, "", path, errors);
        JsonObject? colocation = spec.Object("colocation");
        FieldPath batch = path.Child("colocation");
        foreach (string field in (string[])["cpuReclaimThresholdPercent", "memoryReclaimThresholdPercent"])
            Range(colocation, field, 1, 100, batch, errors);
        Range(colocation, "evictAfterSeconds", 1, 86_400, batch, errors);
        Range(colocation, "coldStartSeconds", 0, 86_400, batch, errors);
        Amounts(spec, "headroom", path, errors, name => name.StartsWith(WellKnown.SiteResourcePrefix, StringComparison.Ordinal) ? "is a resource of the whole site: lower its amount in spec.resources instead" : null);
        Amounts(spec, "resources", path, errors, name => name.StartsWith(WellKnown.SiteResourcePrefix, StringComparison.Ordinal) ? null : $"must begin with {WellKnown.SiteResourcePrefix}, such as {WellKnown.Uplink}");
        if (spec.Array("roundTrips") is { Count: > MaxRoundTrips } many)
            errors.Invalid(path.Child("roundTrips"), many.Count, $"must have at most {MaxRoundTrips} items");
        var seen = new HashSet<string?>();
        foreach ((int i, JsonObject trip) in spec.Objects("roundTrips"))
        {
            FieldPath at = path.Child("roundTrips").Index(i);
            Place(trip, at, errors);
            if (trip.Double("milliseconds") is { } time && time is <= 0 or > 10_000)
                errors.Invalid(at.Child("milliseconds"), trip["milliseconds"], "must be greater than 0 and at most 10000");
            if (!seen.Add(trip.Text("to")))
                errors.Duplicate(at.Child("to"), trip.Text("to") ?? "");
        }
    }

    public static void Flavour(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        Amounts(spec, "resources", path, errors, static _ => null);
        if (spec.Object("resources") is { Count: 0 })
            errors.Required(path.Child("resources"), "a flavour takes something, such as cpu: 4 and memory: 8Gi");
        foreach ((string resource, JsonNode? value) in spec.Object("resources") ?? [])
            if (value is not JsonValue || !Quantity.TryParse(value.ToString(), out Quantity amount))
                continue;
            else if (amount == Quantity.Zero)
                errors.Invalid(path.Child("resources").Key(resource), value, "must be greater than 0");
            else if (resource.Contains('/', StringComparison.Ordinal) && resource != WellKnown.Compute && amount.Milli % 1000 != 0)
                errors.Invalid(path.Child("resources").Key(resource), value, "must be an integer");
        if (spec.Object("resources") is { } resources && resources.ContainsKey("cpu") && resources.ContainsKey(WellKnown.Compute))
            errors.Forbidden(path.Child("resources").Key(WellKnown.Compute), "cpu is given too: an instance asks for cores of a node, or for normalised ones");
        LabelValue(spec, "arch", path, errors);
        if (spec.Long("numa") is { } numa and (< 0 or > 2))
            errors.Invalid(path.Child("numa"), numa, "must be 0, 1 or 2");
        foreach ((int i, string model) in spec.Texts("gpuModels"))
            if (model.Length == 0 || LabelSyntax.ValueError(model) is not null)
                errors.Invalid(path.Child("gpuModels").Index(i), model, LabelSyntax.ValueError(model) ?? "must not be empty");
        if (spec.Text("runtimeClassName") is { Length: > 0 } name && Names.Subdomain(name) is { } problem)
            errors.Invalid(path.Child("runtimeClassName"), name, problem);
    }

    public static void CpuModel(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        if (spec.Text("match") is { } match && (match.Length is 0 or > 256 || match.IndexOf('*', StringComparison.Ordinal) is >= 0 and var star && star != match.Length - 1))
            errors.Invalid(path.Child("match"), match, "must have 1 to 256 characters and a * only at its end");
        Between(spec, "factor", 0.01, 100, "", path, errors);
    }

    public static void Delivery(JsonObject document, JsonObject? old, FieldPath path, FieldErrors errors)
    {
        JsonObject? spec = document.Object("spec");
        if (document.Object("metadata").Text("name") is { Length: > 63 } name)
            errors.Invalid(FieldPath.Root.Child("metadata", "name"), name, "must be no more than 63 characters: it labels the pods");
        if (spec is not null && !spec.Has("count"))
            errors.Required(path.Child("count"), "how many instances");
        Range(spec, "count", 0, MaxCount, path, errors);
        Range(spec, "minSites", 1, MaxSites, path, errors);
        Range(spec, "maxSharePercent", 1, 100, path, errors);
        foreach (string field in (string[])["region", "carrier"])
            LabelValue(spec, field, path, errors);
        foreach ((int i, string kind) in spec.Texts("kinds"))
            if (kind is not ("field" or "near" or "cloud"))
                errors.NotSupported(path.Child("kinds").Index(i), kind, "field", "near", "cloud");
        if (spec.Object("latency") is { } latency)
        {
            Place(latency, path.Child("latency"), errors);
            if (latency.Double("milliseconds") is { } time && time is <= 0 or > 10_000)
                errors.Invalid(path.Child("latency", "milliseconds"), latency["milliseconds"], "must be greater than 0 and at most 10000");
        }
        if (spec.Text("flavour") is { } flavour && (flavour.Length is 0 or > 63 || LabelSyntax.ValueError(flavour) is not null))
            errors.Invalid(path.Child("flavour"), flavour, "must be the name of a Flavour, or a size such as 4c8g");
        if (spec is not null && !spec.Has("template"))
        {
            if (!spec.Has("flavour"))
                errors.Required(path.Child("flavour"), "a Delivery needs a flavour, a template or both");
        }
        else
            Template(spec, path, errors);
        if (old.Object("spec") is not { } before)
            return;
        foreach (string field in (string[])["flavour", "template"])
            if (!Json.Same(before[field], spec?[field]))
                errors.Invalid(path.Child(field), spec?[field], "field is immutable: make another Delivery");
    }

    /// <summary>Annotations of a pod that placement reads.</summary>
    public static void Annotations(JsonObject? metadata, FieldPath path, FieldErrors errors)
    {
        foreach (KeyValuePair<string, string> annotation in metadata.Map("annotations"))
            if (annotation.Key is Flavours.DeviceAnnotation or DeviceSelectors.PreferenceAnnotation)
            {
                if (!DeviceSelectors.TryParse(annotation.Value, out _, out string? problem))
                    errors.Invalid(path.Key(annotation.Key), annotation.Value, problem!);
            }
            else if (annotation.Key == Flavours.NumaAnnotation && annotation.Value is not ("single" or "split"))
                errors.NotSupported(path.Key(annotation.Key), annotation.Value, "single", "split");
    }

    private static void Template(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        WorkloadRules.Template(spec, ["Always"], errors);
        Annotations(spec.Object("template").Object("metadata"), path.Child("template", "metadata").Child("annotations"), errors);
        FieldPath at = path.Child("template", "spec");
        JsonObject? pod = spec.Object("template").Object("spec");
        foreach (string field in (string[])["podAffinity", "podAntiAffinity"])
            if (pod.Object("affinity").Has(field))
                errors.Forbidden(at.Child("affinity", field), "a Delivery spreads by minSites and maxSharePercent");
        if (pod.Array("topologySpreadConstraints") is { Count: > 0 })
            errors.Forbidden(at.Child("topologySpreadConstraints"), "a Delivery spreads by minSites and maxSharePercent");
        if (!string.IsNullOrEmpty(pod.Text("nodeName")))
            errors.Forbidden(at.Child("nodeName"), "a Delivery chooses its sites, and the scheduler the nodes");
    }

    private static void Place(JsonObject holder, FieldPath path, FieldErrors errors)
    {
        if (holder.Text("to") is { } to && to.Length is 0 or > 63)
            errors.Invalid(path.Child("to"), to, "must have 1 to 63 characters");
    }

    private static void LabelValue(JsonObject? spec, string field, FieldPath path, FieldErrors errors)
    {
        if (spec.Text(field) is { } text && LabelSyntax.ValueError(text) is { } problem)
            errors.Invalid(path.Child(field), text, problem);
    }

    private static void Between(JsonObject? spec, string field, double least, double most, string unit, FieldPath path, FieldErrors errors)
    {
        if (spec.Double(field) is { } value && !(value >= least && value <= most))
            errors.Invalid(path.Child(field), spec![field], FormattableString.Invariant($"must be between {least} and {most}{unit}"));
    }

    private static void Range(JsonObject? spec, string field, long least, long most, FieldPath path, FieldErrors errors)
    {
        if (spec.Long(field) is { } value && (value < least || value > most))
            errors.Invalid(path.Child(field), value, $"must be between {least} and {most}");
    }

    private static void Amounts(JsonObject? spec, string field, FieldPath path, FieldErrors errors, Func<string, string?> refused)
    {
        if (spec.Object(field) is not { } list)
            return;
        FieldPath at = path.Child(field);
        if (list.Count > MaxResources)
            errors.Invalid(at, list.Count, $"must have at most {MaxResources} items");
        foreach (KeyValuePair<string, JsonNode?> pair in list)
        {
            if ((LabelSyntax.KeyError(pair.Key) ?? refused(pair.Key)) is { } problem)
                errors.Invalid(at.Key(pair.Key), pair.Key, problem);
            else if (pair.Value is JsonValue value && Quantity.TryParse(value.ToString(), out Quantity amount) && amount < Quantity.Zero)
                errors.Invalid(at.Key(pair.Key), value.ToString(), "must be greater than or equal to 0");
        }
    }
}
