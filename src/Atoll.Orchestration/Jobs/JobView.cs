using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Jobs;

/// <summary>
/// What the core sees of a Job, and how its pods count. Each pod carries a finalizer until its end is counted: first the
/// end is noted in the status by UID, then the finalizer goes, then the number is raised; so nothing is lost and nothing
/// counted twice, whenever the controller stops and whoever deletes pods meanwhile. A pod out of reach is active: it
/// neither failed nor succeeded, and nothing is made in its place.
/// </summary>
internal sealed record JobView(KubeObject Object, Job Job, IReadOnlyList<PodState> Pods, DateTimeOffset Now)
{
    /// <summary>Finalizer of pods whose end is not counted yet.</summary>
    public const string Tracking = "batch.kubernetes.io/job-tracking";

    /// <summary>Annotation and label with the completion index of a pod.</summary>
    public const string IndexKey = "batch.kubernetes.io/job-completion-index";

    public JobStatus Status => Job.Status ?? s_empty;

    public bool IsIndexed => Job.Spec.CompletionMode == "Indexed";

    public bool IsSuspended => Job.Spec.Suspend == true;

    public int Parallelism => Job.Spec.Parallelism ?? 1;

    /// <summary>Null for a work queue: done when one succeeded and none runs.</summary>
    public int? Completions => Job.Spec.Completions ?? (Job.Spec.Parallelism is null || IsIndexed ? 1 : null);

    /// <summary>Complete or Failed; null while the Job goes on.</summary>
    public Condition? Finished => Status.Conditions?.Find(c => c is { Type: "Complete" or "Failed", Status: "True" });

    /// <summary>SuccessCriteriaMet or FailureTarget: how the Job ends when its pods have; null while that is open.</summary>
    public Condition? Target => Status.Conditions?.Find(c => c is { Type: "SuccessCriteriaMet" or "FailureTarget", Status: "True" });

    public List<PodState> Active => [.. Pods.Where(p => p.IsActive)];

    /// <summary>On their way out and not finished.</summary>
    public List<PodState> Terminating => [.. Pods.Where(p => p.IsDeleting && !p.IsFinished)];

    /// <summary>True when a pod is replaced only after it has wholly ended.</summary>
    public bool ReplacesOnlyFailed => Job.Spec.PodReplacementPolicy == "Failed";

    /// <summary>Ended well and not noted yet.</summary>
    public List<PodState> NewlySucceeded => [.. Pods.Where(p => p.IsSucceeded && IsTracked(p) && !IsNoted(p))];

    /// <summary>Ended badly (or being deleted) and not noted yet.</summary>
    public List<PodState> NewlyFailed => [.. Pods.Where(p => (p.IsFailed || (p.IsDeleting && !p.IsSucceeded && !ReplacesOnlyFailed)) && IsTracked(p) && !IsNoted(p))];

    /// <summary>Every failure so far, noted or not, but for those that the Job's policy ignores.</summary>
    public int Failed => (Status.Failed ?? 0) + (Status.UncountedTerminatedPods?.Failed?.Count ?? 0) + NewlyFailed.Count(p => !JobFailurePolicy.Ignores(Job, p));

    /// <summary>Every success so far, noted or not; an index counts once.</summary>
    public int Succeeded => IsIndexed
        ? CompletedIndexes.Count
        : (Status.Succeeded ?? 0) + (Status.UncountedTerminatedPods?.Succeeded?.Count ?? 0) + NewlySucceeded.Count;

    /// <summary>Indexes that are done, with those of pods that ended just now.</summary>
    public SortedSet<int> CompletedIndexes
    {
        get
        {
            SortedSet<int> done = IndexSet.Parse(Status.CompletedIndexes, Completions ?? 0);
            foreach (PodState pod in Pods)
                if (pod.IsSucceeded && IsTracked(pod) && IndexOf(pod) is { } index && index < (Completions ?? 0))
                    done.Add(index);
            return done;
        }
    }

    private static readonly JobStatus s_empty = new();

    public static bool IsTracked(PodState pod) => pod.Object.Metadata.Finalizers?.Contains(Tracking) == true;

    public static int? IndexOf(PodState pod) =>
        int.TryParse(pod.Object.Metadata.Annotation(IndexKey), NumberStyles.None, CultureInfo.InvariantCulture, out int index) ? index : null;

    /// <summary>True when the pod's end is already in the status by UID.</summary>
    public bool IsNoted(PodState pod) =>
        Status.UncountedTerminatedPods?.Succeeded?.Contains(pod.Object.Uid) == true || Status.UncountedTerminatedPods?.Failed?.Contains(pod.Object.Uid) == true;

    /// <summary>When a pod ended, as well as its report says.</summary>
    public static DateTimeOffset? EndOf(PodState pod)
    {
        DateTimeOffset? end = null;
        foreach (ContainerStatus status in pod.View.Status?.ContainerStatuses ?? [])
            if (status.State?.Terminated?.FinishedAt is { } at && (end is null || at > end))
                end = at;
        return end ?? pod.View.Status?.Condition("Ready")?.LastTransitionTime ?? pod.Object.Metadata.DeletionTimestamp ?? pod.Object.Metadata.CreationTimestamp;
    }
}
