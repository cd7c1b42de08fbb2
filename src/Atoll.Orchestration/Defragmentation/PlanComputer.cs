using System.Diagnostics;
using Atoll.Api.Core;
using Atoll.Orchestration.Capacities;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Offline;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Defragmentation;

/// <summary>Computes the moves of a plan over the fleet as it is, and what the fleet sells now.</summary>
internal sealed class PlanComputer(Cluster cluster, Func<Snapshot> fleetNow)
{
    /// <summary>Time for the search at most; building the problem and reading the fleet come on top, within a second.</summary>
    private const double Seconds = 3.5;

    private const int MostReasons = 5;

    /// <summary>Puts moves and effects into the status. The answer is why that cannot be done, or null.</summary>
    public string? Compute(DefragmentationPlanSpec spec, DefragmentationPlanStatus status)
    {
        if (Flavours(spec, out string? unknown) is not { } flavours)
            return unknown;
        long begun = cluster.Time.GetTimestamp();
        List<DefragmentationMove> kept = (status.Moves ?? []).FindAll(m => m.State is "Done" or "TakenBack");
        // What was taken back is not tried again, and what was moved stays.
        var settled = kept.Select(m => m.Uid).ToHashSet(StringComparer.Ordinal);
        foreach (DefragmentationMove move in kept)
            if (move.Replacement is not null && cluster.Pods.Get($"{move.Namespace}/{move.Replacement}") is { } replacement)
                settled.Add(replacement.Uid);
        var goal = new FleetGoal(flavours, Math.Max(0, (spec.Limits?.MaxMoves ?? 10) - kept.Count(m => m.State == "Done")))
        {
            Region = spec.Region,
            Site = spec.Site,
            WithinSite = spec.MoveWithin == "Site",
            DoNotMove = spec.DoNotMove,
            Fixed = settled,
            Now = cluster.Pods.ByUid,
            Seconds = Seconds,
        };
        FleetMovePlan plan = FleetDefragmenter.Plan(fleetNow(), goal, cluster.Time);
        int step = kept.Count == 0 ? 0 : kept.Max(m => m.Step);
        foreach (FleetMove move in plan.Moves)
            kept.Add(new DefragmentationMove { Step = ++step, Namespace = move.Pod.Namespace, Pod = move.Pod.Name, Uid = move.Pod.Uid, From = move.From, To = move.To, ToSite = move.ToSite, Bytes = move.Bytes, Restarts = move.Pod.Metadata.Controller()?.Kind == "ReplicaSet" ? null : true });
        bool first = status.Effects is null || !kept.Exists(m => m.State == "Done");
        status.Effects = [.. plan.Effects.Select(e => Effect(e, first ? null : status.Effects?.Find(k => k.Flavour == e.Flavour)))];
        status.Moves = kept;
        status.ComputedFor = PlanStatus.KeyOf(spec);
        status.ComputedAt = cluster.Now;
        status.ComputeMilliseconds = (int)cluster.Time.GetElapsedTime(begun).TotalMilliseconds;
        status.Revision = (status.Revision ?? 0) + 1;
        // It is told there for as long as the moves stand.
        status.Conditions = Conditions.With(status.Conditions, new Condition { Type = "Computed", Status = "True", Reason = "Computed", Message = Staying(plan), LastTransitionTime = cluster.Now });
        return null;
    }

    private static string Staying(FleetMovePlan plan)
    {
        if (plan.Staying.Length == 0)
            return "";
        int others = plan.Staying.Skip(MostReasons).Sum(s => s.Pods);
        return $"pods that stay: {string.Join(", ", plan.Staying.Take(MostReasons).Select(s => $"{s.Pods} ({s.Reason})"))}{(others > 0 ? $", {others} for other reasons" : "")}";
    }

    /// <summary>Puts into the status what the fleet sells now.</summary>
    public void Measure(DefragmentationPlanSpec spec, DefragmentationPlanStatus status)
    {
        if (Flavours(spec, out _) is not { } flavours || status.Effects is null)
            return;
        Snapshot fleet = fleetNow();
        foreach ((Flavour flavour, _) in flavours)
        {
            CapacityAnswer answer = new FleetCapacity(fleet, flavour, spec.Region, spec.Site).Total();
            if (status.Effects.Find(e => e.Flavour == flavour.Name) is { } effect)
                (effect.Reached, effect.FragmentationReached) = (answer.Sellable, Math.Round(answer.Fragmentation, 4));
        }
    }

    private static DefragmentationEffect Effect(FleetEffect effect, DefragmentationEffect? known) => new()
    {
        Flavour = effect.Flavour,
        Before = known?.Before ?? effect.Before,
        FragmentationBefore = known?.FragmentationBefore ?? Math.Round(effect.RateBefore, 4),
        Promised = effect.After,
        FragmentationPromised = Math.Round(effect.RateAfter, 4),
        Bound = effect.Bound,
        Reached = known?.Reached,
        FragmentationReached = known?.FragmentationReached,
    };

    private List<(Flavour Flavour, int Weight)>? Flavours(DefragmentationPlanSpec spec, out string? unknown)
    {
        unknown = null;
        var flavours = new List<(Flavour, int)>();
        if (spec.Flavours is not { Count: > 0 } asked)
        {
            foreach (Flavour flavour in FlavourTable.All(cluster))
                flavours.Add((flavour, 1));
            unknown = flavours.Count == 0 ? "there is no Flavour yet: create one, or name a size such as 4c8g in spec.flavours" : null;
            return flavours.Count == 0 ? null : flavours;
        }
        foreach (DefragmentationFlavour wanted in asked)
        {
            if (FlavourTable.Find(cluster, wanted.Name) is not { } flavour)
            {
                unknown = $"there is no Flavour {wanted.Name}, and it is no size such as 4c8g";
                return null;
            }
            flavours.Add((flavour, wanted.Weight ?? 1));
        }
        return flavours;
    }
}
