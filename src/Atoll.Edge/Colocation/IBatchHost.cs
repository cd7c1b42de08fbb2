namespace Atoll.Edge.Colocation;

/// <summary>What machine, pods and batch pods use now. Cpu counts up since some moment in the past, nanoseconds over all cores; memory is what cannot be given back at once, bytes.</summary>
/// <param name="HostCpuNs">Cpu of everything on the machine.</param>
/// <param name="PodsCpuNs">Cpu of this node's pods, batch among them.</param>
/// <param name="BatchCpuNs">Cpu of this node's batch pods.</param>
/// <param name="HostMemoryBytes">Memory in use on the machine.</param>
/// <param name="AvailableMemoryBytes">Memory that the machine still has to give.</param>
/// <param name="PodsMemoryBytes">Memory of this node's pods, batch among them.</param>
/// <param name="BatchMemoryBytes">Memory of this node's batch pods.</param>
/// <param name="MemoryPressurePercent">Share of the last 10 s in which everything waited for memory (the kernel's pressure stall information); 0 where the kernel does not tell.</param>
public readonly record struct HostUse(long HostCpuNs, long PodsCpuNs, long BatchCpuNs, long HostMemoryBytes, long AvailableMemoryBytes, long PodsMemoryBytes, long BatchMemoryBytes, double MemoryPressurePercent);

/// <summary>The group in which batch pods run: what it and the rest of the machine use, and what it is held to.</summary>
public interface IBatchHost
{
    /// <summary>Use now. Throws <see cref="IOException"/> when the kernel does not answer.</summary>
    HostUse Read();

    /// <summary>Holds all batch pods together to so much; does nothing while there are none.</summary>
    /// <param name="cpuMilli">Thousandths of a core.</param>
    /// <param name="memoryHighBytes">Memory above which batch pods are slowed down and their caches taken (cgroup v1: their limit, as far as it can be reached).</param>
    /// <param name="memoryMaxBytes">Memory that they can never exceed (cgroup v2).</param>
    void Limit(long cpuMilli, long memoryHighBytes, long memoryMaxBytes);
}
