using System.Text.Json.Nodes;
using Atoll.Api.Quantities;

namespace Atoll.Kube.Schema.Defaults;

/// <summary>Defaults of pods and pod templates.</summary>
internal static class PodDefaults
{
    private static readonly string[] s_containerLists = ["initContainers", "containers", "ephemeralContainers"];
    private static readonly string[] s_probes = ["livenessProbe", "readinessProbe", "startupProbe"];

    /// <summary>A pod: what a template gets, and what only a running pod gets.</summary>
    public static void Pod(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        foreach (string list in s_containerLists)
            foreach ((_, JsonObject container) in spec.Objects(list))
                RequestsFromLimits(container);
        spec.Default("enableServiceLinks", true);
        Spec(spec);
        if (document.Ensure("status") is { } status)
        {
            status.Default("phase", "Pending");
            status.Default("qosClass", QosClass(spec));
        }
    }

    /// <summary>The spec of a pod or of a template.</summary>
    public static void Spec(JsonObject spec)
    {
        spec.Default("restartPolicy", "Always");
        spec.Default("dnsPolicy", "ClusterFirst");
        spec.Default("terminationGracePeriodSeconds", 30);
        spec.Default("schedulerName", "default-scheduler");
        spec.Default("securityContext", new JsonObject());
        // The old name of the field: clients still read it.
        if (spec.Text("serviceAccountName") is { Length: > 0 } name)
            spec["serviceAccount"] = name;
        else if (spec.Text("serviceAccount") is { Length: > 0 } old)
            spec["serviceAccountName"] = old;
        bool hostNetwork = spec.Bool("hostNetwork") == true;
        foreach (string list in s_containerLists)
            foreach ((_, JsonObject container) in spec.Objects(list))
                Container(container, hostNetwork);
        foreach ((_, JsonObject volume) in spec.Objects("volumes"))
            Volume(volume);
    }

    private static void Container(JsonObject container, bool hostNetwork)
    {
        container.Default("imagePullPolicy", IsLatest(container.Text("image")) ? "Always" : "IfNotPresent");
        container.Default("terminationMessagePath", "/dev/termination-log");
        container.Default("terminationMessagePolicy", "File");
        container.Default("resources", new JsonObject());
        foreach ((_, JsonObject port) in container.Objects("ports"))
        {
            port.Default("protocol", "TCP");
            if (hostNetwork && port["containerPort"] is { } number)
                port.Default("hostPort", number.DeepClone());
        }
        foreach ((_, JsonObject variable) in container.Objects("env"))
            variable.Object("valueFrom").Object("fieldRef")?.Default("apiVersion", "v1");
        foreach (string name in s_probes)
            if (container.Object(name) is { } probe)
                Probe(probe);
        if (container.Object("lifecycle") is { } lifecycle)
        {
            HttpGet(lifecycle.Object("postStart").Object("httpGet"));
            HttpGet(lifecycle.Object("preStop").Object("httpGet"));
        }
    }

    private static void Probe(JsonObject probe)
    {
        Positive(probe, "timeoutSeconds", 1);
        Positive(probe, "periodSeconds", 10);
        Positive(probe, "successThreshold", 1);
        Positive(probe, "failureThreshold", 3);
        HttpGet(probe.Object("httpGet"));
        probe.Object("grpc")?.Default("service", "");
    }

    /// <summary>Zero is Kubernetes' "not set" for the numbers of a probe.</summary>
    private static void Positive(JsonObject probe, string name, int value)
    {
        if (probe[name] is null || probe.Long(name) == 0)
            probe[name] = value;
    }

    private static void HttpGet(JsonObject? action)
    {
        action?.Default("path", "/");
        action?.Default("scheme", "HTTP");
    }

    private static void Volume(JsonObject volume)
    {
        bool source = false;
        foreach (KeyValuePair<string, JsonNode?> pair in volume)
            source |= pair.Key != "name" && pair.Value is not null;
        if (!source)
            volume["emptyDir"] = new JsonObject();
        foreach (string name in (string[])["secret", "configMap", "downwardAPI", "projected"])
            volume.Object(name)?.Default("defaultMode", 420);
        volume.Object("hostPath")?.Default("type", "");
        FieldRefs(volume.Object("downwardAPI"));
        foreach ((_, JsonObject projection) in volume.Object("projected").Objects("sources"))
        {
            FieldRefs(projection.Object("downwardAPI"));
            projection.Object("serviceAccountToken")?.Default("expirationSeconds", 3600);
        }
    }

    private static void FieldRefs(JsonObject? downward)
    {
        foreach ((_, JsonObject item) in downward.Objects("items"))
            item.Object("fieldRef")?.Default("apiVersion", "v1");
    }

    private static void RequestsFromLimits(JsonObject container)
    {
        if (container.Object("resources") is not { } resources || resources.Object("limits") is not { Count: > 0 } limits || resources.Ensure("requests") is not { } requests)
            return;
        foreach (KeyValuePair<string, JsonNode?> limit in limits)
            if (limit.Value is not null && requests[limit.Key] is null)
                requests[limit.Key] = limit.Value.DeepClone();
    }

    /// <summary>True when an image has the tag latest, or neither a tag nor a digest.</summary>
    internal static bool IsLatest(string? image)
    {
        if (string.IsNullOrEmpty(image) || image.Contains('@', StringComparison.Ordinal))
            return false;
        int colon = image.LastIndexOf(':');
        return colon < 0 || image.IndexOf('/', colon) >= 0 || image.AsSpan(colon + 1) is "latest";
    }

    /// <summary>Guaranteed, Burstable or BestEffort, from the cpu and memory of all containers (Kubernetes' qos.go).</summary>
    internal static string QosClass(JsonObject spec)
    {
        bool any = false, guaranteed = true;
        foreach (string list in (string[])["initContainers", "containers"])
            foreach ((_, JsonObject container) in spec.Objects(list))
                foreach (string name in (string[])["cpu", "memory"])
                {
                    Quantity request = Amount(container, "requests", name), limit = Amount(container, "limits", name);
                    any |= request > Quantity.Zero || limit > Quantity.Zero;
                    guaranteed &= limit > Quantity.Zero && request == limit;
                }
        return !any ? "BestEffort" : guaranteed ? "Guaranteed" : "Burstable";
    }

    private static Quantity Amount(JsonObject container, string list, string name)
    {
        JsonNode? value = container.Object("resources").Object(list)?[name];
        return Quantity.Parse(Json.AsText(value) ?? (value is JsonValue ? value.ToJsonString() : null));
    }
}
