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
            foreach (string folder in (string[])["logs", "identity"])
                Directory.CreateDirectory($"{rig.Home}/sites/{rig.Alpha.Name}/{folder}");
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

    [Fact]
    public async Task A_folder_named_by_mistake_keeps_what_is_in_it()
    {
        // A name of what a node has, and one of what an installation has.
        string folder = Directory.CreateTempSubdirectory("theirs-").FullName;
        string[] files = [Path.Combine(folder, "logs"), Path.Combine(folder, "run")];
        try
        {
            foreach (string file in files)
                File.WriteAllText(file, "");
            Outcome[] refused =
            [
                await Programs.RunAsync(Built.Agent, ["reset", "--state", folder, "--node-name", "nobodys"]),
                await Programs.RunAsync(Built.Agent, ["reset", "--state", Path.Combine(folder, "none"), "--node-name", "../.."]),
                await Programs.RunAsync(Built.Atoll, ["down", "--home", folder, "--agent", Built.Agent, "--instance", "20"]),
                await Programs.RunAsync(Built.Atoll, ["up", "--home", folder, "--agent", Built.Agent, "--sample", Built.Sample, "--instance", "20"]),
            ];
            Assert.All(refused, r => Assert.Equal(2, r.Code));
            Assert.All([refused[0], refused[2], refused[3]], r => Assert.Contains(folder, r.Error, StringComparison.Ordinal));
            Assert.Equal(files, Directory.EnumerateFileSystemEntries(folder).Order(StringComparer.Ordinal));
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }
}
