using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Checking;
using Atoll.Scheduling.Online;
using static Atoll.UnitTests.Scheduling.Documents;

namespace Atoll.UnitTests.Scheduling;

/// <summary>Batch pods fit what a node reclaims; to online pods they are not there.</summary>
public sealed class BatchTests
{
    [Fact]
    public void Batch_fits_beside_online_pods_that_reserved_the_whole_node()
    {
        KubeObject[] nodes = [Host("n", "4", 1000, 1 << 30)], pods = [Pod("web", node: "n", cpu: "4")];
        IReadOnlyList<Placement> placed = Places(nodes, pods, [Batch("a", 600), Batch("b", 600), Pod("c", cpu: "1")]);
        Assert.Equal("n", placed[0].Node);
        Assert.StartsWith("0/1 nodes are available: 1 Insufficient edge.atoll.dev/batch-cpu. preemption: not eligible", placed[1].Message, StringComparison.Ordinal);
        Assert.StartsWith("0/1 nodes are available: 1 Insufficient cpu.", placed[2].Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_node_without_colocation_takes_no_batch() =>
        Assert.StartsWith("0/1 nodes are available: 1 Insufficient edge.atoll.dev/batch-cpu, 1 Insufficient edge.atoll.dev/batch-memory.", Place([Node("n")], [], Batch("a", 1)).Message, StringComparison.Ordinal);

    [Fact]
    public void Online_pods_do_not_preempt_batch_for_room_that_it_does_not_take()
    {
        KubeObject[] nodes = [Host("n", "4", 4000, 1 << 30)], pods = [Batch("a", 1000, "n"), Pod("low", node: "n", cpu: "3", priority: -5)];
        Placement placed = Place(nodes, pods, Pod("high", cpu: "2", priority: 10));
        Assert.Equal("low", Assert.Single(placed.Victims).Name);
        Assert.Equal("n", Place(nodes, [pods[0]], Pod("high", cpu: "4", priority: 10)).Node);
    }

    [Fact]
    public void Batch_changes_nothing_for_online_pods_and_every_plan_is_legal() => DrawnCases.Each(500, (5, 12, 10), c =>
    {
        var random = new Random(c.Seed);
        KubeObject[] nodes = [.. Enumerable.Range(0, c.Nodes).Select(i => Host($"n{i}", $"{random.Next(1, 9)}", random.Next(0, 4000), random.Next(0, 1 << 30)))];
        KubeObject[] online = [.. Enumerable.Range(0, c.Pods).Select(i => Pod($"p{i}", node: $"n{random.Next(c.Nodes)}", cpu: $"{random.Next(1, 20) * 100}m", priority: random.Next(3)))];
        KubeObject[] batch = [.. Enumerable.Range(0, c.Pods).Select(i => Batch($"b{i}", random.Next(1, 1500), $"n{random.Next(c.Nodes)}"))];
        KubeObject[] pending = [.. Enumerable.Range(0, c.Pending).Select(i => random.Next(2) == 0 ? Batch($"x{i}", random.Next(1, 1500)) : Pod($"x{i}", cpu: $"{random.Next(1, 30) * 100}m", priority: random.Next(3)))];
        string[] Told(KubeObject[] pods, KubeObject[] asked)
        {
            Plan plan = Scheduler.Plan(Fleet(nodes, pods, []), asked, new PlanOptions { Seed = 1 });
            Assert.Empty(PlanChecker.Check(nodes, pods, [], asked, plan));
            return [.. plan.Placements.Where(p => !IsBatch(p.Pod)).Select(p => $"{p.Pod.Name} {p.Node} {p.Message?.Split(" preemption:")[0]} {p.Nominated} {string.Join(',', p.Victims.Select(v => v.Name))}")];
        }
        Assert.Equal(Told(online, [.. pending.Where(p => !IsBatch(p))]), Told([.. online, .. batch], pending));
    });

    private static bool IsBatch(KubeObject pod) => pod.Metadata.Label(WellKnown.QosLabel) is not null;

    private static KubeObject Host(string name, string cpu, long batchCpu, long batchMemory) =>
        Node(name, cpu, more: $$$"""{"status":{"allocatable":{"edge.atoll.dev/batch-cpu":"{{{batchCpu}}}","edge.atoll.dev/batch-memory":"{{{batchMemory}}}"} }}""");

    private static KubeObject Batch(string name, long milli, string? node = null)
    {
        JsonObject pod = Pod(name, node: node, priority: -1_000_000).ToNode();
        pod["metadata"]!["labels"] = new JsonObject { [WellKnown.QosLabel] = WellKnown.QosBatch };
        pod["spec"]!["preemptionPolicy"] = "Never";
        pod["spec"]!["containers"]![0]!["resources"]!["requests"] = new JsonObject { [WellKnown.BatchCpu] = $"{milli}", [WellKnown.BatchMemory] = "1Mi" };
        return KubeObject.FromNode(pod);
    }
}
