using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Online;
using CsCheck;

namespace Atoll.UnitTests.Scheduling.Capacities;

public sealed class FleetCapacityTests
{
    private static readonly Flavour s_4c8g = Flavour.Parse("4c8g");

    [Fact]
    public void Sells_by_node_and_says_what_is_lost_in_pieces()
    {
        var fleet = new Snapshot();
        fleet.UpsertNode(Node("a", "east", "s1", 6, 32));
        fleet.UpsertNode(Node("b", "east", "s2", 6, 12));
        fleet.UpsertNode(Node("c", "west", "s3", 8, 64));
        fleet.UpsertNode(Node("d", "west", "s3", 8, 64, closed: true));
        var capacity = new FleetCapacity(fleet, s_4c8g);
        CapacityAnswer total = capacity.Total();
        Assert.Equal((4L, 5L, 3, 1), (total.Sellable, total.Pooled, total.OpenNodes, total.ClosedNodes));
        Assert.Equal(0.2, total.Fragmentation, 6);
        CapacityAnswer[] sites = [.. capacity.Sites()];
        Assert.Equal([("east", "s1", 1L), ("east", "s2", 1L), ("west", "s3", 2L)], sites.Select(s => (s.Region, s.Site, s.Sellable)));
        int cpu = total.Resources.ToList().IndexOf("cpu"), memory = total.Resources.ToList().IndexOf("memory");
        Assert.Equal(1 / 3.0, sites[0].Unsaleable(cpu), 6); // 2 of 6 cores.
        Assert.Equal(0.75, sites[0].Unsaleable(memory), 6); // 24 of 32 GiB.
        Assert.Equal((1, 1), (sites[1].ShortOn[cpu], sites[1].ShortOn[memory]));
        Assert.Equal((2L, 0L), (new FleetCapacity(fleet, s_4c8g, region: "east").Total().Sellable, new FleetCapacity(fleet, s_4c8g, region: "north").Total().Pooled));
    }

    [Fact]
    public void Migrations_join_fragments_of_a_region_and_leave_alone_what_is_bound()
    {
        var fleet = new Snapshot();
        fleet.UpsertNode(Node("a", "east", "s1", 4, 32));
        fleet.UpsertNode(Node("b", "east", "s2", 6, 32));
        fleet.UpsertNode(Node("c", "west", "s3", 6, 32));
        fleet.UpsertPod(Pod("p", "a", 2, "ReplicaSet"));
        Assert.Equal(2, new FleetCapacity(fleet, s_4c8g).Total().Sellable);
        Assert.Equal((1L, 1L), (new FleetCapacity(fleet, s_4c8g).GainOf(1, 3600), new FleetCapacity(fleet, s_4c8g).GainOf(50, 3600)));
        fleet.UpsertPod(Pod("p", "a", 2, "DaemonSet"));
        Assert.Equal(0, new FleetCapacity(fleet, s_4c8g).GainOf(50, 3600));
        fleet.UpsertPod(Pod("p", "a", 2, "ReplicaSet"));
        Assert.Equal(0, new FleetCapacity(fleet, s_4c8g, site: "s1").GainOf(50, 3600)); // There is no other node in the question.
    }

    [Fact]
    public void What_is_sellable_is_what_the_scheduler_places_and_no_more() => Gen.Int.Each(300, seed =>
    {
        var random = new Random(seed);
        var fleet = new Snapshot();
        int nodes = random.Next(1, 6);
        for (int i = 0; i < nodes; i++)
            fleet.UpsertNode(Node($"n{i}", "r", $"s{i % 2}", random.Next(1, 20), random.Next(1, 40), closed: random.Next(6) == 0, pods: random.Next(1, 8)));
        for (int i = 0; i < random.Next(8); i++)
            fleet.UpsertPod(Pod($"p{i}", $"n{random.Next(nodes)}", random.Next(1, 3), "ReplicaSet"));
        var flavour = Flavour.Parse($"{random.Next(1, 5)}c{random.Next(1, 9)}g");
        long sellable = new FleetCapacity(fleet, flavour).Total().Sellable;
        KubeObject[] pending = [.. Enumerable.Range(0, (int)sellable + 1).Select(i => Pending($"q{i}", flavour))];
        Plan plan = Scheduler.Plan(fleet, pending, seed);
        Assert.Equal(sellable, plan.Placements.Count(p => p.Node is not null));
        foreach (int moves in (int[])[1, 3])
            Assert.InRange(new FleetCapacity(fleet, flavour).GainOf(moves, 3600), 0, new FleetCapacity(fleet, flavour).Total().Pooled - sellable);
    });

