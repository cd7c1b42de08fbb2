using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Disruption;

/// <summary>
/// Keeps the status of each PodDisruptionBudget: how many of its pods are healthy, how many have to be, and so how many may be
/// evicted now. A pod that an eviction was granted for counts as gone until it is, or for two minutes.
/// Source: kubernetes.io, "Specifying a Disruption Budget for your Application".
/// </summary>
internal sealed class DisruptionController : Controller
{
    internal static readonly TimeSpan GrantLasts = TimeSpan.FromMinutes(2);

    public DisruptionController(Cluster cluster) : base(cluster, 2)
    {
        cluster.Of(Kinds.PodDisruptionBudget).Listen((old, now) => Queue.Add((now ?? old!).Key));
        cluster.Pods.Listen((old, now) =>
        {
            string ns = (now ?? old!).Namespace;
            foreach (KubeObject budget in cluster.Of(Kinds.PodDisruptionBudget).In(Copy.InNamespace(ns)))
                if (Selects(budget, old) || Selects(budget, now))
                    Queue.Add(budget.Key);
        });
        cluster.Nodes.Listen((old, now) =>
        {
            if (NodeState.IsUnreachable(old) != NodeState.IsUnreachable(now))
                foreach (KubeObject pod in cluster.Pods.In(Copy.OnNode((now ?? old!).Name)))
                    foreach (KubeObject budget in cluster.Of(Kinds.PodDisruptionBudget).In(Copy.InNamespace(pod.Namespace)))
                        if (Selects(budget, pod))
                            Queue.Add(budget.Key);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.PodDisruptionBudget).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.PodDisruptionBudget).Get(key) is not { IsDeleting: false } budget)
            return Next.Done;
        PodDisruptionBudget view = budget.View(ApiJson.Default.PodDisruptionBudget);
        List<KubeObject> pods = Cluster.Pods.In(Copy.InNamespace(budget.Namespace)).FindAll(p => Selects(budget, p) && p.View(ApiJson.Default.Pod).Status?.Phase is not ("Succeeded" or "Failed"));
        int expected = Expected(view, pods), healthy = 0;
        int desired = view.Spec.MaxUnavailable is { } most ? Math.Max(0, expected - Scaled(most, expected))
            : view.Spec.MinAvailable is { } least ? least.IsString ? Scaled(least, expected) : least.Number
            : 0;
        var granted = new JsonObject();
        TimeSpan? next = null;
        foreach (KubeObject pod in pods)
        {
            if (pod.IsDeleting)
                continue;
            if (view.Status?.DisruptedPods?.TryGetValue(pod.Name, out DateTimeOffset since) == true && since + GrantLasts - Cluster.Now is { } left && left > TimeSpan.Zero)
            {
                granted[pod.Name] = KubeTime.Format(since);
                next = next is null || left < next ? left : next;
            }
            else if (PodState.Of(Cluster, pod).IsReady)
                healthy++;
        }
        int allowed = expected <= 0 ? 0 : Math.Max(0, healthy - desired);
        var wanted = new JsonObject
        {
            ["observedGeneration"] = budget.Metadata.Generation ?? 0,
            ["disruptionsAllowed"] = allowed,
            ["currentHealthy"] = healthy,
            ["desiredHealthy"] = desired,
            ["expectedPods"] = expected,
            ["disruptedPods"] = granted.Count > 0 ? granted : null,
            ["conditions"] = Conditions(view, allowed),
        };
        if (StatusPatch.Changes(budget, wanted) is not { } patch)
            return Next.In(next);
        // Of this very version: an eviction may have spent a disruption meanwhile.
        ApiResult result = await Cluster.PatchAsync(Kinds.PodDisruptionBudget, budget, patch, true, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound ? Next.In(next) : Next.Retry;
    }

    private static bool Selects(KubeObject budget, KubeObject? pod) =>
        pod is not null && pod.Namespace == budget.Namespace && budget.View(ApiJson.Default.PodDisruptionBudget).Spec.Selector?.Matches(pod.Metadata.Labels) == true;

    // A share is of what the owners want, so that pods which are missing now are not forgotten.
    private int Expected(PodDisruptionBudget budget, List<KubeObject> pods)
    {
        if (budget.Spec.MaxUnavailable is null && budget.Spec.MinAvailable?.IsString != true)
            return pods.Count;
        int expected = 0;
        var seen = new HashSet<string>(StringComparer.Ordinal);
        foreach (KubeObject pod in pods)
        {
            if (pod.Metadata.Controller() is not { } owner)
                expected++;
            else if (owner.Kind == "StatefulSet" && Cluster.Of(Kinds.StatefulSet).Get($"{pod.Namespace}/{owner.Name}") is { } stateful && stateful.Uid == owner.Uid)
                expected += seen.Add(owner.Uid) ? stateful.View(ApiJson.Default.StatefulSet).Spec.Replicas ?? 1 : 0;
            else if (owner.Kind != "ReplicaSet" || Cluster.Of(Kinds.ReplicaSet).Get($"{pod.Namespace}/{owner.Name}") is not { } set || set.Uid != owner.Uid)
                expected++;
            else if (set.Metadata.Controller() is { Kind: "Deployment" } above && Cluster.Of(Kinds.Deployment).Get($"{pod.Namespace}/{above.Name}") is { } deployment && deployment.Uid == above.Uid)
                expected += seen.Add(above.Uid) ? deployment.View(ApiJson.Default.Deployment).Spec.Replicas ?? 1 : 0;
            else
                expected += seen.Add(owner.Uid) ? set.View(ApiJson.Default.ReplicaSet).Spec.Replicas ?? 1 : 0;
        }
        return expected;
    }

    private static int Scaled(IntOrString amount, int of) => amount.TryScale(of, roundUp: true, out int value) ? value : 0;

    private JsonArray Conditions(PodDisruptionBudget budget, int allowed)
    {
        Condition? shown = budget.Status?.Conditions?.Find(c => c.Type == "DisruptionAllowed");
        string status = allowed > 0 ? "True" : "False";
        return new JsonArray(new JsonObject
        {
            ["type"] = "DisruptionAllowed",
            ["status"] = status,
            ["observedGeneration"] = budget.Metadata.Generation ?? 0,
            ["lastTransitionTime"] = KubeTime.Format(shown?.Status == status && shown.LastTransitionTime is { } since ? since : Cluster.Now),
            ["reason"] = allowed > 0 ? "SufficientPods" : "InsufficientPods",
            ["message"] = "",
        });
    }
}
