using System.Globalization;
using System.Security.Cryptography;
using Microsoft.Data.Sqlite;

namespace Atoll.Store.Sqlite;

/// <summary>Where a store's history stands: read when it opens, and begun anew when it was rebuilt or restored.</summary>
internal sealed record History(string Incarnation, long Epoch, long Revision, long Compacted, long Bytes)
{
    public const int EpochShift = 48;

    /// <summary>What a superseded row counts beside its key and value.</summary>
    public const int RowOverhead = 64;

    /// <summary>What the rows of history cost; the same sum as <see cref="Cost"/>.</summary>
    public const string CostSql = "length(key) + coalesce(length(value), 0) + 64";

    /// <summary>What one superseded row costs.</summary>
    public static long Cost(int key, int value) => key + value + RowOverhead;

    /// <summary>
    /// Reads the position of a file that was just opened. A new file, and one that is older than the epoch noted beside it (somebody
    /// put a copy in its place), get a new history above it.
    /// </summary>
    public static History Open(SqliteConnection connection, string path)
    {
        long noted = EpochFile.Read(path);
        RefuseDamaged(connection, path);
        if (Text(connection, "epoch") is not { } known)
            Begin(connection, path, noted + 1);
        else if (Parse(known) < noted)
            Begin(connection, path, noted + 1);
        else
            EpochFile.Raise(path, Parse(known));
        long epoch = Parse(Text(connection, "epoch")!);
        return new History(
            Text(connection, "incarnation")!,
            epoch,
            Math.Max(Number(connection, "SELECT value FROM meta WHERE name = 'revision'"), epoch << EpochShift),
            Number(connection, "SELECT value FROM meta WHERE name = 'compacted'"),
            Number(connection, $"SELECT sum({CostSql}) FROM kv WHERE end_rev IS NOT NULL"));
    }

    /// <summary>Starts a history above every one that was ever noted here.</summary>
    public static void BeginNext(SqliteConnection connection, string path) =>
        Begin(connection, path, Math.Max(EpochFile.Read(path), Text(connection, "epoch") is { } known ? Parse(known) : 0) + 1);

    private static void Begin(SqliteConnection connection, string path, long epoch)
    {
        // Noted first: a crash in between costs a number, and never lets one be used twice.
        EpochFile.Raise(path, epoch);
        bool isNew = Text(connection, "epoch") is null;
        long revision = (epoch << EpochShift) + (Number(connection, "SELECT value FROM meta WHERE name = 'revision'") & ((1L << EpochShift) - 1));
        string incarnation = Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(8));
        Database.Execute(connection, $"""
            BEGIN IMMEDIATE;
            INSERT INTO meta (name, value) VALUES ('epoch', '{epoch}'), ('revision', {revision}), ('compacted', {(isNew && epoch == 1 ? 0 : revision)}), ('incarnation', '{incarnation}')
                ON CONFLICT (name) DO UPDATE SET value = excluded.value;
            DELETE FROM kv WHERE end_rev IS NOT NULL;
            COMMIT;
            """);
    }

    // What stands here is a few bytes that SQLite has no checksum for: a position below what is in the file would have revisions given out twice, and
    // one above it never be reached by who waits for it. Only a compaction, or a new history, leaves no row of the newest revision.
    private static void RefuseDamaged(SqliteConnection connection, string path)
    {
        long rows = Number(connection, "SELECT count(*) FROM meta"), newest = Number(connection, "SELECT max(rev) FROM kv");
        long revision = Number(connection, "SELECT value FROM meta WHERE name = 'revision'");
        bool isSound = rows == 0
            ? newest == 0
            : long.TryParse(Text(connection, "epoch"), NumberStyles.None, CultureInfo.InvariantCulture, out long epoch) && epoch is > 0 and <= EpochFile.Highest
                && Text(connection, "incarnation") is { Length: > 0 } && Database.Scalar(connection, "SELECT value FROM meta WHERE name = 'compacted'") is long compacted && compacted <= revision
                && (revision == newest || (revision > newest && revision == compacted) || (newest == 0 && revision == epoch << EpochShift));
        if (!isSound)
            throw new StoreCorruptException(Database.DamagedMessage(path, new InvalidDataException("its position is not one")));
    }

    private static long Parse(string epoch) => long.Parse(epoch, NumberStyles.None, CultureInfo.InvariantCulture);

    private static string? Text(SqliteConnection connection, string name) => Database.Scalar(connection, $"SELECT value FROM meta WHERE name = '{name}'") as string;

    private static long Number(SqliteConnection connection, string sql) => Database.Scalar(connection, sql) is long value ? value : 0;
}
