using Atoll.Api.Objects;

namespace Atoll.Api.Core;

/// <summary>edge.atoll.dev/v1alpha1 Site: one edge location. Spec is the operator's, status is written by the centre's hub.</summary>
public sealed class Site
{
    /// <summary>Always <c>edge.atoll.dev/v1alpha1</c>.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Always <c>Site</c>.</summary>
    public string Kind { get; set; } = "Site";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What the operator says of the site.</summary>
    public SiteSpec Spec { get; set; } = new();

    /// <summary>What the centre knows of it.</summary>
    public SiteStatus? Status { get; set; }
}

/// <summary>What the operator says of a site.</summary>
public sealed class SiteSpec
{
    /// <summary>Region, becomes the label <c>topology.kubernetes.io/region</c> of the site's nodes.</summary>
    public string? Region { get; set; }

    /// <summary>Distance to the user: <c>field</c> (1-5 ms), <c>near</c> (5-20 ms) or <c>cloud</c> (20-40 ms).</summary>
    public string? Kind { get; set; }

    /// <summary>Network operator that carries the site's uplink.</summary>
    public string? Carrier { get; set; }

    /// <summary>Degrees north, -90..90.</summary>
    public double? Latitude { get; set; }

    /// <summary>Degrees east, -180..180.</summary>
    public double? Longitude { get; set; }

    /// <summary>True once an operator revoked the site: its certificate is refused and its session closed.</summary>
    public bool? Revoked { get; set; }

    /// <summary>The operator's word on orphans of the site: what to do with each.</summary>
    public List<OrphanDecision>? Orphans { get; set; }
}

/// <summary>What is to happen with one orphan.</summary>
public sealed class OrphanDecision
{
    /// <summary>Identity of the object at the site.</summary>
    public string Uid { get; set; } = "";

    /// <summary><c>Adopt</c> (take it into the centre as it is) or <c>Stop</c> (remove it at the site).</summary>
    public string Action { get; set; } = "";
}

/// <summary>An object that a site keeps and that the centre does not know.</summary>
public sealed class SiteOrphan
{
    /// <summary>Resource, such as <c>pods</c>.</summary>
    public string Resource { get; set; } = "";

    /// <summary>Namespace and name, or name alone.</summary>
    public string Name { get; set; } = "";

    /// <summary>Identity.</summary>
    public string Uid { get; set; } = "";
}

/// <summary>The address through which a site reaches its parent.</summary>
public sealed class SiteParent
{
    /// <summary>The address, such as <c>https://centre.example.org:6443</c>.</summary>
    public string Address { get; set; } = "";

    /// <summary><c>Preferred</c> (the first of its list) or <c>Failover</c> (those before it did not answer).</summary>
    public string? Reason { get; set; }

    /// <summary>What became of the first address.</summary>
    public string? Message { get; set; }
}

/// <summary>What a site's certificate says.</summary>
public sealed class IssuedCertificate
{
    /// <summary>Name of the CA that signed it.</summary>
    public string? Issuer { get; set; }

    /// <summary>Until when it is good.</summary>
    public DateTimeOffset? Expires { get; set; }
}

/// <summary>What the centre knows of a site.</summary>
public sealed class SiteStatus
{
    /// <summary><c>Pending</c> (never joined), <c>Connected</c>, <c>Disconnected</c> or <c>Revoked</c>.</summary>
    public string? Phase { get; set; }

    /// <summary>Conditions, with <c>Connected</c> as the one that matters.</summary>
    public List<Condition>? Conditions { get; set; }

    /// <summary>Last change of the connection.</summary>
    public DateTimeOffset? LastTransitionTime { get; set; }

    /// <summary>Agent version that the site reported.</summary>
    public string? AgentVersion { get; set; }

    /// <summary>How many nodes the site registered.</summary>
    public int? Nodes { get; set; }

    /// <summary>Which of the centre's addresses the site uses, and why; of the last connection.</summary>
    public SiteParent? Parent { get; set; }

    /// <summary>The certificate that was issued to the site last.</summary>
    public IssuedCertificate? Certificate { get; set; }

    /// <summary>What the site keeps and the centre does not know, at most 200 of it.</summary>
    public List<SiteOrphan>? Orphans { get; set; }
}

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
}
