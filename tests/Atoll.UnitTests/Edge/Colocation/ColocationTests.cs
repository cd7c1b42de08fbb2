using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Colocation;
using Atoll.Edge.Instances;
using Atoll.Edge.Nodes;
using Atoll.UnitTests.Edge.Instances;

namespace Atoll.UnitTests.Edge.Colocation;

/// <summary>A node that takes batch pods: real node control over a host whose use is written by the test.</summary>
public sealed class ColocationTests
{
    private const string Batch = ""","labels":{"edge.atoll.dev/qos":"batch"}""", Small = """ "containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"500m","memory":"512Mi"}}}]""";

    private static readonly SiteSpec s_on = new() { Colocation = new Atoll.Api.Core.Colocation { ColdStartSeconds = 0, EvictAfterSeconds = 1 } };

    [Fact]
    public async Task The_node_tells_what_is_left_and_takes_batch_pods_beside_its_reservations()
    {
        await using NodeWorld world = await MakeAsync();
        await world.StartAsync();
        (long cpu, long memory) = await ToldAsync(world, t => t.Cpu > 0);
        Assert.InRange(cpu, 2800, 3200); // Four fifths of 4 cores, less nothing used in hundredths.
        Assert.InRange(memory, 2L << 30, (long)(3.2 * (1L << 30)));
        await world.PodAsync("web", """ "containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"4","memory":"4Gi"}}}]""");
        await world.PodAsync("a", Small, Batch);
        await world.UntilAsync("web", NodeWorld.IsReady, "ready");
        Pod pod = await world.UntilAsync("a", NodeWorld.IsReady, "ready");
        Assert.Equal("BestEffort", pod.Status!.QosClass);
        var spec = world.Runtime.Spec(InstanceNames.Id(pod.Metadata.Uid!, "c", 0))!;
        Assert.Equal((true, 512L, 1000), (spec.Batch, spec.Limits.CpuShares, spec.Limits.OomScoreAdj));
        await world.PodAsync("big", Small.Replace("512Mi", "3900Mi", StringComparison.Ordinal), Batch);
        Pod refused = await world.UntilAsync("big", p => p.Status?.Phase == "Failed", "a refusal");
        Assert.Equal("OutOfedge.atoll.dev/batch-memory", refused.Status!.Reason);
        Assert.True(((Host)world.BatchHost!).CpuMilli > 0);
    }

    [Fact]
    public async Task Batch_pods_go_when_online_pods_take_the_memory_and_online_pods_stay()
    {
        await using NodeWorld world = await MakeAsync();
        await world.StartAsync();
        await ToldAsync(world, t => t.Cpu > 0);
        await world.PodAsync("web", Small);
        await world.PodAsync("a", Small, Batch);
        await world.UntilAsync("web", NodeWorld.IsReady, "ready");
        await world.UntilAsync("a", NodeWorld.IsReady, "ready");
        ((Host)world.BatchHost!).Use = new HostUse(0, 0, 0, 3900L << 20, 1L << 40, 3800L << 20, 100 << 20, 0);
        Pod gone = await world.UntilAsync("a", p => p.Status?.Phase == "Failed", "an eviction");
        Assert.Equal("Evicted", gone.Status!.Reason);
        Assert.StartsWith("The node needs the memory of batch pods for online pods: pods and system use 3900Mi, and batch pods go above 3686Mi", gone.Status.Message, StringComparison.Ordinal);
        Assert.Contains(await world.EventsAsync("a"), e => e.Reason == "Evicted");
        Assert.True(NodeWorld.IsReady((await world.GetAsync("web"))!.View(ApiJson.Default.Pod)));
    }

    [Fact]
    public async Task A_site_that_takes_no_batch_pods_any_more_ends_them_and_an_agent_that_starts_remembers()
    {
        await using NodeWorld world = await MakeAsync();
        await world.StartAsync();
        await ToldAsync(world, t => t.Cpu > 0);
        await world.PodAsync("a", Small, Batch);
        await world.UntilAsync("a", NodeWorld.IsReady, "ready");
        await world.StopAsync();
        // All that the next agent knows of the past is in the Node.
        world.Site = new SiteSpec { Colocation = new Atoll.Api.Core.Colocation() };
        await world.StartAsync();
        await world.PodAsync("b", Small, Batch);
        await world.UntilAsync("b", NodeWorld.IsReady, "ready");
        Assert.True((await ToldAsync(world, _ => true)).Cpu > 0);
        world.Site = new SiteSpec();
        foreach (string name in (string[])["a", "b"])
            Assert.Contains("spec.colocation was removed", (await world.UntilAsync(name, p => p.Status?.Reason == "Evicted", "an eviction")).Status!.Message, StringComparison.Ordinal);
        await ToldAsync(world, t => t.Cpu < 0);
    }

    private static async Task<NodeWorld> MakeAsync()
    {
        NodeWorld world = await NodeWorld.MakeAsync();
        world.Node = world.Node with { MemoryPressureOverAboveBytes = 0 };
        world.Site = s_on;
        world.BatchHost = new Host();
        return world;
    }

    /// <summary>What the Node tells as allocatable to batch pods once it suits; −1 is nothing.</summary>
    private static async Task<(long Cpu, long Memory)> ToldAsync(NodeWorld world, Func<(long Cpu, long Memory), bool> suits)
    {
        (long, long) told = default;
        Func<Task<bool>> look = async () =>
        {
            Node? node = (await world.Api.GetAsync(Kinds.Node, null, "n1", CancellationToken.None)).Object?.View(ApiJson.Default.Node);
            long Of(string name) => node?.Status?.Allocatable?.TryGetValue(name, out string? text) == true ? Atoll.Api.Quantities.Quantity.Parse(text).Value : -1;
            told = (Of(WellKnown.BatchCpu), Of(WellKnown.BatchMemory));
            return suits(told);
        };
        for (int i = 0; i < 1500 && !await look(); i++)
            await Task.Delay(10);
        Assert.True(suits(told), $"the node tells {told}");
        return told;
    }

    private sealed class Host : IBatchHost
    {
        public HostUse Use { get; set; } = new(0, 0, 0, 0, 1L << 40, 0, 0, 0);

        public long CpuMilli { get; private set; }

        public HostUse Read() => Use;

        public void Limit(long cpuMilli, long memoryHighBytes, long memoryMaxBytes) => CpuMilli = cpuMilli;
    }
}
