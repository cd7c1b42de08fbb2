using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>The kinds of the scheduling centre: pod groups, elastic quotas, reservations, profiles.</summary>
internal static class CentreRules
{
    /// <summary>Members that one plan takes as a whole.</summary>
    public const int MaxMembers = 5000;

    private static readonly FieldPath s_spec = FieldPath.Root.Child("spec");

    public static void Validate(string kind, JsonObject document, JsonObject? old, FieldErrors errors)
    {
        JsonObject? spec = document.Object("spec");
        switch (kind)
        {
            case "PodGroup": Group(spec, errors); break;
            case "ElasticQuota": Quota(document, spec, errors); break;
            case "Reservation": Reservation(spec, old.Object("spec"), errors); break;
            case "SchedulerProfile": Profile(spec, errors); break;
        }
    }

    private static void Group(JsonObject? spec, FieldErrors errors)
    {
        if (!spec.Has("minMember"))
            errors.Required(s_spec.Child("minMember"), "how many members start together");
        if (spec.Long("minMember") is { } least && least is < 1 or > MaxMembers)
            errors.Invalid(s_spec.Child("minMember"), least, $"must be between 1 and {MaxMembers}");
        if (spec.Long("scheduleTimeoutSeconds") is { } seconds and < 1)
            errors.Invalid(s_spec.Child("scheduleTimeoutSeconds"), seconds, "must be greater than 0");
        Amounts(spec, "minResources", errors);
    }

    private static void Quota(JsonObject document, JsonObject? spec, FieldErrors errors)
    {
        Amounts(spec, "min", errors);
        Amounts(spec, "max", errors);
        foreach ((string resource, JsonNode? value) in spec.Object("min") ?? [])
            if (Amount(value) is { } min && Amount(spec.Object("max")?[resource]) is { } max && min > max)
                errors.Invalid(s_spec.Child("min").Key(resource), value, $"must be less than or equal to max of {spec.Object("max")![resource]}");
        if (spec.Text("parent") is not { } parent)
            return;
        string[] parts = parent.Split('/');
        if (parts.Length > 2 || !Array.TrueForAll(parts, LabelSyntax.IsSubdomain))
            errors.Invalid(s_spec.Child("parent"), parent, "must be NAME or NAMESPACE/NAME of an ElasticQuota");
        JsonObject? metadata = document.Object("metadata");
        if (parts[^1] == metadata.Text("name") && (parts.Length == 1 || parts[0] == metadata.Text("namespace")))
            errors.Invalid(s_spec.Child("parent"), parent, "must be another quota");
    }

    private static void Reservation(JsonObject? spec, JsonObject? before, FieldErrors errors)
    {
        if (spec.Object("resources") is null or { Count: 0 })
            errors.Required(s_spec.Child("resources"), "name at least one resource");
        Amounts(spec, "resources", errors);
        foreach ((string resource, JsonNode? value) in spec.Object("resources") ?? [])
            if (Amount(value) is { } amount && amount == Quantity.Zero)
                errors.Invalid(s_spec.Child("resources").Key(resource), value, "must be greater than 0");
        if (spec.Array("owners") is null or { Count: 0 })
            errors.Required(s_spec.Child("owners"), "name who may use the room: a namespace, a selector or both");
        foreach ((int i, JsonObject owner) in spec.Objects("owners"))
        {
            FieldPath at = s_spec.Child("owners").Index(i);
            if (string.IsNullOrEmpty(owner.Text("namespace")) && owner.Object("selector") is null or { Count: 0 })
                errors.Required(at, "a namespace, a selector or both");
            if (owner.Text("namespace") is { Length: > 0 } ns && Names.Label(ns) is { } wrong)
                errors.Invalid(at.Child("namespace"), ns, wrong);
            SchedulingRules.Selector(owner.Object("selector"), at.Child("selector"), errors);
        }
        SchedulingRules.Scheduling(spec, s_spec, errors);
        foreach ((string key, string value) in spec.Map("nodeSelector"))
        {
            if (LabelSyntax.KeyError(key) is { } problem)
                errors.Invalid(s_spec.Child("nodeSelector"), key, problem);
            if (LabelSyntax.ValueError(value) is { } wrong)
                errors.Invalid(s_spec.Child("nodeSelector"), value, wrong);
        }
        if (spec.Long("ttlSeconds") is { } seconds and < 0)
            errors.Invalid(s_spec.Child("ttlSeconds"), seconds, "must be greater than or equal to 0");
        foreach (string field in (string[])["resources", "nodeSelector", "tolerations"])
            if (before is not null && !Json.Same(before[field], spec?[field]))
                errors.Invalid(s_spec.Child(field), spec?[field], "field is immutable: make another reservation");
    }

