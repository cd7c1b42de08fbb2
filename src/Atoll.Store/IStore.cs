namespace Atoll.Store;

/// <summary>
/// A revisioned key-value store: the narrow waist below the API. It knows no resource. Keys are bytes in order; every
/// transaction that changes something gets one revision, greater than all before, whatever number of keys it writes.
/// <para>Invariants: a transaction is acknowledged only when it is durable (fsync); revisions of acknowledged
/// transactions never go back, not even after a crash or a rebuild (<see cref="Epoch"/> is their high bits); a watch
/// sees every change after its start revision exactly once, in order, or ends with <see cref="StoreError.Compacted"/>.</para>
/// <para>What it does not do: leases, TTLs, ranges at old revisions older than the compaction, ordering across stores.</para>
/// </summary>
public interface IStore : IAsyncDisposable
{
    /// <summary>High bits of every revision (revision = epoch &lt;&lt; 48 | counter): raised when a store is rebuilt, so an old watch gets 410 and never a silent gap.</summary>
    long Epoch { get; }

    /// <summary>Random identity of this store's history; a store restored from a backup gets a new one.</summary>
    string Incarnation { get; }

    /// <summary>Revision of the last acknowledged transaction.</summary>
    long CurrentRevision { get; }

    /// <summary>Revisions at or below this can no longer be watched from.</summary>
    long CompactedRevision { get; }

    /// <summary>The newest value of a key, or null.</summary>
    ValueTask<StoreEntry?> GetAsync(ReadOnlyMemory<byte> key, CancellationToken cancellation);

    /// <summary>Keys in [start, end) in order, at the newest revision or at <paramref name="revision"/> (0 is newest). An empty end means the one key; limit 0 is all.</summary>
    ValueTask<StoreRange> RangeAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int limit, long revision, CancellationToken cancellation);

    /// <summary>
    /// Gives every entry that there was at <paramref name="revision"/> (0: at the newest) to visitors, in no order, and answers with the
    /// revision: what a program begins with. On several threads at once when the store can; <paramref name="visitor"/> is asked for one
    /// visitor a thread, before it begins. After <see cref="StoreError.Compacted"/> what was given is worth nothing.
    /// </summary>
    async ValueTask<(long Revision, StoreError Error)> ScanAsync(long revision, Func<StoreVisitor> visitor, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(visitor);
        byte[] start = [0];
        StoreVisitor visit = visitor();
        while (true)
        {
            StoreRange range = await RangeAsync(start, new byte[] { 255 }, 10_000, revision, cancellation).ConfigureAwait(false);
            if (range.Error != StoreError.None)
                return (range.Revision, range.Error);
            revision = range.Revision;
            foreach (StoreEntry entry in range.Entries)
                visit(entry.Key.Span, entry.Value.Span, entry.ModRevision);
            if (!range.More)
                return (revision, StoreError.None);
            start = [.. range.Entries[^1].Key.Span, 0];
        }
    }

    /// <summary>
    /// Applies all writes when all comparisons hold, else none. Returns after the data is durable. Keys and values are copied by the
    /// call: the caller may reuse its buffers as soon as it has the task. A key that is written twice, and missing lists, are an
    /// <see cref="ArgumentException"/>. A damaged file is a <c>StoreCorruptException</c>, a disk that cannot be written an
    /// <see cref="IOException"/>: nothing was acknowledged then.
    /// </summary>
    ValueTask<StoreResult> TransactAsync(StoreTransaction transaction, CancellationToken cancellation);

    /// <summary>
    /// Batches of events of keys in [start, end) with revision greater than <paramref name="afterRevision"/>, in order. An
    /// empty end means everything from start. Each batch holds whole revisions. A slow reader is never dropped silently:
    /// when it falls behind compaction, the last batch carries <see cref="StoreError.Compacted"/>. A revision that is not yet written gives one batch with
    /// <see cref="StoreError.FutureRevision"/>. What is handed out is shared: it must not be changed.
    /// </summary>
    IAsyncEnumerable<StoreEvents> WatchAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, long afterRevision, CancellationToken cancellation);

    /// <summary>Forgets history at and below a revision (newest values stay). Idempotent.</summary>
    ValueTask CompactAsync(long revision, CancellationToken cancellation);
}

/// <summary>Gets one entry of <see cref="IStore.ScanAsync"/>; the bytes are good only during the call.</summary>
public delegate void StoreVisitor(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long modRevision);

/// <summary>Why a call of the store did not do what was asked.</summary>
public enum StoreError
{
    /// <summary>It did.</summary>
    None,

    /// <summary>A comparison of the transaction did not hold; nothing was written.</summary>
    CompareFailed,

    /// <summary>The revision asked for was compacted.</summary>
    Compacted,

    /// <summary>The revision asked for is not yet written.</summary>
    FutureRevision,

    /// <summary>Key, value or transaction above the published limit, or an empty key.</summary>
    TooLarge,
}

/// <summary>One key with its newest value.</summary>
/// <param name="Key">Key.</param>
/// <param name="Value">Value.</param>
/// <param name="CreateRevision">Revision in which the key was made.</param>
/// <param name="ModRevision">Revision of the last write.</param>
public sealed record StoreEntry(ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte> Value, long CreateRevision, long ModRevision);

/// <summary>A range and the revision at which it was read.</summary>
public sealed record StoreRange(IReadOnlyList<StoreEntry> Entries, long Revision, bool More, StoreError Error = StoreError.None);

/// <summary>A comparison: the key's ModRevision must equal the given one; 0 means that the key must not exist.</summary>
public readonly record struct StoreCompare(ReadOnlyMemory<byte> Key, long ModRevision);

/// <summary>A write: a value, or null to delete.</summary>
public readonly record struct StoreWrite(ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte>? Value);

/// <summary>Comparisons and writes that happen together or not at all. At most 1,000 writes and 1,000 comparisons, 16 MiB; each key is written once.</summary>
public sealed record StoreTransaction(IReadOnlyList<StoreCompare> Compares, IReadOnlyList<StoreWrite> Writes);

/// <summary>Outcome of a transaction. Revision is that of the transaction; when nothing changed, the store's newest. FailedCompare is the index of the comparison that did not hold.</summary>
public readonly record struct StoreResult(StoreError Error, long Revision, int FailedCompare = -1);

/// <summary>One change: <see cref="Value"/> is null for a deletion; <see cref="Previous"/> is the entry before, or null when it was made (or compacted away).</summary>
public sealed record StoreEvent(ReadOnlyMemory<byte> Key, ReadOnlyMemory<byte>? Value, long CreateRevision, long Revision, StoreEntry? Previous);

/// <summary>Events in order, all up to and including <see cref="Revision"/>; an empty list is a progress mark.</summary>
public sealed record StoreEvents(IReadOnlyList<StoreEvent> Events, long Revision, StoreError Error = StoreError.None);
