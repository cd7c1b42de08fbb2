using System.Text.Json.Nodes;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>The kinds of the scheduling centre: pod groups, elastic quotas, reservations. What a profile says is judged by the scheduler, which keeps the last good one.</summary>
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
        if (spec.Array("owners") is null or { Count: 0 })
            errors.Required(s_spec.Child("owners"), "name who may use the room: a namespace, a selector or both");
        foreach ((int i, JsonObject owner) in spec.Objects("owners"))
        {
            FieldPath at = s_spec.Child("owners").Index(i);
            if (string.IsNullOrEmpty(owner.Text("namespace")) && owner.Object("selector") is null or { Count: 0 })
                errors.Required(at, "a namespace, a selector or both");
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
