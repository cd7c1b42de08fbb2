using System.Threading.Channels;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.Kube.Watch;

/// <summary>One event as a watcher gets it. A bookmark has no object; <see cref="Revision"/> says how far it reaches.</summary>
internal readonly record struct WatchItem(WatchEventType Type, CachedObject? Object, long Revision, bool InitialEnd = false, ApiStatus? Error = null);

/// <summary>
/// One reader of a cache's changes. The cache offers every change; those of the selection wait in a bounded buffer. A
/// reader that lets it overflow is closed with 410 and told so: it never misses a change silently.
/// </summary>
internal sealed class CacheWatcher : IDisposable
{
    private readonly ResourceCache _cache;
    private readonly Channel<WatchItem> _buffer;
    private readonly Queue<WatchItem> _initial;
    private bool _ended;

    public CacheWatcher(ResourceCache cache, Selection selection, Queue<WatchItem> initial, int bufferEvents)
    {
        _cache = cache;
        Selection = selection;
        _initial = initial;
        _buffer = Channel.CreateBounded<WatchItem>(new BoundedChannelOptions(bufferEvents) { SingleReader = true, SingleWriter = true, AllowSynchronousContinuations = false });
    }

    public Selection Selection { get; }

    /// <summary>Called by the cache, under its lock. False once the watcher is closed.</summary>
    public bool Offer(CacheChange change)
    {
        if (Translate(change, Selection) is not { } item || _buffer.Writer.TryWrite(item))
            return true;
        Close(ApiStatus.Expired("the watch fell too far behind and was closed: list again"));
        return false;
    }

    /// <summary>Ends the watch after what is buffered.</summary>
    public void Close(ApiStatus? error) => _buffer.Writer.TryComplete(error is null ? null : new WatchClosedException(error));

    /// <summary>What a change means for a selection; null when it does not concern it.</summary>
    public static WatchItem? Translate(CacheChange change, Selection selection)
    {
        bool before = change.Old is not null && selection.Matches(change.Old);
        bool after = change.Current is not null && selection.Matches(change.Current);
        if (after)
            return new WatchItem(before ? WatchEventType.Modified : WatchEventType.Added, change.Current, change.Revision);
        return before ? new WatchItem(WatchEventType.Deleted, change.Gone, change.Revision) : null;
    }

    /// <summary>
    /// Waits for events and moves all that are there, at most <paramref name="max"/>, into <paramref name="batch"/>.
    /// False at the end of the watch; an error is the last item. Throws OperationCanceledException when cancelled.
    /// </summary>
    public async ValueTask<bool> ReadAsync(List<WatchItem> batch, int max, CancellationToken cancellation)
    {
        batch.Clear();
        if (_ended)
            return false;
        while (batch.Count < max && _initial.TryDequeue(out WatchItem item))
            batch.Add(item);
        if (batch.Count > 0)
            return true;
        try
        {
            if (!await _buffer.Reader.WaitToReadAsync(cancellation).ConfigureAwait(false))
                return false;
        }
        catch (WatchClosedException e)
        {
            batch.Add(new WatchItem(WatchEventType.Error, null, 0, false, e.Status));
            _ended = true;
            return true;
        }
        while (batch.Count < max && _buffer.Reader.TryRead(out WatchItem item))
            batch.Add(item);
        return true;
    }

    /// <summary>How far the reader has seen everything, for a bookmark; null while events wait.</summary>
    public long? Progress()
    {
        // Read the revision first: all changes up to it were offered before it was published.
        long revision = _cache.SafeRevision;
        return _initial.Count == 0 && _buffer.Reader.Count == 0 && !_buffer.Reader.Completion.IsCompleted ? revision : null;
    }

    public void Dispose()
    {
        _cache.Remove(this);
        _buffer.Writer.TryComplete();
    }
}

/// <summary>Carries the reason of a closed watch through its channel.</summary>
internal sealed class WatchClosedException(ApiStatus status) : Exception(status.Message)
{
    public ApiStatus Status { get; } = status;
}
