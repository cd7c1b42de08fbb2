using System.Collections.Concurrent;
using System.Text;
using Atoll.Store;
using Atoll.Store.Sqlite;
using CsCheck;

namespace Atoll.UnitTests.Store;

public sealed class SqliteStoreTests
{
    private static readonly CancellationToken s_none = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Agrees_with_a_naive_model_under_random_transactions_reads_watches_and_compactions()
    {
        var write = Gen.Select(Gen.Int[0, 5], Gen.Int[0, 3], Gen.Bool);
        var step = Gen.Select(Gen.Int[0, 9], write.Array[1, 4], Gen.Int[0, 5], Gen.Int[0, 8]);
        await step.Array[1, 40].EachAsync(60, async steps =>
        {
            await using SqliteStore store = await SqliteStore.OpenInMemoryAsync(new SqliteStoreOptions { TailBytes = 1500 });
            var model = new Model(store.CurrentRevision);
            foreach ((int kind, (int, int, bool)[] writes, int key, int back) in steps)
            {
                if (kind < 6)
                    await model.TransactAsync(store, writes, key, compare: kind == 0, right: back % 2 == 0);
                else if (kind == 6)
                    await model.CompactAsync(store, back);
                else
                    await model.CheckAsync(store, back);
            }
            await model.CheckAsync(store, 0);
        });
    }

