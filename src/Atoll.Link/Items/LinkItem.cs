namespace Atoll.Link;

/// <summary>
/// One object as the link carries it: opaque bytes under an identity. The identity is the UID; kind and name are carried
/// for the owner's convenience and for reports.
/// </summary>
/// <param name="Kind">The owner's key of the kind, such as <c>pods</c>; at most 64 characters.</param>
/// <param name="Name">Namespace and name, such as <c>default/web-1</c>; at most 320 characters.</param>
/// <param name="Uid">Identity; at most 128 characters.</param>
/// <param name="Version">Version, above 0, another one for every change of the body. Either the store revision of the last write (then a resume sends what is newer than the site's sequence), or any stable number below every revision, such as a hash of the body (then a resume goes by digests alone).</param>
/// <param name="Body">Exact bytes; at most <see cref="LinkLimits.MaxBodyBytes"/>. Must not change afterwards.</param>
public sealed record LinkItem(string Kind, string Name, string Uid, long Version, ReadOnlyMemory<byte> Body);

/// <summary>An identity and the version that is meant.</summary>
public readonly record struct ItemVersion(string Uid, long Version);

/// <summary>Where in whose history: the incarnation of the parent's store and its revision.</summary>
/// <param name="Incarnation">Random identity of the store's history; empty when the site never completed a sync.</param>
/// <param name="Revision">Revision up to which the scope was applied; 0 when it never was complete in this incarnation.</param>
public readonly record struct LinkSequence(string Incarnation, long Revision)
{
    /// <summary>Of a site that has never synced.</summary>
    public static LinkSequence None { get; } = new("", 0);
}

/// <summary>What a site holds of one object, without its body.</summary>
/// <param name="Kind">Kind key.</param>
/// <param name="Name">Namespace and name.</param>
/// <param name="Uid">Identity.</param>
/// <param name="Version">Version held.</param>
/// <param name="Orphan">True when the parent that was last heard does not know it (its store was restored or replaced): kept, and offered for adoption.</param>
public sealed record HeldItem(string Kind, string Name, string Uid, long Version, bool Orphan = false);

/// <summary>All that a site holds when a session begins.</summary>
/// <param name="Sequence">Last applied sequence.</param>
/// <param name="Items">Every object that came down the link and was not removed, orphans too.</param>
/// <param name="HasBodies">True when the owner can give back the exact bytes of what it holds (<see cref="ISiteItems.ReadBody"/>), so that deltas may be based on them.</param>
public sealed record SiteHoldings(LinkSequence Sequence, IReadOnlyCollection<HeldItem> Items, bool HasBodies);

/// <summary>A site's scope at one revision of the parent's store: every identity with its version.</summary>
/// <param name="Sequence">Incarnation and revision at which the scope was computed.</param>
/// <param name="Items">Identities and versions; bodies are read when they are sent.</param>
/// <param name="LostHistory">True when the site follows a part of this history that the store has lost (an older copy was put in its place): as with another history, nothing is removed.</param>
/// <param name="ChangesAfter">Changes posted while the scope was opened count when their revision is above this; null for the sequence's. An owner whose scope may be behind its store's revision, and which posts nothing before it has read the scope, gives 0.</param>
public sealed record LinkScope(LinkSequence Sequence, IReadOnlyCollection<ItemVersion> Items, bool LostHistory = false, long? ChangesAfter = null);

/// <summary>A change of a site's scope.</summary>
/// <param name="Revision">Revision of the parent's store up to which this change makes the scope complete.</param>
/// <param name="Upserts">Objects that entered the scope or changed in it.</param>
/// <param name="Removals">UIDs that left the scope or were deleted.</param>
public sealed record ScopeChange(long Revision, IReadOnlyList<ItemVersion> Upserts, IReadOnlyList<string> Removals);

/// <summary>
/// What a site has to make durable at once: objects, removals and the sequence, in one transaction. Within a batch an
/// identity occurs once.
/// </summary>
/// <param name="Number">Number of the batch in its session, to be told back when it is durable.</param>
/// <param name="Sequence">The sequence to store with it. It only moves on when the scope is complete at that revision.</param>
/// <param name="Upserts">Objects to write.</param>
/// <param name="Removals">UIDs to stop and forget.</param>
/// <param name="Orphans">UIDs that the parent does not know: keep them running, remember the mark, never stop them by yourself.</param>
public sealed record ScopeBatch(long Number, LinkSequence Sequence, IReadOnlyList<LinkItem> Upserts, IReadOnlyList<string> Removals, IReadOnlyList<string> Orphans);

/// <summary>Position of one outcome in a site's outbox.</summary>
/// <param name="Sequence">Outbox sequence, above 0; a newer outcome of the same object has a greater one and replaces the older.</param>
/// <param name="Uid">Identity of the object (or any key that the owner chose for a thing without one).</param>
/// <param name="Yields">True when it goes only when no other outcome waits: reports about what happened, which a slow line must not put before what is.</param>
public readonly record struct OutcomeRef(long Sequence, string Uid, bool Yields = false);

/// <summary>The latest outcome of one object, as it goes up.</summary>
/// <param name="Sequence">Outbox sequence.</param>
/// <param name="Uid">Identity.</param>
/// <param name="Kind">Kind key.</param>
/// <param name="Name">Namespace and name.</param>
/// <param name="Operation">The owner's word for what this is, such as <c>status</c>, <c>register</c>, <c>deleted</c>, <c>replace</c>; at most 64 characters.</param>
/// <param name="Body">Exact bytes.</param>
public sealed record Outcome(long Sequence, string Uid, string Kind, string Name, string Operation, ReadOnlyMemory<byte> Body);

/// <summary>Outcomes that the parent's owner has to make durable before it acknowledges. Repeats are possible after a reconnect: idempotent by (uid, sequence).</summary>
/// <param name="Number">Number of the batch in its session.</param>
/// <param name="Outcomes">In outbox order.</param>
public sealed record OutcomeBatch(long Number, IReadOnlyList<Outcome> Outcomes);

/// <summary>What a parent's session reads of the objects, at the moment of sending.</summary>
public interface IScopeItems
{
    /// <summary>
    /// The newest state of an object, or null when it was deleted. Must be at least as new as every scope or change that was
    /// given to the session, answer from memory, and be safe to call from any thread.
    /// </summary>
    LinkItem? Read(string uid);
}

/// <summary>What a site's session reads of its owner, at the moment of sending; safe to call from any thread.</summary>
public interface ISiteItems
{
    /// <summary>The exact bytes of a held object at this version, as they came down, or null when they are not at hand (the parent then sends the whole body).</summary>
    ReadOnlyMemory<byte>? ReadBody(string uid, long version);

    /// <summary>The latest outcome of an object, or null when it was acknowledged or withdrawn meanwhile.</summary>
    Outcome? ReadOutcome(string uid);

    /// <summary>True when the object stands for something that runs and that nobody has asked to end.</summary>
    bool IsRunning(string uid) => false;

    /// <summary>How many objects <see cref="IsRunning"/> is true of.</summary>
    int RunningCount => 0;
}
