namespace Atoll.Api.Core;

/// <summary>Labels and annotations with a meaning in Atoll.</summary>
public static class WellKnown
{
    /// <summary>Name of the site that a node (or an object of a site) belongs to.</summary>
    public const string SiteLabel = "edge.atoll.dev/site";

    /// <summary>Distance class of a node's site.</summary>
    public const string SiteKindLabel = "edge.atoll.dev/site-kind";

    /// <summary>Carrier of a node's site.</summary>
    public const string CarrierLabel = "edge.atoll.dev/carrier";

    /// <summary>Who created a pod: <c>site</c> for replacements.</summary>
    public const string CreatedByLabel = "edge.atoll.dev/created-by";

    /// <summary>UID of the lost pod whose place a pod took.</summary>
    public const string ReplacesAnnotation = "edge.atoll.dev/replaces";

    /// <summary>
    /// On a site's replacement of a pod with an identity: the nodes, separated by commas, that may still run it. It goes when they certainly do
    /// not and a majority of the site's nodes knows of the replacement, which is not started before.
    /// </summary>
    public const string FencingAnnotation = "edge.atoll.dev/fencing";

    /// <summary>UIDs, separated by commas, of the pods that were replaced in turn before the one that <see cref="ReplacesAnnotation"/> names.</summary>
    public const string ReplacedBeforeAnnotation = "edge.atoll.dev/replaced-before";

    /// <summary>status.reason of a pod that was given up because its node died; Kubernetes' word.</summary>
    public const string NodeLost = "NodeLost";

    /// <summary>Condition of a Site that its nodes write: whether one of them leads, which, and if none does, why.</summary>
    public const string LedCondition = "Led";

    /// <summary>Owner of a whole workload: <c>site</c> when it was created there.</summary>
    public const string OwnerLabel = "edge.atoll.dev/owner";

    /// <summary>On a Site: digest of the CA certificates that it is to trust. A site that trusts others asks for a new certificate, and gets them with it.</summary>
    public const string TrustAnnotation = "edge.atoll.dev/trust";

    /// <summary>Kubernetes' zone label: the site.</summary>
    public const string ZoneLabel = "topology.kubernetes.io/zone";

    /// <summary>Kubernetes' region label.</summary>
    public const string RegionLabel = "topology.kubernetes.io/region";

    /// <summary>Kubernetes' host name label.</summary>
    public const string HostnameLabel = "kubernetes.io/hostname";

    /// <summary>Kubernetes' architecture label.</summary>
    public const string ArchLabel = "kubernetes.io/arch";

    /// <summary>Kubernetes' operating system label.</summary>
    public const string OsLabel = "kubernetes.io/os";

    /// <summary>Flavour that a pod is made of: the API fills its resources and placement in from it.</summary>
    public const string FlavourLabel = "edge.atoll.dev/flavour";

    /// <summary>Name of the Delivery that a ReplicaSet or pod belongs to.</summary>
    public const string DeliveryLabel = "edge.atoll.dev/delivery";

    /// <summary>Site that a Delivery put a ReplicaSet or pod to.</summary>
    public const string DeliverySiteLabel = "edge.atoll.dev/delivery-site";

    /// <summary>One of Atoll's own services (disks, networks, balancers): what it takes is not saleable.</summary>
    public const string ServiceLabel = "edge.atoll.dev/service";

    /// <summary>Normalised cores: a pod takes so many cores of a node as its units divided by the factor of the node's CPUModel.</summary>
    public const string Compute = "edge.atoll.dev/compute";

    /// <summary>Whole GPUs.</summary>
    public const string Gpu = "edge.atoll.dev/gpu";

    /// <summary>Thousandths of one GPU, 1 to 999.</summary>
    public const string GpuMilli = "edge.atoll.dev/gpu-milli";

    /// <summary>Memory of one GPU, bytes.</summary>
    public const string GpuMemory = "edge.atoll.dev/gpu-memory";

    /// <summary>Quality of service of a pod, and of the pods of a PriorityClass; the one value is <see cref="QosBatch"/>.</summary>
    public const string QosLabel = "edge.atoll.dev/qos";

    /// <summary>Offline work: it runs in what online pods reserved and do not use, and is throttled and evicted first.</summary>
    public const string QosBatch = "batch";

    /// <summary>PriorityClass of batch pods that name none: below every online pod, and never preempting.</summary>
    public const string BatchClass = "edge-batch";

    /// <summary>Cpu for batch pods, thousandths of a core: what a node reclaims, never what it sells.</summary>
    public const string BatchCpu = "edge.atoll.dev/batch-cpu";

    /// <summary>Memory for batch pods, bytes.</summary>
    public const string BatchMemory = "edge.atoll.dev/batch-memory";

    /// <summary>Prefix of resources that a site has as a whole, not a node.</summary>
    public const string SiteResourcePrefix = "site.edge.atoll.dev/";

    /// <summary>Uplink bandwidth of a site, bit/s.</summary>
    public const string Uplink = SiteResourcePrefix + "uplink";

    /// <summary>Public addresses of a site.</summary>
    public const string PublicAddresses = SiteResourcePrefix + "public-addresses";
}
