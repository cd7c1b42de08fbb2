using System.Text.Json.Nodes;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>Pods and pod templates.</summary>
internal static class PodRules
{
    private static readonly string[] s_mutable = ["activeDeadlineSeconds", "terminationGracePeriodSeconds", "tolerations", "schedulingGates", "containers", "initContainers", "ephemeralContainers"];

    public static void Pod(JsonObject document, JsonObject? old, string? subresource, FieldErrors errors)
    {
        FieldPath path = FieldPath.Root.Child("spec");
        JsonObject? spec = document.Object("spec");
        Spec(spec, path, errors);
        if (subresource is null)
            BatchRules.Pod(document, old, errors);
        if (old is null)
            EdgeRules.Annotations(document.Object("metadata"), FieldPath.Root.Child("metadata", "annotations"), errors);
        if (old.Object("spec") is { } before && spec is not null && subresource is null)
            Update(before, spec, path, errors);
    }

    /// <summary>The spec of a pod or of a template.</summary>
    public static void Spec(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        HashSet<string> volumes = VolumeRules.Volumes(spec, path, errors);
        ContainerRules.Containers(spec, path, volumes, errors);
        if (spec.Array("ephemeralContainers") is { Count: > 0 })
            errors.Forbidden(path.Child("ephemeralContainers"), "Atoll does not run ephemeral containers");
        if (spec.Object("resources") is { Count: > 0 })
            errors.Forbidden(path.Child("resources"), "Atoll counts and enforces what containers ask for: set it at the containers");
        if (spec.Array("resourceClaims") is { Count: > 0 })
            errors.Forbidden(path.Child("resourceClaims"), "Atoll has no dynamic resource allocation: ask for devices as extended resources");
        Gates(spec, path, errors);
        if (spec.Long("terminationGracePeriodSeconds") is { } grace and < 0)
            errors.Invalid(path.Child("terminationGracePeriodSeconds"), grace, "must be greater than or equal to 0");
        if (spec.Long("activeDeadlineSeconds") is { } deadline and (< 1 or > int.MaxValue))
            errors.Invalid(path.Child("activeDeadlineSeconds"), deadline, "must be between 1 and 2147483647, inclusive");
        foreach (string field in (string[])["serviceAccountName", "nodeName", "runtimeClassName", "priorityClassName"])
            if (spec.Text(field) is { Length: > 0 } name && Names.Subdomain(name) is { } problem)
                errors.Invalid(path.Child(field), name, problem);
        foreach (string field in (string[])["hostname", "subdomain"])
            if (spec.Text(field) is { Length: > 0 } name && Names.Label(name) is { } problem)
                errors.Invalid(path.Child(field), name, problem);
        if (spec.Text("dnsPolicy") == "None" && spec.Object("dnsConfig").Array("nameservers") is null or { Count: 0 })
            errors.Required(path.Child("dnsConfig", "nameservers"), "must provide at least one DNS nameserver when `dnsPolicy` is None");
        Ids(spec.Object("securityContext"), path.Child("securityContext"), errors);
        foreach (KeyValuePair<string, string> label in spec.Map("nodeSelector"))
            if (LabelSyntax.KeyError(label.Key) is { } problem)
                errors.Invalid(path.Child("nodeSelector"), label.Key, problem);
            else if (LabelSyntax.ValueError(label.Value) is { } wrong)
                errors.Invalid(path.Child("nodeSelector").Key(label.Key), label.Value, wrong);
        SchedulingRules.Scheduling(spec, path, errors);
    }

