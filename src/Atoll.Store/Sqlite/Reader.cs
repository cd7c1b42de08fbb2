using Microsoft.Data.Sqlite;

namespace Atoll.Store.Sqlite;

/// <summary>One reading connection with its statements; used by one caller at a time.</summary>
internal sealed class Reader : IDisposable
{
    private const string Columns = "SELECT key, value, create_rev, rev FROM kv ";

    private readonly SqliteConnection _connection;
    private readonly SqliteCommand _begin, _end, _position, _one, _range, _tail, _rangeAt, _tailAt, _changes;

    public Reader(SqliteConnection connection)
    {
        _connection = connection;
        _begin = Command("BEGIN");
        _end = Command("COMMIT");
        _position = Command("SELECT coalesce((SELECT value FROM meta WHERE name = 'revision'), 0), coalesce((SELECT value FROM meta WHERE name = 'compacted'), 0)");
        _one = Command(Columns + "WHERE key = $start AND end_rev IS NULL", "$start");
        _range = Command(Columns + "WHERE key >= $start AND key < $end AND end_rev IS NULL ORDER BY key LIMIT $limit", "$start", "$end", "$limit");
        _tail = Command(Columns + "WHERE key >= $start AND end_rev IS NULL ORDER BY key LIMIT $limit", "$start", "$limit");
        const string at = Columns + "WHERE key >= $start AND {0} end_rev IS NULL AND rev <= $rev UNION ALL " + Columns + "WHERE end_rev > $rev AND rev <= $rev AND value IS NOT NULL AND key >= $start AND {0} 1 ORDER BY key LIMIT $limit";
        _rangeAt = Command(at.Replace("{0}", "key < $end AND", StringComparison.Ordinal), "$start", "$end", "$rev", "$limit");
        _tailAt = Command(at.Replace("{0}", "", StringComparison.Ordinal), "$start", "$rev", "$limit");
        _changes = Command("SELECT n.key, n.value, n.create_rev, n.rev, p.value, p.create_rev, p.rev FROM kv n LEFT JOIN kv p ON p.id = n.prev_id WHERE n.rev > $rev ORDER BY n.id LIMIT $limit", "$rev", "$limit");
    }

    /// <summary>The newest entry of a key.</summary>
    public StoreEntry? Get(ReadOnlyMemory<byte> key)
    {
        _one.Parameters[0].Value = key.ToArray();
        using SqliteDataReader reader = _one.ExecuteReader();
        return reader.Read() ? Entry(reader) : null;
    }

    /// <summary>A range at one revision (0 is newest), from one consistent read.</summary>
    public StoreRange Range(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, bool unbounded, int limit, long revision)
    {
        _begin.ExecuteNonQuery();
        try
        {
            (long current, long compacted) = Position();
            if (revision > current)
                return new StoreRange([], current, false, StoreError.FutureRevision);
            if (revision != 0 && revision < compacted)
                return new StoreRange([], current, false, StoreError.Compacted);
            SqliteCommand command = (revision, unbounded) switch { (0, false) => _range, (0, true) => _tail, (_, false) => _rangeAt, _ => _tailAt };
            Set(command, "$start", start.ToArray());
            if (!unbounded)
                Set(command, "$end", end.ToArray());
            if (revision != 0)
                Set(command, "$rev", revision);
            Set(command, "$limit", limit <= 0 ? -1L : limit + 1L);
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

    /// <summary>Whole revisions after a revision, at most about <paramref name="limit"/> events; null when they were compacted.</summary>
    public List<StoreEvent>? Changes(long after, int limit, out long upTo)
    {
        _begin.ExecuteNonQuery();
        try
        {
            (upTo, long compacted) = Position();
            if (after < compacted)
                return null;
            _changes.Parameters[0].Value = after;
            _changes.Parameters[1].Value = limit;
            var events = new List<StoreEvent>();
            using (SqliteDataReader reader = _changes.ExecuteReader())
                while (reader.Read())
                    events.Add(Event(reader));
            if (events.Count < limit)
                return events;
            // The last revision may be cut off: leave it for the next read. A revision is smaller than the limit.
            long last = events[^1].Revision;
            events.RemoveAll(e => e.Revision == last);
            upTo = events[^1].Revision;
            return events;
        }
        finally
        {
            _end.ExecuteNonQuery();
        }
    }

    public void Dispose()
    {
        foreach (SqliteCommand command in (SqliteCommand[])[_begin, _end, _position, _one, _range, _tail, _rangeAt, _tailAt, _changes])
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

    private static void Set(SqliteCommand command, string name, object value) => command.Parameters[name].Value = value;

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
