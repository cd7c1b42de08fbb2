using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Atoll.Store.Sqlite;

/// <summary>
/// The statements of the one writing connection, prepared once. Used by the writer's thread only, inside a transaction of
/// its own.
/// </summary>
internal sealed class Writer : IDisposable
{
    private readonly SqliteConnection _connection;
    private readonly RecentRows _recent;
    private readonly SqliteCommand _begin, _commit, _rollback, _newest, _end, _insert, _position, _compact, _compacted, _free;

    public Writer(SqliteConnection connection, long recentBytes)
    {
        _connection = connection;
        _recent = new RecentRows(recentBytes);
        _begin = Command("BEGIN IMMEDIATE");
        _commit = Command("COMMIT");
        _rollback = Command("ROLLBACK");
        _newest = Command("SELECT id, rev, create_rev, value FROM kv WHERE key = $key AND end_rev IS NULL", "$key");
        _end = Command("UPDATE kv SET end_rev = $rev WHERE id = $id", "$rev", "$id");
        _insert = Command("INSERT INTO kv (rev, key, value, create_rev, prev_id, end_rev) VALUES ($rev, $key, $value, $create, $prev, $end)", "$rev", "$key", "$value", "$create", "$prev", "$end");
        _position = Command("INSERT INTO meta (name, value) VALUES ('revision', $rev) ON CONFLICT (name) DO UPDATE SET value = $rev", "$rev");
        _compact = Command($"DELETE FROM kv WHERE id IN (SELECT id FROM kv WHERE end_rev IS NOT NULL AND end_rev <= $rev ORDER BY end_rev LIMIT $limit) RETURNING {History.CostSql}", "$rev", "$limit");
        _compacted = Command("INSERT INTO meta (name, value) VALUES ('compacted', $rev) ON CONFLICT (name) DO UPDATE SET value = $rev", "$rev");
        _free = Command("PRAGMA freelist_count");
    }

    public void Begin() => _begin.ExecuteNonQuery();

    public void Commit() => _commit.ExecuteNonQuery();

    /// <summary>Ends a transaction that failed. SQLite may have done so by itself; throws when it is still open afterwards.</summary>
    public void Rollback()
    {
        _recent.Clear();
        if (raw.sqlite3_get_autocommit(_connection.Handle) == 0)
            _rollback.ExecuteNonQuery();
    }

    /// <summary>The newest row of a key: its id and entry, or null.</summary>
    public (long Id, StoreEntry Entry)? Newest(byte[] key)
    {
        if (!_recent.TryGet(key, out RecentRows.Row row))
        {
            _newest.Parameters[0].Value = key;
            using SqliteDataReader reader = _newest.ExecuteReader();
            if (reader.Read())
                row = new RecentRows.Row(reader.GetInt64(0), new StoreEntry(key, reader.GetFieldValue<byte[]>(3), reader.GetInt64(2), reader.GetInt64(1)));
            _recent.Put(key, row);
        }
        return row.Entry is { } entry ? (row.Id, entry) : null;
    }

    /// <summary>The revision of the newest row of a key; 0 when there is none.</summary>
    public long VersionOf(byte[] key) => Newest(key)?.Entry.ModRevision ?? 0;

    /// <summary>Writes one change and returns its event, or null when it changes nothing (a deletion of what is not there).</summary>
    public StoreEvent? Write(byte[] key, byte[]? value, long revision)
    {
        (long Id, StoreEntry Entry)? before = Newest(key);
        if (value is null && before is null)
            return null;
        if (before is { } old)
        {
            _end.Parameters[0].Value = revision;
            _end.Parameters[1].Value = old.Id;
            _end.ExecuteNonQuery();
        }
        long created = value is null || before is null ? revision : before.Value.Entry.CreateRevision;
        _insert.Parameters[0].Value = revision;
        _insert.Parameters[1].Value = key;
        _insert.Parameters[2].Value = value is null ? DBNull.Value : value;
        _insert.Parameters[3].Value = created;
        _insert.Parameters[4].Value = before is { } previous ? previous.Id : DBNull.Value;
        _insert.Parameters[5].Value = value is null ? revision : DBNull.Value;
        _insert.ExecuteNonQuery();
        _recent.Put(key, value is null ? default : new RecentRows.Row(raw.sqlite3_last_insert_rowid(_connection.Handle), new StoreEntry(key, value, created, revision)));
        return new StoreEvent(key, value is null ? (ReadOnlyMemory<byte>?)null : value, created, revision, before?.Entry);
    }

    public void SetRevision(long revision)
    {
        _position.Parameters[0].Value = revision;
        _position.ExecuteNonQuery();
    }

    /// <summary>Deletes at most <paramref name="limit"/> rows that were replaced at or before a revision, the oldest first; returns how many and what they cost.</summary>
    public (int Rows, long Bytes) Compact(long revision, int limit)
    {
        _compact.Parameters[0].Value = revision;
        _compact.Parameters[1].Value = limit;
        (int rows, long bytes) = (0, 0);
        using SqliteDataReader reader = _compact.ExecuteReader();
        for (; reader.Read(); rows++)
            bytes += reader.GetInt64(0);
        return (rows, bytes);
    }

    public void SetCompacted(long revision)
    {
        _compacted.Parameters[0].Value = revision;
        _compacted.ExecuteNonQuery();
    }

    /// <summary>Gives up to so many free pages back to the file system; true when there are more.</summary>
    public bool Vacuum(int pages)
    {
        long free = (long)_free.ExecuteScalar()!;
        if (free > 0)
            Database.Execute(_connection, $"PRAGMA incremental_vacuum({pages})");
        return free > pages;
    }

    /// <summary>Moves the log into the database and empties its file, unless a reader is in the way for longer than a moment.</summary>
    public void Checkpoint(int waitMs)
    {
        Database.Execute(_connection, $"PRAGMA busy_timeout = {waitMs}");
        try
        {
            Database.Execute(_connection, "PRAGMA wal_checkpoint(TRUNCATE)", timeoutSeconds: 1);
        }
        finally
        {
            Database.Execute(_connection, $"PRAGMA busy_timeout = {Database.BusyTimeoutMs}");
        }
    }

    public void Dispose()
    {
        foreach (SqliteCommand command in (SqliteCommand[])[_begin, _commit, _rollback, _newest, _end, _insert, _position, _compact, _compacted, _free])
            command.Dispose();
        _connection.Dispose();
    }

    private SqliteCommand Command(string sql, params ReadOnlySpan<string> parameters)
    {
        SqliteCommand command = _connection.CreateCommand();
        command.CommandText = sql;
        foreach (string name in parameters)
            command.Parameters.Add(new SqliteParameter { ParameterName = name });
        command.Prepare();
        return command;
    }
}
