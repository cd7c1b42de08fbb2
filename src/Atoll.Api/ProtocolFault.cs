namespace Atoll.Api;

/// <summary>
/// Deliberate mistakes that a simulation plants to show that it would find them. Nothing but a test can plant one, and only for its own
/// thread; a program never looks beyond one comparison with nothing.
/// </summary>
internal enum ProtocolFault
{
    /// <summary>The product as it is.</summary>
    None,

    /// <summary>A site forgets to delete what left its scope.</summary>
    DeletesForgotten,

    /// <summary>A document that comes down takes the site's status away.</summary>
    StatusOverwritten,

    /// <summary>A site does not tell that a pod stopped.</summary>
    StoppedUntold,

    /// <summary>An acknowledgement of an older outcome counts for a newer one.</summary>
    OlderAcknowledgement,

    /// <summary>After a restart a site does not look for what it stopped and did not tell.</summary>
    SweepForgotten,

    /// <summary>The hub takes an outcome by name, whatever identity it is about.</summary>
    IdentityIgnored,

    /// <summary>What a pod referred to stays in a scope after the pod left it.</summary>
    ReferencesKept,

    /// <summary>A Secret goes to every site.</summary>
    SecretsForAll,

    /// <summary>A pod counts as stopped while it runs.</summary>
    StoppedWhileRunning,

    /// <summary>A StatefulSet does not wait for the word that a pod stopped.</summary>
    Unfenced,

    /// <summary>An outcome that is again what it was when it was last acknowledged is not told, although another was told meanwhile: once a defect of the product.</summary>
    ReturnUntold,

    /// <summary>A node goes on running what the site gave up and replaced while the node was silent.</summary>
    GivenUpIgnored,

    /// <summary>The hub takes a replacement over and leaves the lost pod as it was.</summary>
    AdoptedBeside,

    /// <summary>A parent makes outcomes durable after it acknowledged them.</summary>
    AcknowledgedBeforeDurable,

    /// <summary>A parent believes the sequence that a site tells without comparing what it holds.</summary>
    ResumeUnchecked,

    /// <summary>A parent's session does not tell of what left the scope.</summary>
    RemovalsUntold,

    /// <summary>A parent of another history has removed at the site what it does not know.</summary>
    OrphansRemoved,

    /// <summary>A site stops at once whatever vanished while it was away, however much that is.</summary>
    MassStopped,

    /// <summary>The hub takes changes that came while a scope was on its way for a part of it, by their revision: once a defect of the product.</summary>
    EarlyChangesDropped,

    /// <summary>A node forgets that a pod has ended when the pod leaves it: once a defect of the product, of pods without an identity.</summary>
    EndedForgotten,

    /// <summary>A node that leads next believes that the parent has nothing but what it heard of itself: once a defect of the product.</summary>
    TakenForTold,

    /// <summary>A node stops what it keeps as an orphan when the next leader has not heard of it: once a defect of the product.</summary>
    UnheardStopped,
}

/// <summary>Which fault is planted in this thread.</summary>
internal static class ProtocolFaults
{
    [ThreadStatic]
    private static ProtocolFault t_planted;

    /// <summary>The fault that is planted in this thread.</summary>
    internal static ProtocolFault Planted
    {
        get => t_planted;
        set => t_planted = value;
    }

    /// <summary>True when this fault is planted.</summary>
    internal static bool Is(ProtocolFault fault) => t_planted == fault;
}
