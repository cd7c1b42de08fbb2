using Atoll.Api.Objects;

namespace Atoll.Api.Core;

/// <summary>
/// edge.atoll.dev/v1alpha1 Capacity: what of one flavour a region, a site or the whole fleet can still sell, and how much of its
/// free capacity is fragments for it. Kept by the centre, an object for each; nobody else writes them.
/// </summary>
public sealed class Capacity
{
    /// <summary>Label with the name of the flavour.</summary>
    public const string FlavourLabel = "edge.atoll.dev/flavour";

    /// <summary>Always <c>edge.atoll.dev/v1alpha1</c>.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Always <c>Capacity</c>.</summary>
    public string Kind { get; set; } = "Capacity";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What it is about.</summary>
    public CapacitySpec Spec { get; set; } = new();

    /// <summary>The answer.</summary>
    public CapacityStatus? Status { get; set; }
}

/// <summary>What a Capacity is about: a flavour and a part of the fleet. Neither region nor site means all of it.</summary>
public sealed class CapacitySpec
{
    /// <summary>Name of the flavour.</summary>
    public string Flavour { get; set; } = "";

    /// <summary>The region (also of a site).</summary>
    public string? Region { get; set; }

    /// <summary>The site.</summary>
    public string? Site { get; set; }
}

/// <summary>What can be sold, what cannot, and why.</summary>
public sealed class CapacityStatus
{
    /// <summary>When the figures last changed.</summary>
    public DateTimeOffset? UpdatedAt { get; set; }

    /// <summary>Nodes that take new work.</summary>
    public int Nodes { get; set; }

    /// <summary>Nodes that take none.</summary>
    public int ClosedNodes { get; set; }

    /// <summary>Instances that can be sold now, one after another: exact.</summary>
    public long Saleable { get; set; }

    /// <summary>Instances that the free capacity would hold in one piece.</summary>
    public long Pooled { get; set; }

    /// <summary>Free capacity that cannot be sold, divided by free capacity, of the flavour's scarcest resource: 0 to 1.</summary>
    public double Fragmentation { get; set; }

    /// <summary>Each resource of the flavour.</summary>
    public List<CapacityResource>? Resources { get; set; }

    /// <summary>Why nodes take no new work or less than their amounts would hold, and what they would sell otherwise.</summary>
    public List<CapacityBlock>? Blocked { get; set; }

    /// <summary>Free GPUs and their expected fragment; of a flavour that asks for GPUs.</summary>
    public CapacityGpu? Gpu { get; set; }

    /// <summary>The nodes that strand most of the scarcest resource, most first.</summary>
    public List<CapacityNode>? TopNodes { get; set; }

    /// <summary>Pods on those nodes without which one more instance would fit there.</summary>
    public List<CapacityPod>? TopPods { get; set; }

    /// <summary>What migrations would add.</summary>
    public List<CapacityMigrations>? Migrations { get; set; }

    /// <summary>Seconds between two points of the history.</summary>
    public int? HistorySeconds { get; set; }

    /// <summary>Earlier figures, oldest first.</summary>
    public List<CapacityPoint>? History { get; set; }
}

/// <summary>One resource of a flavour in a part of the fleet.</summary>
public sealed class CapacityResource
{
    /// <summary>Its name.</summary>
    public string Name { get; set; } = "";

    /// <summary>Free on nodes that take new work, a quantity.</summary>
    public string Free { get; set; } = "";

    /// <summary>Taken by Atoll's own services, a quantity: not for sale. Null for none.</summary>
    public string? Services { get; set; }

    /// <summary>Share of it that cannot be sold as this flavour, 0 to 1.</summary>
    public double Fragmentation { get; set; }

    /// <summary>Nodes where it is short for one more instance.</summary>
    public int ShortOn { get; set; }

    /// <summary>Instances more that would fit if there were enough of this resource alone.</summary>
    public long Blocks { get; set; }
}

/// <summary>Nodes that take no new work, or less than they have room for, for one reason.</summary>
public sealed class CapacityBlock
{
    /// <summary>The reason: a cordon, a taint, devices or NUMA nodes that do not suit, the site's pools or headroom.</summary>
    public string Reason { get; set; } = "";

    /// <summary>How many nodes.</summary>
    public int Nodes { get; set; }

    /// <summary>Instances that their free capacity would hold.</summary>
    public long Saleable { get; set; }
}

/// <summary>Free GPUs of a part of the fleet.</summary>
public sealed class CapacityGpu
{
    /// <summary>Free GPUs.</summary>
    public double Free { get; set; }

    /// <summary>Of them, those that a pod drawn from the running mix could not use (FGD's expected fragment).</summary>
    public double ExpectedFragment { get; set; }
}

/// <summary>A node that strands capacity.</summary>
public sealed class CapacityNode
{
    /// <summary>Its name.</summary>
    public string Name { get; set; } = "";

    /// <summary>Its site.</summary>
    public string? Site { get; set; }

    /// <summary>Free and unsaleable amount of the scarcest resource, a quantity.</summary>
    public string Stranded { get; set; } = "";

    /// <summary>The resource that is short for one more instance.</summary>
    public string? ShortOf { get; set; }

    /// <summary>Share of all that is stranded, 0 to 1.</summary>
    public double Share { get; set; }
}

/// <summary>A pod in the way of one more instance.</summary>
public sealed class CapacityPod
{
    /// <summary>Its namespace.</summary>
    public string Namespace { get; set; } = "";

    /// <summary>Its name.</summary>
    public string Name { get; set; } = "";

    /// <summary>Its node.</summary>
    public string Node { get; set; } = "";

    /// <summary>Instances more on that node without it.</summary>
    public long Blocks { get; set; }
}

/// <summary>What a number of migrations would add; a plan in executable order was found for it.</summary>
public sealed class CapacityMigrations
{
    /// <summary>Migrations allowed.</summary>
    public int Moves { get; set; }

    /// <summary>Instances that they add at least.</summary>
    public long Adds { get; set; }

    /// <summary>Migrations that the plan takes.</summary>
    public int Used { get; set; }

    /// <summary>When that was computed.</summary>
    public DateTimeOffset ComputedAt { get; set; }
}

/// <summary>Figures of an earlier moment.</summary>
public sealed class CapacityPoint
{
    /// <summary>The moment.</summary>
    public DateTimeOffset Time { get; set; }

    /// <summary>Instances that could be sold.</summary>
    public long Saleable { get; set; }

    /// <summary>Fragmentation rate.</summary>
    public double Fragmentation { get; set; }
}
