using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Jobs;

/// <summary>The next status of a Job, and the pods whose finalizer may go once it is written.</summary>
internal sealed record JobStatusPlan(JsonObject Status, List<PodState> Release, bool IsFinal)
{
    /// <summary>Most pods noted in one write.</summary>
    private const int Batch = 500;

    /// <summary>
    /// Raises the counts by the noted pods whose finalizer is gone, notes those that ended since, and ends the Job when
    /// <paramref name="finish"/> says so and every pod has ended and is counted; until then the status says how it will end.
    /// </summary>
    public static JobStatusPlan Make(JobView view, Condition? finish)
    {
        var tracked = view.Pods.Where(JobView.IsTracked).ToDictionary(p => p.Object.Uid, StringComparer.Ordinal);
        (List<string> succeededLeft, int succeededNow) = Flush(view.Status.UncountedTerminatedPods?.Succeeded, tracked);
        (List<string> failedLeft, int failedNow) = Flush(view.Status.UncountedTerminatedPods?.Failed, tracked);
        List<PodState> release = [.. tracked.Values.Where(view.IsNoted)];
        SortedSet<int> indexes = view.CompletedIndexes;
        foreach (PodState pod in view.NewlySucceeded.Take(Batch))
        {
            release.Add(pod);
            if (!view.IsIndexed)
                succeededLeft.Add(pod.Object.Uid);
        }
        foreach (PodState pod in view.NewlyFailed.Take(Batch))
        {
            release.Add(pod);
            if (!JobFailurePolicy.Ignores(view.Job, pod))
                failedLeft.Add(pod.Object.Uid);
        }
        bool final = finish is not null && release.Count == 0 && succeededLeft.Count == 0 && failedLeft.Count == 0 && view.Active.Count == 0 && view.Terminating.Count == 0;
        List<Condition> conditions = Suspension(view, [.. view.Status.Conditions ?? []], finish is null);
        if (finish is not null)
            conditions = Conditions.With(conditions, Target(finish));
        if (final)
            conditions = Conditions.With(conditions, finish!);
        var uncounted = new JsonObject();
        if (succeededLeft.Count > 0)
            uncounted["succeeded"] = Array(succeededLeft);
        if (failedLeft.Count > 0)
            uncounted["failed"] = Array(failedLeft);
        List<PodState> active = view.Active;
        return new JobStatusPlan(new JsonObject
        {
            ["startTime"] = StartTime(view) is { } start ? KubeTime.Format(start) : null,
            ["completionTime"] = final && finish!.Type == "Complete" ? KubeTime.Format(view.Now) : null,
            ["active"] = Conditions.Count(active.Count),
            ["ready"] = active.Count(p => p.IsReady),
            ["terminating"] = view.Terminating.Count,
            ["succeeded"] = Conditions.Count(view.IsIndexed ? indexes.Count : (view.Status.Succeeded ?? 0) + succeededNow),
            ["failed"] = Conditions.Count((view.Status.Failed ?? 0) + failedNow),
            ["completedIndexes"] = view.IsIndexed && indexes.Count > 0 ? IndexSet.Format(indexes) : null,
            ["uncountedTerminatedPods"] = uncounted,
            ["conditions"] = conditions.Count == 0 ? null : Conditions.ToJson(conditions),
        }, release, final);
    }

    private static (List<string> Left, int Counted) Flush(List<string>? noted, Dictionary<string, PodState> tracked)
    {
        List<string> left = [.. (noted ?? []).Where(tracked.ContainsKey)];
        return (left, (noted?.Count ?? 0) - left.Count);
    }

    private static DateTimeOffset? StartTime(JobView view) =>
        view.IsSuspended ? null : view.Status.StartTime is { } known && !Conditions.IsTrue(view.Status.Conditions, "Suspended") ? known : view.Now;

    private static List<Condition> Suspension(JobView view, List<Condition> conditions, bool goesOn)
    {
        bool shown = Conditions.IsTrue(conditions, "Suspended");
        if (!goesOn || shown == view.IsSuspended)
            return conditions;
        return Conditions.With(conditions, new Condition
        {
            Type = "Suspended",
            Status = view.IsSuspended ? "True" : "False",
            Reason = view.IsSuspended ? "JobSuspended" : "JobResumed",
            Message = view.IsSuspended ? "Job suspended" : "Job resumed",
            LastProbeTime = view.Now,
            LastTransitionTime = view.Now,
        });
    }

    private static Condition Target(Condition finish) => new()
    {
        Type = finish.Type == "Complete" ? "SuccessCriteriaMet" : "FailureTarget",
        Status = "True",
        Reason = finish.Reason,
        Message = finish.Message,
        LastProbeTime = finish.LastProbeTime,
        LastTransitionTime = finish.LastTransitionTime,
    };

    private static JsonArray Array(List<string> values)
    {
        var array = new JsonArray();
        foreach (string value in values)
            array.Add((JsonNode)value);
        return array;
    }
}
