using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>A node's row besides its amounts.</summary>
internal sealed record NodeRow(string Name, Dictionary<string, string> Labels, Dictionary<string, long> Images)
{
    /// <summary>What the node told of images' architectures.</summary>
    public IReadOnlyList<NodeImage> Told { get; init; } = [];

    /// <summary>Draws the order of ties: of the name, so that it does not depend on when the node came.</summary>
    public uint Hash { get; } = HashOf(Name);

    private static uint HashOf(string name)
    {
        uint hash = 2166136261;
        foreach (char c in name)
            hash = (hash ^ c) * 16777619;
        return hash;
    }
}

/// <summary>What keeps pods off a node whatever they ask: its cordon and its taints. One object for all nodes that have the same.</summary>
internal sealed record NodeGate(bool Unschedulable, Taint[] Taints);

/// <summary>What all pods of one template have in common here.</summary>
internal sealed record PodFacts(PodGroup Group, long[] Requests, long ScoredCpu, long ScoredMemory, HostPorts Ports, int Priority, string? Gang);

/// <summary>A pod that has a node, or is promised one (<paramref name="Nominated"/>).</summary>
internal sealed record PodRow(KubeObject Pod, string Node, PodGroup Group, long[] Requests, long ScoredCpu, long ScoredMemory, HostPorts Ports, int Priority, DateTimeOffset Since, bool Nominated)
{
    /// <summary>The reservation whose room the pod takes, or null.</summary>
    public string? Reservation { get; init; }

    public string Uid => Pod.Uid;

    /// <summary>What it asks for beyond its requests; null for nearly all.</summary>
    public PodWants? Wants { get; init; }

    /// <summary>The parts of its node that it was given.</summary>
    public Allocation? Allocation { get; init; }

    /// <summary>True when what it takes depends on its node.</summary>
    public bool IsDependent => Wants?.Whole == true || Requests[ResourceNames.Compute] > 0;

    public bool Equals(PodRow? other) => ReferenceEquals(this, other);

    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(this);

    public bool CountsAs(PodRow other) =>
        Node == other.Node && Group.Key == other.Group.Key && Requests.AsSpan().SequenceEqual(other.Requests) && Ports.SameAs(other.Ports)
        && Priority == other.Priority && Since == other.Since && Nominated == other.Nominated && Reservation == other.Reservation && ScoredCpu == other.ScoredCpu && ScoredMemory == other.ScoredMemory
        && Wants == other.Wants && (ReferenceEquals(Allocation, other.Allocation) || Allocation?.ToString() == other.Allocation?.ToString());
}
