using System.Globalization;
using Atoll.Edge.Colocation;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>
/// The cgroup above all batch containers, beside the containers of online pods: the kernel gives it cpu only when none of those want
/// it (least shares, and idle where the kernel has that), and no more than <see cref="Limit"/> says. Cgroup versions 1 and 2, by
/// where the files are.
/// </summary>
internal sealed class BatchCgroup : IBatchHost
{
    /// <summary>Name of the group below the one of the pods.</summary>
    public const string Name = "batch";

    private const long PeriodUs = 100_000, LeastQuotaUs = 1000;
    private const long NanosecondsPerTick = 10_000_000; // Of /proc/stat: Linux counts in hundredths of a second.

    private readonly bool unified;
    private readonly string pods, cpu, memory;
    private readonly string inCpu, inMemory;
    private readonly string stat, meminfo, pressure;
    private readonly GroupFiles podFiles, batchFiles;
    private readonly KernelFile file = new();
    private readonly Lock gate = new();
    private (long CpuMilli, long High, long Max)? orders;

    internal BatchCgroup(CgroupMounts mounts, string pods, string procfs = "/proc")
    {
        unified = mounts.Mode == CgroupMode.Unified;
        this.pods = pods;
        (cpu, memory) = (Of("cpu"), Of("memory"));
        (inCpu, inMemory) = ($"{cpu}{pods}/{Name}/", $"{memory}{pods}/{Name}/");
        (stat, meminfo, pressure) = (Path.Join(procfs, "stat"), Path.Join(procfs, "meminfo"), Path.Join(procfs, "pressure/memory"));
        (podFiles, batchFiles) = (Files(pods), Files($"{pods}/{Name}"));
        GroupFiles Files(string group) => unified
            ? new GroupFiles(cpu + group + "/cpu.stat", memory + group + "/memory.current", memory + group + "/memory.stat")
            : new GroupFiles(Of("cpuacct") + group + "/cpuacct.usage", memory + group + "/memory.usage_in_bytes", memory + group + "/memory.stat");
        string Of(string controller) => unified ? mounts.Unified! : mounts.Controllers.GetValueOrDefault(controller, "/nonexistent");
    }

    /// <summary>True when a container may have a quota of its own whatever this group has; with version 1 the kernel refuses a child that may use more than its parent.</summary>
    internal bool AllowsQuotaInside => unified;

    /// <inheritdoc/>
    public HostUse Read()
    {
        Span<long> ticks = stackalloc long[8];
        lock (gate)
        {
            // cpu user nice system idle iowait irq softirq steal
            if (KernelFile.Numbers(file.Read(stat), ticks) < 8) throw new IOException(stat + " does not tell the use of cpu");
            var busy = ticks[0] + ticks[1] + ticks[2] + ticks[5] + ticks[6] + ticks[7];
            var text = file.Read(meminfo);
            long total = KernelFile.Field(text, "MemTotal:"u8) * 1024, available = KernelFile.Field(text, "MemAvailable:"u8) * 1024;
            return new HostUse(busy * NanosecondsPerTick, CpuOf(podFiles), CpuOf(batchFiles), total - available, available, MemoryOf(podFiles), MemoryOf(batchFiles), Pressure());
        }
    }

    /// <inheritdoc/>
    public void Limit(long cpuMilli, long memoryHighBytes, long memoryMaxBytes)
    {
        lock (gate)
        {
            // What hardly changed is not worth a call, and lowering a limit can cost the kernel some work.
            if (orders is { } last && last.Max == memoryMaxBytes && Math.Abs(last.High - memoryHighBytes) < memoryMaxBytes / 100 && Math.Abs(last.CpuMilli - cpuMilli) < 10) return;
            orders = (cpuMilli, memoryHighBytes, memoryMaxBytes);
            if (Directory.Exists(inCpu)) Apply();
        }
    }

    /// <summary>Makes the group, before a container is made in it.</summary>
    internal void Make()
    {
        lock (gate)
        {
            foreach (var tree in (string[])(unified ? [cpu] : [cpu, memory]))
            {
                if (unified) Delegate(tree);
                if (Directory.Exists(tree)) Directory.CreateDirectory($"{tree}{pods}/{Name}");
            }
            // Shares first: an idle group's cannot be set.
            if (file.Number(inCpu + "cpu.idle") == 0)
            {
                Write(inCpu + (unified ? "cpu.weight" : "cpu.shares"), unified ? 1 : 2);
                Write(inCpu + "cpu.idle", 1);
            }
            Apply();
        }
    }

    // Version 2: a group has a controller's files only when all above it pass the controller on.
    private void Delegate(string tree)
    {
        for (int end = 0; end >= 0; end = pods.IndexOf('/', end + 1))
        {
            Directory.CreateDirectory(tree + pods[..end]);
            Write(tree + pods[..end] + "/cgroup.subtree_control", "+cpu +memory");
        }
        Directory.CreateDirectory(tree + pods);
        Write(tree + pods + "/cgroup.subtree_control", "+cpu +memory");
    }

    private void Apply()
    {
        if (orders is not { } now) return;
        var quota = Math.Max(LeastQuotaUs, now.CpuMilli * PeriodUs / 1000);
        if (unified)
        {
            Write(inCpu + "cpu.max", string.Create(CultureInfo.InvariantCulture, $"{quota} {PeriodUs}"));
            Write(inMemory + "memory.high", now.High);
            Write(inMemory + "memory.max", now.Max);
            return;
        }
        Write(inCpu + "cpu.cfs_quota_us", quota);
        // Busy when no more can be taken back just now: then eviction is what helps.
        Write(inMemory + "memory.limit_in_bytes", now.High);
    }

    private long CpuOf(GroupFiles group) => unified ? file.Field(group.Cpu, "usage_usec"u8) * 1000 : file.Number(group.Cpu);

    private long MemoryOf(GroupFiles group)
    {
        var used = file.Number(group.Memory);
        return used == 0 ? 0 : Math.Max(0, used - file.Field(group.MemoryStat, unified ? "inactive_file"u8 : "total_inactive_file"u8));
    }

    private double Pressure()
    {
        var text = file.Read(pressure);
        Span<long> parts = stackalloc long[3];
        // full avg10=1.23 avg60=…
        return text.IndexOf("full"u8) is >= 0 and var full && KernelFile.Numbers(text[full..], parts) == 3 ? parts[1] + parts[2] / 100.0 : 0;
    }

    private static void Write(string path, long value) => Write(path, value.ToString(CultureInfo.InvariantCulture));

    // A file that this kernel does not have, or a value that it does not take now, leaves the rest of the limits as they are.
    private static void Write(string path, string value)
    {
        if (!File.Exists(path)) return;
        try
        {
            File.WriteAllText(path, value);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // Looked at again with the next change.
        }
    }

    /// <summary>Where the use of a group is read; made once, as it is read every second.</summary>
    private sealed record GroupFiles(string Cpu, string Memory, string MemoryStat);
}
