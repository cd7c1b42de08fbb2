using System.Text;
using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>What reaches a site: what its pods use, and nothing else.</summary>
[Collection(SitesGroup.Name)]
public sealed class ScopeTests(LocalRig rig)
{
    [Fact]
    public async Task A_secret_reaches_only_the_site_whose_pod_uses_it_and_leaves_with_the_pod()
    {
        rig.Need();
        string value = Convert.ToBase64String(Encoding.UTF8.GetBytes($"nobody-else-{Guid.NewGuid():N}"));
        await rig.Centre.CreateAsync("secrets", new JsonObject { ["metadata"] = new JsonObject { ["name"] = "scoped" }, ["data"] = new JsonObject { ["k"] = value } });
        // A change that every site gets shows that the link has been round since.
        await EverySiteHasAsync("before");
        foreach (RigSite site in rig.All)
            Assert.Empty(Holding(site, value));

        await rig.PodAsync(rig.Alpha, Pods.Sleeping("scoped", rig.Alpha, Pods.Mark()).With((_, container) =>
            container["env"] = new JsonArray(new JsonObject { ["name"] = "K", ["valueFrom"] = new JsonObject { ["secretKeyRef"] = new JsonObject { ["name"] = "scoped", ["key"] = "k" } } })));
        Assert.NotEmpty(Holding(rig.Alpha, value)); // So the search finds what is there.
        await EverySiteHasAsync("while");
        foreach (RigSite site in (RigSite[])[rig.Bravo, rig.Charlie])
        {
            Assert.Empty(Holding(site, value));
            using ApiView api = LocalRig.SiteApi(site);
            Assert.Null(await api.GetAsync("/api/v1/namespaces/default/secrets/scoped"));
        }

        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/scoped");
        using ApiView alpha = LocalRig.SiteApi(rig.Alpha);
        await Until.TrueAsync("the secret leaves with its pod", 60, async () => await alpha.GetAsync("/api/v1/namespaces/default/secrets/scoped") is null);
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/secrets/scoped");
    }

    private async Task EverySiteHasAsync(string mark)
    {
        await rig.Centre.MergeAsync("/api/v1/namespaces/default/configmaps/hello", new JsonObject { ["data"] = new JsonObject { ["mark"] = mark } });
        foreach (RigSite site in rig.All)
        {
            using ApiView api = LocalRig.SiteApi(site);
            await Until.TrueAsync($"{site.Name} has the mark", 60, async () => (await api.GetAsync("/api/v1/namespaces/default/configmaps/hello"))?["data"]?["mark"]?.GetValue<string>() == mark);
        }
    }

    // Files of the site's whole state in which the value stands, as the API carries it.
    private List<string> Holding(RigSite site, string value)
    {
        byte[] wanted = Encoding.ASCII.GetBytes(value);
        return [.. Directory.EnumerateFiles(rig.StateOf(site), "*", new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint })
            .Where(f => !f.Contains("/images/", StringComparison.Ordinal) && new FileInfo(f).Length < 64 << 20 && Read(f).AsSpan().IndexOf(wanted) >= 0)];

        // The store is open in the agent: share it as it does.
        static byte[] Read(string path)
        {
            try
            {
                using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
                using var copy = new MemoryStream();
                stream.CopyTo(copy);
                return copy.ToArray();
            }
            catch (IOException)
            {
                return []; // A lock file, or gone meanwhile.
            }
        }
    }
}
