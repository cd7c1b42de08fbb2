using Atoll.Api.Core;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Deployments;

/// <summary>The status of a Deployment and the time at which its deadline must be looked at, as <c>kubectl rollout status</c> reads them.</summary>
internal sealed record DeploymentProgress(DeploymentStatus Status, TimeSpan? After)
{
    public const string Progressing = "Progressing", Available = "Available", ReplicaFailure = "ReplicaFailure";
    public const string Complete = "NewReplicaSetAvailable", TimedOut = "ProgressDeadlineExceeded", Waiting = "WaitingForUnreachablePods";
    private const string Updated = "ReplicaSetUpdated", Found = "FoundNewReplicaSet", Created = "NewReplicaSetCreated", Paused = "DeploymentPaused", Resumed = "DeploymentResumed";

    /// <summary>The status to show now.</summary>
    public static DeploymentProgress Of(DeploymentView view, ReplicaSetState? newSet, NewReplicaSet? create)
    {
        DeploymentStatus status = Count(view, newSet);
        List<Condition> conditions = [.. view.Deployment.Status?.Conditions ?? []];
        conditions = Conditions.With(conditions, status.AvailableReplicas >= view.Replicas - view.MaxUnavailable
            ? Make(view, Available, "True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
            : Make(view, Available, "False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability."));
        conditions = view.ProgressDeadline is null
            ? Conditions.Without(conditions, Progressing)
            : Progress(view, newSet, create, status, conditions);
        conditions = Failure(view, newSet, conditions);
        status.Conditions = Unreachable.Condition(conditions, view.Sets.Sum(s => s.Unreachable), status.Replicas ?? 0, view.Now);
        return new DeploymentProgress(status, DeadlineIn(view, status));
    }

    /// <summary>The numbers: what the sets report.</summary>
    public static DeploymentStatus Count(DeploymentView view, ReplicaSetState? newSet)
    {
        int available = view.Sets.Sum(s => s.View.Status?.AvailableReplicas ?? 0);
        return new DeploymentStatus
        {
            ObservedGeneration = view.Object.Metadata.Generation,
            Replicas = view.Sets.Sum(s => s.View.Status?.Replicas ?? 0),
            UpdatedReplicas = newSet?.View.Status?.Replicas ?? 0,
            ReadyReplicas = view.Sets.Sum(s => s.View.Status?.ReadyReplicas ?? 0),
            AvailableReplicas = available,
            UnavailableReplicas = Math.Max(0, view.Sets.Sum(s => s.Size) - available),
            CollisionCount = view.Deployment.Status?.CollisionCount,
        };
    }

    /// <summary>True when all pods are of the new template and available.</summary>
    public static bool IsComplete(DeploymentView view, DeploymentStatus status) =>
        status.UpdatedReplicas == view.Replicas && status.Replicas == view.Replicas && status.AvailableReplicas == view.Replicas;

    private static List<Condition> Progress(DeploymentView view, ReplicaSetState? newSet, NewReplicaSet? create, DeploymentStatus status, List<Condition> conditions)
    {
        Condition? current = Conditions.Get(conditions, Progressing);
        if (view.IsPaused)
            return current?.Reason == Paused || view.Object.IsDeleting ? conditions : Put(conditions, Make(view, Progressing, "Unknown", Paused, "Deployment is paused"));
        if (current?.Reason == Paused)
            return Put(conditions, Make(view, Progressing, "Unknown", Resumed, "Deployment is resumed"));
        if (create is not null)
            return Put(conditions, Make(view, Progressing, "True", Created, $"Created new replica set \"{create.Name}\""));
        if (current is null && newSet is not null)
            return Put(conditions, Make(view, Progressing, "True", Found, $"Found new replica set \"{newSet.Object.Name}\""));
        if (status.Replicas == status.UpdatedReplicas && current?.Reason == Complete)
            return conditions; // Finished before; what happens to its pods later is no rollout.
        string subject = newSet is null ? $"Deployment \"{view.Object.Name}\"" : $"ReplicaSet \"{newSet.Object.Name}\"";
        if (IsComplete(view, status))
            return Put(conditions, Make(view, Progressing, "True", Complete, $"{subject} has successfully progressed."));
        if (HasProgressed(view.Deployment.Status, status))
            return Put(conditions, Make(view, Progressing, "True", Updated, $"{subject} is progressing."));
        if (WaitsOnlyForUnreachable(view, status))
            return Put(conditions, Make(view, Progressing, "True", Waiting, $"{subject} waits for pods on nodes out of reach."));
        if (current?.Reason == Waiting)
            return Put(conditions, Make(view, Progressing, "True", Updated, $"{subject} is progressing."));
        if (current is { Reason: not TimedOut and not Complete } && Deadline(view, current) <= view.Now)
            return Put(conditions, Make(view, Progressing, "False", TimedOut, $"{subject} has timed out progressing."));
        return conditions;
    }

    private static bool HasProgressed(DeploymentStatus? before, DeploymentStatus now) =>
        now.UpdatedReplicas > (before?.UpdatedReplicas ?? 0)
        || now.Replicas - now.UpdatedReplicas < (before?.Replicas ?? 0) - (before?.UpdatedReplicas ?? 0)
        || now.ReadyReplicas > (before?.ReadyReplicas ?? 0)
        || now.AvailableReplicas > (before?.AvailableReplicas ?? 0);

    private static bool WaitsOnlyForUnreachable(DeploymentView view, DeploymentStatus status)
    {
        int unreachable = view.Sets.Sum(s => s.Unreachable);
        return unreachable > 0 && status.UpdatedReplicas == view.Replicas && status.Replicas == view.Replicas && status.AvailableReplicas + unreachable >= view.Replicas;
    }

    private static List<Condition> Failure(DeploymentView view, ReplicaSetState? newSet, List<Condition> conditions)
    {
        Condition? failure = Conditions.Get(newSet?.View.Status?.Conditions, ReplicaFailure);
        foreach (ReplicaSetState set in view.Sets)
            failure ??= Conditions.Get(set.View.Status?.Conditions, ReplicaFailure);
        return failure is null
            ? Conditions.Without(conditions, ReplicaFailure)
            : Conditions.With(conditions, Make(view, ReplicaFailure, failure.Status, failure.Reason ?? "", failure.Message ?? ""));
    }

    private static TimeSpan? DeadlineIn(DeploymentView view, DeploymentStatus status)
    {
        if (view.ProgressDeadline is null || view.IsPaused || view.Object.IsDeleting || IsComplete(view, status)
            || Conditions.Get(status.Conditions, Progressing) is not { Reason: not TimedOut and not Complete and not Waiting } current)
            return null;
        TimeSpan wait = Deadline(view, current) - view.Now;
        return (wait > TimeSpan.Zero ? wait : TimeSpan.Zero) + TimeSpan.FromSeconds(1);
    }

    private static DateTimeOffset Deadline(DeploymentView view, Condition progressing) =>
        (progressing.LastUpdateTime ?? progressing.LastTransitionTime ?? view.Now).AddSeconds(view.ProgressDeadline!.Value);

    /// <summary>Puts a condition in with a fresh update time, which is what the deadline counts from.</summary>
    private static List<Condition> Put(List<Condition> conditions, Condition wanted)
    {
        Condition? current = Conditions.Get(conditions, wanted.Type);
        if (current is not null && current.Status == wanted.Status)
            wanted.LastTransitionTime = current.LastTransitionTime;
        List<Condition> list = Conditions.Without(conditions, wanted.Type);
        list.Add(wanted);
        return list;
    }

    private static Condition Make(DeploymentView view, string type, string status, string reason, string message) => new()
    {
        Type = type,
        Status = status,
        Reason = reason,
        Message = message,
        LastUpdateTime = view.Now,
        LastTransitionTime = view.Now,
    };
}
