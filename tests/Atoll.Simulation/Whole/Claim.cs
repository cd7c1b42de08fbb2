namespace Atoll.Simulation.Whole;

/// <summary>What the checkers say of every run; a failure names the one that did not hold.</summary>
internal enum Claim
{
    /// <summary>Each fact has one writer: users and controllers intent, the site that runs it outcomes.</summary>
    SingleWriter,

    /// <summary>No identity runs twice, and none in another's place before that one stopped.</summary>
    OneIdentity,

    /// <summary>What was withdrawn is neither sent nor acted on.</summary>
    NothingWithdrawn,

    /// <summary>What a site said last is what the centre knows, and nothing is told for ever.</summary>
    NoOutcomeLost,

    /// <summary>A Secret or ConfigMap goes only to a site with a pod that names it.</summary>
    NoSecretLeaked,

    /// <summary>A centre that was put back, or has lost much, stops nothing at a site before an operator says so.</summary>
    NothingStopped,

    /// <summary>When faults have stopped, centre, sites and instances come to say the same, and it is what users asked for.</summary>
    Agreement,

    /// <summary>What is sent is bounded by what changed.</summary>
    BytesBounded,
}

/// <summary>A claim that did not hold.</summary>
internal sealed class SimFailure(string message, Exception? inner = null, Claim? claim = null) : Exception(message, inner)
{
    /// <summary>Which; null in a world that does not name them.</summary>
    public Claim? Claim { get; } = claim ?? (inner as SimFailure)?.Claim;
}
