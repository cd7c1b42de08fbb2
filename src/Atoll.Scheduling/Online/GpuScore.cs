using Atoll.Api.Core;
using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Online;

/// <summary>
/// GpuFragmentation: a GPU pod goes where the outlook of a node suffers least (<see cref="NodeOutlook"/>, decision 7). The typical
/// mix is what GPU pods of the fleet ask for now. It takes the place of the scores by cpu and memory, which know nothing of
/// what is stranded. One point is a fiftieth of a GPU; losing exactly what the pod takes is the middle.
/// </summary>
internal sealed class GpuScore
{
    /// <summary>Score of a pod that strands nothing; the range is 0 to twice this.</summary>
    public const int Middle = 500;

    /// <summary>What a device that a pod prefers adds.</summary>
    public const int Preferred = 200;

    private const double Grain = 20;

    private readonly Working _working;
    private readonly Dictionary<string, int> _models = new(StringComparer.Ordinal);
    private readonly List<GpuTask> _fleet = [];
    private NodeOutlook? _outlook;

    public GpuScore(Working working)
    {
        _working = working;
        Snapshot snapshot = working.Snapshot;
        for (int row = 0; row < snapshot.Rows; row++)
            if (snapshot.Parts[row] is { } parts && Array.Exists(parts.Devices, d => d.Resource == WellKnown.Gpu))
                foreach (PodRow pod in snapshot.PodsAt[row] ?? [])
                    if (TaskOf(snapshot.DemandOf(pod.Requests, pod.Wants?.Whole == true, row)) is { Gpus: > 0 } task)
                        _fleet.Add(task);
        _fleet.Sort(static (a, b) => a.Gpus != b.Gpus ? a.Gpus.CompareTo(b.Gpus) : a.GpuMilli != b.GpuMilli ? a.GpuMilli.CompareTo(b.GpuMilli) : a.CpuMilli.CompareTo(b.CpuMilli));
    }

    /// <summary>Points of a row on which the pod fits; what it asks for stands for the mix while no pod of the fleet does.</summary>
    public int Of(int row, long[] asked, long[] demand, PartsClaim claim)
    {
        NodeParts parts = _working.Snapshot.Parts[row]!;
        PartsUse use = _working.UseOf(row);
        Span<int> before = stackalloc int[GpuFleet.MaxGpusPerNode], after = stackalloc int[GpuFleet.MaxGpusPerNode];
        int gpus = 0, taken = 0;
        string? model = null;
        for (int d = 0; d < parts.Devices.Length && gpus < before.Length; d++)
        {
            if (parts.Devices[d].Resource != WellKnown.Gpu)
                continue;
            model ??= parts.Devices[d].Attributes.GetValueOrDefault("model", "");
            before[gpus] = after[gpus] = NodeParts.WholeDevice - use.Milli[d];
            foreach ((int device, int milli, _) in claim.Devices)
                if (device == d)
                {
                    after[gpus] -= milli;
                    taken += milli;
                }
            gpus++;
        }
        if (model is null)
            return Middle;
        if (!_models.TryGetValue(model, out int number))
            _models.Add(model, number = Math.Min(_models.Count, GpuFleet.MaxModels - 1));
        _outlook ??= new NodeOutlook(TypicalMix.Of(_fleet.Count > 0 ? _fleet : [TaskOf(asked)]));
        int cores = (int)Math.Clamp(_working.AllocatableOf(ResourceNames.Cpu, row) - _working.RequestedOf(ResourceNames.Cpu, row), 0, int.MaxValue);
        double lost = _outlook.Of(cores, before[..gpus], number) - _outlook.Of((int)Math.Max(0, cores - demand[ResourceNames.Cpu]), after[..gpus], number) - taken;
        return Math.Clamp(Middle - (int)Math.Ceiling(lost / Grain - 1e-9), 0, 2 * Middle) + (claim.Liked ? Preferred : 0);
    }

    private GpuTask TaskOf(long[] demand)
    {
        ResourceNames names = _working.Resources;
        int whole = At(names.Find(WellKnown.Gpu)), milli = At(names.Find(WellKnown.GpuMilli)), cpu = At(ResourceNames.Cpu);
        return whole > 0 ? new GpuTask(cpu, 0, whole, GpuTask.WholeGpu, 0) : milli > 0 ? new GpuTask(cpu, 0, 1, Math.Min(milli, GpuTask.WholeGpu), 0) : default;

        int At(int column) => column >= 0 && column < demand.Length ? (int)Math.Min(demand[column], int.MaxValue) : 0;
    }
}
