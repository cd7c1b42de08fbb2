using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Security.Cryptography;
using System.Threading.Channels;
using Microsoft.Data.Sqlite;

namespace Atoll.Store.Sqlite;

/// <summary>
/// <see cref="IStore"/> in one SQLite file: write-ahead log, <c>synchronous=FULL</c>, and group commit. One thread writes: it
/// takes every transaction that waits, runs them in order inside one SQLite transaction (each sees those before it, each
/// keeps its own revision and its own verdict), commits once, and only then tells their callers and the watches. Reads use
/// connections of their own and never wait for the writer.
/// <para>Compaction and file growth are bounded: history older than the options allow is deleted as it grows, freed pages
/// go back to the file system, and the log's file is emptied at calm moments.</para>
/// </summary>
public sealed class SqliteStore : IStore
{
    private const int MaxBatch = 512, EpochShift = 48, CompactStep = 4000, ChangesStep = 2000;

    private static readonly TimeSpan s_calm = TimeSpan.FromSeconds(1);

    private readonly string _path;
    private readonly SqliteStoreOptions _options;
    private readonly FileStream _lock;
    private readonly string? _temporary;
    private readonly Writer _writer;
    private readonly Channel<Request> _queue = Channel.CreateUnbounded<Request>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentBag<Reader> _readers = [];
    private readonly SemaphoreSlim _readerSlots;
    private readonly CancellationTokenSource _closing = new();
    private readonly Tail _tail;
    private readonly Task _writing;
    private long _epoch, _revision, _compacted, _historyBytes;

