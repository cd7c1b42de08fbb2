using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Kube.Schema.Rules;

/// <summary>Containers: names, images, ports, environment, resources, mounts, probes and hooks.</summary>
internal static class ContainerRules
{
    private static readonly string[] s_standard = ["cpu", "memory", "ephemeral-storage"];

    public static void Containers(JsonObject? spec, FieldPath path, HashSet<string> volumes, FieldErrors errors)
    {
        if (spec.Array("containers") is null or { Count: 0 } && spec?["containers"] is null or JsonArray)
            errors.Required(path.Child("containers"));
        var names = new HashSet<string>(StringComparer.Ordinal);
        var hostPorts = new HashSet<string>(StringComparer.Ordinal);
        foreach (string list in (string[])["initContainers", "containers"])
            foreach ((int i, JsonObject container) in spec.Objects(list))
            {
                FieldPath at = path.Child(list).Index(i);
                Name(container, at, names, errors);
                if (string.IsNullOrEmpty(container.Text("image")) && container["image"] is null or JsonValue)
                    errors.Required(at.Child("image"));
                else if (container.Text("image") is { } image && image.Trim() != image)
                    errors.Invalid(at.Child("image"), image, "must not have leading or trailing whitespace");
                Ports(container, at, hostPorts, spec.Bool("hostNetwork") == true, errors);
                Environment(container, at, errors);
                Resources(container.Object("resources"), at.Child("resources"), errors);
                Together(container.Object("resources"), at.Child("resources"), errors);
                Mounts(container, at, volumes, errors);
                Security(container.Object("securityContext"), at.Child("securityContext"), errors);
                bool init = list == "initContainers", sidecar = init && container.Text("restartPolicy") == "Always";
                foreach (string probe in (string[])["livenessProbe", "readinessProbe", "startupProbe"])
                    if (init && !sidecar && container.Has(probe))
                        errors.Forbidden(at.Child(probe), "may not be set for init containers without restartPolicy=Always");
                    else
                        Probe(container.Object(probe), at.Child(probe), probe != "readinessProbe", errors);
                foreach (string hook in (string[])["postStart", "preStop"])
                    if (container.Object("lifecycle").Object(hook) is { } handler)
                        Handler(handler, at.Child("lifecycle", hook), ["exec", "httpGet", "tcpSocket", "sleep"], errors);
                if (container.Text("restartPolicy") is { } policy && !(init && policy == "Always"))
                    if (init)
                        errors.NotSupported(at.Child("restartPolicy"), policy, "Always");
                    else
                        errors.Forbidden(at.Child("restartPolicy"), "may not be set for non-init containers");
            }
    }

    private static void Name(JsonObject container, FieldPath at, HashSet<string> names, FieldErrors errors)
    {
        if (container["name"] is not null and not JsonValue)
            return;
        string name = container.Text("name") ?? "";
        if (name.Length == 0)
            errors.Required(at.Child("name"));
        else if (Names.Label(name) is { } problem)
            errors.Invalid(at.Child("name"), name, problem);
        else if (!names.Add(name))
            errors.Duplicate(at.Child("name"), name);
    }

