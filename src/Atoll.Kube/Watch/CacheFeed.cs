using System.Collections.Concurrent;
using Atoll.Api.Objects;
using Atoll.Store;
using Microsoft.Extensions.Logging;

namespace Atoll.Kube.Watch;

/// <summary>
/// Feeds the caches of all resources from one watch of the store. It watches every key, so that the revision of each
/// transaction passes through, whatever it wrote, and readers can wait for "as new as the store".
/// </summary>
internal sealed class CacheFeed(IStore store, ApiServerOptions options) : IAsyncDisposable
{
    // Every key sorts at or after a single zero byte.
    private static readonly ReadOnlyMemory<byte> s_first = new byte[] { 0 };

    private readonly List<ResourceCache> _caches = [];
    private readonly Dictionary<string, ResourceCache> _byPrefix = new(StringComparer.Ordinal);
    private readonly CancellationTokenSource _stop = new();
    private readonly Lock _gate = new();
    private TaskCompletionSource? _moved;
    private Task _pump = Task.CompletedTask;
    private long _revision;

    /// <summary>Revision up to which every cache has taken in everything.</summary>
    public long Revision => Volatile.Read(ref _revision);

    /// <summary>False once the feed has ended.</summary>
    public bool IsRunning => !_pump.IsCompleted;

    /// <summary>The caches.</summary>
    public IReadOnlyList<ResourceCache> Caches => _caches;

    /// <summary>Adds a resource; before <see cref="StartAsync"/>.</summary>
    public ResourceCache Add(ResourceType type, string prefix)
    {
        var cache = new ResourceCache(type, prefix, this, options.WatchHistoryEvents, options.WatchBufferEvents);
        _caches.Add(cache);
        _byPrefix.Add(prefix, cache);
        return cache;
    }

    /// <summary>Loads all caches and starts following the store.</summary>
    public async Task StartAsync(CancellationToken cancellation)
    {
        await LoadAsync(cancellation).ConfigureAwait(false);
        _pump = Task.Run(() => PumpAsync(_stop.Token), CancellationToken.None);
    }

    /// <summary>Waits until the caches have reached a revision.</summary>
    public async ValueTask WaitAsync(long revision, CancellationToken cancellation)
    {
        while (NextMove(revision) is { } moved)
            await moved.WaitAsync(cancellation).ConfigureAwait(false);
    }

    // Ends when the caches moved on; null when they have reached the revision.
    private Task? NextMove(long revision)
    {
        if (Revision >= revision)
            return null;
        lock (_gate)
        {
            if (Revision >= revision)
                return null;
            if (_stop.IsCancellationRequested)
                throw new ObjectDisposedException(nameof(ApiServer));
            _moved ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _moved.Task;
        }
    }

    /// <summary>
    /// Waits until the caches are as new as the store was at the call. What it waits for is written already and comes in a moment, or the
    /// feed ends: so the cancellation is looked at now and not waited for.
    /// </summary>
    public ValueTask WaitFreshAsync(CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        long newest = store.CurrentRevision;
        return Revision >= newest ? ValueTask.CompletedTask : FollowedAsync(newest);
    }

    private async ValueTask FollowedAsync(long revision)
    {
        while (NextMove(revision) is { } moved)
            await moved.ConfigureAwait(false);
    }

    // Loading a little in the past fills the history, so that watches survive a restart of the server.
    private async Task LoadAsync(CancellationToken cancellation)
    {
        long current = store.CurrentRevision;
        long past = Math.Max(store.CompactedRevision + 1, current - options.WatchHistoryEvents);
        long revision = past > 0 && past < current && past >> 48 == current >> 48 ? past : 0;
        for (int attempt = 0; ; attempt++)
        {
            long state = await LoadAtAsync(revision, cancellation).ConfigureAwait(false);
            if (state >= 0)
            {
                Advance(state);
                return;
            }
            if (attempt == 10)
                throw new IOException("The store compacts faster than its state can be read.");
            revision = 0;
        }
    }

    // Every resource is read at one revision. -1 when it was compacted meanwhile. Each thread that reads the store makes the objects of
    // what it reads and sorts them.
    private async Task<long> LoadAtAsync(long revision, CancellationToken cancellation)
    {
        var readers = new ConcurrentBag<CacheReader>();
        (long at, StoreError error) = await store.ScanAsync(revision, () =>
        {
            var reader = new CacheReader(_caches);
            readers.Add(reader);
            return reader.Read;
        }, cancellation).ConfigureAwait(false);
        if (error != StoreError.None)
            return -1;
        await Task.WhenAll(readers.Select(reader => Task.Run(reader.Sort, cancellation))).ConfigureAwait(false);
        for (int i = 0; i < _caches.Count; i++)
            _caches[i].Load(CacheReader.Merge(readers, i), at);
        return at;
    }

    private async Task PumpAsync(CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                await FollowAsync(cancellation).ConfigureAwait(false);
                options.Logger.LogWarning("The watch of the store ended before revision {Revision}; reading everything again", store.CurrentRevision);
                await LoadAsync(cancellation).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Closing.
        }
        catch (Exception e)
        {
            options.Logger.LogCritical(e, "The watch of the store failed: the server cannot go on");
        }
        finally
        {
            await _stop.CancelAsync().ConfigureAwait(false);
            foreach (ResourceCache cache in _caches)
                cache.Close(ApiStatus.ServiceUnavailable("the server is closing"));
            lock (_gate)
                _moved?.TrySetException(new ObjectDisposedException(nameof(ApiServer)));
        }
    }

    private async Task FollowAsync(CancellationToken cancellation)
    {
        var batches = new Dictionary<ResourceCache, List<StoreEvent>>();
        await foreach (StoreEvents batch in store.WatchAsync(s_first, default, Revision, cancellation).ConfigureAwait(false))
        {
            if (batch.Error != StoreError.None)
                return;
            foreach (StoreEvent e in batch.Events)
            {
                if (Keys.PrefixOf(e.Key.Span) is not { } prefix || !_byPrefix.TryGetValue(prefix, out ResourceCache? cache))
                    continue;
                if (!batches.TryGetValue(cache, out List<StoreEvent>? events))
                    batches[cache] = events = [];
                events.Add(e);
            }
            foreach ((ResourceCache cache, List<StoreEvent> events) in batches)
                cache.Apply(events);
            batches.Clear();
            Advance(batch.Revision);
        }
    }

    private void Advance(long revision)
    {
        TaskCompletionSource? moved;
        lock (_gate)
        {
            Volatile.Write(ref _revision, revision);
            moved = _moved;
            _moved = null;
        }
        moved?.TrySetResult();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _pump.ConfigureAwait(false);
        _stop.Dispose();
    }
}
