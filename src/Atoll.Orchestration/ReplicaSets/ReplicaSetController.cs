using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Api.Selectors;
using Atoll.Orchestration.Defragmentation;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.ReplicaSets;

/// <summary>Keeps the number of pods of each ReplicaSet: claims, creates, deletes, counts.</summary>
internal sealed class ReplicaSetController : Controller
{
    public ReplicaSetController(Cluster cluster) : base(cluster) =>
        PodEvents.Listen(cluster, Kinds.ReplicaSet, Queue, static o => o.View(ApiJson.Default.ReplicaSet).Spec.Selector);

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.ReplicaSet).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.ReplicaSet).Get(key) is not { } set)
            return Next.Done;
        LabelSelector? selector = set.View(ApiJson.Default.ReplicaSet).Spec.Selector;
        if (await Claims.ClaimAsync(Cluster, Kinds.ReplicaSet, set, selector, Cluster.Pods, [], cancellation).ConfigureAwait(false) is null)
            return Next.Retry;
        ReplicaSetView view = Read(set);
        ReplicaSetPlan plan = ReplicaSetPlan.Make(view);
        ApiStatus? createFailure = await CreateAsync(view, plan.Create, cancellation).ConfigureAwait(false);
        createFailure ??= await StandInAsync(view, plan.StandIn, cancellation).ConfigureAwait(false);
        ApiStatus? deleteFailure = await DeleteAsync(view, plan.Delete, cancellation).ConfigureAwait(false);
        (string, string)? failure = createFailure is not null ? ("FailedCreate", createFailure.Message ?? "") : deleteFailure is not null ? ("FailedDelete", deleteFailure.Message ?? "") : null;
        if (plan.Create > 0 || plan.Delete.Count > 0 || plan.StandIn.Count > 0)
            view = Read(set);
        bool written = await WriteStatusAsync(view, ReplicaSetPlan.Status(view, failure), cancellation).ConfigureAwait(false);
        if (!written || deleteFailure is not null || (createFailure is not null && !PodBatch.IsNamespaceEnding(createFailure)))
            return Next.Retry;
        return plan.Create == PodBatch.Burst || plan.Delete.Count == PodBatch.Burst ? Next.In(TimeSpan.Zero) : Next.In(ReplicaSetPlan.After(view));
    }

    private ReplicaSetView Read(KubeObject set)
    {
        var pods = new List<PodState>();
        foreach (KubeObject pod in Cluster.Pods.In(Copy.OwnedBy(set.Uid)))
            if (pod.Metadata.Controller()?.Uid == set.Uid)
                pods.Add(PodState.Of(Cluster, pod));
        return new ReplicaSetView(set, set.View(ApiJson.Default.ReplicaSet), StandIn.Counted(pods), Related(set), Failover(set), Cluster.Now);
    }

    /// <summary>What the template says, or else the Deployment above, or this set.</summary>
    private FailoverPolicy Failover(KubeObject set)
    {
        KubeObject above = set.Metadata.Controller() is { Kind: "Deployment" } owner && Cluster.Of(Kinds.Deployment).Get($"{set.Namespace}/{owner.Name}") is { } deployment && deployment.Uid == owner.Uid ? deployment : set;
        return FailoverPolicy.Of(PodDocuments.Annotations(set.View(ApiJson.Default.ReplicaSet).Spec.Template), above.Metadata.Annotations);
    }

    private async ValueTask<ApiStatus?> StandInAsync(ReplicaSetView view, IReadOnlyList<PodState> originals, CancellationToken cancellation)
    {
        ApiStatus? failure = null;
        foreach (PodState original in originals)
        {
            Cluster.Events.Warning(view.Object, "FailoverStandIn", $"Pod {original.Object.Name} at site {original.Site} has been out of reach for longer than its failover-after; another is made to stand in for it");
            failure ??= (await PodBatch.CreateAsync(Cluster, view.Object, StandIns.Document(view.Set.Spec.Template, view.Object, original, view.Failover), cancellation).ConfigureAwait(false)).Error;
        }
        return failure;
    }

    /// <summary>Active pods a node, over all sets of the same Deployment.</summary>
    private Dictionary<string, int> Related(KubeObject set)
    {
        var related = new Dictionary<string, int>(StringComparer.Ordinal);
        List<KubeObject> sets = set.Metadata.Controller() is { } owner ? Cluster.Of(Kinds.ReplicaSet).In(Copy.OwnedBy(owner.Uid)) : [set];
        foreach (KubeObject sibling in sets)
            foreach (KubeObject pod in Cluster.Pods.In(Copy.OwnedBy(sibling.Uid)))
                if (PodState.Of(Cluster, pod) is { IsActive: true, View.Spec.NodeName: { Length: > 0 } node })
                    related[node] = related.GetValueOrDefault(node) + 1;
        return related;
    }

    private ValueTask<ApiStatus?> CreateAsync(ReplicaSetView view, int count, CancellationToken cancellation) =>
        PodBatch.SlowStartAsync(count, _ => PodBatch.CreateAsync(
            Cluster, view.Object, PodDocuments.FromTemplate(view.Set.Spec.Template, view.Object, PodDocuments.NamePrefix(view.Object.Name)), cancellation));

    private async ValueTask<ApiStatus?> DeleteAsync(ReplicaSetView view, IReadOnlyList<PodState> pods, CancellationToken cancellation)
    {
        ApiStatus? failure = null;
        foreach (PodState pod in pods)
            failure ??= (await PodBatch.DeleteAsync(Cluster, view.Object, pod.Object, cancellation).ConfigureAwait(false)).Error;
        return failure;
    }

    private async ValueTask<bool> WriteStatusAsync(ReplicaSetView view, ReplicaSetStatus status, CancellationToken cancellation)
    {
        var wanted = new JsonObject
        {
            ["replicas"] = status.Replicas,
            ["fullyLabeledReplicas"] = Conditions.Count(status.FullyLabeledReplicas ?? 0),
            ["readyReplicas"] = Conditions.Count(status.ReadyReplicas ?? 0),
            ["availableReplicas"] = Conditions.Count(status.AvailableReplicas ?? 0),
            ["observedGeneration"] = status.ObservedGeneration,
            ["conditions"] = status.Conditions is { Count: > 0 } conditions ? Conditions.ToJson(conditions) : null,
        };
        if (StatusPatch.Changes(view.Object, wanted) is not { } patch)
            return true;
        ApiResult result = await Cluster.PatchAsync(Kinds.ReplicaSet, view.Object, patch, false, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }
}
