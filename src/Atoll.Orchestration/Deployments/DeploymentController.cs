using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Api.Selectors;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.ReplicaSets;

namespace Atoll.Orchestration.Deployments;

/// <summary>Carries out what <see cref="DeploymentPlanner"/> says.</summary>
internal sealed class DeploymentController : Controller
{
    public DeploymentController(Cluster cluster) : base(cluster)
    {
        PodEvents.Listen(cluster, Kinds.Deployment, Queue, static _ => null);
        cluster.Of(Kinds.ReplicaSet).Listen((old, now) =>
        {
            string? before = PodEvents.Owner(old, Kinds.Deployment), after = PodEvents.Owner(now, Kinds.Deployment);
            if (before is not null && before != after)
                Queue.Add(before);
            if (after is not null)
                Queue.Add(after);
            else if (now is not null && now.Metadata.Controller() is null)
                foreach (KubeObject deployment in cluster.Of(Kinds.Deployment).In(Copy.InNamespace(now.Namespace)))
                    Queue.Add(deployment.Key);
        });
        // A pod that ends may be what a replacement of everything waits for, and one out of reach changes the deadline.
        cluster.Pods.Listen((old, now) => WakeFor(now ?? old!));
        cluster.Nodes.Listen((old, now) =>
        {
            if (NodeState.IsUnreachable(old) != NodeState.IsUnreachable(now))
                foreach (KubeObject pod in cluster.Pods.In(Copy.OnNode((now ?? old!).Name)))
                    WakeFor(pod);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.Deployment).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.Deployment).Get(key) is not { } deployment)
            return Next.Done;
        LabelSelector? selector = deployment.View(ApiJson.Default.Deployment).Spec.Selector;
        List<KubeObject>? sets = await Claims.ClaimAsync(Cluster, Kinds.Deployment, deployment, selector, Cluster.Of(Kinds.ReplicaSet), [], cancellation).ConfigureAwait(false);
        if (sets is null)
            return Next.Retry;
        DeploymentView view = Read(deployment, sets);
        DeploymentPlan plan = DeploymentPlanner.Plan(view);
        bool ok = await CreateAsync(view, plan, cancellation).ConfigureAwait(false);
        foreach (ReplicaSetChange change in plan.Changes)
            ok = ok && await ChangeAsync(view, change, cancellation).ConfigureAwait(false);
        foreach (ReplicaSetState old in plan.Delete)
            ok = ok && (await Cluster.DeleteAsync(Kinds.ReplicaSet, old.Object, DeleteOptions.Default, cancellation).ConfigureAwait(false)).Ok;
        if (ok && plan.Revision is { } revision)
        {
            var patch = new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [Annotations.Revision] = Annotations.Text(revision) } } };
            ok = (await Cluster.PatchAsync(Kinds.Deployment, deployment, patch, false, cancellation).ConfigureAwait(false)).Ok;
        }
        ok &= await WriteStatusAsync(view, plan.Status, cancellation).ConfigureAwait(false);
        return ok ? Next.In(plan.After) : Next.Retry;
    }

    private DeploymentView Read(KubeObject deployment, List<KubeObject> sets)
    {
        DateTimeOffset now = Cluster.Now;
        var states = new List<ReplicaSetState>(sets.Count);
        foreach (KubeObject set in sets)
        {
            ReplicaSet view = set.View(ApiJson.Default.ReplicaSet);
            List<PodState> pods = Cluster.Pods.In(Copy.OwnedBy(set.Uid)).ConvertAll(p => PodState.Of(Cluster, p));
            int active = 0, running = pods.Count(p => !p.IsFinished), available = 0, unreachable = 0;
            foreach (PodState state in StandIns.Counted(pods))
            {
                active++;
                available += state.IsAvailable(view.Spec.MinReadySeconds ?? 0, now) ? 1 : 0;
                unreachable += state.Unreachable ? 1 : 0;
            }
            states.Add(new ReplicaSetState(set, view, active, running, available, unreachable));
        }
        return new DeploymentView(deployment, deployment.View(ApiJson.Default.Deployment), states, now);
    }

    private async ValueTask<bool> CreateAsync(DeploymentView view, DeploymentPlan plan, CancellationToken cancellation)
    {
        if (plan.Create is not { } create)
            return true;
        ApiResult result = await Cluster.CreateAsync(Kinds.ReplicaSet, view.Object.Namespace, create.Document, cancellation).ConfigureAwait(false);
        if (result.Ok)
        {
            if (create.Size > 0)
                Cluster.Events.Normal(view.Object, "ScalingReplicaSet", $"Scaled up replica set {create.Name} from 0 to {create.Size}");
            return true;
        }
        if (result.IsAlreadyExists)
            return await ResolveTakenNameAsync(view, plan, create, cancellation).ConfigureAwait(false);
        plan.Status.Conditions = Conditions.With(plan.Status.Conditions, new Condition
        {
            Type = DeploymentProgress.Progressing,
            Status = "False",
            Reason = "ReplicaSetCreateError",
            Message = result.Error!.Message,
            LastUpdateTime = view.Now,
            LastTransitionTime = view.Now,
        });
        Cluster.Events.Warning(view.Object, "ReplicaSetCreateError", $"Failed to create new replica set \"{create.Name}\": {result.Error.Message}");
        return PodBatch.IsNamespaceEnding(result.Error);
    }

    /// <summary>The name is taken: by our own set that the mirror has not shown, or by a stranger, and then the next hash is tried.</summary>
    private async ValueTask<bool> ResolveTakenNameAsync(DeploymentView view, DeploymentPlan plan, NewReplicaSet create, CancellationToken cancellation)
    {
        ApiResult taken = await Cluster.Api.GetAsync(Kinds.ReplicaSet, view.Object.Namespace, create.Name, cancellation).ConfigureAwait(false);
        if (taken.Object is not { } set)
            return false;
        Cluster.Of(Kinds.ReplicaSet).Wrote(set);
        bool ours = set.Metadata.Controller()?.Uid == view.Object.Uid
            && TemplateHash.Equal(set.View(ApiJson.Default.ReplicaSet).Spec.Template, view.Spec.Template, Annotations.TemplateHashLabel);
        if (!ours)
            plan.Status.CollisionCount = (view.Deployment.Status?.CollisionCount ?? 0) + 1;
        return false;
    }

    private async ValueTask<bool> ChangeAsync(DeploymentView view, ReplicaSetChange change, CancellationToken cancellation)
    {
        var patch = new JsonObject();
        var spec = new JsonObject();
        if (change.Size != change.Set.Size)
            spec["replicas"] = change.Size;
        if (change.MinReadySeconds is { } minReady)
            spec["minReadySeconds"] = minReady;
        if (spec.Count > 0)
            patch["spec"] = spec;
        if (change.Annotations.Count > 0)
        {
            JsonObject annotations = PodDocuments.Child(PodDocuments.Child(patch, "metadata"), "annotations");
            foreach (KeyValuePair<string, string> annotation in change.Annotations)
                annotations[annotation.Key] = annotation.Value;
        }
        ApiResult result = await Cluster.PatchAsync(Kinds.ReplicaSet, change.Set.Object, patch, true, cancellation).ConfigureAwait(false);
        if (result.Ok && change.Size != change.Set.Size)
            Cluster.Events.Normal(view.Object, "ScalingReplicaSet",
                $"Scaled {(change.Size > change.Set.Size ? "up" : "down")} replica set {change.Set.Object.Name} from {change.Set.Size} to {change.Size}");
        return result.Ok;
    }

    private async ValueTask<bool> WriteStatusAsync(DeploymentView view, DeploymentStatus status, CancellationToken cancellation)
    {
        var wanted = new JsonObject
        {
            ["observedGeneration"] = status.ObservedGeneration,
            ["replicas"] = Conditions.Count(status.Replicas ?? 0),
            ["updatedReplicas"] = Conditions.Count(status.UpdatedReplicas ?? 0),
            ["readyReplicas"] = Conditions.Count(status.ReadyReplicas ?? 0),
            ["availableReplicas"] = Conditions.Count(status.AvailableReplicas ?? 0),
            ["unavailableReplicas"] = Conditions.Count(status.UnavailableReplicas ?? 0),
            ["collisionCount"] = status.CollisionCount is { } collisions ? collisions : null,
            ["conditions"] = Conditions.ToJson(status.Conditions ?? []),
        };
        if (StatusPatch.Changes(view.Object, wanted) is not { } patch)
            return true;
        ApiResult result = await Cluster.PatchAsync(Kinds.Deployment, view.Object, patch, false, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }

    private void WakeFor(KubeObject pod)
    {
        if (PodEvents.Owner(pod, Kinds.ReplicaSet) is { } set && PodEvents.Owner(Cluster.Of(Kinds.ReplicaSet).Get(set), Kinds.Deployment) is { } deployment)
            Queue.Add(deployment);
    }
}
