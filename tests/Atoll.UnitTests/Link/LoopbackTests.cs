using System.Net.Sockets;
using System.Text;
using Atoll.Link;

namespace Atoll.UnitTests.Link;

/// <summary>Both ends over real loopback TCP, TLS 1.3 with client certificates, Kestrel and WebSocket.</summary>
public sealed class LoopbackTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task Scope_goes_down_and_outcomes_go_up()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        server.Owner.Items["u1"] = new LinkItem("pods", "default/a", "u1", 5, "{\"a\":1}"u8.ToArray());
        server.Owner.Revision = 5;
        await using TestSite site = new(server);
        await site.Owner.Until(() => site.Owner.State == LinkState.Live && site.Owner.Held.ContainsKey("u1"));

        byte[] big = new byte[300_000];
        new Random(1).NextBytes(big);
        server.Owner.Put(new LinkItem("secrets", "default/big", "u2", 6, big));
        await site.Owner.Until(() => site.Owner.Held.TryGetValue("u2", out LinkItem? item) && item.Body.Span.SequenceEqual(big));

        site.Report(new Outcome(1, "u1", "pods", "default/a", "status", "{\"phase\":\"Running\"}"u8.ToArray()));
        await server.Owner.Until(() => server.Owner.Outcomes.ContainsKey("u1"));
        await site.Owner.Until(() => site.Owner.Outbox.IsEmpty);
        Assert.Equal(new LinkSequence(server.Owner.Incarnation, 6), site.Owner.Sequence);
    }

    [Fact]
    public async Task A_change_that_was_slow_to_reach_the_owner_is_not_taken_for_one_of_the_scope_that_it_gave()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        server.Owner.Items["u1"] = new LinkItem("configmaps", "default/a", "u1", 11, "{\"a\":1}"u8.ToArray());
        // The owner's store is at 50; what it has not yet seen of it, a change at 40, comes once the scope is read.
        (server.Owner.Revision, server.Owner.ChangesAfter) = (50, 0);
        server.Owner.Opened = () =>
        {
            server.Owner.Items["u1"] = new LinkItem("configmaps", "default/a", "u1", 12, "{\"a\":2}"u8.ToArray());
            server.Owner.Current!.Post(new ScopeChange(40, [new ItemVersion("u1", 12)], []));
        };
        await using TestSite site = new(server);
        await site.Owner.Until(() => site.Owner.State == LinkState.Live && site.Owner.Held.TryGetValue("u1", out LinkItem? item) && item.Version == 12);
        server.Owner.Items["u2"] = new LinkItem("configmaps", "default/b", "u2", 13, "{}"u8.ToArray());
        server.Owner.Opened = () => server.Owner.Current!.Post(new ScopeChange(41, [new ItemVersion("u2", 13)], []));
        server.Owner.Current!.Close(LinkError.GoingAway);
        await site.Owner.Until(() => site.Owner.LiveCount == 2 && site.Owner.Held.ContainsKey("u2"));
    }

    [Fact]
    public async Task An_owner_that_posts_under_a_lock_which_its_reads_take_does_not_stop_the_session()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        await using TestSite site = new(server);
        await site.Owner.Until(() => site.Owner.State == LinkState.Live);
        using ManualResetEventSlim inRead = new(), posted = new();
        server.Owner.Reading = () =>
        {
            inRead.Set();
            // What a lock of the owner's would be: this read goes on when the posting thread has let go.
            Assert.True(posted.Wait(Limit));
        };
        server.Owner.Put(new LinkItem("pods", "default/a", "u1", 1, "{}"u8.ToArray()));
        Assert.True(await Task.Run(() => inRead.Wait(Limit)));
        await Task.Run(() => server.Owner.Put(new LinkItem("pods", "default/b", "u2", 2, "{}"u8.ToArray()))).WaitAsync(Limit);
        posted.Set();
        // And what was posted meanwhile is not forgotten.
        await site.Owner.Until(() => site.Owner.Held.ContainsKey("u1") && site.Owner.Held.ContainsKey("u2"));
    }

    [Fact]
    public async Task A_site_that_holds_more_than_the_parent_told_this_session_greets_anew_and_the_parent_says_what_of_it_stays()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        server.Owner.Items["u1"] = new LinkItem("pods", "default/a", "u1", 5, "{}"u8.ToArray());
        server.Owner.Revision = 9;
        await using TestSite site = new(server);
        await site.Owner.Until(() => site.Owner.State == LinkState.Live && site.Owner.Held.ContainsKey("u1"));
        site.Owner.Held["u2"] = new LinkItem("pods", "default/b", "u2", 7, "{}"u8.ToArray());
        site.Link.GreetAnew();
        await site.Owner.Until(() => site.Owner.LiveCount == 2 && !site.Owner.Held.ContainsKey("u2"));
        Assert.True(site.Owner.Held.ContainsKey("u1"));
    }

    [Fact]
    public async Task Reconnect_without_changes_costs_a_few_hundred_bytes()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        for (int i = 1; i <= 200; i++)
            server.Owner.Items[$"u{i}"] = new LinkItem("pods", $"default/p{i}", $"u{i}", i, Encoding.UTF8.GetBytes($"{{\"n\":{i}}}"));
        server.Owner.Revision = 200;
        await using TestSite site = new(server);
        await site.Owner.Until(() => site.Owner.Held.Count == 200 && site.Owner.State == LinkState.Live);

        long before = site.Link.Traffic.Sent(LinkClass.Session) + site.Link.Traffic.Received(LinkClass.Session);
        server.Owner.Current!.Close(LinkError.GoingAway);
        await site.Owner.Until(() => site.Owner.LiveCount == 2);
        long cost = site.Link.Traffic.Sent(LinkClass.Session) + site.Link.Traffic.Received(LinkClass.Session) - before;
        Assert.InRange(cost, 1, 200);
        // Upgrade request and answer, WebSocket frames, hello, welcome: all that a reconnect costs inside TLS.
        Assert.InRange(site.Dialer.Line.Sent + site.Dialer.Line.Received, 1, 1024);
    }

    [Fact]
    public async Task A_tunnel_stream_reaches_a_unix_socket_at_the_site_and_half_closes()
    {
        string path = Path.Combine(Path.GetTempPath(), $"atoll-{Environment.ProcessId}-{Random.Shared.Next():x}.sock");
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen();
        Task echo = EchoUntilEndAsync(listener);
        await using LinkServer server = await LinkServer.StartAsync();
        await using TestSite site = new(server, TunnelServer.ToUnixSocket(path));
        await site.Owner.Until(() => site.Owner.State == LinkState.Live);

        LinkStream stream = server.Owner.Current!.Open(LinkClass.Tunnel, "api");
        byte[] sent = new byte[1_000_000];
        new Random(2).NextBytes(sent);
        Task writing = Task.Run(async () =>
        {
            await stream.WriteAsync(sent);
            stream.CompleteWrites();
        });
        using MemoryStream received = new();
        await stream.CopyToAsync(received).WaitAsync(Limit);
        await writing.WaitAsync(Limit);
        await echo.WaitAsync(Limit);
        // The echo ended only after it saw our half-close: everything came back, then the end.
        Assert.True(received.ToArray().AsSpan().SequenceEqual(sent));
        File.Delete(path);
    }

    [Fact]
    public async Task A_parent_of_another_authority_is_refused()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        using TestCertificates others = new();
        await using TestSite site = new(server, identity: new LinkIdentity(server.Certificates.Client, [others.Authority]));
        await site.Owner.Until(() => site.Owner.LastError == LinkError.Unauthenticated);
    }

    [Fact]
    public async Task A_site_of_another_authority_is_refused()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        using TestCertificates others = new();
        await using TestSite site = new(server, identity: new LinkIdentity(others.Client, [server.Certificates.Authority]));
        await site.Owner.Until(() => site.Owner.LastError is LinkError.Unauthenticated or LinkError.Unreachable);
        Assert.Equal(0, site.Owner.LiveCount);
    }

    [Fact]
    public async Task A_refused_site_is_told_why()
    {
        await using LinkServer server = await LinkServer.StartAsync();
        server.Owner.Refuse = LinkError.Revoked;
        await using TestSite site = new(server);
        await site.Owner.Until(() => site.Owner.LastError == LinkError.Revoked);
    }

    private static async Task EchoUntilEndAsync(Socket listener)
    {
        using Socket socket = await listener.AcceptAsync();
        using NetworkStream stream = new(socket);
        await stream.CopyToAsync(stream);
        socket.Shutdown(SocketShutdown.Send);
    }
}
