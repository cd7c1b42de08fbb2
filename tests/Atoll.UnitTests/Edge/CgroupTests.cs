using Atoll.Edge.Colocation;
using Atoll.Edge.Runtimes;
using Atoll.Edge.Runtimes.Containers;

namespace Atoll.Tests.Edge;

/// <summary>
/// Hosts with cgroup version 1, version 2 and both: mount tables recorded on such hosts, with the mount point moved to a folder in
/// which the kernel's files are made by hand. The kernel's own behaviour is tested end to end, on the kind of host that there is.
/// </summary>
public sealed class CgroupTests : IDisposable
{
    // A virtual machine without an init system that joins controllers.
    private const string Hybrid = """
        22 27 0:21 / /proc rw,relatime - proc proc rw
        31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
        32 31 0:29 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
        33 31 0:30 / /sys/fs/cgroup/cpuacct rw,relatime - cgroup cgroup rw,cpuacct
        34 31 0:31 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
        35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
        39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
        40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
        41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
        52 23 0:32 / /tmp/chroot/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
        """;

    // systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1: controllers joined, links beside them.
    private const string Legacy = """
        28 22 0:25 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k,nr_inodes=1024,mode=755
        29 28 0:26 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:10 - cgroup cgroup rw,xattr,release_agent=/lib/systemd/systemd-cgroups-agent,name=systemd
        33 28 0:30 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,memory
        34 28 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,cpu,cpuacct
        35 28 0:32 / /sys/fs/cgroup/cpuset rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,cpuset
        36 28 0:33 / /sys/fs/cgroup/pids rw,nosuid,nodev,noexec,relatime shared:18 - cgroup cgroup rw,pids
        37 28 0:34 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid,nodev,noexec,relatime shared:19 - cgroup cgroup rw,net_cls,net_prio
        """;

    // systemd's default, with a controller of version 1 that some program mounted aside.
    private const string Unified = """
        25 22 0:22 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
        60 25 0:55 / /run/net_cls rw,relatime shared:60 - cgroup net_cls rw,net_cls
        """;

    private readonly string root = Directory.CreateTempSubdirectory("atoll cgroup-").FullName;

    public void Dispose() => Directory.Delete(root, recursive: true);

    [Fact]
    public void The_mount_table_tells_the_three_kinds_of_host_apart()
    {
        CgroupMounts hybrid = Parse(Hybrid), legacy = Parse(Legacy), unified = Parse(Unified);
        Assert.Equal((CgroupMode.Hybrid, root + "/unified"), (hybrid.Mode, hybrid.Unified));
        Assert.Equal(["cpu", "cpuacct", "cpuset", "memory", "pids", "systemd", "unified"], hybrid.Hierarchies.Select(Path.GetFileName));
        Assert.Equal((CgroupMode.Legacy, null), (legacy.Mode, legacy.Unified));
        Assert.Equal(["systemd", "memory", "cpu,cpuacct", "cpuset", "pids", "net_cls,net_prio"], legacy.Hierarchies.Select(Path.GetFileName));
        Assert.Equal((root + "/cpu,cpuacct", root + "/cpu,cpuacct"), (legacy.Controllers["cpu"], legacy.Controllers["cpuacct"]));
        Assert.Equal((CgroupMode.Unified, root), (unified.Mode, unified.Unified));
        Assert.Equal([root], unified.Hierarchies);
        Assert.Empty(CgroupMounts.Parse(["", "garbage", "1 2 3"], root).Hierarchies);
    }

