using Atoll.Link.Members;

namespace Atoll.Agent.Members;

/// <summary>What a node of a site needs to know to take part in it.</summary>
internal sealed record SiteLeadOptions
{
    /// <summary>This node, with the address at which its peers reach it; an empty address is a site of one node that listens for nobody.</summary>
    public required Member Self { get; init; }

    /// <summary>Addresses of peers to begin with; with none, this node is the site's first.</summary>
    public IReadOnlyList<string> Peers { get; init; } = [];

    /// <summary>Address of the site's witness, or <see cref="MemberList.Fence"/>; empty: it is to have none; null: as another node says, or as it is.</summary>
    public string? Witness { get; init; }

    /// <summary>Silence after which a node is dead; leases and beats follow from it.</summary>
    public TimeSpan DeadAfter { get; init; } = TimeSpan.FromSeconds(8);

    /// <summary>For how long an answer of the leader lets a node run pods with an identity; zero: they are neither stopped nor replaced.</summary>
    public TimeSpan IdentityLease { get; init; } = TimeSpan.FromSeconds(16);
}
