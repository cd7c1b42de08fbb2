namespace Atoll.Store.Sqlite;

/// <summary>How a <see cref="SqliteStore"/> is set up. Limits are published in docs/SPECIFICATION.md.</summary>
public sealed record SqliteStoreOptions
{
    /// <summary>Clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;

    /// <summary>Longest key, bytes.</summary>
    public int MaxKeyBytes { get; init; } = 1024;

    /// <summary>Largest value, bytes.</summary>
    public int MaxValueBytes { get; init; } = 3 * 1024 * 1024;

    /// <summary>Most writes in one transaction.</summary>
    public int MaxWrites { get; init; } = 1000;

    /// <summary>Most bytes of keys and values in one transaction, and about what one commit takes together.</summary>
    public long MaxTransactionBytes { get; init; } = 16L << 20;

    /// <summary>Most calls that wait for the writer; further ones wait to be queued.</summary>
    public int MaxQueued { get; init; } = 1024;

    /// <summary>Size of the write-ahead log's file at which writes wait a moment for readers, so that it can be emptied.</summary>
    public long MaxLogBytes { get; init; } = 32L << 20;

    /// <summary>Most events that a watch which is behind reads from the file at once; a revision is never cut.</summary>
    public int CatchUpEvents { get; init; } = 2000;

    /// <summary>Most bytes that a watch which is behind reads from the file at once; a revision is never cut.</summary>
    public long CatchUpBytes { get; init; } = 4L << 20;

    /// <summary>How many revisions of history are kept at least; twice as many trigger a compaction.</summary>
    public long KeepRevisions { get; init; } = 10_000;

    /// <summary>How many bytes of superseded keys and values, and 64 for each, trigger a compaction, however few revisions they are.</summary>
    public long MaxHistoryBytes { get; init; } = 64L << 20;

    /// <summary>How many bytes of recent events are kept in memory for watches (older ones are read from the file), and at most as many of newest rows for the writer.</summary>
    public long TailBytes { get; init; } = 8L << 20;

    /// <summary>SQLite's page cache of each connection, KiB.</summary>
    public int CacheKib { get; init; } = 2048;

    /// <summary>Read connections kept open.</summary>
    public int Readers { get; init; } = 2;

    /// <summary>Check the whole file when opening. Costs time in proportion to its size.</summary>
    public bool QuickCheck { get; init; }

    /// <summary>
    /// Says of each value in the file, history too, whether it can be one: a page of SQLite has no checksum, so that a flipped bit in a value is no
    /// damage for SQLite. Asked when opening, which then costs time in proportion to the file's size.
    /// </summary>
    public StoreCheck? Check { get; init; }

    /// <summary>Name of a VFS that is registered with SQLite; null is its own. For tests: a disk that loses what was not synced.</summary>
    public string? Vfs { get; init; }

    /// <summary>False only in tests: commits are then not synced to the disk.</summary>
    public bool Durable { get; init; } = true;
}

/// <summary>Whether a value can be what is kept under this key; the bytes are good only during the call.</summary>
public delegate bool StoreCheck(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value);

/// <summary>The file is not a sound store: put it aside (<see cref="SqliteStore.MoveAside"/>) and rebuild.</summary>
public sealed class StoreCorruptException : Exception
{
    /// <summary>Damaged for this reason.</summary>
    public StoreCorruptException(string message, Exception? inner = null) : base(message, inner)
    {
    }

    /// <summary>Damaged for this reason.</summary>
    public StoreCorruptException(string message) : base(message)
    {
    }

    /// <summary>Damaged.</summary>
    public StoreCorruptException()
    {
    }
}
