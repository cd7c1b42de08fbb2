using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Sites;

/// <summary>What is killed of <c>atoll up</c> starts again without a person, and <c>atoll down</c> finds it all the same.</summary>
[Collection(SitesGroup.Name)]
public sealed class KeepTests(LocalRig rig)
{
    [Fact]
    public async Task A_centre_and_an_agent_that_are_killed_start_again_and_down_leaves_neither()
    {
        rig.Need();
        await rig.UpAsync();
        string agent = $"site-{rig.Alpha.Name}";
        Dictionary<string, PodFact> before = await rig.Centre.PodsNowAsync();
        foreach (string daemon in (string[])["centre", agent])
        {
            int pid = rig.PidOf(daemon);
            Programs.Kill(pid);
            await Until.TrueAsync($"{daemon} runs again", 30, () => Task.FromResult(PidFileOf(daemon) is { } now && now != pid && Directory.Exists($"/proc/{now}")), () => rig.LogAsync("keeper"));
        }
        await Until.TrueAsync("the API answers", 60, async () => await rig.Centre.PodsAsync() is not null, () => rig.LogAsync("centre"));
        await rig.ConnectedAsync(rig.Alpha);
        Dictionary<string, PodFact> after = await rig.Centre.PodsNowAsync();
        foreach ((string name, PodFact pod) in before.Where(p => p.Key.StartsWith("hello-", StringComparison.Ordinal)))
            Assert.Equal((pod.ContainerId, pod.Restarts), (after[name].ContainerId, after[name].Restarts));
        JsonNode status = JsonNode.Parse(await LocalRig.AtollAsync("status", "--instance", $"{rig.Instance}", "--home", rig.Home, "-o", "json"))!;
        Assert.Equal(1, status["restarts"]!.GetValue<int>());
        Assert.Equal(1, status["sites"]!.AsArray().Single(s => s!["name"]!.GetValue<string>() == rig.Alpha.Name)!["agentRestarts"]!.GetValue<int>());

        // In the middle of it.
        Programs.Kill(rig.PidOf("centre"));
        Programs.Kill(rig.PidOf(agent));
        await rig.DownAsync();
        string[] left = [.. (await Listing.TakeAsync()).Where(line => Listing.IsOfInstance(line, rig.Instance))];
        await rig.UpAsync(); // For the tests that follow, whatever was found.
        Assert.Empty(left);
        foreach (RigSite site in rig.All)
            await rig.ConnectedAsync(site);
    }

    // It is written anew by the start.
    private int? PidFileOf(string daemon)
    {
        try
        {
            return rig.PidOf(daemon);
        }
        catch (Exception e) when (e is IOException or FormatException)
        {
            return null;
        }
    }
}
