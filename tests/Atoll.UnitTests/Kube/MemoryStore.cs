using System.Runtime.CompilerServices;
using System.Text;
using Atoll.Store;

namespace Atoll.UnitTests.Kube;

/// <summary>A store in memory, for tests of the API alone. Keeps all history until compacted.</summary>
internal sealed class MemoryStore : IStore
{
    private sealed record Version(string Key, byte[]? Value, long Create, long Revision, StoreEntry? Previous);

    private readonly Lock _gate = new();
    private readonly List<Version> _log = [];
    private readonly SortedDictionary<string, StoreEntry> _now = new(StringComparer.Ordinal);
    private TaskCompletionSource _moved = new(TaskCreationOptions.RunContinuationsAsynchronously);

    public long Epoch => 0;

    public string Incarnation => "memory";

    public long CurrentRevision { get; private set; }

    public long CompactedRevision { get; private set; }

    /// <summary>Called before each transaction, to make races.</summary>
    public Func<Task>? BeforeTransaction { get; set; }

    private static string Text(ReadOnlyMemory<byte> key) => Encoding.Latin1.GetString(key.Span);

    private static ReadOnlyMemory<byte> Bytes(string key) => Encoding.Latin1.GetBytes(key);

    private static bool In(string key, string start, string end) =>
        end.Length == 0 ? key == start : string.CompareOrdinal(key, start) >= 0 && string.CompareOrdinal(key, end) < 0;

    public ValueTask<StoreEntry?> GetAsync(ReadOnlyMemory<byte> key, CancellationToken cancellation)
    {
        lock (_gate)
            return ValueTask.FromResult(_now.GetValueOrDefault(Text(key)));
    }

    public ValueTask<StoreRange> RangeAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int limit, long revision, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (revision > CurrentRevision)
                return ValueTask.FromResult(new StoreRange([], CurrentRevision, false, StoreError.FutureRevision));
            if (revision != 0 && revision < CompactedRevision)
                return ValueTask.FromResult(new StoreRange([], CurrentRevision, false, StoreError.Compacted));
            SortedDictionary<string, StoreEntry> state = _now;
            if (revision != 0 && revision != CurrentRevision)
            {
                state = new SortedDictionary<string, StoreEntry>(StringComparer.Ordinal);
                foreach (Version version in _log.TakeWhile(v => v.Revision <= revision))
                    if (version.Value is null)
                        state.Remove(version.Key);
                    else
                        state[version.Key] = new StoreEntry(Bytes(version.Key), version.Value, version.Create, version.Revision);
            }
            List<StoreEntry> found = [.. state.Where(pair => In(pair.Key, Text(start), Text(end))).Select(pair => pair.Value)];
            bool more = limit > 0 && found.Count > limit;
            return ValueTask.FromResult(new StoreRange(more ? found.GetRange(0, limit) : found, revision == 0 ? CurrentRevision : revision, more));
        }
    }

    public async ValueTask<StoreResult> TransactAsync(StoreTransaction transaction, CancellationToken cancellation)
    {
        if (BeforeTransaction is { } before)
            await before();
        lock (_gate)
        {
            for (int i = 0; i < transaction.Compares.Count; i++)
                if ((_now.GetValueOrDefault(Text(transaction.Compares[i].Key))?.ModRevision ?? 0) != transaction.Compares[i].ModRevision)
                    return new StoreResult(StoreError.CompareFailed, CurrentRevision, i);
            long revision = CurrentRevision + 1;
            bool changed = false;
            foreach (StoreWrite write in transaction.Writes)
            {
                string key = Text(write.Key);
                StoreEntry? previous = _now.GetValueOrDefault(key);
                if (write.Value is null && previous is null)
                    continue;
                changed = true;
                long create = previous?.CreateRevision ?? revision;
                if (write.Value is { } value)
                    _now[key] = new StoreEntry(write.Key, value.ToArray(), create, revision);
                else
                    _now.Remove(key);
                _log.Add(new Version(key, write.Value?.ToArray(), create, revision, previous));
            }
            if (changed)
            {
                CurrentRevision = revision;
                TaskCompletionSource moved = _moved;
                _moved = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                moved.SetResult();
            }
            return new StoreResult(StoreError.None, CurrentRevision);
        }
    }

    public async IAsyncEnumerable<StoreEvents> WatchAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, long afterRevision, [EnumeratorCancellation] CancellationToken cancellation)
    {
        int at = 0;
        if (afterRevision < CompactedRevision)
        {
            yield return new StoreEvents([], CompactedRevision, StoreError.Compacted);
            yield break;
        }
        while (true)
        {
            Task moved;
            List<StoreEvent> events = [];
            long revision;
            lock (_gate)
            {
                moved = _moved.Task;
                revision = CurrentRevision;
                for (; at < _log.Count; at++)
                    if (_log[at].Revision > afterRevision && (end.Length == 0 ? string.CompareOrdinal(_log[at].Key, Text(start)) >= 0 : In(_log[at].Key, Text(start), Text(end))))
                        events.Add(new StoreEvent(Bytes(_log[at].Key), _log[at].Value is { } value ? value : (ReadOnlyMemory<byte>?)null, _log[at].Create, _log[at].Revision, _log[at].Previous));
            }
            if (events.Count > 0)
                yield return new StoreEvents(events, revision);
            await moved.WaitAsync(cancellation);
        }
    }

    public ValueTask CompactAsync(long revision, CancellationToken cancellation)
    {
        lock (_gate)
            CompactedRevision = Math.Max(CompactedRevision, revision);
        return ValueTask.CompletedTask;
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
