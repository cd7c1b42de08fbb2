using Atoll.Api.Resources;

namespace Atoll.Kube.Watch;

/// <summary>Reads a watcher in batches and adds the bookmarks: one each interval without events, and one at the end of the watch.</summary>
internal sealed class WatchPump(CacheWatcher watcher, ApiServerOptions options, bool bookmarks, DateTimeOffset end)
{
    private bool _ended;

    /// <summary>The next batch; false at the end. Throws OperationCanceledException when the reader has gone.</summary>
    public async ValueTask<bool> NextAsync(List<WatchItem> batch, int max, CancellationToken cancellation)
    {
        while (!_ended)
        {
            TimeSpan left = end - options.Time.GetUtcNow();
            bool last = left <= options.BookmarkInterval;
            using var pause = new CancellationTokenSource(last ? (left > TimeSpan.Zero ? left : TimeSpan.Zero) : options.BookmarkInterval, options.Time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(pause.Token, cancellation);
            try
            {
                return await watcher.ReadAsync(batch, max, either.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
            {
                _ended = last;
            }
            if (!bookmarks || watcher.Progress() is not { } revision)
                continue;
            batch.Clear();
            batch.Add(new WatchItem(WatchEventType.Bookmark, null, revision));
            return true;
        }
        return false;
    }
}
