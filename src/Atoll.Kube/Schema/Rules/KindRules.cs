using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>
/// What a shape cannot say, kind by kind, in the words of Kubernetes' validation. Metadata that all kinds share is checked
/// by the API's verbs. A status is an outcome: its types are checked and nothing else.
/// </summary>
internal static class KindRules
{
    private const int MaxDataBytes = 1024 * 1024;

    public static void Validate(ResourceType type, JsonObject document, JsonObject? old, string? subresource, FieldErrors errors)
    {
        if (subresource == "status" || document.Text("kind") is "Binding" or "Eviction" or "Scale")
            return;
        FieldPath spec = FieldPath.Root.Child("spec");
        if (type.Kind is "Pod" or "Deployment" or "ReplicaSet" or "DaemonSet" or "StatefulSet" or "Job")
            FailoverRules.Validate(type.Kind, document, errors);
        switch (type.Kind)
        {
            case "Pod": PodRules.Pod(document, old, subresource, errors); break;
            case "Deployment" or "ReplicaSet" or "DaemonSet": WorkloadRules.Workload(type.Kind, document, old, errors); break;
            case "StatefulSet": StatefulSetRules.Validate(document, old, errors); break;
            case "Job": WorkloadRules.Job(document, old, errors); break;
            case "ConfigMap": Data(document, old, errors, ["data", "binaryData"], null); break;
            case "Secret": Data(document, old, errors, ["data"], document.Text("type")); break;
            case "Service": ServiceRules.Service(document, errors); break;
            case "Node": Node(document, old, errors); break;
            case "PriorityClass": PriorityClass(document, old, errors); break;
            case "PersistentVolume": StorageRules.Volume(document, old, errors); break;
            case "PersistentVolumeClaim": StorageRules.Claim(document, old, errors); break;
            case "StorageClass": StorageRules.Class(document, old, errors); break;
            case "PodDisruptionBudget": Budget(document.Object("spec"), spec, errors); break;
            case "RuntimeClass": RuntimeClass(document, old, errors); break;
            case "Lease": Lease(document.Object("spec"), spec, errors); break;
            case "PodGroup" or "ElasticQuota" or "Reservation" or "SchedulerProfile": CentreRules.Validate(type.Kind, document, old, errors); break;
            case "Site": EdgeRules.Site(document.Object("spec"), spec, errors); break;
            case "Flavour": EdgeRules.Flavour(document.Object("spec"), spec, errors); break;
            case "CPUModel": EdgeRules.CpuModel(document.Object("spec"), spec, errors); break;
            case "Delivery": EdgeRules.Delivery(document, old, spec, errors); break;
            case "DefragmentationPlan": FragmentRules.DefragmentationPlan(document.Object("spec"), spec, errors); break;
            case "ControllerRevision": ControllerRevision(document, old, errors); break;
        }
    }

    private static void Data(JsonObject document, JsonObject? old, FieldErrors errors, string[] fields, string? secretType)
    {
        long size = 0;
        foreach (string field in fields)
            foreach (KeyValuePair<string, string> pair in document.Map(field))
            {
                if (Names.ConfigKey(pair.Key) is { } problem)
                    errors.Invalid(FieldPath.Root.Child(field).Key(pair.Key), pair.Key, problem);
                size += secretType is not null || field == "binaryData" ? pair.Value.Length / 4 * 3 : Encoding.UTF8.GetByteCount(pair.Value);
            }
        if (fields.Length == 2 && document.Object("data") is { } data && document.Object("binaryData") is { } binary)
            foreach (KeyValuePair<string, JsonNode?> pair in data)
                if (binary.ContainsKey(pair.Key))
                    errors.Invalid(FieldPath.Root.Child("data").Key(pair.Key), pair.Key, "duplicate of key present in binaryData");
        if (size > MaxDataBytes)
            errors.TooLong(FieldPath.Root.Child("data"), MaxDataBytes);
        if (secretType is not null)
            SecretKeys(document, secretType, errors);
        if (old is null)
            return;
        if (secretType is not null && old.Text("type") is { } before && before != secretType)
            errors.Invalid(FieldPath.Root.Child("type"), secretType, "field is immutable");
        if (old.Bool("immutable") != true)
            return;
        if (document.Bool("immutable") != true)
            errors.Forbidden(FieldPath.Root.Child("immutable"), "field is immutable when `immutable` is set");
        foreach (string field in fields)
            if (!Json.Same(old[field], document[field]))
                errors.Forbidden(FieldPath.Root.Child(field), "field is immutable when `immutable` is set");
    }