    [Theory]
    [InlineData("4c8g", "4", "8589934592")]
    [InlineData("0.5c0.5g", "0.5", "536870912")]
    [InlineData("cpu=4,memory=8Gi", "4", "8Gi")]
    public void Flavours_are_read(string text, string cpu, string memory)
    {
        Flavour flavour = Flavour.Parse(text);
        Assert.Equal((cpu, memory), (flavour.Requests["cpu"], flavour.Requests["memory"]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("4c")]
    [InlineData("-1c8g")]
    [InlineData("cpu=0")]
    [InlineData("cpu=x,memory=1Gi")]
    [InlineData("cpu=1,cpu=2")]
    public void A_wrong_flavour_is_named(string text) => Assert.Contains($"\"{text.Split(',')[0]}", Assert.Throws<FormatException>(() => Flavour.Parse(text)).Message.Replace("\"cpu=1,cpu=2\"", "\"cpu=1", StringComparison.Ordinal), StringComparison.Ordinal);

    private static KubeObject Node(string name, string region, string site, int cores, int gib, bool closed = false, int pods = 110) => new(System.Text.Encoding.UTF8.GetBytes(new JsonObject
    {
        ["apiVersion"] = "v1", ["kind"] = "Node",
        ["metadata"] = new JsonObject { ["name"] = name, ["uid"] = name, ["resourceVersion"] = "1", ["labels"] = new JsonObject { ["topology.kubernetes.io/region"] = region, ["topology.kubernetes.io/zone"] = site } },
        ["spec"] = new JsonObject { ["unschedulable"] = closed },
        ["status"] = new JsonObject
        {
            ["allocatable"] = new JsonObject { ["cpu"] = cores.ToString(CultureInfo.InvariantCulture), ["memory"] = $"{gib}Gi", ["pods"] = pods.ToString(CultureInfo.InvariantCulture) },
            ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Ready", ["status"] = "True" }),
        },
    }.ToJsonString()));

    private static KubeObject Pod(string name, string node, int cores, string owner) => new(System.Text.Encoding.UTF8.GetBytes(new JsonObject
    {
        ["apiVersion"] = "v1", ["kind"] = "Pod",
        ["metadata"] = new JsonObject
        {
            ["name"] = name, ["namespace"] = "default", ["uid"] = name + owner, ["resourceVersion"] = "2",
            ["ownerReferences"] = new JsonArray(new JsonObject { ["apiVersion"] = "apps/v1", ["kind"] = owner, ["name"] = "o", ["uid"] = "o", ["controller"] = true }),
        },
        ["spec"] = new JsonObject { ["nodeName"] = node, ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["image"] = "i", ["resources"] = new JsonObject { ["requests"] = new JsonObject { ["cpu"] = cores.ToString(CultureInfo.InvariantCulture) } } }) },
    }.ToJsonString()));

    private static KubeObject Pending(string name, Flavour flavour) => new(System.Text.Encoding.UTF8.GetBytes(new JsonObject
    {
        ["apiVersion"] = "v1", ["kind"] = "Pod",
        ["metadata"] = new JsonObject { ["name"] = name, ["namespace"] = "default", ["uid"] = name, ["resourceVersion"] = "3" },
        ["spec"] = new JsonObject { ["containers"] = new JsonArray(new JsonObject { ["name"] = "c", ["image"] = "i", ["resources"] = new JsonObject { ["requests"] = new JsonObject { ["cpu"] = flavour.Requests["cpu"], ["memory"] = flavour.Requests["memory"] } } }) },
    }.ToJsonString()));
}
