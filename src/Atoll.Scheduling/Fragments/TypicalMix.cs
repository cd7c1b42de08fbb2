using System.Collections.Immutable;

namespace Atoll.Scheduling.Fragments;

/// <summary>One spec of the typical workload and the share of tasks that have it.</summary>
/// <param name="Task">The spec; its memory is not counted.</param>
/// <param name="Share">Its share of the mix, 0-1; the shares of a mix add to 1.</param>
public readonly record struct TypicalTask(GpuTask Task, double Share);

/// <summary>
/// The typical workload of Fragmentation Gradient Descent (Weng et al., USENIX ATC '23): the most popular specs (cores, GPUs,
/// GPU share, models) until they cover a share of the tasks. It is all that a policy knows about the future.
/// </summary>
public sealed class TypicalMix
{
    /// <summary>Share of the tasks that the specs cover at least.</summary>
    public const double DefaultCoverage = 0.95;

    private TypicalMix(ImmutableArray<TypicalTask> tasks) => Tasks = tasks;

    /// <summary>The specs, most popular first.</summary>
    public ImmutableArray<TypicalTask> Tasks { get; }

    /// <summary>The mix of these tasks; among equally popular specs the first seen comes first.</summary>
    public static TypicalMix Of(IReadOnlyList<GpuTask> tasks, double coverage = DefaultCoverage)
    {
        var place = new Dictionary<GpuTask, int>();
        var specs = new List<(GpuTask Task, int Count)>();
        for (int i = 0; i < tasks.Count; i++)
        {
            GpuTask spec = tasks[i] with { MemoryMib = 0 };
            if (!place.TryGetValue(spec, out int at))
            {
                place.Add(spec, at = specs.Count);
                specs.Add((spec, 0));
            }
            specs[at] = (spec, specs[at].Count + 1);
        }
        // A stable order: by popularity, then by first appearance.
        int[] order = new int[specs.Count];
        for (int i = 0; i < order.Length; i++)
            order[i] = i;
        Array.Sort(order, (a, b) => specs[a].Count != specs[b].Count ? specs[b].Count.CompareTo(specs[a].Count) : a.CompareTo(b));
        int covered = 0, kept = 0;
        while (kept < order.Length && covered < coverage * tasks.Count)
            covered += specs[order[kept++]].Count;
        var result = ImmutableArray.CreateBuilder<TypicalTask>(kept);
        for (int i = 0; i < kept; i++)
            result.Add(new TypicalTask(specs[order[i]].Task, (double)specs[order[i]].Count / covered));
        return new TypicalMix(result.MoveToImmutable());
    }
}
