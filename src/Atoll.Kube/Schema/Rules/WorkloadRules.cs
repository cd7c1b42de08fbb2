using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>The kinds that make pods: selectors, templates, counts and rollouts.</summary>
internal static class WorkloadRules
{
    private static readonly FieldPath s_spec = FieldPath.Root.Child("spec");

    public static void Workload(string kind, JsonObject document, JsonObject? old, FieldErrors errors)
    {
        JsonObject? spec = document.Object("spec");
        foreach (string field in (string[])["replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"])
            NotNegative(spec, field, errors);
        if (kind == "Deployment" && spec.Long("progressDeadlineSeconds") is { } deadline && deadline <= (spec.Long("minReadySeconds") ?? 0))
            errors.Invalid(s_spec.Child("progressDeadlineSeconds"), deadline, "must be greater than minReadySeconds");
        Selector(spec, kind, errors);
        Template(spec, ["Always"], errors);
        if (kind == "Deployment")
            Rolling(spec.Object("strategy"), s_spec.Child("strategy"), "Recreate", errors);
        if (kind == "DaemonSet")
            Rolling(spec.Object("updateStrategy"), s_spec.Child("updateStrategy"), "OnDelete", errors);
        if (old.Object("spec") is { } before && !Json.Same(before["selector"], spec?["selector"]))
            errors.Invalid(s_spec.Child("selector"), spec?["selector"], "field is immutable");
    }

    public static void Job(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        JsonObject? spec = document.Object("spec");
        foreach (string field in (string[])["parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished"])
            NotNegative(spec, field, errors);
        if (spec.Text("completionMode") == "Indexed" && !spec.Has("completions"))
            errors.Required(s_spec.Child("completions"), "when completion mode is Indexed");
        if (spec.Bool("manualSelector") == true && !spec.Has("selector"))
            errors.Required(s_spec.Child("selector"));
        string? uid = document.Object("metadata").Text("uid");
        if (spec.Bool("manualSelector") != true && uid is not null && spec.Object("selector") is { } selector
            && selector.Object("matchLabels").Text("batch.kubernetes.io/controller-uid") != uid && selector.Object("matchLabels").Text("controller-uid") != uid)
            errors.Invalid(s_spec.Child("selector"), selector, "`selector` not auto-generated");
        Template(spec, ["OnFailure", "Never"], errors);
        FailurePolicy(spec, errors);
        // Refused rather than kept and not carried out.
        foreach (string field in (string[])["backoffLimitPerIndex", "maxFailedIndexes", "successPolicy"])
            if (spec.Has(field))
                errors.Forbidden(s_spec.Child(field), "is not carried out by Atoll: remove it");
        if (spec.Text("managedBy") is { } by && by != "kubernetes.io/job-controller")
            errors.NotSupported(s_spec.Child("managedBy"), by, "kubernetes.io/job-controller");
        if (old.Object("spec") is not { } before)
            return;
        string[] fixedFields = ["selector", "completionMode", "podFailurePolicy", "backoffLimitPerIndex"];
        foreach (string field in fixedFields)
            if (!Json.Same(before[field], spec?[field]))
                errors.Invalid(s_spec.Child(field), spec?[field], "field is immutable");
        if (!Json.Same(before["completions"], spec?["completions"]) && spec.Text("completionMode") != "Indexed")
            errors.Invalid(s_spec.Child("completions"), spec?["completions"], "field is immutable");
        // A suspended Job that never ran may still move: its scheduling directives are open.
        bool open = before.Bool("suspend") == true && !old.Object("status").Has("startTime");
        if (!open && !Json.Same(before["template"], spec?["template"]))
            errors.Invalid(s_spec.Child("template"), spec?["template"], "field is immutable");
    }

    private static void FailurePolicy(JsonObject? spec, FieldErrors errors)
    {
        if (spec.Object("podFailurePolicy") is not { } policy)
            return;
        FieldPath path = s_spec.Child("podFailurePolicy", "rules");
        if (spec.Object("template").Object("spec").Text("restartPolicy") is { } restart && restart != "Never")
            errors.Invalid(s_spec.Child("template", "spec").Child("restartPolicy"), restart, "only \"Never\" is supported when podFailurePolicy is specified");
        if (policy.Array("rules") is not { } rules)
        {
            errors.Required(path);
            return;
        }
        for (int i = 0; i < rules.Count; i++)
        {
            if (rules[i] is not JsonObject rule)
                continue;
            if (rule.Text("action") == "FailIndex")
                errors.Forbidden(path.Index(i).Child("action"), "FailIndex is not carried out by Atoll: use FailJob, Ignore or Count");
            JsonObject? codes = rule.Object("onExitCodes");
            if ((codes is null) == (rule.Array("onPodConditions") is not { Count: > 0 }))
                errors.Invalid(path.Index(i), rule, "specify one of OnExitCodes and OnPodConditions");
            if (codes is not null && codes.Array("values") is not { Count: > 0 })
                errors.Invalid(path.Index(i).Child("onExitCodes", "values"), codes["values"], "at least one value is required");
        }
    }

