using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using Atoll.Cloud.Server;
using Atoll.Link;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Cloud;

/// <summary>The door of the centre: one at a time, the newest first, and none that waited too long.</summary>
public sealed class AdmissionTests
{
    [Fact]
    public async Task Turns_are_taken_one_after_the_other_and_end_at_their_first_wait()
    {
        const int Many = 500;
        var door = new Admission(TimeProvider.System, TimeSpan.FromMinutes(5), Many, isBusy: () => false);
        var line = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        int inside = 0, most = 0, waiting = 0;
        var sites = new List<Task>();
        for (int i = 0; i < Many; i++)
            sites.Add(Task.Run(SiteAsync, TestContext.Current.CancellationToken));
        // Nobody's line answers, and all had their turn all the same.
        while (Volatile.Read(ref waiting) < Many)
            await Task.Yield();
        line.SetResult();
        await Task.WhenAll(sites);
        Assert.Equal(1, most);

        async Task SiteAsync()
        {
            await door.EnterAsync(isSite: true, CancellationToken.None);
            most = Math.Max(most, Interlocked.Increment(ref inside));
            Thread.SpinWait(200);
            Interlocked.Decrement(ref inside);
            Interlocked.Increment(ref waiting);
            await line.Task;
        }
    }

    [Fact]
    public async Task Whoever_says_nothing_is_hung_up_on_and_whoever_was_stopped_for_twenty_seconds_is_not()
    {
        var time = new FakeTimeProvider();
        var door = new Door(new Admission(TimeProvider.System, TimeSpan.FromMinutes(5), 10, isBusy: () => false), time);
        var (slow, silent) = (new Pipe(), new Pipe());
        int entered = 0;
        Task first = PassAsync(slow), second = PassAsync(silent);
        time.Advance(TimeSpan.FromSeconds(20));
        await slow.Writer.WriteAsync("hello"u8.ToArray(), TestContext.Current.CancellationToken);
        await first;
        Assert.Equal((1, false), (entered, second.IsCompleted));
        time.Advance(Door.Patience);
        await second;
        Assert.Equal(1, entered);

        Task PassAsync(Pipe said) => door.PassAsync(new DefaultConnectionContext("c", new Pipes(said.Reader, said.Writer), new Pipes(said.Reader, said.Writer)), _ =>
        {
            Interlocked.Increment(ref entered);
            return Task.CompletedTask;
        });
    }

