using Microsoft.Data.Sqlite;
using SQLitePCL;

namespace Atoll.Store.Sqlite;

/// <summary>One reading connection with its statements; used by one caller at a time.</summary>
internal sealed class Reader : IDisposable
{
    private const string Columns = "SELECT key, value, create_rev, rev FROM kv ";

    private readonly SqliteConnection _connection;
    private readonly SqliteCommand _begin, _end, _position, _one, _range, _rangeAt, _changes, _last, _scan;

    public Reader(SqliteConnection connection)
    {
        _connection = connection;
        _begin = Command("BEGIN");
        _end = Command("COMMIT");
        _position = Command("SELECT coalesce((SELECT value FROM meta WHERE name = 'revision'), 0), coalesce((SELECT value FROM meta WHERE name = 'compacted'), 0)");
        _one = Command(Columns + "WHERE key = $start AND end_rev IS NULL", "$start");
        _range = Command(Columns + "WHERE key >= $start AND key < $end AND end_rev IS NULL ORDER BY key LIMIT $limit", "$start", "$end", "$limit");
        _rangeAt = Command(Columns + "WHERE key >= $start AND key < $end AND end_rev IS NULL AND rev <= $rev UNION ALL " + Columns + "WHERE end_rev > $rev AND rev <= $rev AND value IS NOT NULL AND key >= $start AND key < $end ORDER BY key LIMIT $limit", "$start", "$end", "$limit", "$rev");
        _last = Command("SELECT coalesce(max(id), 1) FROM kv");
        // In the order of the file: keys are all over it, and each page would be read once for every row in it.
        _scan = Command("SELECT key, value, rev FROM kv NOT INDEXED WHERE id >= $from AND id < $to AND rev <= $rev AND (end_rev IS NULL OR end_rev > $rev) AND value IS NOT NULL", "$from", "$to", "$rev");
        // In the order of the index, so that rows are read only as far as they are wanted.
        _changes = Command("""
            SELECT n.key, n.value, n.create_rev, n.rev, p.value, p.create_rev, p.rev FROM kv n INDEXED BY kv_rev LEFT JOIN kv p ON p.id = n.prev_id
            WHERE n.rev > $rev AND n.key >= $start AND ($end IS NULL OR n.key < $end) ORDER BY n.rev, n.id
            """, "$rev", "$start", "$end");
    }

    /// <summary>The newest entry of a key.</summary>
    public StoreEntry? Get(ReadOnlyMemory<byte> key)
    {
        _one.Parameters[0].Value = key.ToArray();
        using SqliteDataReader reader = _one.ExecuteReader();
        return reader.Read() ? Entry(reader) : null;
    }

    /// <summary>A range at one revision (0 is newest), from one consistent read.</summary>
    public StoreRange Range(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int limit, long revision)
    {
        _begin.ExecuteNonQuery();
        try
        {
            (long current, long compacted) = Position();
            if (revision > current)
                return new StoreRange([], current, false, StoreError.FutureRevision);
            if (revision != 0 && revision < compacted)
                return new StoreRange([], current, false, StoreError.Compacted);
            SqliteCommand command = revision == 0 ? _range : _rangeAt;
            command.Parameters[0].Value = start.ToArray();
            command.Parameters[1].Value = end.ToArray();
            command.Parameters[2].Value = limit <= 0 ? -1L : limit + 1L;
            if (revision != 0)
                command.Parameters[3].Value = revision;
            var entries = new List<StoreEntry>();
            using (SqliteDataReader reader = command.ExecuteReader())
                while (reader.Read())
                    entries.Add(Entry(reader));
            bool more = limit > 0 && entries.Count > limit;
            if (more)
                entries.RemoveAt(entries.Count - 1);
            return new StoreRange(entries, revision == 0 ? current : revision, more);
        }
        finally
        {
            _end.ExecuteNonQuery();
        }
    }

    /// <summary>The last row's number, 1 where there is no row (one part is always looked at: it tells what was compacted); what comes later is newer than any revision that was read before.</summary>
    public long LastId() => (long)_last.ExecuteScalar()!;

    /// <summary>Gives the entries of rows in [from, to) that there were at a revision. False when it was compacted.</summary>
    public bool Scan(long from, long to, long revision, StoreVisitor visit)
    {
        _begin.ExecuteNonQuery();
        try
        {
            if (revision < Position().Compacted)
                return false;
            _scan.Parameters[0].Value = from;
            _scan.Parameters[1].Value = to;
            _scan.Parameters[2].Value = revision;
            using SqliteDataReader reader = _scan.ExecuteReader();
            // SQLite's own bytes, until the next row: a copy of each would be most of what a start leaves to the collector.
            sqlite3_stmt row = reader.Handle!;
            while (reader.Read())
                visit(raw.sqlite3_column_blob(row, 0), raw.sqlite3_column_blob(row, 1), raw.sqlite3_column_int64(row, 2));
            return true;
        }
        finally
        {
            _end.ExecuteNonQuery();
        }
    }

    /// <summary>The revision that is committed in the file.</summary>
    public long CommittedRevision() => Position().Revision;

    /// <summary>
    /// Whole revisions after a revision, of keys in a range (an empty end is no end): as many as fit the two limits, and at least one
    /// revision. Null when they were compacted.
    /// </summary>
    public List<StoreEvent>? Changes(long after, ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int maxEvents, long maxBytes, out long upTo)
    {
        _begin.ExecuteNonQuery();
        try
        {
            (upTo, long compacted) = Position();
            if (after < compacted)
                return null;
            _changes.Parameters[0].Value = after;
            _changes.Parameters[1].Value = start.ToArray();
            _changes.Parameters[2].Value = end.Length == 0 ? DBNull.Value : end.ToArray();
            var events = new List<StoreEvent>();
            long bytes = 0;
            using SqliteDataReader reader = _changes.ExecuteReader();
            while (reader.Read())
            {
                // Between two revisions only: a revision is never cut.
                if ((events.Count >= maxEvents || bytes >= maxBytes) && reader.GetInt64(3) != events[^1].Revision)
                {
                    upTo = events[^1].Revision;
                    break;
                }
                StoreEvent e = Event(reader);
                events.Add(e);
                bytes += e.Key.Length + (e.Value?.Length ?? 0) + (e.Previous?.Value.Length ?? 0);
            }
            return events;
        }
        finally
        {
            _end.ExecuteNonQuery();
        }
    }

    public void Dispose()
    {
        foreach (SqliteCommand command in (SqliteCommand[])[_begin, _end, _position, _one, _range, _rangeAt, _changes, _last, _scan])
            command.Dispose();
        _connection.Dispose();
    }

    private (long Revision, long Compacted) Position()
    {
        using SqliteDataReader reader = _position.ExecuteReader();
        reader.Read();
        return (reader.GetInt64(0), reader.GetInt64(1));
    }

    private static StoreEntry Entry(SqliteDataReader reader) => new(reader.GetFieldValue<byte[]>(0), reader.GetFieldValue<byte[]>(1), reader.GetInt64(2), reader.GetInt64(3));

    private static StoreEvent Event(SqliteDataReader reader)
    {
        byte[] key = reader.GetFieldValue<byte[]>(0);
        StoreEntry? previous = reader.IsDBNull(6) ? null : new StoreEntry(key, reader.GetFieldValue<byte[]>(4), reader.GetInt64(5), reader.GetInt64(6));
        return new StoreEvent(key, reader.IsDBNull(1) ? (ReadOnlyMemory<byte>?)null : reader.GetFieldValue<byte[]>(1), reader.GetInt64(2), reader.GetInt64(3), previous);
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
