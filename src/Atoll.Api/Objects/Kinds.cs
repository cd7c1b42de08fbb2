namespace Atoll.Api.Objects;

/// <summary>The resources that Atoll serves: one table, read by discovery, routing, storage and controllers.</summary>
public static class Kinds
{
    /// <summary>Group of Atoll's own kinds.</summary>
    public const string EdgeGroup = "edge.atoll.dev";

    /// <summary>core/v1 Namespace.</summary>
    public static readonly ResourceType Namespace = new() { Group = "", Version = "v1", Kind = "Namespace", Plural = "namespaces", Namespaced = false, ShortNames = ["ns"], Subresources = ["status", "finalize"], Verbs = ["create", "delete", "get", "list", "patch", "update", "watch"] };

    /// <summary>core/v1 Node.</summary>
    public static readonly ResourceType Node = new() { Group = "", Version = "v1", Kind = "Node", Plural = "nodes", Namespaced = false, ShortNames = ["no"], Subresources = ["status"] };

    /// <summary>core/v1 Pod.</summary>
    public static readonly ResourceType Pod = new() { Group = "", Version = "v1", Kind = "Pod", Plural = "pods", Namespaced = true, ShortNames = ["po"], Categories = ["all"], Subresources = ["status", "binding", "eviction", "log", "exec", "attach", "portforward"] };

    /// <summary>core/v1 ConfigMap.</summary>
    public static readonly ResourceType ConfigMap = new() { Group = "", Version = "v1", Kind = "ConfigMap", Plural = "configmaps", Namespaced = true, ShortNames = ["cm"] };

    /// <summary>core/v1 Secret.</summary>
    public static readonly ResourceType Secret = new() { Group = "", Version = "v1", Kind = "Secret", Plural = "secrets", Namespaced = true };

    /// <summary>core/v1 ServiceAccount.</summary>
    public static readonly ResourceType ServiceAccount = new() { Group = "", Version = "v1", Kind = "ServiceAccount", Plural = "serviceaccounts", Namespaced = true, ShortNames = ["sa"] };

    /// <summary>core/v1 Service.</summary>
    public static readonly ResourceType Service = new() { Group = "", Version = "v1", Kind = "Service", Plural = "services", Namespaced = true, ShortNames = ["svc"], Categories = ["all"], Subresources = ["status"] };

    /// <summary>core/v1 Event.</summary>
    public static readonly ResourceType Event = new() { Group = "", Version = "v1", Kind = "Event", Plural = "events", Namespaced = true, ShortNames = ["ev"] };

    /// <summary>events.k8s.io/v1 Event: the same objects as core/v1 Event under their newer name, stored once.</summary>
    public static readonly ResourceType EventsEvent = new() { Group = "events.k8s.io", Version = "v1", Kind = "Event", Plural = "events", Namespaced = true, ShortNames = ["ev"] };

    /// <summary>coordination.k8s.io/v1 Lease.</summary>
    public static readonly ResourceType Lease = new() { Group = "coordination.k8s.io", Version = "v1", Kind = "Lease", Plural = "leases", Namespaced = true };

    /// <summary>apps/v1 Deployment.</summary>
    public static readonly ResourceType Deployment = new() { Group = "apps", Version = "v1", Kind = "Deployment", Plural = "deployments", Namespaced = true, ShortNames = ["deploy"], Categories = ["all"], Subresources = ["status", "scale"] };

    /// <summary>apps/v1 ReplicaSet.</summary>
    public static readonly ResourceType ReplicaSet = new() { Group = "apps", Version = "v1", Kind = "ReplicaSet", Plural = "replicasets", Namespaced = true, ShortNames = ["rs"], Categories = ["all"], Subresources = ["status", "scale"] };

    /// <summary>apps/v1 DaemonSet.</summary>
    public static readonly ResourceType DaemonSet = new() { Group = "apps", Version = "v1", Kind = "DaemonSet", Plural = "daemonsets", Namespaced = true, ShortNames = ["ds"], Categories = ["all"], Subresources = ["status"] };

    /// <summary>apps/v1 StatefulSet.</summary>
    public static readonly ResourceType StatefulSet = new() { Group = "apps", Version = "v1", Kind = "StatefulSet", Plural = "statefulsets", Namespaced = true, ShortNames = ["sts"], Categories = ["all"], Subresources = ["status", "scale"] };

    /// <summary>apps/v1 ControllerRevision.</summary>
    public static readonly ResourceType ControllerRevision = new() { Group = "apps", Version = "v1", Kind = "ControllerRevision", Plural = "controllerrevisions", Namespaced = true };

    /// <summary>batch/v1 Job.</summary>
    public static readonly ResourceType Job = new() { Group = "batch", Version = "v1", Kind = "Job", Plural = "jobs", Namespaced = true, Categories = ["all"], Subresources = ["status"] };

    /// <summary>node.k8s.io/v1 RuntimeClass.</summary>
    public static readonly ResourceType RuntimeClass = new() { Group = "node.k8s.io", Version = "v1", Kind = "RuntimeClass", Plural = "runtimeclasses", Namespaced = false };

    /// <summary>scheduling.k8s.io/v1 PriorityClass.</summary>
    public static readonly ResourceType PriorityClass = new() { Group = "scheduling.k8s.io", Version = "v1", Kind = "PriorityClass", Plural = "priorityclasses", Namespaced = false, ShortNames = ["pc"] };

    /// <summary>core/v1 PersistentVolume.</summary>
    public static readonly ResourceType PersistentVolume = new() { Group = "", Version = "v1", Kind = "PersistentVolume", Plural = "persistentvolumes", Namespaced = false, ShortNames = ["pv"], Subresources = ["status"] };

