using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Cloud.Commands;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Online;
using Atoll.Scheduling.WhatIf;
using Atoll.UnitTests.Scheduling;
using Atoll.UnitTests.Scheduling.Fragments;
using Atoll.UnitTests.Scheduling.Offline;

namespace Atoll.UnitTests.Cloud;

/// <summary><c>atoll simulate</c> and <c>atoll defragment</c>: files that they write and exit codes.</summary>
public sealed class WhatIfCommandTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-whatif-").FullName;

    public void Dispose() => Directory.Delete(_folder, true);

    [Fact]
    public async Task Simulate_writes_the_curves_of_each_policy()
    {
        (string nodes, string trace) = WriteTrace();
        string csv = In("c.csv"), svg = In("c.svg");
        Assert.Equal(ExitCodes.Success, await Cli.RunAsync(["simulate", "--trace", trace, "--nodes", nodes, "--policy", "outlook,FGD", "--demand", "120%", "--csv", csv, "--svg", svg]));
        string[] lines = await File.ReadAllLinesAsync(csv, TestContext.Current.CancellationToken);
        Assert.Equal("policy,seed,demand_percent,allocated_percent,fragment_percent,dropped", lines[0]);
        foreach (string policy in new[] { "Outlook", "FGD" })
        {
            string last = lines.Last(l => l.StartsWith(policy + ",42,", StringComparison.Ordinal));
            Assert.InRange(double.Parse(last.Split(',')[2], CultureInfo.InvariantCulture), 110, 120);
        }
        Assert.Contains("<polyline", await File.ReadAllTextAsync(svg, TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    [Fact]
    public async Task Mistakes_have_their_exit_codes()
    {
        (string nodes, string trace) = WriteTrace();
        Assert.Equal(ExitCodes.NotFound, await Cli.RunAsync(["simulate", "--trace", In("none"), "--nodes", nodes]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["simulate", "--trace", trace, "--nodes", nodes, "--policy", "best"]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["simulate", "--trace", trace, "--nodes", nodes, "--demand", "much"]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["simulate", "--trace", trace]));
        await File.WriteAllTextAsync(In("none"), "sn,cpu_milli,memory_mib,gpu,model\nn,64000,262144,0,\n", TestContext.Current.CancellationToken);
        Assert.Equal(ExitCodes.Failure, await Cli.RunAsync(["simulate", "--trace", trace, "--nodes", In("none"), "-o", "json"]));
        Assert.Equal(ExitCodes.Failure, await Cli.RunAsync(["simulate", "--trace", nodes, "--nodes", nodes]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["defragment", "--snapshot", nodes, "--moves", "-1"]));
        Assert.Equal(ExitCodes.Failure, await Cli.RunAsync(["defragment", "--snapshot", nodes]));
    }

    [Fact]
    public async Task Defragment_plans_on_a_snapshot()
    {
        string file = In("vms.json");
        await File.WriteAllTextAsync(file, SmallVmFleet.ToJson(SmallVmFleet.Draw(3, 12)), TestContext.Current.CancellationToken);
        Assert.Equal(ExitCodes.Success, await Cli.RunAsync(["defragment", "--snapshot", file, "--moves", "4", "-o", "json"]));
    }

    [Fact]
    public async Task Our_own_files_are_replayed_with_new_hardware_a_lost_site_and_a_flavour()
    {
        File.WriteAllText(In("nodes"), "name,cpu,memory,site,count\nn,8,32Gi,here,2\nm,8,32Gi,there,1\n");
        File.WriteAllText(In("more"), "name,cpu,memory\nx,16,64Gi\n");
        File.WriteAllText(In("trace"), "name,cpu,memory,count\nt,3,1Gi,6\n");
        Assert.Equal(ExitCodes.Success, await Cli.RunAsync(["simulate", "--nodes", In("nodes"), "--add-nodes", In("more"), "--lose-site", "there", "--flavour", "4c8g", "--policy", "spread,pack", "--trace", In("trace"), "--csv", In("c"), "--svg", In("s")]));
        string[] lines = File.ReadAllLines(In("c"));
        Assert.Equal("policy,seconds,arrived,placed,demand_percent,cpu_percent,memory_percent,saleable_4c8g,fragmentation_percent_4c8g", lines[0]);
        Assert.StartsWith("spread,0,0,0,0.000,0.000,0.000,8,0.000", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("pack,0,6,6,56.250,56.250,", lines[^1], StringComparison.Ordinal);
        Assert.Contains("Cpu asked for so far", File.ReadAllText(In("s")), StringComparison.Ordinal);
        Assert.Equal(ExitCodes.Success, await Cli.RunAsync(["simulate", "--nodes", In("nodes"), "--flavour", "4c8g", "--csv", In("c")]));
        Assert.Contains(",7,6,", File.ReadAllLines(In("c"))[^1], StringComparison.Ordinal); // Six fit, and the seventh shows it.
        Assert.Equal(ExitCodes.NotFound, await Cli.RunAsync(["simulate", "--nodes", In("nodes"), "--lose-site", "nowhere", "--flavour", "4c8g"]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["simulate", "--nodes", In("nodes")]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["simulate", "--nodes", In("nodes"), "--live"]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["simulate", "--nodes", In("nodes"), "--policy", "FGD", "--flavour", "4c8g"]));
        Assert.Equal(ExitCodes.Failure, await Cli.RunAsync(["simulate", "--nodes", In("nodes"), "--add-nodes", In("nodes"), "--flavour", "4c8g"]));
        Assert.Equal(ExitCodes.Usage, await Cli.RunAsync(["defragment"]));
    }

    [Fact]
    public void A_fleet_is_tried_with_all_that_the_scheduler_looks_at()
    {
        KubeObject[] nodes = [.. new[] { "amd64", "arm64" }.Select((arch, i) => Documents.Node($"n{i}", "8", "32Gi", labels: [(WellKnown.ArchLabel, arch), (WellKnown.SiteLabel, $"s{i}"), (WellKnown.ZoneLabel, $"s{i}")]))];
        var beside = new Snapshot();
        beside.UpsertReservation(Documents.Reserve("kept", "n0"));
        beside.UpsertSite(KubeObject.FromNode(JsonNode.Parse("""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Site","metadata":{"name":"s0","uid":"s0"},"spec":{"headroom":{"cpu":"2"}}}""")!.AsObject()));
        var flavour = Flavour.Of("two", new FlavourSpec { Arch = "amd64", Resources = new Dictionary<string, string> { ["cpu"] = "2" } });
        // Of eight cores two are kept for owners and two for replacements; the other node is of another architecture.
        WhatIfPoint full = WhatIfRun.Run(new WhatIfQuestion(nodes, [], [], [flavour], [], Fill: true, beside), "spread", 1)[^1];
        Assert.Equal((3, 2, 0), (full.Arrived, full.Placed, full.Saleable[0]));
        // A site that is lost idle leaves less to sell, and nothing arrives.
        Assert.Equal(2, Assert.Single(WhatIfRun.Run(new WhatIfQuestion(nodes, [], [], [flavour], ["s1"], Fill: false, beside), "spread", 1)).Saleable[0]);
    }

    private (string Nodes, string Trace) WriteTrace()
    {
        (GpuFleet fleet, List<GpuTask> tasks) = SmallTrace.Draw(5);
        var nodes = new StringBuilder("sn,cpu_milli,memory_mib,gpu,model\n");
        foreach (GpuNode node in fleet.Nodes)
            nodes.Append(CultureInfo.InvariantCulture, $"{node.Name},{node.CpuMilli},{node.MemoryMib},{node.Gpus},{fleet.Models[node.Model]}\n");
        var trace = new StringBuilder("name,cpu_milli,memory_mib,num_gpu,gpu_milli\n");
        for (int i = 0; i < tasks.Count; i++)
            trace.Append(CultureInfo.InvariantCulture, $"t-{i:D4},{tasks[i].CpuMilli},{tasks[i].MemoryMib},{tasks[i].Gpus},{tasks[i].GpuMilli}\n");
        File.WriteAllText(In("nodes.csv"), nodes.ToString());
        File.WriteAllText(In("trace.csv"), trace.ToString());
        return (In("nodes.csv"), In("trace.csv"));
    }

    private string In(string name) => Path.Combine(_folder, name);
}
