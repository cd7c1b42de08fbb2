using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.Revisions;

namespace Atoll.Orchestration.StatefulSets;

/// <summary>Carries out what <see cref="StatefulSetPlan"/> says, keeps the revisions, the identities' labels and the claims.</summary>
internal sealed class StatefulSetController : Controller
{
    public StatefulSetController(Cluster cluster) : base(cluster)
    {
        PodEvents.Listen(cluster, Kinds.StatefulSet, Queue, static o => o.View(ApiJson.Default.StatefulSet).Spec.Selector);
        cluster.Of(Kinds.ControllerRevision).Listen((old, now) =>
        {
            if (now is null && PodEvents.Owner(old, Kinds.StatefulSet) is { } owner)
                Queue.Add(owner);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.StatefulSet).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.StatefulSet).Get(key) is not { } set)
            return Next.Done;
        StatefulSet spec = set.View(ApiJson.Default.StatefulSet);
        if (await Claims.ClaimAsync(Cluster, Kinds.StatefulSet, set, spec.Spec.Selector, Cluster.Pods, [], cancellation, pod => StatefulSetView.IsMember(set, pod)).ConfigureAwait(false) is null)
            return Next.Retry;
        List<KubeObject> revisions = [.. Cluster.Of(Kinds.ControllerRevision).In(Copy.OwnedBy(set.Uid)).Where(r => r.Metadata.Controller()?.Uid == set.Uid)];
        var revised = new RevisedSet(Kinds.StatefulSet, set, spec.Spec.Template, spec.Status?.CollisionCount, spec.Spec.RevisionHistoryLimit);
        (KubeObject? update, int? collisions) = await RevisionHistory.EnsureAsync(Cluster, revised, revisions, cancellation).ConfigureAwait(false);
        if (update is null)
        {
            await RevisionHistory.TellCollisionsAsync(Cluster, revised, collisions, cancellation).ConfigureAwait(false);
            return set.IsDeleting ? Next.Done : Next.Retry;
        }
        KubeObject current = revisions.Find(r => r.Name == spec.Status?.CurrentRevision) ?? update;
        StatefulSetView view = Read(set, spec, current.Name, update.Name);
        bool ok = await ExecuteAsync(view, StatefulSetPlan.Make(view), RevisionHistory.Template(current), spec.Spec.Template, cancellation).ConfigureAwait(false);
        ok &= await IdentifyAsync(view, cancellation).ConfigureAwait(false);
        ok &= await StatefulClaims.OwnAsync(Cluster, view, cancellation).ConfigureAwait(false);
        var live = view.Pods.Select(StatefulSetView.Revision).Append(current.Name).Append(update.Name).ToHashSet(StringComparer.Ordinal);
        if (!set.IsDeleting)
            foreach (KubeObject old in RevisionHistory.Surplus(revised, revisions, r => live.Contains(r.Name)))
                ok &= (await Cluster.DeleteAsync(Kinds.ControllerRevision, old, DeleteOptions.Default, cancellation).ConfigureAwait(false)).Ok;
        view = Read(set, spec, current.Name, update.Name);
        ok &= await WriteStatusAsync(view, StatefulSetPlan.Status(view, collisions), cancellation).ConfigureAwait(false);
        return ok ? Next.In(PodState.NextAvailable(view.Pods, view.MinReady, view.Now)) : Next.Retry;
    }

    private async ValueTask<bool> ExecuteAsync(StatefulSetView view, StatefulSetPlan plan, JsonElement current, JsonElement update, CancellationToken cancellation)
    {
        ApiStatus? failure = await PodBatch.SlowStartAsync(Math.Min(plan.Create.Count, PodBatch.Burst), async i =>
        {
            int ordinal = plan.Create[i];
            if (await StatefulClaims.EnsureAsync(Cluster, view, ordinal, cancellation).ConfigureAwait(false) is { } waiting)
                return waiting;
            string revision = view.RevisionOf(ordinal);
            return await PodBatch.CreateAsync(Cluster, view.Object, StatefulPods.Document(view.Object, view.Set, ordinal, revision == view.Current ? current : update, revision), cancellation).ConfigureAwait(false);
        }).ConfigureAwait(false);
        bool ok = failure is null ? plan.Create.Count <= PodBatch.Burst : PodBatch.IsNamespaceEnding(failure);
        foreach (PodState pod in plan.Delete)
        {
            if (pod.IsFinished)
                Cluster.Events.Warning(view.Object, "RecreatingFailedPod", $"StatefulSet {view.Object.Key} is recreating {pod.Phase.ToLowerInvariant()} Pod {pod.Object.Name}");
            ok &= (await PodBatch.DeleteAsync(Cluster, view.Object, pod.Object, cancellation).ConfigureAwait(false)).Ok;
        }
        return ok;
    }

    /// <summary>Gives back the labels of an identity that somebody took off, or an adopted pod never had.</summary>
    private async ValueTask<bool> IdentifyAsync(StatefulSetView view, CancellationToken cancellation)
    {
        bool ok = true;
        foreach (PodState pod in view.Pods)
        {
            string ordinal = pod.Object.Name[(view.Object.Name.Length + 1)..];
            if (pod.IsDeleting || (pod.Object.Metadata.Label(StatefulPods.NameLabel) == pod.Object.Name && pod.Object.Metadata.Label(StatefulPods.IndexLabel) == ordinal))
                continue;
            var labels = new JsonObject { [StatefulPods.NameLabel] = pod.Object.Name, [StatefulPods.IndexLabel] = ordinal };
            ApiResult result = await Cluster.PatchAsync(Kinds.Pod, pod.Object, new JsonObject { ["metadata"] = new JsonObject { ["labels"] = labels } }, false, cancellation).ConfigureAwait(false);
            ok &= result.Ok || result.IsNotFound;
        }
        return ok;
    }

    private StatefulSetView Read(KubeObject set, StatefulSet view, string current, string update)
    {
        var pods = new List<PodState>();
        foreach (KubeObject pod in Cluster.Pods.In(Copy.OwnedBy(set.Uid)))
            if (pod.Metadata.Controller()?.Uid == set.Uid && StatefulSetView.IsMember(set, pod))
                pods.Add(PodState.Of(Cluster, pod));
        return new StatefulSetView(set, view, current, update, pods, Cluster.Now);
    }

    private async ValueTask<bool> WriteStatusAsync(StatefulSetView view, StatefulSetStatus status, CancellationToken cancellation)
    {
        var wanted = new JsonObject
        {
            ["observedGeneration"] = status.ObservedGeneration,
            ["replicas"] = status.Replicas,
            ["readyReplicas"] = Conditions.Count(status.ReadyReplicas ?? 0),
            ["availableReplicas"] = status.AvailableReplicas ?? 0,
            ["currentReplicas"] = Conditions.Count(status.CurrentReplicas ?? 0),
            ["updatedReplicas"] = Conditions.Count(status.UpdatedReplicas ?? 0),
            ["currentRevision"] = status.CurrentRevision,
            ["updateRevision"] = status.UpdateRevision,
            ["collisionCount"] = status.CollisionCount ?? 0,
            ["conditions"] = status.Conditions is { Count: > 0 } conditions ? Conditions.ToJson(conditions) : null,
        };
        if (StatusPatch.Changes(view.Object, wanted) is not { } patch)
            return true;
        ApiResult result = await Cluster.PatchAsync(Kinds.StatefulSet, view.Object, patch, false, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }
}
