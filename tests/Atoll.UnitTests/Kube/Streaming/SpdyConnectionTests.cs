using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Atoll.Kube.Streaming.Spdy;
using CsCheck;

namespace Atoll.UnitTests.Kube.Streaming;

/// <summary>Two ends of a connection over a real socket: windows, back-pressure, half-close, resets and peers that mean harm.</summary>
public sealed class SpdyConnectionTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);
    private static readonly Dictionary<string, string> Headers = new() { ["streamtype"] = "data" };

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_large_transfer_arrives_both_ways_and_half_close_holds(bool windows)
    {
        await using Ends ends = await Ends.StartAsync(windows);
        (SpdyStream client, SpdyStream server) = await ends.OpenAsync();
        byte[] up = RandomNumberGenerator.GetBytes(5_000_001), down = RandomNumberGenerator.GetBytes(3_000_007);
        Task send = SendAsync(client, up);
        Assert.Equal(SHA256.HashData(up), SHA256.HashData(await ReadAllAsync(server)));
        await send;
        // The client has finished; the server's direction still works.
        Task answer = SendAsync(server, down);
        Assert.Equal(SHA256.HashData(down), SHA256.HashData(await ReadAllAsync(client)));
        await answer;
        await UntilAsync(() => ends.Client.OpenStreams == 0 && ends.Server.OpenStreams == 0);
    }

    // One that missed the change stopped at the usual window, of which nobody announces a half.
    [Fact]
    public async Task A_stream_that_is_opened_while_the_peers_window_arrives_has_it()
    {
        byte[] data = new byte[300_000];
        for (int round = 0; round < 200; round++)
        {
            await using Ends ends = await Ends.StartAsync(windows: true);
            (SpdyStream client, SpdyStream server) = await ends.OpenAsync();
            Task send = SendAsync(client, data);
            Assert.Equal(data.Length, (await ReadAllAsync(server).WaitAsync(Limit / 4)).Length);
            await send;
        }
    }

    [Fact]
    public async Task With_windows_a_stream_that_is_not_read_holds_up_only_itself()
    {
        await using Ends ends = await Ends.StartAsync(windows: true);
        (SpdyStream stuck, SpdyStream unread) = await ends.OpenAsync();
        (SpdyStream free, SpdyStream read) = await ends.OpenAsync();
        Task blocked = SendAsync(stuck, new byte[8 * 1024 * 1024]);
        byte[] data = RandomNumberGenerator.GetBytes(6 * 1024 * 1024);
        Task send = SendAsync(free, data);
        Assert.Equal(SHA256.HashData(data), SHA256.HashData(await ReadAllAsync(read)));
        await send;
        Assert.False(blocked.IsCompleted);
        Assert.InRange(unread.Unread, 1, ends.Server.Options.StreamWindowBytes);
        Assert.Equal(8 * 1024 * 1024, (await ReadAllAsync(unread)).Length);
        await blocked;
    }

    [Fact]
    public async Task An_end_with_windows_tells_them_first_and_keeps_the_usual_one_until_it_is_told_the_peers()
    {
        await using Raw raw = await Raw.StartAsync(new SpdyOptions { IsServer = false, FlowControl = true });
        SpdyStream stream = await raw.Server.OpenStreamAsync(Headers, default);
        Task send = SendAsync(stream, new byte[300_000]);
        var types = new List<SpdyFrameType>();
        long data = 0;
        await raw.UntilAsync(frame =>
        {
            types.Add(frame.Type);
            return (data += frame.Type == SpdyFrameType.Data ? frame.Payload.Length : 0) >= SpdyLimits.DefaultWindowBytes;
        });
        Assert.Equal([SpdyFrameType.Settings, SpdyFrameType.WindowUpdate, SpdyFrameType.SynStream], types.Where(t => t != SpdyFrameType.Data));
        Assert.Equal(SpdyLimits.DefaultWindowBytes, data);
        Assert.False(send.IsCompleted);
        await raw.SendAsync([.. SpdyFrameEncoder.InitialWindow(400_000), .. SpdyFrameEncoder.Words(SpdyFrameType.WindowUpdate, 0, 400_000)]);
        await raw.UntilAsync(frame => frame.Fin);
        await send;
    }

    [Fact]
    public async Task Without_windows_a_slow_reader_stops_the_writer_and_memory_stays_bounded()
    {
        await using Ends ends = await Ends.StartAsync(windows: false);
        (SpdyStream client, SpdyStream server) = await ends.OpenAsync();
        Task send = SendAsync(client, new byte[64 * 1024 * 1024]);
        await UntilAsync(() => ends.Server.UnreadBytes >= ends.Server.Options.StreamBufferBytes);
        Assert.False(send.IsCompleted);
        // One read of the transport may come on top of the limit.
        Assert.InRange(ends.Server.UnreadBytes, 1, ends.Server.Options.StreamBufferBytes + 64 * 1024);
        Assert.Equal(64 * 1024 * 1024, (await ReadAllAsync(server)).Length);
        await send;
    }

    [Fact]
    public async Task Disposing_an_unread_stream_frees_the_others()
    {
        await using Ends ends = await Ends.StartAsync(windows: false);
        (SpdyStream stuck, SpdyStream unread) = await ends.OpenAsync();
        Task blocked = SendAsync(stuck, new byte[16 * 1024 * 1024]);
        await UntilAsync(() => ends.Server.UnreadBytes >= ends.Server.Options.StreamBufferBytes);
        await unread.DisposeAsync();
        (SpdyStream free, SpdyStream read) = await ends.OpenAsync();
        await SendAsync(free, [1, 2, 3]);
        Assert.Equal([1, 2, 3], await ReadAllAsync(read));
        await Assert.ThrowsAsync<IOException>(() => blocked.WaitAsync(Limit));
        Assert.Equal(0, ends.Server.UnreadBytes);
    }

    [Fact]
    public async Task A_reset_is_seen_by_the_reader_and_the_writer()
    {
        await using Ends ends = await Ends.StartAsync(windows: true);
        (SpdyStream client, SpdyStream server) = await ends.OpenAsync();
        server.Reset(SpdyStatus.InternalError);
        await Assert.ThrowsAsync<IOException>(async () => await client.ReadAsync(new byte[1]).AsTask().WaitAsync(Limit));
        await Assert.ThrowsAsync<IOException>(async () => await client.WriteAsync(new byte[1]));
        await UntilAsync(() => ends.Client.OpenStreams == 0);
    }

    [Fact]
    public async Task The_end_of_the_transport_ends_every_stream()
    {
        await using Ends ends = await Ends.StartAsync(windows: true);
        (SpdyStream _, SpdyStream server) = await ends.OpenAsync();
        Task<int> read = server.ReadAsync(new byte[1]).AsTask();
        await ends.Client.DisposeAsync();
        await Assert.ThrowsAsync<IOException>(() => read.WaitAsync(Limit));
        await UntilAsync(() => ends.Server.Closed.IsCancellationRequested);
        Assert.Null(await ends.Server.AcceptStreamAsync(default));
    }

    [Fact]
    public async Task More_streams_than_allowed_are_refused()
    {
        await using Ends ends = await Ends.StartAsync(windows: false, server: new SpdyOptions { MaxStreams = 2 });
        await ends.OpenAsync();
        await ends.OpenAsync();
        SpdyStream third = await ends.Client.OpenStreamAsync(Headers, default);
        await Assert.ThrowsAsync<IOException>(async () => await third.ReadAsync(new byte[1]).AsTask().WaitAsync(Limit));
    }

    [Fact]
    public async Task A_peer_that_ignores_our_window_loses_the_stream()
    {
        // It announces windows, so that we trust it to keep ours, and then sends more.
        await using Raw raw = await Raw.StartAsync();
        byte[] open = SpdyFrameEncoder.SynStream(1, new SpdyHeaderWriter().Write(Headers), fin: false, unidirectional: false);
        await raw.SendAsync(SpdyFrameEncoder.InitialWindow(1 << 20));
        await raw.SendAsync(open);
        byte[] data = new byte[8 + 60_000];
        SpdyFrameEncoder.DataHead(data, 1, 60_000, fin: false);
        for (int i = 0; i < 6; i++)
            await raw.SendAsync(data);
        await raw.UntilAsync(f => f.Type == SpdyFrameType.RstStream && f.Value == (uint)SpdyStatus.FlowControlError);
    }

    [Fact]
    public async Task A_peer_that_floods_pings_and_never_reads_is_cut_off()
    {
        await using Raw raw = await Raw.StartAsync();
        byte[] pings = [.. Enumerable.Range(0, 1000).SelectMany(i => SpdyFrameEncoder.Ping((uint)(2 * i + 1)))];
        using var late = new CancellationTokenSource(Limit);
        while (!raw.Running.IsCompleted)
            await Task.WhenAny(raw.SendAsync(pings), raw.Running).WaitAsync(late.Token);
        Assert.Equal("the peer sends and does not read", raw.Server.ProtocolError);
    }

    [Fact]
    public async Task Stream_ids_must_rise_and_be_the_peers_own()
    {
        foreach (uint id in new uint[] { 2, 1 })
        {
            await using Raw raw = await Raw.StartAsync();
            var writer = new SpdyHeaderWriter();
            await raw.SendAsync(SpdyFrameEncoder.SynStream(1, writer.Write(Headers), false, false));
            await raw.SendAsync(SpdyFrameEncoder.SynStream(id, writer.Write(Headers), false, false));
            await UntilAsync(() => raw.Server.Closed.IsCancellationRequested);
            Assert.Contains("opened after 1", raw.Server.ProtocolError, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task Noise_ends_the_connection_and_nothing_else() =>
        await Gen.Select(Gen.Byte.Array[1, 600], Gen.Bool).EachAsync(200, async drawn =>
        {
            (byte[] noise, bool framed) = drawn;
            await using Raw raw = await Raw.StartAsync();
            // Framed noise gets past the head's checks and into every handler.
            if (framed)
            {
                int length = Math.Min(noise.Length, 255);
                noise = [0x80, 3, 0, (byte)(noise[0] % 10), noise[^1], 0, 0, (byte)length, .. noise.AsSpan(0, length)];
            }
            await raw.SendAsync(noise);
            raw.EndSending();
            await raw.Running.WaitAsync(Limit);
            Assert.True(raw.Server.Closed.IsCancellationRequested);
            Assert.Equal(0, raw.Server.OpenStreams);
        });

    private static async Task SendAsync(SpdyStream stream, byte[] data)
    {
        await stream.WriteAsync(data);
        await stream.CompleteAsync(default);
    }

    private static async Task<byte[]> ReadAllAsync(Stream stream)
    {
        using var all = new MemoryStream();
        await stream.CopyToAsync(all).WaitAsync(Limit);
        return all.ToArray();
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var late = new CancellationTokenSource(Limit);
        while (!condition())
            await Task.Delay(10, late.Token);
    }

    private static async Task<(NetworkStream A, NetworkStream B)> SocketsAsync()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        var client = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await client.ConnectAsync(listener.LocalEndpoint);
        return (new NetworkStream(client, ownsSocket: true), new NetworkStream(await listener.AcceptSocketAsync(), ownsSocket: true));
    }

    /// <summary>A client and a server of ours.</summary>
    private sealed class Ends : IAsyncDisposable
    {
        private Task _running = Task.CompletedTask;

        public required SpdyConnection Client { get; init; }

        public required SpdyConnection Server { get; init; }

        public static async Task<Ends> StartAsync(bool windows, SpdyOptions? server = null)
        {
            (NetworkStream a, NetworkStream b) = await SocketsAsync();
            var ends = new Ends
            {
                Client = new SpdyConnection(a, new SpdyOptions { IsServer = false, FlowControl = windows }),
                Server = new SpdyConnection(b, server ?? new SpdyOptions()),
            };
            ends._running = Task.WhenAll(ends.Client.RunAsync(default), ends.Server.RunAsync(default));
            return ends;
        }

        public async Task<(SpdyStream Client, SpdyStream Server)> OpenAsync()
        {
            SpdyStream client = await Client.OpenStreamAsync(Headers, default);
            SpdyStream server = (await Server.AcceptStreamAsync(default).AsTask().WaitAsync(Limit))!;
            Assert.Equal("data", server.Headers["streamType"]);
            await server.ReplyAsync(default);
            await client.Replied.WaitAsync(Limit);
            return (client, server);
        }

        public async ValueTask DisposeAsync()
        {
            await Client.DisposeAsync();
            await Server.DisposeAsync();
            await _running.WaitAsync(Limit);
        }
    }

    /// <summary>A connection of ours, by default a server, and bare bytes on the other end.</summary>
    private sealed class Raw : IAsyncDisposable
    {
        private readonly NetworkStream _wire;

        private Raw(NetworkStream wire, SpdyConnection server)
        {
            _wire = wire;
            Server = server;
            Running = server.RunAsync(default);
        }

        public SpdyConnection Server { get; }

        public Task Running { get; }

        public static async Task<Raw> StartAsync(SpdyOptions? options = null)
        {
            (NetworkStream a, NetworkStream b) = await SocketsAsync();
            return new Raw(a, new SpdyConnection(b, options ?? new SpdyOptions()));
        }

        public async Task SendAsync(byte[] bytes) => await _wire.WriteAsync(bytes);

        public void EndSending() => _wire.Socket.Shutdown(SocketShutdown.Send);

        public async Task UntilAsync(Func<SpdyFrame, bool> wanted)
        {
            var decoder = new SpdyFrameDecoder();
            byte[] held = [], buffer = new byte[4096];
            while (true)
            {
                int count = await _wire.ReadAsync(buffer).AsTask().WaitAsync(Limit);
                Assert.True(count > 0, "The connection ended first.");
                var input = new System.Buffers.ReadOnlySequence<byte>([.. held, .. buffer.AsSpan(0, count)]);
                while (decoder.TryRead(ref input, out SpdyFrame frame) == SpdyDecode.Frame)
                    if (wanted(frame))
                        return;
                held = System.Buffers.BuffersExtensions.ToArray(input);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _wire.DisposeAsync();
            await Server.DisposeAsync();
            await Running.WaitAsync(Limit);
        }
    }
}
