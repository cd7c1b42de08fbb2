namespace Atoll.Store.Sqlite;

/// <summary>The newest events in memory, whole revisions, within a bound of bytes: what watches that keep up are served from.</summary>
internal sealed class Tail(long maxBytes, long start)
{
    // What an event costs beside its bytes.
    private const int Overhead = 200;

    private readonly Lock _lock = new();
    private readonly Queue<(StoreEvent[] Events, long Bytes)> _revisions = new();
    private long _bytes;
    private long _start = start;
    private long _newest = start;
    private TaskCompletionSource _news = New();

    /// <summary>Adds committed revisions, in order, and wakes whoever waits.</summary>
    public void Add(IReadOnlyList<StoreEvent[]> revisions)
    {
        TaskCompletionSource news;
        lock (_lock)
        {
            foreach (StoreEvent[] events in revisions)
            {
                long bytes = 0;
                foreach (StoreEvent e in events)
                    bytes += Overhead + e.Key.Length + (e.Value?.Length ?? 0) + (e.Previous?.Value.Length ?? 0);
                _revisions.Enqueue((events, bytes));
                _bytes += bytes;
                _newest = events[0].Revision;
            }
            while (_bytes > maxBytes && _revisions.Count > 1)
            {
                (StoreEvent[] oldest, long freed) = _revisions.Dequeue();
                _bytes -= freed;
                _start = oldest[0].Revision;
            }
            (news, _news) = (_news, New());
        }
        news.TrySetResult();
    }

    /// <summary>Ends every wait, for good.</summary>
    public void Close()
    {
        lock (_lock)
            _news.TrySetResult();
    }

    /// <summary>
    /// Events after a revision, up to a few hundred; null when they are no longer here. <paramref name="news"/> ends when there may
    /// be more than what was returned.
    /// </summary>
    public List<StoreEvent>? After(long revision, out long upTo, out Task news)
    {
        lock (_lock)
        {
            news = _news.Task;
            upTo = _newest;
            if (revision < _start)
                return null;
            var found = new List<StoreEvent>();
            if (revision >= _newest)
                return found;
            foreach ((StoreEvent[] events, _) in _revisions)
            {
                if (events[0].Revision <= revision)
                    continue;
                if (found.Count >= 512)
                {
                    upTo = found[^1].Revision;
                    news = Task.CompletedTask;
                    break;
                }
                found.AddRange(events);
            }
            return found;
        }
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
