using System.IO.Pipelines;
using Atoll.Link;

namespace Atoll.UnitTests.Link;

/// <summary>The multiplexer over in-memory pipes: priority, back-pressure, half-close, and bytes that nobody should have sent.</summary>
public sealed class MultiplexerTests
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact]
    public async Task An_urgent_frame_passes_a_bulk_transfer()
    {
        await using MuxPair pair = new();
        LinkStream bulk = pair.Site.Open(LinkClass.Content, "image");
        LinkStream urgent = pair.Site.Open(LinkClass.Tunnel, "exec");
        LinkStream bulkIn = await pair.Parent.Accepted.ReadAsync().AsTask().WaitAsync(Limit);
        LinkStream urgentIn = await pair.Parent.Accepted.ReadAsync().AsTask().WaitAsync(Limit);
        if (bulkIn.Class == LinkClass.Tunnel)
            (bulkIn, urgentIn) = (urgentIn, bulkIn);

        long passed = 0;
        Task reading = Task.Run(async () =>
        {
            byte[] buffer = new byte[4096];
            int read;
            while ((read = await bulkIn.ReadAsync(buffer)) > 0)
                Interlocked.Add(ref passed, read);
        });
        // The line takes nothing: bulk waits with its writer, not in a queue of ours.
        pair.SiteLine.Close();
        Task writing = bulk.WriteAsync(new byte[1_000_000]).AsTask();
        Task urgentWriting = urgent.WriteAsync("!"u8.ToArray()).AsTask();
        Assert.False(urgentWriting.IsCompleted);
        // Bulk that was handed to the line before the urgent byte was, counted where the line is written.
        long before = pair.SiteTraffic.Sent(LinkClass.Content), atUrgent = -1, urgentBefore = pair.SiteTraffic.Sent(LinkClass.Tunnel);
        pair.SiteLine.Writing = () =>
        {
            if (atUrgent < 0 && pair.SiteTraffic.Sent(LinkClass.Tunnel) > urgentBefore)
                atUrgent = pair.SiteTraffic.Sent(LinkClass.Content);
        };
        pair.SiteLine.Open();
        byte[] one = new byte[16];
        Assert.Equal(1, await urgentIn.ReadAsync(one).AsTask().WaitAsync(Limit));
        // At most the burst that was under way and the one in which the urgent byte went first.
        Assert.InRange(atUrgent - before, 0, 64 * 1024);
        await writing.WaitAsync(Limit);
        bulk.CompleteWrites();
        await reading.WaitAsync(Limit);
        Assert.Equal(1_000_000, passed);
    }

    [Fact]
    public async Task A_reader_that_stops_holds_only_its_own_stream_and_a_bounded_amount()
    {
        await using MuxPair pair = new();
        LinkStream slow = pair.Site.Open(LinkClass.Tunnel, "slow");
        LinkStream quick = pair.Site.Open(LinkClass.Tunnel, "quick");
        LinkStream first = await pair.Parent.Accepted.ReadAsync().AsTask().WaitAsync(Limit);
        LinkStream second = await pair.Parent.Accepted.ReadAsync().AsTask().WaitAsync(Limit);
        LinkStream quickIn = first.Metadata == "quick" ? first : second;

        Task blocked = slow.WriteAsync(new byte[1_000_000]).AsTask();
        await quick.WriteAsync(new byte[500_000].AsMemory(0, 40_000)).AsTask().WaitAsync(Limit);
        quick.CompleteWrites();
        using MemoryStream received = new();
        await quickIn.CopyToAsync(received).WaitAsync(Limit);
        Assert.Equal(40_000, received.Length);
        Assert.False(blocked.IsCompleted);
        // Nobody reads it: what has been sent is bounded by the window.
        Assert.InRange(pair.SiteTraffic.Sent(LinkClass.Tunnel), 40_000, 40_000 + Multiplexer.StreamWindow + 2000);
        (first.Metadata == "slow" ? first : second).Abort();
        await Assert.ThrowsAnyAsync<IOException>(() => blocked.WaitAsync(Limit));
    }

    [Fact]
    public async Task Disposing_ends_reads_of_the_other_side_and_fails_its_writes()
    {
        await using MuxPair pair = new();
        LinkStream stream = pair.Parent.Open(LinkClass.Tunnel, "x");
        LinkStream other = await pair.Site.Accepted.ReadAsync().AsTask().WaitAsync(Limit);
        await stream.WriteAsync("last words"u8.ToArray());
        await stream.DisposeAsync();
        using MemoryStream received = new();
        await other.CopyToAsync(received).WaitAsync(Limit);
        Assert.Equal("last words"u8, received.ToArray());
        await Assert.ThrowsAnyAsync<IOException>(async () =>
        {
            while (true)
                await other.WriteAsync(new byte[10_000]).AsTask().WaitAsync(Limit);
        });
    }

    [Fact]
    public async Task The_end_of_the_line_fails_every_stream()
    {
        MuxPair pair = new();
        LinkStream stream = pair.Site.Open(LinkClass.Tunnel, "x");
        Task<int> reading = stream.ReadAsync(new byte[10]).AsTask();
        await pair.DisposeAsync();
        await Assert.ThrowsAnyAsync<IOException>(() => reading.WaitAsync(Limit));
        Assert.Throws<IOException>(() => pair.Site.Open(LinkClass.Tunnel, "y"));
    }

    [Fact]
    public async Task Random_bytes_never_do_more_than_end_the_line()
    {
        Random random = new(7);
        for (int round = 0; round < 200; round++)
        {
            Pipe input = new();
            byte[] noise = new byte[random.Next(400)];
            random.NextBytes(noise);
            if (round % 2 == 0 && noise.Length > 0)
                noise[0] = (byte)random.Next(8);
            await using Multiplexer mux = new(new DuplexPipe(input.Reader.AsStream(), Stream.Null), isSite: false, new NoSession(), new LinkTraffic(), TimeProvider.System);
            await input.Writer.WriteAsync(noise);
            await input.Writer.CompleteAsync();
            Exception? end = await mux.RunAsync(CancellationToken.None).WaitAsync(Limit);
            Assert.True(end is null or LinkProtocolException, end?.ToString());
        }
    }

    [Fact]
    public void The_arrival_window_shrinks_when_something_queues_and_grows_when_nothing_does()
    {
        ArrivalWindow window = new();
        long now = 0;
        // 64 kbit/s with 50 ms of delay: an urgent frame must not wait long behind what is on its way.
        Fill(window, ref now, bytesPerMs: 8, seconds: 60);
        Assert.InRange(window.Size, ArrivalWindow.Least, 4 * 1024);
        Fill(window, ref now, bytesPerMs: 10_000, seconds: 60);
        Assert.InRange(window.Size, 100 * 1024, ArrivalWindow.Most);
        Assert.False(window.Arrived(long.MaxValue, now));
    }

    /// <summary>Sends whenever the window is open, over a line of this rate with 50 ms of delay and an endless buffer.</summary>
    private static void Fill(ArrivalWindow window, ref long nowUs, int bytesPerMs, int seconds)
    {
        Queue<(long At, long Total)> arrivals = new();
        long end = nowUs + seconds * 1_000_000L, free = nowUs, total = window.Total;
        while (nowUs < end)
        {
            while (window.Open)
            {
                int bytes = window.FrameBytes;
                total += bytes;
                window.Sent(bytes, nowUs);
                free = Math.Max(free, nowUs) + bytes * 1000L / bytesPerMs;
                arrivals.Enqueue((free + 50_000, total));
            }
            (nowUs, long arrived) = arrivals.Dequeue();
            Assert.True(window.Arrived(arrived, nowUs));
        }
    }
}
