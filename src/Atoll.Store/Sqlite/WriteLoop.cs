using System.Threading.Channels;
using Microsoft.Data.Sqlite;

namespace Atoll.Store.Sqlite;

/// <summary>
/// The one thread that writes. It takes what waits in the queue, runs it in order inside one SQLite transaction, commits
/// once, and then tells the callers and the watches. A batch that fails is rolled back and its callers are told; when that is
/// not possible either, or the file is damaged, everybody is failed at once and <see cref="Completion"/> faults: no call ever
/// waits for a thread that is gone.
/// </summary>
internal sealed class WriteLoop
{
    private const int MaxBatch = 512, CompactStep = 4000, VacuumPages = 2000;

    // How long the writer may wait for readers to let it empty the log.
    private const int CalmWaitMs = 20, FullLogWaitMs = 200;

    private static readonly TimeSpan s_calm = TimeSpan.FromSeconds(1);

    private readonly Writer _writer;
    private readonly Tail _tail;
    private readonly string _path;
    private readonly SqliteStoreOptions _options;
    private readonly long _firstRevision;
    private readonly Channel<WriteRequest> _queue;
    private readonly ITimer _calm;
    private readonly TaskCompletionSource _completion = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly FileInfo _log;
    private Position _now;
    private long _revision, _compacted, _checkpointAt;
    private volatile Exception? _failure;
    private bool _dirty = true, _postponed;

