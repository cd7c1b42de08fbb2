namespace Atoll.EndToEnd.Sites;

/// <summary><c>atoll up</c> twice changes nothing; <c>atoll down</c> leaves nothing; up works again after it.</summary>
[Collection(SitesGroup.Name)]
public sealed class DownTests(LocalRig rig)
{
    [Fact]
    public async Task Down_leaves_no_process_mount_namespace_control_group_link_table_or_file()
    {
        rig.Need();
        Dictionary<string, PodFact> first = await rig.Centre.PodsNowAsync();
        await rig.UpAsync();
        Dictionary<string, PodFact> second = await rig.Centre.PodsNowAsync();
        foreach ((string name, PodFact pod) in first.Where(p => p.Key.StartsWith("hello-", StringComparison.Ordinal)))
            Assert.Equal((pod.Uid, pod.ContainerId, pod.Restarts), (second[name].Uid, second[name].ContainerId, second[name].Restarts));

        Assert.Contains(await Listing.TakeAsync(), line => Listing.IsOfInstance(line, rig.Instance)); // The listing sees what is up.
        // Whoever removed the folder by hand is helped all the same.
        Directory.Delete($"{rig.Home}/run", recursive: true);
        await rig.DownAsync();
        // The folder that all share goes with the last that is in it.
        bool shared = !Directory.Exists("/run/atoll") || Directory.EnumerateFileSystemEntries("/run/atoll").Any();
        string[] left = [.. (await Listing.TakeAsync()).Where(line => Listing.IsOfInstance(line, rig.Instance))];
        // With nothing up it is no error, and a home that is a mount point is emptied.
        Directory.CreateDirectory(rig.Home);
        await Programs.OkAsync("mount", "-t", "tmpfs", "tmpfs", rig.Home);
        string said, rest;
        try
        {
            Directory.CreateDirectory($"{rig.Home}/sites/{rig.Alpha.Name}/logs");
            said = await rig.DownAsync();
            rest = string.Join(' ', Directory.EnumerateFileSystemEntries(rig.Home));
        }
        finally
        {
            await Programs.OkAsync("umount", rig.Home);
        }
        await rig.DownAsync();
        bool gone = !Directory.Exists(rig.Home);
        await rig.UpAsync(); // For the tests that follow, whatever was found.
        Assert.Empty(left);
        Assert.Contains($"{rig.Home}: it is empty, and a mount point", said, StringComparison.Ordinal);
        Assert.Equal(("", true), (rest, gone));
        Assert.True(shared, "/run/atoll is empty and was left behind");
        foreach (RigSite site in rig.All)
            await rig.ConnectedAsync(site);
    }
}
