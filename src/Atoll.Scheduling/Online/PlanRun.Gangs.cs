using System.Globalization;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Pods one by one, and pod groups as a whole. A group is tried in the order given; then, where that is not enough, its largest
/// members first; then with lesser pods displaced. What was tried in vain is taken back.
/// </summary>
internal sealed partial class PlanRun
{
    /// <summary>Plans all pods.</summary>
    public Plan PlaceAll(IReadOnlyList<KubeObject> pending)
    {
        var placements = new Placement?[pending.Count];
        Dictionary<string, List<int>>? gangs = GangsOf(pending);
        var order = gangs is null ? null : new List<int>(pending.Count);
        for (int i = 0; i < placements.Length; i++)
        {
            if (placements[i] is not null)
                continue;
            if (gangs is not null && Snapshot.GangNamed(pending[i]) is { } key)
                PlaceGang(key, gangs[key], pending, placements, order!);
            else
            {
                placements[i] = Place(pending[i]);
                order?.Add(i);
            }
        }
        return new Plan(placements!) { Order = order };
    }

    private static Dictionary<string, List<int>>? GangsOf(IReadOnlyList<KubeObject> pending)
    {
        Dictionary<string, List<int>>? gangs = null;
        for (int i = 0; i < pending.Count; i++)
            if (Snapshot.GangNamed(pending[i]) is { } key)
            {
                gangs ??= new Dictionary<string, List<int>>(StringComparer.Ordinal);
                if (!gangs.TryGetValue(key, out List<int>? members))
                    gangs.Add(key, members = []);
                members.Add(i);
            }
        return gangs;
    }

    private void PlaceGang(string key, List<int> members, IReadOnlyList<KubeObject> pending, Placement?[] placements, List<int> order)
    {
        int bound = _snapshot.GangMembers.GetValueOrDefault(key);
        string? wrong = !_snapshot.Gangs.TryGetValue(key, out int least)
            ? $"pod group {key} does not exist: create it, or take the label {Atoll.Api.Core.PodGroup.Label} off the pod."
            : bound + members.Count < least ? string.Create(CultureInfo.InvariantCulture, $"pod group {key} has {bound + members.Count} of the {least} members that it needs.") : null;
        if (wrong is not null)
        {
            RefuseGang(wrong, ClusterEvents.Gangs);
            return;
        }
        int need = least - bound;
        GangTry best = default;
        if (need > 0 && !PlaceTogether(key, members, need, pending, placements, order, out best))
        {
            Placement first = best.Placements.Find(p => p.Node is null)!;
            string message = string.Create(CultureInfo.InvariantCulture, $"{first.Message} pod group {key}: {(bound > 0 ? $"{bound} are bound, and " : "")}{best.Fits} of the {need}{(bound > 0 ? " more" : "")} members that it needs fit.");
            ClusterEvents help = ClusterEvents.Gangs;
            foreach (Placement placement in best.Placements)
                help |= placement.HelpedBy;
            RefuseGang(message, help);
            return;
        }
        // The group has what it needs: each further member stands by itself, but none starts before those that wait for victims.
        foreach (int i in members)
            if (placements[i] is null)
            {
                Placement further = Place(pending[i]);
                placements[i] = best.Promised > 0 && further.Node is not null ? Waiting(key, further) : further;
                order.Add(i);
            }

        void RefuseGang(string message, ClusterEvents help)
        {
            foreach (int i in members)
            {
                Release(pending[i]);
                placements[i] = new Placement(pending[i], null, message) { HelpedBy = help };
            }
            order.AddRange(members);
        }
    }

    private bool PlaceTogether(string key, List<int> members, int need, IReadOnlyList<KubeObject> pending, Placement?[] placements, List<int> order, out GangTry best)
    {
        best = default;
        int decided = _preemption.Mark();
        _working.Mark();
        for (int attempt = 0; attempt < 3; attempt++)
        {
            GangTry now = Try(attempt == 0 ? members : BySize(members, pending), pending, preempt: attempt == 2);
            if (best.Placements is null || now.Fits > best.Fits)
                best = now;
            if (now.Fits + now.Promised >= need)
            {
                best = now;
                _working.Keep();
                Accept(key, now, placements, order);
                return true;
            }
            _working.Undo();
            _preemption.Undo(decided);
        }
        _working.Keep();
        return false;
    }

    private GangTry Try(List<int> members, IReadOnlyList<KubeObject> pending, bool preempt)
    {
        var placed = new List<Placement>(members.Count);
        int fits = 0, promised = 0;
        foreach (int i in members)
        {
            Placement placement = Place(pending[i], preempt);
            placed.Add(placement);
            fits += placement.Node is null ? 0 : 1;
            promised += placement.Nominated is null ? 0 : 1;
        }
        return new GangTry(members, placed, fits, promised);
    }

    // While some wait for victims to go, the others are promised the nodes that they fit on, so that all start together.
    private static void Accept(string key, in GangTry made, Placement?[] placements, List<int> order)
    {
        for (int i = 0; i < made.Members.Count; i++)
        {
            Placement placement = made.Placements[i];
            if (placement.Node is null && placement.Nominated is null)
                continue;
            placements[made.Members[i]] = placement.Node is null || made.Promised == 0
                ? placement with { Gang = key }
                : Waiting(key, placement);
            order.Add(made.Members[i]);
        }
    }

    private static Placement Waiting(string key, Placement placed) =>
        new(placed.Pod, null, $"pod group {key} waits for the victims of its other members to go.") { Gang = key, Nominated = placed.Node, Reservation = placed.Reservation, Allocation = placed.Allocation, Volumes = placed.Volumes, HelpedBy = ClusterEvents.PodGone | ClusterEvents.NodeAdded | ClusterEvents.Gangs };

    private List<int> BySize(List<int> members, IReadOnlyList<KubeObject> pending)
    {
        var sizes = new Dictionary<int, long[]>(members.Count);
        foreach (int i in members)
            sizes.Add(i, _working.Resources.RequestsOf(pending[i].View(Api.ApiJson.Default.Pod).Spec));
        var sorted = new List<int>(members);
        sorted.Sort((a, b) =>
        {
            int larger = sizes[b][ResourceNames.Cpu].CompareTo(sizes[a][ResourceNames.Cpu]);
            larger = larger != 0 ? larger : sizes[b][ResourceNames.Memory].CompareTo(sizes[a][ResourceNames.Memory]);
            return larger != 0 ? larger : a.CompareTo(b);
        });
        return sorted;
    }

    private readonly record struct GangTry(List<int> Members, List<Placement> Placements, int Fits, int Promised);
}
