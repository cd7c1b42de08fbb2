using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Capacities;

/// <summary>
/// Answers about a flavour over the fleet as it is: how many can still be sold where, how much of the free capacity is
/// fragments for it, what blocks more, and what migrations would add. Reads a snapshot and changes nothing.
/// </summary>
public sealed class FleetCapacity
{
    private const string RegionLabel = "topology.kubernetes.io/region", ZoneLabel = "topology.kubernetes.io/zone";

    private readonly List<Room> _rooms = [];
    private readonly List<(string Region, string Site)> _closed = [];
    private readonly string[] _resources;
    private readonly long[] _need;

    /// <summary>Looks at the nodes of a region and site, or of all with null.</summary>
    public FleetCapacity(Snapshot fleet, Flavour flavour, string? region = null, string? site = null)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        ArgumentNullException.ThrowIfNull(flavour);
        var spec = new PodSpec { Containers = [new Container { Name = "c", Resources = new ResourceRequirements { Requests = new Dictionary<string, string>(flavour.Requests) } }] };
        ResourceNames names = fleet.Resources.Copy();
        long[] all = names.RequestsOf(spec);
        int[] columns = [.. Enumerable.Range(0, all.Length).Where(r => all[r] > 0)];
        _resources = [.. columns.Select(r => names[r])];
        _need = [.. columns.Select(r => all[r])];
        for (int row = 0; row < fleet.Rows; row++)
        {
            if (fleet.Nodes[row] is not { } node)
                continue;
            string itsRegion = node.Labels.GetValueOrDefault(RegionLabel, ""), itsSite = node.Labels.GetValueOrDefault(ZoneLabel, "");
            if ((region is not null && itsRegion != region) || (site is not null && itsSite != site))
                continue;
            NodeGate gate = fleet.Gates[row]!;
            if (gate.Unschedulable || Array.Exists(gate.Taints, t => t.Effect is "NoSchedule" or "NoExecute"))
                _closed.Add((itsRegion, itsSite));
            else
                _rooms.Add(new Room(itsRegion, itsSite, [.. columns.Select(r => Free(fleet, r, row))], Movables(fleet.PodsAt[row], columns)));
        }
    }

    /// <summary>Everything in one.</summary>
    public CapacityAnswer Total() => By((_, _) => ("", "")).SingleOrDefault() ?? new CapacityAnswer("", "", _resources).Done();

    /// <summary>Region by region, in order of their names.</summary>
    public IReadOnlyList<CapacityAnswer> Regions() => By((region, _) => (region, ""));

    /// <summary>Site by site, in order of region and name.</summary>
    public IReadOnlyList<CapacityAnswer> Sites() => By((region, site) => (region, site));

    /// <summary>
    /// How many more instances could be sold after so many migrations of running pods to other nodes of their region: at least
    /// this many, for the search is greedy (the node that needs the fewest moves for one more instance comes first). Pods that
    /// are bound to where they are (no controller, a DaemonSet's, a selector, affinity, spread or host port) are not moved.
    /// </summary>
    public long GainOf(int migrations)
    {
        List<Room> rooms = _rooms.ConvertAll(r => r.Copy());
        long gain = 0;
        while (migrations > 0)
        {
            List<(Room From, Movable Pod, Room To)>? best = null;
            foreach (Room room in rooms)
                if (MovesForOneMore(rooms, room, best is null ? migrations : Math.Min(migrations, best.Count - 1)) is { } moves)
                    best = moves;
            if (best is null)
                break;
            foreach ((Room from, Movable pod, Room to) in best)
                Move(from, pod, to);
            migrations -= best.Count;
            gain++;
        }
        return gain;
    }

    private List<(Room From, Movable Pod, Room To)>? MovesForOneMore(List<Room> rooms, Room room, int limit)
    {
        long units = CapacityAnswer.Units(room.Free, _need);
        var moves = new List<(Room, Movable, Room)>();
        while (moves.Count < limit && CapacityAnswer.Units(room.Free, _need) == units)
        {
            (Movable Pod, Room To)? step = null;
            double most = 0;
            foreach (Movable pod in room.Pods)
                if (Relief(room, pod, units + 1) is var relief && relief > most && Target(rooms, room, pod) is { } to)
                    (step, most) = ((pod, to), relief);
            if (step is not { } chosen)
                break;
            Move(room, chosen.Pod, chosen.To);
            moves.Add((room, chosen.Pod, chosen.To));
        }
        bool enough = moves.Count > 0 && CapacityAnswer.Units(room.Free, _need) > units;
        for (int i = moves.Count - 1; i >= 0; i--)
            Move(moves[i].Item3, moves[i].Item2, moves[i].Item1);
        return enough ? moves : null;
    }

    /// <summary>How much of what is missing for so many instances a pod would give back, in shares of the flavour.</summary>
    private double Relief(Room room, Movable pod, long units)
    {
        double relief = 0;
        for (int r = 0; r < _need.Length; r++)
            if (units * _need[r] - room.Free[r] is var missing && missing > 0)
                relief += Math.Min(missing, pod.Requests[r]) / (double)_need[r];
        return relief;
    }

    /// <summary>A node of the region that takes the pod out of its fragments, selling no instance less.</summary>
    private Room? Target(List<Room> rooms, Room from, Movable pod)
    {
        foreach (Room room in rooms)
        {
            if (room == from || room.Region != from.Region)
                continue;
            long units = CapacityAnswer.Units(room.Free, _need);
            bool fits = true;
            for (int r = 0; r < _need.Length && fits; r++)
                fits = room.Free[r] - pod.Requests[r] >= units * _need[r];
            // What the flavour does not ask for, such as a device, the pod may: it then stays.
            if (fits && !pod.HasMore)
                return room;
        }
        return null;
    }

    private static void Move(Room from, Movable pod, Room to)
    {
        for (int r = 0; r < from.Free.Length; r++)
        {
            from.Free[r] += pod.Requests[r];
            to.Free[r] -= pod.Requests[r];
        }
        from.Pods.Remove(pod);
        to.Pods.Add(pod);
    }

    private List<CapacityAnswer> By(Func<string, string, (string Region, string Site)> key)
    {
        var answers = new SortedDictionary<(string, string), CapacityAnswer>();
        foreach (Room room in _rooms)
            Of(room.Region, room.Site).Add(room.Free, _need);
        foreach ((string region, string site) in _closed)
            Of(region, site).Close();
        return [.. answers.Values.Select(a => a.Done())];

        CapacityAnswer Of(string region, string site)
        {
            (string Region, string Site) at = key(region, site);
            if (!answers.TryGetValue(at, out CapacityAnswer? answer))
                answers.Add(at, answer = new CapacityAnswer(at.Region, at.Site, _resources));
            return answer;
        }
    }

    private static long Free(Snapshot fleet, int column, int row) =>
        (column < fleet.Allocatable.Count ? fleet.Allocatable[column][row] : 0) - (column < fleet.Requested.Count ? fleet.Requested[column][row] : 0);

    private static List<Movable> Movables(PodRow[]? pods, int[] columns)
    {
        var movables = new List<Movable>();
        foreach (PodRow row in pods ?? [])
        {
            if (row.Nominated || row.Pod.Metadata.OwnerReferences?.Find(o => o.Controller == true) is not { Kind: "ReplicaSet" or "Job" })
                continue;
            PodSpec spec = row.Pod.View(ApiJson.Default.Pod).Spec;
            if (spec.NodeSelector is { Count: > 0 } || spec.Affinity is not null || spec.TopologySpreadConstraints is { Count: > 0 } || spec.HostNetwork == true
                || spec.Containers.Exists(c => c.Ports?.Exists(p => p.HostPort > 0) == true))
                continue;
            bool more = false;
            for (int r = 0; r < row.Requests.Length; r++)
                more |= row.Requests[r] > 0 && Array.IndexOf(columns, r) < 0;
            movables.Add(new Movable([.. columns.Select(r => r < row.Requests.Length ? row.Requests[r] : 0)], more));
        }
        return movables;
    }

    private sealed record Movable(long[] Requests, bool HasMore);

    private sealed class Room(string region, string site, long[] free, List<Movable> pods)
    {
        public string Region { get; } = region;

        public string Site { get; } = site;

        public long[] Free { get; } = free;

        public List<Movable> Pods { get; } = pods;

        public Room Copy() => new(Region, Site, [.. Free], [.. Pods]);
    }
}
