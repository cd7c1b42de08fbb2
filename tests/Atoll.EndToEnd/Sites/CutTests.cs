using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>A site whose line is cut goes on, and what happened meanwhile at the centre arrives when it heals.</summary>
[Collection(SitesGroup.Name)]
public sealed class CutTests(LocalRig rig)
{
    [Fact]
    public async Task With_its_line_cut_a_site_probes_restarts_answers_and_has_its_kubectl()
    {
        rig.Need();
        string mark = Pods.Mark();
        PodFact before = await rig.PodAsync(rig.Alpha, Pods.Sleeping("cut-probed", rig.Alpha, mark, "echo started").With((_, container) => container["livenessProbe"] = new JsonObject
        {
            ["exec"] = new JsonObject { ["command"] = new JsonArray("/bin/sh", "-c", "echo x >> /tmp/probes") },
            ["periodSeconds"] = 1,
            ["timeoutSeconds"] = 10,
        }));
        using ApiView site = LocalRig.SiteApi(rig.Alpha);
        await using (await rig.CutAsync(rig.Alpha))
        {
            await Until.TrueAsync("the centre sees the site disconnected", 60, async () => await rig.PhaseOfAsync(rig.Alpha) == "Disconnected");

            int probes = await ProbesAsync();
            await Until.TrueAsync("probes go on", 30, async () => await ProbesAsync() > probes + 1);
            Programs.Kill(Assert.Single(Programs.WithLastArgument(mark)));
            await Until.TrueAsync("the container comes back", 30, async () => (await site.PodsAsync())?["cut-probed"] is { Restarts: 1, Phase: "Running", Ready: true } now && now.ContainerId != before.ContainerId);
            Assert.Single(Programs.WithLastArgument(mark));

            Assert.Contains("Ready", await rig.SiteKubectlAsync(rig.Alpha, "get", "nodes"), StringComparison.Ordinal);
            Assert.Contains("cut-probed", await rig.SiteKubectlAsync(rig.Alpha, "get", "pods", "-o", "wide"), StringComparison.Ordinal);
            Assert.Equal("started\n", await rig.SiteKubectlAsync(rig.Alpha, "logs", "cut-probed"));
            Assert.Equal("inside\n", await rig.SiteKubectlAsync(rig.Alpha, "exec", "cut-probed", "--", "echo", "inside"));
            Assert.Contains($" on {rig.Alpha.Name}", await rig.PageAsync(rig.Alpha), StringComparison.Ordinal);
            Assert.Equal(0, (await rig.Centre.PodsNowAsync())["cut-probed"].Restarts); // Proof that the line was cut all along.
        }
        await Until.TrueAsync("the centre learns of the restart", 30, async () => (await rig.Centre.PodsNowAsync())["cut-probed"] is { Restarts: 1, Ready: true });
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/cut-probed");

        async Task<int> ProbesAsync() => int.Parse((await rig.SiteKubectlAsync(rig.Alpha, "exec", "cut-probed", "--", "/bin/busybox", "wc", "-l", "/tmp/probes")).Split(' ')[0], CultureInfo.InvariantCulture);
    }

    // The promise is the centre's; a machine that others keep busy gets three tries to show it.
    private async Task<IAsyncDisposable> CutAndSeenAsync(RigSite site, double seconds)
    {
        var took = new List<double>();
        while (true)
        {
            IAsyncDisposable cut = await rig.CutAsync(site);
            var clock = Stopwatch.StartNew();
            await Until.TrueAsync("site Disconnected and node Unknown", 60, async () => await rig.PhaseOfAsync(site) == "Disconnected" && await rig.ReadyOfAsync(site) == "Unknown");
            took.Add(clock.Elapsed.TotalSeconds);
            if (took[^1] <= seconds)
                return cut;
            await cut.DisposeAsync();
            Assert.True(took.Count < 3, $"the centre saw the cut only after {string.Join(" s, ", took.Select(t => $"{t:0.0}"))} s");
        }
    }