    private sealed record Pipes(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    /// <summary>While a centre reads its store: whoever dials has a connection, which waits for the server to take it from the same socket.</summary>
    [Fact]
    public async Task Connections_are_taken_before_anybody_accepts_them_and_an_address_in_use_is_named()
    {
        using Socket listening = CentreServer.Listen(new IPEndPoint(IPAddress.Loopback, 0));
        var address = (IPEndPoint)listening.LocalEndPoint!;
        using var site = new TcpClient();
        await site.ConnectAsync(address, TestContext.Current.CancellationToken);
        await site.GetStream().WriteAsync("early"u8.ToArray(), TestContext.Current.CancellationToken);
        IOException refused = Assert.Throws<IOException>(() => CentreServer.Listen(address));
        Assert.Contains($"cannot listen at {address}", refused.Message, StringComparison.Ordinal);
        Assert.Contains("--listen", refused.Message, StringComparison.Ordinal);
        using Socket taken = await listening.AcceptAsync(TestContext.Current.CancellationToken);
        byte[] said = new byte[5];
        Assert.Equal(5, await taken.ReceiveAsync(said, TestContext.Current.CancellationToken));
        Assert.Equal("early"u8.ToArray(), said);
    }

    [Fact]
    public async Task The_newest_comes_first_and_whoever_waited_too_long_or_is_one_too_many_is_turned_away()
    {
        var time = new FakeTimeProvider();
        var door = new Admission(time, TimeSpan.FromSeconds(3), most: 3, isBusy: () => false);
        var called = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var go = new ManualResetEventSlim();
        var order = new List<string>();
        Task slow = EnterAsync("slow", () => { called.SetResult(); go.Wait(); });
        await called.Task;
        Task late = EnterAsync("late");
        time.Advance(TimeSpan.FromSeconds(4));
        Task early = EnterAsync("early"), newest = EnterAsync("newest");
        await Assert.ThrowsAsync<IOException>(() => EnterAsync("one too many"));
        go.Set();
        await slow;
        await Task.WhenAll(early, newest);
        await Assert.ThrowsAsync<IOException>(() => late);
        Assert.Equal(["slow", "newest", "early"], order);

        async Task EnterAsync(string name, Action? turn = null)
        {
            await door.EnterAsync(isSite: true, CancellationToken.None);
            order.Add(name);
            turn?.Invoke();
        }
    }

    [Fact]
    public async Task Nothing_is_computed_for_whoever_has_left()
    {
        var door = new Admission(TimeProvider.System, TimeSpan.FromMinutes(5), most: 3, isBusy: () => false);
        var called = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        using var go = new ManualResetEventSlim();
        using var left = new CancellationTokenSource();
        Task slow = SlowAsync();
        await called.Task;
        Task gone = EnterAsync(left.Token), there = EnterAsync(CancellationToken.None);
        await left.CancelAsync();
        go.Set();
        await Task.WhenAll(slow, there);
        await Assert.ThrowsAsync<IOException>(() => gone);

        async Task SlowAsync()
        {
            await door.EnterAsync(isSite: true, CancellationToken.None);
            called.SetResult();
            go.Wait();
        }

        async Task EnterAsync(CancellationToken token) => await door.EnterAsync(isSite: true, token);
    }

    [Fact]
    public async Task A_door_full_of_sites_is_open_for_people_and_those_that_left_take_no_turn()
    {
        // It stands still: while it is busy, one site is called in at first and no other.
        var time = new FakeTimeProvider();
        var door = new Admission(time, TimeSpan.FromDays(1), most: 4, isBusy: () => true);
        time.Advance(TimeSpan.FromSeconds(1));
        using var left = new CancellationTokenSource();
        await EnterAsync(isSite: true);
        Task there = EnterAsync(isSite: true);
        Task[] gone = [EnterAsync(isSite: true, left.Token), EnterAsync(isSite: true, left.Token), EnterAsync(isSite: true, left.Token)];
        await Assert.ThrowsAsync<IOException>(() => EnterAsync(isSite: true));
        await EnterAsync(isSite: false);
        await left.CancelAsync();
        // The next and only one that is called in is the one that is there, though three who left came after it.
        time.Advance(TimeSpan.FromMilliseconds(25));
        await EnterAsync(isSite: false);
        await there.WaitAsync(TestContext.Current.CancellationToken);
        foreach (Task one in gone)
            await Assert.ThrowsAsync<IOException>(() => one);

        async Task EnterAsync(bool isSite, CancellationToken token = default) => await door.EnterAsync(isSite, token);
    }

    [Fact]
    public async Task People_come_before_sites_and_sites_only_while_little_waits_for_a_thread()
    {
        var time = new FakeTimeProvider();
        bool isBusy = true;
        var door = new Admission(time, TimeSpan.FromDays(1), most: 10, () => Volatile.Read(ref isBusy));
        Task site = EnterAsync(isSite: true);
        await EnterAsync(isSite: false);
        Assert.False(site.IsCompleted);
        // However busy it is, now and then one.
        while (!site.IsCompleted)
        {
            time.Advance(TimeSpan.FromMilliseconds(5));
            await Task.Yield();
        }
        await site;
        Volatile.Write(ref isBusy, false);
        await EnterAsync(isSite: true);

        async Task EnterAsync(bool isSite) => await door.EnterAsync(isSite, CancellationToken.None);
    }

    [Theory]
    [InlineData(true, true)]
    [InlineData(true, false)]
    [InlineData(false, false)]
    public async Task A_site_is_known_by_its_greeting(bool isSite, bool inPieces)
    {
        var greeting = new MemoryStream();
        var line = new Line(greeting);
        await using (var tls = new SslStream(line))
        {
            List<SslApplicationProtocol> protocols = isSite ? [SslApplicationProtocol.Http11, LinkDialer.Protocol] : [SslApplicationProtocol.Http2, SslApplicationProtocol.Http11];
            await Assert.ThrowsAsync<IOException>(() => tls.AuthenticateAsClientAsync(new SslClientAuthenticationOptions { TargetHost = "centre", ApplicationProtocols = protocols }, TestContext.Current.CancellationToken));
        }
        byte[] bytes = greeting.ToArray();
        Assert.Equal(isSite, Door.Names(inPieces ? Split(bytes, bytes.AsSpan().IndexOf("atoll"u8) + 3) : new ReadOnlySequence<byte>(bytes), LinkDialer.Protocol.Protocol.Span));
    }

    private static ReadOnlySequence<byte> Split(byte[] bytes, int at)
    {
        Piece first = new(bytes.AsMemory(..at), null), second = new(bytes.AsMemory(at..), first);
        return new ReadOnlySequence<byte>(first, 0, second, second.Memory.Length);
    }

    private sealed class Piece : ReadOnlySequenceSegment<byte>
    {
        public Piece(ReadOnlyMemory<byte> memory, Piece? before)
        {
            Memory = memory;
            if (before is null)
                return;
            before.Next = this;
            RunningIndex = before.RunningIndex + before.Memory.Length;
        }
    }

    /// <summary>Takes what is said and never answers.</summary>
    private sealed class Line(MemoryStream said) : Stream
    {
        public override bool CanRead => true;

        public override bool CanWrite => true;

        public override bool CanSeek => false;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override int Read(byte[] buffer, int offset, int count) => 0;

        public override void Write(byte[] buffer, int offset, int count) => said.Write(buffer, offset, count);

        public override void Flush()
        {
        }

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();
    }
}
