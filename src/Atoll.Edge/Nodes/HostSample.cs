using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Atoll.Api.Core;

namespace Atoll.Edge.Nodes;

/// <summary>What the kernel says of the machine now.</summary>
internal sealed record HostSample
{
    public int Cpus { get; init; }
    public long MemoryTotalBytes { get; init; }
    public long MemoryAvailableBytes { get; init; }
    public long DiskTotalBytes { get; init; }
    public long DiskFreeBytes { get; init; }
    public long HugePages2MiB { get; init; }
    public long HugePages1GiB { get; init; }

    /// <summary>Processor and NUMA nodes, amounts of the whole machine times the node's share.</summary>
    public NodeEdge? Parts { get; init; }
    public long PidsMax { get; init; }
    public long PidsUsed { get; init; }

    /// <summary>Reads /proc, /sys and the file system of the folder.</summary>
    public static HostSample Read(string folder, double share = 1)
    {
        long total = 0, available = 0, huge = 0;
        foreach (string line in File.ReadLines("/proc/meminfo"))
        {
            if (line.StartsWith("MemTotal:", StringComparison.Ordinal))
                total = Number(line) * 1024;
            else if (line.StartsWith("MemAvailable:", StringComparison.Ordinal))
                available = Number(line) * 1024;
        }
        int cpus = 0;
        foreach (string line in File.ReadLines("/proc/cpuinfo"))
            if (line.StartsWith("processor", StringComparison.Ordinal))
                cpus++;
        const string Huge = "/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", Gigantic = "/sys/kernel/mm/hugepages/hugepages-1048576kB/nr_hugepages";
        if (File.Exists(Huge))
            huge = Number(File.ReadAllText(Huge));
        Directory.CreateDirectory(folder);
        var disk = new DriveInfo(folder);
        string[] load = File.ReadAllText("/proc/loadavg").Split(' ');
        return new HostSample
        {
            Cpus = cpus > 0 ? cpus : Environment.ProcessorCount,
            MemoryTotalBytes = total,
            MemoryAvailableBytes = available,
            DiskTotalBytes = disk.TotalSize,
            DiskFreeBytes = disk.AvailableFreeSpace,
            HugePages2MiB = huge,
            HugePages1GiB = File.Exists(Gigantic) ? Number(File.ReadAllText(Gigantic)) : 0,
            Parts = HostParts.Read("/", share),
            PidsMax = Number(File.ReadAllText("/proc/sys/kernel/pid_max")),
            PidsUsed = load.Length > 3 && load[3].Split('/') is [_, string all] ? Number(all) : 0,
        };
    }

    private static long Number(string text)
    {
        long value = 0;
        bool any = false;
        foreach (char c in text)
        {
            if (char.IsAsciiDigit(c))
                (value, any) = (value * 10 + (c - '0'), true);
            else if (any)
                break;
        }
        return value;
    }
}

/// <summary>What does not change while the machine runs.</summary>
internal static class HostIdentity
{
    public static string Architecture => RuntimeInformation.OSArchitecture switch
    {
        System.Runtime.InteropServices.Architecture.X64 => "amd64",
        System.Runtime.InteropServices.Architecture.Arm64 => "arm64",
        System.Runtime.InteropServices.Architecture.RiscV64 => "riscv64",
        System.Runtime.InteropServices.Architecture.LoongArch64 => "loong64",
        Architecture other => other.ToString().ToLowerInvariant(),
    };

    public static string OsImage()
    {
        foreach (string path in (ReadOnlySpan<string>)["/etc/os-release", "/usr/lib/os-release"])
            if (File.Exists(path))
                foreach (string line in File.ReadLines(path))
                    if (line.StartsWith("PRETTY_NAME=", StringComparison.Ordinal))
                        return line["PRETTY_NAME=".Length..].Trim('"');
        return "Linux";
    }

    public static string Line(string path) => File.Exists(path) ? File.ReadAllText(path).Trim() : "";

    /// <summary>Source address of the default route; no packet is sent.</summary>
    public static string? RouteAddress()
    {
        try
        {
            using var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp);
            socket.Connect(new IPEndPoint(IPAddress.Parse("192.0.2.1"), 9)); // TEST-NET-1
            return (socket.LocalEndPoint as IPEndPoint)?.Address.ToString();
        }
        catch (SocketException)
        {
            return null;
        }
    }
}

/// <summary>A measure with two thresholds, so that a condition does not flap.</summary>
internal sealed class PressureGauge(double below, double overAbove)
{
    /// <summary>True while under pressure.</summary>
    public bool On { get; private set; }

    /// <summary>Takes what is available; returns <see cref="On"/>.</summary>
    public bool Update(double available)
    {
        if (available < below)
            On = true;
        else if (available > overAbove)
            On = false;
        return On;
    }
}
