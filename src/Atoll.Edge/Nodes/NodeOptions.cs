using Atoll.Edge.Devices;

namespace Atoll.Edge.Nodes;

/// <summary>What the Node object says that cannot be read from the host.</summary>
public sealed record NodeOptions
{
    /// <summary>False registers no Node (somebody else does).</summary>
    public bool Register { get; init; } = true;

    /// <summary>Site's name (label <c>edge.atoll.dev/site</c> and <c>topology.kubernetes.io/zone</c>).</summary>
    public string? Site { get; init; }

    /// <summary>Region (label <c>topology.kubernetes.io/region</c>).</summary>
    public string? Region { get; init; }

    /// <summary>More labels to register with; labels are created, never overwritten.</summary>
    public IReadOnlyDictionary<string, string> Labels { get; init; } = new Dictionary<string, string>();

    /// <summary>Share of the machine that belongs to this node, above 0 up to 1: three sites on one machine count it once.</summary>
    public double CapacityShare { get; init; } = 1;

    /// <summary>Cpu capacity as a quantity; null is the machine's times the share.</summary>
    public string? Cpu { get; init; }

    /// <summary>Memory capacity as a quantity; null is the machine's times the share.</summary>
    public string? Memory { get; init; }

    /// <summary>Cpu kept for the system: capacity less this is allocatable.</summary>
    public string ReservedCpu { get; init; } = "0";

    /// <summary>Memory kept for the system.</summary>
    public string ReservedMemory { get; init; } = "0";

    /// <summary>Devices that the node has.</summary>
    public IReadOnlyList<DeclaredDevice> Devices { get; init; } = [];

    /// <summary>Most pods at once.</summary>
    public int MaxPods { get; init; } = 110;

    /// <summary>Version told as the kubelet's.</summary>
    public string Version { get; init; } = "v1.32.0-atoll.0.1.0";

    /// <summary>Labels and taints are the centre's; this only sets how often outcomes are looked at.</summary>
    public TimeSpan Period { get; init; } = TimeSpan.FromSeconds(10);

    /// <summary>Free share of the disk below which there is disk pressure.</summary>
    public double DiskPressureBelow { get; init; } = 0.10;

    /// <summary>Free share of the disk above which the pressure is over.</summary>
    public double DiskPressureOverAbove { get; init; } = 0.15;

    /// <summary>Available memory, bytes, below which there is memory pressure.</summary>
    public long MemoryPressureBelowBytes { get; init; } = 100L * 1024 * 1024;

    /// <summary>Available memory, bytes, above which the pressure is over.</summary>
    public long MemoryPressureOverAboveBytes { get; init; } = 200L * 1024 * 1024;

    /// <summary>Free process ids below which there is pressure of them.</summary>
    public long PidPressureBelow { get; init; } = 1000;
}