    private static void SecretKeys(JsonObject document, string type, FieldErrors errors)
    {
        string[] keys = type switch
        {
            "kubernetes.io/dockerconfigjson" => [".dockerconfigjson"],
            "kubernetes.io/dockercfg" => [".dockercfg"],
            "kubernetes.io/tls" => ["tls.crt", "tls.key"],
            "kubernetes.io/ssh-auth" => ["ssh-privatekey"],
            _ => [],
        };
        foreach (string key in keys)
            if (document.Object("data").Text(key) is null)
                errors.Required(FieldPath.Root.Child("data").Key(key));
        foreach (string key in (string[])[".dockerconfigjson", ".dockercfg"])
            if (Array.IndexOf(keys, key) >= 0 && document.Object("data").Text(key) is { } config && !IsJson(config))
                errors.Invalid(FieldPath.Root.Child("data").Key(key), "<secret contents redacted>", "must be JSON: kubectl create secret docker-registry makes it");
        if (type == "kubernetes.io/service-account-token" && string.IsNullOrEmpty(document.Object("metadata").Object("annotations").Text("kubernetes.io/service-account.name")))
            errors.Required(FieldPath.Root.Child("metadata", "annotations").Key("kubernetes.io/service-account.name"));
        if (type == "kubernetes.io/basic-auth" && document.Object("data").Text("username") is null && document.Object("data").Text("password") is null)
        {
            errors.Required(FieldPath.Root.Child("data").Key("username"));
            errors.Required(FieldPath.Root.Child("data").Key("password"));
        }
    }

    private static bool IsJson(string base64)
    {
        try
        {
            JsonNode.Parse(Convert.FromBase64String(base64));
            return true;
        }
        catch (Exception e) when (e is FormatException or System.Text.Json.JsonException)
        {
            return false;
        }
    }

    private static void Node(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        FieldPath path = FieldPath.Root.Child("spec");
        JsonObject? spec = document.Object("spec");
        var seen = new HashSet<(string?, string?)>();
        foreach ((int i, JsonObject taint) in spec.Objects("taints"))
        {
            FieldPath at = path.Child("taints").Index(i);
            if (taint.Text("key") is not { Length: > 0 } key)
                errors.Required(at.Child("key"));
            else if (LabelSyntax.KeyError(key) is { } problem)
                errors.Invalid(at.Child("key"), key, problem);
            if (taint.Text("value") is { Length: > 0 } value && LabelSyntax.ValueError(value) is { } wrong)
                errors.Invalid(at.Child("value"), value, wrong);
            if (!seen.Add((taint.Text("key"), taint.Text("effect"))))
                errors.Duplicate(at, $"{taint.Text("key")}:{taint.Text("effect")}");
        }
        if (spec.Text("podCIDR") is { Length: > 0 } cidr && !System.Net.IPNetwork.TryParse(cidr, out _))
            errors.Invalid(path.Child("podCIDR"), cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)");
        string? before = old.Object("spec").Text("podCIDR");
        if (!string.IsNullOrEmpty(before) && before != spec.Text("podCIDR"))
            errors.Forbidden(path, "node updates may not change podCIDR except from \"\" to valid");
    }

