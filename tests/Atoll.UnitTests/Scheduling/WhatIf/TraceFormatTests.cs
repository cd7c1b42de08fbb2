using Atoll.Api.Objects;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Online;
using Atoll.Scheduling.WhatIf;

namespace Atoll.UnitTests.Scheduling.WhatIf;

public sealed class TraceFormatTests
{
    [Fact]
    public void Tasks_and_nodes_are_read()
    {
        IReadOnlyList<TraceTask> tasks = TraceFormat.ReadTasks(new StringReader("name,cpu,memory,arrive,leave,count,edge.atoll.dev/gpu\n# words\nlate,500m,1Gi,60,,2,\nearly,4,,,90.5,,2\n"), "t");
        Assert.Equal([("early", 0.0, (double?)90.5), ("late-0", 60, null), ("late-1", 60, null)], tasks.Select(t => (t.Name, t.Arrive, t.Leave)));
        Assert.Equal(["cpu=4", "edge.atoll.dev/gpu=2"], tasks[0].Requests.Select(r => $"{r.Key}={r.Value}").Order(StringComparer.Ordinal));
        KubeObject node = TraceFormat.ReadNodes(new StringReader("\uFEFFname,cpu,pods,region,site,count\nn,8,5,east,s,2\n"), "n")[1];
        Assert.Equal(("n-1", "east", "s"), (node.Name, node.Metadata.Label("topology.kubernetes.io/region"), node.Metadata.Label("edge.atoll.dev/site")));
        Assert.Equal("5", (string?)node.ToNode()["status"]!["allocatable"]!["pods"]);
    }

    [Theory]
    [InlineData("", "t: empty")]
    [InlineData("id,cpu\n", "line 1, column 1: the header begins with 'id'; expected name")]
    [InlineData("name,cpu,cpu\n", "line 1: a column occurs twice")]
    [InlineData("name,cpu\na,1\nb\n", "line 3: 1 fields where the header has 2")]
    [InlineData("name,cpu\na,four\n", "line 2, column 2 (cpu): 'four' is no quantity")]
    [InlineData("name,cpu\na,-1\n", "line 2, column 2 (cpu): '-1' is no quantity")]
    [InlineData("name,cpu,arrive\na,1,soon\n", "line 2, column 3 (arrive): 'soon' is no number of seconds")]
    [InlineData("name,cpu,arrive,leave\na,1,5,4\n", "line 2, column 4 (leave): 4 is before it arrives (5)")]
    [InlineData("name,cpu,count\na,1,0\n", "line 2, column 3 (count): '0' is no whole number")]
    [InlineData("name,cpu\na,\n", "line 2, column 1 (name): the task asks for nothing")]
    [InlineData("name,cpu\n,1\n", "line 2, column 1 (name): empty")]
    [InlineData("name,cpu\n", "no task in it")]
    public void Says_where_a_trace_is_wrong(string text, string message) =>
        Assert.Contains(message, Assert.Throws<InvalidDataException>(() => TraceFormat.ReadTasks(new StringReader(text), "t")).Message, StringComparison.Ordinal);

    [Fact]
    public void Node_names_are_single_and_long_lines_refused()
    {
        Assert.Contains("line 3, column 1 (name): node 'a' occurs twice", Assert.Throws<InvalidDataException>(() => TraceFormat.ReadNodes(new StringReader("name,cpu\na,1\na,1\n"), "n")).Message, StringComparison.Ordinal);
        Assert.Contains("line 2: longer than 65536 characters", Assert.Throws<InvalidDataException>(() => TraceFormat.ReadNodes(new StringReader("name,cpu\n" + new string('a', 70_000)), "n")).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Amounts_without_end_are_shares_all_the_same_and_no_pods_are_none()
    {
        var fleet = new Snapshot();
        foreach (KubeObject node in TraceFormat.ReadNodes(new StringReader("name,cpu,memory,pods,count\nlarge,1e16,9e18,,3000\nnone,4,8Gi,0,1\n"), "n"))
            fleet.UpsertNode(node);
        Assert.Equal((0L, 12_000L), (new FleetCapacity(fleet, Flavour.Parse("cpu=1e30")).Total().Sellable, new FleetCapacity(fleet, Flavour.Parse("cpu=1e12")).Total().Sellable));
        // A tenth of what a node counts with, and what no node has.
        IReadOnlyList<TraceTask> tasks = TraceFormat.ReadTasks(new StringReader("name,cpu,memory,count\ntenth,450359962737,450359962737049,3\nall,1e30,1e30,2\n"), "t");
        WhatIfPoint last = new FleetReplay(fleet, [], FleetReplay.Policies["spread"], 1).Run(tasks)[^1];
        Assert.Equal((3, 0.01, 0.01), (last.Placed, Math.Round(last.CpuPercent, 6), Math.Round(last.MemoryPercent, 6)));
    }

    [Fact]
    public void A_replay_places_as_the_scheduler_does_and_gives_room_back()
    {
        Snapshot Fleet()
        {
            var fleet = new Snapshot();
            foreach (KubeObject node in TraceFormat.ReadNodes(new StringReader("name,cpu,memory,count\nn,4,16Gi,2\n"), "n"))
                fleet.UpsertNode(node);
            return fleet;
        }
        IReadOnlyList<TraceTask> tasks = TraceFormat.ReadTasks(new StringReader("name,cpu,memory,arrive,leave,count\nfirst,3,1Gi,0,10,2\nno,3,1Gi,5,,1\nyes,3,1Gi,10,,1\n"), "t");
        IReadOnlyList<WhatIfPoint> points = new FleetReplay(Fleet(), [Flavour.Parse("4c8g")], FleetReplay.Policies["spread"], 1).Run(tasks);
        Assert.Equal((0, 0, 0.0, 2L), (points[0].Arrived, points[0].Placed, points[0].CpuPercent, points[0].Saleable[0]));
        Assert.Equal((4, 3, 37.5, 1L), (points[^1].Arrived, points[^1].Placed, points[^1].CpuPercent, points[^1].Saleable[0])); // One of 8 cores' 3 left.
        IReadOnlyList<TraceTask> small = TraceFormat.ReadTasks(new StringReader("name,cpu,count\ns,1,4\n"), "t");
        Assert.Equal((0L, 1L), (new FleetReplay(Fleet(), [Flavour.Parse("4c8g")], FleetReplay.Policies["spread"], 1).Run(small)[^1].Saleable[0], new FleetReplay(Fleet(), [Flavour.Parse("4c8g")], FleetReplay.Policies["pack"], 1).Run(small)[^1].Saleable[0]));
    }
}
