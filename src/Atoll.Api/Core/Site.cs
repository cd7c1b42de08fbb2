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

    /// <summary>Round-trip estimates from the site to places where clients are.</summary>
    public List<RoundTrip>? RoundTrips { get; set; }

    /// <summary>Cost of one core for one hour, in a currency that all sites share; null is 0. The cheapest sites are sold first.</summary>
    public double? UnitCost { get; set; }

    /// <summary>What is kept free at the site, over its nodes, for replacements of pods whose node died.</summary>
    public Dictionary<string, string>? Headroom { get; set; }

    /// <summary>What the site as a whole has to give, by names in <c>site.edge.atoll.dev/</c>: uplink in bit/s, public addresses.</summary>
    public Dictionary<string, string>? Resources { get; set; }

    /// <summary>Batch pods on the site's nodes; null is none.</summary>
    public Colocation? Colocation { get; set; }

    /// <summary>The operator's word on orphans of the site: what to do with each.</summary>
    public List<OrphanDecision>? Orphans { get; set; }
}

/// <summary>How the nodes of a site give batch pods what online pods reserved and do not use. Names as in Koordinator's colocation strategy.</summary>
public sealed class Colocation
{
    /// <summary>Share of allocatable cpu, per cent, up to which online and batch pods together may use it: the rest is the safety margin. 1 to 100, 80 when null.</summary>
    public int? CpuReclaimThresholdPercent { get; set; }

    /// <summary>The same of memory.</summary>
    public int? MemoryReclaimThresholdPercent { get; set; }

    /// <summary>How long more may be handed out than is left before batch pods are evicted for it, seconds. 1 to 86,400, 300 when null.</summary>
    public int? EvictAfterSeconds { get; set; }

    /// <summary>How long an online pod counts with all that it requested, as nothing is known of its use. 0 to 86,400, 600 when null.</summary>
    public int? ColdStartSeconds { get; set; }
}

/// <summary>How far a place is from a site.</summary>
public sealed class RoundTrip
{
    /// <summary>The place: a city or a region of clients.</summary>
    public string To { get; set; } = "";

    /// <summary>Round trip in milliseconds.</summary>
    public double Milliseconds { get; set; }
}

/// <summary>The history of a site's line.</summary>
public sealed class SiteLine
{
    /// <summary>How often the line went down since the site was created.</summary>
    public int Drops { get; set; }

    /// <summary>The last changes of the line, oldest first.</summary>
    public List<LineChange>? Changes { get; set; }
}

/// <summary>One change of a line.</summary>
public sealed class LineChange
{
    /// <summary>When.</summary>
    public DateTimeOffset Time { get; set; }

    /// <summary>True when it came up.</summary>
    public bool Up { get; set; }
}

/// <summary>Where a resource of a site goes.</summary>
public sealed class SiteResource
{
    /// <summary>Name of the resource.</summary>
    public string Name { get; set; } = "";

    /// <summary>What the nodes, or the site as a whole, have.</summary>
    public string Capacity { get; set; } = "0";

    /// <summary>Not saleable: kept by the nodes for their system.</summary>
    public string System { get; set; } = "0";

    /// <summary>Not saleable: taken by Atoll's own services (label edge.atoll.dev/service).</summary>
    public string Services { get; set; } = "0";

    /// <summary>Not saleable to ordinary pods: headroom for replacements.</summary>
    public string Headroom { get; set; } = "0";

    /// <summary>Taken by customers' pods.</summary>
    public string Sold { get; set; } = "0";

    /// <summary>What is left to sell; 0 when pods hold part of the headroom.</summary>
    public string Free { get; set; } = "0";
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

    /// <summary>Why the operator's word on it could not be carried out, or null.</summary>
    public string? Message { get; set; }
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

    /// <summary>What of each Flavour the site can still sell.</summary>
    public List<SiteCapacity>? Capacity { get; set; }

    /// <summary>What the site keeps and the centre does not know, at most 200 of it.</summary>
    public List<SiteOrphan>? Orphans { get; set; }

    /// <summary>The history of the line.</summary>
    public SiteLine? Line { get; set; }

    /// <summary>What the site has, what of it is not saleable, sold and free.</summary>
    public List<SiteResource>? Resources { get; set; }
}

/// <summary>What of a flavour a site can still sell; more of it is in the Capacity object.</summary>
public sealed class SiteCapacity
{
    /// <summary>The flavour.</summary>
    public string Flavour { get; set; } = "";

    /// <summary>Instances that can be sold now.</summary>
    public long Saleable { get; set; }

    /// <summary>Fragmentation rate for it, 0 to 1.</summary>
    public double Fragmentation { get; set; }
}
