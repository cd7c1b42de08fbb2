using System.Text;
using Atoll.Store;
using Atoll.Store.Sqlite;

namespace Atoll.UnitTests.Store;

/// <summary>What the writer remembers of rows: the newest, within its bound, and nothing of what was rolled back.</summary>
public sealed class RecentRowsTests
{
    [Fact]
    public void It_keeps_what_was_used_lately_and_never_more_than_its_bound()
    {
        const int Value = 1000, Bound = 100_000;
        var rows = new RecentRows(Bound);
        byte[] used = Key(0);
        rows.Put(used, Row(0));
        int kept = 0;
        for (int i = 1; i < 1000; i++)
        {
            rows.Put(Key(i), Row(i));
            Assert.True(rows.TryGet(Key(0), out RecentRows.Row same) && same.Id == 0, "what is asked for stays");
            Assert.True(rows.TryGet(Key(i), out RecentRows.Row newest) && newest.Id == i);
        }
        for (int i = 0; i < 1000; i++)
            kept += rows.TryGet(Key(i), out _) ? 1 : 0;
        Assert.InRange(kept * Value, Value, Bound);
        rows.Put(used, default);
        Assert.True(rows.TryGet(used, out RecentRows.Row gone) && gone.Entry is null, "that there is no row is known too");
        rows.Clear();
        Assert.False(rows.TryGet(used, out _));

        static byte[] Key(int i) => Encoding.UTF8.GetBytes($"key-{i}");
        static RecentRows.Row Row(int i) => new(i, new StoreEntry(Key(i), new byte[Value], 1, i));
    }

    [Fact]
    public async Task A_key_that_is_written_deleted_and_made_again_compares_as_it_is()
    {
        await using SqliteStore store = await SqliteStore.OpenInMemoryAsync();
        byte[] key = "k"u8.ToArray();
        StoreResult made = await WriteAsync(0, "a");
        Assert.Equal(StoreError.CompareFailed, (await WriteAsync(0, "b")).Error);
        StoreResult changed = await WriteAsync(made.Revision, "b");
        Assert.Equal(StoreError.CompareFailed, (await WriteAsync(made.Revision, "c")).Error);
        StoreResult deleted = await WriteAsync(changed.Revision, null);
        Assert.Equal(StoreError.CompareFailed, (await WriteAsync(deleted.Revision, "c")).Error);
        StoreResult again = await WriteAsync(0, "c");
        Assert.Equal(StoreError.None, again.Error);
        StoreEntry entry = (await store.GetAsync(key, TestContext.Current.CancellationToken))!;
        Assert.Equal((again.Revision, again.Revision, "c"), (entry.CreateRevision, entry.ModRevision, Encoding.UTF8.GetString(entry.Value.Span)));

        async Task<StoreResult> WriteAsync(long over, string? value) => await store.TransactAsync(
            new StoreTransaction([new StoreCompare(key, over)], [new StoreWrite(key, value is null ? (ReadOnlyMemory<byte>?)null : Encoding.UTF8.GetBytes(value))]), TestContext.Current.CancellationToken);
    }
}
