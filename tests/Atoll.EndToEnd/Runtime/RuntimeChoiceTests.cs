using Atoll.Edge.Runtimes;
using Atoll.Edge.Runtimes.Containers;

namespace Atoll.EndToEnd.Runtime;

// Every runtime test runs with each OCI runtime that Atoll supports. On hosts with both cgroup versions crun works
// only without sight of the second one: that way is taken here too.

public sealed class CrunContainerTests() : ContainerTests("crun");

public sealed class CrunLifeTests() : LifeTests("crun");

public sealed class CrunLimitTests() : LimitTests("crun");

public sealed class CrunStreamTests() : StreamTests("crun");

public sealed class CrunStartTimeTests(ITestOutputHelper output) : StartTimeTests("crun", output);

public sealed class RuncContainerTests() : ContainerTests("runc");

public sealed class RuncLifeTests() : LifeTests("runc");

public sealed class RuncLimitTests() : LimitTests("runc");

public sealed class RuncStreamTests() : StreamTests("runc");

public sealed class RuncStartTimeTests(ITestOutputHelper output) : StartTimeTests("runc", output);

/// <summary>Choosing a runtime, and living with an earlier choice.</summary>
public sealed class RuntimeChoiceTests
{
    [Fact]
    public async Task Instances_of_an_earlier_choice_are_still_served_by_the_runtime_that_made_them()
    {
        await using var bed = await RuntimeBed.OpenAsync("runc");
        var old = bed.Spec("sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.1; done") with { Limits = new InstanceLimits { MemoryLimitBytes = 64 << 20 } };
        Assert.True((await bed.Runtime.StartAsync(old, CancellationToken.None)).Ok);
        bed.OciRuntime = "crun";
        bed.Restart();
        var young = bed.Spec("sleep", "1000");
        Assert.True((await bed.Runtime.StartAsync(young, CancellationToken.None)).Ok);
        Assert.Equal("crun", (await bed.Runtime.ProbeAsync(CancellationToken.None)).Name);
        foreach (var id in new[] { old.Id, young.Id }) Assert.Equal((3, "in\n", ""), await bed.ExecAsync(id, "sh", "-c", "echo in; exit 3"));
        var updated = await bed.Runtime.UpdateAsync(old.Id, new InstanceLimits { MemoryLimitBytes = 48 << 20 }, CancellationToken.None);
        Assert.True(updated.Ok, updated.Message);
        Assert.True((await bed.Runtime.StopAsync(old.Id, 15, TimeSpan.FromSeconds(10), CancellationToken.None)).Ok);
        Assert.Equal(4, (await bed.Runtime.GetAsync(old.Id, CancellationToken.None))!.ExitCode);
        foreach (var id in new[] { old.Id, young.Id }) Assert.True((await bed.Runtime.RemoveAsync(id, CancellationToken.None)).Ok);
    }

    [Fact]
    public async Task A_host_without_a_runtime_says_what_was_tried()
    {
        await using var bed = await RuntimeBed.OpenAsync("runc");
        foreach (var (wanted, reason) in new[] { ("no-such-runtime", "no-such-runtime is not installed"), ("/bin/false", "/bin/false: ") })
        {
            bed.OciRuntime = wanted;
            await using ContainerRuntime runtime = bed.Open();
            var probe = await runtime.ProbeAsync(CancellationToken.None);
            Assert.False(probe.Usable);
            Assert.StartsWith(reason, probe.Reason);
            var start = await runtime.StartAsync(bed.Spec("true"), CancellationToken.None);
            Assert.Equal("CreateContainerError", start.Reason);
            Assert.Contains(reason, start.Message);
        }
    }
}
