namespace Atoll.Edge.Runtimes.Containers;

/// <summary>A device node of the host.</summary>
internal readonly record struct HostDevice(string Path, bool Block, int Major, int Minor);

/// <summary>What of the host goes into a container's configuration; read once, or given by a test.</summary>
internal sealed record HostFacts(ulong Capabilities, bool LimitsSwap, long OpenFiles, IReadOnlyList<HostDevice> Devices)
{
    private const long MostOpenFiles = 1_048_576;
    private const int SysResource = 24;

    /// <summary>Below this the OCI runtime may not go: it would end with an error that nobody understands.</summary>
    internal int LowestOomScoreAdj { get; init; } = -1000;

    /// <summary>
    /// One tree of cgroups (version 2): without a namespace of its own a container would see all of it at <c>/sys/fs/cgroup</c>, and not its
    /// limits where runtimes of languages look for them. In version 1 each controller's mount shows the container's own.
    /// </summary>
    internal bool HasOneCgroupTree { get; init; }

    /// <summary>Without CAP_SYS_RESOURCE (an agent inside a container) a process cannot be protected more than the agent itself is.</summary>
    internal static int ReadLowestOomScoreAdj(ulong capabilities) =>
        (capabilities >> SysResource & 1) != 0 ? -1000 : int.Parse(File.ReadAllText("/proc/self/oom_score_adj"), System.Globalization.CultureInfo.InvariantCulture);

    /// <summary>How many files a container may have open: as many as the agent may itself, for raising a limit is not always allowed, even for root.</summary>
    internal static long ReadOpenFiles()
    {
        foreach (var line in File.ReadLines("/proc/self/limits"))
            if (line.StartsWith("Max open files", StringComparison.Ordinal) && long.TryParse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[4], System.Globalization.CultureInfo.InvariantCulture, out var hard))
                return Math.Min(hard, MostOpenFiles);
        return MostOpenFiles;
    }

    /// <summary>Reads the devices from /sys/dev, which needs no stat(2) of each node.</summary>
    internal static IReadOnlyList<HostDevice> ReadDevices()
    {
        var devices = new List<HostDevice>();
        foreach (var kind in (string[])["char", "block"])
        {
            var folder = "/sys/dev/" + kind;
            if (!Directory.Exists(folder)) continue;
            foreach (var entry in Directory.EnumerateFileSystemEntries(folder))
            {
                var numbers = Path.GetFileName(entry).Split(':');
                var uevent = Path.Join(entry, "uevent");
                if (numbers.Length != 2 || !File.Exists(uevent)) continue;
                foreach (var line in File.ReadLines(uevent))
                    if (line.StartsWith("DEVNAME=", StringComparison.Ordinal) && File.Exists("/dev/" + line[8..]))
                        devices.Add(new HostDevice("/dev/" + line[8..], kind == "block", int.Parse(numbers[0], System.Globalization.CultureInfo.InvariantCulture), int.Parse(numbers[1], System.Globalization.CultureInfo.InvariantCulture)));
            }
        }
        return devices;
    }
}