    private static void Ports(JsonObject container, FieldPath at, HashSet<string> hostPorts, bool hostNetwork, FieldErrors errors)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int i, JsonObject port) in container.Objects("ports"))
        {
            FieldPath path = at.Child("ports").Index(i);
            if (port.Text("name") is { Length: > 0 } name)
            {
                if (Names.Port(name) is { } problem)
                    errors.Invalid(path.Child("name"), name, problem);
                else if (!names.Add(name))
                    errors.Duplicate(path.Child("name"), name);
            }
            PortNumber(port["containerPort"], path.Child("containerPort"), errors, required: true);
            if (port.Long("hostPort") is not ({ } host and not 0))
                continue;
            PortNumber(port["hostPort"], path.Child("hostPort"), errors, required: false);
            if (port.Text("hostIP") is { Length: > 0 } address && !System.Net.IPAddress.TryParse(address, out _))
                errors.Invalid(path.Child("hostIP"), address, "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
            if (hostNetwork && host != port.Long("containerPort"))
                errors.Invalid(path.Child("hostPort"), host, "must match `containerPort` when `hostNetwork` is true");
            string key = $"{port.Text("protocol")}/{port.Text("hostIP")}/{host}";
            if (!hostPorts.Add(key))
                errors.Duplicate(path.Child("hostPort"), key);
        }
    }

    public static void PortNumber(JsonNode? value, FieldPath path, FieldErrors errors, bool required)
    {
        if (value is null)
        {
            if (required)
                errors.Required(path);
        }
        else if (Json.AsLong(value) is { } number and (< 1 or > 65535))
            errors.Invalid(path, number, "must be between 1 and 65535, inclusive");
    }

    public static void PortRef(JsonNode? value, FieldPath path, FieldErrors errors)
    {
        if (Json.AsText(value) is { } name)
        {
            if (Names.Port(name) is { } problem)
                errors.Invalid(path, name, problem);
        }
        else
            PortNumber(value, path, errors, required: false);
    }

    private static void Environment(JsonObject container, FieldPath at, FieldErrors errors)
    {
        foreach ((int i, JsonObject variable) in container.Objects("env"))
        {
            FieldPath path = at.Child("env").Index(i);
            string name = variable.Text("name") ?? "";
            if (name.Length == 0 && variable["name"] is null or JsonValue)
                errors.Required(path.Child("name"));
            else if (Names.Environment(name) is { } problem)
                errors.Invalid(path.Child("name"), name, problem);
            if (variable.Object("valueFrom") is not { } from)
                continue;
            int sources = from.Count(p => p.Value is not null);
            if (sources == 0)
                errors.Invalid(path.Child("valueFrom"), "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`");
            else if (variable.Text("value") is { Length: > 0 })
                errors.Invalid(path.Child("valueFrom"), "", "may not be specified when `value` is not empty");
            else if (sources > 1)
                errors.Invalid(path.Child("valueFrom"), "", "may not have more than one field specified at a time");
            foreach (string reference in (string[])["configMapKeyRef", "secretKeyRef"])
                if (from.Object(reference) is { } key && string.IsNullOrEmpty(key.Text("key")))
                    errors.Required(path.Child("valueFrom", reference).Child("key"));
        }
    }

    private static void Resources(JsonObject? resources, FieldPath path, FieldErrors errors)
    {
        foreach (string list in (string[])["limits", "requests"])
        {
            if (resources.Object(list) is not { } amounts)
                continue;
            foreach (KeyValuePair<string, JsonNode?> pair in amounts)
            {
                FieldPath at = path.Child(list).Key(pair.Key);
                if (!pair.Key.Contains('/', StringComparison.Ordinal) && Array.IndexOf(s_standard, pair.Key) < 0 && !IsHuge(pair.Key))
                    errors.Invalid(at, pair.Key, "must be a standard resource for containers");
                else if (LabelSyntax.KeyError(pair.Key) is { } problem)
                    errors.Invalid(at, pair.Key, problem);
                if (Amount(pair.Value) is not { } amount)
                    continue;
                if (amount < Quantity.Zero)
                    errors.Invalid(at, pair.Value, "must be greater than or equal to 0");
                else if (pair.Key.Contains('/', StringComparison.Ordinal) && pair.Key != WellKnown.Compute && amount.Milli % 1000 != 0)
                    errors.Invalid(at, pair.Value, "must be an integer");
                else if (pair.Key == WellKnown.GpuMilli && amount.Value > 1000)
                    errors.Invalid(at, pair.Value, $"must be at most 1000: it is a share of one GPU; ask for {WellKnown.Gpu} to have several");
                else if (list == "requests")
                    Limit(pair.Key, amount, pair.Value!, resources.Object("limits")?[pair.Key], path, errors);
            }
        }
    }

    // A request against its limit. Huge pages and extended resources cannot be given out twice, so the two are one; Kubernetes' own
    // names with a prefix are none of these, nor is what batch takes. Of Atoll's own names a request alone says enough.
    private static void Limit(string resource, Quantity request, JsonNode asked, JsonNode? cap, FieldPath path, FieldErrors errors)
    {
        bool whole = IsHuge(resource) || (resource.Contains('/', StringComparison.Ordinal) && !resource.Contains("kubernetes.io/", StringComparison.Ordinal) && resource is not (WellKnown.BatchCpu or WellKnown.BatchMemory));
        if (cap is null)
        {
            if (whole && !resource.Contains("edge.atoll.dev/", StringComparison.Ordinal))
                errors.Required(path.Child("limits"), "Limit must be set for non overcommitable resources");
        }
        else if (Amount(cap) is { } limit && (whole ? request != limit : request > limit))
            errors.Invalid(path.Child("requests").Key(resource), asked, $"must be {(whole ? "equal to" : "less than or equal to")} {resource} limit of {Plain(cap)}");
    }

    // One container's amounts against each other.
    private static void Together(JsonObject? resources, FieldPath path, FieldErrors errors)
    {
        HashSet<string> asked = [.. (resources.Object("requests") ?? []).Concat(resources.Object("limits") ?? []).Select(p => p.Key)];
        if (asked.Contains(WellKnown.Compute) && asked.Contains("cpu"))
            errors.Forbidden(path.Child("requests").Key(WellKnown.Compute), "cpu is given too: a container asks for cores of its node, or for normalised ones");
        foreach (string name in asked.Where(IsHuge).Order(StringComparer.Ordinal))
        {
            FieldPath at = path.Child("limits").Key(name);
            if (Amount(resources.Object("limits")?[name]) is not { } pages)
                continue;
            if (!Quantity.TryParse(name["hugepages-".Length..], out Quantity size) || size <= Quantity.Zero)
                errors.Invalid(at, name, "must name the size of a page, such as hugepages-2Mi");
            else if (pages.Value % size.Value != 0)
                errors.Invalid(at, resources.Object("limits")![name], $"is not positive integer multiple of {name["hugepages-".Length..]}");
        }
        if (asked.Any(IsHuge) && !asked.Contains("cpu") && !asked.Contains("memory") && !asked.Contains(WellKnown.Compute))
            errors.Forbidden(path, "HugePages require cpu or memory");
    }

    private static bool IsHuge(string resource) => resource.StartsWith("hugepages-", StringComparison.Ordinal);

    private static string Plain(JsonNode value) => Json.AsText(value) ?? value.ToJsonString();

    private static Quantity? Amount(JsonNode? value) => value is JsonValue && Quantity.TryParse(Plain(value), out Quantity amount) ? amount : null;

    private static void Mounts(JsonObject container, FieldPath at, HashSet<string> volumes, FieldErrors errors)
    {
        var paths = new HashSet<string>(StringComparer.Ordinal);
        foreach ((int i, JsonObject mount) in container.Objects("volumeMounts"))
        {
            FieldPath path = at.Child("volumeMounts").Index(i);
            string name = mount.Text("name") ?? "", target = mount.Text("mountPath") ?? "";
            if (name.Length == 0)
                errors.Required(path.Child("name"));
            else if (!volumes.Contains(name))
                errors.NotFound(path.Child("name"), name);
            if (target.Length == 0)
                errors.Required(path.Child("mountPath"));
            else if (!paths.Add(target))
                errors.Invalid(path.Child("mountPath"), target, "must be unique");
            foreach (string sub in (string[])["subPath", "subPathExpr"])
                if (mount.Text(sub) is { Length: > 0 } text)
                    VolumeRules.LocalPath(text, path.Child(sub), errors);
            if (mount.Text("subPath") is { Length: > 0 } && mount.Text("subPathExpr") is { Length: > 0 } both)
                errors.Invalid(path.Child("subPathExpr"), both, "subPathExpr and subPath are mutually exclusive");
        }
    }

    private static void Security(JsonObject? context, FieldPath path, FieldErrors errors)
    {
        PodRules.Ids(context, path, errors);
        if (context.Bool("allowPrivilegeEscalation") != false)
            return;
        if (context.Bool("privileged") == true)
            errors.Invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `privileged` to true");
        foreach ((_, string capability) in context.Object("capabilities").Texts("add"))
            if (capability is "SYS_ADMIN" or "CAP_SYS_ADMIN")
                errors.Invalid(path, context, "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN");
    }

    private static void Probe(JsonObject? probe, FieldPath path, bool onlyOneSuccess, FieldErrors errors)
    {
        if (probe is null)
            return;
        Handler(probe, path, ["exec", "httpGet", "tcpSocket", "grpc"], errors);
        foreach (string field in (string[])["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"])
            if (probe.Long(field) is { } number and < 0)
                errors.Invalid(path.Child(field), number, "must be greater than or equal to 0");
        if (probe.Long("terminationGracePeriodSeconds") is { } grace and <= 0)
            errors.Invalid(path.Child("terminationGracePeriodSeconds"), grace, "must be greater than 0");
        if (onlyOneSuccess && probe.Long("successThreshold") is { } successes and > 1)
            errors.Invalid(path.Child("successThreshold"), successes, "must be 1");
    }

    private static void Handler(JsonObject handler, FieldPath path, string[] forms, FieldErrors errors)
    {
        int count = 0;
        foreach (string form in forms)
        {
            if (handler[form] is null)
                continue;
            if (++count > 1)
                errors.Forbidden(path.Child(form), "may not specify more than 1 handler type");
            JsonObject? action = handler.Object(form);
            FieldPath at = path.Child(form);
            if (form == "exec" && action is not null && action.Array("command") is null or { Count: 0 })
                errors.Required(at.Child("command"));
            else if (form is "httpGet" or "tcpSocket")
                PortRef(action?["port"], at.Child("port"), errors);
            else if (form == "grpc")
                PortNumber(action?["port"], at.Child("port"), errors, required: true);
        }
        if (count == 0)
            errors.Required(path, "must specify a handler type");
    }
}
