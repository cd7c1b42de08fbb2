using Atoll.Api.Core;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Capacities;

/// <summary>
/// FGD's expected fragment over a live fleet: free GPUs that a pod drawn from those that run could not use. The typical mix is of
/// the pods' own requests (cpu and whole GPUs), most popular first until they cover 95 %.
/// </summary>
public sealed class GpuMix
{
    private const string Suffix = "/gpu";

    private readonly int[] _columns;
    private readonly Dictionary<(string Region, string Site), (double Free, double Fragment)> _parts = [];

    /// <summary>Looks at a fleet once.</summary>
    public GpuMix(Snapshot fleet)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        var columns = new List<int>();
        for (int r = 0; r < fleet.Resources.Count; r++)
            if (fleet.Resources[r].EndsWith(Suffix, StringComparison.Ordinal))
                columns.Add(r);
        _columns = [.. columns];
        if (_columns.Length == 0)
            return;
        var fragment = new ExpectedFragment(TypicalMix.Of(Tasks(fleet)));
        Span<int> left = stackalloc int[GpuFleet.MaxGpusPerNode];
        for (int row = 0; row < fleet.Rows; row++)
        {
            if (fleet.Nodes[row] is not { } node || FleetCapacity.ClosedFor(fleet.Gates[row]!) is not null)
                continue;
            int gpus = (int)Math.Clamp(Sum(r => FleetCapacity.FreeOf(fleet, r, row)), 0, left.Length);
            if (gpus == 0)
                continue;
            left[..gpus].Fill(GpuTask.WholeGpu);
            double lost = fragment.Of((int)Math.Clamp(FleetCapacity.FreeOf(fleet, ResourceNames.Cpu, row), 0, int.MaxValue), left[..gpus], -1) / GpuTask.WholeGpu;
            string region = node.Labels.GetValueOrDefault(WellKnown.RegionLabel, ""), site = node.Labels.GetValueOrDefault(WellKnown.ZoneLabel, "");
            // A node without labels is in the parts without names, which are also the whole.
            foreach ((string, string) part in new HashSet<(string, string)> { ("", ""), (region, ""), (region, site) })
            {
                (double free, double sum) = _parts.GetValueOrDefault(part);
                _parts[part] = (free + gpus, sum + lost);
            }
        }
    }

    /// <summary>Free GPUs of the open nodes of a part of the fleet (empty names are the whole), and how many of them are the expected fragment.</summary>
    public (double Free, double Fragment) Of(string region, string site) => _parts.GetValueOrDefault((region, site));

    private List<GpuTask> Tasks(Snapshot fleet)
    {
        var tasks = new List<GpuTask>();
        for (int row = 0; row < fleet.Rows; row++)
            foreach (PodRow pod in fleet.PodsAt[row] ?? [])
                if (TaskOf(pod.Requests) is { } task)
                    tasks.Add(task);
        // The snapshot keeps pods in no order, and the mix breaks ties by it.
        tasks.Sort(static (a, b) => a.Gpus != b.Gpus ? a.Gpus.CompareTo(b.Gpus) : a.CpuMilli.CompareTo(b.CpuMilli));
        return tasks;
    }

    private GpuTask? TaskOf(long[] requests)
    {
        long gpus = Sum(r => r < requests.Length ? requests[r] : 0);
        return gpus > GpuFleet.MaxGpusPerNode ? null : new GpuTask((int)Math.Min(requests[ResourceNames.Cpu], int.MaxValue), 0, (int)gpus, gpus > 0 ? GpuTask.WholeGpu : 0, 0);
    }

    private long Sum(Func<int, long> amount)
    {
        long sum = 0;
        foreach (int column in _columns)
            sum += amount(column);
        return sum;
    }
}
