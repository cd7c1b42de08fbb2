namespace Atoll.EndToEnd.Sites;

/// <summary>What a power cut does to a node, done to one site of several on this machine: nothing survives but its disk.</summary>
internal static class Reboot
{
    /// <summary>Ends everything of a site's node; gives the command that starts its agent again.</summary>
    internal static async Task<IReadOnlyList<string>> RunAsync(LocalRig rig, RigSite site)
    {
        IReadOnlyList<string> command = await rig.KillAsync($"site-{site.Name}");
        string state = rig.StateOf(site), run = $"/run/atoll/{site.Name}", cgroup = $"atoll-{site.Name}";
        await Until.TrueAsync("every process of the node is gone", 20, () =>
        {
            List<int> left = Programs.Find(folder => Mentions(File.ReadAllText(Path.Combine(folder, "cgroup")), cgroup) || Mentions(File.ReadAllText(Path.Combine(folder, "cmdline")), state, run));
            left.ForEach(Programs.Kill);
            return left.Count == 0;
        });
        foreach (string line in (await File.ReadAllLinesAsync("/proc/self/mountinfo")).Reverse())
            if (line.Split(' ')[4] is var target && (target.StartsWith(state + "/", StringComparison.Ordinal) || target.StartsWith(run + "/", StringComparison.Ordinal)))
                await Programs.OkAsync("umount", target);
        foreach (string line in (await Programs.OkAsync("ip", "-n", LocalRig.NamespaceOf(site), "-o", "link")).Split('\n', StringSplitOptions.RemoveEmptyEntries))
            if (line.Split(':')[1].Trim().Split('@')[0] is var link and not ("lo" or "uplink" or "users"))
                await Programs.RunAsync("ip", ["-n", LocalRig.NamespaceOf(site), "link", "delete", link]); // A link's peer goes with it.
        await Programs.OkAsync("ip", "netns", "exec", LocalRig.NamespaceOf(site), "nft", "flush", "ruleset");
        if (Directory.Exists(run))
            Directory.Delete(run, recursive: true);
        foreach (string folder in Directory.EnumerateDirectories("/sys/fs/cgroup", cgroup, new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true }).ToArray())
            if (Directory.Exists(folder))
                Remove(folder);
        return command;

        static bool Mentions(string text, params string[] words) => words.Any(w => text.Contains(w, StringComparison.Ordinal));
    }

    // Only empty control groups can be removed, and only one by one.
    private static void Remove(string cgroup)
    {
        foreach (string child in Directory.GetDirectories(cgroup))
            Remove(child);
        Directory.Delete(cgroup);
    }
}
