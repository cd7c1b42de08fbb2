using Atoll.Api.Objects;

namespace Atoll.Kube.Tables;

/// <summary>One column of a table.</summary>
internal sealed record TableColumn(string Name, string Type, string Description, int Priority = 0, string Format = "");

/// <summary>The columns of each kind, in the order of their cells.</summary>
internal static class TableColumns
{
    private static readonly TableColumn s_name = new("Name", "string", "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a client to request the generation of an appropriate name automatically.", 0, "name");
    private static readonly TableColumn s_age = new("Age", "string", "CreationTimestamp is a timestamp representing the server time when this object was created.");
    private static readonly TableColumn s_containers = new("Containers", "string", "Names of each container in the template.", 1);
    private static readonly TableColumn s_images = new("Images", "string", "Images referenced by each container in the template.", 1);
    private static readonly TableColumn s_selector = new("Selector", "string", "Label selector of the pods that belong to this object.", 1);

    private static readonly Dictionary<string, TableColumn[]> s_byKind = new(StringComparer.Ordinal)
    {
        ["Namespace"] = [s_name, new("Status", "string", "The status of the namespace"), s_age],
        ["Node"] =
        [
            s_name, new("Status", "string", "The status of the node"), new("Roles", "string", "The roles of the node"), s_age, new("Version", "string", "Version of the agent that the node reported."),
            new("Internal-IP", "string", "Address of the node inside its site.", 1), new("External-IP", "string", "Address of the node from outside.", 1), new("OS-Image", "string", "Operating system that the node reported.", 1),
            new("Kernel-Version", "string", "Kernel that the node reported.", 1), new("Container-Runtime", "string", "Container runtime that the node reported.", 1), new("Site", "string", "Site that the node belongs to.", 1),
        ],
        ["Pod"] =
        [
            s_name, new("Ready", "string", "The aggregate readiness state of this pod for accepting traffic."), new("Status", "string", "The aggregate status of the containers in this pod."),
            new("Restarts", "string", "The number of times the containers in this pod have been restarted and when the last container in this pod has restarted."), s_age,
            new("IP", "string", "IP address allocated to the pod. Routable at least within its site. Empty if not yet allocated.", 1), new("Node", "string", "Node that the pod is bound to.", 1),
            new("Nominated Node", "string", "Node that the pod waits for.", 1), new("Readiness Gates", "string", "Conditions beyond its containers that the pod's readiness needs.", 1),
        ],
        ["ConfigMap"] = [s_name, new("Data", "string", "Number of keys."), s_age],
        ["Secret"] = [s_name, new("Type", "string", "Used to facilitate programmatic handling of secret data."), new("Data", "string", "Number of keys."), s_age],
        ["ServiceAccount"] = [s_name, new("Secrets", "string", "Number of secrets that pods of this account may use."), s_age],
        ["Service"] =
        [
            s_name, new("Type", "string", "Type determines how the Service is exposed."), new("Cluster-IP", "string", "Address of the service inside the cluster."), new("External-IP", "string", "Addresses of the service from outside."),
            new("Port(s)", "string", "Ports that the service exposes."), s_age, s_selector,
        ],
        ["Event"] =
        [
            new("Last Seen", "string", "Time since this event was last observed."), new("Type", "string", "Type of this event (Normal, Warning)."), new("Reason", "string", "Short, machine-readable reason of this event."),
            new("Object", "string", "The object that this event is about."), new("Subobject", "string", "The part of the object.", 1), new("Source", "string", "The component reporting this event.", 1),
            new("Message", "string", "A human-readable description of this event."), new("First Seen", "string", "Time since this event was first observed.", 1), new("Count", "string", "The number of times this event has occurred.", 1),
            s_name with { Priority = 1 },
        ],
        ["Lease"] = [s_name, new("Holder", "string", "Identity of the holder of the lease."), s_age],
        ["Deployment"] =
        [
            s_name, new("Ready", "string", "Number of the pod with ready state"), new("Up-to-date", "string", "Number of pods that have the desired template."),
            new("Available", "string", "Number of pods that have been ready for minReadySeconds."), s_age, s_containers, s_images, s_selector,
        ],
        ["ReplicaSet"] = [s_name, new("Desired", "integer", "Number of desired pods."), new("Current", "integer", "Number of pods that exist."), new("Ready", "integer", "Number of pods that are ready."), s_age, s_containers, s_images, s_selector],
        ["DaemonSet"] =
        [
            s_name, new("Desired", "integer", "Number of nodes that should run the pod."), new("Current", "integer", "Number of nodes that have the pod."), new("Ready", "integer", "Number of nodes whose pod is ready."),
            new("Up-to-date", "integer", "Number of nodes that run the updated pod."), new("Available", "integer", "Number of nodes whose pod has been ready for minReadySeconds."), new("Node Selector", "string", "Labels that a node must have."), s_age,
            s_containers, s_images, s_selector,
        ],
        ["StatefulSet"] = [s_name, new("Ready", "string", "Number of the pod with ready state"), s_age, s_containers, s_images],
        ["ControllerRevision"] = [s_name, new("Controller", "string", "Controller of the object"), new("Revision", "string", "Revision of the state that it holds."), s_age],
        ["Job"] =
        [
            s_name, new("Status", "string", "Status of the job."), new("Completions", "string", "Pods that succeeded, of those wanted."), new("Duration", "string", "Time required to complete the job."), s_age, s_containers, s_images, s_selector,
        ],
        ["RuntimeClass"] = [s_name, new("Handler", "string", "Name of the runtime that runs pods of this class."), s_age],
        ["PriorityClass"] =
        [
            s_name, new("Value", "integer", "Priority of pods of this class."), new("Global-Default", "boolean", "True when pods without a class have this one."), s_age,
            new("PreemptionPolicy", "string", "Whether pods of this class may displace others."),
        ],
        ["PersistentVolume"] =
        [
            s_name, new("Capacity", "string", "Size of the volume."), new("Access Modes", "string", "How the volume may be mounted."), new("Reclaim Policy", "string", "What happens when its claim goes."),
            new("Status", "string", "Phase of the volume."), new("Claim", "string", "Claim that the volume is bound to."), new("StorageClass", "string", "Class of the volume."),
            new("VolumeAttributesClass", "string", "Class of its attributes."), new("Reason", "string", "Why it is in its phase."), s_age, new("VolumeMode", "string", "File system or block device.", 1),
        ],
        ["PersistentVolumeClaim"] =
        [
            s_name, new("Status", "string", "Phase of the claim."), new("Volume", "string", "Volume that the claim is bound to."), new("Capacity", "string", "Size of that volume."),
            new("Access Modes", "string", "How that volume may be mounted."), new("StorageClass", "string", "Class of the claim."), new("VolumeAttributesClass", "string", "Class of its attributes."),
            s_age, new("VolumeMode", "string", "File system or block device.", 1),
        ],
        ["StorageClass"] =
        [
            s_name, new("Provisioner", "string", "Who makes volumes of this class."), new("ReclaimPolicy", "string", "What happens to a volume when its claim goes."),
            new("VolumeBindingMode", "string", "When a claim is bound: at once, or with its first pod."), new("AllowVolumeExpansion", "boolean", "Whether volumes may grow."), s_age,
        ],
        ["PodDisruptionBudget"] =
        [
            s_name, new("Min Available", "string", "The minimum number of pods that must be available."), new("Max Unavailable", "string", "The maximum number of pods that may be unavailable."),
            new("Allowed Disruptions", "integer", "Calculated number of pods that may be disrupted at this time."), s_age,
        ],
        ["Site"] =
        [
            s_name, new("Status", "string", "Pending, Connected, Disconnected or Revoked."), new("Region", "string", "Region of the site."), new("Kind", "string", "Distance to the user: field, near or cloud."),
            new("Nodes", "integer", "Nodes that the site registered."), s_age, new("Carrier", "string", "Network operator of the site's uplink.", 1), new("Agent", "string", "Version of the site's agent.", 1),
            new("Last-Change", "string", "Time since the connection changed.", 1), new("Cost", "string", "Cost of one core for one hour.", 1), new("Drops", "integer", "How often the site's line went down.", 1),
        ],
        ["Flavour"] = [s_name, new("Resources", "string", "What one instance takes."), new("Arch", "string", "Architecture and lowest instruction set."), new("Form", "string", "RuntimeClass of its pods."), s_age],
        ["CPUModel"] = [s_name, new("Match", "string", "Model of processor."), new("Factor", "string", "Compute units of one core."), s_age],
        ["Delivery"] =
        [
            s_name, new("Status", "string", "Planned, Delivering, Delivered or Unsatisfiable."), new("Count", "integer", "Instances asked for."), new("Planned", "integer", "Instances that the plan places."),
            new("Ready", "integer", "Pods that are ready."), new("Sites", "integer", "Sites of the plan."), new("Missing", "integer", "Instances that cannot be placed."), s_age,
            new("Plan", "string", "Instances by site.", 1), new("Nearest", "string", "What would make it fit.", 1),
        ],
        ["PodGroup"] =
        [
            s_name, new("Phase", "string", "Phase of the group."), new("MinMember", "integer", "Members that start together or not at all."), new("Scheduled", "integer", "Members that have a node."),
            new("Running", "integer", "Members that run."), new("Succeeded", "integer", "Members that succeeded."), new("Failed", "integer", "Members that failed."), s_age,
        ],
        ["ElasticQuota"] = [s_name, new("Used", "string", "What is used."), new("Min", "string", "What is guaranteed."), new("Max", "string", "What may be used at most."), new("Parent", "string", "The quota above."), s_age],
        ["Reservation"] =
        [
            s_name, new("Phase", "string", "Pending, Available or Expired."), new("Node", "string", "Node that keeps the room."), new("Resources", "string", "What is kept."),
            new("Allocated", "string", "What of it pods have taken."), new("Expires", "string", "Time until it ends."), s_age,
        ],
        ["SchedulerProfile"] = [s_name, new("Strategy", "string", "How free room is scored."), new("Accepted", "string", "Whether the settings are in use."), s_age],
        ["Capacity"] =
        [
            s_name, new("Flavour", "string", "What is sold."), new("Region", "string", "Region; * for all."), new("Site", "string", "Site; * for all."), new("Nodes", "string", "Nodes that take new work, and closed ones."),
            new("Saleable", "integer", "Instances that can be sold now."), new("Pooled", "integer", "Instances that the free capacity would hold in one piece."),
            new("Fragmentation", "string", "Free capacity that cannot be sold, divided by free capacity, of the scarcest resource."), s_age,
            new("Free", "string", "Free on nodes that take new work.", 1), new("Short-Of", "string", "Instances more if there were enough of a resource.", 1), new("GPU-Fragment", "string", "Expected fragment of the free GPUs.", 1), new("Updated", "string", "Time since the figures changed.", 1),
        ],
        ["DefragmentationPlan"] =
        [
            s_name, new("Phase", "string", "Pending, WaitingForApproval, Executing, Completed or Failed."), new("Moves", "string", "Moves done, of all."), new("Promised", "string", "Instances more of each flavour, as planned."),
            new("Reached", "string", "Instances more of each flavour, as reached."), s_age, new("Scope", "string", "Region or site; * for all.", 1), new("Revision", "integer", "How often the moves were computed.", 1), new("Message", "string", "Why it is where it is.", 1),
        ],
    };

    private static readonly TableColumn[] s_unknown = [s_name, s_age];

    /// <summary>True when the kind has columns of its own.</summary>
    public static bool Knows(ResourceType type) => s_byKind.ContainsKey(type.Kind);

    /// <summary>The columns; name and age for a kind without its own.</summary>
    public static TableColumn[] Of(ResourceType type) => s_byKind.GetValueOrDefault(type.Kind, s_unknown);
}
