using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>Where a pod may run: tolerations, affinity, topology spread.</summary>
internal static class SchedulingRules
{
    public static void Scheduling(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        foreach ((int i, JsonObject toleration) in spec.Objects("tolerations"))
            Toleration(toleration, path.Child("tolerations").Index(i), errors);
        JsonObject? node = spec.Object("affinity").Object("nodeAffinity");
        FieldPath nodePath = path.Child("affinity", "nodeAffinity");
        const string required = "requiredDuringSchedulingIgnoredDuringExecution", preferred = "preferredDuringSchedulingIgnoredDuringExecution";
        if (node.Object(required) is { } must)
            NodeTerms(must, nodePath.Child(required), errors);
        foreach ((int i, JsonObject wish) in node.Objects(preferred))
        {
            FieldPath at = nodePath.Child(preferred).Index(i);
            Weight(wish, at, errors);
            if (wish.Object("preference") is { } preference)
                NodeTerm(preference, at.Child("preference"), errors);
        }
        foreach (string kind in (string[])["podAffinity", "podAntiAffinity"])
        {
            JsonObject? affinity = spec.Object("affinity").Object(kind);
            foreach ((int i, JsonObject term) in affinity.Objects(required))
                PodTerm(term, path.Child("affinity", kind).Child(required).Index(i), errors);
            foreach ((int i, JsonObject wish) in affinity.Objects(preferred))
            {
                FieldPath at = path.Child("affinity", kind).Child(preferred).Index(i);
                Weight(wish, at, errors);
                if (wish.Object("podAffinityTerm") is { } term)
                    PodTerm(term, at.Child("podAffinityTerm"), errors);
            }
        }
        Spread(spec, path, errors);
    }

    /// <summary>A node selector: at least one term.</summary>
    public static void NodeTerms(JsonObject? selector, FieldPath path, FieldErrors errors)
    {
        FieldPath at = path.Child("nodeSelectorTerms");
        if (selector.Array("nodeSelectorTerms") is null or { Count: 0 })
            errors.Required(at, "must have at least one node selector term");
        foreach ((int i, JsonObject term) in selector.Objects("nodeSelectorTerms"))
            NodeTerm(term, at.Index(i), errors);
    }

    private static void Toleration(JsonObject toleration, FieldPath at, FieldErrors errors)
    {
        string key = toleration.Text("key") ?? "", value = toleration.Text("value") ?? "", op = toleration.Text("operator") ?? "";
        if (key.Length > 0 && LabelSyntax.KeyError(key) is { } problem)
            errors.Invalid(at.Child("key"), key, problem);
        if (key.Length == 0 && op != "Exists")
            errors.Invalid(at.Child("operator"), op, "operator must be Exists when `key` is empty, which means \"match all values and all keys\"");
        if (op == "Exists" && value.Length > 0)
            errors.Invalid(at.Child("operator"), value, "value must be empty when `operator` is 'Exists'");
        else if (LabelSyntax.ValueError(value) is { } wrong)
            errors.Invalid(at.Child("operator"), value, wrong);
        if (toleration.Has("tolerationSeconds") && toleration.Text("effect") != "NoExecute")
            errors.Invalid(at.Child("effect"), toleration.Text("effect") ?? "", "effect must be 'NoExecute' when `tolerationSeconds` is set");
    }

    private static void Weight(JsonObject wish, FieldPath at, FieldErrors errors)
    {
        long weight = wish.Long("weight") ?? 0;
        if (weight is < 1 or > 100)
            errors.Invalid(at.Child("weight"), weight, "must be in the range 1-100");
    }

