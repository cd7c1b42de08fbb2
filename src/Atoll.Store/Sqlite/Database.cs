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
                throw new StoreCorruptException($"{path} is damaged");
            long version = (long)Scalar(connection, "PRAGMA user_version")!;
            if (version > FormatVersion)
                throw new InvalidDataException($"{path} was written by a newer version of Atoll (format {version}, this one knows {FormatVersion}); upgrade this program");
            Execute(connection, Schema);
            Execute(connection, $"PRAGMA user_version = {FormatVersion}; PRAGMA synchronous = {(options.Durable ? "FULL" : "OFF")}; PRAGMA journal_size_limit = 4194304; PRAGMA wal_autocheckpoint = 1000");
            return connection;
        }
        catch (SqliteException e) when (IsCorrupt(e))
        {
            connection.Dispose();
            throw new StoreCorruptException($"{path} is damaged: {e.Message}", e);
        }
        catch
        {
            connection.Dispose();
            throw;
        }
    }

    /// <summary>Opens a reading connection.</summary>
    public static SqliteConnection OpenReader(string path, SqliteStoreOptions options)
    {
        SqliteConnection connection = Open(path, options, SqliteOpenMode.ReadWrite);
        Execute(connection, "PRAGMA query_only = ON");
        return connection;
    }

    public static bool IsCorrupt(SqliteException e) => e.SqliteErrorCode is 11 or 26;

    public static void Execute(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    public static object? Scalar(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        return command.ExecuteScalar();
    }

    private static SqliteConnection Open(string path, SqliteStoreOptions options, SqliteOpenMode mode)
    {
        var connection = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = path, Mode = mode, Pooling = false, DefaultTimeout = 30 }.ToString());
        try
        {
            connection.Open();
            Execute(connection, $"PRAGMA cache_size = -{options.CacheKib}; PRAGMA busy_timeout = 30000");
            return connection;
        }
        catch (SqliteException e)
        {
            connection.Dispose();
            throw IsCorrupt(e) ? new StoreCorruptException($"{path} is damaged: {e.Message}", e) : new IOException($"{path} cannot be opened: {e.Message}", e);
        }
    }
}
