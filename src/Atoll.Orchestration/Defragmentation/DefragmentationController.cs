using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Jobs;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.StatefulSets;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Defragmentation;

/// <summary>
/// Carries DefragmentationPlans: computes the moves, waits for approval (a person's, or the policy's in spec.autoApproveMoves), then
/// does one step after another. A step makes the replacement on its node first, waits until it serves, and evicts the pod by the
/// eviction API, so that disruption budgets hold; what cannot be there twice has its room kept by a Reservation, and goes first. What a step needs to know is in the status before it is done, so that a centre
/// that restarts goes on from there. When reality moved, the step is taken back, and what is left is planned anew or stops.
/// </summary>
internal sealed class DefragmentationController : Controller
{
    /// <summary>A plan whose moves had to be computed so often has failed.</summary>
    internal const int MostRevisions = 20;

    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(2), s_refused = TimeSpan.FromSeconds(10), s_defaultTimeout = TimeSpan.FromSeconds(600);

    private readonly PlanComputer _computer;

    public DefragmentationController(Cluster cluster, Func<Snapshot> fleet) : base(cluster, 1)
    {
        _computer = new PlanComputer(cluster, fleet);
        cluster.Of(Kinds.DefragmentationPlan).Listen((old, now) => Queue.Add((now ?? old!).Name));
        // A flavour that is there now may be the one that a plan waits for.
        cluster.Of(Kinds.Flavour).Listen((_, _) =>
        {
            foreach (KubeObject plan in cluster.Of(Kinds.DefragmentationPlan).All())
                if (plan.View(ApiJson.Default.DefragmentationPlan).Status?.Phase is null or "Pending")
                    Queue.Add(plan.Name);
        });
        cluster.Pods.Listen((old, now) => Marked(now ?? old!));
        cluster.Of(Kinds.Reservation).Listen((old, now) => Marked(now ?? old!));
    }

