using System.IO.Pipelines;
using System.Text;
using Atoll.Agent.Members;
using Atoll.Agent.Uplink;
using Atoll.Link;
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
        var receiver = new CopyReceiver(_follower, term: 3, _leader.Incarnation, NotTold);
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

    [Theory]
    [InlineData(7, true)]
    [InlineData(5, false)]
    public async Task What_the_leader_never_heard_of_is_told_to_it_and_stays_as_far_as_that_takes_it(long followed, bool isAhead)
    {
        await WriteAsync(_leader, LinkRecords.SequenceKey, LinkRecords.Write(new LinkSequence("h", 5)));
        await WriteAsync(_follower, LinkRecords.SequenceKey, LinkRecords.Write(new LinkSequence("h", followed)));
        foreach (string uid in (string[])["kept", "refused"])
        {
            await WriteAsync(_follower, LinkRecords.Key(LinkRecords.HeldPrefix, uid), LinkRecords.Write(new HeldItem("pods", $"default/{uid}", uid, 9)));
            await PutAsync(_follower, $"/registry/core/pods/default/{uid}", $$$"""{"metadata":{"name":"{{{uid}}}","uid":"{{{uid}}}"}}""");
        }
        await PutAsync(_follower, "/registry/core/pods/default/own", """{"metadata":{"name":"own","uid":"own"}}""");
        var told = new List<string>();
        // Without an answer nothing is given up, and it is asked again.
        bool answers = false;
        CopyReceiver Receiver() => new(_follower, term: 3, _leader.Incarnation, (sequence, unheard) =>
        {
            Assert.Equal(new LinkSequence("h", followed), sequence);
            told = [.. UnheardItems.Read(unheard).Select(u => u.Held.Uid)];
            return Task.FromResult<IReadOnlyCollection<string>?>(answers ? ["kept"] : null);
        });
        if (isAhead)
        {
            await Assert.ThrowsAsync<IOException>(async () => await FollowAsync(Send(resumes: false, 0).Stream, Receiver()));
            Assert.NotNull(await GetAsync("/registry/core/pods/default/refused"));
        }
        answers = true;
        await FollowAsync(Send(resumes: false, 0).Stream, Receiver());
        Assert.Equal(isAhead ? ["kept", "refused"] : [], told);
        Assert.Equal(isAhead, await GetAsync("/registry/core/pods/default/kept") is not null);
        Assert.Equal(isAhead, await _follower.GetAsync(LinkRecords.Key(LinkRecords.HeldPrefix, "kept"), _stop.Token) is not null);
        Assert.Equal((null, null), (await GetAsync("/registry/core/pods/default/refused"), await GetAsync("/registry/core/pods/default/own")));
        Assert.Equal(5, LinkRecords.ReadSequence((await _follower.GetAsync(LinkRecords.SequenceKey, _stop.Token))!.Value.Span).Revision);
    }

    [Fact]
    public async Task Who_leads_after_another_takes_nothing_for_told_and_who_led_before_too_does()
    {
        ReadOnlyMemory<byte> acked = LinkRecords.Key(LinkRecords.AckedPrefix, "p");
        foreach ((CopyPosition before, bool stays) in ((CopyPosition, bool)[])[(new(4, 9, "i", Led: true), true), (new(5, 9, "i", Led: true), true), (new(3, 9, "i", Led: true), false), (new(4, 9, "i", Led: false), false)])
        {
            await WriteAsync(_leader, acked, LinkRecords.WriteHash(1));
            await SiteRecords.WriteAsync(_leader, _stop.Token, SiteRecords.Write(before));
            await SiteRecords.WriteAsync(_leader, _stop.Token, [.. await SiteRecords.LedAsync(_leader, 5, _stop.Token)]);
            Assert.Equal(stays, await _leader.GetAsync(acked, _stop.Token) is not null);
            CopyPosition position = await SiteRecords.PositionAsync(_leader, _stop.Token);
            Assert.Equal((5, true), (position.Term, position.Led));
        }
    }

    [Fact]
    public async Task A_broken_stream_is_named_and_changes_nothing()
    {
        byte[] frame = CopyFrames.Write(CopyFrame.Changes, 1, [new StoreWrite("/registry/x"u8.ToArray(), "v"u8.ToArray())]);
        await Assert.ThrowsAsync<EndOfStreamException>(async () => await CopyFrames.ReadAsync(new MemoryStream(frame[..^1]), _stop.Token));
        frame[13] = 200;
        await Assert.ThrowsAsync<InvalidDataException>(async () => await CopyFrames.ReadAsync(new MemoryStream(frame), _stop.Token));
        var receiver = new CopyReceiver(_follower, 1, "i", NotTold);
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

    private static Task<IReadOnlyCollection<string>?> NotTold(LinkSequence sequence, List<StoreWrite> unheard) => throw new InvalidOperationException("there is nothing to tell");

    private async Task WriteAsync(SqliteStore store, ReadOnlyMemory<byte> key, byte[] value) => await store.TransactAsync(new StoreTransaction([], [new StoreWrite(key, value)]), _stop.Token);

    private async Task PutAsync(SqliteStore store, string key, string? value) =>
        await store.TransactAsync(new StoreTransaction([], [new StoreWrite(Encoding.UTF8.GetBytes(key), value is null ? default(ReadOnlyMemory<byte>?) : Encoding.UTF8.GetBytes(value))]), _stop.Token);

    private async Task<string?> GetAsync(string key) => await _follower.GetAsync(Encoding.UTF8.GetBytes(key), _stop.Token) is { } entry ? Encoding.UTF8.GetString(entry.Value.Span) : null;

    private async Task<int> CountAsync(string prefix) => (await _follower.RangeAsync(Encoding.UTF8.GetBytes(prefix), Encoding.UTF8.GetBytes(prefix[..^1] + "0"), 0, 0, _stop.Token)).Entries.Count;
}
