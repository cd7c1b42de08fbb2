using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Defragmentation;

/// <summary>What is to be done for a move now.</summary>
internal enum MoveAct
{
    /// <summary>Nothing: look again later.</summary>
    Wait,

    /// <summary>The step begins: say so, then make the replacement.</summary>
    Begin,

    /// <summary>Make the replacement.</summary>
    Create,

    /// <summary>The replacement has its room: say so.</summary>
    Placed,

    /// <summary>The replacement serves: evict the pod.</summary>
    Evict,

    /// <summary>The step is done.</summary>
    Finish,

    /// <summary>Reality moved: remove the replacement, and say why.</summary>
    TakeBack,
}

/// <summary>What the core sees of a move.</summary>
/// <param name="Move">The move as the status has it.</param>
/// <param name="Pod">The pod by its identity, or null.</param>
/// <param name="PodReachable">False when the pod's node is silent.</param>
/// <param name="Replacement">The pod with the replacement's name, or the one that was made after a pod that went first; or null.</param>
/// <param name="IsOurs">Whether that pod, or for a pod that goes first the Reservation, was made by this step.</param>
/// <param name="OwnerExists">Whether the pod's owner is there and not ending.</param>
/// <param name="Target">The node that the replacement goes to, or null.</param>
/// <param name="Now">Now.</param>
/// <param name="Timeout">How long a step may take.</param>
internal sealed record MoveView(DefragmentationMove Move, KubeObject? Pod, bool PodReachable, KubeObject? Replacement, bool IsOurs, bool OwnerExists, KubeObject? Target, DateTimeOffset Now, TimeSpan Timeout)
{
    /// <summary>What keeps the room for a pod that goes first, or null.</summary>
    public KubeObject? Reservation { get; init; }

    /// <summary>False when the owner of a pod that went first wants no successor of it any more: it was scaled down, or has ended.</summary>
    public bool IsWanted { get; init; } = true;
}

/// <summary>
/// One move as a state machine: Pending → Placing → Starting → Evicting → Done, or TakenBack from anywhere before the pod has gone.
/// A pod that goes before its successor is made (<c>Restarts</c>) has no Starting: its room is kept, it is evicted, its owner makes it anew.
/// Every look verifies what the step stands on, so a restart, a lost answer or a change from outside is one path. Pure.
/// </summary>
internal static class MoveStep
{
    private static readonly TimeSpan s_placing = TimeSpan.FromSeconds(60);

    /// <summary>What to do, and why where there is a why.</summary>
    public static (MoveAct Act, string? Why) Next(MoveView view)
    {
        (MoveAct, string?) step = view.Move.State switch
        {
            "Pending" => Start(view),
            "Placing" when view.Move.Restarts == true => Keep(view),
            "Evicting" when view.Move.Restarts == true => Return(view),
            "Placing" => Place(view),
            "Starting" => Serve(view),
            "Evicting" => Leave(view),
            _ => (MoveAct.Wait, null),
        };
        bool late = view.Move.StartedAt is { } begun && view.Now - begun > view.Timeout;
        return step.Item1 is MoveAct.Wait or MoveAct.Evict && late && view.Move.State is not ("Done" or "TakenBack") ? Late(view) : step;
    }

    private static (MoveAct, string?) Start(MoveView view)
    {
        if (Gone(view) is { } gone)
            return (MoveAct.TakeBack, gone);
        Pod pod = view.Pod!.View(ApiJson.Default.Pod);
        if (pod.Spec.NodeName != view.Move.From)
            return (MoveAct.TakeBack, $"the pod is on {pod.Spec.NodeName}, not on {view.Move.From}");
        if (!view.PodReachable)
            return (MoveAct.TakeBack, $"node {view.Move.From} is out of reach");
        if (view.Pod.Metadata.Annotation(DefragmentationPlan.DoNotMove) is { } mark && mark != "false")
            return (MoveAct.TakeBack, $"the pod got the annotation {DefragmentationPlan.DoNotMove}");
        if (Unfit(view) is { } unfit)
            return (MoveAct.TakeBack, unfit);
        return view.Replacement is not null && !view.IsOurs ? (MoveAct.TakeBack, $"another pod has the name {view.Replacement.Name}") : (MoveAct.Begin, null);
    }

    private static (MoveAct, string?) Place(MoveView view)
    {
        if (Gone(view) is { } gone)
            return view.Replacement is null ? (MoveAct.TakeBack, gone) : (MoveAct.Finish, "the pod went by itself; its replacement stands in for it");
        if (view.Replacement is null)
            return Unfit(view) is { } unfit ? (MoveAct.TakeBack, unfit) : (MoveAct.Create, null);
        if (!view.IsOurs)
            return (MoveAct.TakeBack, $"another pod has the name {view.Replacement.Name}");
        if (Broken(view.Replacement) is { } broken)
            return (MoveAct.TakeBack, broken);
        Pod replacement = view.Replacement.View(ApiJson.Default.Pod);
        if (!string.IsNullOrEmpty(replacement.Spec.NodeName))
            return replacement.Spec.NodeName == view.Move.To ? (MoveAct.Placed, null) : (MoveAct.TakeBack, $"the replacement went to {replacement.Spec.NodeName}");
        if (replacement.Status?.Condition("PodScheduled") is { Status: "False" } refused)
            return (MoveAct.TakeBack, $"the room on {view.Move.To} is taken: {refused.Message}");
        return view.Move.StartedAt is { } begun && view.Now - begun > s_placing ? (MoveAct.TakeBack, $"the replacement was not placed within {s_placing.TotalSeconds} s") : (MoveAct.Wait, null);
    }

