namespace Atoll.Link;

/// <summary>Deliberate mistakes of a session, which a simulation plants to show that it would find them.</summary>
internal enum SessionFault
{
    /// <summary>The product as it is.</summary>
    None,

    /// <summary>A parent acknowledges outcomes before they are durable.</summary>
    AcknowledgedBeforeDurable,

    /// <summary>A parent believes the sequence that a site tells without comparing what it holds.</summary>
    ResumeUnchecked,

    /// <summary>A parent does not tell of what left the scope.</summary>
    RemovalsUntold,

    /// <summary>A parent of another history has removed what it does not know.</summary>
    OrphansRemoved,

    /// <summary>A site stops whatever vanished while it was away, however much.</summary>
    MassStopped,
}
