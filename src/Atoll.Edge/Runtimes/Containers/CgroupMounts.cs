namespace Atoll.Edge.Runtimes.Containers;

/// <summary>How a host has its cgroups.</summary>
internal enum CgroupMode
{
    /// <summary>One hierarchy with all controllers.</summary>
    Unified,

    /// <summary>A hierarchy for each controller.</summary>
    Legacy,

    /// <summary>A hierarchy for each controller, with cgroup2 beside them.</summary>
    Hybrid,
}

/// <summary>Where a host has its cgroups: read from its mount table, as the OCI runtimes do. Pure.</summary>
/// <param name="Mode">Which versions there are.</param>
/// <param name="Unified">Where cgroup2 is mounted, if it is.</param>
/// <param name="Controllers">Folder of each controller of version 1.</param>
/// <param name="Hierarchies">Every tree in which an instance has a cgroup, each once.</param>
internal sealed record CgroupMounts(CgroupMode Mode, string? Unified, IReadOnlyDictionary<string, string> Controllers, IReadOnlyList<string> Hierarchies)
{
    /// <summary>
    /// From the lines of <c>/proc/self/mountinfo</c>. The host has version 2 only when cgroup2 itself is at <paramref name="mount"/>,
    /// whatever single controllers a program mounted elsewhere: that is what the OCI runtimes go by.
    /// </summary>
    internal static CgroupMounts Parse(IEnumerable<string> mountinfo, string mount)
    {
        var controllers = new Dictionary<string, string>(StringComparer.Ordinal);
        var trees = new List<string>();
        var seen = new HashSet<string>(StringComparer.Ordinal);
        string? unified = null;
        foreach (string line in mountinfo)
        {
            // id parent major:minor root target options [optional …] - type source super-options
            string[] fields = line.Split(' ');
            int dash = Array.IndexOf(fields, "-");
            if (dash < 6 || fields.Length < dash + 4 || fields[dash + 1] is not ("cgroup" or "cgroup2")) continue;
            string target = fields[4].Replace("\\040", " ", StringComparison.Ordinal);
            // The same tree can be mounted again (for a chroot, say): the first is the host's.
            if ((target != mount && !target.StartsWith(mount + "/", StringComparison.Ordinal)) || !seen.Add(fields[2])) continue;
            if (fields[dash + 1] == "cgroup2")
            {
                unified = target;
                if (target == mount) return new CgroupMounts(CgroupMode.Unified, target, new Dictionary<string, string>(), [target]);
                continue;
            }
            trees.Add(target);
            foreach (string option in fields[dash + 3].Split(','))
                if (!option.StartsWith("name=", StringComparison.Ordinal)) controllers.TryAdd(option, target);
        }
        if (unified is not null) trees.Add(unified);
        return new CgroupMounts(unified is null ? CgroupMode.Legacy : CgroupMode.Hybrid, unified, controllers, trees);
    }

    /// <summary>Of this host.</summary>
    internal static CgroupMounts OfHost(string mount) => Parse(File.ReadLines("/proc/self/mountinfo"), mount);
}
