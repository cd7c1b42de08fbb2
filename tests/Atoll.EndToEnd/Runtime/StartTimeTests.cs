using System.Diagnostics;

namespace Atoll.EndToEnd.Runtime;

/// <summary>The published budget: a container starts within 150 ms (p50) when its image is here.</summary>
public abstract class StartTimeTests(string runtime, ITestOutputHelper output)
{
    [Fact]
    public async Task Containers_start_quickly()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        await bed.Runtime.ProbeAsync(CancellationToken.None);
        var times = new List<double>();
        for (var i = 0; i < 20; i++)
        {
            var spec = bed.Spec("sleep", "1000");
            var watch = Stopwatch.GetTimestamp();
            var outcome = await bed.Runtime.StartAsync(spec, CancellationToken.None);
            times.Add(Stopwatch.GetElapsedTime(watch).TotalMilliseconds);
            Assert.True(outcome.Ok, outcome.Message);
            await bed.Runtime.RemoveAsync(spec.Id, CancellationToken.None);
        }
        times.Sort();
        output.WriteLine($"start p50 {times[10]:0} ms, worst of 20 {times[19]:0} ms");
        TestContext.Current.SendDiagnosticMessage($"start p50 {times[10]:0} ms, worst of 20 {times[19]:0} ms");
        // Ten times the budget: other tests share the machine; the bench records the figure itself.
        Assert.InRange(times[10], 1, 1500);
    }
}
