namespace Atoll.Link;

/// <summary>Where a session is.</summary>
public enum LinkState
{
    /// <summary>No greeting was exchanged yet.</summary>
    Connecting,

    /// <summary>Greeted; the site does not yet hold its whole scope.</summary>
    Syncing,

    /// <summary>The site held its whole scope at some moment of this session; changes flow.</summary>
    Live,

    /// <summary>Over. A session never leaves this state.</summary>
    Closed,
}

/// <summary>Why a session ended: one member for each place where it can. Numbers are on the wire and never change.</summary>
public enum LinkError
{
    /// <summary>It was closed by its owner, in order.</summary>
    None = 0,

    /// <summary>The connection ended or failed.</summary>
    ConnectionLost = 1,

    /// <summary>Nothing was heard for longer than the limit.</summary>
    Silent = 2,

    /// <summary>A frame could not be read.</summary>
    Malformed = 3,

    /// <summary>A frame or body exceeded its limit.</summary>
    TooLarge = 4,

    /// <summary>A frame came at a time when it must not.</summary>
    OutOfOrder = 5,

    /// <summary>The other side sent more than the window allows.</summary>
    WindowExceeded = 6,

    /// <summary>No protocol version is spoken by both.</summary>
    VersionUnsupported = 7,

    /// <summary>The parent has too many sites to sync at once: come again later.</summary>
    Busy = 8,

    /// <summary>The site is revoked.</summary>
    Revoked = 9,

    /// <summary>A newer session of the same site took over.</summary>
    Superseded = 10,

    /// <summary>The parent goes away (shutdown or hand-over): dial again.</summary>
    GoingAway = 11,

    /// <summary>The two sides could not agree on what the site holds after repeated rounds.</summary>
    Diverged = 12,

    /// <summary>The owner failed to apply something.</summary>
    OwnerFailed = 13,

    /// <summary>The parent's certificate is not of the pinned authority, or the parent refused ours.</summary>
    Unauthenticated = 14,

    /// <summary>The address could not be reached in time.</summary>
    Unreachable = 15,
}

/// <summary>What a site says first.</summary>
/// <param name="OldestVersion">Oldest protocol version it speaks.</param>
/// <param name="NewestVersion">Newest protocol version it speaks.</param>
/// <param name="Software">Version of the agent, for the site's status.</param>
/// <param name="Sequence">Last applied sequence.</param>
/// <param name="Digest">Digest over what it holds, orphans left out.</param>
/// <param name="Orphans">How many orphans it keeps.</param>
/// <param name="HasBodies">Whether deltas may be based on bodies of earlier sessions.</param>
public sealed record SiteHello(int OldestVersion, int NewestVersion, string Software, LinkSequence Sequence, SetDigest Digest, int Orphans, bool HasBodies)
{
    /// <summary>Through which of the parent's addresses it comes, and why; null from an agent that does not say.</summary>
    public ParentChoice? Via { get; init; }

    /// <summary>The site's own clock, milliseconds since 1970 (UTC); 0 from an agent that does not say.</summary>
    public long ClockMs { get; init; }
}

/// <summary>Which of several parent addresses a site uses, and why.</summary>
/// <param name="Address">The address, such as <c>https://centre.example.org:6443</c>; at most 256 characters.</param>
/// <param name="Reason">Why it is this one.</param>
/// <param name="Detail">For people: what became of those before it; at most 256 characters, may be empty.</param>
public sealed record ParentChoice(string Address, ParentReason Reason, string Detail);

/// <summary>What a parent answers.</summary>
/// <param name="Version">Protocol version that both speak from here.</param>
/// <param name="Software">Version of the parent.</param>
/// <param name="Sequence">The parent's incarnation and the revision of the scope.</param>
/// <param name="Foreign">True when the site's history is not this parent's: nothing is deleted, what the parent does not know is kept as orphans, and the site should offer every outcome anew.</param>
/// <param name="InSync">True when the digests agree: nothing follows.</param>
public sealed record ParentWelcome(int Version, string Software, LinkSequence Sequence, bool Foreign, bool InSync);
