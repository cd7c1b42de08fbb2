using System.Globalization;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;

namespace Atoll.UnitTests.Orchestration;

/// <summary>Deliveries over the real API: planned, delivered, kept, rescaled, refused and deleted.</summary>
public sealed partial class RealApiTests
{
    [Fact]
    public async Task A_delivery_is_planned_made_kept_rescaled_and_deleted()
    {
        foreach ((string site, int trip, int cost) in ((string, int, int)[])[("s1", 5, 3), ("s2", 9, 1), ("s3", 12, 2), ("far", 60, 0)])
            await MakeSiteAsync(site, trip, cost);
        await MakeAsync(Kinds.Delivery, "default", """
            {"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Delivery","metadata":{"name":"d"},"spec":{"count":10,"flavour":"1c1g","region":"east","carrier":"any","latency":{"to":"c","milliseconds":20},"minSites":3,"maxSharePercent":50,
             "template":{"metadata":{"annotations":{"test/scheduled":""}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}
            """);
        await UntilAsync(() => Status() is { Phase: "Delivered", Ready: 10 });
        Assert.Equal("s1=1 s2=5 s3=4", Sites());
        KubeObject lost = _mirrors[Kinds.Pod].Items.First();
        Assert.Equal("1Gi", (string?)lost.ToNode()["spec"]!["containers"]![0]!["resources"]!["requests"]!["memory"] is "1073741824" ? "1Gi" : "other");
        Assert.True((await _admin.DeleteAsync(Kinds.Pod, "default", lost.Name, new DeleteOptions { GracePeriodSeconds = 0 }, _stop.Token)).Ok);
        await UntilAsync(() => _mirrors[Kinds.Pod].Items.All(p => p.Uid != lost.Uid) && Status() is { Phase: "Delivered", Ready: 10, Current: 10 });
        await PatchAsync(Kinds.Delivery, "d", """[{"op":"replace","path":"/spec/count","value":14}]""");
        await UntilAsync(() => Status() is { Phase: "Delivered", Ready: 14, Current: 14 });
        Assert.Equal("s1=1 s2=7 s3=6", Sites());
        await PatchAsync(Kinds.Delivery, "d", """[{"op":"replace","path":"/spec/count","value":40}]""");
        await UntilAsync(() => Status() is { Phase: "Unsatisfiable" });
        // Eight cores each: 24 within 20 ms; the far site has 8 more, which is still too little.
        Assert.Equal(("s1=1 s2=7 s3=6", 16, "count=24"), (Sites(), Status()!.Missing, string.Join(' ', Status()!.Alternatives!.Select(a => $"{a.Relax}={a.Value}"))));
        await PatchAsync(Kinds.Delivery, "d", """[{"op":"replace","path":"/spec/count","value":3}]""");
        await UntilAsync(() => Status() is { Phase: "Delivered", Ready: 3, Current: 3 });
        Assert.Equal("s1=1 s2=1 s3=1", Sites());
        Assert.True((await _admin.DeleteAsync(Kinds.Delivery, "default", "d", DeleteOptions.Default, _stop.Token)).Ok);
        await UntilAsync(() => _mirrors[Kinds.ReplicaSet].Count == 0 && _mirrors[Kinds.Pod].Count == 0);
    }

