using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Capacities;

/// <summary>
/// How many more of a pod single nodes can hold, by the filters that the placement of pods goes through. What is no sum of a node
/// (devices, NUMA cells, what the site has as a whole, headroom) is found by filling node after node, and stays taken here.
/// </summary>
internal sealed class RowRoom : IDisposable
{
    private readonly Working _working;
    private readonly SpecClass _spec;
    private readonly Online.PodGroup _group;

    public RowRoom(Snapshot fleet, KubeObject pod)
    {
        _working = new Working(fleet, seed: 0);
        PodSpec asked = pod.View(ApiJson.Default.Pod).Spec;
        _spec = new SpecClass(asked, SchedulingProfile.Default, _working, wants: PodWants.Of(pod, asked));
        _group = fleet.GroupOf(pod, asked);
    }

    /// <summary>True when sums of amounts of each node say it all.</summary>
    public bool IsSum => _spec.Special is null && _spec.Ports.IsEmpty;

    /// <summary>True when a pod takes the whole node.</summary>
    public bool IsWhole => _spec.Whole;

    /// <summary>How many candidates there are: rows where neither cordon, taints, name nor node affinity keep the pod away.</summary>
    public int Candidates => _spec.Count;

    /// <summary>The row of a candidate, ascending.</summary>
    public int RowAt(int candidate) => _spec.Rows[candidate];

    /// <summary>How many fit on a candidate's row, at most <paramref name="limit"/>.</summary>
    public long Count(int candidate, long limit)
    {
        int row = _spec.Rows[candidate];
        return _spec.Local[candidate] < 0 ? 0 : Math.Min(limit, _spec.Special is null ? Units(row) : Fill(row, limit));
    }

    /// <summary>Why one more will not fit on a row for another reason than amounts of the node, or null.</summary>
    public string? Reason(int row) => _spec.HasRoom(row) ? _spec.Special?.Reason(row) : null;

    /// <summary>True when one more would fit on a row without one of its pods.</summary>
    public bool FitsWithout(int row, PodRow pod)
    {
        long[] freed = _working.Snapshot.DemandOf(pod.Requests, pod.Wants?.Whole == true, row);
        return _spec.HasRoom(row, freed) && _spec.Special?.Reason(row, p => ReferenceEquals(p, pod), freed) is null;
    }

    /// <inheritdoc/>
    public void Dispose() => _working.Dispose();

    private long Fill(int row, long limit)
    {
        long count = 0;
        for (; count < limit && _spec.HasRoom(row) && (_spec.Ports.IsEmpty || !_working.PortsTaken(_spec.Ports, row)) && _spec.Special!.Reason(row) is null; count++)
        {
            if (_spec.Special.Choose(row) is { } claim)
                _working.Claim(row, claim);
            _working.Count(row, _group, _spec.DemandAt(row), _spec.ScoredCpu, _spec.ScoredMemory, _spec.Ports, 1);
        }
        return count;
    }

    private long Units(int row)
    {
        long units = _spec.Ports.IsEmpty ? long.MaxValue : 1;
        for (int r = 0; r < _spec.Requests.Length; r++)
            if (_spec.Requests[r] > 0)
                units = Math.Min(units, (_working.AllocatableOf(r, row) - _working.RequestedOf(r, row)) / _spec.Requests[r]);
        return units;
    }
}