    public WriteLoop(Writer writer, History history, Tail tail, string path, SqliteStoreOptions options)
    {
        _writer = writer;
        _tail = tail;
        _path = path;
        _options = options;
        _firstRevision = history.Epoch << History.EpochShift;
        _queue = Channel.CreateBounded<WriteRequest>(new BoundedChannelOptions(options.MaxQueued) { SingleReader = true });
        _now = new Position(history.Revision, history.Compacted, history.Bytes, Backlog: history.Compacted > 0);
        (_revision, _compacted) = (history.Revision, history.Compacted);
        _log = new FileInfo(path + "-wal");
        _checkpointAt = options.MaxLogBytes;
        _calm = options.Time.CreateTimer(static queue => ((ChannelWriter<WriteRequest>)queue!).TryWrite(WriteRequest.Calm()), _queue.Writer, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
        _ = Task.Factory.StartNew(Loop, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    public long Revision => Volatile.Read(ref _revision);

    public long Compacted => Volatile.Read(ref _compacted);

    /// <summary>Ends when the loop was closed; faults when it cannot go on.</summary>
    public Task Completion => _completion.Task;

    public async ValueTask<StoreResult> SubmitAsync(WriteRequest request, CancellationToken cancellation)
    {
        if (!_queue.Writer.TryWrite(request))
            try
            {
                await _queue.Writer.WriteAsync(request, cancellation).ConfigureAwait(false);
            }
            catch (ChannelClosedException)
            {
                throw _failure ?? new ObjectDisposedException(nameof(SqliteStore));
            }
        return await request.Done.Task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    /// <summary>Carries out what is queued, takes nothing more, and ends.</summary>
    public async Task CloseAsync()
    {
        _queue.Writer.TryComplete();
        await Completion.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        await _calm.DisposeAsync().ConfigureAwait(false);
    }

    private void Loop()
    {
        var batch = new List<WriteRequest>(MaxBatch);
        try
        {
            while (Take(batch))
                Run(batch);
            _completion.TrySetResult();
        }
        catch (Exception e)
        {
            Fail(batch, e);
        }
    }

    // Fills the batch with what waits. An empty batch goes on with the compaction. False when the loop is closed.
    private bool Take(List<WriteRequest> batch)
    {
        batch.Clear();
        while (true)
        {
            bool calm = false;
            long bytes = 0;
            while (batch.Count < MaxBatch && bytes < _options.MaxTransactionBytes && _queue.Reader.TryRead(out WriteRequest? next))
            {
                calm |= next.IsCalm;
                bytes += next.Bytes;
                if (!next.IsCalm)
                    batch.Add(next);
            }
            if (batch.Count > 0)
                return _dirty = true;
            if (_queue.Reader.Completion.IsCompleted)
                return false;
            if (_now.Backlog)
                return true;
            if (calm)
                Tidy();
            else if (_dirty)
                _calm.Change(s_calm, Timeout.InfiniteTimeSpan);
            if (!_queue.Reader.WaitToReadAsync().AsTask().GetAwaiter().GetResult())
                return false;
        }
    }

    // A calm moment: free pages go back to the file system and the log's file is emptied.
    private void Tidy()
    {
        bool more = false;
        try
        {
            more = _writer.Vacuum(VacuumPages);
            _writer.Checkpoint(CalmWaitMs);
        }
        catch (SqliteException e) when (!Database.IsCorrupt(e))
        {
            // A full or failing disk: the next write tells its caller.
        }
        _dirty = more || _postponed;
        _now = _now with { Backlog = _postponed };
        _postponed = false;
        if (_dirty)
            _calm.Change(s_calm, Timeout.InfiniteTimeSpan);
    }

    private void Run(List<WriteRequest> batch)
    {
        var revisions = new List<StoreEvent[]>(batch.Count);
        var results = new StoreResult[batch.Count];
        Position next = _now;
        try
        {
            _writer.Begin();
            int rows = 0;
            for (int i = 0; i < batch.Count; i++)
                results[i] = Apply(batch[i], ref next, ref rows, revisions);
            CompactAsItGrows(ref next, rows);
            if (next.Revision != _now.Revision)
                _writer.SetRevision(next.Revision);
            _writer.Commit();
        }
        catch (Exception e) when (e is not SqliteException { SqliteErrorCode: var code } || !Database.IsCorrupt(code))
        {
            // Nothing of the batch is durable, so nobody is told so. The disk may have room again for the next one.
            _writer.Rollback();
            foreach (WriteRequest request in batch)
                request.Done.TrySetException(new IOException($"the store at {_path} could not write: {e.Message}", e));
            _postponed = _now.Backlog;
            _now = _now with { Backlog = false };
            return;
        }
        _now = next;
        Volatile.Write(ref _revision, next.Revision);
        Volatile.Write(ref _compacted, next.Compacted);
        if (revisions.Count > 0)
            _tail.Add(revisions);
        for (int i = 0; i < batch.Count; i++)
            batch[i].Done.TrySetResult(results[i]);
        EmptyFullLog();
    }

    private StoreResult Apply(WriteRequest request, ref Position next, ref int rows, List<StoreEvent[]> revisions)
    {
        if (request.CompactTo > 0)
            Mark(ref next, request.CompactTo);
        for (int i = 0; i < request.Compares.Length; i++)
            if (_writer.VersionOf(request.Compares[i].Key) != request.Compares[i].ModRevision)
                return new StoreResult(StoreError.CompareFailed, next.Revision, i);
        var events = new List<StoreEvent>(request.Writes.Length);
        foreach ((byte[] key, byte[]? value) in request.Writes)
            if (_writer.Write(key, value, next.Revision + 1) is { } change)
            {
                events.Add(change);
                if (change.Previous is { } previous)
                    next.HistoryBytes += History.Cost(key.Length, previous.Value.Length);
                if (value is null)
                    next.HistoryBytes += History.Cost(key.Length, 0);
            }
        if (events.Count == 0)
            return new StoreResult(StoreError.None, next.Revision);
        rows += events.Count;
        revisions.Add([.. events]);
        return new StoreResult(StoreError.None, ++next.Revision);
    }

    private void CompactAsItGrows(ref Position next, int rows)
    {
        long counted = next.Revision - Math.Max(next.Compacted, _firstRevision);
        if (counted > 2 * _options.KeepRevisions)
            Mark(ref next, next.Revision - _options.KeepRevisions);
        else if (next.HistoryBytes > _options.MaxHistoryBytes && !next.Backlog && counted > 0)
            Mark(ref next, next.Revision - Math.Min(_options.KeepRevisions, counted / 2));
        if (!next.Backlog)
            return;
        // In steps: a long history must not hold up the writes behind it. Each step removes more than the batch can have added.
        int step = Math.Max(CompactStep, 2 * rows);
        (int removed, long bytes) = _writer.Compact(next.Compacted, step);
        next.HistoryBytes -= bytes;
        next.Backlog = removed == step;
        if (removed > 0)
            _writer.Vacuum(VacuumPages);
    }

    // Reads and watches below the mark are refused at once; the rows go step by step.
    private void Mark(ref Position next, long to)
    {
        if (to <= next.Compacted)
            return;
        next.Compacted = to;
        next.Backlog = true;
        _writer.SetCompacted(to);
    }

    // SQLite starts the log's file anew only when no reader uses it: under many reads it would grow without end.
    private void EmptyFullLog()
    {
        _log.Refresh();
        if (!_log.Exists || _log.Length < _checkpointAt)
            return;
        try
        {
            _writer.Checkpoint(FullLogWaitMs);
        }
        catch (SqliteException e) when (!Database.IsCorrupt(e))
        {
            // A full or failing disk: the next write tells its caller.
        }
        // A long read was in the way: not again with every batch.
        _log.Refresh();
        _checkpointAt = Math.Max(_options.MaxLogBytes, (_log.Exists ? _log.Length : 0) + _options.MaxLogBytes / 4);
    }

    private void Fail(List<WriteRequest> batch, Exception e)
    {
        Exception reason = Database.IsCorrupt(e)
            ? new StoreCorruptException(Database.DamagedMessage(_path, e), e)
            : new IOException($"the store at {_path} cannot go on: {e.Message}", e);
        _failure = reason;
        _queue.Writer.TryComplete();
        foreach (WriteRequest request in batch)
            request.Done.TrySetException(reason);
        while (_queue.Reader.TryRead(out WriteRequest? request))
            request.Done.TrySetException(reason);
        _completion.TrySetException(reason);
        _ = _completion.Task.Exception; // Observed: whoever does not look at it has been told by the calls.
        _tail.Close();
    }

    private record struct Position(long Revision, long Compacted, long HistoryBytes, bool Backlog);
}
