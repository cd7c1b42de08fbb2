using Atoll.Store;

namespace Atoll.UnitTests.Kube;

/// <summary>A store with a hook before each transaction, to make races on purpose.</summary>
internal sealed class HookedStore(IStore inner) : IStore
{
    public Func<Task>? BeforeTransaction { get; set; }

    public long Epoch => inner.Epoch;

    public string Incarnation => inner.Incarnation;

    public long CurrentRevision => inner.CurrentRevision;

    public long CompactedRevision => inner.CompactedRevision;

    public ValueTask<StoreEntry?> GetAsync(ReadOnlyMemory<byte> key, CancellationToken cancellation) => inner.GetAsync(key, cancellation);

    public ValueTask<StoreRange> RangeAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int limit, long revision, CancellationToken cancellation) =>
        inner.RangeAsync(start, end, limit, revision, cancellation);

    public async ValueTask<StoreResult> TransactAsync(StoreTransaction transaction, CancellationToken cancellation)
    {
        if (BeforeTransaction is { } before)
            await before();
        return await inner.TransactAsync(transaction, cancellation);
    }

    public IAsyncEnumerable<StoreEvents> WatchAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, long afterRevision, CancellationToken cancellation) =>
        inner.WatchAsync(start, end, afterRevision, cancellation);

    public ValueTask CompactAsync(long revision, CancellationToken cancellation) => inner.CompactAsync(revision, cancellation);

    public ValueTask DisposeAsync() => inner.DisposeAsync();
}
