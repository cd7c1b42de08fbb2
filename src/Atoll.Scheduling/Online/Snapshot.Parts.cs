using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>
/// What is not a sum over a node's pods: NUMA cells and devices, what a core is worth, whole nodes, and what a site has as a
/// whole. A fleet without these keeps empty columns and pays nothing.
/// </summary>
public sealed partial class Snapshot
{
    private const int Unit = 1000;

    /// <summary>What nodes are made of; null where they say nothing of it.</summary>
    internal Column<NodeParts?> Parts { get; private init; } = new();

    /// <summary>What the pods of a row take of its parts; null is nothing. Replaced when it changes.</summary>
    internal Column<PartsUse?> Uses { get; private init; } = new();

    /// <summary>Columns of resources of which nodes have told single devices.</summary>
    internal ImmutableHashSet<int> DeviceColumns { get; private set; } = [];

    /// <summary>True once a node told a GPU.</summary>
    internal bool AnyGpu { get; private set; }

    /// <summary>Pools by site.</summary>
    internal ImmutableDictionary<string, SitePool> Sites { get; private set; } = ImmutableDictionary.Create<string, SitePool>(StringComparer.Ordinal);

    /// <summary>True when a site keeps headroom.</summary>
    internal bool AnyHeadroom { get; private set; }

    /// <summary>Compute units of a core by model, by name of the CPUModel.</summary>
    internal ImmutableDictionary<string, CpuModelSpec> CpuModels { get; private set; } = ImmutableDictionary.Create<string, CpuModelSpec>(StringComparer.Ordinal);

    /// <summary>The model of each node's processor.</summary>
    internal Column<string?> Models { get; private init; } = new();

    // Thousandths less 1000 by row, so that rows that say nothing have 1.
    private Column<int> Factors { get; init; } = new();

    // How many pods take what depends on their node.
    private int _dependent;

    /// <summary>Takes in a Site: its resources and headroom. The answer says what of it can matter to a pod that waits.</summary>
    public ClusterEvents UpsertSite(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        SiteSpec spec = value.View(ApiJson.Default.Site).Spec;
        var pool = new SitePool(Resources.Read(spec.Resources), Resources.Read(spec.Headroom));
        if (Sites.TryGetValue(value.Name, out SitePool? old) && old.SameAs(pool))
            return ClusterEvents.None;
        Sites = Sites.SetItem(value.Name, pool);
        AnyHeadroom = Sites.Values.Any(s => s.HasHeadroom);
        return ClusterEvents.NodeAllocatable;
    }

    /// <summary>Forgets a Site.</summary>
    public void RemoveSite(string name)
    {
        Sites = Sites.Remove(name);
        AnyHeadroom = Sites.Values.Any(s => s.HasHeadroom);
    }

    /// <summary>Takes in a CPUModel.</summary>
    public ClusterEvents UpsertCpuModel(KubeObject value)
    {
        ArgumentNullException.ThrowIfNull(value);
        CpuModelSpec spec = value.View(ApiJson.Default.CpuModel).Spec;
        if (CpuModels.TryGetValue(value.Name, out CpuModelSpec? old) && old.Match == spec.Match && old.Factor == spec.Factor)
            return ClusterEvents.None;
        CpuModels = CpuModels.SetItem(value.Name, spec);
        return RefreshFactors();
    }

    /// <summary>Forgets a CPUModel.</summary>
    public ClusterEvents RemoveCpuModel(string name)
    {
        CpuModels = CpuModels.Remove(name);
        return RefreshFactors();
    }

    /// <summary>What a pod with these requests takes of a row: normalised cores as cores of it, and all of it when it takes a whole node.</summary>
    internal long[] DemandOf(long[] requests, bool whole, int row)
    {
        if (whole)
        {
            var all = new long[Math.Max(requests.Length, Allocatable.Count)];
            for (int r = 0; r < all.Length; r++)
                all[r] = Math.Max(r < requests.Length ? requests[r] : 0, r < Allocatable.Count ? Allocatable[r][row] : 0);
            return all;
        }
        long compute = requests[ResourceNames.Compute];
        if (compute <= 0)
            return requests;
        long[] demand = [.. requests];
        demand[ResourceNames.Cpu] += CoresOf(compute, row);
        return demand;
    }

    /// <summary>Thousandths of a core of a row that so many thousandths of a compute unit are, rounded up.</summary>
    internal long CoresOf(long compute, int row) => (long)Int128.Min(ResourceNames.Most, ((Int128)compute * Unit + Factors[row] + Unit - 1) / (Factors[row] + Unit));

    /// <summary>Thousandths of a compute unit that so many thousandths of a core of a row are worth, rounded down.</summary>
    internal long ComputeOf(long cores, int row) => (long)((Int128)cores * (Factors[row] + Unit) / Unit);

