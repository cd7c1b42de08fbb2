using Microsoft.Data.Sqlite;

namespace Atoll.Store.Sqlite;

/// <summary>
/// The statements of the one writing connection, prepared once. Used by the writer's thread only, inside a transaction of
/// its own.
/// </summary>
internal sealed class Writer : IDisposable
{
    private readonly SqliteConnection _connection;
    private readonly SqliteCommand _begin, _commit, _rollback, _newest, _end, _insert, _position, _compact, _compacted, _vacuum;

    public Writer(SqliteConnection connection)
    {
        _connection = connection;
        _begin = Command("BEGIN IMMEDIATE");
        _commit = Command("COMMIT");
        _rollback = Command("ROLLBACK");
        _newest = Command("SELECT id, rev, create_rev, value FROM kv WHERE key = $key AND end_rev IS NULL", "$key");
        _end = Command("UPDATE kv SET end_rev = $rev WHERE id = $id", "$rev", "$id");
        _insert = Command("INSERT INTO kv (rev, key, value, create_rev, prev_id, end_rev) VALUES ($rev, $key, $value, $create, $prev, $end)", "$rev", "$key", "$value", "$create", "$prev", "$end");
        _position = Command("INSERT INTO meta (name, value) VALUES ('revision', $rev) ON CONFLICT (name) DO UPDATE SET value = $rev", "$rev");
        _compact = Command("DELETE FROM kv WHERE id IN (SELECT id FROM kv WHERE end_rev IS NOT NULL AND end_rev <= $rev LIMIT $limit)", "$rev", "$limit");
        _compacted = Command("INSERT INTO meta (name, value) VALUES ('compacted', $rev) ON CONFLICT (name) DO UPDATE SET value = $rev", "$rev");
        _vacuum = Command("PRAGMA incremental_vacuum(2000)");
    }

    public void Begin() => _begin.ExecuteNonQuery();

    public void Commit() => _commit.ExecuteNonQuery();

    public void Rollback() => _rollback.ExecuteNonQuery();

    /// <summary>The newest row of a key: its id and entry, or null.</summary>
    public (long Id, StoreEntry Entry)? Newest(ReadOnlyMemory<byte> key)
    {
        _newest.Parameters[0].Value = key.ToArray();
        using SqliteDataReader reader = _newest.ExecuteReader();
        return reader.Read() ? (reader.GetInt64(0), new StoreEntry(key, reader.GetFieldValue<byte[]>(3), reader.GetInt64(2), reader.GetInt64(1))) : null;
    }

    /// <summary>Writes one change and returns its event, or null when it changes nothing (a deletion of what is not there).</summary>
    public StoreEvent? Write(StoreWrite write, long revision)
    {
        (long Id, StoreEntry Entry)? before = Newest(write.Key);
        if (write.Value is null && before is null)
            return null;
        if (before is { } old)
        {
            _end.Parameters[0].Value = revision;
            _end.Parameters[1].Value = old.Id;
            _end.ExecuteNonQuery();
        }
        long created = write.Value is null || before is null ? revision : before.Value.Entry.CreateRevision;
        _insert.Parameters[0].Value = revision;
        _insert.Parameters[1].Value = write.Key.ToArray();
        _insert.Parameters[2].Value = write.Value is { } value ? value.ToArray() : DBNull.Value;
        _insert.Parameters[3].Value = created;
        _insert.Parameters[4].Value = before is { } previous ? previous.Id : DBNull.Value;
        _insert.Parameters[5].Value = write.Value is null ? revision : DBNull.Value;
        _insert.ExecuteNonQuery();
        return new StoreEvent(write.Key, write.Value, created, revision, before?.Entry);
    }

    public void SetRevision(long revision)
    {
        _position.Parameters[0].Value = revision;
        _position.ExecuteNonQuery();
    }

    /// <summary>Deletes at most <paramref name="limit"/> rows that were replaced at or before a revision; returns how many.</summary>
    public int Compact(long revision, int limit)
    {
        _compact.Parameters[0].Value = revision;
        _compact.Parameters[1].Value = limit;
        return _compact.ExecuteNonQuery();
    }

    public void SetCompacted(long revision)
    {
        _compacted.Parameters[0].Value = revision;
        _compacted.ExecuteNonQuery();
    }

    /// <summary>Gives free pages back to the file system.</summary>
    public void Vacuum()
    {
        using SqliteDataReader reader = _vacuum.ExecuteReader();
        while (reader.Read())
        {
            // Each step frees one page.
        }
    }

    /// <summary>Moves the log into the database and empties its file, unless a reader is in the way.</summary>
    public void Checkpoint()
    {
        using SqliteCommand command = _connection.CreateCommand();
        command.CommandText = "PRAGMA wal_checkpoint(TRUNCATE)";
        command.ExecuteNonQuery();
    }

    public void Dispose()
    {
        foreach (SqliteCommand command in (SqliteCommand[])[_begin, _commit, _rollback, _newest, _end, _insert, _position, _compact, _compacted, _vacuum])
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