    /// <summary>core/v1 PersistentVolumeClaim.</summary>
    public static readonly ResourceType PersistentVolumeClaim = new() { Group = "", Version = "v1", Kind = "PersistentVolumeClaim", Plural = "persistentvolumeclaims", Namespaced = true, ShortNames = ["pvc"], Subresources = ["status"] };

    /// <summary>storage.k8s.io/v1 StorageClass.</summary>
    public static readonly ResourceType StorageClass = new() { Group = "storage.k8s.io", Version = "v1", Kind = "StorageClass", Plural = "storageclasses", Namespaced = false, ShortNames = ["sc"] };

    /// <summary>policy/v1 PodDisruptionBudget.</summary>
    public static readonly ResourceType PodDisruptionBudget = new() { Group = "policy", Version = "v1", Kind = "PodDisruptionBudget", Plural = "poddisruptionbudgets", Namespaced = true, ShortNames = ["pdb"], Subresources = ["status"] };

    /// <summary>edge.atoll.dev/v1alpha1 Site: one edge location, an autonomous failure domain.</summary>
    public static readonly ResourceType Site = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "Site", Plural = "sites", Namespaced = false, Categories = ["atoll"], Subresources = ["status"] };

    /// <summary>scheduling.x-k8s.io/v1alpha1 PodGroup: pods that start together or not at all.</summary>
    public static readonly ResourceType PodGroup = new() { Group = "scheduling.x-k8s.io", Version = "v1alpha1", Kind = "PodGroup", Plural = "podgroups", Namespaced = true, ShortNames = ["pg"], Subresources = ["status"] };

    /// <summary>scheduling.x-k8s.io/v1alpha1 ElasticQuota: what a namespace is sure to get and may have at most.</summary>
    public static readonly ResourceType ElasticQuota = new() { Group = "scheduling.x-k8s.io", Version = "v1alpha1", Kind = "ElasticQuota", Plural = "elasticquotas", Namespaced = true, ShortNames = ["eq"], Subresources = ["status"] };

    /// <summary>edge.atoll.dev/v1alpha1 Reservation: room on a node for certain pods.</summary>
    public static readonly ResourceType Reservation = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "Reservation", Plural = "reservations", Namespaced = false, Categories = ["atoll"], Subresources = ["status"] };

    /// <summary>edge.atoll.dev/v1alpha1 SchedulerProfile: how pods of a schedulerName are scored.</summary>
    public static readonly ResourceType SchedulerProfile = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "SchedulerProfile", Plural = "schedulerprofiles", Namespaced = false, Categories = ["atoll"], Subresources = ["status"] };

    /// <summary>edge.atoll.dev/v1alpha1 Flavour: a size that is sold.</summary>
    public static readonly ResourceType Flavour = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "Flavour", Plural = "flavours", Namespaced = false, Categories = ["atoll"] };

    /// <summary>edge.atoll.dev/v1alpha1 CPUModel: what a core of a model of processor is worth.</summary>
    public static readonly ResourceType CpuModel = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "CPUModel", Plural = "cpumodels", Namespaced = false, Categories = ["atoll"] };

    /// <summary>edge.atoll.dev/v1alpha1 Delivery: so many instances over sites that fulfil conditions.</summary>
    public static readonly ResourceType Delivery = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "Delivery", Plural = "deliveries", Namespaced = true, ShortNames = ["dlv"], Categories = ["atoll"], Subresources = ["status"] };

    /// <summary>edge.atoll.dev/v1alpha1 Capacity: what of a flavour a part of the fleet can still sell.</summary>
    public static readonly ResourceType Capacity = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "Capacity", Plural = "capacities", Namespaced = false, ShortNames = ["cap"], Categories = ["atoll"], Subresources = ["status"] };

    /// <summary>edge.atoll.dev/v1alpha1 DefragmentationPlan: moves of pods that make more of some flavours saleable.</summary>
    public static readonly ResourceType DefragmentationPlan = new() { Group = EdgeGroup, Version = "v1alpha1", Kind = "DefragmentationPlan", Plural = "defragmentationplans", Namespaced = false, ShortNames = ["defrag"], Categories = ["atoll"], Subresources = ["status"] };

    /// <summary>Every resource served, in discovery order.</summary>
    public static IReadOnlyList<ResourceType> All { get; } =
    [
        Namespace, Node, Pod, ConfigMap, Secret, ServiceAccount, Service, Event, PersistentVolume, PersistentVolumeClaim,
        Deployment, ReplicaSet, DaemonSet, StatefulSet, ControllerRevision, Job,
        Lease, EventsEvent, RuntimeClass, PriorityClass, StorageClass, PodDisruptionBudget, Site,
        PodGroup, ElasticQuota, Reservation, SchedulerProfile,
        Flavour, CpuModel, Delivery,
        Capacity, DefragmentationPlan,
    ];

    /// <summary>The resource of an apiVersion and kind, or null.</summary>
    public static ResourceType? Find(string apiVersion, string kind)
    {
        for (int i = 0; i < All.Count; i++)
            if (All[i].Kind == kind && All[i].ApiVersion == apiVersion)
                return All[i];
        return null;
    }

    /// <summary>The resource of a path's group, version and plural, or null.</summary>
    public static ResourceType? Find(string group, string version, string plural)
    {
        for (int i = 0; i < All.Count; i++)
            if (All[i].Plural == plural && All[i].Group == group && All[i].Version == version)
                return All[i];
        return null;
    }
}
