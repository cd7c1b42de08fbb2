using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
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
    private const int ScanParts = 64;

    private readonly string _path;
    private readonly SqliteStoreOptions _options;
    private readonly FileStream _lock;
    private readonly string? _temporary;
    private readonly Writer _writer;
    private readonly ConcurrentBag<Reader> _readers = [];
    private readonly SemaphoreSlim _readerSlots;
    private readonly CancellationTokenSource _closing = new();
    private readonly Tail _tail;
    private readonly WriteLoop _loop;
    private int _disposed;

    private SqliteStore(string path, SqliteStoreOptions options, FileStream lockFile, SqliteConnection connection, string? temporary)
    {
        _path = path;
        _options = options;
        _lock = lockFile;
        _temporary = temporary;
        _readerSlots = new SemaphoreSlim(options.Readers);
        History history = History.Open(connection, path);
        (Incarnation, Epoch) = (history.Incarnation, history.Epoch);
        _tail = new Tail(options.TailBytes, history.Revision);
        _writer = new Writer(connection, options.TailBytes);
        _writer.SetRevision(history.Revision);
        _loop = new WriteLoop(_writer, history, _tail, path, options);
    }

    /// <inheritdoc/>
    public long Epoch { get; }

    /// <inheritdoc/>
    public string Incarnation { get; }

    /// <inheritdoc/>
    public long CurrentRevision => _loop.Revision;

    /// <inheritdoc/>
    public long CompactedRevision => _loop.Compacted;

    /// <summary>
    /// Ends when the store is disposed; faults when it can no longer write (the file is damaged, or a transaction cannot be rolled
    /// back). Every waiting and later write fails then with the same reason: the process should end and start again.
    /// </summary>
    public Task Completion => _loop.Completion;

    /// <summary>
    /// Opens a store, making it when there is none. Throws <see cref="StoreCorruptException"/> for a damaged file and
    /// <see cref="IOException"/> when another process has it open, or the disk is full.
    /// </summary>
    public static Task<SqliteStore> OpenAsync(string path, SqliteStoreOptions options, CancellationToken cancellation) =>
        Task.Run(() => Open(path, options, null), cancellation);

    /// <summary>A store for tests: a file in a temporary folder, not synced, deleted when the store is disposed.</summary>
    public static Task<SqliteStore> OpenInMemoryAsync(SqliteStoreOptions? options = null)
    {
        string folder = Directory.CreateTempSubdirectory("atoll-store-").FullName;
        return Task.Run(() => Open(Path.Combine(folder, "store.db"), (options ?? new SqliteStoreOptions()) with { Durable = false }, folder));
    }

    /// <summary>
    /// Renames a damaged file and its log, so that a new store can take its place; returns the new path. The new store's revisions
    /// are above all that were ever given out here, as far as that is still known. Throws <see cref="IOException"/> when the store is open.
    /// </summary>
    public static string MoveAside(string path)
    {
        using FileStream lockFile = LockFile(path);
        string aside = $"{path}.damaged";
        for (int i = 2; File.Exists(aside) || File.Exists(aside + "-wal") || File.Exists(aside + "-shm"); i++)
            aside = $"{path}.damaged-{i}";
        // A database without its log looks sound and has lost its newest writes. With the epoch raised first, what is
        // opened after a crash in between begins a new history, whichever files were moved.
        EpochFile.Raise(path, EpochFile.ReadOrPutAside(path, aside) + 1);
        foreach (string suffix in (string[])["-wal", "-shm", ""])
            if (File.Exists(path + suffix))
                File.Move(path + suffix, aside + suffix);
        EpochFile.SyncFolder(path);
        return aside;
    }

    /// <summary>
    /// Starts a new history in a closed store that was restored from a backup or rebuilt: the epoch rises above all that were ever
    /// used at this path, so that every old watch gets 410, and the incarnation changes, so that whoever followed the old
    /// history notices.
    /// </summary>
    public static Task BeginNewHistoryAsync(string path, CancellationToken cancellation) => Task.Run(() =>
    {
        using FileStream lockFile = LockFile(path);
        using SqliteConnection connection = Database.OpenWriter(path, new SqliteStoreOptions());
        try
        {
            History.BeginNext(connection, path);
        }
        catch (SqliteException e)
        {
            throw Database.Translate(e, path);
        }
    }, cancellation);

    /// <inheritdoc/>
    public ValueTask<StoreEntry?> GetAsync(ReadOnlyMemory<byte> key, CancellationToken cancellation) =>
        ReadAsync(reader => reader.Get(key), cancellation);

    /// <inheritdoc/>
    public ValueTask<StoreRange> RangeAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int limit, long revision, CancellationToken cancellation) =>
        // An empty end means the one key: the range up to its immediate successor.
        ReadAsync(reader => reader.Range(start, end.Length == 0 ? (byte[])[.. start.Span, 0] : end, limit, revision), cancellation);

    /// <inheritdoc/>
    public async ValueTask<(long Revision, StoreError Error)> ScanAsync(long revision, Func<StoreVisitor> visitor, CancellationToken cancellation)
    {
        ArgumentNullException.ThrowIfNull(visitor);
        (long at, long last) = await ReadAsync(reader => (revision == 0 ? reader.CommittedRevision() : revision, reader.LastId()), cancellation).ConfigureAwait(false);
        if (at > CurrentRevision && revision != 0)
            return (CurrentRevision, StoreError.FutureRevision);
        // Small parts, taken by whoever is free: rows and history are not spread evenly.
        long part = Math.Max(1000, (last / ScanParts) + 1), next = 1 - part;
        bool compacted = false;
        await Task.WhenAll(Enumerable.Range(0, Math.Min(_options.Readers, Environment.ProcessorCount)).Select(_ => Task.Run(ReadPartsAsync, cancellation))).ConfigureAwait(false);
        return (at, compacted ? StoreError.Compacted : StoreError.None);

        async Task ReadPartsAsync()
        {
            StoreVisitor visit = visitor();
            while (!Volatile.Read(ref compacted) && Interlocked.Add(ref next, part) is var from && from <= last)
                if (!await ReadAsync(reader => reader.Scan(from, from + part, at, visit), cancellation).ConfigureAwait(false))
                    Volatile.Write(ref compacted, true);
        }
    }

    /// <inheritdoc/>
    public ValueTask<StoreResult> TransactAsync(StoreTransaction transaction, CancellationToken cancellation)
    {
        WriteRequest? request = WriteRequest.Of(transaction, _options);
        cancellation.ThrowIfCancellationRequested();
        if (request is null)
            return ValueTask.FromResult(new StoreResult(StoreError.TooLarge, CurrentRevision));
        // Once queued it is carried out, whatever becomes of the caller: a cancelled wait must not hide a durable write.
        return _loop.SubmitAsync(request, cancellation);
    }

    /// <inheritdoc/>
    public async ValueTask CompactAsync(long revision, CancellationToken cancellation) =>
        await _loop.SubmitAsync(WriteRequest.Compact(Math.Min(revision, CurrentRevision)), cancellation).ConfigureAwait(false);

    /// <inheritdoc/>
    public async IAsyncEnumerable<StoreEvents> WatchAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, long afterRevision, [EnumeratorCancellation] CancellationToken cancellation)
    {
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
        long after = afterRevision;
        // A read may have seen what was committed a moment ago and is not yet announced: the file knows.
        if (after > CurrentRevision && after > await ReadAsync(static reader => reader.CommittedRevision(), linked.Token).ConfigureAwait(false))
        {
            yield return new StoreEvents([], CurrentRevision, StoreError.FutureRevision);
            yield break;
        }
        while (true)
        {
            linked.Token.ThrowIfCancellationRequested();
            if (Completion.IsFaulted)
                await Completion.ConfigureAwait(false);
            List<StoreEvent>? events = _tail.After(after, out long upTo, out Task news);
            if (events is not null)
                events.RemoveAll(e => e.Key.Span.SequenceCompareTo(start.Span) < 0 || (end.Length > 0 && e.Key.Span.SequenceCompareTo(end.Span) >= 0));
            else
            {
                (events, upTo) = await ReadAsync(reader => (reader.Changes(after, start, end, _options.CatchUpEvents, _options.CatchUpBytes, out long last), last), linked.Token).ConfigureAwait(false);
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
                if (events.Count > 0)
                    yield return new StoreEvents(events, upTo);
            }
            await news.WaitAsync(linked.Token).ConfigureAwait(false);
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        if (Interlocked.Exchange(ref _disposed, 1) != 0)
            return;
        await _loop.CloseAsync().ConfigureAwait(false);
        await _closing.CancelAsync().ConfigureAwait(false);
        _tail.Close();
        for (int i = 0; i < _options.Readers; i++)
            await _readerSlots.WaitAsync().ConfigureAwait(false);
        foreach (Reader reader in _readers)
            reader.Dispose();
        _writer.Dispose();
        await _lock.DisposeAsync().ConfigureAwait(false);
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
                Database.Check(connection, path, options.Check);
                return new SqliteStore(path, options, lockFile, connection, temporary);
            }
            catch (Exception e)
            {
                connection.Dispose();
                if (e is SqliteException failed)
                    throw Database.Translate(failed, path);
                throw;
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
        catch (IOException e) when (IsSharingViolation(e))
        {
            throw new IOException($"{path} is in use by another process: stop it first, or give another --state folder", e);
        }
    }

    // EAGAIN of Linux and of macOS, ERROR_SHARING_VIOLATION of Windows: what the runtime gives for a file that is locked.
    private static bool IsSharingViolation(IOException e) => e.HResult is 11 or 35 or unchecked((int)0x80070020);

    private async ValueTask<T> ReadAsync<T>(Func<Reader, T> read, CancellationToken cancellation)
    {
        ObjectDisposedException.ThrowIf(_closing.IsCancellationRequested, this);
        if (!await _readerSlots.WaitAsync(0, cancellation).ConfigureAwait(false))
        {
            // A closing store takes the slots for itself: who waits for one must be woken.
            using var linked = CancellationTokenSource.CreateLinkedTokenSource(cancellation, _closing.Token);
            await _readerSlots.WaitAsync(linked.Token).ConfigureAwait(false);
        }
        Reader? reader = null;
        try
        {
            if (!_readers.TryTake(out reader))
                reader = new Reader(Database.OpenReader(_path, _options));
            T result = read(reader);
            _readers.Add(reader);
            reader = null;
            return result;
        }
        catch (SqliteException e)
        {
            throw Database.Translate(e, _path);
        }
        finally
        {
            // One that failed is not used again.
            reader?.Dispose();
            _readerSlots.Release();
        }
    }
}