    private static void Profile(JsonObject? spec, FieldErrors errors)
    {
        foreach ((string score, JsonNode? value) in spec.Object("weights") ?? [])
            if (Array.IndexOf(SchedulerProfile.Scores, score) < 0)
                errors.NotSupported(s_spec.Child("weights").Key(score), score, SchedulerProfile.Scores);
            else
                Range(value, 0, 100, s_spec.Child("weights").Key(score), errors);
        Range(spec?["hardPodAffinityWeight"], 0, 100, s_spec.Child("hardPodAffinityWeight"), errors);
        JsonObject? strategy = spec.Object("scoringStrategy");
        FieldPath scoring = s_spec.Child("scoringStrategy"), shape = scoring.Child("requestedToCapacityRatio", "shape");
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int i, JsonObject resource) in strategy.Objects("resources"))
        {
            FieldPath at = scoring.Child("resources").Index(i);
            if (resource.Text("name") is not { Length: > 0 } name)
                errors.Required(at.Child("name"));
            else if (!names.Add(name))
                errors.Duplicate(at.Child("name"), name);
            Range(resource["weight"], 1, 100, at.Child("weight"), errors);
        }
        long? before = null;
        foreach ((int i, JsonObject point) in strategy.Object("requestedToCapacityRatio").Objects("shape"))
        {
            Range(point["utilization"], 0, 100, shape.Index(i).Child("utilization"), errors);
            Range(point["score"], 0, 10, shape.Index(i).Child("score"), errors);
            long utilization = point.Long("utilization") ?? 0;
            if (utilization <= before)
                errors.Invalid(shape.Index(i).Child("utilization"), utilization, "utilization values must be sorted in increasing order");
            before = utilization;
        }
        if (strategy.Text("type") == "RequestedToCapacityRatio" && before is null)
            errors.Required(shape, "at least one point must be specified");
        if (spec.Text("defaultingType") != "List" && spec.Array("defaultConstraints") is { Count: > 0 })
            errors.Invalid(s_spec.Child("defaultingType"), spec.Text("defaultingType") ?? "", "must be List when defaultConstraints are given");
        foreach ((int i, JsonObject constraint) in spec.Objects("defaultConstraints"))
            if (constraint.Has("labelSelector"))
                errors.Forbidden(s_spec.Child("defaultConstraints").Index(i).Child("labelSelector"), "constraint must not define a selector, as they deduced for each pod");
        SchedulingRules.Spread(spec, "defaultConstraints", s_spec, errors);
    }

    private static void Range(JsonNode? value, long least, long most, FieldPath path, FieldErrors errors)
    {
        if (Json.AsLong(value) is { } number && (number < least || number > most))
            errors.Invalid(path, number, $"not in valid range {least}-{most}");
    }

    private static void Amounts(JsonObject? spec, string field, FieldErrors errors)
    {
        foreach ((string resource, JsonNode? value) in spec.Object(field) ?? [])
        {
            FieldPath at = s_spec.Child(field).Key(resource);
            if (LabelSyntax.KeyError(resource) is { } problem)
                errors.Invalid(at, resource, problem);
            if (Amount(value) is { } amount && amount < Quantity.Zero)
                errors.Invalid(at, value, "must be greater than or equal to 0");
        }
    }

    private static Quantity? Amount(JsonNode? value) => value is JsonValue && Quantity.TryParse(Json.AsText(value) ?? value.ToJsonString(), out Quantity amount) ? amount : null;
}
