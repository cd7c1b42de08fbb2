using Atoll.Api.Objects;

namespace Atoll.Kube.Watch;

/// <summary>The fields that field selectors may name, by resource. Source: the field label conversions of Kubernetes' types.</summary>
internal static class SelectableFields
{
    private static readonly string[] s_pod = ["spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork", "status.phase", "status.podIP", "status.nominatedNodeName"];
    private static readonly string[] s_event =
    [
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid", "involvedObject.apiVersion",
        "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason", "reportingComponent", "source", "type",
    ];
    private static readonly string[] s_newEvent =
    [
        "regarding.kind", "regarding.namespace", "regarding.name", "regarding.uid", "regarding.apiVersion",
        "regarding.resourceVersion", "regarding.fieldPath", "reason", "reportingController", "type",
    ];

    /// <summary>The path of a field in the stored document, or null when it cannot be selected.</summary>
    public static string[]? Path(ResourceType type, string field)
    {
        if (field == "metadata.name" || (field == "metadata.namespace" && type.Namespaced))
            return field.Split('.');
        string[] known = type switch
        {
            { Group: "", Plural: "pods" } => s_pod,
            { Group: "", Plural: "nodes" } => ["spec.unschedulable"],
            { Group: "", Plural: "namespaces" } => ["status.phase"],
            { Group: "", Plural: "secrets" } => ["type"],
            { Group: "", Plural: "services" } => ["spec.clusterIP", "spec.type"],
            { Group: "", Plural: "events" } => s_event,
            { Group: "events.k8s.io", Plural: "events" } => s_newEvent,
            { Group: "apps", Plural: "replicasets" } => ["status.replicas"],
            { Group: "batch", Plural: "jobs" } => ["status.successful"],
            _ => [],
        };
        if (Array.IndexOf(known, field) < 0)
            return null;
        // Stored as core/v1: the newer event names map onto the older.
        return field switch
        {
            "source" => ["source", "component"],
            "status.successful" => ["status", "succeeded"],
            "reportingController" => ["reportingComponent"],
            _ when field.StartsWith("regarding.", StringComparison.Ordinal) => ["involvedObject", field["regarding.".Length..]],
            _ => field.Split('.'),
        };
    }

    /// <summary>What a field that is not set counts as.</summary>
    public static string Missing(string field) => field switch
    {
        "spec.unschedulable" or "spec.hostNetwork" => "false",
        "status.replicas" or "status.successful" => "0",
        _ => "",
    };
}
