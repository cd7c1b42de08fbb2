namespace Atoll.EndToEnd.Sites;

/// <summary>What is replaced or lost below running pods: the agent's program, the site's store.</summary>
[Collection(SitesGroup.Name)]
public sealed class UpgradeTests(LocalRig rig)
{
    [Fact]
    public async Task Another_program_in_the_agents_place_restarts_nothing()
    {
        rig.Need();
        string daemon = $"site-{rig.Bravo.Name}", mark = Pods.Mark(), folder = $"{rig.Home}/run/agent-next", program = $"{folder}/atoll-agent";
        await rig.PodAsync(rig.Bravo, Pods.Sleeping("upgraded", rig.Bravo, mark));
        using ApiView site = LocalRig.SiteApi(rig.Bravo);
        Dictionary<string, PodFact> before = await StayingAsync(site);
        int process = Assert.Single(Programs.WithLastArgument(mark));
        IReadOnlyList<string> command = await rig.KillAsync(daemon);
        Directory.CreateDirectory(folder);
        foreach (string file in Directory.GetFiles(Path.GetDirectoryName(Built.Agent)!))
            File.Copy(file, Path.Combine(folder, Path.GetFileName(file)), overwrite: true);
        await rig.StartAsync(daemon, [program, .. command.Skip(1)], rig.Bravo);
        await rig.ConnectedAsync(rig.Bravo);
        await SameAsync(site, before);
        // As a package does it: a new file takes the name while the old program runs, and then it is restarted.
        File.Copy(Built.Agent, program + ".new");
        File.Move(program + ".new", program, overwrite: true);
        await rig.KillAsync(daemon);
        await rig.StartAsync(daemon, [program, .. command.Skip(1)], rig.Bravo);
        await rig.ConnectedAsync(rig.Bravo);
        await SameAsync(site, before);
        await rig.KillAsync(daemon);
        await rig.StartAsync(daemon, command, rig.Bravo);
        await rig.ConnectedAsync(rig.Bravo);
        await SameAsync(site, before);
        Assert.Equal(process, Assert.Single(Programs.WithLastArgument(mark)));
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/upgraded");
    }

    [Fact]
    public async Task A_damaged_store_is_put_aside_and_rebuilt_from_the_centre_and_from_what_runs()
    {
        rig.Need();
        string daemon = $"site-{rig.Alpha.Name}", mark = Pods.Mark(), store = $"{rig.StateOf(rig.Alpha)}/site.db";
        await rig.PodAsync(rig.Alpha, Pods.Sleeping("rebuilt", rig.Alpha, mark));
        using ApiView site = LocalRig.SiteApi(rig.Alpha);
        Dictionary<string, PodFact> before = await StayingAsync(site);
        int process = Assert.Single(Programs.WithLastArgument(mark));
        IReadOnlyList<string> command = await rig.KillAsync(daemon);
        File.Delete(store + "-wal");
        using (FileStream file = File.OpenWrite(store))
        {
            byte[] rubbish = new byte[file.Length];
            new Random(1).NextBytes(rubbish);
            file.Write(rubbish);
        }
        await rig.StartAsync(daemon, command, rig.Alpha);
        await rig.ConnectedAsync(rig.Alpha);
        Assert.True(File.Exists(store + ".damaged"));
        await SameAsync(site, before);
        Assert.Equal(process, Assert.Single(Programs.WithLastArgument(mark)));
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/rebuilt");
        await Until.TrueAsync("what came back is in the centre's hands", 60, async () => await site.PodsAsync() is { } pods && !pods.ContainsKey("rebuilt"));
    }

    // Pods that a test before this one has deleted may still be there for a while.
    private async Task<Dictionary<string, PodFact>> StayingAsync(ApiView site)
    {
        Dictionary<string, PodFact> centre = await rig.Centre.PodsNowAsync();
        return (await site.PodsAsync())!.Where(p => centre.TryGetValue(p.Key, out PodFact? known) && !known.IsEnding).ToDictionary();
    }

    private static Task SameAsync(ApiView site, Dictionary<string, PodFact> before) =>
        Until.TrueAsync("every pod is what it was, with the same containers", 60, async () => await site.PodsAsync() is { } now
            && before.All(b => now.TryGetValue(b.Key, out PodFact? pod) && (pod.Uid, pod.ContainerId, pod.Restarts, pod.Phase, pod.Ready) == (b.Value.Uid, b.Value.ContainerId, b.Value.Restarts, "Running", true)));
}