    [Theory]
    [InlineData("hybrid", "memory", "cpuacct", "pids")]
    [InlineData("legacy", "memory", "cpu,cpuacct", "pids")]
    [InlineData("unified", "", "", "")]
    public void Use_ends_and_processes_are_read_where_each_kind_keeps_them(string kind, string memory, string cpu, string pids)
    {
        var cgroups = Open(kind);
        Assert.Null(cgroups.Stats("/atoll-n/x"));
        Assert.False(cgroups.OomKilled("/atoll-n/x"));
        bool two = kind == "unified";
        File(memory, two ? "memory.current" : "memory.usage_in_bytes", "5000\n");
        File(memory, "memory.stat", two ? "anon 10\ninactive_file 1000\n" : "inactive_file 7\ntotal_inactive_file 1000\n");
        File(memory, two ? "memory.events" : "memory.oom_control", two ? "low 0\noom 1\noom_kill 1\n" : "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n");
        File(pids, "pids.current", "3\n");
        File(cpu, two ? "cpu.stat" : "cpuacct.usage", two ? "usage_usec 2500\nuser_usec 1\n" : "2500000\n");
        Assert.Equal(new InstanceStats(2_500_000, 4000, 3), cgroups.Stats("/atoll-n/x"));
        Assert.True(cgroups.OomKilled("/atoll-n/x"));

        File(memory, "cgroup.procs", "11\n12\n");
        File(memory, "deeper/cgroup.procs", "13\n0\n");
        File(pids, "other/cgroup.procs", "14\n");
        Assert.Equal([11, 12, 13, 14], cgroups.Processes("/atoll-n/x").Order());
        Assert.Equal(["x"], cgroups.Children("/atoll-n"));
    }

    [Theory]
    [InlineData("hybrid", new[] { "cpu", "cpuacct", "memory", "pids", "systemd", "unified" }, new[] { "cpuset" })]
    [InlineData("legacy", new[] { "cpu,cpuacct", "memory", "pids", "systemd", "net_cls,net_prio" }, new[] { "cpuset" })]
    [InlineData("unified", new[] { "" }, new string[0])]
    public void A_monitor_leaves_the_agents_cgroup_in_every_tree_that_takes_it(string kind, string[] moved, string[] left)
    {
        Open(kind).Move(77, "/atoll-n/monitors");
        foreach (string tree in moved) Assert.Equal("77", System.IO.File.ReadAllText(Path.Join(root, tree, "atoll-n/monitors/cgroup.procs")));
        foreach (string tree in left) Assert.False(Directory.Exists(Path.Join(root, tree, "atoll-n")));
    }

    [Theory]
    [InlineData("hybrid")]
    [InlineData("legacy")]
    [InlineData("unified")]
    public void What_is_removed_goes_from_every_tree_deepest_first(string kind)
    {
        var cgroups = Open(kind);
        string[] trees = kind == "unified" ? [root] : [.. Directory.GetDirectories(root)];
        foreach (string tree in trees) Directory.CreateDirectory(Path.Join(tree, "atoll-n/pods/u/c"));
        cgroups.RemoveIfEmpty("/atoll-n/pods");
        Assert.Equal(["pods"], cgroups.Children("/atoll-n"));
        Assert.True(cgroups.Remove("/atoll-n"));
        foreach (string tree in trees) Assert.False(Directory.Exists(Path.Join(tree, "atoll-n")));
        Assert.True(cgroups.Remove("/atoll-n"));
        // A cgroup that still has something inside stays, and it is said.
        File(kind == "unified" ? "" : "memory", "memory.stat", "");
        Assert.False(cgroups.Remove("/atoll-n"));
    }

    [Fact]
    public void Swap_is_limited_where_the_kernel_counts_it()
    {
        Assert.True(Open("unified").LimitsSwap);
        var legacy = Open("legacy");
        Assert.False(legacy.LimitsSwap);
        System.IO.File.WriteAllText(Path.Join(root, "memory/memory.memsw.limit_in_bytes"), "9223372036854771712\n");
        Assert.True(legacy.LimitsSwap);
    }

