using System.IO.Pipelines;
using System.Text;
using Atoll.Agent.Members;
using Atoll.Store;
using Atoll.Store.Sqlite;

namespace Atoll.UnitTests.Agent.Members;

/// <summary>A follower's store becomes and stays the leader's, as far as it is to be.</summary>
public sealed class CopyTests : IAsyncLifetime
{
    private readonly CancellationTokenSource _stop = new(TimeSpan.FromSeconds(30));
    private SqliteStore _leader = null!, _follower = null!;

    public async ValueTask InitializeAsync()
    {
        _leader = await SqliteStore.OpenInMemoryAsync();
        _follower = await SqliteStore.OpenInMemoryAsync();
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _leader.DisposeAsync();
        await _follower.DisposeAsync();
        _stop.Dispose();
    }

    [Fact]
    public async Task Everything_shared_is_copied_what_is_the_nodes_own_stays_and_changes_follow()
    {
        for (int i = 0; i < 450; i++)
            await PutAsync(_leader, $"/registry/core/pods/default/p{i:000}", $"{i}");
        await PutAsync(_leader, "/link/sequence", "s");
        await PutAsync(_leader, "/events/core/events/e", "no");
        await PutAsync(_leader, "/node/voter", "leader's");
        await PutAsync(_follower, "/registry/core/pods/default/stale", "gone");
        await PutAsync(_follower, "/registry/core/pods/default/p001", "older");
        await PutAsync(_follower, "/node/voter", "mine");
        (Task sending, Stream stream, CancellationTokenSource end) = Send(resumes: false, 0);
        var receiver = new CopyReceiver(_follower, term: 3, _leader.Incarnation);
        CopyPosition position = await FollowAsync(stream, receiver);
        Assert.Equal((3L, _leader.CurrentRevision, false), (position.Term, position.Revision, position.Led));
        Assert.Equal(450, await CountAsync("/registry/"));
        Assert.Equal("1", await GetAsync("/registry/core/pods/default/p001"));
        Assert.Equal(("s", null, "mine"), (await GetAsync("/link/sequence"), await GetAsync("/events/core/events/e"), await GetAsync("/node/voter")));
        Assert.Equal(position, await SiteRecords.PositionAsync(_follower, _stop.Token));

        await PutAsync(_leader, "/registry/core/pods/default/p000", "new");
        await PutAsync(_leader, "/registry/core/pods/default/p002", null);
        do
            position = await FollowAsync(stream, receiver);
        while (position.Revision < _leader.CurrentRevision);
        Assert.Equal(("new", null), (await GetAsync("/registry/core/pods/default/p000"), await GetAsync("/registry/core/pods/default/p002")));
        await end.CancelAsync();
        await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);

        // It comes again to the same leader: only what it missed.
        await PutAsync(_leader, "/registry/core/pods/default/p003", "missed");
        (sending, stream, end) = Send(resumes: true, position.Revision);
        (CopyFrame kind, _, List<StoreWrite> entries) = (await CopyFrames.ReadAsync(stream, _stop.Token))!.Value;
        Assert.Equal(CopyFrame.Changes, kind);
        Assert.Equal("/registry/core/pods/default/p003", Encoding.UTF8.GetString(Assert.Single(entries).Key.Span));
        // Only now is its copy whole.
        Assert.Equal(CopyFrame.Alive, (await CopyFrames.ReadAsync(stream, _stop.Token))!.Value.Kind);
        await end.CancelAsync();
        await sending.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ContinueOnCapturedContext);
    }

    [Fact]
    public async Task A_broken_stream_is_named_and_changes_nothing()
    {
        byte[] frame = CopyFrames.Write(CopyFrame.Changes, 1, [new StoreWrite("/registry/x"u8.ToArray(), "v"u8.ToArray())]);
        await Assert.ThrowsAsync<EndOfStreamException>(async () => await CopyFrames.ReadAsync(new MemoryStream(frame[..^1]), _stop.Token));
        frame[13] = 200;
        await Assert.ThrowsAsync<InvalidDataException>(async () => await CopyFrames.ReadAsync(new MemoryStream(frame), _stop.Token));
        var receiver = new CopyReceiver(_follower, 1, "i");
        await Assert.ThrowsAsync<InvalidDataException>(() => receiver.ApplyAsync(CopyFrame.End, 1, [], _stop.Token));
        await Assert.ThrowsAsync<InvalidDataException>(() => receiver.ApplyAsync(CopyFrame.Changes, 1, [new StoreWrite("/node/voter"u8.ToArray(), "theirs"u8.ToArray())], _stop.Token));
        Assert.Null(await GetAsync("/node/voter"));
    }

    private (Task Sending, Stream Stream, CancellationTokenSource End) Send(bool resumes, long after)
    {
        var pipe = new Pipe();
        var end = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        return (CopySender.SendAsync(_leader, resumes, after, pipe.Writer.AsStream(), TimeSpan.FromSeconds(20), TimeProvider.System, end.Token), pipe.Reader.AsStream(), end);
    }

    private async Task<CopyPosition> FollowAsync(Stream stream, CopyReceiver receiver)
    {
        while (await CopyFrames.ReadAsync(stream, _stop.Token) is { } frame)
            if (await receiver.ApplyAsync(frame.Kind, frame.Revision, frame.Entries, _stop.Token) is { } position)
                return position;
        throw new EndOfStreamException();
    }

    private async Task PutAsync(SqliteStore store, string key, string? value) =>
        await store.TransactAsync(new StoreTransaction([], [new StoreWrite(Encoding.UTF8.GetBytes(key), value is null ? default(ReadOnlyMemory<byte>?) : Encoding.UTF8.GetBytes(value))]), _stop.Token);

    private async Task<string?> GetAsync(string key) => await _follower.GetAsync(Encoding.UTF8.GetBytes(key), _stop.Token) is { } entry ? Encoding.UTF8.GetString(entry.Value.Span) : null;

    private async Task<int> CountAsync(string prefix) => (await _follower.RangeAsync(Encoding.UTF8.GetBytes(prefix), Encoding.UTF8.GetBytes(prefix[..^1] + "0"), 0, 0, _stop.Token)).Entries.Count;
}
