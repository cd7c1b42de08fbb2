using Atoll.Link.Members;

namespace Atoll.Agent.Members;

/// <summary>What those who act for the leading node ask of its lead.</summary>
internal interface ISiteLead
{
    /// <summary>This node.</summary>
    Member Self { get; }

    /// <summary>True while this node leads: nobody else does.</summary>
    bool IsLeading { get; }

    /// <summary>Silence after which a node is dead.</summary>
    TimeSpan DeadAfter { get; }

    /// <summary>How long a node has been silent.</summary>
    TimeSpan SilentFor(string node);

    /// <summary>True when nothing was heard of a node for so long that it counts as dead.</summary>
    bool IsDead(string node);

    /// <summary>For how long an answer of the leader lets a node run pods with an identity; zero: they are neither stopped nor replaced.</summary>
    TimeSpan IdentityLease => TimeSpan.Zero;

    /// <summary>How long it takes until a silent node certainly runs no pod with an identity.</summary>
    TimeSpan FencedIn(string node) => TimeSpan.Zero;

    /// <summary>Says which nodes' leases do not run on, because what they ran waits to be started by others.</summary>
    void Withhold(IReadOnlySet<string> nodes)
    {
    }

    /// <summary>Nobody may lead who does not know this node's state as it is now.</summary>
    LogPosition RaiseFence() => default;

    /// <summary>True when a majority of the voters knows this node's state up to a position.</summary>
    bool IsHeld(LogPosition position) => false;
}
