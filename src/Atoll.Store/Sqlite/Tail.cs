namespace Atoll.Store.Sqlite;

/// <summary>
/// The newest events in memory, whole revisions, within a bound of bytes: what watches that keep up are served from. Revisions
/// follow each other without a gap, so a revision is found by its distance from the oldest.
/// </summary>
internal sealed class Tail(long maxBytes, long start)
{
    // What an event costs beside its bytes, and how many are handed out at once.
    private const int Overhead = 200, Step = 512;

    private readonly Lock _lock = new();
    private (StoreEvent[] Events, long Bytes)[] _ring = new (StoreEvent[], long)[64];
    private int _head, _count;
    private long _bytes;
    private long _start = start;
    private TaskCompletionSource _news = New();

    /// <summary>Adds committed revisions, in order, and wakes whoever waits.</summary>
    public void Add(IReadOnlyList<StoreEvent[]> revisions)
    {
        TaskCompletionSource news;
        lock (_lock)
        {
            foreach (StoreEvent[] events in revisions)
            {
                if (events[0].Revision != _start + _count + 1)
                    throw new InvalidOperationException($"revision {events[0].Revision} does not follow {_start + _count}");
                if (_count == _ring.Length)
                    Grow();
                long bytes = 0;
                foreach (StoreEvent e in events)
                    bytes += Overhead + e.Key.Length + (e.Value?.Length ?? 0) + (e.Previous?.Value.Length ?? 0);
                _ring[(_head + _count++) & (_ring.Length - 1)] = (events, bytes);
                _bytes += bytes;
                // The newest stays, however large it is.
                while (_bytes > maxBytes && _count > 1)
                    DropOldest();
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
    /// Events after a revision, up to a few hundred and at least one revision; null when they are no longer here.
    /// <paramref name="news"/> ends when there may be more than what was returned.
    /// </summary>
    public List<StoreEvent>? After(long revision, out long upTo, out Task news)
    {
        lock (_lock)
        {
            news = _news.Task;
            upTo = _start + _count;
            if (revision < _start)
                return null;
            var found = new List<StoreEvent>();
            for (long i = revision - _start; i < _count; i++)
            {
                if (found.Count >= Step)
                {
                    upTo = _start + i;
                    news = Task.CompletedTask;
                    break;
                }
                found.AddRange(_ring[(_head + (int)i) & (_ring.Length - 1)].Events);
            }
            return found;
        }
    }

    private void DropOldest()
    {
        _bytes -= _ring[_head].Bytes;
        _ring[_head] = default;
        _head = (_head + 1) & (_ring.Length - 1);
        _count--;
        _start++;
    }

    private void Grow()
    {
        var larger = new (StoreEvent[], long)[_ring.Length * 2];
        for (int i = 0; i < _count; i++)
            larger[i] = _ring[(_head + i) & (_ring.Length - 1)];
        (_ring, _head) = (larger, 0);
    }

    private static TaskCompletionSource New() => new(TaskCreationOptions.RunContinuationsAsynchronously);
}
