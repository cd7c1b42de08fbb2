using System.Globalization;
using System.Text;
using Atoll.Store;
using Atoll.Store.Sqlite;
using Microsoft.Data.Sqlite;

namespace Atoll.UnitTests.Store.PowerCut;

/// <summary>
/// A store with a site's settings loses power at any call to its files, with nothing, everything or some torn sectors of what was not
/// synced on the disk afterwards, again and again on the same files. How often: <see cref="Rounds"/>.
/// </summary>
public sealed class PowerCutTests(ITestOutputHelper output)
{
    private const int Keys = 7, Outstanding = 16;

    private static readonly SqliteStoreOptions s_site = new() { KeepRevisions = 50, MaxHistoryBytes = 256 << 10, TailBytes = 64 << 10, CacheKib = 128, Readers = 1, Vfs = FaultyVfs.Name };

    [Fact]
    public async Task Acknowledged_writes_survive_power_cuts_and_the_file_is_sound()
    {
        int lost = await RunAsync(Rounds.Count, s_site, Rounds.Seed(20_260_401));
        Assert.Equal(0, lost);
    }

    /// <summary>The fault is real: a store that does not sync loses what it acknowledged, or its file.</summary>
    [Fact]
    public async Task Without_syncs_the_same_cuts_lose_writes() =>
        Assert.True(await RunAsync(10, s_site with { Durable = false }, seed: 7) > 0);

    private async Task<int> RunAsync(int cuts, SqliteStoreOptions options, int seed)
    {
        var random = new Random(seed);
        string root = Directory.CreateTempSubdirectory("atoll-power-").FullName, now = Path.Combine(root, "0");
        Directory.CreateDirectory(now);
        long calls = 0, acknowledged = 0;
        int lost = 0;
        for (int round = 1; round <= cuts; round++)
        {
            FaultyDisk disk = FaultyVfs.Mount(now);
            acknowledged = Math.Max(acknowledged, await WriteUntilCutAsync(disk, options, random));
            calls += disk.Calls;
            string next = Path.Combine(root, round.ToString(CultureInfo.InvariantCulture));
            Directory.CreateDirectory(next);
            disk.Restore(next, (Survival)random.Next(3), random);
            FaultyVfs.Unmount(disk);
            Directory.Delete(now, recursive: true);
            now = next;
            if (await CheckAsync(Path.Combine(now, "a.db"), acknowledged) is not { } wrong)
                continue;
            lost++;
            if (options.Durable)
                Assert.Fail($"seed {seed}, round {round}, after {acknowledged} acknowledged: {wrong}");
            // It goes on with an empty disk.
            Directory.Delete(now, recursive: true);
            Directory.CreateDirectory(now);
            acknowledged = 0;
        }
        output.WriteLine($"{cuts} power cuts in {calls} calls to files, {acknowledged} acknowledged writes, {lost} times something was lost");
        Directory.Delete(root, recursive: true);
        return lost;
    }

    /// <summary>Writes numbers, of any size, some in one commit; returns the highest that was acknowledged.</summary>
    private static async Task<long> WriteUntilCutAsync(FaultyDisk disk, SqliteStoreOptions options, Random random)
    {
        // Sometimes within the opening, mostly at some write.
        disk.CutAfter(random.Next(8) == 0 ? random.Next(20) : random.Next(40, 600));
        long acknowledged = 0;
        SqliteStore? store = null;
        try
        {
            store = await SqliteStore.OpenAsync(Path.Combine(disk.Folder, "a.db"), options, default);
            var waiting = new Queue<(long Number, Task<StoreResult> Call)>();
            for (long number = store.CurrentRevision - (store.Epoch << 48) + 1; ; number++)
            {
                byte[] value = Encoding.UTF8.GetBytes($"{number} {new string('x', random.Next(10) == 0 ? random.Next(20_000) : random.Next(300))}");
                waiting.Enqueue((number, store.TransactAsync(new StoreTransaction([], [new StoreWrite(Encoding.UTF8.GetBytes($"k{number % Keys}"), value)]), default).AsTask()));
                if (waiting.Count < Outstanding)
                    continue;
                (long done, Task<StoreResult> call) = waiting.Dequeue();
                Assert.Equal(StoreError.None, (await call).Error);
                acknowledged = done;
            }
        }
        catch (Exception e) when (e is IOException or StoreCorruptException or SqliteException or ObjectDisposedException or InvalidDataException)
        {
            Assert.True(disk.IsOff, $"it failed while it had power: {e}");
        }
        if (store is not null)
            await store.DisposeAsync();
        disk.Cut();
        return acknowledged;
    }

    /// <summary>Null when the file is sound and holds every acknowledged write, and of the others a beginning without gaps.</summary>
    private static async Task<string?> CheckAsync(string path, long acknowledged)
    {
        try
        {
            if (!File.Exists(path))
                return acknowledged == 0 ? null : "the file is gone";
            long written;
            await using (SqliteStore store = await SqliteStore.OpenAsync(path, new SqliteStoreOptions { QuickCheck = true, Readers = 1 }, default))
            {
                written = store.CurrentRevision - (store.Epoch << 48);
                if (written < acknowledged)
                    return $"only {written} are there";
                StoreRange range = await store.RangeAsync("k"u8.ToArray(), "l"u8.ToArray(), 0, 0, default);
                long[] numbers = [.. range.Entries.Select(e => long.Parse(Encoding.UTF8.GetString(e.Value.Span).Split(' ')[0], CultureInfo.InvariantCulture))];
                long[] expected = [.. Enumerable.Range(0, Keys).Select(k => written - ((written - k) % Keys + Keys) % Keys).Where(n => n > 0)];
                if (!numbers.SequenceEqual(expected))
                    return $"of {written}, it holds {string.Join(' ', numbers)}";
            }
            await using var connection = new SqliteConnection($"Data Source={path};Pooling=False");
            connection.Open();
            await using SqliteCommand command = connection.CreateCommand();
            command.CommandText = "PRAGMA integrity_check";
            return command.ExecuteScalar() is "ok" ? null : "integrity_check finds faults";
        }
        catch (Exception e) when (e is StoreCorruptException or SqliteException or IOException or InvalidDataException)
        {
            return e.Message;
        }
    }
}