    [Fact]
    public async Task The_centre_sees_a_cut_within_15_seconds_evicts_nothing_and_its_changes_arrive_after_healing()
    {
        rig.Need();
        string keepMark = Pods.Mark(), deleteMark = Pods.Mark(), oldMark = Pods.Mark(), newMark = Pods.Mark();
        PodFact keep = await rig.PodAsync(rig.Bravo, Pods.Sleeping("heal-keep", rig.Bravo, keepMark));
        await rig.PodAsync(rig.Bravo, Pods.Sleeping("heal-delete", rig.Bravo, deleteMark));
        await rig.PodAsync(rig.Bravo, Pods.Sleeping("heal-again", rig.Bravo, oldMark));
        Dictionary<string, PodFact> start = await rig.Centre.PodsNowAsync();
        string greeting = $"Greeting {keepMark}", again;
        await using (await CutAndSeenAsync(rig.Bravo, 15))
        {
            Assert.Contains("NotReady", await rig.KubectlAsync("get", "node", rig.Bravo.Name), StringComparison.Ordinal);
            await Until.TrueAsync("an event tells of it", 30, async () => (await rig.KubectlAsync("get", "events", "--field-selector", $"involvedObject.name={rig.Bravo.Name},reason=Disconnected")).Contains("Nothing is evicted", StringComparison.OrdinalIgnoreCase));

            await rig.Centre.MergeAsync("/api/v1/namespaces/default/configmaps/hello", new JsonObject { ["data"] = new JsonObject { ["greeting"] = greeting } });
            await rig.Centre.CreateAsync("pods", Pods.Sleeping("heal-new", rig.Bravo, Pods.Mark()));
            await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/heal-delete");
            await rig.KubectlAsync("delete", "pod", "heal-again", "--force", "--grace-period=0");
            again = (await rig.Centre.CreateAsync("pods", Pods.Sleeping("heal-again", rig.Bravo, newMark)))["metadata"]!["uid"]!.GetValue<string>();

            // The other sites have the new page, so the centre has had time to do everything that it will do.
            await Until.TrueAsync("the page changes elsewhere", 90, async () => (await rig.PageAsync(rig.Charlie)).StartsWith(greeting, StringComparison.Ordinal), () => rig.ExplainPageAsync(rig.Charlie));
            foreach ((string name, PodFact pod) in await rig.Centre.PodsNowAsync())
                // What an earlier test deleted may be on its way out still.
                if (pod.Node == rig.Bravo.Name && name is not ("heal-delete" or "heal-again" or "heal-new") && !start[name].IsEnding)
                {
                    Assert.False(pod.IsEnding, $"{name} is being evicted");
                    Assert.Equal(start[name].Uid, pod.Uid);
                }
            Assert.False((await rig.PageAsync(rig.Bravo)).StartsWith(greeting, StringComparison.Ordinal));
            Assert.Contains($" on {rig.Bravo.Name}", await rig.PageAsync(rig.Bravo), StringComparison.Ordinal);
            Assert.Single(Programs.WithLastArgument(deleteMark));
        }
        await Until.TrueAsync("the page changes at the healed site", 90, async () => (await rig.PageAsync(rig.Bravo)).StartsWith(greeting, StringComparison.Ordinal), () => rig.ExplainPageAsync(rig.Bravo));
        await Until.TrueAsync("the deleted pod is gone", 60, async () => !(await rig.Centre.PodsNowAsync()).ContainsKey("heal-delete") && Programs.WithLastArgument(deleteMark).Count == 0);
        await Until.TrueAsync("the old pod of the same name is gone and the new one runs", 60, async () =>
        {
            Dictionary<string, PodFact> pods = await rig.Centre.PodsNowAsync();
            // What the site says of the old identity must never touch the new one.
            Assert.Equal(again, pods.GetValueOrDefault("heal-again")?.Uid);
            return pods["heal-again"] is { Phase: "Running", Ready: true } && Programs.WithLastArgument(oldMark).Count == 0 && Programs.WithLastArgument(newMark).Count == 1;
        }, () => rig.KubectlAsync("get", "pods,events", "-o", "wide"));
        await Until.TrueAsync("the new pod runs", 60, async () => (await rig.Centre.PodsAsync())?.GetValueOrDefault("heal-new") is { Phase: "Running" });
        using ApiView site = LocalRig.SiteApi(rig.Bravo);
        Dictionary<string, PodFact> after = await site.PodsNowAsync();
        Assert.DoesNotContain("heal-delete", after.Keys);
        Assert.Equal((keep.Uid, keep.ContainerId, keep.Restarts), (after["heal-keep"].Uid, after["heal-keep"].ContainerId, after["heal-keep"].Restarts));
        (string hello, PodFact page) = start.Single(p => p.Key.StartsWith("hello-", StringComparison.Ordinal) && p.Value.Node == rig.Bravo.Name);
        Assert.Equal((page.Uid, page.ContainerId, page.Restarts), (after[hello].Uid, after[hello].ContainerId, after[hello].Restarts));
        await rig.Centre.MergeAsync("/api/v1/namespaces/default/configmaps/hello", new JsonObject { ["data"] = new JsonObject { ["greeting"] = "Hello from the edge" } });
        foreach (string name in (string[])["heal-keep", "heal-again", "heal-new"])
            await rig.Centre.DeleteAsync($"/api/v1/namespaces/default/pods/{name}");
    }
}
