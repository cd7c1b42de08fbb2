using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Offline;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Capacities;

/// <summary>
/// Answers about a flavour over the fleet as it is: how many can still be sold where, how much of the free capacity is
/// fragments for it, what blocks more, which nodes and pods strand most, and what migrations would add. Reads a snapshot and
/// changes nothing.
/// </summary>
public sealed class FleetCapacity
{
    private readonly Snapshot _fleet;
    private readonly Flavour _flavour;
    private readonly string? _region, _site;
    private readonly string[] _resources;
    private readonly int[] _columns;
    private readonly long[] _need;
    private readonly Room[] _rooms;
    private readonly bool _whole;

    /// <summary>Looks at the nodes of a region and site, or of all with null.</summary>
    public FleetCapacity(Snapshot fleet, Flavour flavour, string? region = null, string? site = null)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        ArgumentNullException.ThrowIfNull(flavour);
        (_fleet, _flavour, _region, _site) = (fleet, flavour, region, site);
        ResourceNames names = fleet.Resources.Copy();
        (int Column, long Need)[] needs = flavour.Needs(names);
        _columns = Array.ConvertAll(needs, n => n.Column);
        _need = Array.ConvertAll(needs, n => n.Need);
        _resources = Array.ConvertAll(_columns, c => names[c]);
        long[]? exact = Exact(out _whole, out string?[]? held);
        var rooms = new List<Room>();
        for (int row = 0; row < fleet.Rows; row++)
        {
            if (fleet.Nodes[row] is not { } node)
                continue;
            string itsRegion = node.Labels.GetValueOrDefault(WellKnown.RegionLabel, ""), itsSite = node.Labels.GetValueOrDefault(WellKnown.ZoneLabel, "");
            if ((region is not null && itsRegion != region) || (site is not null && itsSite != site))
                continue;
            string? closed = ClosedFor(fleet.Gates[row]!) ?? (flavour.Suits(node.Labels) ? null : "labels that the flavour does not suit");
            long[] free = Array.ConvertAll(_columns, c => LeftOf(fleet, c, row));
            rooms.Add(new Room(itsRegion, itsSite, node.Name, row, free, exact?[row] ?? CapacityAnswer.Units(free, _need, -1), held?[row], ServicesOf(row), closed));
        }
        // A region and a site are then a run of rooms.
        rooms.Sort(static (a, b) => string.CompareOrdinal(a.Region, b.Region) is not 0 and int region ? region : string.CompareOrdinal(a.Site, b.Site) is not 0 and int site ? site : string.CompareOrdinal(a.Name, b.Name));
        _rooms = [.. rooms];
    }

    /// <summary>Everything in one.</summary>
    public CapacityAnswer Total()
    {
        var answer = new CapacityAnswer("", "", _resources, _need, _whole) { To = _rooms.Length };
        foreach (Room room in _rooms)
            Count(answer, room);
        return answer;
    }

    /// <summary>Region by region, in order of their names.</summary>
    public IReadOnlyList<CapacityAnswer> Regions() => By(sites: false);

    /// <summary>Site by site, in order of region and name.</summary>
    public IReadOnlyList<CapacityAnswer> Sites() => By(sites: true);

    /// <summary>The nodes of an answer that strand most of its scarcest resource, most first.</summary>
    public IReadOnlyList<StrandingNode> TopNodes(CapacityAnswer answer, int most)
    {
        ArgumentNullException.ThrowIfNull(answer);
        int scarcest = answer.Scarcest;
        long all = answer.StrandedOf(scarcest);
        List<(Room Room, long Stranded)> top = Top(answer, most);
        return top.ConvertAll(t => new StrandingNode(t.Room.Name, t.Room.Site, t.Stranded, _resources[ShortOf(t.Room)], t.Stranded / (double)all));
    }

    /// <summary>Pods on those nodes without which more would fit there, those that block most first and of equals the smallest.</summary>
    public IReadOnlyList<StrandingPod> TopPods(CapacityAnswer answer, int most)
    {
        ArgumentNullException.ThrowIfNull(answer);
        var pods = new List<(StrandingPod Pod, long Size)>();
        foreach ((Room room, _) in Top(answer, most))
        {
            long units = CapacityAnswer.Units(room.Free, _need, -1);
            int lacking = ShortOf(room);
            using RowRoom? exact = room.Units == units ? null : Filled(room);
            foreach (PodRow pod in _fleet.PodsAt[room.Row] ?? [])
            {
                var without = new long[_need.Length];
                for (int r = 0; r < without.Length; r++)
                    without[r] = room.Free[r] + (_columns[r] < pod.Requests.Length ? pod.Requests[_columns[r]] : 0);
                long blocks = exact is null ? CapacityAnswer.Units(without, _need, -1) - units : exact.FitsWithout(room.Row, pod) ? 1 : 0;
                if (blocks > 0)
                    pods.Add((new StrandingPod(pod.Pod.Namespace, pod.Pod.Name, room.Name, blocks), without[lacking] - room.Free[lacking]));
            }
        }
        pods.Sort(static (a, b) => a.Pod.Blocks != b.Pod.Blocks ? b.Pod.Blocks.CompareTo(a.Pod.Blocks) : a.Size != b.Size ? a.Size.CompareTo(b.Size)
            : string.CompareOrdinal(a.Pod.Namespace + "/" + a.Pod.Name, b.Pod.Namespace + "/" + b.Pod.Name));
        return pods.GetRange(0, Math.Min(most, pods.Count)).ConvertAll(p => p.Pod);
    }

    /// <summary>
    /// How many more instances could be sold after so many moves of running pods to other nodes of their region: at least this
    /// many, by a plan that can be carried out.
    /// </summary>
    public long GainOf(int migrations, double seconds = 1) => PlanOf(migrations, seconds, 400, TimeProvider.System).Effects[0] is var effect ? effect.After - effect.Before : 0;

    /// <summary>The plan behind <see cref="GainOf"/>, found within so many seconds and rounds of search.</summary>
    public FleetMovePlan PlanOf(int migrations, double seconds, int effort, TimeProvider time) =>
        FleetDefragmenter.Plan(_fleet, new FleetGoal([(_flavour, 1)], migrations) { Region = _region, Site = _site, Seconds = seconds, Effort = effort }, time);

    /// <summary>Why a node takes no new work, or null.</summary>
    internal static string? ClosedFor(NodeGate gate)
    {
        foreach (Taint taint in gate.Taints)
            if (taint.Effect is "NoSchedule" or "NoExecute")
                return taint.Key switch
                {
                    "node.kubernetes.io/not-ready" => "not ready",
                    "node.kubernetes.io/unreachable" => "out of reach",
                    "node.kubernetes.io/unschedulable" => "cordoned",
                    _ => $"taint {taint.Key}{(string.IsNullOrEmpty(taint.Value) ? "" : "=" + taint.Value)}:{taint.Effect}",
                };
        return gate.Unschedulable ? "cordoned" : null;
    }

    internal static long FreeOf(Snapshot fleet, int column, int row) =>
        (column < fleet.Allocatable.Count ? fleet.Allocatable[column][row] : 0) - (column < fleet.Requested.Count ? fleet.Requested[column][row] : 0);

    /// <summary>What is free of a column on a row: of GPUs what each has left, of normalised cores what the free cores are worth.</summary>
    private static long LeftOf(Snapshot fleet, int column, int row)
    {
        if (column == ResourceNames.Compute)
            return fleet.ComputeOf(FreeOf(fleet, ResourceNames.Cpu, row), row);
        string name = column < fleet.Resources.Count ? fleet.Resources[column] : "";
        bool milli = name == WellKnown.GpuMilli, memory = name == WellKnown.GpuMemory;
        if ((!milli && !memory && name != WellKnown.Gpu) || fleet.Parts[row] is not { } parts)
            return FreeOf(fleet, column, row);
        return parts.GpuLeft(fleet.Uses[row] ?? parts.Empty(), milli, memory);
    }

    // Units by row and what else than amounts ends them, in order of sites, for what they have as a whole; null when sums say it all.
    private long[]? Exact(out bool whole, out string?[]? held)
    {
        using var room = new RowRoom(_fleet, _flavour.Pod);
        whole = room.IsWhole;
        held = null;
        if (room.IsSum)
            return null;
        var units = new long[_fleet.Rows];
        held = new string?[_fleet.Rows];
        for (int k = 0; k < room.Candidates; k++)
            units[room.RowAt(k)] = room.Count(k, int.MaxValue);
        for (int k = 0; k < room.Candidates; k++)
            held[room.RowAt(k)] = room.Reason(room.RowAt(k));
        return units;
    }

    // A node's room with as many in it as it sells.
    private RowRoom Filled(Room node)
    {
        JsonObject pod = _flavour.Pod.ToNode();
        pod["spec"]!["nodeName"] = node.Name;
        var room = new RowRoom(_fleet, KubeObject.FromNode(pod));
        if (room.Candidates > 0)
            room.Count(0, int.MaxValue);
        return room;
    }

    private void Count(CapacityAnswer answer, Room room)
    {
        if (room.Closed is null)
            answer.Add(room.Free, room.Units, room.Held);
        else
            answer.Close(room.Closed, room.Free);
        for (int r = 0; r < _columns.Length && room.Services is not null; r++)
            answer.AddService(r, room.Services[r]);
    }

    // What Atoll's own services take of a row; null when there are none.
    private long[]? ServicesOf(int row)
    {
        long[]? services = null;
        foreach (PodRow pod in _fleet.PodsAt[row] ?? [])
            if (pod.Group.Labels.ContainsKey(WellKnown.ServiceLabel))
            {
                services ??= new long[_columns.Length];
                for (int r = 0; r < _columns.Length; r++)
                    services[r] += _columns[r] < pod.Requests.Length ? pod.Requests[_columns[r]] : 0;
            }
        return services;
    }

    private List<CapacityAnswer> By(bool sites)
    {
        var answers = new List<CapacityAnswer>();
        for (int i = 0; i < _rooms.Length; i++)
        {
            Room room = _rooms[i];
            if (i == 0 || room.Region != _rooms[i - 1].Region || (sites && room.Site != _rooms[i - 1].Site))
                answers.Add(new CapacityAnswer(room.Region, sites ? room.Site : "", _resources, _need, _whole) { From = i });
            Count(answers[^1], room);
            answers[^1].To = i + 1;
        }
        return answers;
    }

    private List<(Room Room, long Stranded)> Top(CapacityAnswer answer, int most)
    {
        int scarcest = answer.Scarcest;
        var top = new List<(Room Room, long Stranded)>(most + 1);
        for (int i = answer.From; i < answer.To; i++)
        {
            Room room = _rooms[i];
            long stranded = _whole && room.Units > 0 ? 0 : Math.Max(0, room.Free[scarcest]) - room.Units * _need[scarcest];
            if (room.Closed is not null || stranded <= 0 || (top.Count == most && stranded <= top[^1].Stranded))
                continue;
            int at = top.FindIndex(t => t.Stranded < stranded);
            top.Insert(at < 0 ? top.Count : at, (room, stranded));
            if (top.Count > most)
                top.RemoveAt(most);
        }
        return top;
    }

    /// <summary>The resource of which the least share of one more instance is left.</summary>
    private int ShortOf(Room room)
    {
        int lacking = 0;
        double least = double.MaxValue;
        for (int r = 0; r < _need.Length; r++)
            if ((room.Free[r] - room.Units * _need[r]) / (double)_need[r] is var left && left < least)
                (lacking, least) = (r, left);
        return lacking;
    }

    private sealed record Room(string Region, string Site, string Name, int Row, long[] Free, long Units, string? Held, long[]? Services, string? Closed);
}
