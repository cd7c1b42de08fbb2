using System.Globalization;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Reads and tidies cgroups; making and limiting them is the OCI runtime's. Paths are as in an instance's record, the same in every hierarchy.</summary>
internal sealed class Cgroups
{
    private readonly IReadOnlyList<string> hierarchies;
    private readonly string memory;
    private readonly string pids;
    private readonly string cpu;
    private readonly string? cpuset;

    internal Cgroups(CgroupMounts mounts)
    {
        (Mode, UnifiedMount, hierarchies) = (mounts.Mode, mounts.Unified ?? "", mounts.Hierarchies);
        // A controller that the kernel does not have has no files anywhere: what is read of it is then zero.
        (memory, pids, cpu) = (Of("memory"), Of("pids"), Of("cpuacct"));
        cpuset = Mode == CgroupMode.Unified ? null : mounts.Controllers.GetValueOrDefault("cpuset");
        string Of(string controller) => Mode == CgroupMode.Unified ? UnifiedMount : mounts.Controllers.GetValueOrDefault(controller, "/nonexistent");
    }

    internal CgroupMode Mode { get; }

    /// <summary>Where the second version is; empty when there is none.</summary>
    internal string UnifiedMount { get; }

    /// <summary>True when the kernel counts swap, so that a limit on memory and swap together can be set.</summary>
    internal bool LimitsSwap => Mode == CgroupMode.Unified || File.Exists(Path.Join(memory, "memory.memsw.limit_in_bytes"));

    /// <summary>Moves a process out of the agent's cgroup, so that stopping or limiting the agent does not touch it.</summary>
    internal void Move(int pid, string path)
    {
        foreach (var hierarchy in hierarchies)
        {
            // cpuset needs its own cpus before it takes a process; a monitor has no need of one.
            if (hierarchy == cpuset) continue;
            var folder = hierarchy + path;
            Directory.CreateDirectory(folder);
            File.WriteAllText(Path.Join(folder, "cgroup.procs"), pid.ToString(CultureInfo.InvariantCulture));
        }
    }

    /// <summary>Every process in the cgroup and below it.</summary>
    internal HashSet<int> Processes(string path)
    {
        var all = new HashSet<int>();
        foreach (var hierarchy in hierarchies)
            foreach (var folder in Tree(hierarchy + path))
                try
                {
                    foreach (var line in File.ReadLines(Path.Join(folder, "cgroup.procs")))
                        if (int.TryParse(line, NumberStyles.None, CultureInfo.InvariantCulture, out var pid) && pid > 0)
                            all.Add(pid);
                }
                catch (IOException)
                {
                    // It went away while we looked: then it holds nobody.
                }
        return all;
    }

    /// <summary>Removes the cgroup, what is below it, and nothing else. False when a process is still inside.</summary>
    internal bool Remove(string path)
    {
        var clean = true;
        foreach (var hierarchy in hierarchies)
        {
            var folders = Tree(hierarchy + path);
            for (var i = folders.Count - 1; i >= 0; i--) clean &= TryRemove(folders[i]);
        }
        return clean;
    }

    /// <summary>Removes the cgroup if nothing is below or in it.</summary>
    internal void RemoveIfEmpty(string path)
    {
        foreach (var hierarchy in hierarchies) TryRemove(hierarchy + path);
    }

    /// <summary>Names of the child cgroups, over all hierarchies.</summary>
    internal HashSet<string> Children(string path)
    {
        var names = new HashSet<string>(StringComparer.Ordinal);
        foreach (var hierarchy in hierarchies)
            if (Directory.Exists(hierarchy + path))
                foreach (var folder in Directory.EnumerateDirectories(hierarchy + path))
                    names.Add(Path.GetFileName(folder));
        return names;
    }

    /// <summary>Whether the kernel killed a process of the cgroup for want of memory.</summary>
    internal bool OomKilled(string path) => Mode == CgroupMode.Unified
        ? Field(memory + path + "/memory.events", "oom_kill") > 0
        : Field(memory + path + "/memory.oom_control", "oom_kill") > 0;

    /// <summary>Use now, or null when the cgroup is gone.</summary>
    internal InstanceStats? Stats(string path)
    {
        if (Mode == CgroupMode.Unified)
        {
            if (Value(memory + path + "/memory.current") is not { } current) return null;
            return new InstanceStats(
                Field(cpu + path + "/cpu.stat", "usage_usec") * 1000,
                Math.Max(0, current - Field(memory + path + "/memory.stat", "inactive_file")),
                Value(pids + path + "/pids.current") ?? 0);
        }
        if (Value(memory + path + "/memory.usage_in_bytes") is not { } usage) return null;
        return new InstanceStats(
            Value(cpu + path + "/cpuacct.usage") ?? 0,
            Math.Max(0, usage - Field(memory + path + "/memory.stat", "total_inactive_file")),
            Value(pids + path + "/pids.current") ?? 0);
    }

    private static long? Value(string file)
    {
        try
        {
            return long.TryParse(File.ReadAllText(file).AsSpan().Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out var value) ? value : null;
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static long Field(string file, string name)
    {
        try
        {
            foreach (var line in File.ReadLines(file))
                if (line.StartsWith(name, StringComparison.Ordinal) && line.Length > name.Length && line[name.Length] == ' ')
                    return long.Parse(line.AsSpan(name.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture);
        }
        catch (IOException)
        {
            // No such cgroup any more: nothing happened in it that could still be told.
        }
        return 0;
    }

    /// <summary>The folder and all below it, parents first; empty when it does not exist.</summary>
    private static List<string> Tree(string folder)
    {
        var all = new List<string>();
        if (!Directory.Exists(folder)) return all;
        all.Add(folder);
        for (var i = 0; i < all.Count; i++)
            try
            {
                all.AddRange(Directory.EnumerateDirectories(all[i]));
            }
            catch (DirectoryNotFoundException)
            {
                // Removed meanwhile.
            }
        return all;
    }

    private static bool TryRemove(string folder) => Native.Posix.RemoveFolder(folder);
}
