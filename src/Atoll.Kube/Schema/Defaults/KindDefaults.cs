using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;

namespace Atoll.Kube.Schema.Defaults;

/// <summary>
/// Kubernetes' defaults, kind by kind (its v1 API's defaults.go and create strategies). Only what is absent or null is
/// filled in, so that applying them twice changes nothing. Defaults that Kubernetes gives by admission (service account,
/// priority, tolerations for silent nodes) are not here: Atoll leaves a service account unset unless one is given, and no
/// pod is ever evicted because a site is silent.
/// </summary>
internal static class KindDefaults
{
    public static void Apply(ResourceType type, JsonObject document)
    {
        switch (type.Kind)
        {
            case "Pod" when type.Group.Length == 0: PodDefaults.Pod(document); break;
            case "Deployment": WorkloadDefaults.Deployment(document); break;
            case "ReplicaSet": WorkloadDefaults.ReplicaSet(document); break;
            case "DaemonSet": WorkloadDefaults.DaemonSet(document); break;
            case "StatefulSet": WorkloadDefaults.StatefulSet(document); break;
            case "Job": WorkloadDefaults.Job(document); break;
            case "Delivery": WorkloadDefaults.Delivery(document); break;
            case "Service": Service(document); break;
            case "Namespace": Namespace(document); break;
            case "Node": Node(document); break;
            case "Secret": Secret(document); break;
            case "PriorityClass": PriorityClass(document); break;
            case "PersistentVolume": PersistentVolume(document); break;
            case "PersistentVolumeClaim": PersistentVolumeClaim(document); break;
            case "StorageClass": StorageClass(document); break;
            case "ControllerRevision": document.Default("revision", 0); break;
        }
    }

    private static void Service(JsonObject document)
    {
        if (document.Ensure("spec") is not { } spec)
            return;
        spec.Default("type", "ClusterIP");
        spec.Default("sessionAffinity", "None");
        foreach ((_, JsonObject port) in spec.Objects("ports"))
        {
            port.Default("protocol", "TCP");
            if (port["port"] is { } number && (port["targetPort"] is null || port.Long("targetPort") == 0 || port.Text("targetPort")?.Length == 0))
                port["targetPort"] = number.DeepClone();
        }
        string? kind = spec.Text("type");
        if (kind is "NodePort" or "LoadBalancer")
            spec.Default("externalTrafficPolicy", "Cluster");
        if (kind == "LoadBalancer")
            spec.Default("allocateLoadBalancerNodePorts", true);
        if (kind is "NodePort" or "LoadBalancer" or "ClusterIP")
            spec.Default("internalTrafficPolicy", "Cluster");
        if (spec.Text("sessionAffinity") == "ClientIP" && spec.Ensure("sessionAffinityConfig")?.Ensure("clientIP") is { } client)
            client.Default("timeoutSeconds", 10800);
    }

    private static void Namespace(JsonObject document)
    {
        JsonObject? metadata = document.Ensure("metadata");
        // A namespace that is going away has its finalizers taken off one by one: they must not come back.
        if (metadata is not null && !metadata.Has("deletionTimestamp") && document.Ensure("spec") is { } spec)
            spec.Default("finalizers", new JsonArray("kubernetes"));
        if (metadata?.Text("name") is { Length: > 0 } name && metadata.Ensure("labels") is { } labels)
            labels.Default("kubernetes.io/metadata.name", name);
        document.Ensure("status")?.Default("phase", "Active");
    }

    private static void Node(JsonObject document)
    {
        document.Ensure("spec");
        if (document.Object("status") is { } status && status.Object("capacity") is { } capacity && !status.Has("allocatable"))
            status["allocatable"] = capacity.DeepClone();
    }

    private static void Secret(JsonObject document)
    {
        if (document.Text("type") is null or "" && (document["type"] is null || document.Text("type") is not null))
            document["type"] = "Opaque";
        // stringData is write-only: its values become data and win over what data has.
        if (document.Object("stringData") is not { } plain || plain.Any(p => Json.AsText(p.Value) is null) || document.Ensure("data") is not { } data)
            return;
        foreach (KeyValuePair<string, JsonNode?> pair in plain)
            data[pair.Key] = Convert.ToBase64String(Encoding.UTF8.GetBytes(Json.AsText(pair.Value)!));
        document.Remove("stringData");
    }

    private static void PersistentVolume(JsonObject document)
    {
        document.Ensure("status")?.Default("phase", "Pending");
        if (document.Ensure("spec") is not { } spec)
            return;
        spec.Default("persistentVolumeReclaimPolicy", "Retain");
        spec.Default("volumeMode", "Filesystem");
        spec.Object("hostPath")?.Default("type", "");
    }

    private static void PersistentVolumeClaim(JsonObject document)
    {
        document.Ensure("status")?.Default("phase", "Pending");
        document.Ensure("spec")?.Default("volumeMode", "Filesystem");
    }

    private static void StorageClass(JsonObject document)
    {
        document.Default("reclaimPolicy", "Delete");
        document.Default("volumeBindingMode", document.Text("provisioner") == Api.Core.StorageNames.LocalProvisioner ? "WaitForFirstConsumer" : "Immediate");
    }

    private static void PriorityClass(JsonObject document)
    {
        document.Default("value", 0);
        document.Default("preemptionPolicy", "PreemptLowerPriority");
    }
}
