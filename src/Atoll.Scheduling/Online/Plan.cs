using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>Where one pod goes, or (no node) why nowhere, in Kubernetes' words.</summary>
/// <param name="Pod">The pod.</param>
/// <param name="Node">The node, or null.</param>
/// <param name="Message">Why not, such as <c>0/3 nodes are available: 3 Insufficient memory.</c>; null when there is a node.</param>
public sealed record Placement(KubeObject Pod, string? Node, string? Message)
{
    /// <summary>The parts of the node (NUMA nodes, devices, cores for normalised ones) that the pod is given; null when it asks for none. Of a pod that waits for others of its group: what is kept for it in this plan.</summary>
    public Allocation? Allocation { get; init; }

    /// <summary>The node on which <see cref="Victims"/> make room; null when preemption does not help or is not needed.</summary>
    public string? Nominated { get; init; }

    /// <summary>Pods of lower priority that have to go first. They may be none while earlier victims are still on their way out.</summary>
    public IReadOnlyList<KubeObject> Victims { get; init; } = [];

    /// <summary>
    /// The pod group (<c>namespace/name</c>) that this pod is placed with: its placements are carried out together or not at all.
    /// Null for a pod that stands by itself.
    /// </summary>
    public string? Gang { get; init; }

    /// <summary>The Reservation whose room on the node the pod takes; null for none. To be written with the binding, as the annotation <see cref="Atoll.Api.Core.Reservation.Annotation"/>.</summary>
    public string? Reservation { get; init; }

    /// <summary>What is decided about claims of the pod that had no volume yet; carried out before the pod is bound. Of a pod that waits for others of its group: what is kept for it in this plan.</summary>
    public IReadOnlyList<VolumeChoice> Volumes { get; init; } = [];

    /// <summary>What may help a pod that has no node.</summary>
    public ClusterEvents HelpedBy { get; init; }
}

/// <summary>What the scheduler decided about the pods it was given, in their order: immutable, and carried out by somebody else.</summary>
public sealed record Plan(IReadOnlyList<Placement> Placements)
{
    /// <summary>The order in which the placements were decided, each seeing those before it, where that is not their own order; else null.</summary>
    public IReadOnlyList<int>? Order { get; init; }
}
