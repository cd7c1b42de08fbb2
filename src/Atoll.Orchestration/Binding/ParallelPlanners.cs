using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Binding;

/// <summary>
/// Plans a large batch by several planners at once, each over its share of the pods and all from the same moment. They know nothing
/// of each other: their plans are taken over one after the other, and a placement that no longer holds then is a conflict, and
/// planned again. Pods for which others matter beyond the room they take (affinity, spreading that must hold, groups) stay with
/// one planner. Which pod is planned by whom depends on the batch alone, so the plans do not depend on timing.
/// </summary>
internal static class ParallelPlanners
{
    /// <summary>Fewest pods for which another planner is worth its fork.</summary>
    internal const int LeastShare = 64;

    /// <summary>The plans, in the order in which they are to be taken over.</summary>
    public static async Task<IReadOnlyList<Plan>> PlanAsync(Snapshot snapshot, List<KubeObject> batch, PlanOptions options, int planners)
    {
        int shares = Math.Min(planners, batch.Count / LeastShare);
        if (shares < 2 || !snapshot.AreIndependent(batch) || batch.Exists(p => HoldsTogether(p, options)))
            return [Scheduler.Plan(snapshot, batch, options)];
        var plans = new Task<Plan>[shares];
        for (int i = 0; i < shares; i++)
        {
            // Each prefers other nodes among equals, so that they seldom want the same room.
            (Snapshot own, PlanOptions seeded) = (snapshot.Fork(), options with { Seed = options.Seed + i });
            List<KubeObject> share = batch.GetRange(batch.Count * i / shares, batch.Count * (i + 1) / shares - batch.Count * i / shares);
            plans[i] = Task.Run(() => Scheduler.Plan(own, share, seeded));
        }
        return await Task.WhenAll(plans).ConfigureAwait(false);
    }

    // A profile may give pods constraints that are not in their specs.
    private static bool HoldsTogether(KubeObject pod, PlanOptions options)
    {
        if (options.Profiles.Count == 0 || !options.Profiles.TryGetValue(pod.View(ApiJson.Default.Pod).Spec.SchedulerName ?? "", out SchedulingProfile? profile))
            return false;
        foreach (TopologySpreadConstraint constraint in profile.DefaultConstraints)
            if (constraint.WhenUnsatisfiable != "ScheduleAnyway")
                return true;
        return false;
    }
}
