using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Commands;
using Atoll.Kube.Client;
using Atoll.UnitTests.Kube;

namespace Atoll.UnitTests.Cloud;

/// <summary>Commands of the operator from the command line to the API and back, over HTTP.</summary>
public sealed class CommandsOverHttpTests : HttpTestBase
{
    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-commands-").FullName;

    public override async ValueTask DisposeAsync()
    {
        await base.DisposeAsync();
        Directory.Delete(_folder, true);
        GC.SuppressFinalize(this);
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("..")]
    public async Task What_is_no_name_never_means_all(string name)
    {
        await Make(Kinds.Site, Json("""{"metadata":{"name":"lyon"}}"""));
        foreach (string word in (string[])["show", "orphans", "revoke", "delete"])
            Assert.Equal((word, ExitCodes.Usage), (word, await Run("site", word, name)));
        Assert.Equal(ExitCodes.Usage, await Run("delivery", "delete", name));
        using (var client = new HttpResources(KubeConfig.Load(In("kubeconfig", ""))))
            Assert.True((await client.DeleteAsync(Kinds.Site, null, name, DeleteOptions.Default, default)).IsNotFound);
        Assert.Null((await Read(Kinds.Site, "lyon"))!.View(ApiJson.Default.Site).Spec.Revoked);
    }

    [Fact]
    public async Task A_delivery_is_created_answered_listed_shown_and_deleted()
    {
        Task<int> creating = Run("delivery", "create", "shop", "--count", "20", "--flavour", "4c8g", "--region", "east", "--kind", "near", "--latency", "lyon=20.5", "--min-sites", "3", "--max-share", "40", "--image", "shop:1");
        KubeObject made = await UntilAsync(Kinds.Delivery, "default", "shop", _ => true);
        DeliverySpec spec = made.View(ApiJson.Default.Delivery).Spec;
        Assert.Equal((20, "4c8g", "east", "near", "lyon", 20.5, 3, 40), (spec.Count, spec.Flavour, spec.Region, spec.Kinds![0], spec.Latency!.To, spec.Latency.Milliseconds, spec.MinSites, spec.MaxSharePercent));
        Assert.Equal("shop:1", spec.Template!.Value.GetProperty("spec").GetProperty("containers")[0].GetProperty("image").GetString());
        // The controller's answer ends the command, and what is missing is its exit code.
        await StatusAsync(Kinds.Delivery, "default", "shop", """{"observedGeneration":1,"phase":"Unsatisfiable","planned":12,"missing":8,"sites":[{"site":"a","count":12}],"alternatives":[{"relax":"minSites","value":"2","message":"minSites 2"}]}""");
        Assert.Equal(ExitCodes.Failure, await creating);
        Assert.Equal(["default", "shop", "Unsatisfiable", "20", "12", "0", "1", "8"], DeliveryCommand.Row((await Read(Kinds.Delivery, "shop"))!));
        Assert.Equal(ExitCodes.Success, await Run("delivery", "list"));
        Assert.Equal(ExitCodes.Success, await Run("delivery", "show", "shop"));
        Assert.Equal(ExitCodes.NotFound, await Run("delivery", "show", "other"));
        Assert.Equal(ExitCodes.Success, await Run("delivery", "delete", "shop", "-o", "json"));
        Assert.Equal(ExitCodes.NotFound, await Run("delivery", "delete", "shop"));
        Assert.Equal(ExitCodes.Usage, await Run("delivery", "create", "x", "--count", "1", "--flavour", "4c8g", "--latency", "lyon"));
        Assert.Equal(ExitCodes.Failure, await Run("delivery", "create", "x", "--count", "-1", "--flavour", "4c8g"));
        string template = In("pods.json", """{"spec":{"containers":[{"name":"c","image":"i"}]}}""");
        Assert.Equal(ExitCodes.Success, await Run("delivery", "create", "y", "--count", "1", "--template", template, "--wait", "0"));
        Assert.Equal(ExitCodes.Failure, await Run("delivery", "create", "z", "--count", "1", "--template", In("bad", "{"), "--wait", "0"));
    }

