using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;
using Atoll.Edge.Runtimes.Fake;

namespace Atoll.UnitTests.Edge.Instances;

/// <summary>The agent is killed before and after any act of the runtime, again and again, while pods come and go.</summary>
public sealed class CrashTests
{
    private const string Spec = """
        "terminationGracePeriodSeconds":1,"initContainers":[{"name":"i","image":"img:1"}],"containers":[{"name":"a","image":"img:1"},{"name":"b","image":"img:1"}]
        """;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    public async Task Whatever_step_an_agent_dies_in_nothing_runs_twice_restarts_or_leaks(int seed)
    {
        var random = new Random(seed);
        await using NodeWorld world = await NodeWorld.MakeAsync();
        world.Runtime.Behave = spec => spec.Labels[InstanceNames.Container] == "i" ? new FakeBehaviour { RunsFor = TimeSpan.FromMilliseconds(20) } : new FakeBehaviour();
        int until = int.MaxValue;
        using var crashed = new SemaphoreSlim(0);
        world.Runtime.Before = (_, _) =>
        {
            int left = Interlocked.Decrement(ref until);
            if (left == 0)
                crashed.Release();
            if (left <= 0)
                throw new OperationCanceledException("The agent is dead: it does nothing more.");
        };
        var wanted = new List<string>();
        for (int round = 0; round < 12; round++)
        {
            Volatile.Write(ref until, random.Next(1, 8));
            await world.StartAsync();
            string name = $"p{round}";
            await world.PodAsync(name, Spec);
            wanted.Add(name);
            if (wanted.Count > 3 && random.Next(2) == 0)
            {
                string gone = wanted[random.Next(wanted.Count)];
                wanted.Remove(gone);
                await world.DeleteAsync(gone, 1);
            }
            await crashed.WaitAsync(TimeSpan.FromMilliseconds(random.Next(50, 400)));
            Volatile.Write(ref until, 0); // From here on nothing reaches the runtime, as after kill -9.
            await world.StopAsync();
            while (crashed.Wait(0))
                continue;
        }
        Volatile.Write(ref until, int.MaxValue);
        await world.StartAsync();
        foreach (string name in wanted)
            await world.UntilAsync(name, NodeWorld.IsReady, "ready after all the crashes");
        for (int round = 0; round < 12; round++)
            if (!wanted.Contains($"p{round}"))
                await world.UntilGoneAsync($"p{round}");

        var pods = new Dictionary<string, Pod>(StringComparer.Ordinal);
        foreach (string name in wanted)
        {
            KubeObject value = (await world.GetAsync(name))!;
            pods[value.Uid] = value.View(Atoll.Api.ApiJson.Default.Pod);
            Assert.All(pods[value.Uid].Status!.ContainerStatuses!, c => Assert.Equal(0, c.RestartCount));
        }
        await NodeWorld.UntilAsync(() => world.Runtime.ListAsync(default).Result.Count == 2 * wanted.Count, "only what runs is left");
        IReadOnlyList<Instance> instances = await world.Runtime.ListAsync(default);
        Assert.All(instances, i => Assert.Contains(i.Labels[InstanceNames.PodUid], pods.Keys));
        Assert.Equal(instances.Count, instances.DistinctBy(i => (i.Labels[InstanceNames.PodUid], i.Labels[InstanceNames.Container])).Count());
        Assert.All(world.Runtime.Journal.Where(l => l.StartsWith("start ", StringComparison.Ordinal)).GroupBy(l => l), g => Assert.Single(g));
        Assert.Equal(wanted.Count, (await world.Network.ListAsync(default)).Count);
        Assert.Equal(wanted.Count, Directory.GetDirectories(Path.Combine(world.Folder, "pods")).Length);
    }
}
