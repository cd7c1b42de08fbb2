using System.Net;
using System.Net.Sockets;
using Atoll.Link;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Link;

/// <summary>Back-off, choice of the parent.</summary>
public sealed class DialingTests
{
    [Fact]
    public void Back_off_is_jittered_over_the_whole_span_and_capped()
    {
        Random random = new(1);
        Backoff backoff = Backoff.Default;
        Assert.Equal(TimeSpan.Zero, backoff.Wait(0, random));
        for (int failures = 1; failures < 200; failures++)
        {
            double span = Math.Min(30_000, 500 * Math.Pow(2, Math.Min(failures - 1, 30)));
            Assert.InRange(backoff.Wait(failures, random).TotalMilliseconds, 0, span);
        }
        double[] waits = [.. Enumerable.Range(0, 2000).Select(_ => backoff.Wait(20, random).TotalMilliseconds)];
        Assert.InRange(waits.Average(), 13_500, 16_500);
        // Nobody listens there: asking again costs nobody anything.
        Assert.InRange(Enumerable.Range(0, 2000).Max(_ => backoff.Wait(20, random, refused: true).TotalMilliseconds), 7_500, 8_000);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_parent_that_hangs_up_during_the_handshake_or_does_not_come_to_it_is_busy(bool hangsUp)
    {
        using TestCertificates certificates = new();
        using Socket door = new(SocketType.Stream, ProtocolType.Tcp);
        door.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        door.Listen();
        LinkDialer dialer = new(() => new LinkIdentity(certificates.Client, [certificates.Authority]), TimeProvider.System, TimeSpan.FromSeconds(hangsUp ? 60 : 0.3));
        Task<Stream> dialling = dialer.DialAsync(new Uri($"https://127.0.0.1:{((IPEndPoint)door.LocalEndPoint!).Port}"), TestContext.Current.CancellationToken).AsTask();
        using Socket site = await door.AcceptAsync(TestContext.Current.CancellationToken);
        if (hangsUp)
        {
            await site.ReceiveAsync(new byte[4096], TestContext.Current.CancellationToken);
            site.Close();
        }
        LinkDialException failure = await Assert.ThrowsAsync<LinkDialException>(() => dialling);
        Assert.Equal((LinkError.Busy, true), (failure.Error, failure.Refused));
    }

    [Fact]
    public async Task An_only_parent_that_has_taken_the_connection_is_waited_for()
    {
        using TestCertificates certificates = new();
        using Socket door = new(SocketType.Stream, ProtocolType.Tcp);
        door.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        door.Listen();
        FakeTimeProvider time = new();
        LinkDialer dialer = new(() => new LinkIdentity(certificates.Client, [certificates.Authority]), time, patience: LinkDialer.Patience);
        Uri address = new($"https://127.0.0.1:{((IPEndPoint)door.LocalEndPoint!).Port}");
        // It hangs up long after a dial would have ended by itself: that is what the site sees.
        Assert.IsNotAssignableFrom<OperationCanceledException>(await FailureAsync(LinkDialer.Patience / 2));
        Assert.IsAssignableFrom<OperationCanceledException>(await FailureAsync(LinkDialer.Patience));

        async Task<Exception?> FailureAsync(TimeSpan wait)
        {
            Task<Stream> dialling = dialer.DialAsync(address, TestContext.Current.CancellationToken).AsTask();
            using Socket site = await door.AcceptAsync(TestContext.Current.CancellationToken);
            await site.ReceiveAsync(new byte[4096], TestContext.Current.CancellationToken);
            time.Advance(wait);
            site.Close();
            LinkDialException failure = await Assert.ThrowsAsync<LinkDialException>(() => dialling);
            Assert.True(failure.Refused);
            return failure.InnerException;
        }
    }

    [Fact]
    public void A_silent_parent_is_left_at_once_and_the_first_is_preferred_again()
    {
        Random random = new(1);
        ParentSelector selector = new(3, Backoff.Default);
        selector.Connected(0);
        Assert.Equal(TimeSpan.Zero, selector.Failed(100_000, silent: true, random));
        Assert.Equal(1, selector.Current);
        Assert.Equal(ParentReason.Failover, selector.Reason);
        selector.Connected(101_000);
        Assert.Equal(131_000, selector.NextProbe);
        selector.ProbeFailed(131_000);
        Assert.Equal(191_000, selector.NextProbe);
        selector.ProbeAnswered();
        Assert.Equal(0, selector.Current);
        Assert.Equal(long.MaxValue, selector.NextProbe);
    }

    [Fact]
    public void A_first_parent_that_never_lasts_is_probed_ever_less()
    {
        Random random = new(1);
        ParentSelector selector = new(2, Backoff.Default);
        long now = 0, last = 0;
        for (int i = 0; i < 6; i++)
        {
            selector.Connected(now);
            selector.Failed(now + 1000, silent: false, random);
            Assert.Equal(1, selector.Current);
            selector.Connected(now + 2000);
            long span = selector.NextProbe - now - 2000;
            Assert.True(span > last || span == 600_000, $"{span} after {last}");
            (last, now) = (span, selector.NextProbe);
            selector.ProbeAnswered();
        }
    }

    [Fact]
    public void All_addresses_are_tried_before_the_wait()
    {
        Random random = new(1);
        ParentSelector selector = new(3, Backoff.Default);
        Assert.Equal(TimeSpan.Zero, selector.Failed(0, silent: false, random));
        Assert.Equal(TimeSpan.Zero, selector.Failed(0, silent: false, random));
        Assert.NotEqual(TimeSpan.Zero, selector.Failed(0, silent: false, random));
        Assert.Equal(0, selector.Current);
    }
}
