using System.Text.Json.Nodes;

namespace Atoll.Kube.Schema.Rules;

/// <summary>
/// StatefulSets: names that can carry an ordinal, claims that the template's mounts may name, and the few fields that may change.
/// Source: Kubernetes' validation of apps/v1.
/// </summary>
internal static class StatefulSetRules
{
    /// <summary>The revision's name (the set's name, a dash, a hash of at most ten) is a label of its pods.</summary>
    private const int MaxNameLength = 52;

    private static readonly FieldPath s_spec = FieldPath.Root.Child("spec");
    private static readonly string[] s_mutable = ["replicas", "ordinals", "template", "updateStrategy", "revisionHistoryLimit", "persistentVolumeClaimRetentionPolicy", "minReadySeconds"];

    public static void Validate(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        JsonObject? spec = document.Object("spec");
        if (old is null && document.Object("metadata").Text("name") is { Length: > MaxNameLength } name)
            errors.Invalid(FieldPath.Root.Child("metadata", "name"), name, $"must be no more than {MaxNameLength} characters: its pods carry it, with a revision, as a label");
        foreach (string field in (string[])["replicas", "minReadySeconds", "revisionHistoryLimit"])
            WorkloadRules.NotNegative(spec, field, errors);
        if (spec.Object("ordinals").Long("start") is { } start and < 0)
            errors.Invalid(s_spec.Child("ordinals", "start"), start, "must be greater than or equal to 0");
        WorkloadRules.Selector(spec, "StatefulSet", errors);
        Claims(spec, errors);
        WorkloadRules.Template(WithClaims(spec), ["Always"], errors);
        if (spec.Object("updateStrategy").Object("rollingUpdate") is { } rolling)
            Rolling(spec.Object("updateStrategy").Text("type"), rolling, errors);
        if (old.Object("spec") is { } before && spec is not null)
            Immutable(before, spec, errors);
    }

    private static void Rolling(string? type, JsonObject rolling, FieldErrors errors)
    {
        FieldPath at = s_spec.Child("updateStrategy", "rollingUpdate");
        if (type == "OnDelete")
            errors.Invalid(at, rolling, "only allowed for updateStrategy 'RollingUpdate'");
        if (rolling.Long("partition") is { } partition and < 0)
            errors.Invalid(at.Child("partition"), partition, "must be greater than or equal to 0");
        if (rolling.Has("maxUnavailable") && WorkloadRules.IsZero(rolling, "maxUnavailable", at, errors, cap: true))
            errors.Invalid(at.Child("maxUnavailable"), rolling["maxUnavailable"], "cannot be 0");
    }

    private static void Claims(JsonObject? spec, FieldErrors errors)
    {
        FieldPath path = s_spec.Child("volumeClaimTemplates");
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int i, JsonObject claim) in spec.Objects("volumeClaimTemplates"))
        {
            FieldPath at = path.Index(i);
            if (Atoll.Api.Objects.Kinds.Find("v1", "PersistentVolumeClaim") is null)
                errors.Forbidden(at, "this version of Atoll serves no persistent volumes; use emptyDir or hostPath");
            if (claim.Object("metadata").Text("name") is not { Length: > 0 } name)
                errors.Required(at.Child("metadata", "name"));
            else if (Names.Label(name) is { } problem)
                errors.Invalid(at.Child("metadata", "name"), name, problem);
            else if (!names.Add(name))
                errors.Duplicate(at.Child("metadata", "name"), name);
        }
    }

    /// <summary>The spec as its pods will be: each claim is a volume, and takes the place of one of its name.</summary>
    private static JsonObject? WithClaims(JsonObject? spec)
    {
        if (spec.Array("volumeClaimTemplates") is not { Count: > 0 } || spec.Object("template").Object("spec") is null)
            return spec;
        var whole = (JsonObject)spec!.DeepClone();
        JsonObject pod = whole.Object("template").Object("spec")!;
        JsonArray volumes = pod.Array("volumes") ?? [];
        pod["volumes"] = volumes;
        foreach ((int _, JsonObject claim) in spec.Objects("volumeClaimTemplates"))
        {
            if (claim.Object("metadata").Text("name") is not { } name)
                continue;
            for (int i = volumes.Count - 1; i >= 0; i--)
                if ((volumes[i] as JsonObject).Text("name") == name)
                    volumes.RemoveAt(i);
            volumes.Add((JsonNode)new JsonObject { ["name"] = name, ["emptyDir"] = new JsonObject() });
        }
        return whole;
    }

    private static void Immutable(JsonObject before, JsonObject spec, FieldErrors errors)
    {
        foreach (string field in before.Select(f => f.Key).Union(spec.Select(f => f.Key)))
            if (Array.IndexOf(s_mutable, field) < 0 && !Json.Same(before[field], spec[field]))
            {
                errors.Forbidden(s_spec, "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden");
                return;
            }
    }
}