    [Fact]
    public async Task A_defragmentation_is_created_approved_and_watched_to_its_end()
    {
        Task<int> creating = Run("defragment", "create", "tonight", "--flavour", "4c8g=3", "--flavour", "1c2g", "--region", "east", "--within", "site", "--moves", "7", "--site-bandwidth", "10M");
        KubeObject made = await UntilAsync(Kinds.DefragmentationPlan, null, "tonight", _ => true);
        JsonNode spec = made.ToNode()["spec"]!;
        Assert.Equal(("Site", "east", 7, "10M", "4c8g", 3, "1c2g"), ((string?)spec["moveWithin"], (string?)spec["region"], (int)spec["limits"]!["maxMoves"]!, (string?)spec["limits"]!["siteBandwidth"], (string?)spec["flavours"]![0]!["name"], (int)spec["flavours"]![0]!["weight"]!, (string?)spec["flavours"]![1]!["name"]));
        await StatusAsync(Kinds.DefragmentationPlan, null, "tonight", """{"phase":"WaitingForApproval","computedFor":"x","message":"1 move","moves":[{"step":1,"state":"Pending","namespace":"default","pod":"p","from":"a","to":"b"}]}""");
        Assert.Equal(ExitCodes.Success, await creating);
        Assert.Equal(ExitCodes.Success, await Run("defragment", "watch", "tonight"));
        Assert.Equal(ExitCodes.Success, await Run("defragment", "approve", "tonight"));
        Assert.True((bool)(await Read(Kinds.DefragmentationPlan, "tonight", null))!.ToNode()["spec"]!["approved"]!);
        await StatusAsync(Kinds.DefragmentationPlan, null, "tonight", """{"phase":"Running","message":"moving"}""");
        Task<int> watching = Run("defragment", "watch", "tonight");
        await StatusAsync(Kinds.DefragmentationPlan, null, "tonight", """{"phase":"Failed","message":"reality moved"}""");
        Assert.Equal(ExitCodes.Failure, await watching);
        // What the centre cannot compute yet is said, and not waited for.
        Task<int> early = Run("defragment", "create", "early", "--flavour", "later");
        await UntilAsync(Kinds.DefragmentationPlan, null, "early", _ => true);
        await StatusAsync(Kinds.DefragmentationPlan, null, "early", """{"phase":"Pending","message":"there is no Flavour later, and it is no size such as 4c8g"}""");
        Assert.Equal(ExitCodes.Failure, await early);
        Assert.Equal(ExitCodes.NotFound, await Run("defragment", "approve", "other"));
        Assert.Equal(ExitCodes.Usage, await Run("defragment", "create", "x", "--flavour", "4c8g=many"));
    }

    [Fact]
    public async Task What_if_is_asked_of_the_live_fleet()
    {
        foreach (string site in (string[])["here", "there"])
            await Make(Kinds.Node, Json($$$"""{"metadata":{"name":"{{{site}}}","labels":{"edge.atoll.dev/site":"{{{site}}}"}},"spec":{},"status":{"allocatable":{"cpu":"8","memory":"32Gi","pods":"10"},"conditions":[{"type":"Ready","status":"True"}]}}"""));
        await Make(Kinds.Pod, Json("""{"metadata":{"name":"p"},"spec":{"nodeName":"there","containers":[{"name":"c","image":"i","resources":{"requests":{"cpu":"3","memory":"1Gi"}}}]}}"""));
        string csv = Path.Combine(_folder, "c.csv");
        Assert.Equal(ExitCodes.Success, await Run("simulate", "--live", "--lose-site", "there", "--flavour", "4c8g", "--csv", csv));
        string[] lines = await File.ReadAllLinesAsync(csv, Cancel);
        Assert.Equal("policy,seconds,arrived,placed,demand_percent,cpu_percent,memory_percent,saleable_4c8g,fragmentation_percent_4c8g", lines[0]);
        // Two of 4 cores fit the node that is left; beside the pod that came over, one.
        Assert.StartsWith("spread,0,0,0,0.000,0.000,0.000,2,", lines[1], StringComparison.Ordinal);
        Assert.StartsWith("spread,0,1,1,37.500,37.500,", lines[^1], StringComparison.Ordinal);
        Assert.Contains(",1,", lines[^1], StringComparison.Ordinal);
        Assert.Equal(ExitCodes.NotFound, await Run("simulate", "--live", "--lose-site", "nowhere", "--flavour", "4c8g"));
    }

    private async Task<int> Run(params string[] arguments)
    {
        string config = In("kubeconfig", $$$"""{"apiVersion":"v1","kind":"Config","current-context":"c","contexts":[{"name":"c","context":{"cluster":"c","user":"u"}}],"clusters":[{"name":"c","cluster":{"server":"{{{Client.BaseAddress}}}"}}],"users":[{"name":"u","user":{"token":"admin"}}]}""");
        return await Cli.RunAsync([.. arguments, "--kubeconfig", config]);
    }

    private string In(string name, string text)
    {
        string path = Path.Combine(_folder, name);
        if (!File.Exists(path))
            File.WriteAllText(path, text);
        return path;
    }

    private async Task<KubeObject> UntilAsync(ResourceType type, string? ns, string name, Func<KubeObject, bool> holds)
    {
        await foreach (WatchEvent change in Admin.WatchAsync(type, ns, new WatchOptions { ResourceVersion = "0" }, Cancel))
            if (change.Object is { } now && now.Name == name && holds(now))
                return now;
        throw new InvalidOperationException("the watch ended");
    }

    private async Task StatusAsync(ResourceType type, string? ns, string name, string status)
    {
        ApiResult result = await Admin.PatchAsync(type, ns, name, PatchType.Merge, new JsonObject { ["status"] = Json(status) }, Cancel, "status");
        Assert.Null(result.Error);
    }
}