    private static void NodeTerm(JsonObject term, FieldPath at, FieldErrors errors)
    {
        foreach (string list in (string[])["matchExpressions", "matchFields"])
            foreach ((int i, JsonObject requirement) in term.Objects(list))
            {
                FieldPath path = at.Child(list).Index(i);
                string op = requirement.Text("operator") ?? "", key = requirement.Text("key") ?? "";
                int values = requirement.Array("values")?.Count ?? 0;
                if (list == "matchFields" ? key != "metadata.name" : LabelSyntax.KeyError(key) is not null)
                    errors.Invalid(path.Child("key"), key, list == "matchFields" ? "not a valid field selector key" : LabelSyntax.KeyError(key)!);
                Operands(requirement, op, values, path, errors);
                if (op is not ("Gt" or "Lt"))
                    continue;
                if (values != 1)
                    errors.Required(path.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
                else if (Json.AsText(requirement.Array("values")![0]) is { } text && !long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _))
                    errors.Invalid(path.Child("values").Index(0), text, "must be an integer when `operator` is 'Lt' or 'Gt'");
            }
    }

    private static void Operands(JsonObject requirement, string op, int values, FieldPath path, FieldErrors errors)
    {
        if (op is "In" or "NotIn" && values == 0)
            errors.Required(path.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        else if (op is "Exists" or "DoesNotExist" && values > 0)
            errors.Forbidden(path.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
        _ = requirement;
    }

    private static void PodTerm(JsonObject term, FieldPath at, FieldErrors errors)
    {
        if (string.IsNullOrEmpty(term.Text("topologyKey")))
            errors.Required(at.Child("topologyKey"), "can not be empty");
        Selector(term.Object("labelSelector"), at.Child("labelSelector"), errors);
    }

    private static void Spread(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        var seen = new HashSet<(string, string)>();
        foreach ((int i, JsonObject constraint) in spec.Objects("topologySpreadConstraints"))
        {
            FieldPath at = path.Child("topologySpreadConstraints").Index(i);
            if (constraint["maxSkew"] is null or JsonValue && (constraint.Long("maxSkew") ?? 0) <= 0)
                errors.Invalid(at.Child("maxSkew"), constraint.Long("maxSkew") ?? 0, "must be greater than zero");
            string key = constraint.Text("topologyKey") ?? "", when = constraint.Text("whenUnsatisfiable") ?? "";
            if (key.Length == 0)
                errors.Required(at.Child("topologyKey"), "can not be empty");
            else if (LabelSyntax.KeyError(key) is { } problem)
                errors.Invalid(at.Child("topologyKey"), key, problem);
            if (when.Length == 0)
                errors.NotSupported(at.Child("whenUnsatisfiable"), when, "DoNotSchedule", "ScheduleAnyway");
            if (!seen.Add((key, when)))
                errors.Duplicate(at.Child("{topologyKey, whenUnsatisfiable}"), $"{{{key}, {when}}}");
            if (constraint.Long("minDomains") is { } domains)
                if (domains <= 0)
                    errors.Invalid(at.Child("minDomains"), domains, "must be greater than zero");
                else if (when != "DoNotSchedule")
                    errors.Invalid(at.Child("minDomains"), domains, "can only use minDomains if whenUnsatisfiable=DoNotSchedule, not " + when);
            Selector(constraint.Object("labelSelector"), at.Child("labelSelector"), errors);
        }
    }

    /// <summary>A label selector.</summary>
    public static void Selector(JsonObject? selector, FieldPath path, FieldErrors errors)
    {
        foreach (KeyValuePair<string, string> label in selector.Map("matchLabels"))
        {
            if (LabelSyntax.KeyError(label.Key) is { } problem)
                errors.Invalid(path.Child("matchLabels"), label.Key, problem);
            if (LabelSyntax.ValueError(label.Value) is { } wrong)
                errors.Invalid(path.Child("matchLabels"), label.Value, wrong);
        }
        foreach ((int i, JsonObject requirement) in selector.Objects("matchExpressions"))
        {
            FieldPath at = path.Child("matchExpressions").Index(i);
            string op = requirement.Text("operator") ?? "";
            if (op is not ("In" or "NotIn" or "Exists" or "DoesNotExist"))
                errors.Invalid(at.Child("operator"), op, "not a valid selector operator");
            Operands(requirement, op, requirement.Array("values")?.Count ?? 0, at, errors);
            if (requirement.Text("key") is { } key && LabelSyntax.KeyError(key) is { } problem)
                errors.Invalid(at.Child("key"), key, problem);
        }
    }
}
