using System.Collections;
using System.Globalization;
using System.Text;
using Atoll.Store;
using Atoll.Store.Sqlite;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Store;

/// <summary>What once went wrong, or could.</summary>
public sealed class SqliteStoreDefectTests : IDisposable
{
    private static readonly CancellationToken s_none = TestContext.Current.CancellationToken;
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-test-").FullName;

    private string File1 => Path.Combine(_folder, "a.db");

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_transaction_that_is_no_transaction_is_the_callers_error_and_harms_nobody_else()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await store.TransactAsync(new StoreTransaction(null!, []), s_none));
        await Assert.ThrowsAsync<ArgumentNullException>(async () => await store.TransactAsync(new StoreTransaction([], null!), s_none));
        await Assert.ThrowsAsync<NotSupportedException>(async () => await store.TransactAsync(new StoreTransaction([], new BrokenList()), s_none).AsTask().WaitAsync(s_patience));
        await Assert.ThrowsAsync<ArgumentException>(async () => await store.TransactAsync(new StoreTransaction([], [new(Key("a"), Key("1")), new(Key("b"), null), new(Key("a"), null)]), s_none));
        Assert.Equal(StoreError.None, (await Put(store, "a", "1").WaitAsync(s_patience)).Error);
    }

    [Fact]
    public async Task A_writer_that_meets_damage_fails_every_call_at_once_and_says_so()
    {
        await using SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions { CacheKib = 16 }, s_none);
        await FillAsync(store);
        Task watching = Task.Run(async () =>
        {
            await foreach (StoreEvents _ in store.WatchAsync(Key("zz"), default, store.CurrentRevision, s_none))
                Assert.Fail("nothing was written there");
        });
        Damage();
        await Assert.ThrowsAsync<StoreCorruptException>(async () =>
        {
            for (int i = 0; i < 100; i++)
                await Put(store, $"key-{i}", "changed").WaitAsync(s_patience);
        });
        StoreCorruptException e = await Assert.ThrowsAsync<StoreCorruptException>(() => Put(store, "other", "1").WaitAsync(s_patience));
        Assert.Contains(File1, e.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<StoreCorruptException>(() => store.Completion.WaitAsync(s_patience));
        await Assert.ThrowsAsync<StoreCorruptException>(() => watching.WaitAsync(s_patience));
    }

    [Fact]
    public async Task A_reader_that_meets_damage_says_so()
    {
        await using SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions { CacheKib = 16 }, s_none);
        await FillAsync(store);
        Damage();
        await Assert.ThrowsAsync<StoreCorruptException>(async () => await store.RangeAsync(Key("a"), Key("z"), 0, 0, s_none));
    }

    [Theory]
    [InlineData("UPDATE meta SET name = 'rev)sion' WHERE name = 'revision'")]
    [InlineData("UPDATE meta SET name = 'c/mpacted' WHERE name = 'compacted'")]
    [InlineData("UPDATE meta SET name = 'g' WHERE name = 'epoch'")]
    [InlineData("UPDATE meta SET name = 'incasnation' WHERE name = 'incarnation'")]
    [InlineData("UPDATE meta SET value = value - 3 WHERE name = 'revision'")]
    [InlineData("UPDATE meta SET value = value + 65536 WHERE name = 'revision'")]
    [InlineData("UPDATE meta SET value = value + 1125899906842624 WHERE name = 'compacted'")]
    [InlineData("UPDATE meta SET value = 'q' WHERE name = 'epoch'")]
    [InlineData("DELETE FROM meta")]
    public async Task A_position_that_is_none_is_damage(string sql)
    {
        await using (SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none))
            for (int i = 0; i < 5; i++)
                await Put(store, $"key-{i}", "1");
        Change(sql);
        await Assert.ThrowsAsync<StoreCorruptException>(() => SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none));
        SqliteStore.MoveAside(File1);
        await using SqliteStore anew = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none);
        Assert.Equal(StoreError.None, (await Put(anew, "a", "1")).Error);
    }

    [Fact]
    public async Task A_value_that_cannot_be_one_is_damage_to_who_asks_for_it()
    {
        var options = new SqliteStoreOptions { Check = static (_, value) => value is [(byte)'1', ..] };
        await using (SqliteStore store = await SqliteStore.OpenAsync(File1, options, s_none))
        {
            await Put(store, "a", "1");
            await Put(store, "a", "1 again");
        }
        await (await SqliteStore.OpenAsync(File1, options, s_none)).DisposeAsync();
        // Also one that was replaced since: watches read it.
        Change("UPDATE kv SET value = CAST('q' AS BLOB) WHERE end_rev IS NOT NULL");
        StoreCorruptException damaged = await Assert.ThrowsAsync<StoreCorruptException>(() => SqliteStore.OpenAsync(File1, options, s_none));
        Assert.Contains("the value of a ", damaged.Message, StringComparison.Ordinal);
        await (await SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none)).DisposeAsync();
    }

    private void Change(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={File1};Pooling=False");
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    [Fact]
    public async Task Epochs_never_repeat_after_a_rebuild_a_restore_and_a_second_restore_of_the_same_backup()
    {
        var epochs = new List<long>();
        async Task<long> VisitAsync()
        {
            await using SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions { Durable = false }, s_none);
            epochs.Add(store.Epoch);
            return (await Put(store, "a", "1")).Revision;
        }
        long first = await VisitAsync();
        string backup = File1 + ".backup";
        File.Copy(File1, backup);
        SqliteStore.MoveAside(File1);
        long rebuilt = await VisitAsync();
        await SqliteStore.BeginNewHistoryAsync(File1, s_none);
        await VisitAsync();
        foreach (int _ in (int[])[1, 2])
        {
            File.Copy(backup, File1, overwrite: true);
            await SqliteStore.BeginNewHistoryAsync(File1, s_none);
            await VisitAsync();
        }
        // Somebody who forgot to begin a new history.
        File.Copy(backup, File1, overwrite: true);
        long forgotten = await VisitAsync();
        Assert.Equal(epochs.Distinct().Order(), epochs);
        Assert.True(first < rebuilt && rebuilt < forgotten);
        await using SqliteStore last = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none);
        Assert.Equal(epochs[^1], last.Epoch);
        await foreach (StoreEvents batch in last.WatchAsync(Key("a"), Key("b"), rebuilt, s_none))
            Assert.Equal(StoreError.Compacted, batch.Error);
    }

    [Fact]
    public async Task A_store_whose_epoch_is_lost_is_damaged_and_begins_anew_above_all_that_could_have_been()
    {
        await using (SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none))
            await Put(store, "a", "1");
        byte[] broken = [0x9c, 0, 0xff];
        await File.WriteAllBytesAsync(File1 + ".epoch", broken, s_none);
        StoreCorruptException damaged = await Assert.ThrowsAsync<StoreCorruptException>(() => SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none));
        Assert.Contains("write into it the highest epoch", damaged.Message, StringComparison.Ordinal);
        string aside = SqliteStore.MoveAside(File1);
        Assert.Equal(broken, await File.ReadAllBytesAsync(aside + ".epoch", s_none));
        await using SqliteStore anew = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none);
        Assert.InRange(anew.Epoch, 1000, 32767);
    }

    [Fact]
    public async Task Moving_aside_a_store_that_is_open_is_refused_and_takes_the_log_along()
    {
        await using (await SqliteStore.OpenAsync(File1, new SqliteStoreOptions(), s_none))
            Assert.Throws<IOException>(() => SqliteStore.MoveAside(File1));
        await File.WriteAllTextAsync(File1 + "-wal", "log", s_none);
        string aside = SqliteStore.MoveAside(File1);
        Assert.Equal((false, false, true, true), (File.Exists(File1), File.Exists(File1 + "-wal"), File.Exists(aside), File.Exists(aside + "-wal")));
    }

    [Fact]
    public async Task History_stays_within_its_bytes_whatever_was_compacted_before()
    {
        await using SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions { Durable = false, MaxHistoryBytes = 1 << 20, KeepRevisions = 1_000_000 }, s_none);
        long early = store.CurrentRevision;
        byte[] value = new byte[10_000];
        for (int i = 0; i < 2000; i++)
        {
            await store.TransactAsync(new StoreTransaction([], [new(Key($"key-{i % 10}"), value)]), s_none);
            // Compacting where it already is must not make the store believe that it holds no history.
            await store.CompactAsync(i % 2 == 0 ? early : store.CompactedRevision, s_none);
            if (i % 50 == 0)
                Assert.InRange(Superseded(), 0, (1 << 20) + 20_000);
        }
    }

    [Fact]
    public async Task Catching_up_is_bounded_by_bytes_and_never_cuts_a_revision()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync(new SqliteStoreOptions { TailBytes = 1, CatchUpBytes = 100_000, CatchUpEvents = 10 });
        long start = store.CurrentRevision;
        for (int i = 0; i < 20; i++)
            await store.TransactAsync(new StoreTransaction([], [new(Key($"k{i}"), new byte[30_000])]), s_none);
        for (int i = 0; i < 3; i++)
            await store.TransactAsync(new StoreTransaction([], [.. Enumerable.Range(0, 10 + i).Select(n => new StoreWrite(Key($"m{n}"), Key($"{i}")))]), s_none);
        await Put(store, "other", "1");
        var seen = new List<StoreEvents>();
        await foreach (StoreEvents batch in store.WatchAsync(Key("k"), Key("n"), start, s_none))
        {
            seen.Add(batch);
            Assert.True(batch.Events.Sum(e => e.Value!.Value.Length) <= 130_000);
            if (seen.Sum(b => b.Events.Count) == 20 + 10 + 11 + 12)
                break;
        }
        Assert.Equal(Enumerable.Range(1, 23).Select(i => start + i), seen.SelectMany(b => b.Events.Select(e => e.Revision)).Distinct());
        Assert.All(seen.SelectMany(b => b.Events.Select(e => e.Revision).Distinct()).GroupBy(r => r), g => Assert.Single(g));
    }

    [Fact]
    public async Task A_transaction_is_bounded_in_bytes_and_the_queue_in_calls()
    {
        var options = new SqliteStoreOptions { MaxQueued = 2 };
        Assert.Equal(16 << 20, options.MaxTransactionBytes);
        await using SqliteStore store = await SqliteStore.OpenAsync(File1, options, s_none);
        byte[] value = new byte[3 << 20];
        StoreTransaction Of(int writes) => new([], [.. Enumerable.Range(0, writes).Select(i => new StoreWrite(Key($"{i}"), value))]);
        Assert.Equal(StoreError.TooLarge, (await store.TransactAsync(Of(6), s_none)).Error);
        Assert.Equal(StoreError.None, (await store.TransactAsync(Of(5), s_none)).Error);
        Assert.Equal(StoreError.TooLarge, (await store.TransactAsync(new StoreTransaction([.. Enumerable.Range(0, 1001).Select(i => new StoreCompare(Key($"{i}"), 0))], []), s_none)).Error);
        using var held = new SqliteConnection($"Data Source={File1};Pooling=False");
        held.Open();
        Execute(held, "BEGIN IMMEDIATE");
        using var cancel = new CancellationTokenSource();
        Task<StoreResult>[] calls = [.. Enumerable.Range(0, 2000).Select(i => store.TransactAsync(new StoreTransaction([], [new(Key("a"), Key($"{i}"))]), cancel.Token).AsTask())];
        long before = store.CurrentRevision;
        await cancel.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => Task.WhenAll(calls));
        Execute(held, "COMMIT");
        // Those that never came into the queue were not carried out: one batch of at most 512 was running, two waited.
        await Put(store, "end", "1").WaitAsync(s_patience);
        Assert.InRange(store.CurrentRevision - before, 2, 520);
    }

    [Fact]
    public async Task A_callers_buffers_may_be_reused_at_once()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        byte[] key = Key("a"), value = Key("1");
        long start = store.CurrentRevision;
        Task<StoreResult> call = store.TransactAsync(new StoreTransaction([], [new(key, value)]), s_none).AsTask();
        (key[0], value[0]) = ((byte)'x', (byte)'x');
        await call;
        Assert.Equal("1", Encoding.UTF8.GetString((await store.GetAsync(Key("a"), s_none))!.Value.Span));
        await foreach (StoreEvents batch in store.WatchAsync(Key("a"), default, start, s_none))
        {
            Assert.Equal(("a", "1"), (Encoding.UTF8.GetString(batch.Events[0].Key.Span), Encoding.UTF8.GetString(batch.Events[0].Value!.Value.Span)));
            break;
        }
    }

    [Fact]
    public async Task An_empty_value_is_a_value()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        await Put(store, "a", "");
        Assert.Equal(0, (await store.GetAsync(Key("a"), s_none))!.Value.Length);
    }

    [Fact]
    public async Task A_reader_that_holds_the_log_delays_no_write()
    {
        var clock = new FakeTimeProvider();
        await using SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions { Time = clock, MaxLogBytes = 100_000 }, s_none);
        using var held = new SqliteConnection($"Data Source={File1};Pooling=False");
        held.Open();
        Execute(held, "BEGIN; SELECT count(*) FROM kv");
        for (int i = 0; i < 30; i++)
        {
            await store.TransactAsync(new StoreTransaction([], [new(Key("a"), new byte[20_000])]), s_none).AsTask().WaitAsync(TimeSpan.FromSeconds(15));
            clock.Advance(TimeSpan.FromSeconds(2));
        }
        Execute(held, "COMMIT");
    }

    [Fact]
    public async Task A_watch_from_the_future_is_refused()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        var batches = new List<StoreEvents>();
        await foreach (StoreEvents batch in store.WatchAsync(Key("a"), default, store.CurrentRevision + 1, s_none))
            batches.Add(batch);
        Assert.Equal(StoreError.FutureRevision, Assert.Single(batches).Error);
    }

    [Fact]
    public async Task A_lock_that_cannot_be_made_is_not_called_in_use()
    {
        string path = Path.Combine(_folder, new string('x', 300), "a.db");
        IOException e = await Assert.ThrowsAnyAsync<IOException>(() => SqliteStore.BeginNewHistoryAsync(path, s_none));
        Assert.DoesNotContain("in use", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Watches_under_writes_and_compactions_see_everything_or_are_told_and_the_files_stay_small()
    {
        await using SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions { Durable = false, TailBytes = 20_000, KeepRevisions = 300, MaxLogBytes = 1 << 20 }, s_none);
        long start = store.CurrentRevision;
        using var stop = new CancellationTokenSource();
        const int writes = 6000;
        Task[] watches = [.. Enumerable.Range(0, 4).Select(n => Task.Run(() => FollowAsync(store, start, start + writes, slow: n % 2 == 0)))];
        Task reads = Task.Run(async () =>
        {
            while (!stop.IsCancellationRequested)
                await store.RangeAsync(Key("a"), Key("z"), 0, 0, s_none);
        });
        long largest = 0;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(w => Task.Run(async () =>
        {
            for (int i = 0; i < writes / 4; i++)
            {
                StoreResult result = await store.TransactAsync(new StoreTransaction([], [new(Key($"k{w}-{i % 5}"), new byte[1000])]), s_none);
                if (i % 100 == 99)
                    await store.CompactAsync(result.Revision - 200, s_none);
                if (i % 100 == 0)
                    InterlockedMax(ref largest, Directory.GetFiles(_folder).Sum(f => new FileInfo(f).Length));
            }
        })));
        await Task.WhenAll(watches).WaitAsync(s_patience);
        await stop.CancelAsync();
        await reads.WaitAsync(s_patience);
        Assert.InRange(largest, 1, 6 << 20);
    }

    [Fact]
    public async Task A_file_of_format_1_still_opens()
    {
        File.Copy(Path.Combine(AppContext.BaseDirectory, "Store", "format-1.db"), File1);
        await using SqliteStore store = await SqliteStore.OpenAsync(File1, new SqliteStoreOptions { QuickCheck = true }, s_none);
        const long first = 1L << 48;
        Assert.Equal((1, first + 6, "0123456789abcdef"), (store.Epoch, store.CurrentRevision, store.Incarnation));
        StoreRange now = await store.RangeAsync(Key("a"), Key("z"), 0, 0, s_none);
        Assert.Equal(["a=3 1 4", "b=2 2 2", "c= 6 6"], now.Entries.Select(Text));
        StoreRange before = await store.RangeAsync(Key("a"), Key("z"), 0, first + 3, s_none);
        Assert.Equal(["a=1 1 1", "b=2 2 2", "c=3 3 3"], before.Entries.Select(Text));
        await foreach (StoreEvents batch in store.WatchAsync(Key("a"), default, first + 2, s_none))
        {
            Assert.Equal(["c 3", "a 4", "c 5", "c 6"], batch.Events.Select(e => $"{Encoding.UTF8.GetString(e.Key.Span)} {e.Revision - first}"));
            break;
        }
        static string Text(StoreEntry e) => $"{Encoding.UTF8.GetString(e.Key.Span)}={Encoding.UTF8.GetString(e.Value.Span)} {e.CreateRevision - first} {e.ModRevision - first}";
    }

    // Every revision exactly once; after being told of a compaction, again from the mark.
    private static async Task FollowAsync(SqliteStore store, long after, long until, bool slow)
    {
        while (after < until)
            await foreach (StoreEvents batch in store.WatchAsync(Key("k"), Key("l"), after, s_none))
            {
                if (batch.Error == StoreError.Compacted)
                {
                    Assert.True(store.CompactedRevision > after);
                    after = store.CompactedRevision;
                    break;
                }
                foreach (StoreEvent e in batch.Events)
                    Assert.Equal(++after, e.Revision);
                Assert.Equal(after, batch.Revision);
                if (after >= until)
                    return;
                if (slow)
                    await Task.Yield();
            }
    }

    private async Task FillAsync(SqliteStore store)
    {
        for (int i = 0; i < 100; i++)
            await store.TransactAsync(new StoreTransaction([], [new(Key($"key-{i}"), new byte[3000])]), s_none);
        using var connection = new SqliteConnection($"Data Source={File1};Pooling=False");
        connection.Open();
        Execute(connection, "PRAGMA wal_checkpoint(TRUNCATE)");
    }

    private void Damage()
    {
        using var file = new FileStream(File1, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        file.Position = 8 * 4096;
        byte[] rubbish = new byte[file.Length - file.Position];
        Array.Fill(rubbish, (byte)0xA5);
        file.Write(rubbish);
    }

    private long Superseded()
    {
        using var connection = new SqliteConnection($"Data Source={File1};Pooling=False");
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = "SELECT coalesce(sum(length(key) + coalesce(length(value), 0) + 64), 0) FROM kv WHERE end_rev IS NOT NULL";
        return Convert.ToInt64(command.ExecuteScalar(), CultureInfo.InvariantCulture);
    }

    private static void Execute(SqliteConnection connection, string sql)
    {
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private static void InterlockedMax(ref long target, long value)
    {
        long seen;
        while ((seen = Volatile.Read(ref target)) < value && Interlocked.CompareExchange(ref target, value, seen) != seen)
        {
            // Somebody else raised it.
        }
    }

    private static byte[] Key(string text) => Encoding.UTF8.GetBytes(text);

    private static Task<StoreResult> Put(SqliteStore store, string key, string value) =>
        store.TransactAsync(new StoreTransaction([], [new StoreWrite(Key(key), Key(value))]), s_none).AsTask();

    private sealed class BrokenList : IReadOnlyList<StoreWrite>
    {
        public StoreWrite this[int index] => throw new NotSupportedException();

        public int Count => 1;

        public IEnumerator<StoreWrite> GetEnumerator() => throw new NotSupportedException();

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
