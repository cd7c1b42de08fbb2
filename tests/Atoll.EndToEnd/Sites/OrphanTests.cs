using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>A centre whose store was put back to an older copy stops nothing; an operator decides about what it no longer knows.</summary>
[Collection(SitesGroup.Name)]
public sealed class OrphanTests(LocalRig rig)
{
    [Fact]
    public async Task What_a_restored_centre_does_not_know_is_kept_and_adopted_or_stopped_as_an_operator_says()
    {
        rig.Need();
        string store = $"{rig.Home}/centre", copy = $"{rig.Home}/run/centre-copy";
        await rig.StartAsync("centre", await WhileDownAsync(() => CopyAsync(store, copy)));
        await Until.TrueAsync("the centre is back", 60, async () => await rig.PhaseOfAsync(rig.Alpha) == "Connected");
        // None of this is in the copy.
        await rig.Centre.CreateAsync("configmaps", new JsonObject { ["metadata"] = new JsonObject { ["name"] = "later" }, ["data"] = new JsonObject { ["k"] = "v" } });
        JsonObject first = Pods.Sleeping("kept", rig.Alpha, Pods.Mark()).With((_, container) => container["envFrom"] = new JsonArray(new JsonObject { ["configMapRef"] = new JsonObject { ["name"] = "later" } }));
        PodFact kept = await rig.PodAsync(rig.Alpha, first), ended = await rig.PodAsync(rig.Alpha, Pods.Sleeping("ended", rig.Alpha, Pods.Mark()));

        await rig.StartAsync("centre", await WhileDownAsync(async () =>
        {
            Directory.Delete(store, recursive: true);
            await CopyAsync(copy, store);
        }));
        await Until.TrueAsync("the orphans are shown", 60, async () => (await OrphansAsync()).Count == 3, () => rig.LogAsync("centre"));
        Assert.Equal(["configmaps/default/later", "pods/default/ended", "pods/default/kept"], (await OrphansAsync()).Order());
        Assert.Contains("UnknownObjects", await LocalRig.AtollAsync("site", "show", rig.Alpha.Name, "--kubeconfig", rig.Kubeconfig));
        using ApiView site = LocalRig.SiteApi(rig.Alpha);
        foreach (PodFact was in new[] { kept, ended })
            Assert.Contains((await site.PodsNowAsync()).Values, p => p.Uid == was.Uid && p.ContainerId == was.ContainerId && p.Phase == "Running" && p.Restarts == 0);
        Assert.DoesNotContain("kept", (await rig.Centre.PodsNowAsync()).Keys);

        await LocalRig.AtollAsync("site", "orphans", rig.Alpha.Name, "--adopt", "pods/default/kept", "--stop", "pods/default/ended", "--kubeconfig", rig.Kubeconfig);
        await Until.TrueAsync("the one is adopted as it runs", 30, async () => (await rig.Centre.PodsNowAsync()).GetValueOrDefault("kept") is { Ready: true } now && now.Uid == kept.Uid && now.ContainerId == kept.ContainerId, () => rig.LogAsync("centre"));
        await Until.TrueAsync("the other is stopped", 30, async () => !(await site.PodsNowAsync()).ContainsKey("ended"), () => rig.LogAsync("site-" + rig.Alpha.Name));
        await Until.TrueAsync("nothing is left to decide", 60, async () => (await OrphansAsync()).Count == 0, () => rig.LogAsync("centre"));
        Assert.NotNull(await rig.Centre.GetAsync("/api/v1/namespaces/default/configmaps/later")); // What the pod needs came with it.
        Assert.Equal((kept.ContainerId, 0), ((await site.PodsNowAsync())["kept"].ContainerId, (await site.PodsNowAsync())["kept"].Restarts));
        Outcome unknown = await Programs.RunAsync(Built.Atoll, ["site", "orphans", rig.Alpha.Name, "--stop", "pods/default/none", "--kubeconfig", rig.Kubeconfig]);
        Assert.Equal(3, unknown.Code);

        // It is the centre's again: deleting it there ends it here.
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/kept");
        await Until.TrueAsync("the adopted pod is gone", 30, async () => !(await site.PodsNowAsync()).ContainsKey("kept"));
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/configmaps/later");
        foreach (RigSite each in rig.All)
            await rig.ConnectedAsync(each);
    }

    private async Task<IReadOnlyList<string>> WhileDownAsync(Func<Task> act)
    {
        IReadOnlyList<string> command = await rig.KillAsync("centre");
        await act();
        return command;
    }

    private static Task CopyAsync(string from, string to) => Programs.OkAsync("cp", "-a", from, to);

    private async Task<List<string>> OrphansAsync()
    {
        Outcome listed = await Programs.RunAsync(Built.Atoll, ["site", "orphans", rig.Alpha.Name, "--output", "json", "--kubeconfig", rig.Kubeconfig]);
        return listed.Code != 0 ? [] : [.. JsonNode.Parse(listed.Output)!["orphans"]!.AsArray().Select(o => $"{o!["resource"]}/{o["name"]}")];
    }
}
