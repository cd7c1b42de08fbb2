using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
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
            moves.Add(new FleetMove(pod.Row.Pod, model.NameOf(pod.Node), model.NameOf(to), model.SiteOf(to), BytesOf(fleet, pod.Row, model.Rows[to], pulled)));
        var effects = ImmutableArray.CreateBuilder<FleetEffect>();
        for (int f = 0; f < model.Flavours; f++)
            effects.Add(model.EffectOf(f, goal.Flavours[f].Flavour.Name, model.Free, search.FreeAfter));
        return new FleetMovePlan(moves.ToImmutable(), effects.ToImmutable());
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
