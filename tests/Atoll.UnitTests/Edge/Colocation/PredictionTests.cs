using Atoll.Edge.Colocation;

namespace Atoll.UnitTests.Edge.Colocation;

/// <summary>What online pods will use, and what that leaves to batch pods.</summary>
public sealed class PredictionTests
{
    private const double Gi = 1L << 30;
    private static readonly Amounts s_node = new(4000, 16 * Gi);
    private static readonly ColocationSettings s_settings = ColocationSettings.Of(new Atoll.Api.Core.Colocation { CpuReclaimThresholdPercent = 80, MemoryReclaimThresholdPercent = 75, ColdStartSeconds = 0 });

    [Fact]
    public void A_percentile_is_the_next_hundredth_above_that_part_of_the_time()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            var peak = new DecayingPeak(TimeSpan.FromDays(10_000));
            double[] shares = [.. Enumerable.Range(0, random.Next(1, 500)).Select(_ => random.NextDouble() * 1.2)];
            foreach (double share in shares)
                peak.Add(share, 1);
            Array.Sort(shares);
            foreach (double part in (double[])[0.5, 0.95, 0.98])
            {
                double exact = shares[Math.Min(shares.Length - 1, (int)(part * shares.Length))], told = peak.Percentile(part);
                Assert.InRange(told, shares[Math.Max(0, (int)(part * shares.Length) - 2)], exact + 0.0101);
            }
        }
        Assert.Equal(0, new DecayingPeak(TimeSpan.FromHours(1)).Percentile(0.95));
    }

    [Fact]
    public void The_past_is_forgotten_by_half_lives_and_years_change_nothing()
    {
        var peak = new DecayingPeak(TimeSpan.FromHours(1));
        for (int hour = 0; hour < 20_000; hour++)
            peak.Add(0.9, 3600);
        Assert.Equal(0.91, peak.Percentile(0.95), 6);
        for (int minute = 0; minute < 4 * 60; minute++)
            peak.Add(0.1, 60);
        Assert.Equal(0.91, peak.Percentile(0.95), 6); // A sixteenth of the weight is of before.
        for (int minute = 0; minute < 60; minute++)
            peak.Add(0.1, 60);
        Assert.Equal(0.11, peak.Percentile(0.95), 6);
    }

    [Fact]
    public void What_is_told_and_what_is_used_stay_within_the_threshold()
    {
        for (int seed = 0; seed < 200; seed++)
        {
            var random = new Random(seed);
            var reclaimer = new Reclaimer();
            Amounts online = new(random.NextDouble() * 4000, random.NextDouble() * 16 * Gi), system = new(random.NextDouble() * 1000, random.NextDouble() * 4 * Gi);
            var requests = new OnlineRequests(online + new Amounts(random.NextDouble() * 1000, Gi), default);
            for (int look = 0; look < 100; look++)
            {
                reclaimer.Observe(online, system, s_node, 10);
                reclaimer.Update(s_node, requests, s_settings);
            }
            Amounts told = reclaimer.Told!.Value, most = s_settings.LimitOf(s_node) - online - system;
            Assert.InRange(told.CpuMilli, Math.Max(0, Math.Min(most.CpuMilli, 4000) - 4000 * 0.08), Math.Max(0, most.CpuMilli));
            Assert.InRange(told.MemoryBytes, Math.Max(0, most.MemoryBytes - 16 * Gi * 0.08), Math.Max(0, most.MemoryBytes));
            Assert.Equal(0, told.CpuMilli % 200);
        }
    }

    [Fact]
    public void A_days_noise_is_told_a_few_times()
    {
        var random = new Random(1);
        var reclaimer = new Reclaimer();
        int changes = 0;
        for (int look = 0; look < 8640; look++)
        {
            var online = new Amounts(1000 + random.NextDouble() * 1000, (4 + random.NextDouble()) * Gi);
            reclaimer.Observe(online, new Amounts(random.NextDouble() * 300, Gi), s_node, 10);
            if (reclaimer.Update(s_node, new OnlineRequests(new Amounts(3500, 14 * Gi), default), s_settings))
                changes++;
        }
        Assert.InRange(changes, 1, 6);
        Assert.InRange(reclaimer.Told!.Value.CpuMilli, 600, 1000);
    }

    [Fact]
    public void New_pods_count_with_what_they_asked_for_and_pods_that_left_are_forgotten()
    {
        var reclaimer = new Reclaimer();
        Amounts busy = new(2000, 6 * Gi), none = default;
        reclaimer.Observe(none, none, s_node, 10);
        reclaimer.Update(s_node, new OnlineRequests(new Amounts(3000, 10 * Gi), new Amounts(3000, 10 * Gi)), s_settings);
        Assert.Equal(new Amounts(0, Math.Floor(2 * (16 * Gi / 20))), reclaimer.Told);
        for (int look = 0; look < 1000; look++)
        {
            reclaimer.Observe(busy, none, s_node, 10);
            reclaimer.Update(s_node, new OnlineRequests(new Amounts(3000, 10 * Gi), none), s_settings);
        }
        Assert.Equal(1000, reclaimer.Told!.Value.CpuMilli); // 3200 − 2040, in twentieths.
        for (int look = 0; look < 100; look++)
        {
            reclaimer.Observe(none, none, s_node, 10);
            reclaimer.Update(s_node, new OnlineRequests(none, none), s_settings);
        }
        Assert.InRange(reclaimer.Told!.Value.CpuMilli, 3000, 3200);
    }

    [Fact]
    public void An_agent_that_starts_keeps_what_was_told_unless_less_is_free()
    {
        ColocationSettings cold = s_settings with { ColdStart = TimeSpan.FromMinutes(10) };
        var requests = new OnlineRequests(new Amounts(4000, 16 * Gi), new Amounts(4000, 16 * Gi));
        var reclaimer = new Reclaimer();
        reclaimer.Restore(new Amounts(2000, 4 * Gi));
        reclaimer.Observe(new Amounts(500, Gi), default, s_node, 10);
        Assert.False(reclaimer.Update(s_node, requests, cold));
        reclaimer.Observe(new Amounts(2200, Gi), default, s_node, 10);
        Assert.True(reclaimer.Update(s_node, requests, cold));
        Assert.Equal(1000, reclaimer.Told!.Value.CpuMilli);
        for (int look = 0; look < 70; look++)
            reclaimer.Observe(new Amounts(100, Gi), default, s_node, 10);
        Assert.True(reclaimer.Update(s_node, requests with { Cold = default }, cold));
        Assert.True(reclaimer.Told!.Value.CpuMilli > 2000);
    }
}
