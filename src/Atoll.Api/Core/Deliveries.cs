using System.Text.Json;
using Atoll.Api.Objects;

namespace Atoll.Api.Core;

/// <summary>edge.atoll.dev/v1alpha1 Delivery: so many instances over sites that fulfil conditions, planned as a whole.</summary>
public sealed class Delivery
{
    /// <summary>Always <c>edge.atoll.dev/v1alpha1</c>.</summary>
    public string ApiVersion { get; set; } = "edge.atoll.dev/v1alpha1";

    /// <summary>Always <c>Delivery</c>.</summary>
    public string Kind { get; set; } = "Delivery";

    /// <summary>Metadata.</summary>
    public ObjectMeta Metadata { get; set; } = new();

    /// <summary>What is asked for.</summary>
    public DeliverySpec Spec { get; set; } = new();

    /// <summary>The answer, and what of it stands.</summary>
    public DeliveryStatus? Status { get; set; }
}

/// <summary>What is asked for.</summary>
public sealed class DeliverySpec
{
    /// <summary>Instances in all.</summary>
    public int Count { get; set; }

    /// <summary>Name of a Flavour, or a size such as <c>4c8g</c>; null when the template says what an instance takes.</summary>
    public string? Flavour { get; set; }

    /// <summary>The instances' pod template. Without one the Delivery is a question: it is planned and nothing is made.</summary>
    public JsonElement? Template { get; set; }

    /// <summary>Region of the sites; null is any.</summary>
    public string? Region { get; set; }

    /// <summary>Carrier of the sites; null or <c>any</c> is any.</summary>
    public string? Carrier { get; set; }

    /// <summary>Kinds of site (field, near, cloud) that will do; null or empty is any.</summary>
    public List<string>? Kinds { get; set; }

    /// <summary>How near the sites must be to a place; null does not matter.</summary>
    public DeliveryLatency? Latency { get; set; }

    /// <summary>Least number of sites; null is 1.</summary>
    public int? MinSites { get; set; }

    /// <summary>Most of the instances that one site may hold, in percent; null is 100.</summary>
    public int? MaxSharePercent { get; set; }
}

/// <summary>How near sites must be to a place.</summary>
public sealed class DeliveryLatency
{
    /// <summary>The place, as Sites name it in their round trips.</summary>
    public string To { get; set; } = "";

    /// <summary>Longest round trip in milliseconds.</summary>
    public double Milliseconds { get; set; }
}

/// <summary>The answer to a Delivery.</summary>
public sealed class DeliveryStatus
{
    /// <summary>Generation of the spec that was answered.</summary>
    public long? ObservedGeneration { get; set; }

    /// <summary><c>Planned</c>, <c>Unsatisfiable</c>, <c>Delivering</c> or <c>Delivered</c>.</summary>
    public string? Phase { get; set; }

    /// <summary>Instances that the plan places.</summary>
    public int Planned { get; set; }

    /// <summary>Pods that exist.</summary>
    public int Current { get; set; }

    /// <summary>Pods that are ready.</summary>
    public int Ready { get; set; }

    /// <summary>Instances that cannot be placed under all conditions.</summary>
    public int Missing { get; set; }

    /// <summary>The plan, site by site.</summary>
    public List<DeliverySite>? Sites { get; set; }

    /// <summary>What would make it fit: each by itself suffices.</summary>
    public List<DeliveryAlternative>? Alternatives { get; set; }

    /// <summary>Conditions: <c>Planned</c> and <c>Ready</c>.</summary>
    public List<Condition>? Conditions { get; set; }
}

/// <summary>What one site delivers.</summary>
public sealed class DeliverySite
{
    /// <summary>The site.</summary>
    public string Site { get; set; } = "";

    /// <summary>Instances planned there.</summary>
    public int Count { get; set; }

    /// <summary>Pods ready there.</summary>
    public int Ready { get; set; }
}

/// <summary>A change of the request that would make it fit: of one condition, or where none suffices by itself of as few as will do together.</summary>
public sealed class DeliveryAlternative
{
    /// <summary>The condition to relax: <c>latency</c>, <c>maxSharePercent</c>, <c>carrier</c>, <c>region</c>, <c>kinds</c>, <c>minSites</c> or <c>count</c>; several are divided by commas.</summary>
    public string Relax { get; set; } = "";

    /// <summary>Its nearest value that suffices; of several in the order of the conditions.</summary>
    public string Value { get; set; } = "";

    /// <summary>The same in words.</summary>
    public string Message { get; set; } = "";
}
