using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Plans moves of running pods that make more of some flavours saleable, over the fleet as it is: pure, and the same plan each time
/// on a machine that is quick enough. Each move has room on its new node while the pod is still on its old one, so the order
/// can be carried out by making the replacement first; <c>FleetMoveChecker</c> proves it with plain code.
/// <para>What it deliberately does not move is in <see cref="Movable"/>. The search (<see cref="FleetSearch"/>) empties one node after
/// another far enough for one more instance, into room that no flavour can use, and then takes parts of the plan back and plans
/// them anew for as long as it may.</para>
/// </summary>
public static class FleetDefragmenter
{
    /// <summary>Told of every plan and the fleet it is for: tests prove them all. Null outside of tests.</summary>
    internal static Action<Snapshot, FleetMovePlan>? Made { get; set; }

    private const long UnknownImageBytes = 256L << 20;

    /// <summary>Plans; the answer is always legal in its order, and may be empty.</summary>
    public static FleetMovePlan Plan(Snapshot fleet, FleetGoal goal, TimeProvider time)
    {
        ArgumentNullException.ThrowIfNull(fleet);
        ArgumentNullException.ThrowIfNull(goal);
        ArgumentNullException.ThrowIfNull(time);
        ArgumentOutOfRangeException.ThrowIfNegative(goal.MostMoves);
        long begun = time.GetTimestamp();
        var model = new FleetModel(fleet, goal);
        var search = new FleetSearch(model, goal, new SeededRandom(goal.Seed));
        search.Run(() => goal.Seconds <= 0 ? 1 : time.GetElapsedTime(begun).TotalSeconds / goal.Seconds);
        var moves = ImmutableArray.CreateBuilder<FleetMove>();
        var pulled = new HashSet<(int, string)>();
        foreach ((MovablePod pod, int to) in search.Best)
            moves.Add(new FleetMove(goal.Now?.Invoke(pod.Row.Uid) ?? pod.Row.Pod, model.NameOf(pod.Node), model.NameOf(to), model.SiteOf(to), BytesOf(fleet, pod.Row, model.Rows[to], pulled)));
        // The search goes by amounts of nodes; what is promised is counted as the scheduler would place.
        Snapshot moved = fleet.Fork();
        foreach (FleetMove move in moves)
        {
            moved.RemovePod(move.Pod.Uid);
            moved.UpsertPod(move.Pod, move.To);
        }
        var effects = ImmutableArray.CreateBuilder<FleetEffect>();
        long gain = 0;
        for (int f = 0; f < model.Flavours; f++)
        {
            (Flavour flavour, int weight) = goal.Flavours[f];
            FleetCapacity now = Count(fleet);
            CapacityAnswer before = now.Total(), after = moves.Count == 0 ? before : Count(moved).Total();
            gain += weight * (after.Sellable - before.Sellable);
            long bound = (goal.WithinSite ? now.Sites() : now.Regions()).Sum(part => part.Pooled);
            effects.Add(new FleetEffect(flavour.Name, before.Sellable, after.Sellable, bound, before.Fragmentation, after.Fragmentation));

            FleetCapacity Count(Snapshot state) => new(state, flavour, goal.Region, goal.Site);
        }
        FleetMovePlan plan = gain > 0 ? new(moves.ToImmutable(), effects.ToImmutable())
            : new([], [.. effects.Select(e => e with { After = e.Before, RateAfter = e.RateBefore })]);
        Made?.Invoke(fleet, plan);
        return plan with { Staying = model.Staying };
    }

    private static long BytesOf(Snapshot fleet, PodRow pod, int row, HashSet<(int, string)> pulled)
    {
        long bytes = 0;
        PodSpec spec = pod.Pod.View(ApiJson.Default.Pod).Spec;
        foreach (Container container in spec.Containers.Concat(spec.InitContainers ?? []))
        {
            string image = container.Image ?? "";
            image = image.LastIndexOf(':') <= image.LastIndexOf('/') ? image + ":latest" : image;
            if (fleet.Nodes[row]!.Images.ContainsKey(image) || !pulled.Add((row, image)))
                continue;
            bytes += fleet.Images.TryGetValue(image, out ImageState known) && known.Bytes > 0 ? known.Bytes : UnknownImageBytes;
        }
        return bytes;
    }
}
