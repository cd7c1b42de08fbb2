using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>
/// What pods of one spec need beyond amounts of a node: a whole node, parts that fit, what the site has as a whole, and headroom
/// that stays free there. Null for pods that need none of it.
/// </summary>
internal sealed class SpecialNeeds
{
    public const string NotEmpty = "node(s) were not empty and a whole node was asked for", Devices = "node(s) had no free devices that suit",
        Numa = "node(s) had no room in NUMA nodes as asked for", Headroom = "node(s) were in sites that keep the rest for replacements";

    private readonly Working _working;
    private readonly long[] _full;
    private readonly PodWants? _wants;
    private readonly List<int> _siteColumns;
    private readonly bool _headroom;
    private readonly LabelColumn? _sites;

    private SpecialNeeds(Working working, long[] full, PodWants? wants, List<int> siteColumns, bool headroom)
    {
        _working = working;
        _full = full;
        _wants = wants;
        _siteColumns = siteColumns;
        _headroom = headroom;
        _sites = working.Snapshot.Labels.Find(WellKnown.SiteLabel);
        long compute = full[ResourceNames.Compute];
        // A node's share differs only for normalised cores; else the need of parts is one for all rows.
        Parts = compute > 0 && wants?.Numa is not (null or NumaPolicy.Any) ? null : PartsNeed.Of(full, wants, working.Resources, working.Snapshot.DeviceColumns);
        PartsByRow = compute > 0 && wants?.Numa is not (null or NumaPolicy.Any);
    }

    /// <summary>True when a change at one node may matter to all nodes of its site.</summary>
    public bool IsSiteWide => _siteColumns.Count > 0 || _headroom;

    /// <summary>True when devices are preferred by their attributes.</summary>
    public bool Prefers => _wants?.Preference is not null;

    public bool Whole => _wants?.Whole == true;

    private PartsNeed? Parts { get; }

    private bool PartsByRow { get; }

    /// <summary>The needs of a spec, and its requests without what is not a node's; null when there is nothing special.</summary>
    public static (SpecialNeeds? Needs, long[] Requests) Of(long[] full, PodWants? wants, Working working)
    {
        Snapshot snapshot = working.Snapshot;
        List<int> siteColumns = [];
        bool any = wants is { Whole: true } or { Numa: not NumaPolicy.Any }, headroom = snapshot.AnyHeadroom && wants?.Headroom != true;
        for (int r = ResourceNames.Pods + 1; r < full.Length; r++)
        {
            if (full[r] <= 0)
                continue;
            if (working.Resources[r].StartsWith(WellKnown.SiteResourcePrefix, StringComparison.Ordinal))
                siteColumns.Add(r);
            any |= r == ResourceNames.Compute || snapshot.DeviceColumns.Contains(r)
                || (snapshot.AnyGpu && working.Resources[r] is WellKnown.GpuMilli or WellKnown.GpuMemory);
        }
        if (!any && !headroom && siteColumns.Count == 0)
            return (null, full);
        siteColumns.Sort((a, b) => a == b ? 0 : working.Resources.Precedes(a, b) ? -1 : 1);
        long[] requests = [.. full];
        foreach (int column in siteColumns)
            requests[column] = 0;
        requests[ResourceNames.Compute] = 0;
        return (new SpecialNeeds(working, full, wants, siteColumns, headroom), requests);
    }

    /// <summary>What a pod takes of a row.</summary>
    public long[] DemandAt(int row) => _working.Snapshot.DemandOf(_full, Whole, row);

    /// <summary>The parts that a pod would be given on a row; null when it asks for none or there are none.</summary>
    public PartsClaim? Choose(int row, Func<PodRow, bool>? gone = null) =>
        NeedAt(row) is { } need && _working.Snapshot.Parts[row] is { } parts ? parts.Choose(need, _working.UseOf(row, gone)) : null;

    /// <summary>
    /// Why a row will not do, or null; with pods thought away, whose amounts are <paramref name="freed"/>, and with so many pods expected for which the pod may stand.
    /// </summary>
    public string? Reason(int row, Func<PodRow, bool>? gone = null, long[]? freed = null, long expected = 0)
    {
        if (Whole && _working.RequestedOf(ResourceNames.Pods, row) - At(freed, ResourceNames.Pods) > expected)
            return NotEmpty;
        if (NeedAt(row) is { } need)
        {
            NodeParts? parts = _working.Snapshot.Parts[row];
            if (parts?.Choose(need, _working.UseOf(row, gone)) is null && (parts is not null || need.Numa != NumaPolicy.Any))
                return need.Numa == NumaPolicy.Any || parts?.Choose(need with { Devices = [] }, _working.UseOf(row, gone)) is not null ? Devices : Numa;
        }
        return IsSiteWide ? SiteReason(row, freed) : null;
    }

    // On a node that tells no devices one by one, amounts are all there is; a whole node has all its parts.
    private PartsNeed? NeedAt(int row) => Whole ? null : PartsByRow ? PartsNeed.Of(DemandAt(row), _wants, _working.Resources, _working.Snapshot.DeviceColumns) : Parts;

    private string? SiteReason(int row, long[]? freed)
    {
        int site = _sites?[row] ?? 0;
        SitePool? pool = site == 0 ? null : _working.Snapshot.Sites.GetValueOrDefault(_sites!.NameOf(site));
        if (pool is null && _siteColumns.Count == 0)
            return null;
        (long[] used, long[] free) = site == 0 ? ([], []) : _working.SiteTotals(site, _sites!);
        foreach (int column in _siteColumns)
            if (SitePool.At(used, column) - At(freed, column) + _full[column] > SitePool.At(pool?.Resources ?? [], column))
                return $"Insufficient {_working.Resources[column]}";
        if (!_headroom || pool is null)
            return null;
        long[] demand = DemandAt(row);
        for (int r = 0; r < pool.Headroom.Length && r < demand.Length; r++)
            if (pool.Headroom[r] > 0 && demand[r] > 0 && SitePool.At(free, r) + Freed(r, row, freed) - demand[r] < pool.Headroom[r])
                return Headroom;
        return null;
    }

    // What a node has less than nothing of, after promises, comes free first.
    private long Freed(int column, int row, long[]? freed)
    {
        long left = _working.AllocatableOf(column, row) - _working.RequestedOf(column, row);
        return freed is null || !_working.IsOpen(row) ? 0 : Math.Max(0, left + At(freed, column)) - Math.Max(0, left);
    }

    private static long At(long[]? amounts, int column) => amounts is not null && column < amounts.Length ? amounts[column] : 0;
}
