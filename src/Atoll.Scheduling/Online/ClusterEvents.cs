namespace Atoll.Scheduling.Online;

/// <summary>
/// What happened in the fleet, and, of a pod that fits nowhere, what may help it: it is worth planning again when the two
/// have a bit in common.
/// </summary>
[Flags]
public enum ClusterEvents
{
    /// <summary>Nothing that matters to a pod.</summary>
    None = 0,

    /// <summary>A node came.</summary>
    NodeAdded = 1,

    /// <summary>A node has more of something to give.</summary>
    NodeAllocatable = 2,

    /// <summary>Labels of a node changed.</summary>
    NodeLabels = 4,

    /// <summary>Taints, cordon or readiness of a node changed.</summary>
    NodeTaints = 8,

    /// <summary>A pod went, ended, or asks for less: room, ports and counts came free.</summary>
    PodGone = 16,

    /// <summary>A pod got a node, or the labels of one that has a node changed: it may be the one that another wants to be near, or even out a spread.</summary>
    PodPlaced = 32,

    /// <summary>Labels of a namespace changed.</summary>
    Namespaces = 64,

    /// <summary>A pod group came or changed, or got another member.</summary>
    Gangs = 128,

    /// <summary>An elastic quota came, went or changed.</summary>
    Quotas = 256,

    /// <summary>A reservation came, ended or changed.</summary>
    Reservations = 512,

    /// <summary>A claim, a volume or a storage class came or changed.</summary>
    Storage = 1024,

    /// <summary>Everything.</summary>
    All = 2047,
}