    private SqliteStore(string path, SqliteStoreOptions options, FileStream lockFile, SqliteConnection connection, string? temporary)
    {
        _path = path;
        _options = options;
        _lock = lockFile;
        _temporary = temporary;
        _readerSlots = new SemaphoreSlim(options.Readers);
        Incarnation = Meta(connection, "incarnation", static () => Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8)));
        _epoch = long.Parse(Meta(connection, "epoch", static () => "1"), CultureInfo.InvariantCulture);
        _revision = Math.Max(Number(connection, "SELECT value FROM meta WHERE name = 'revision'"), _epoch << EpochShift);
        _compacted = Number(connection, "SELECT value FROM meta WHERE name = 'compacted'");
        _historyBytes = Number(connection, "SELECT sum(length(value)) FROM kv WHERE end_rev IS NOT NULL");
        _tail = new Tail(options.TailBytes, _revision);
        _writer = new Writer(connection);
        _writer.SetRevision(_revision);
        _writing = Task.Factory.StartNew(WriteLoop, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
    }

    /// <inheritdoc/>
    public long Epoch => _epoch;

    /// <inheritdoc/>
    public string Incarnation { get; }

    /// <inheritdoc/>
    public long CurrentRevision => Volatile.Read(ref _revision);

    /// <inheritdoc/>
    public long CompactedRevision => Volatile.Read(ref _compacted);

    /// <summary>
    /// Opens a store, making it when there is none. Throws <see cref="StoreCorruptException"/> for a damaged file and
    /// <see cref="IOException"/> when another process has it open.
    /// </summary>
    public static Task<SqliteStore> OpenAsync(string path, SqliteStoreOptions options, CancellationToken cancellation) =>
        Task.Run(() => Open(path, options, null), cancellation);

    /// <summary>A store for tests: a file in a temporary folder, not synced, deleted when the store is disposed.</summary>
    public static Task<SqliteStore> OpenInMemoryAsync(SqliteStoreOptions? options = null)
    {
        string folder = Directory.CreateTempSubdirectory("atoll-store-").FullName;
        return Task.Run(() => Open(Path.Combine(folder, "store.db"), (options ?? new SqliteStoreOptions()) with { Durable = false }, folder));
    }

    /// <summary>Renames a damaged file and its log, so that a new store can take its place; returns the new path.</summary>
    public static string MoveAside(string path)
    {
        string aside = $"{path}.damaged";
        for (int i = 2; File.Exists(aside); i++)
            aside = $"{path}.damaged-{i}";
        File.Move(path, aside);
        foreach (string suffix in (string[])["-wal", "-shm"])
            if (File.Exists(path + suffix))
                File.Move(path + suffix, aside + suffix, overwrite: true);
        return aside;
    }

    /// <summary>
    /// Starts a new history in a closed store that was restored from a backup or rebuilt: the epoch rises, so that every old watch
    /// gets 410, and the incarnation changes, so that whoever followed the old history notices.
    /// </summary>
    public static Task BeginNewHistoryAsync(string path, CancellationToken cancellation) => Task.Run(() =>
    {
        using FileStream lockFile = LockFile(path);
        using SqliteConnection connection = Database.OpenWriter(path, new SqliteStoreOptions());
        long epoch = long.Parse(Meta(connection, "epoch", static () => "1"), CultureInfo.InvariantCulture) + 1;
        long counter = Number(connection, "SELECT value FROM meta WHERE name = 'revision'") & ((1L << EpochShift) - 1);
        long revision = (epoch << EpochShift) + counter;
        string incarnation = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
        Database.Execute(connection, $"""
            BEGIN;
            UPDATE meta SET value = '{epoch}' WHERE name = 'epoch';
            INSERT INTO meta (name, value) VALUES ('revision', {revision}), ('compacted', {revision}), ('incarnation', '{incarnation}') ON CONFLICT (name) DO UPDATE SET value = excluded.value;
            DELETE FROM kv WHERE end_rev IS NOT NULL;
            COMMIT;
            """);
    }, cancellation);

    /// <inheritdoc/>
    public async ValueTask<StoreEntry?> GetAsync(ReadOnlyMemory<byte> key, CancellationToken cancellation)
    {
        Reader reader = await RentAsync(cancellation).ConfigureAwait(false);
        try
        {
            return reader.Get(key);
        }
        finally
        {
            Return(reader);
        }
    }

    /// <inheritdoc/>
    public async ValueTask<StoreRange> RangeAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int limit, long revision, CancellationToken cancellation)
    {
        Reader reader = await RentAsync(cancellation).ConfigureAwait(false);
        try
        {
            // An empty end means the one key: the range up to its immediate successor.
            return reader.Range(start, end.Length == 0 ? (byte[])[.. start.Span, 0] : end, false, limit, revision);
        }
        finally
        {
            Return(reader);
        }
    }

    /// <inheritdoc/>
    public ValueTask<StoreResult> TransactAsync(StoreTransaction transaction, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(transaction);
        cancellation.ThrowIfCancellationRequested();
        if (IsTooLarge(transaction))
            return ValueTask.FromResult(new StoreResult(StoreError.TooLarge, CurrentRevision));
        // Once queued it is carried out, whatever becomes of the caller: a cancelled wait must not hide a durable write.
        return SubmitAsync(new Request(transaction, 0), cancellation);
    }

    /// <inheritdoc/>
    public async ValueTask CompactAsync(long revision, CancellationToken cancellation) =>
        await SubmitAsync(new Request(null, Math.Min(revision, CurrentRevision)), cancellation).ConfigureAwait(false);

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoreEvents> WatchAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, long afterRevision, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        long after = afterRevision;
        while (true)
        {
            linked.Token.ThrowIfCancellationRequested();
            List<StoreEvent>? events = _tail.After(after, out long upTo, out Task news);
            if (events is null)
            {
                Reader reader = await RentAsync(linked.Token).ConfigureAwait(false);
                try
                {
                    events = reader.Changes(after, ChangesStep, out upTo);
                }
                finally
                {
                    Return(reader);
                }
                news = Task.CompletedTask;
            }
            if (events is null)
            {
                yield return new StoreEvents([], after, StoreError.Compacted);
                yield break;
            }
            if (upTo > after)
            {
                after = upTo;
                List<StoreEvent> selected = events.FindAll(e => e.Key.Span.SequenceCompareTo(start.Span) >= 0 && (end.Length == 0 || e.Key.Span.SequenceCompareTo(end.Span) < 0));
                if (selected.Count > 0)
                    yield return new StoreEvents(selected, upTo);
            }
            await news.WaitAsync(linked.Token).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (!_queue.Writer.TryComplete())
            return;
        await _writing.ConfigureAwait(false);
        await _closing.CancelAsync().ConfigureAwait(false);
        _tail.Close();
        for (int i = 0; i < _options.Readers; i++)
            await _readerSlots.WaitAsync().ConfigureAwait(false);
        foreach (Reader reader in _readers)
            reader.Dispose();
        _writer.Dispose();
        await _lock.DisposeAsync().ConfigureAwait(false);
        _readerSlots.Dispose();
        _closing.Dispose();
        if (_temporary is not null)
            Directory.Delete(_temporary, recursive: true);
    }

    private static SqliteStore Open(string path, SqliteStoreOptions options, string? temporary)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        FileStream lockFile = LockFile(path);
        try
        {
            SqliteConnection connection = Database.OpenWriter(path, options);
            try
            {
                return new SqliteStore(path, options, lockFile, connection, temporary);
            }
            catch (SqliteException e) when (Database.IsCorrupt(e))
            {
                connection.Dispose();
                throw new StoreCorruptException($"{path} is damaged: {e.Message}", e);
            }
        }
        catch
        {
            lockFile.Dispose();
            throw;
        }
    }

    private static FileStream LockFile(string path)
    {
        try
        {
            return new FileStream(path + ".lock", FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException e)
        {
            throw new IOException($"{path} is in use by another process: stop it first, or give another --state folder", e);
        }
    }

    private async ValueTask<StoreResult> SubmitAsync(Request request, CancellationToken cancellation)
    {
        if (!_queue.Writer.TryWrite(request))
            throw new ObjectDisposedException(nameof(SqliteStore));
        return await request.Done.Task.WaitAsync(cancellation).ConfigureAwait(false);
    }

    private bool IsTooLarge(StoreTransaction transaction)
    {
        if (transaction.Writes.Count > _options.MaxWrites)
            return true;
        foreach (StoreWrite write in transaction.Writes)
            if (write.Key.Length == 0 || write.Key.Length > _options.MaxKeyBytes || write.Value?.Length > _options.MaxValueBytes)
                return true;
        return false;
    }

    private void WriteLoop()
    {
        var batch = new List<Request>(MaxBatch);
        bool dirty = false;
        while (true)
        {
            if (!_queue.Reader.TryRead(out Request? first) && !Wait(ref dirty, out first))
                return;
            batch.Clear();
            batch.Add(first);
            while (batch.Count < MaxBatch && _queue.Reader.TryRead(out Request? next))
                batch.Add(next);
            Run(batch);
            dirty = true;
        }
    }

    // Nothing is queued: after a calm second the log's file is emptied; then wait for good. False when the store closes.
    private bool Wait(ref bool dirty, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Request? first)
    {
        while (true)
        {
            Task<bool> more = _queue.Reader.WaitToReadAsync().AsTask();
            if (dirty && !more.IsCompleted && Task.WhenAny(more, Task.Delay(s_calm, _options.Time)).GetAwaiter().GetResult() != more)
            {
                _writer.Checkpoint();
                dirty = false;
            }
            if (!more.GetAwaiter().GetResult())
            {
                first = null;
                return false;
            }
            if (_queue.Reader.TryRead(out first))
                return true;
        }
    }

    private void Run(List<Request> batch)
    {
        var revisions = new List<StoreEvent[]>(batch.Count);
        var results = new StoreResult[batch.Count];
        long revision = _revision, compacted = _compacted, history = _historyBytes;
        try
        {
            _writer.Begin();
            for (int i = 0; i < batch.Count; i++)
                results[i] = batch[i].Transaction is { } transaction
                    ? Apply(transaction, ref revision, ref history, revisions)
                    : Compact(batch[i].CompactTo, ref compacted, ref history, revision, int.MaxValue);
            CompactAsItGrows(revision, ref compacted, ref history);
            if (revision != _revision)
                _writer.SetRevision(revision);
            _writer.Commit();
        }
        catch (SqliteException e)
        {
            // Nothing of the batch is durable, so nobody is told so. The disk may have room again for the next one.
            TryRollback();
            foreach (Request request in batch)
                request.Done.TrySetException(new IOException($"the store at {_path} could not write: {e.Message}", e));
            return;
        }
        _historyBytes = history;
        Volatile.Write(ref _revision, revision);
        Volatile.Write(ref _compacted, compacted);
        if (revisions.Count > 0)
            _tail.Add(revisions);
        for (int i = 0; i < batch.Count; i++)
            batch[i].Done.TrySetResult(results[i]);
    }

    private StoreResult Apply(StoreTransaction transaction, ref long revision, ref long history, List<StoreEvent[]> revisions)
    {
        for (int i = 0; i < transaction.Compares.Count; i++)
            if ((_writer.Newest(transaction.Compares[i].Key)?.Entry.ModRevision ?? 0) != transaction.Compares[i].ModRevision)
                return new StoreResult(StoreError.CompareFailed, revision, i);
        var events = new List<StoreEvent>(transaction.Writes.Count);
        foreach (StoreWrite write in transaction.Writes)
            if (_writer.Write(write, revision + 1) is { } change)
            {
                events.Add(change);
                history += change.Previous?.Value.Length ?? 0;
            }
        if (events.Count == 0)
            return new StoreResult(StoreError.None, revision);
        revisions.Add([.. events]);
        return new StoreResult(StoreError.None, ++revision);
    }

    private void CompactAsItGrows(long revision, ref long compacted, ref long history)
    {
        long counted = revision - Math.Max(compacted, _epoch << EpochShift);
        if (counted > 2 * _options.KeepRevisions)
            Compact(revision - _options.KeepRevisions, ref compacted, ref history, revision, CompactStep);
        else if (history > _options.MaxHistoryBytes && counted > 1)
            Compact(revision - Math.Min(_options.KeepRevisions, counted / 2), ref compacted, ref history, revision, int.MaxValue);
    }

    private StoreResult Compact(long to, ref long compacted, ref long history, long revision, int step)
    {
        if (to <= compacted)
            return new StoreResult(StoreError.None, revision);
        // In steps: a long history must not hold up the writes behind it. What remains is removed with the next batches.
        int removed = _writer.Compact(to, step);
        if (removed < step)
        {
            compacted = to;
            history = 0;
        }
        // Watches are told at once; rows that are still there are below the mark and are not read.
        _writer.SetCompacted(Math.Max(to, compacted));
        _writer.Vacuum();
        return new StoreResult(StoreError.None, revision);
    }

    private void TryRollback()
    {
        try
        {
            _writer.Rollback();
        }
        catch (SqliteException)
        {
            // SQLite has already rolled back by itself.
        }
    }

    private async ValueTask<Reader> RentAsync(CancellationToken cancellation)
    {
        await _readerSlots.WaitAsync(cancellation).ConfigureAwait(false);
        try
        {
            return _readers.TryTake(out Reader? reader) ? reader : new Reader(Database.OpenReader(_path, _options));
        }
        catch
        {
            _readerSlots.Release();
            throw;
        }
    }

    private void Return(Reader reader)
    {
        _readers.Add(reader);
        _readerSlots.Release();
    }

    private static string Meta(SqliteConnection connection, string name, Func<string> make)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "INSERT INTO meta (name, value) VALUES ($name, $value) ON CONFLICT (name) DO NOTHING; SELECT value FROM meta WHERE name = $name";
        command.Parameters.AddWithValue("$name", name);
        command.Parameters.AddWithValue("$value", make());
        return (string)command.ExecuteScalar()!;
    }

    private static long Number(SqliteConnection connection, string sql) => Database.Scalar(connection, sql) is long value ? value : 0;

    private sealed record Request(StoreTransaction? Transaction, long CompactTo)
    {
        public TaskCompletionSource<StoreResult> Done { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
