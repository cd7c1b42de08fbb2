using System.Collections.Immutable;

namespace Atoll.Scheduling.Offline;

/// <summary>What a machine takes of its host: the same from each NUMA node that it is on.</summary>
/// <param name="TwoNuma">Whether it is on both NUMA nodes.</param>
/// <param name="Cores">Cores on each of them.</param>
/// <param name="MemoryMb">Memory in MB on each of them.</param>
public readonly record struct VmShape(bool TwoNuma, int Cores, int MemoryMb);

/// <summary>A machine that runs.</summary>
/// <param name="Name">Its name.</param>
/// <param name="Shape">What it takes.</param>
/// <param name="Host">Number of its host.</param>
/// <param name="Numa">Its NUMA node; 0 if it is on both.</param>
/// <param name="Movable">Whether it may be moved.</param>
public readonly record struct Vm(string Name, VmShape Shape, int Host, int Numa, bool Movable);

/// <summary>One NUMA node of a host.</summary>
/// <param name="Cores">All cores.</param>
/// <param name="FreeCores">Free cores.</param>
/// <param name="MemoryMb">All memory in MB.</param>
/// <param name="FreeMemoryMb">Free memory in MB.</param>
public readonly record struct NumaNode(int Cores, int FreeCores, int MemoryMb, int FreeMemoryMb);

/// <summary>A host of two NUMA nodes; one of a single node has an empty second one.</summary>
/// <param name="Name">Its name.</param>
/// <param name="First">NUMA node 0.</param>
/// <param name="Second">NUMA node 1.</param>
public readonly record struct VmHost(string Name, NumaNode First, NumaNode Second);

/// <summary>A snapshot of hosts and the machines on them; immutable.</summary>
/// <param name="Hosts">The hosts.</param>
/// <param name="Vms">The machines.</param>
public sealed record VmFleet(ImmutableArray<VmHost> Hosts, ImmutableArray<Vm> Vms)
{
    /// <summary>Hosts of one snapshot at most.</summary>
    public const int MaxHosts = 100_000;

    /// <summary>Machines of one snapshot at most.</summary>
    public const int MaxVms = 2_000_000;

    /// <summary>Cores of one NUMA node at most.</summary>
    public const int MaxCores = 1024;
}

/// <summary>One migration; a change of the NUMA node inside a host is one too.</summary>
/// <param name="Vm">Number of the machine.</param>
/// <param name="Host">Number of the host that it goes to.</param>
/// <param name="Numa">NUMA node there; 0 for a machine on both.</param>
public readonly record struct VmMove(int Vm, int Host, int Numa);