    [Theory]
    [InlineData("hybrid", "cpu", "cpuacct", "memory")]
    [InlineData("legacy", "cpu,cpuacct", "cpu,cpuacct", "memory")]
    [InlineData("unified", "", "", "")]
    public void The_group_of_batch_pods_comes_last_and_is_held_to_what_it_is_told(string kind, string cpu, string cpuacct, string memory)
    {
        Open(kind);
        bool two = kind == "unified";
        var group = new BatchCgroup(Parse(kind switch { "hybrid" => Hybrid, "legacy" => Legacy, _ => Unified }), "/atoll-n/x", root);
        string Batch(string tree, string name) => Path.Join(root, tree, "atoll-n/x/batch", name);
        group.Limit(100, 1 << 20, 2 << 20); // Nobody is there yet.
        Assert.False(Directory.Exists(Batch(cpu, "")));
        // The kernel makes its files with the folder.
        foreach (string name in two ? new[] { "cpu.weight", "cpu.idle", "cpu.max" } : ["cpu.shares", "cpu.idle", "cpu.cfs_quota_us"]) File(cpu, "batch/" + name, "0");
        foreach (string name in two ? new[] { "memory.high", "memory.max" } : ["memory.limit_in_bytes"]) File(memory, "batch/" + name, "0");
        foreach (string folder in (string[])["", "atoll-n", "atoll-n/x"]) if (two) System.IO.File.WriteAllText(Path.Join(root, folder, "cgroup.subtree_control"), "");
        group.Make();
        Assert.Equal(two ? "1" : "2", System.IO.File.ReadAllText(Batch(cpu, two ? "cpu.weight" : "cpu.shares")));
        Assert.Equal("1", System.IO.File.ReadAllText(Batch(cpu, "cpu.idle")));
        Assert.Equal(two ? "10000 100000" : "10000", System.IO.File.ReadAllText(Batch(cpu, two ? "cpu.max" : "cpu.cfs_quota_us")));
        foreach (string folder in (string[])["", "atoll-n", "atoll-n/x"]) if (two) Assert.Equal("+cpu +memory", System.IO.File.ReadAllText(Path.Join(root, folder, "cgroup.subtree_control")));
        group.Limit(2500, 3 << 20, 4 << 20);
        Assert.Equal(two ? "250000 100000" : "250000", System.IO.File.ReadAllText(Batch(cpu, two ? "cpu.max" : "cpu.cfs_quota_us")));
        Assert.Equal("3145728", System.IO.File.ReadAllText(Batch(memory, two ? "memory.high" : "memory.limit_in_bytes")));
        if (two) Assert.Equal("4194304", System.IO.File.ReadAllText(Batch(memory, "memory.max")));

        foreach ((string of, long times) in ((string, long)[])[("", 2), ("batch/", 1)])
        {
            File(cpuacct, of + (two ? "cpu.stat" : "cpuacct.usage"), (two ? "usage_usec " : "") + 5000 * times + "\n");
            File(memory, of + (two ? "memory.current" : "memory.usage_in_bytes"), 9000 * times + "\n");
            File(memory, of + "memory.stat", "inactive_file 1\ntotal_inactive_file 1\n");
        }
        System.IO.File.WriteAllText(Path.Join(root, "stat"), "cpu  10 20 30 40000 50000 1 2 3 7 7\ncpu0 1 1 1 1 1 1 1 1 0 0\n");
        System.IO.File.WriteAllText(Path.Join(root, "meminfo"), "MemTotal:       1000 kB\nMemFree:  1 kB\nMemAvailable:    400 kB\n");
        Directory.CreateDirectory(Path.Join(root, "pressure"));
        System.IO.File.WriteAllText(Path.Join(root, "pressure/memory"), "some avg10=9.00 avg60=0.00 avg300=0.00 total=1718229\nfull avg10=1.05 avg60=0.00 avg300=0.00 total=11\n");
        long unit = two ? 1000 : 1;
        Assert.Equal(new HostUse(660_000_000, 10_000 * unit, 5000 * unit, 600 << 10, 400 << 10, 17_999, 8999, 1.05), group.Read());
    }

    private CgroupMounts Parse(string table) => CgroupMounts.Parse(table.Replace(" /sys/fs/cgroup", " " + root.Replace(" ", "\\040", StringComparison.Ordinal), StringComparison.Ordinal).Split('\n'), root);

    private Cgroups Open(string kind)
    {
        CgroupMounts mounts = Parse(kind switch { "hybrid" => Hybrid, "legacy" => Legacy, _ => Unified });
        foreach (string tree in mounts.Hierarchies) Directory.CreateDirectory(tree);
        return new Cgroups(mounts);
    }

    private void File(string tree, string name, string text)
    {
        string path = Path.Join(root, tree, "atoll-n/x", name);
        Directory.CreateDirectory(Path.GetDirectoryName(path)!);
        System.IO.File.WriteAllText(path, text);
    }
}