    private static (MoveAct, string?) Serve(MoveView view)
    {
        if (view.Replacement is null || !view.IsOurs)
            return (MoveAct.TakeBack, "the replacement is gone");
        if (Broken(view.Replacement) is { } broken)
            return (MoveAct.TakeBack, broken);
        if (view.Pod is null || view.Pod.IsDeleting)
            return (MoveAct.Finish, "the pod went by itself; its replacement stands in for it");
        if (Unfit(view) is { } unfit)
            return (MoveAct.TakeBack, unfit);
        return view.Replacement.View(ApiJson.Default.Pod).Status?.Condition("Ready") is { Status: "True" } ? (MoveAct.Evict, null) : (MoveAct.Wait, null);
    }

    private static (MoveAct, string?) Leave(MoveView view)
    {
        if (view.Pod is null)
            return (MoveAct.Finish, null);
        // The eviction was granted: there is no way back, only an end to wait for.
        if (view.Pod.IsDeleting)
            return view.PodReachable ? (MoveAct.Wait, null) : (MoveAct.Finish, $"the pod ends when {view.Move.From} is back");
        return Serve(view);
    }

    private static (MoveAct, string?) Keep(MoveView view)
    {
        bool gone = Gone(view) is not null;
        ReservationStatus? kept = view.Reservation?.View(ApiJson.Default.Reservation).Status;
        if (view.IsOurs && kept is { Phase: "Available" })
        {
            if (kept.NodeName != view.Move.To)
                return (MoveAct.TakeBack, $"the room that was found is on {kept.NodeName}");
            // It goes already, by our eviction or somebody else's: the room is there for what comes.
            if (gone && view.Pod is null or { IsDeleting: true })
                return (MoveAct.Placed, null);
        }
        if (gone)
            return (MoveAct.TakeBack, Gone(view));
        if (Unfit(view) is { } unfit)
            return (MoveAct.TakeBack, unfit);
        if (view.Reservation is null)
            return (MoveAct.Create, null);
        if (!view.IsOurs)
            return (MoveAct.TakeBack, $"another Reservation has the name {view.Reservation.Name}");
        if (kept is { Phase: "Available" })
            return (MoveAct.Evict, null);
        if (kept?.Conditions?.Find(static c => c.Type == "Scheduled") is { Status: "False" } refused)
            return (MoveAct.TakeBack, $"the room on {view.Move.To} is taken: {refused.Message}");
        return view.Move.StartedAt is { } begun && view.Now - begun > s_placing ? (MoveAct.TakeBack, $"no room was kept within {s_placing.TotalSeconds} s") : (MoveAct.Wait, null);
    }

    private static (MoveAct, string?) Return(MoveView view)
    {
        if (view.Pod is { IsDeleting: false })
            return (MoveAct.Evict, null);
        if (view.Pod is null && view.Replacement is null && !view.IsWanted)
            return (MoveAct.Finish, "its owner wants it no more");
        if (view.Pod is not null || view.Replacement?.View(ApiJson.Default.Pod) is not { } made)
            return (MoveAct.Wait, null);
        if (made.Status?.Condition("Ready")?.Status != "True" && made.Status?.Phase != "Succeeded")
            return (MoveAct.Wait, null);
        return (MoveAct.Finish, made.Spec.NodeName == view.Move.To ? null : $"it was made anew on {made.Spec.NodeName}");
    }

    private static (MoveAct, string?) Late(MoveView view) =>
        view.Move.Restarts == true && (view.Pod is null || view.Pod.IsDeleting) ? (MoveAct.Finish, $"the pod is not there again after {view.Timeout.TotalSeconds} s")
        : view.Pod is null || view.Pod.IsDeleting
            ? view.Replacement is null ? (MoveAct.TakeBack, "the pod and its replacement are gone") : (MoveAct.Finish, "the pod takes long to end")
            : (MoveAct.TakeBack, view.Move.Message is { Length: > 0 } last ? $"it took longer than {view.Timeout.TotalSeconds} s: {last}" : $"it took longer than {view.Timeout.TotalSeconds} s");

    private static string? Gone(MoveView view) =>
        view.Pod is null ? "the pod is gone" : view.Pod.IsDeleting ? "the pod ends" : view.Pod.View(ApiJson.Default.Pod).Status?.Phase is "Succeeded" or "Failed" ? "the pod has ended" : !view.OwnerExists ? $"the pod's {view.Pod.Metadata.Controller()?.Kind ?? "owner"} is gone" : null;

    private static string? Unfit(MoveView view) =>
        view.Target is null ? $"node {view.Move.To} is gone"
        : NodeState.ReadyStatus(view.Target) != "True" ? $"node {view.Move.To} is not ready"
        : view.Target.View(ApiJson.Default.Node).Spec.Unschedulable == true && view.Move.State != "Starting" && view.Move.State != "Evicting" ? $"node {view.Move.To} was cordoned" : null;

    private static string? Broken(KubeObject replacement) =>
        replacement.IsDeleting ? "the replacement ends" : replacement.View(ApiJson.Default.Pod).Status?.Phase is "Succeeded" or "Failed" ? $"the replacement ended: {replacement.View(ApiJson.Default.Pod).Status!.Reason ?? "it failed"}" : null;
}
