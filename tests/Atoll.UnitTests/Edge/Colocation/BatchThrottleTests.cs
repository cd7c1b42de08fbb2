using Atoll.Edge.Colocation;

namespace Atoll.UnitTests.Edge.Colocation;

/// <summary>What batch pods are held to, and when one of them goes.</summary>
public sealed class BatchThrottleTests
{
    private const double Mi = 1L << 20;
    private static readonly Amounts s_node = new(4000, 1000 * Mi);
    private static readonly ColocationSettings s_settings = ColocationSettings.Of(new Atoll.Api.Core.Colocation { EvictAfterSeconds = 30 });

    [Fact]
    public void The_quota_follows_what_others_leave_down_at_once_and_up_slowly()
    {
        for (int seed = 0; seed < 100; seed++)
        {
            var random = new Random(seed);
            var throttle = new BatchThrottle();
            double before = 0;
            for (int second = 0; second < 200; second++)
            {
                double others = random.NextDouble() * 5000;
                BatchOrders orders = throttle.Step(Facts(others, 100 * Mi), s_settings);
                Assert.InRange(orders.CpuMilli, 80, Math.Max(80, 3200 - others));
                Assert.True(orders.CpuMilli <= Math.Max(before + 401, 80));
                before = orders.CpuMilli;
            }
            for (int second = 0; second < 10; second++)
                before = throttle.Step(Facts(200, 100 * Mi), s_settings).CpuMilli;
            Assert.Equal(3000, before);
        }
    }

    [Fact]
    public void Memory_is_bounded_by_what_is_free_and_never_above_the_threshold()
    {
        BatchOrders orders = new BatchThrottle().Step(Facts(0, 300 * Mi), s_settings);
        Assert.Equal(((long)(500 * Mi), (long)(800 * Mi)), (orders.MemoryHighBytes, orders.MemoryMaxBytes));
        Assert.Equal((long)(16 * Mi), new BatchThrottle().Step(Facts(0, 900 * Mi), s_settings).MemoryHighBytes);
    }

    [Fact]
    public void A_batch_pod_goes_when_memory_is_short_in_any_of_the_ways_that_show_it()
    {
        Assert.Null(new BatchThrottle().Step(Facts(0, 500 * Mi), s_settings).Short);
        Assert.Contains("pods and system use 950Mi, and batch pods go above 900Mi", Why(Facts(0, 850 * Mi)), StringComparison.Ordinal);
        Assert.Contains("the machine has 90Mi left", Why(Facts(0, 0) with { AvailableBytes = (long)(90 * Mi) }), StringComparison.Ordinal);
        Assert.Contains("everything waited for memory in 12 % of the last 10 s", Why(Facts(0, 0) with { MemoryPressurePercent = 12 }), StringComparison.Ordinal);
        Assert.Null(new BatchThrottle().Step(Facts(0, 850 * Mi) with { Stopping = true }, s_settings).Short);
        Assert.Null(new BatchThrottle().Step(Facts(0, 850 * Mi) with { HandedOut = default }, s_settings).Short);
    }

    [Fact]
    public void More_handed_out_than_there_is_is_borne_for_the_grace()
    {
        var throttle = new BatchThrottle();
        BatchFacts over = Facts(0, 100 * Mi) with { Told = new Amounts(900, 500 * Mi) };
        for (int second = 0; second < 30; second++)
            Assert.Null(throttle.Step(over, s_settings).Short);
        throttle.Step(Facts(0, 100 * Mi), s_settings);
        for (int second = 0; second < 30; second++)
            Assert.Null(throttle.Step(over, s_settings).Short);
        BatchOrders orders = throttle.Step(over, s_settings);
        Assert.Equal(("cpu", "batch pods asked for 1000m and 900m are left to them, for 31 s"), (orders.Short, orders.Why));
    }

    [Fact]
    public void The_least_goes_first_then_who_takes_most_above_what_it_asked_for()
    {
        BatchPod low = new("a/low", -9, new Amounts(10, 100), 50), over = new("a/over", -5, new Amounts(10, 100), 200), big = new("a/big", -5, new Amounts(99, 900), 800);
        foreach (string lack in (string[])["cpu", "memory"])
            Assert.True(low.GoesBefore(over, lack) && low.GoesBefore(big, lack) && !big.GoesBefore(low, lack));
        Assert.True(over.GoesBefore(big, "memory") && big.GoesBefore(over, "cpu"));
        Assert.True(new BatchPod("a", 0, default, 0).GoesBefore(new BatchPod("b", 0, default, 0), "cpu"));
    }

    /// <summary>A node in a model: online memory grows up to 2 % a second, batch cannot give memory back and takes 3 s to stop.</summary>
    [Fact]
    public void Online_pods_never_run_out_of_memory_because_of_batch()
    {
        for (int seed = 0; seed < 300; seed++)
        {
            var random = new Random(seed);
            var throttle = new BatchThrottle();
            List<double> batch = [.. Enumerable.Range(0, random.Next(1, 8)).Select(_ => (random.NextDouble() * 60 + 40) * Mi)];
            double online = 100 * Mi, grown = 0;
            int stopping = 0;
            for (int second = 0; second < 300; second++)
            {
                online = Math.Min(950 * Mi, online + random.NextDouble() * 20 * Mi);
                if (stopping > 0 && --stopping == 0)
                    batch.RemoveAt(0);
                double used = batch.Sum();
                BatchOrders orders = throttle.Step(Facts(0, online) with { BatchMemoryBytes = used, HandedOut = batch.Count == 0 ? default : new Amounts(1, 1), Stopping = stopping > 0 }, s_settings);
                if (orders.Short is not null)
                    stopping = 3;
                // The limit of the group: batch grows only below it.
                if (batch.Count > 0 && used < orders.MemoryHighBytes)
                    batch[^1] += grown = Math.Min(10 * Mi, orders.MemoryHighBytes - used);
                Assert.True(online + batch.Sum() <= 1000 * Mi, $"seed {seed}, second {second}: {(online + batch.Sum()) / Mi} Mi of 1000 are used (last growth {grown / Mi})");
            }
        }
    }

    private static string Why(BatchFacts facts)
    {
        BatchOrders orders = new BatchThrottle().Step(facts, s_settings);
        Assert.Equal("memory", orders.Short);
        return orders.Why!;
    }

    private static BatchFacts Facts(double othersMilli, double othersBytes) => new()
    {
        Allocatable = s_node,
        Others = new Amounts(othersMilli, othersBytes),
        BatchMemoryBytes = 100 * Mi,
        HandedOut = new Amounts(1000, 200 * Mi),
        Told = new Amounts(2000, 400 * Mi),
        AvailableBytes = long.MaxValue,
        ShortBelowBytes = (long)(200 * Mi),
        MemoryPressurePercent = 0,
        Stopping = false,
        Seconds = 1,
    };
}
