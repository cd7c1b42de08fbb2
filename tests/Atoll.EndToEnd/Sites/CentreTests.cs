using System.Globalization;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;

namespace Atoll.EndToEnd.Sites;

/// <summary>A centre that is killed: sites do not notice in what they run, and resume by telling that nothing changed.</summary>
[Collection(SitesGroup.Name)]
public sealed partial class CentreTests(LocalRig rig)
{
    [Fact]
    public async Task After_kill_9_of_the_centre_sites_resume_without_a_resend_and_no_container_restarts()
    {
        rig.Need();
        await rig.Centre.CreateAsync("configmaps", new JsonObject { ["metadata"] = new JsonObject { ["name"] = "bulk" }, ["data"] = new JsonObject { ["text"] = string.Concat(Enumerable.Range(0, 20_000).Select(i => $"{i * 7919 % 104729},")) } });
        JsonObject pod = Pods.Sleeping("resume", rig.Alpha, Pods.Mark()).With((_, container) => container["envFrom"] = new JsonArray(new JsonObject { ["configMapRef"] = new JsonObject { ["name"] = "bulk", ["optional"] = true }, ["prefix"] = "X_" }));
        await rig.PodAsync(rig.Alpha, pod);
        using ApiView site = LocalRig.SiteApi(rig.Alpha);
        await Until.TrueAsync("the site has told everything", 60, async () => (await rig.Centre.PodsNowAsync())["resume"].Ready && (await site.PodsNowAsync())["resume"].Ready);
        Dictionary<string, PodFact> before = await site.PodsNowAsync();
        SortedDictionary<string, string> versions = await site.VersionsAsync("configmaps");
        Dictionary<string, int> links = rig.All.ToDictionary(s => s.Name, s => Links(s).Count);

        IReadOnlyList<string> command = await rig.KillAsync("centre");
        await rig.StartAsync("centre", command);
        foreach (RigSite each in rig.All)
            await Until.TrueAsync($"{each.Name} has linked again", 60, () => Links(each).Count > links[each.Name]);
        foreach (RigSite each in rig.All)
            await rig.ConnectedAsync(each);

        foreach (RigSite each in rig.All)
            Assert.InRange(Links(each)[^1], 1, 2048); // The ConfigMap alone is 100 KB and more.
        Assert.Equal(versions, await site.VersionsAsync("configmaps"));
        foreach ((string name, PodFact was) in before.Where(p => !p.Value.IsEnding))
        {
            PodFact now = (await site.PodsNowAsync())[name];
            Assert.Equal((was.Uid, was.ContainerId, was.Restarts, "Running"), (now.Uid, now.ContainerId, now.Restarts, now.Phase));
        }
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/resume");
    }

    // Bytes that the site received inside TLS until each of its links was up.
    private List<int> Links(RigSite site) =>
        [.. File.ReadLines($"{rig.Home}/run/site-{site.Name}.log").Select(l => LinkUp().Match(l)).Where(m => m.Success).Select(m => int.Parse(m.Groups[1].Value, CultureInfo.InvariantCulture))];

    [GeneratedRegex("is up after [0-9]+ bytes sent and ([0-9]+) received")]
    private static partial Regex LinkUp();
}
