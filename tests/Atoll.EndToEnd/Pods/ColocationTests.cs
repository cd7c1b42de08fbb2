using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;

namespace Atoll.EndToEnd.Pods;

/// <summary>Batch pods beside online pods on the real kernel. Figures are ratios of what ran at the same time, so other load of the machine does not matter.</summary>
public sealed class ColocationTests : IAsyncLifetime
{
    private static readonly int s_cores = Environment.ProcessorCount;

    private readonly PodNode _node = new()
    {
        Adjust = options => options with
        {
            Site = () => new SiteSpec { Colocation = new Colocation { ColdStartSeconds = 0 } },
            // The rest of the machine hardly counts: only what the test does.
            Node = options.Node with { Cpu = (3 * s_cores).ToString(CultureInfo.InvariantCulture), Memory = "256Mi", CapacityShare = 0.001, MemoryPressureOverAboveBytes = 0 },
        },
    };

    public async ValueTask InitializeAsync()
    {
        await _node.InitializeAsync();
        await PodNode.UntilAsync(async () => (await _node.Api.GetAsync(Kinds.Node, null, _node.Name, CancellationToken.None)).Object?.View(ApiJson.Default.Node).Status?.Allocatable?.ContainsKey(WellKnown.BatchCpu) == true, "the node tells what batch pods may have");
    }

    public ValueTask DisposeAsync() => _node.DisposeAsync();

    [Fact]
    public async Task An_online_pod_gets_its_cpu_with_batch_beside_it_and_much_less_with_a_plain_pod_of_the_same_size()
    {
        await BurnAsync("online", s_cores, batch: false);
        await BurnAsync("batch", 2 * s_cores, batch: true);
        double withBatch = await ShareAsync("batch");
        string quota = await File.ReadAllTextAsync(Find("cpu", "cpu.cfs_quota_us", "cpu.max"));
        await _node.DeleteAsync("batch");
        await BurnAsync("plain", 2 * s_cores, batch: false);
        double withPlain = await ShareAsync("plain");
        TestContext.Current.TestOutputHelper?.WriteLine($"online pod's part of the cpu: {withBatch:P1} beside batch, {withPlain:P1} beside a plain pod; quota {quota}");
        Assert.True(withBatch >= 0.9, $"the online pod got {withBatch:P1} beside a batch pod");
        Assert.True(withPlain <= 0.75, $"the online pod got {withPlain:P1} beside a plain pod: the control shows nothing");
        Assert.InRange(long.Parse(quota.Split(' ')[0], CultureInfo.InvariantCulture), 1000, 3L * s_cores * 100_000 * 8 / 10);
    }

    [Fact]
    public async Task A_batch_pod_goes_and_says_why_when_online_pods_take_the_memory()
    {
        await _node.ScriptAsync("low", "sleep 600", Requests("100m", "64Mi"), metadata: Batch());
        await _node.ReadyAsync("low");
        // Version 2 slows the group above memory.high; version 1 has a limit only. Either follows what others leave of the node.
        long bound = 0;
        await PodNode.UntilAsync(async () => long.TryParse(await File.ReadAllTextAsync(Find("memory", "memory.limit_in_bytes", "memory.high")), CultureInfo.InvariantCulture, out bound) && bound < 256L << 20, "batch pods are held to what is left of the memory");
        Assert.InRange(bound, 16L << 20, 256L << 20);
        // What a pod writes to a volume in memory is its memory.
        await _node.ScriptAsync("online", "dd if=/dev/zero of=/v/f bs=1M count=230; sleep 600", """{"resources":{"requests":{"cpu":"100m","memory":"200Mi"}},"volumeMounts":[{"name":"v","mountPath":"/v"}]}""",
            """{"volumes":[{"name":"v","emptyDir":{"medium":"Memory"}}]}""");
        Pod gone = await _node.PhaseAsync("low", "Failed");
        Assert.Equal("Evicted", gone.Status!.Reason);
        Assert.StartsWith("The node needs the memory of batch pods for online pods: pods and system use ", gone.Status.Message, StringComparison.Ordinal);
        Assert.Equal("Running", (await _node.ReadyAsync("online")).Status!.Phase);
    }

    private static JsonObject Batch() => new() { ["labels"] = new JsonObject { [WellKnown.QosLabel] = WellKnown.QosBatch } };

    private static string Requests(string cpu, string memory) => $$$"""{"resources":{"requests":{"cpu":"{{{cpu}}}","memory":"{{{memory}}}"} } }""";

    private async Task BurnAsync(string name, int loops, bool batch)
    {
        await _node.ScriptAsync(name, $"for i in $(seq {loops}); do while :; do :; done & done; wait", Requests(s_cores.ToString(CultureInfo.InvariantCulture), "16Mi"), metadata: batch ? Batch() : null);
        await _node.ReadyAsync(name);
    }

    /// <summary>The online pod's part of the cpu that it and another pod get, once both together had five seconds of each core: what else runs is not even over a moment.</summary>
    private async Task<double> ShareAsync(string other)
    {
        (long online, long its) = (await CpuAsync("online"), await CpuAsync(other));
        long now = online, then = its;
        await PodNode.UntilAsync(async () =>
        {
            (now, then) = (await CpuAsync("online"), await CpuAsync(other));
            return now - online + then - its > 5_000_000_000L * s_cores;
        }, "both pods have burnt cpu", seconds: 180);
        return (double)(now - online) / (now - online + then - its);
    }

    private async Task<long> CpuAsync(string name) =>
        (await _node.Runtime.StatsAsync(InstanceNames.Id((await _node.GetAsync(name))!.Uid, "c", 0), CancellationToken.None))!.CpuNanoseconds;

    private string Find(string controller, string one, string two)
    {
        string group = $"atoll-{_node.Name}/{InstanceSpecs.Cgroup}/batch";
        foreach (string tree in Directory.EnumerateDirectories("/sys/fs/cgroup").Where(t => Path.GetFileName(t).Split(',').Contains(controller)))
            if (File.Exists(Path.Join(tree, group, one)))
                return Path.Join(tree, group, one);
        return Path.Join("/sys/fs/cgroup", group, two);
    }
}