    [Fact]
    public async Task Two_deliveries_are_not_promised_the_same_room_and_a_question_makes_nothing()
    {
        await MakeSiteAsync("s1", 5, 1);
        const string One = """
            {"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Delivery","metadata":{"name":"NAME"},"spec":{"count":6,"flavour":"1c1g"TEMPLATE}}
            """;
        // Nobody binds what has another scheduler: the promise stays a promise.
        const string Held = ""","template":{"metadata":{"annotations":{"test/scheduled":""}},"spec":{"schedulerName":"nobody","containers":[{"name":"c","image":"i"}]}}""";
        await MakeAsync(Kinds.Delivery, "default", One.Replace("NAME", "d", StringComparison.Ordinal).Replace("TEMPLATE", Held, StringComparison.Ordinal));
        await UntilAsync(() => Status() is { Phase: "Delivering", Current: 6 });
        await MakeAsync(Kinds.Delivery, "default", One.Replace("NAME", "q", StringComparison.Ordinal).Replace("TEMPLATE", "", StringComparison.Ordinal));
        await UntilAsync(() => Status("q") is { Phase: "Unsatisfiable" });
        Assert.Equal(4, Status("q")!.Missing);
        await PatchAsync(Kinds.Delivery, "q", """[{"op":"replace","path":"/spec/count","value":2}]""");
        await UntilAsync(() => Status("q") is { Phase: "Planned", Planned: 2 });
        Assert.Equal(6, _mirrors[Kinds.Pod].Count);
        await MakeAsync(Kinds.Delivery, "default", One.Replace("NAME", "odd", StringComparison.Ordinal).Replace("TEMPLATE", "", StringComparison.Ordinal).Replace("1c1g", "nothing", StringComparison.Ordinal));
        await UntilAsync(() => Status("odd") is { Phase: "Unsatisfiable" } s && s.Conditions!.Exists(c => c.Message?.Contains("there is no Flavour nothing", StringComparison.Ordinal) == true));
        await MakeAsync(Kinds.Delivery, "default", One.Replace("NAME", "unknown", StringComparison.Ordinal).Replace("TEMPLATE", ",\"latency\":{\"to\":\"moon\",\"milliseconds\":9}", StringComparison.Ordinal));
        await UntilAsync(() => Status("unknown") is { Phase: "Unsatisfiable" } s && s.Conditions!.Exists(c => c.Message?.EndsWith("no Site estimates its round trip to moon (spec.roundTrips)", StringComparison.Ordinal) == true));
    }

    [Fact]
    public async Task A_quota_bounds_a_delivery_and_batch_work_asks_for_what_batch_gets()
    {
        await MakeSiteAsync("s1", 5, 1);
        await MakeAsync(Kinds.ElasticQuota, "default", """{"apiVersion":"scheduling.x-k8s.io/v1alpha1","kind":"ElasticQuota","metadata":{"name":"q"},"spec":{"max":{"cpu":"3"}}}""");
        await MakeAsync(Kinds.Delivery, "default", """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Delivery","metadata":{"name":"d"},"spec":{"count":5,"flavour":"1c1g"}}""");
        await UntilAsync(() => Status() is { Phase: "Unsatisfiable", Missing: 2 });
        Assert.Equal("2 of 5 instances cannot be placed; elastic quota default/q is used up (cpu: 3 used + 1 asked > 3 at most); 3 instead of 5 can be delivered", Status()!.Conditions!.Find(c => c.Type == "Planned")!.Message);
        await PatchAsync(Kinds.Delivery, "d", """[{"op":"replace","path":"/spec/count","value":3}]""");
        await UntilAsync(() => Status() is { Phase: "Planned", Planned: 3 });
        await MakeAsync(Kinds.Delivery, "default", """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Delivery","metadata":{"name":"b"},"spec":{"count":1,"template":{"metadata":{"labels":{"edge.atoll.dev/qos":"batch"}},"spec":{"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"1","memory":"1Gi"}}}]}}}}""");
        await UntilAsync(() => Status("b") is { Phase: "Unsatisfiable" } s && s.Conditions!.Exists(c => c.Message?.Contains("Insufficient edge.atoll.dev/batch-cpu", StringComparison.Ordinal) == true));
    }

    [Fact]
    public async Task A_form_brings_along_what_its_class_tolerates_and_any_region_is_any()
    {
        await MakeSiteAsync("s1", 5, 1);
        await PatchAsync(Kinds.Node, null, "s1-n", """[{"op":"add","path":"/spec","value":{"taints":[{"key":"machines","effect":"NoSchedule"}]}}]""");
        await MakeAsync(Kinds.RuntimeClass, null, """{"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"vm"},"handler":"vm","scheduling":{"tolerations":[{"key":"machines","operator":"Exists"}]}}""");
        await MakeAsync(Kinds.Delivery, "default", """
            {"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Delivery","metadata":{"name":"d"},"spec":{"count":2,"flavour":"1c1g","region":"any",
             "template":{"metadata":{"annotations":{"test/scheduled":""}},"spec":{"runtimeClassName":"vm","containers":[{"name":"c","image":"i"}]}}}}
            """);
        await UntilAsync(() => Status() is { Phase: "Delivered", Ready: 2 });
    }