    private static void PriorityClass(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        const long highestUser = 1_000_000_000;
        FieldPath path = FieldPath.Root.Child("value");
        long value = document.Long("value") ?? 0;
        if (document.Object("metadata").Text("name") is { } name && name.StartsWith("system-", StringComparison.Ordinal) && name is not ("system-node-critical" or "system-cluster-critical"))
            errors.Forbidden(FieldPath.Root.Child("metadata", "name"), "priority class names with 'system-' prefix are reserved for system use only. error: " + name + " is not a known system priority class");
        else if (value > highestUser && document.Object("metadata").Text("name")?.StartsWith("system-", StringComparison.Ordinal) != true)
            errors.Forbidden(path, $"maximum allowed value of a user defined priority is {highestUser}");
        BatchRules.PriorityClass(document, errors);
        if (old is null)
            return;
        if ((old.Long("value") ?? 0) != value)
            errors.Forbidden(path, "may not be changed in an update.");
        if (old.Text("preemptionPolicy") != document.Text("preemptionPolicy"))
            errors.Invalid(FieldPath.Root.Child("preemptionPolicy"), document["preemptionPolicy"], "field is immutable");
    }

    private static void Budget(JsonObject? budget, FieldPath path, FieldErrors errors)
    {
        if (budget is null)
            return;
        SchedulingRules.Selector(budget.Object("selector"), path.Child("selector"), errors);
        if (budget["minAvailable"] is not null && budget["maxUnavailable"] is not null)
            errors.Invalid(path, budget, "minAvailable and maxUnavailable cannot be both set");
        foreach (string field in (ReadOnlySpan<string>)["minAvailable", "maxUnavailable"])
        {
            if (budget[field] is not JsonValue value)
                continue;
            bool valid = value.GetValueKind() == System.Text.Json.JsonValueKind.Number ? value.TryGetValue(out long number) && number >= 0
                : value.ToString() is { } text && text.EndsWith('%') && int.TryParse(text.AsSpan(0, text.Length - 1), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture, out int share) && share <= 100;
            if (!valid)
                errors.Invalid(path.Child(field), value, "must be greater than or equal to 0, or a percentage of at most 100%");
        }
    }

    private static void RuntimeClass(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        string handler = document.Text("handler") ?? "";
        if (document["handler"] is null or JsonValue && Names.Label(handler) is { } problem)
            errors.Invalid(FieldPath.Root.Child("handler"), handler, problem);
        foreach ((string resource, JsonNode? value) in document.Object("overhead").Object("podFixed") ?? [])
            if (value is JsonValue && Api.Quantities.Quantity.TryParse(value.ToString(), out Api.Quantities.Quantity amount) && amount < Api.Quantities.Quantity.Zero)
                errors.Invalid(FieldPath.Root.Child("overhead", "podFixed").Key(resource), value, "must be greater than or equal to 0");
        if (old is not null && old.Text("handler") != document.Text("handler"))
            errors.Invalid(FieldPath.Root.Child("handler"), handler, "field is immutable");
    }

    private static void Lease(JsonObject? spec, FieldPath path, FieldErrors errors)
    {
        if (spec.Long("leaseDurationSeconds") is { } duration and <= 0)
            errors.Invalid(path.Child("leaseDurationSeconds"), duration, "must be greater than 0");
        if (spec.Long("leaseTransitions") is { } transitions and < 0)
            errors.Invalid(path.Child("leaseTransitions"), transitions, "must be greater than or equal to 0");
        if (spec.Text("holderIdentity") is { Length: 0 })
            errors.Invalid(path.Child("holderIdentity"), "", "must not be empty");
    }

    private static void ControllerRevision(JsonObject document, JsonObject? old, FieldErrors errors)
    {
        if (document.Long("revision") is { } revision and < 0)
            errors.Invalid(FieldPath.Root.Child("revision"), revision, "must be greater than or equal to 0");
        if (old is not null && !Json.Same(old["data"], document["data"]))
            errors.Invalid(FieldPath.Root.Child("data"), document["data"], "field is immutable");
    }
}
