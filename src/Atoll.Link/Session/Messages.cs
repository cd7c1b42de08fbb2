namespace Atoll.Link;

/// <summary>What happened, as a session is told.</summary>
public abstract record LinkInput
{
    private LinkInput()
    {
    }

    /// <summary>Either end: the connection is up. First input of a parent's session.</summary>
    public sealed record Connected : LinkInput;

    /// <summary>Site: the connection is up, and this is what it holds and has to tell. First input of a site's session.</summary>
    /// <param name="Holdings">What it holds.</param>
    /// <param name="Outbox">What it has to tell.</param>
    /// <param name="Via">Through which address it came, or null.</param>
    /// <param name="ClockMs">Its own clock, milliseconds since 1970, or 0.</param>
    public sealed record SiteConnected(SiteHoldings Holdings, IReadOnlyList<OutcomeRef> Outbox, ParentChoice? Via = null, long ClockMs = 0) : LinkInput;

    /// <summary>Either: a session frame arrived. The bytes are not kept.</summary>
    public sealed record Frame(ReadOnlyMemory<byte> Bytes) : LinkInput;

    /// <summary>Either: bytes arrived that are not for the session; the line lives.</summary>
    public sealed record LineActive : LinkInput;

    /// <summary>Either: time passed.</summary>
    /// <param name="Unacknowledged">The operating system has sent the same bytes again and again, and the other side acknowledges none of them.</param>
    public sealed record Tick(bool Unacknowledged = false) : LinkInput;

    /// <summary>Either: close for this reason; the other side is told.</summary>
    public sealed record Close(LinkError Error) : LinkInput;

    /// <summary>Either: the connection is gone; nobody can be told.</summary>
    public sealed record Disconnected(LinkError Error) : LinkInput;

    /// <summary>Parent: the answer to <see cref="LinkOutput.OpenScope"/>.</summary>
    public sealed record ScopeOpened(LinkScope Scope) : LinkInput;

    /// <summary>Parent: the scope changed.</summary>
    public sealed record ScopeChanged(ScopeChange Change) : LinkInput;

    /// <summary>Parent: a batch of outcomes is durable.</summary>
    public sealed record OutcomesApplied(long Number) : LinkInput;

    /// <summary>Parent: an operator said that these orphans are to be stopped.</summary>
    public sealed record Release(IReadOnlyList<string> Uids) : LinkInput;

    /// <summary>Site: a batch is durable.</summary>
    public sealed record Applied(long Number) : LinkInput;

    /// <summary>Site: the outbox has new outcomes.</summary>
    public sealed record OutcomesAdded(IReadOnlyList<OutcomeRef> Outcomes) : LinkInput;
}

/// <summary>What a session wants done.</summary>
public abstract record LinkOutput
{
    private LinkOutput()
    {
    }

    /// <summary>Either: the session moved.</summary>
    public sealed record StateChanged(LinkState State, LinkError Error) : LinkOutput;

    /// <summary>Parent: a site greeted; give its scope (<see cref="LinkInput.ScopeOpened"/>).</summary>
    public sealed record OpenScope(SiteHello Hello) : LinkOutput;

    /// <summary>Parent: make these durable, then say so (<see cref="LinkInput.OutcomesApplied"/>).</summary>
    public sealed record OutcomesReceived(OutcomeBatch Batch) : LinkOutput;

    /// <summary>Parent: the site keeps these, which this parent does not know.</summary>
    public sealed record OrphansOffered(IReadOnlyList<HeldItem> Orphans) : LinkOutput;

    /// <summary>Site: the parent answered.</summary>
    public sealed record Welcomed(ParentWelcome Welcome) : LinkOutput;

    /// <summary>Site: make this durable, then say so (<see cref="LinkInput.Applied"/>).</summary>
    public sealed record Apply(ScopeBatch Batch) : LinkOutput;

    /// <summary>Site: the parent has made these durable.</summary>
    public sealed record OutcomesAcknowledged(IReadOnlyList<OutcomeRef> Outcomes) : LinkOutput;
}

/// <summary>Settings of a session; the defaults are the published ones.</summary>
public sealed record LinkOptions
{
    /// <summary>Version of the program, told to the other side; at most 64 characters.</summary>
    public string Software { get; init; } = "";

    /// <summary>Oldest protocol version to speak.</summary>
    public int OldestVersion { get; init; } = LinkLimits.OldestVersion;

    /// <summary>Newest protocol version to speak.</summary>
    public int NewestVersion { get; init; } = LinkLimits.Version;

    /// <summary>
    /// Silence in milliseconds after which to ask whether the other side lives; up to a tenth is added at random. The site's
    /// default is shorter than the parent's, so that normally one side asks.
    /// </summary>
    public int PingAfterMs { get; init; }

    /// <summary>Silence in milliseconds after which the line is given up.</summary>
    public int DeadAfterMs { get; init; } = 13_500;

    /// <summary>Silence in milliseconds after which the line is given up when nothing that is sent on it is acknowledged either; 0 goes by <see cref="DeadAfterMs"/> alone.</summary>
    public int DeadUnacknowledgedMs { get; init; }

    /// <summary>Most bytes sent and not yet acknowledged, each way (one larger body may exceed it when it is alone).</summary>
    public int WindowBytes { get; init; } = 128 * 1024;

    /// <summary>A batch is closed when it has this many bytes.</summary>
    public int BatchBytes { get; init; } = 32 * 1024;

    /// <summary>
    /// Bodies kept for deltas of what goes down. A hub shares one among its sessions; a site keeps one over its sessions.
    /// Null makes a small one for the session.
    /// </summary>
    public RecentBodies? Bodies { get; init; }

    /// <summary>Bytes of outcomes kept by each end of a session for deltas of what goes up.</summary>
    public int OutcomeBodyBytes { get; init; } = 64 * 1024;

    /// <summary>Site: so many running instances at least, and more than <see cref="MassStopShare"/> of them, are not stopped on the word of a parent that it has just connected to: they are kept as orphans.</summary>
    public int MassStopLeast { get; init; } = 10;

    /// <summary>Site: see <see cref="MassStopLeast"/>; a share from 0 to 1.</summary>
    public double MassStopShare { get; init; } = 0.5;
    /// <summary>A mistake to make, for a simulation to find; nothing else sets it.</summary>
    internal SessionFault Fault { get; init; }

    /// <summary>How long a parent whose scope is older than what the site applied waits to catch up before it calls the site's history foreign, in milliseconds.</summary>
    public int BehindMs { get; init; } = 10_000;
}
