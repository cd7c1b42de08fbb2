using System.Collections.Immutable;
using Atoll.Api.Objects;
using Atoll.Api.Selectors;
using Atoll.Scheduling.Capacities;

namespace Atoll.Scheduling.Offline;

/// <summary>What moves of pods are planned for.</summary>
/// <param name="Flavours">Flavours to be made saleable, and what one instance of each counts.</param>
/// <param name="MostMoves">Moves at most.</param>
public sealed record FleetGoal(IReadOnlyList<(Flavour Flavour, int Weight)> Flavours, int MostMoves)
{
    /// <summary>Only nodes of this region, or of all with null.</summary>
    public string? Region { get; init; }

    /// <summary>Only nodes of this site, or of all with null.</summary>
    public string? Site { get; init; }

    /// <summary>Whether a pod stays in its site; otherwise it stays in its region.</summary>
    public bool WithinSite { get; init; }

    /// <summary>Pods with these labels stay where they are.</summary>
    public LabelSelector? DoNotMove { get; init; }

    /// <summary>Identities of pods that stay where they are.</summary>
    public IReadOnlySet<string> Fixed { get; init; } = ImmutableHashSet<string>.Empty;

    /// <summary>A pod as it is now, by identity: a fleet keeps the first document of a pod for as long as nothing changes that placement goes by, and annotations are not that. Null goes by the fleet.</summary>
    public Func<string, KubeObject?>? Now { get; init; }

    /// <summary>Decides the search's draws.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>Time at most. A machine that needs less gives the same plan each time.</summary>
    public double Seconds { get; init; } = 4;

    /// <summary>Rounds of the search; more is slower and better.</summary>
    public int Effort { get; init; } = 400;
}

/// <summary>One move: a replacement of the pod is made on another node (or room for it is kept there), then the pod goes.</summary>
/// <param name="Pod">The pod.</param>
/// <param name="From">Its node.</param>
/// <param name="To">The node of its replacement.</param>
/// <param name="ToSite">Site of that node.</param>
/// <param name="Bytes">Bytes of images that the node does not have; an image of unknown size counts 256 MiB.</param>
public sealed record FleetMove(KubeObject Pod, string From, string To, string ToSite, long Bytes);

/// <summary>What moves do for a flavour.</summary>
/// <param name="Flavour">Its name.</param>
/// <param name="Before">Instances that can be sold before.</param>
/// <param name="After">And afterwards.</param>
/// <param name="Bound">More no moves can reach: what the free capacity of each region (or site) would hold in one piece.</param>
/// <param name="RateBefore">Fragmentation rate before.</param>
/// <param name="RateAfter">And afterwards.</param>
public sealed record FleetEffect(string Flavour, long Before, long After, long Bound, double RateBefore, double RateAfter);

/// <summary>Moves in an order in which each has room while the pod is still where it was, and what they reach.</summary>
public sealed record FleetMovePlan(ImmutableArray<FleetMove> Moves, ImmutableArray<FleetEffect> Effects)
{
    /// <summary>Placed pods of the nodes looked at that stay where they are, by reason, the most frequent first.</summary>
    public ImmutableArray<(string Reason, int Pods)> Staying { get; init; } = [];
}
