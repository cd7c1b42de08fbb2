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
        Spread(spec, "topologySpreadConstraints", path, errors);
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
        if (op is "Gt" or "Lt")
            errors.NotSupported(at.Child("operator"), op, "Equal", "Exists");
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
                if (list == "matchFields")
                {
                    if (op is not ("In" or "NotIn"))
                        errors.Invalid(path.Child("operator"), op, "not a valid selector operator");
                    else if (values != 1)
                        errors.Required(path.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector");
                    continue;
                }
                Operands(op, values, path, errors);
                if (op is not ("Gt" or "Lt"))
                {
                    foreach ((int v, string value) in requirement.Texts("values"))
                        if (LabelSyntax.ValueError(value) is { } wrong)
                            errors.Invalid(path.Child("values").Index(v), value, wrong);
                    continue;
                }
                if (values != 1)
                    errors.Required(path.Child("values"), "must be specified single value when `operator` is 'Lt' or 'Gt'");
                else if (Json.AsText(requirement.Array("values")![0]) is { } text && !long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out _))
                    errors.Invalid(path.Child("values").Index(0), text, "must be an integer when `operator` is 'Lt' or 'Gt'");
            }
    }

    private static void Operands(string op, int values, FieldPath path, FieldErrors errors)
    {
        if (op is "In" or "NotIn" && values == 0)
            errors.Required(path.Child("values"), "must be specified when `operator` is 'In' or 'NotIn'");
        else if (op is "Exists" or "DoesNotExist" && values > 0)
            errors.Forbidden(path.Child("values"), "may not be specified when `operator` is 'Exists' or 'DoesNotExist'");
    }

    private static void PodTerm(JsonObject term, FieldPath at, FieldErrors errors)
    {
        if (term.Text("topologyKey") is not { Length: > 0 } key)
            errors.Required(at.Child("topologyKey"), "can not be empty");
        else if (LabelSyntax.KeyError(key) is { } problem)
            errors.Invalid(at.Child("topologyKey"), key, problem);
        Selector(term.Object("labelSelector"), at.Child("labelSelector"), errors);
        Selector(term.Object("namespaceSelector"), at.Child("namespaceSelector"), errors);
        foreach ((int i, string ns) in term.Texts("namespaces"))
            if (Names.Label(ns) is { } wrong)
                errors.Invalid(at.Child("namespaces").Index(i), ns, wrong);
        LabelKeys(term, "matchLabelKeys", "In", at, errors);
        LabelKeys(term, "mismatchLabelKeys", "NotIn", at, errors);
        HashSet<string> same = [.. term.Texts("matchLabelKeys").Select(k => k.Item)];
        foreach ((int i, string different) in term.Texts("mismatchLabelKeys"))
            if (same.Contains(different))
                errors.Invalid(at.Child("mismatchLabelKeys").Index(i), different, "exists in both matchLabelKeys and mismatchLabelKeys");
    }

    // Keys whose values are taken from the pod that has the term: they add to a selector, and say nothing that it says already. What
    // Kubernetes' API server has written into the selector for them (this operator and one value) may be there.
    private static void LabelKeys(JsonObject term, string field, string? written, FieldPath at, FieldErrors errors)
    {
        if (term.Array(field) is null or { Count: 0 })
            return;
        JsonObject? selector = term.Object("labelSelector");
        if (selector is null)
            errors.Forbidden(at.Child(field), "must not be specified when labelSelector is not set");
        HashSet<string> said = [.. selector.Map("matchLabels").Select(l => l.Key), .. selector.Objects("matchExpressions").Where(e => e.Item.Text("operator") != written || e.Item.Array("values")?.Count != 1).Select(e => e.Item.Text("key") ?? "")];
        foreach ((int i, string key) in term.Texts(field))
            if (LabelSyntax.KeyError(key) is { } problem)
                errors.Invalid(at.Child(field).Index(i), key, problem);
            else if (!said.Add(key))
                errors.Invalid(at.Child(field).Index(i), key, "exists in both " + field + " and labelSelector, or twice");
    }

    /// <summary>A list of topology spread constraints.</summary>
    public static void Spread(JsonObject? spec, string field, FieldPath path, FieldErrors errors)
    {
        var seen = new HashSet<(string, string)>();
        foreach ((int i, JsonObject constraint) in spec.Objects(field))
        {
            FieldPath at = path.Child(field).Index(i);
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
            LabelKeys(constraint, "matchLabelKeys", null, at, errors);
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
            Operands(op, requirement.Array("values")?.Count ?? 0, at, errors);
            if (requirement.Text("key") is { } key && LabelSyntax.KeyError(key) is { } problem)
                errors.Invalid(at.Child("key"), key, problem);
        }
    }
}