    private void Marked(KubeObject value)
    {
        if (value.Metadata.Annotation(DefragmentationPlan.StepAnnotation) is { } mark && mark.Split('/') is [var plan, ..])
            Queue.Add(plan);
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.DefragmentationPlan).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.DefragmentationPlan).Get(key) is not { } plan)
            return Next.Done;
        // The view is kept with the object; the status that is changed here is a copy.
        DefragmentationPlan view = JsonSerializer.Deserialize(plan.Utf8.Span, ApiJson.Default.DefragmentationPlan)!;
        DefragmentationPlanStatus status = view.Status ?? new DefragmentationPlanStatus();
        if (plan.IsDeleting)
            return await EndAsync(plan, status, cancellation).ConfigureAwait(false);
        DefragmentationMove? current = PlanStatus.Current(status);
        if (current is not null && PlanStatus.IsUnderWay(current))
            return await StepAsync(plan, view.Spec, status, current, cancellation).ConfigureAwait(false);
        if (status.ComputedFor != PlanStatus.KeyOf(view.Spec))
            return await ComputeAsync(plan, view.Spec, status, cancellation).ConfigureAwait(false);
        if (status.Phase is "Completed" or "Failed")
            return Next.Done;
        if (ApprovedBy(view.Spec, status) is not { } approver)
            return await WriteAsync(plan, PlanStatus.Phase(status, "WaitingForApproval", $"{PlanStatus.Waiting(status)} wait for approval", Cluster.Now, null), Next.Done, cancellation).ConfigureAwait(false);
        if (current is null)
            return await FinishAsync(plan, view.Spec, status, approver, cancellation).ConfigureAwait(false);
        if (view.Spec.Suspended == true)
            return await WriteAsync(plan, PlanStatus.Phase(status, "Executing", "suspended", Cluster.Now, approver), Next.Done, cancellation).ConfigureAwait(false);
        TimeSpan closed = PlanTimes.UntilOpen(view.Spec.Windows, Cluster.Now), busy = PlanTimes.UntilFree(status.Moves!, current.ToSite, view.Spec.Limits?.SiteBandwidth, Cluster.Now);
        if (closed > TimeSpan.Zero || busy > TimeSpan.Zero)
        {
            string why = closed > TimeSpan.Zero ? "waits for the next window" : $"waits for the line of site {current.ToSite}";
            return await WriteAsync(plan, PlanStatus.Phase(status, "Executing", why, Cluster.Now, approver), Next.In(Max(closed, busy)), cancellation).ConfigureAwait(false);
        }
        return await StepAsync(plan, view.Spec, status, current, cancellation).ConfigureAwait(false);
    }

    private static string? ApprovedBy(DefragmentationPlanSpec spec, DefragmentationPlanStatus status) =>
        spec.Approved == true ? "Person" : spec.AutoApproveMoves is > 0 and int most && (status.Moves?.Count(m => m.State != "TakenBack") ?? 0) <= most ? "Policy" : null;

    private async ValueTask<Next> ComputeAsync(KubeObject plan, DefragmentationPlanSpec spec, DefragmentationPlanStatus status, CancellationToken cancellation)
    {
        string? problem = status.Revision >= MostRevisions ? $"the fleet moved {MostRevisions} times while this was carried out" : await Task.Run(() => _computer.Compute(spec, status), cancellation).ConfigureAwait(false);
        if (problem is not null)
        {
            bool failed = status.Revision >= MostRevisions;
            status.ComputedFor = failed ? PlanStatus.KeyOf(spec) : null;
            return await WriteAsync(plan, PlanStatus.Phase(status, failed ? "Failed" : "Pending", problem, Cluster.Now, null), Next.Done, cancellation).ConfigureAwait(false);
        }
        string moves = PlanStatus.Waiting(status);
        string? approver = ApprovedBy(spec, status);
        Cluster.Events.Normal(plan, "Computed", $"{moves} computed in {status.ComputeMilliseconds} ms");
        PlanStatus.Phase(status, approver is null ? "WaitingForApproval" : "Executing", approver is null ? $"{moves} wait for approval" : $"{moves} to do", Cluster.Now, approver);
        return await WriteAsync(plan, status, Next.In(TimeSpan.Zero), cancellation).ConfigureAwait(false);
    }

    private async ValueTask<Next> FinishAsync(KubeObject plan, DefragmentationPlanSpec spec, DefragmentationPlanStatus status, string approver, CancellationToken cancellation)
    {
        _computer.Measure(spec, status);
        string report = status.Moves is { Count: > 0 } ? PlanStatus.Report(status) : "no move would make more saleable";
        Cluster.Events.Normal(plan, "Completed", report);
        return await WriteAsync(plan, PlanStatus.Phase(status, "Completed", report, Cluster.Now, approver), Next.Done, cancellation).ConfigureAwait(false);
    }

    private async ValueTask<Next> StepAsync(KubeObject plan, DefragmentationPlanSpec spec, DefragmentationPlanStatus status, DefragmentationMove move, CancellationToken cancellation)
    {
        MoveView view = See(plan, spec, move);
        (MoveAct act, string? why) = MoveStep.Next(view);
        switch (act)
        {
            case MoveAct.Begin:
                if (!plan.Metadata.Finalizers?.Contains(DefragmentationPlan.Finalizer) ?? true)
                    return await MarkAsync(plan, add: true, cancellation).ConfigureAwait(false);
                move.State = "Placing";
                string name = StandIn.NameOf(view.Pod!.Metadata.Controller()!.Name, plan.Uid, status.Revision ?? 0, move);
                if (move.Restarts == true)
                    move.Reservation = name;
                else
                    move.Replacement = name;
                move.StartedAt = Cluster.Now;
                break;
            case MoveAct.Create:
                if (await CreateAsync(plan, view, cancellation).ConfigureAwait(false) is not { } refused)
                    return Next.In(s_look);
                (act, why) = (MoveAct.TakeBack, refused);
                break;
            case MoveAct.Placed:
                move.State = move.Restarts == true ? "Evicting" : "Starting";
                break;
            case MoveAct.Evict:
                ApiStatus? denied = await EvictAsync(view.Pod!, cancellation).ConfigureAwait(false);
                if (denied is { Code: 404 })
                    return Next.In(s_look);
                if (denied is not null)
                {
                    move.Message = denied.Message;
                    return await WriteAsync(plan, status, Next.In(s_refused), cancellation).ConfigureAwait(false);
                }
                (move.State, move.Message) = ("Evicting", null);
                break;
            case MoveAct.Wait:
                return Next.In(s_look);
        }
        if (act == MoveAct.Finish)
        {
            // What took the room keeps it.
            if (!await ReleaseAsync(view, cancellation).ConfigureAwait(false))
                return Next.Retry;
            move.Replacement ??= view.Replacement?.Name;
            (move.State, move.Message, move.FinishedAt) = ("Done", why, Cluster.Now);
            _computer.Measure(spec, status);
            Cluster.Events.Normal(plan, "Moved", $"Step {move.Step}: {move.Namespace}/{move.Pod} {(move.Replacement is null ? $"left {move.From}" : $"went from {move.From} to {move.To} as {move.Replacement}")}{(why is null ? "" : $": {why}")}");
        }
        else if (act == MoveAct.TakeBack)
        {
            if (!await TakeBackAsync(plan, view, cancellation).ConfigureAwait(false))
                return Next.Retry;
            (move.State, move.Message, move.FinishedAt) = ("TakenBack", why, Cluster.Now);
            Cluster.Events.Warning(plan, "TakenBack", $"Step {move.Step}, {move.Namespace}/{move.Pod}: {why}");
            if (spec.OnChange == "Stop")
            {
                _computer.Measure(spec, status);
                return await WriteAsync(plan, PlanStatus.Phase(status, "Failed", $"step {move.Step} was not possible: {why}; {PlanStatus.Report(status)}", Cluster.Now, ApprovedBy(spec, status)), Next.Done, cancellation).ConfigureAwait(false);
            }
            // What is left is planned anew from the fleet as it is now; the moves that were not begun go.
            status.Moves!.RemoveAll(m => m.State == "Pending");
            status.ComputedFor = null;
        }
        return await WriteAsync(plan, PlanStatus.Phase(status, "Executing", $"step {move.Step}: {move.State}", Cluster.Now, ApprovedBy(spec, status) ?? "Person"), Next.In(TimeSpan.Zero), cancellation).ConfigureAwait(false);
    }

    private MoveView See(KubeObject plan, DefragmentationPlanSpec spec, DefragmentationMove move)
    {
        KubeObject? pod = Cluster.Pods.ByUid(move.Uid), owner = pod is null ? null : OwnerOf(pod);
        KubeObject? replacement = move.Restarts == true ? Successor(move) : move.Replacement is null ? null : Cluster.Pods.Get($"{move.Namespace}/{move.Replacement}");
        KubeObject? reservation = move.Reservation is null ? null : Cluster.Of(Kinds.Reservation).Get(move.Reservation);
        bool ours = (move.Restarts == true ? reservation : replacement)?.Metadata.Annotation(DefragmentationPlan.StepAnnotation) == StandIn.MarkOf(plan, move);
        TimeSpan timeout = spec.Limits?.StepTimeoutSeconds is { } seconds ? TimeSpan.FromSeconds(seconds) : s_defaultTimeout;
        return new MoveView(move, pod, !NodeState.IsUnreachable(Cluster.Nodes.Get(move.From)), replacement, ours, owner is { IsDeleting: false }, Cluster.Nodes.Get(move.To), Cluster.Now, timeout) { Reservation = reservation, IsWanted = pod is not null || replacement is not null || reservation is null || IsWanted(move, reservation) };
    }

    /// <summary>Whether the owner of a pod that went first makes it anew; the labels for which the room is kept tell who that is.</summary>
    private bool IsWanted(DefragmentationMove move, KubeObject reservation)
    {
        Dictionary<string, string>? labels = reservation.View(ApiJson.Default.Reservation).Spec.Owners?[0].Selector?.MatchLabels;
        if (labels?.GetValueOrDefault(StatefulPods.NameLabel) is { } identity && identity.LastIndexOf('-') is > 0 and int dash)
            return Cluster.Of(Kinds.StatefulSet).Get($"{move.Namespace}/{identity[..dash]}") is { IsDeleting: false } set && StatefulSetView.Wants(set.View(ApiJson.Default.StatefulSet), identity);
        if (labels?.GetValueOrDefault(KeptRoom.JobLabel) is not { } uid)
            return true;
        if (Cluster.Of(Kinds.Job).ByUid(uid) is not { } job)
            return false;
        var view = new JobView(job, job.View(ApiJson.Default.Job), [.. Cluster.Pods.In(Copy.OwnedBy(uid)).Select(p => PodState.Of(Cluster, p))], Cluster.Now);
        // One that has no node yet may be the successor.
        return JobPlan.WantsMore(view) || view.Active.Exists(static p => string.IsNullOrEmpty(p.View.Spec.NodeName));
    }

    /// <summary>The pod that was made after a pod that had to go first: the one in the room that was kept, or of the same name elsewhere.</summary>
    private KubeObject? Successor(DefragmentationMove move)
    {
        foreach (KubeObject pod in Cluster.Pods.In(Copy.OnNode(move.To)))
            if (move.Reservation is not null && pod.Metadata.Annotation(Reservation.Annotation) == move.Reservation)
                return pod;
        return Cluster.Pods.Get($"{move.Namespace}/{move.Pod}") is { } named && named.Uid != move.Uid ? named : null;
    }

    private KubeObject? OwnerOf(KubeObject pod)
    {
        if (pod.Metadata.Controller() is not { } reference)
            return null;
        ResourceType? type = reference.Kind switch { "ReplicaSet" => Kinds.ReplicaSet, "StatefulSet" => Kinds.StatefulSet, "Job" => Kinds.Job, _ => null };
        return type is not null && Cluster.Of(type).Get($"{pod.Namespace}/{reference.Name}") is { } owner && owner.Uid == reference.Uid ? owner : null;
    }

    /// <summary>Why the replacement, or the Reservation for it, cannot be made, or null.</summary>
    private async ValueTask<string?> CreateAsync(KubeObject plan, MoveView view, CancellationToken cancellation)
    {
        ApiResult result;
        if (view.Move.Restarts == true)
        {
            if (KeptRoom.Document(view.Pod!, plan, view.Move, view.Target!, view.Timeout) is not { } document)
                return "the pod has none of the labels by which its successor would be known";
            result = await Cluster.CreateAsync(Kinds.Reservation, null, document, cancellation).ConfigureAwait(false);
        }
        else
        {
            KubeObject owner = OwnerOf(view.Pod!)!;
            result = await Cluster.CreateAsync(Kinds.Pod, view.Move.Namespace, StandIn.Document(owner, owner.View(ApiJson.Default.ReplicaSet), plan, view.Move), cancellation).ConfigureAwait(false);
        }
        // Made before a restart, or by an answer that was lost: the next look finds it.
        return result.Ok || result.IsAlreadyExists ? null : $"the replacement cannot be made: {result.Error!.Message}";
    }

    private async ValueTask<bool> ReleaseAsync(MoveView view, CancellationToken cancellation) =>
        view.Reservation is null || !view.IsOurs || (await Cluster.DeleteAsync(Kinds.Reservation, view.Reservation, DeleteOptions.Default, cancellation).ConfigureAwait(false)).Ok;

    private async ValueTask<ApiStatus?> EvictAsync(KubeObject pod, CancellationToken cancellation)
    {
        var eviction = new JsonObject
        {
            ["apiVersion"] = "policy/v1",
            ["kind"] = "Eviction",
            ["metadata"] = new JsonObject { ["name"] = pod.Name, ["namespace"] = pod.Namespace },
            ["deleteOptions"] = new JsonObject { ["preconditions"] = new JsonObject { ["uid"] = pod.Uid } },
        };
        return (await Cluster.Api.CreateAsync(Kinds.Pod, pod.Namespace, eviction, cancellation, pod.Name, "eviction").ConfigureAwait(false)).Error;
    }

    private async ValueTask<bool> TakeBackAsync(KubeObject plan, MoveView view, CancellationToken cancellation)
    {
        if (view.Move.Restarts == true)
            return await ReleaseAsync(view, cancellation).ConfigureAwait(false);
        // Once the pod is gone or going, its replacement is the replica.
        if (view.Replacement is null || !view.IsOurs || view.Pod is null || view.Pod.IsDeleting)
            return true;
        ApiResult result = await Cluster.DeleteAsync(Kinds.Pod, view.Replacement, DeleteOptions.Default, cancellation).ConfigureAwait(false);
        if (result.Ok)
            Cluster.Events.Normal(plan, "ReplacementRemoved", $"Removed {view.Replacement.Key}");
        return result.Ok;
    }

    private async ValueTask<Next> EndAsync(KubeObject plan, DefragmentationPlanStatus status, CancellationToken cancellation)
    {
        if (plan.Metadata.Finalizers?.Contains(DefragmentationPlan.Finalizer) != true)
            return Next.Done;
        foreach (DefragmentationMove move in status.Moves ?? [])
            if (PlanStatus.IsUnderWay(move) && !await TakeBackAsync(plan, See(plan, new DefragmentationPlanSpec(), move), cancellation).ConfigureAwait(false))
                return Next.Retry;
        return await MarkAsync(plan, add: false, cancellation).ConfigureAwait(false);
    }

    private async ValueTask<Next> MarkAsync(KubeObject plan, bool add, CancellationToken cancellation)
    {
        List<string> finalizers = [.. plan.Metadata.Finalizers ?? []];
        if (add)
            finalizers.Add(DefragmentationPlan.Finalizer);
        else
            finalizers.Remove(DefragmentationPlan.Finalizer);
        var patch = new JsonObject { ["metadata"] = new JsonObject { ["finalizers"] = finalizers.Count == 0 ? null : new JsonArray([.. finalizers.Select(f => (JsonNode)f)]) } };
        ApiResult result = await Cluster.PatchAsync(Kinds.DefragmentationPlan, plan, patch, true, cancellation).ConfigureAwait(false);
        return result.Ok ? Next.In(TimeSpan.Zero) : result.IsNotFound ? Next.Done : Next.Retry;
    }

    // Against the version that was read: what was decided from an old state is decided again.
    private async ValueTask<Next> WriteAsync(KubeObject plan, DefragmentationPlanStatus status, Next next, CancellationToken cancellation)
    {
        status.ObservedGeneration = plan.Metadata.Generation;
        JsonObject wanted = JsonSerializer.SerializeToNode(status, ApiJson.Default.DefragmentationPlanStatus)!.AsObject();
        // A merge patch takes away what it says is null.
        if (status.ComputedFor is null)
            wanted["computedFor"] = null;
        if (StatusPatch.Changes(plan, wanted) is not { } patch)
            return next;
        ApiResult result = await Cluster.PatchAsync(Kinds.DefragmentationPlan, plan, patch, true, cancellation, "status").ConfigureAwait(false);
        return result.Ok ? next : result.IsNotFound ? Next.Done : Next.Retry;
    }

    private static TimeSpan Max(TimeSpan a, TimeSpan b) => a > b ? a : b;
}