    [Fact]
    public async Task Every_concurrent_write_gets_one_revision_and_a_watch_sees_each_once_in_order()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync(new SqliteStoreOptions { TailBytes = 4000, KeepRevisions = 100_000 });
        long start = store.CurrentRevision;
        const int writers = 16, each = 200;
        var seen = new List<StoreEvent>();
        Task watch = Task.Run(async () =>
        {
            await foreach (StoreEvents batch in store.WatchAsync("k"u8.ToArray(), "l"u8.ToArray(), start, s_none))
            {
                Assert.Equal(StoreError.None, batch.Error);
                seen.AddRange(batch.Events);
                if (seen.Count == writers * each)
                    return;
            }
        });
        long[][] revisions = await Task.WhenAll(Enumerable.Range(0, writers).Select(w => Task.Run(async () =>
        {
            long[] own = new long[each];
            for (int i = 0; i < each; i++)
                own[i] = (await Put(store, $"k{w}", $"{i}")).Revision;
            return own;
        })));
        await watch.WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(writers * each, revisions.SelectMany(r => r).Distinct().Count());
        Assert.Equal(seen.Select(e => e.Revision).Order(), seen.Select(e => e.Revision));
        foreach (IGrouping<string, StoreEvent> key in seen.GroupBy(e => Encoding.UTF8.GetString(e.Key.Span)))
        {
            StoreEvent? before = null;
            foreach (StoreEvent e in key)
            {
                Assert.Equal(before?.Revision, e.Previous?.ModRevision);
                before = e;
            }
        }
    }

    [Fact]
    public async Task A_compare_and_set_race_has_one_winner()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        StoreResult[] results = await Task.WhenAll(Enumerable.Range(0, 50).Select(i => store.TransactAsync(
            new StoreTransaction([new StoreCompare(Key("a"), 0)], [new StoreWrite(Key("a"), Key($"{i}"))]), s_none).AsTask()));
        Assert.Single(results, r => r.Error == StoreError.None);
        Assert.Equal(49, results.Count(r => r is { Error: StoreError.CompareFailed, FailedCompare: 0 }));
    }

    [Fact]
    public async Task What_was_acknowledged_is_there_after_reopening_and_a_second_opener_is_told()
    {
        string folder = Directory.CreateTempSubdirectory("atoll-test-").FullName;
        string path = Path.Combine(folder, "a.db");
        long revision;
        string incarnation;
        await using (SqliteStore store = await SqliteStore.OpenAsync(path, new SqliteStoreOptions(), s_none))
        {
            revision = (await Put(store, "a", "1")).Revision;
            incarnation = store.Incarnation;
            IOException e = await Assert.ThrowsAsync<IOException>(() => SqliteStore.OpenAsync(path, new SqliteStoreOptions(), s_none));
            Assert.Contains("in use by another process", e.Message, StringComparison.Ordinal);
        }
        await using (SqliteStore store = await SqliteStore.OpenAsync(path, new SqliteStoreOptions(), s_none))
        {
            Assert.Equal((revision, incarnation), (store.CurrentRevision, store.Incarnation));
            Assert.Equal("1", Encoding.UTF8.GetString((await store.GetAsync(Key("a"), s_none))!.Value.Span));
        }
        await SqliteStore.BeginNewHistoryAsync(path, s_none);
        await using (SqliteStore store = await SqliteStore.OpenAsync(path, new SqliteStoreOptions(), s_none))
        {
            Assert.NotEqual(incarnation, store.Incarnation);
            Assert.Equal(2, store.Epoch);
            Assert.True(store.CurrentRevision > revision);
            await foreach (StoreEvents batch in store.WatchAsync(Key("a"), Key("b"), revision, s_none))
                Assert.Equal(StoreError.Compacted, batch.Error);
        }
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_damaged_file_is_recognised_and_can_be_put_aside()
    {
        string folder = Directory.CreateTempSubdirectory("atoll-test-").FullName;
        string path = Path.Combine(folder, "a.db");
        await File.WriteAllBytesAsync(path, Encoding.ASCII.GetBytes(new string('x', 8192)), s_none);
        await Assert.ThrowsAsync<StoreCorruptException>(() => SqliteStore.OpenAsync(path, new SqliteStoreOptions(), s_none));
        Assert.True(File.Exists(SqliteStore.MoveAside(path)));
        await using (SqliteStore store = await SqliteStore.OpenAsync(path, new SqliteStoreOptions(), s_none))
            Assert.Equal(StoreError.None, (await Put(store, "a", "1")).Error);
        Directory.Delete(folder, recursive: true);
    }

    [Fact]
    public async Task A_scan_below_the_compaction_of_everything_says_so()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        long old = (await Put(store, "a", "1")).Revision;
        long gone = (await store.TransactAsync(new StoreTransaction([], [new StoreWrite(Key("a"), null)]), s_none)).Revision;
        await store.CompactAsync(gone, s_none);
        Assert.Equal(StoreError.Compacted, (await store.ScanAsync(old, () => (_, _, _) => { }, s_none)).Error);
        Assert.Equal((gone, StoreError.None), await store.ScanAsync(gone, () => (_, _, _) => Assert.Fail("nothing is left"), s_none));
    }

    [Fact]
    public async Task Oversized_keys_values_and_transactions_are_refused()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        Assert.Equal(StoreError.TooLarge, (await Put(store, new string('k', 1025), "v")).Error);
        Assert.Equal(StoreError.TooLarge, (await store.TransactAsync(new StoreTransaction([], [new StoreWrite(Key("k"), new byte[(3 << 20) + 1])]), s_none)).Error);
        Assert.Equal(StoreError.TooLarge, (await store.TransactAsync(new StoreTransaction([], [.. Enumerable.Range(0, 1001).Select(i => new StoreWrite(Key($"{i}"), Key("v")))]), s_none)).Error);
    }

    [Fact]
    public async Task A_million_revisions_of_few_keys_keep_the_file_small()
    {
        string folder = Directory.CreateTempSubdirectory("atoll-test-").FullName;
        string path = Path.Combine(folder, "a.db");
        byte[] value = new byte[100];
        await using (SqliteStore store = await SqliteStore.OpenAsync(path, new SqliteStoreOptions { Durable = false }, s_none))
        {
            long start = store.CurrentRevision;
            var waiting = new Queue<Task<StoreResult>>();
            for (int i = 0; i < 1_000_000; i++)
            {
                waiting.Enqueue(store.TransactAsync(new StoreTransaction([], [new StoreWrite(Key($"key-{i % 20}"), value)]), s_none).AsTask());
                if (waiting.Count >= 2000)
                    await waiting.Dequeue();
            }
            await Task.WhenAll(waiting);
            Assert.Equal(1_000_000, store.CurrentRevision - start);
            long bytes = Directory.GetFiles(folder).Sum(f => new FileInfo(f).Length);
            Assert.InRange(bytes, 1, 32 << 20);
        }
        Assert.InRange(Directory.GetFiles(folder).Sum(f => new FileInfo(f).Length), 1, 20 << 20);
        Directory.Delete(folder, recursive: true);
    }

    private static byte[] Key(string text) => Encoding.UTF8.GetBytes(text);

    private static ValueTask<StoreResult> Put(SqliteStore store, string key, string value) =>
        store.TransactAsync(new StoreTransaction([], [new StoreWrite(Key(key), Key(value))]), s_none);

    private sealed class Model(long start)
    {
        private readonly List<(long Revision, SortedDictionary<string, (string Value, long Created, long Modified)> State)> _states = [(start, [])];
        private long _compacted;

        public async Task TransactAsync(SqliteStore store, (int Key, int Value, bool Delete)[] writes, int compareKey, bool compare, bool right)
        {
            (long revision, SortedDictionary<string, (string Value, long Created, long Modified)> state) = _states[^1];
            var next = new SortedDictionary<string, (string, long, long)>(state, StringComparer.Ordinal);
            bool changed = false;
            var distinct = writes.DistinctBy(w => w.Key).ToList();
            foreach ((int key, int value, bool delete) in distinct)
            {
                changed |= delete ? next.Remove($"k{key}") : true;
                if (!delete)
                    next[$"k{key}"] = ($"{value}", state.TryGetValue($"k{key}", out var old) ? old.Created : revision + 1, revision + 1);
            }
            long expected = state.TryGetValue($"k{compareKey}", out var current) ? current.Modified : 0;
            StoreResult result = await store.TransactAsync(new StoreTransaction(
                compare ? [new StoreCompare(Key($"k{compareKey}"), right ? expected : expected + 1)] : [],
                [.. distinct.Select(w => new StoreWrite(Key($"k{w.Key}"), w.Delete ? (ReadOnlyMemory<byte>?)null : Key($"{w.Value}")))]), s_none);
            if (compare && !right)
            {
                Assert.Equal(StoreError.CompareFailed, result.Error);
                return;
            }
            Assert.Equal((StoreError.None, changed ? revision + 1 : revision), (result.Error, result.Revision));
            if (changed)
                _states.Add((revision + 1, next));
        }

        public async Task CompactAsync(SqliteStore store, int back)
        {
            long to = _states[Math.Max(0, _states.Count - 1 - back)].Revision;
            await store.CompactAsync(to, s_none);
            _compacted = Math.Max(_compacted, to);
        }

        public async Task CheckAsync(SqliteStore store, int back)
        {
            var (revision, state) = _states[Math.Max(0, _states.Count - 1 - back)];
            StoreRange range = await store.RangeAsync(Key("k"), Key("l"), 0, revision, s_none);
            var scanned = new ConcurrentBag<(string, string, long)>();
            (long at, StoreError error) = await store.ScanAsync(revision, () => (key, value, modified) => scanned.Add((Encoding.UTF8.GetString(key), Encoding.UTF8.GetString(value), modified)), s_none);
            if (revision < _compacted)
            {
                Assert.Equal((StoreError.Compacted, StoreError.Compacted), (range.Error, error));
                return;
            }
            Assert.Equal((revision, StoreError.None), (at, error));
            Assert.Equal(state.Select(p => (p.Key, p.Value.Value, p.Value.Modified)), scanned.Where(e => e.Item1.StartsWith('k')).OrderBy(e => e.Item1, StringComparer.Ordinal));
            Assert.Equal(state.Select(p => (p.Key, p.Value.Value, p.Value.Created, p.Value.Modified)), range.Entries.Select(e => (Encoding.UTF8.GetString(e.Key.Span), Encoding.UTF8.GetString(e.Value.Span), e.CreateRevision, e.ModRevision)));
            StoreRange page = await store.RangeAsync(Key("k"), Key("l"), 2, revision, s_none);
            Assert.Equal((Math.Min(2, state.Count), state.Count > 2), (page.Entries.Count, page.More));
            await CheckWatchAsync(store, revision, state);
        }

        // Replaying the watch on top of an old state gives each later state, and Previous is what was there.
        private async Task CheckWatchAsync(SqliteStore store, long revision, SortedDictionary<string, (string Value, long Created, long Modified)> state)
        {
            long newest = _states[^1].Revision;
            if (revision == newest)
                return;
            var replay = new SortedDictionary<string, (string, long, long)>(state, StringComparer.Ordinal);
            await foreach (StoreEvents batch in store.WatchAsync(Key("k"), Key("l"), revision, s_none))
            {
                foreach (StoreEvent e in batch.Events)
                {
                    string key = Encoding.UTF8.GetString(e.Key.Span);
                    Assert.Equal(replay.TryGetValue(key, out var old), e.Previous is not null);
                    if (e.Previous is { } p)
                        Assert.Equal(old, (Encoding.UTF8.GetString(p.Value.Span), p.CreateRevision, p.ModRevision));
                    if (e.Value is { } value)
                        replay[key] = (Encoding.UTF8.GetString(value.Span), e.CreateRevision, e.Revision);
                    else
                        replay.Remove(key);
                }
                if (batch.Revision >= newest)
                    break;
            }
            Assert.Equal(_states[^1].State, replay);
        }
    }
}
