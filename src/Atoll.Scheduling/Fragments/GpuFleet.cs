using System.Collections.Immutable;

namespace Atoll.Scheduling.Fragments;

/// <summary>One node of a fleet.</summary>
/// <param name="Name">Its name.</param>
/// <param name="CpuMilli">Thousandths of a core.</param>
/// <param name="MemoryMib">Memory in MiB.</param>
/// <param name="Gpus">GPUs, all of one model.</param>
/// <param name="Model">Number of the GPU model in <see cref="GpuFleet.Models"/>; −1 for a node without GPUs.</param>
public readonly record struct GpuNode(string Name, int CpuMilli, int MemoryMib, int Gpus, int Model);

/// <summary>The nodes that tasks are placed on; immutable. Order matters: policies break ties by the lowest node.</summary>
public sealed class GpuFleet
{
    /// <summary>GPUs of one node at most.</summary>
    public const int MaxGpusPerNode = 16;

    /// <summary>GPU models of a fleet at most: a task's models are bits of one word, and one bit is for those that no node has.</summary>
    public const int MaxModels = 63;

    /// <summary>A fleet of these nodes.</summary>
    /// <exception cref="ArgumentException">A node has more GPUs, or the fleet more models, than the limits.</exception>
    public GpuFleet(ImmutableArray<GpuNode> nodes, ImmutableArray<string> models)
    {
        if (models.Length > MaxModels)
            throw new ArgumentException($"A fleet has at most {MaxModels} GPU models; this one has {models.Length}.", nameof(models));
        Nodes = nodes;
        Models = models;
        foreach (GpuNode node in nodes)
        {
            if (node.Gpus is < 0 or > MaxGpusPerNode)
                throw new ArgumentException($"A node has 0 to {MaxGpusPerNode} GPUs; '{node.Name}' has {node.Gpus}.", nameof(nodes));
            Gpus += node.Gpus;
            CpuMilli += node.CpuMilli;
            GpuStride = Math.Max(GpuStride, node.Gpus);
            LargestCpuMilli = Math.Max(LargestCpuMilli, node.CpuMilli);
        }
    }

    /// <summary>The nodes.</summary>
    public ImmutableArray<GpuNode> Nodes { get; }

    /// <summary>Names of the GPU models, by number.</summary>
    public ImmutableArray<string> Models { get; }

    /// <summary>All GPUs.</summary>
    public int Gpus { get; }

    /// <summary>All cores, in thousandths.</summary>
    public long CpuMilli { get; }

    /// <summary>GPUs of the largest node.</summary>
    public int GpuStride { get; }

    /// <summary>Thousandths of a core of the largest node.</summary>
    public int LargestCpuMilli { get; }

    /// <summary>The same nodes in another order.</summary>
    public GpuFleet Shuffled(SeededRandom random)
    {
        GpuNode[] nodes = [.. Nodes];
        random.Shuffle<GpuNode>(nodes);
        return new GpuFleet([.. nodes], Models);
    }
}