    [Fact]
    public async Task A_site_shows_what_of_it_is_not_saleable()
    {
        await MakeAsync(Kinds.Node, null, """
            {"apiVersion":"v1","kind":"Node","metadata":{"name":"sn","labels":{"edge.atoll.dev/site":"s1"}},"status":{"capacity":{"cpu":"10","memory":"64Gi","pods":"110"},"allocatable":{"cpu":"8","memory":"64Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}
            """);
        const string Pod = """{"apiVersion":"v1","kind":"Pod","metadata":{"name":"NAME","labels":{LABEL},"annotations":{"test/scheduled":""}},"spec":{"nodeSelector":{"edge.atoll.dev/site":"s1"},"containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"CPU","site.edge.atoll.dev/uplink":"1M"}}}]}}""";
        foreach ((string name, string label, string cpu) in ((string, string, string)[])[("mine", "\"edge.atoll.dev/service\":\"balancers\"", "1"), ("sold", "", "2")])
            await MakeAsync(Kinds.Pod, "default", Pod.Replace("NAME", name, StringComparison.Ordinal).Replace("LABEL", label, StringComparison.Ordinal).Replace("CPU", cpu, StringComparison.Ordinal));
        // Pods that ask for what no Site has yet wait; making it lets them in, and is shown once they are.
        await MakeAsync(Kinds.Site, null, """{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Site","metadata":{"name":"s1"},"spec":{"headroom":{"cpu":"3"},"resources":{"site.edge.atoll.dev/uplink":"10M"}}}""");
        await UntilAsync(() => _mirrors[Kinds.Pod].Items.Count(p => p.View(ApiJson.Default.Pod).Spec.NodeName == "sn") == 2);
        await PatchAsync(Kinds.Site, null, "s1", """[{"op":"add","path":"/spec/region","value":"east"}]""");
        await UntilAsync(() => Line("cpu") is { Sold: "2" });
        SiteResource cores = Line("cpu")!, uplink = Line("site.edge.atoll.dev/uplink")!;
        Assert.Equal("10 2 1 3 2 2", $"{cores.Capacity} {cores.System} {cores.Services} {cores.Headroom} {cores.Sold} {cores.Free}");
        Assert.Equal("10000000 1000000 1000000 8000000", $"{uplink.Capacity} {uplink.Services} {uplink.Sold} {uplink.Free}");

        SiteResource? Line(string name) => _mirrors[Kinds.Site].Get("s1")?.View(ApiJson.Default.Site).Status?.Resources?.Find(r => r.Name == name);
    }

    private DeliveryStatus? Status(string name = "d") => _mirrors[Kinds.Delivery].Get("default", name) is { } value && value.View(ApiJson.Default.Delivery).Status is { } status && status.ObservedGeneration == value.Metadata.Generation ? status : null;

    private string Sites() => string.Join(' ', (Status()!.Sites ?? []).Select(s => $"{s.Site}={s.Count}"));

    private async Task MakeSiteAsync(string name, int trip, int cost)
    {
        string number = cost.ToString(CultureInfo.InvariantCulture);
        await MakeAsync(Kinds.Site, null, $$$"""{"apiVersion":"edge.atoll.dev/v1alpha1","kind":"Site","metadata":{"name":"{{{name}}}"},"spec":{"region":"east","unitCost":{{{number}}},"roundTrips":[{"to":"c","milliseconds":{{{trip}}}}] }}""");
        await MakeAsync(Kinds.Node, null, $$$"""
            {"apiVersion":"v1","kind":"Node","metadata":{"name":"{{{name}}}-n","labels":{"edge.atoll.dev/site":"{{{name}}}"}},"status":{"allocatable":{"cpu":"8","memory":"64Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}
            """);
    }
}
