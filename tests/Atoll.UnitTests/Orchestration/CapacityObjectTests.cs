using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Capacities;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Capacity objects over the real API.</summary>
public sealed class CapacityObjectTests
{
    private const string Four = """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Flavour","metadata":{"name":"four"},"spec":{"resources":{"cpu":"4","memory":"8Gi"}}}""";

    [Fact]
    public async Task Fleet_regions_and_sites_have_figures_that_follow_and_a_history_that_outlives_a_restart()
    {
        await using FragmentWorld world = await FragmentWorld.StartAsync();
        await world.MakeAsync(Kinds.Site, """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Site","metadata":{"name":"a-site"}}""");
        await world.NodeAsync("a", 6);
        await world.AppAsync("one", "a", 1);
        await world.NodeAsync("b", 5, region: "west");
        await world.NodeAsync("c", 9, ready: "False");
        await world.MakeAsync(Kinds.Flavour, Four);
        await world.UntilAsync(() => world.Capacity("four")?.Status is { Saleable: 2, Pooled: 2, Nodes: 2, ClosedNodes: 1, Migrations.Count: 3 });
        await world.UntilAsync(() => world.Capacity("four.site.a-site")?.Status is not null && world.Capacity("four.region.west")?.Status is not null);
        Capacity fleet = world.Capacity("four")!, site = world.Capacity("four.site.a-site")!;
        Assert.Equal(0.2, fleet.Status!.Fragmentation); // 8 of 10 free cores are sold.
        Assert.Equal([("a", "1", "cpu"), ("b", "1", "cpu")], fleet.Status.TopNodes!.Select(n => (n.Name, n.Stranded, n.ShortOf)));
        Assert.Equal(("not ready", 1, 2L), (fleet.Status.Blocked![0].Reason, fleet.Status.Blocked[0].Nodes, fleet.Status.Blocked[0].Saleable));
        Assert.Equal(("east", "a-site", 1L), (site.Spec.Region, site.Spec.Site, site.Status!.Saleable));
        Assert.Equal(1, world.Capacity("four.region.west")!.Status!.Saleable);
        await world.UntilAsync(() => world.All(Kinds.Site).First().View(Atoll.Api.ApiJson.Default.Site).Status?.Capacity is [{ Flavour: "four", Saleable: 1, Fragmentation: 0.2 }]);
        CapacityPoint point = Assert.Single(fleet.Status.History!);
        Assert.Equal((600, 0), (fleet.Status.HistorySeconds, point.Time.ToUnixTimeSeconds() % 600));

        await world.StopHostAsync();
        await world.NodeAsync("d", 8);
        world.StartHost();
        await world.UntilAsync(() => world.Capacity("four")?.Status is { Saleable: 4 });
        Assert.Equal(point.Time, world.Capacity("four")!.Status!.History![0].Time);
        Assert.Null((await world.Api.DeleteAsync(Kinds.Flavour, null, "four", DeleteOptions.Default, default)).Error);
        await world.UntilAsync(() => !world.All(Kinds.Capacity).Any());
    }

    [Fact]
    public void The_history_is_bounded_and_on_whole_multiples()
    {
        List<CapacityPoint>? history = null;
        DateTimeOffset now = DateTimeOffset.UnixEpoch.AddSeconds(70);
        for (int i = 0; i < 300; i++, now = now.AddSeconds(300))
            history = CapacityFigures.Extend(history, site: false, now, new CapacityStatus { Saleable = i }) ?? history;
        Assert.Equal(CapacityFigures.WidePoints, history!.Count);
        Assert.All(history, p => Assert.Equal(0, p.Time.ToUnixTimeSeconds() % CapacityFigures.WideSeconds));
        Assert.Equal((298L, 600.0), (history[^1].Saleable, (history[^1].Time - history[^2].Time).TotalSeconds));
        Assert.Null(CapacityFigures.Extend(history, site: false, history[^1].Time.AddSeconds(599), new CapacityStatus()));
    }

    [Fact]
    public void Names_are_names_whatever_a_label_has()
    {
        Assert.Equal(("f", "f.region.east", "f.site.s-1"), (CapacityFigures.NameOf("f", "", ""), CapacityFigures.NameOf("f", "east", ""), CapacityFigures.NameOf("f", "east", "s-1")));
        Assert.Matches("^f\\.region\\.east-eu-[0-9a-f]{8}$", CapacityFigures.NameOf("f", "East_EU", ""));
        Assert.NotEqual(CapacityFigures.NameOf("f", "East", ""), CapacityFigures.NameOf("f", "eaSt", ""));
    }
}