    internal static void NotNegative(JsonObject? spec, string field, FieldErrors errors)
    {
        if (spec.Long(field) is { } number and < 0)
            errors.Invalid(s_spec.Child(field), number, "must be greater than or equal to 0");
    }

    internal static void Selector(JsonObject? spec, string kind, FieldErrors errors)
    {
        if (spec?["selector"] is null)
        {
            errors.Required(s_spec.Child("selector"));
            return;
        }
        if (spec.Object("selector") is not { } selector)
            return;
        SchedulingRules.Selector(selector, s_spec.Child("selector"), errors);
        if ((selector.Object("matchLabels")?.Count ?? 0) + (selector.Array("matchExpressions")?.Count ?? 0) == 0)
        {
            errors.Invalid(s_spec.Child("selector"), selector, $"empty selector is invalid for {kind.ToLowerInvariant()}");
            return;
        }
        if (spec.Object("template") is not { } template)
            return;
        var labels = new Dictionary<string, string>(template.Object("metadata").Map("labels"), StringComparer.Ordinal);
        if (Read(selector) is { } typed && !typed.Matches(labels))
            errors.Invalid(s_spec.Child("template", "metadata").Child("labels"), template.Object("metadata")?["labels"], "`selector` does not match template `labels`");
    }

    private static LabelSelector? Read(JsonObject selector)
    {
        try
        {
            return selector.Array("matchExpressions")?.Contains(null) == true ? null : selector.Deserialize(ApiJson.Default.LabelSelector);
        }
        catch (JsonException)
        {
            return null; // Of the wrong shape: the shape check has said so.
        }
    }

    internal static void Template(JsonObject? spec, string[] policies, FieldErrors errors)
    {
        FieldPath path = s_spec.Child("template");
        if (spec.Object("template") is not { } template)
        {
            if (spec?["template"] is null)
                errors.Required(path);
            return;
        }
        foreach (KeyValuePair<string, string> label in template.Object("metadata").Map("labels"))
            if (LabelSyntax.KeyError(label.Key) is { } problem)
                errors.Invalid(path.Child("metadata", "labels"), label.Key, problem);
            else if (LabelSyntax.ValueError(label.Value) is { } wrong)
                errors.Invalid(path.Child("metadata", "labels"), label.Value, wrong);
        PodRules.Spec(template.Object("spec"), path.Child("spec"), errors);
        if (template.Object("spec").Text("restartPolicy") is { } policy && Array.IndexOf(policies, policy) < 0)
            errors.NotSupported(path.Child("spec", "restartPolicy"), policy, policies);
        if (policies[0] == "Always" && template.Object("spec").Has("activeDeadlineSeconds"))
            errors.Forbidden(path.Child("spec", "activeDeadlineSeconds"), "activeDeadlineSeconds in a template that restarts always is not supported");
    }

    private static void Rolling(JsonObject? strategy, FieldPath path, string other, FieldErrors errors)
    {
        if (strategy.Text("type") == other)
        {
            if (strategy.Has("rollingUpdate") && other == "Recreate")
                errors.Forbidden(path.Child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'");
            return;
        }
        if (strategy.Object("rollingUpdate") is not { } rolling)
            return;
        FieldPath at = path.Child("rollingUpdate");
        bool unavailable = IsZero(rolling, "maxUnavailable", at, errors, cap: true), surge = IsZero(rolling, "maxSurge", at, errors, cap: other == "OnDelete");
        if (!unavailable || !surge)
            return;
        if (other == "Recreate")
            errors.Invalid(at.Child("maxUnavailable"), rolling["maxUnavailable"], "may not be 0 when `maxSurge` is 0");
        else
            errors.Required(at.Child("maxUnavailable"), "cannot be 0 when maxSurge is 0");
    }

    internal static bool IsZero(JsonObject rolling, string field, FieldPath at, FieldErrors errors, bool cap)
    {
        FieldPath path = at.Child(field);
        if (Json.AsText(rolling[field]) is { } text)
        {
            if (!text.EndsWith('%') || !int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int percent))
            {
                errors.Invalid(path, text, "a valid percent string must be a numeric string followed by an ending '%' (e.g. '1%',  or '93%', regex used for validation is '[0-9]+%')");
                return false;
            }
            if (cap && percent > 100)
                errors.Invalid(path, text, "must not be greater than 100%");
            return percent == 0;
        }
        if (rolling.Long(field) is { } number and < 0)
            errors.Invalid(path, number, "must be greater than or equal to 0");
        return rolling[field] is null || rolling.Long(field) == 0;
    }
}
