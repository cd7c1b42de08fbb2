using Atoll.Api.Core;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Jobs;

/// <summary>What to do about a Job's pods.</summary>
/// <param name="Finish">The condition that ends the Job, or null while it goes on.</param>
/// <param name="Create">Indexes of the pods to create; -1 for pods without an index.</param>
/// <param name="Drop">Pods that are not wanted any more: they go uncounted.</param>
/// <param name="Kill">Pods that end with the Job: they count as failed.</param>
/// <param name="After">When to look again without a change.</param>
internal sealed record JobPlan(Condition? Finish, List<int> Create, List<PodState> Drop, List<PodState> Kill, TimeSpan? After)
{
    /// <summary>First and longest pause after a pod failed; it doubles with each failure since the last success.</summary>
    internal static readonly TimeSpan FirstBackoff = TimeSpan.FromSeconds(10), LastBackoff = TimeSpan.FromMinutes(10);

    /// <summary>The next step (kubernetes.io, "Jobs").</summary>
    public static JobPlan Make(JobView view)
    {
        Condition? finish = Ending(view);
        if (finish is not null)
            return new JobPlan(finish, [], [], view.Active, null);
        if (view.Object.IsDeleting)
            return new JobPlan(null, [], [], [], null);
        if (view.IsSuspended)
            return new JobPlan(null, [], view.Active, [], null);
        TimeSpan? after = DeadlineIn(view);
        List<PodState> active = view.Active;
        int wanted = Wanted(view, active.Count);
        List<PodState> drop = Surplus(view, active, wanted);
        int missing = wanted - (active.Count - drop.Count) - (view.ReplacesOnlyFailed ? view.Terminating.Count : 0);
        List<int> create = [];
        if (missing > 0)
        {
            TimeSpan? pause = Backoff(view);
            if (pause is null)
                create = Missing(view, active, Math.Min(missing, PodBatch.Burst));
            else if (after is null || pause < after)
                after = pause;
        }
        return new JobPlan(null, create, drop, [], after);
    }

    private static Condition? Ending(JobView view)
    {
        // Once said, it is said: what ends with the Job must not change why it ended.
        if (view.Target is { } target)
            return Make(view, target.Type == "SuccessCriteriaMet" ? "Complete" : "Failed", target.Reason ?? "", target.Message ?? "");
        if (view.Job.Spec.PodFailurePolicy is not null)
            foreach (PodState pod in view.Pods)
                if (JobFailurePolicy.Fails(view.Job, pod) is { } why)
                    return Make(view, "Failed", "PodFailurePolicy", why);
        int limit = view.Job.Spec.BackoffLimit ?? 6;
        if (view.Failed > limit || RestartsExceed(view, limit))
            return Make(view, "Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit");
        bool complete = view.Completions is { } completions ? view.Succeeded >= completions : view.Succeeded > 0 && view.Active.Count == 0;
        if (complete && !(view.IsSuspended && view.Completions is null))
            return Make(view, "Complete", "CompletionsReached", "Reached expected number of succeeded pods");
        return !view.IsSuspended && DeadlineIn(view) is { } left && left <= TimeSpan.Zero
            ? Make(view, "Failed", "DeadlineExceeded", "Job was active longer than specified deadline")
            : null;
    }

    private static bool RestartsExceed(JobView view, int limit)
    {
        if (!view.Active.Exists(p => p.View.Spec.RestartPolicy == "OnFailure"))
            return false;
        int restarts = 0;
        foreach (PodState pod in view.Active)
            if (pod.Phase is "Running" or "Pending")
                restarts += (pod.View.Status?.ContainerStatuses?.Sum(s => s.RestartCount) ?? 0) + (pod.View.Status?.InitContainerStatuses?.Sum(s => s.RestartCount) ?? 0);
        return limit == 0 ? restarts > 0 : restarts >= limit;
    }

    /// <summary>True while the Job has fewer pods than it is to have now.</summary>
    public static bool WantsMore(JobView view) =>
        view.Finished is null && !view.Object.IsDeleting && !view.IsSuspended && Ending(view) is null && view.Active.Count is var active && Wanted(view, active) > active;

    private static int Wanted(JobView view, int active) => view.Completions is { } completions
        ? Math.Max(0, Math.Min(view.Parallelism, completions - view.Succeeded))
        : view.Succeeded > 0 ? Math.Min(active, view.Parallelism) : view.Parallelism;

    /// <summary>Pods beyond what is wanted: for an indexed Job those whose index is done or taken twice, then the least useful.</summary>
    private static List<PodState> Surplus(JobView view, List<PodState> active, int wanted)
    {
        List<PodState> drop = [];
        if (view.IsIndexed)
        {
            SortedSet<int> taken = view.CompletedIndexes;
            foreach (PodState pod in active.OrderBy(p => p.Object.Metadata.CreationTimestamp).ThenBy(p => p.Object.Uid, StringComparer.Ordinal))
                if (JobView.IndexOf(pod) is not { } index || index >= view.Completions || !taken.Add(index))
                    drop.Add(pod);
        }
        List<PodState> rest = [.. active.Except(drop)];
        rest.Sort(new ReplicaSets.PodRanking(new Dictionary<string, int>(), view.Now));
        drop.AddRange(rest.Take(Math.Max(0, rest.Count - wanted)));
        return drop;
    }

    private static List<int> Missing(JobView view, List<PodState> active, int count)
    {
        if (!view.IsIndexed)
            return [.. Enumerable.Repeat(-1, count)];
        SortedSet<int> taken = view.CompletedIndexes;
        foreach (PodState pod in view.ReplacesOnlyFailed ? active.Concat(view.Terminating) : active)
            if (JobView.IndexOf(pod) is { } index)
                taken.Add(index);
        return [.. Enumerable.Range(0, view.Completions ?? 0).Where(i => !taken.Contains(i)).Take(count)];
    }

    /// <summary>How long to wait before a pod is made again; null for not at all. Only pods that still exist are looked at.</summary>
    private static TimeSpan? Backoff(JobView view)
    {
        DateTimeOffset? lastSuccess = view.Pods.Where(p => p.IsSucceeded).Max(JobView.EndOf);
        List<DateTimeOffset> failures = [.. view.Pods.Where(p => p.IsFailed || (p.IsDeleting && JobView.IsTracked(p))).Select(JobView.EndOf).Where(e => e is not null && (lastSuccess is null || e > lastSuccess)).Select(e => e!.Value)];
        if (failures.Count == 0)
            return null;
        double seconds = Math.Min(LastBackoff.TotalSeconds, FirstBackoff.TotalSeconds * Math.Pow(2, Math.Min(failures.Count - 1, 20)));
        TimeSpan wait = failures.Max().AddSeconds(seconds) - view.Now;
        return wait > TimeSpan.Zero ? wait : null;
    }

    private static TimeSpan? DeadlineIn(JobView view) =>
        view.Job.Spec.ActiveDeadlineSeconds is { } seconds && view.Status.StartTime is { } start ? start.AddSeconds(Math.Min(seconds, int.MaxValue)) - view.Now : null;

    private static Condition Make(JobView view, string type, string reason, string message) => new()
    {
        Type = type,
        Status = "True",
        Reason = reason,
        Message = message,
        LastProbeTime = view.Now,
        LastTransitionTime = view.Now,
    };
}