    private static void Gates(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int i, JsonObject gate) in spec.Objects("schedulingGates"))
        {
            FieldPath at = path.Child("schedulingGates").Index(i).Child("name");
            string name = gate.Text("name") ?? "";
            if (LabelSyntax.KeyError(name) is { } problem)
                errors.Invalid(at, name, problem);
            else if (!names.Add(name))
                errors.Duplicate(at, name);
        }
        if (names.Count > 0 && !string.IsNullOrEmpty(spec.Text("nodeName")))
            errors.Forbidden(path.Child("nodeName"), "cannot be set until all schedulingGates have been cleared");
    }

    /// <summary>User and group ids of a security context.</summary>
    public static void Ids(JsonObject? context, FieldPath path, FieldErrors errors)
    {
        foreach (string field in (string[])["runAsUser", "runAsGroup", "fsGroup"])
            if (context.Long(field) is { } id and (< 0 or > int.MaxValue))
                errors.Invalid(path.Child(field), id, "must be between 0 and 2147483647, inclusive");
        if (context.Object("seccompProfile") is { } seccomp && seccomp.Text("type") == "Localhost" && string.IsNullOrEmpty(seccomp.Text("localhostProfile")))
            errors.Required(path.Child("seccompProfile", "localhostProfile"), "must be set when seccomp type is Localhost");
    }

    private static void Update(JsonObject before, JsonObject spec, FieldPath path, FieldErrors errors)
    {
        if (!Tolerations(before, spec))
            errors.Forbidden(path.Child("tolerations"), "existing toleration can not be modified except its tolerationSeconds");
        long? was = before.Long("terminationGracePeriodSeconds"), grace = spec.Long("terminationGracePeriodSeconds");
        if (was != grace && !(was < 0 && grace == 1))
            errors.Forbidden(path.Child("terminationGracePeriodSeconds"), "may not be changed after creation");
        if (before.Long("activeDeadlineSeconds") is { } old && (spec.Long("activeDeadlineSeconds") is not { } next || next > old))
            errors.Invalid(path.Child("activeDeadlineSeconds"), spec["activeDeadlineSeconds"], $"must be less than or equal to previous value {old}");
        HashSet<string?> gates = [.. before.Objects("schedulingGates").Select(g => g.Item.Text("name"))];
        foreach ((_, JsonObject gate) in spec.Objects("schedulingGates"))
            if (!gates.Contains(gate.Text("name")))
                errors.Forbidden(path.Child("schedulingGates"), $"only deletion is allowed, but found new scheduling gate '{gate.Text("name")}'");
        JsonObject then = Fixed(before), now = Fixed(spec);
        if (gates.Count > 0)
            Directives(then, now, path, errors);
        if (!Json.Same(then, now))
            errors.Forbidden(path, "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)");
    }

    // Where a pod that nobody plans yet may run can be narrowed: labels of its nodes added, affinity to nodes tightened.
    private static void Directives(JsonObject then, JsonObject now, FieldPath path, FieldErrors errors)
    {
        foreach (KeyValuePair<string, string> label in then.Map("nodeSelector"))
            if (now.Object("nodeSelector").Text(label.Key) != label.Value)
            {
                errors.Invalid(path.Child("nodeSelector"), now["nodeSelector"], "only additions to spec.nodeSelector are allowed (no mutations or deletions)");
                break;
            }
        JsonObject? was = then.Object("affinity").Object("nodeAffinity"), affinity = now.Object("affinity").Object("nodeAffinity");
        const string required = "requiredDuringSchedulingIgnoredDuringExecution";
        if (was.Object(required) is { } terms && !Narrows(terms, affinity.Object(required)))
            errors.Invalid(path.Child("affinity", "nodeAffinity").Child(required).Child("nodeSelectorTerms"), affinity.Object(required)?["nodeSelectorTerms"], "only additions are allowed (no mutations or deletions)");
        foreach (JsonObject spec in (JsonObject[])[then, now])
        {
            spec.Remove("nodeSelector");
            spec.Object("affinity")?.Remove("nodeAffinity");
            if (spec.Object("affinity") is { Count: 0 })
                spec.Remove("affinity");
        }
    }

    // The same terms, each with the requirements that it had and perhaps more.
    private static bool Narrows(JsonObject was, JsonObject? now)
    {
        List<JsonObject> before = [.. was.Objects("nodeSelectorTerms").Select(t => t.Item)], after = [.. now.Objects("nodeSelectorTerms").Select(t => t.Item)];
        if (before.Count != after.Count)
            return false;
        for (int i = 0; i < before.Count; i++)
            foreach (string list in (string[])["matchExpressions", "matchFields"])
            {
                JsonArray had = before[i].Array(list) ?? [], has = after[i].Array(list) ?? [];
                for (int k = 0; k < had.Count; k++)
                    if (k >= has.Count || !Json.Same(had[k], has[k]))
                        return false;
            }
        return true;
    }

    /// <summary>The spec without what may change.</summary>
    private static JsonObject Fixed(JsonObject spec)
    {
        var copy = new JsonObject();
        foreach (KeyValuePair<string, JsonNode?> pair in spec)
            if (pair.Value is not null && Array.IndexOf(s_mutable, pair.Key) < 0)
                copy[pair.Key] = pair.Value.DeepClone();
        foreach (string list in (string[])["containers", "initContainers", "ephemeralContainers"])
        {
            if (spec[list] is not { } containers)
                continue;
            JsonNode clone = containers.DeepClone();
            if (clone is JsonArray items)
                foreach (JsonNode? item in items)
                    (item as JsonObject)?.Remove("image");
            copy[list] = clone;
        }
        return copy;
    }

    private static bool Tolerations(JsonObject before, JsonObject spec)
    {
        List<JsonObject> now = [.. spec.Objects("tolerations").Select(t => Plain(t.Item))];
        foreach ((_, JsonObject toleration) in before.Objects("tolerations"))
        {
            JsonObject plain = Plain(toleration);
            if (!now.Exists(t => Json.Same(t, plain)))
                return false;
        }
        return true;

        static JsonObject Plain(JsonObject toleration)
        {
            var copy = (JsonObject)toleration.DeepClone();
            copy.Remove("tolerationSeconds");
            return copy;
        }
    }
}