    /// <summary>What the pods of a row take of its parts, without some of them.</summary>
    internal PartsUse UseOf(int row, Func<PodRow, bool>? without = null)
    {
        NodeParts parts = Parts[row]!;
        PartsUse use = parts.Empty();
        List<(PodRow Pod, PartsNeed Need)>? unknown = null;
        foreach (PodRow pod in PodsAt[row] ?? [])
        {
            if (without?.Invoke(pod) == true || NeedOf(pod, row) is not { } need)
                continue;
            if (pod.Allocation is { } allocation)
                use.Add(parts.Resolve(allocation, need));
            else
                (unknown ??= []).Add((pod, need));
        }
        // What nobody wrote down takes what it would be given, in an order that does not depend on when it came.
        unknown?.Sort(static (a, b) => string.CompareOrdinal(a.Pod.Uid, b.Pod.Uid));
        foreach ((_, PartsNeed need) in unknown ?? [])
            if (parts.Choose(need, use) is { } claim)
                use.Add(claim);
        return use;
    }

    internal PartsNeed? NeedOf(PodRow pod, int row)
    {
        PodWants? wants = pod.Wants;
        // Nobody is beside a pod that has the whole node.
        if (wants?.Whole == true)
            return null;
        if (wants?.Numa is null or NumaPolicy.Any)
        {
            bool any = false;
            foreach (int column in DeviceColumns)
                any |= column < pod.Requests.Length && pod.Requests[column] > 0;
            int milli = Resources.Find(WellKnown.GpuMilli), memory = Resources.Find(WellKnown.GpuMemory);
            any |= (milli >= 0 && milli < pod.Requests.Length && pod.Requests[milli] > 0) || (memory >= 0 && memory < pod.Requests.Length && pod.Requests[memory] > 0);
            if (!any)
                return null;
        }
        return PartsNeed.Of(DemandOf(pod.Requests, false, row), wants, Resources, DeviceColumns);
    }

    private void PartsChanged(int row, PodRow? pod = null)
    {
        if (Parts[row] is not null && (pod is null || NeedOf(pod, row) is not null))
            Uses.At(row) = UseOf(row);
    }

    // Amounts that depend on the node are taken out before the node changes and put in after.
    private ClusterEvents Change(int row, Node? node, Func<ClusterEvents> allocate)
    {
        PodRow[] pods = _dependent > 0 ? Array.FindAll(PodsAt[row] ?? [], p => p.IsDependent) : [];
        foreach (PodRow pod in pods)
            Count(pod, row, -1);
        ClusterEvents events = allocate();
        if (Models[row] != node?.Status?.Edge?.CpuModel)
            Models.At(row) = node?.Status?.Edge?.CpuModel;
        events |= RefreshFactor(row);
        events |= TakeParts(row, node);
        foreach (PodRow pod in pods)
            Count(pod, row, 1);
        HoldFor(pods);
        PartsChanged(row);
        return events;
    }

    private ClusterEvents TakeParts(int row, Node? node)
    {
        NodeParts? now = NodeParts.Of(node?.Status?.Edge, Resources);
        if (now?.Source == Parts[row]?.Source)
            return ClusterEvents.None;
        Parts.At(row) = now;
        Uses.At(row) = null;
        foreach (PartsDevice device in now?.Devices ?? [])
        {
            DeviceColumns = DeviceColumns.Add(device.Column);
            AnyGpu |= device.Resource == WellKnown.Gpu;
        }
        return ClusterEvents.NodeAllocatable;
    }

    private ClusterEvents RefreshFactors()
    {
        ClusterEvents events = ClusterEvents.None;
        for (int row = 0; row < Rows; row++)
            if (Models[row] is not null && FactorOf(Models[row]) != Factors[row])
            {
                PodRow[] pods = Array.FindAll(PodsAt[row] ?? [], p => p.IsDependent);
                foreach (PodRow pod in pods)
                    Count(pod, row, -1);
                events |= RefreshFactor(row);
                foreach (PodRow pod in pods)
                    Count(pod, row, 1);
                HoldFor(pods);
                PartsChanged(row);
            }
        return events;
    }

    // Pods that take more or less of their node do so of their reservations.
    private void HoldFor(PodRow[] pods)
    {
        foreach (PodRow pod in pods)
            if (pod.Reservation is not null)
                Hold(pod.Reservation);
    }

    private ClusterEvents RefreshFactor(int row)
    {
        int factor = FactorOf(Models[row]);
        if (Factors[row] == factor)
            return ClusterEvents.None;
        Factors.At(row) = factor;
        return ClusterEvents.NodeAllocatable;
    }

    private int FactorOf(string? model)
    {
        CpuModelSpec? best = null;
        if (model is not null)
            foreach (CpuModelSpec entry in CpuModels.Values)
                if (Matches(entry.Match, model) && (best is null || entry.Match.Length > best.Match.Length))
                    best = entry;
        return best is null ? 0 : (int)Math.Round(best.Factor * Unit) - Unit;
    }

    private static bool Matches(string pattern, string model) =>
        pattern.EndsWith('*') ? model.StartsWith(pattern[..^1], StringComparison.Ordinal) : model == pattern;
}
