using System.Diagnostics;
using Atoll.Api.Core;
using Atoll.Edge.Native;
using Atoll.Edge.Runtimes;

namespace Atoll.EndToEnd.Pods;

/// <summary>The agent's own life: ended and begun again, after a reboot, and what it leaves behind.</summary>
[Collection("pods")]
public sealed class AgentTests(PodNode shared, ITestOutputHelper output)
{
    private static (string Id, int Restarts) Of(Pod pod) => (pod.Status!.ContainerStatuses![0].ContainerID!, pod.Status.ContainerStatuses[0].RestartCount);

    [Fact]
    public async Task What_runs_outlives_the_agent_and_deletion_leaves_nothing()
    {
        Assert.NotNull(shared.Api); // The same collection: two nodes at once would only make each slower.
        await using var node = new PodNode();
        await node.InitializeAsync();
        await node.ScriptAsync("stays", "sleep 600", """{"volumeMounts":[{"name":"m","mountPath":"/m"},{"name":"m","mountPath":"/s","subPath":"x"}]}""", """{"volumes":[{"name":"m","emptyDir":{"medium":"Memory"}}]}""");
        await node.ScriptAsync("once", "test -e /v/x && sleep 600; touch /v/x; exit 1", """{"volumeMounts":[{"name":"v","mountPath":"/v"}]}""", """{"volumes":[{"name":"v","emptyDir":{}}]}""");
        await node.ScriptAsync("dies", "sleep 600");
        await node.ScriptAsync("done", "true", "{}", """{"restartPolicy":"Never"}""");
        await node.UntilAsync("once", p => p.Status?.ContainerStatuses?[0] is { RestartCount: 1, Ready: true }, "its second run");
        var before = (Of(await node.ReadyAsync("stays")), Of(await node.ReadyAsync("once")));
        Pod dies = await node.ReadyAsync("dies");
        await node.PhaseAsync("done", "Succeeded");
        int victim = (await node.Runtime.GetAsync(Of(dies).Id.Split("://")[1], CancellationToken.None))!.Pid;

        await node.StopAsync();
        Posix.Kill(victim, Posix.SIGKILL);
        await node.StartAsync();
        await node.UntilAsync("dies", p => p.Status?.ContainerStatuses?[0] is { RestartCount: 1, Ready: true }, "to be back");
        Assert.Equal(before, (Of(await node.ReadyAsync("stays")), Of(await node.ReadyAsync("once"))));
        Assert.Equal(0, (await node.PhaseAsync("done", "Succeeded")).Status!.ContainerStatuses![0].RestartCount);
        Assert.Equal((0, "alive\n", ""), await node.ExecAsync("stays", "echo alive"));

        // What is looked for below is there while they run.
        Assert.NotEmpty(node.Cgroups());
        await node.DeleteAsync("stays", "once", "dies", "done");
        await PodNode.UntilAsync(async () => (await node.LeftoversAsync()).Count == 0, "everything gone");
        Assert.Empty(await node.LeftoversAsync());
        Assert.True(await node.Images.SizeAsync(CancellationToken.None) > 0);
    }

    [Fact]
    public async Task Ten_pods_run_again_within_five_seconds_of_a_reboot()
    {
        await using var node = new PodNode();
        await node.InitializeAsync();
        for (int i = 0; i < 10; i++)
            await node.ScriptAsync($"p{i}", "sleep 600", """{"volumeMounts":[{"name":"m","mountPath":"/m"}]}""", """{"initContainers":[{"name":"i","command":["true"]}],"volumes":[{"name":"m","emptyDir":{"medium":"Memory"}}]}""");
        for (int i = 0; i < 10; i++)
            await node.ReadyAsync($"p{i}");
        var took = new List<TimeSpan>();
        // The promise is the node's; a machine that others keep busy gets three tries to show it.
        do
        {
            await node.StopAsync();
            Reboot(node);
            var watch = Stopwatch.StartNew();
            await node.StartAsync();
            for (int i = 0; i < 10; i++)
                await node.UntilAsync($"p{i}", p => p.Status?.ContainerStatuses?[0] is { Ready: true } now && now.RestartCount == took.Count + 1, "to run again");
            took.Add(watch.Elapsed);
            output.WriteLine($"10 pods of two containers ran again after {watch.ElapsedMilliseconds} ms");
        }
        while (took[^1] >= TimeSpan.FromSeconds(5) && took.Count < 3);
        Assert.True(took[^1] < TimeSpan.FromSeconds(5), $"10 pods took {string.Join(", ", took)}");
    }

    /// <summary>What a power cut takes: monitors first (so that no exit code is written), then processes, mounts and namespaces, then the run folder.</summary>
    private static void Reboot(PodNode node)
    {
        List<int> pids = [];
        foreach (string process in Directory.EnumerateDirectories("/proc"))
            if (int.TryParse(Path.GetFileName(process), out int pid))
                try
                {
                    if (File.ReadAllText(Path.Join(process, "cmdline")).Contains(node.RunFolder, StringComparison.Ordinal))
                        pids.Insert(0, pid);
                    else if (File.ReadAllText(Path.Join(process, "cgroup")).Contains("/atoll-" + node.Name + "/", StringComparison.Ordinal))
                        pids.Add(pid);
                }
                catch (Exception e) when (e is IOException or UnauthorizedAccessException)
                {
                    // It ended meanwhile.
                }
        foreach (int pid in pids)
            Posix.Kill(pid, Posix.SIGKILL);
        foreach (string line in File.ReadAllLines("/proc/self/mountinfo").Reverse())
            if (line.Split(' ')[4] is var point && point.StartsWith(node.Folder, StringComparison.Ordinal))
                Posix.Unmount(point);
        Directory.Delete(node.RunFolder, recursive: true);
    }
}
