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
}
