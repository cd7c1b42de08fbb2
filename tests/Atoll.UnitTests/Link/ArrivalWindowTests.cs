using Atoll.Link;

namespace Atoll.UnitTests.Link;

public sealed class ArrivalWindowTests
{
    private const long RoundTripUs = 20_000;

    [Theory]
    [InlineData(true, false, 64 * 1024)] // lost and sent again: no reason to send less at once
    [InlineData(false, true, 8 * 1024)] // late without loss: something queues
    [InlineData(true, true, 8 * 1024)] // both: the queue counts
    public void A_window_yields_to_queues_and_not_to_losses(bool lossy, bool queues, int bound)
    {
        var window = new ArrivalWindow();
        long now = 0, resent = 0;
        for (int i = 0; i < 60; i++)
            Send(window, ref now, RoundTripUs, new LineProbe(0, 0), 0);
        Assert.True(window.Size > 64 * 1024);
        // From here on every second arrival is late by a lot.
        for (int i = 0; i < 60; i++)
        {
            long before = resent;
            bool late = i % 2 == 0;
            if (late && lossy)
                resent++;
            Send(window, ref now, late ? RoundTripUs + 400_000 : RoundTripUs, new LineProbe(resent, late && queues ? 300_000 : 0), before);
        }
        if (queues)
            Assert.InRange(window.Size, ArrivalWindow.Least, bound);
        else
            Assert.InRange(window.Size, bound, ArrivalWindow.Most);
    }

    private static void Send(ArrivalWindow window, ref long now, long takes, LineProbe then, long resentBefore)
    {
        while (window.Open)
            window.Sent(1024, now, resentBefore);
        now += takes;
        Assert.True(window.Arrived(window.Total, now, then));
    }
}
