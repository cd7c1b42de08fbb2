using System.Text;
using Microsoft.Data.Sqlite;

namespace Atoll.Store.Sqlite;

/// <summary>
/// The file's format (version 1) and the ways to open it. One table holds every version of every key:
/// <c>end_rev</c> is null for the newest, else the revision that replaced it; a deletion is a row that was never live
/// (value null, end_rev = rev). So a value is written once, the newest state is a partial index, the state at an old
/// revision is «newest that were there, and those replaced since», and compaction is one range delete.
/// </summary>
internal static class Database
{
    /// <summary>How long a statement waits for a lock; only another program that opens the file can hold one.</summary>
    public const int BusyTimeoutMs = 30_000;

    private const int FormatVersion = 1;

    private const string Schema = """
        PRAGMA auto_vacuum = INCREMENTAL;
        PRAGMA journal_mode = WAL;
        CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS kv (id INTEGER PRIMARY KEY, rev INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, create_rev INTEGER NOT NULL, prev_id INTEGER, end_rev INTEGER);
        CREATE UNIQUE INDEX IF NOT EXISTS kv_newest ON kv (key) WHERE end_rev IS NULL;
        CREATE INDEX IF NOT EXISTS kv_ended ON kv (end_rev) WHERE end_rev IS NOT NULL;
        CREATE INDEX IF NOT EXISTS kv_rev ON kv (rev);
        """;

    /// <summary>Opens the writing connection and makes or checks the format.</summary>
    public static SqliteConnection OpenWriter(string path, SqliteStoreOptions options)
    {
        SqliteConnection connection = Open(path, options, SqliteOpenMode.ReadWriteCreate);
        try
        {
            if (options.QuickCheck && Scalar(connection, "PRAGMA quick_check(1)") is not "ok")
                throw new StoreCorruptException(DamagedMessage(path, null));
            long version = (long)Scalar(connection, "PRAGMA user_version")!;
            if (version > FormatVersion)
                throw new InvalidDataException($"{path} was written by a newer version of Atoll (format {version}, this one knows {FormatVersion}); upgrade this program");
            Execute(connection, Schema);
            Execute(connection, $"PRAGMA user_version = {FormatVersion}; PRAGMA synchronous = {(options.Durable ? "FULL" : "OFF")}; PRAGMA journal_size_limit = 4194304; PRAGMA wal_autocheckpoint = 1000");
            return connection;
        }
        catch (SqliteException e)
        {
            connection.Dispose();
            throw Unopened(e, path);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Asks <paramref name="check"/> about every value; throws <see cref="StoreCorruptException"/> at the first that cannot be one.</summary>
    public static void Check(SqliteConnection connection, string path, StoreCheck? check)
    {
        if (check is null)
            return;
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "SELECT key, value FROM kv WHERE value IS NOT NULL";
        using SqliteDataReader rows = command.ExecuteReader();
        while (rows.Read())
        {
            byte[] key = rows.GetFieldValue<byte[]>(0);
            if (!check(key, rows.GetFieldValue<byte[]>(1)))
                throw new StoreCorruptException(DamagedMessage(path, new InvalidDataException($"the value of {Encoding.UTF8.GetString(key)} is not one")));
        }
    }

    /// <summary>Opens a reading connection.</summary>
    public static SqliteConnection OpenReader(string path, SqliteStoreOptions options)
    {
        SqliteConnection connection = Open(path, options, SqliteOpenMode.ReadWrite);
        Execute(connection, "PRAGMA query_only = ON");
        return connection;
    }

    /// <summary>SQLITE_CORRUPT and SQLITE_NOTADB.</summary>
    public static bool IsCorrupt(int code) => code is 11 or 26;

    public static bool IsCorrupt(Exception e) => e is StoreCorruptException or SqliteException { SqliteErrorCode: 11 or 26 };

    public static string DamagedMessage(string path, Exception? e) =>
        $"{path} is damaged{(e is null ? "" : $" ({e.Message})")}: restore a backup in its place, or move it and its -wal and -shm files aside to begin with an empty store";

    /// <summary>What a caller of the store is told when SQLite fails.</summary>
    public static Exception Translate(SqliteException e, string path) =>
        IsCorrupt(e) ? new StoreCorruptException(DamagedMessage(path, e), e) : new IOException($"the store at {path} could not be read: {e.Message}", e);

    /// <summary>Runs a statement, reading through whatever it returns: some pragmas work only as far as they are read.</summary>
    public static void Execute(SqliteConnection connection, string sql, int? timeoutSeconds = null)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.CommandTimeout = timeoutSeconds ?? command.CommandTimeout;
        using SqliteDataReader reader = command.ExecuteReader();
        do
            while (reader.Read())
            {
                // Nothing to look at.
            }
        while (reader.NextResult());
    }

    public static object? Scalar(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    private static Exception Unopened(SqliteException e, string path) =>
        IsCorrupt(e) ? new StoreCorruptException(DamagedMessage(path, e), e) : new IOException($"{path} cannot be opened: {e.Message}", e);

    private static SqliteConnection Open(string path, SqliteStoreOptions options, SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = options.Vfs is null ? path : $"file:{path}?vfs={options.Vfs}", Mode = mode, Pooling = false, DefaultTimeout = 30 }.ToString());
        try
        {
            connection.Open();
            Execute(connection, $"PRAGMA cache_size = -{options.CacheKib}; PRAGMA busy_timeout = {BusyTimeoutMs}");
            return connection;
        }
        catch (SqliteException e)
        {
            connection.Dispose();
            throw Unopened(e, path);
        }
    }
}
