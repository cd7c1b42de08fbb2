using Atoll.Api.Streams;
using Atoll.Edge.Runtimes;

namespace Atoll.EndToEnd.Runtime;

public abstract class ContainerTests(string runtime)
{
    [Fact]
    public async Task Starts_lists_logs_stops_and_removes()
    {
        await using var bed = await RuntimeBed.OpenAsync(runtime);
        var probe = await bed.Runtime.ProbeAsync(CancellationToken.None);
        Assert.True(probe.Usable, probe.Reason);
        Assert.Equal(runtime, probe.Name);

        var spec = bed.Spec("sh", "-c", "echo out; echo err >&2; trap 'exit 3' TERM; while :; do sleep 0.1; done");
        var outcome = await bed.Runtime.StartAsync(spec, CancellationToken.None);
        Assert.True(outcome.Ok, outcome.Message);
        Assert.True((await bed.Runtime.StartAsync(spec, CancellationToken.None)).Ok);
        var instance = Assert.Single(await bed.Runtime.ListAsync(CancellationToken.None));
        Assert.Equal(InstancePhase.Running, instance.Phase);
        Assert.Equal("p-" + spec.Id, instance.Labels["pod"]);
        var (code, output, _) = await bed.ExecAsync(spec.Id, "sh", "-c", "echo $GREETING; exit 5");
        Assert.Equal((5, "hello\n"), (code, output));

        Assert.True((await bed.Runtime.StopAsync(spec.Id, 15, TimeSpan.FromSeconds(10), CancellationToken.None)).Ok);
        var ended = await bed.Runtime.GetAsync(spec.Id, CancellationToken.None);
        Assert.Equal((InstancePhase.Exited, 3), (ended!.Phase, ended.ExitCode));
        Assert.Contains("stdout F out", await File.ReadAllTextAsync(spec.LogPath));
        Assert.Contains("stderr F err", await File.ReadAllTextAsync(spec.LogPath));
        Assert.True((await bed.Runtime.RemoveAsync(spec.Id, CancellationToken.None)).Ok);
        Assert.Empty(await bed.Runtime.ListAsync(CancellationToken.None));
    }
}
