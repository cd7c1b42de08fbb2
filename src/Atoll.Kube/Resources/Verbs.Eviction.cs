using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

internal sealed partial class Verbs
{
    private const int RetryEvictionSeconds = 10;

    /// <summary>
    /// Takes one disruption from the budget of a pod that is to be evicted, by compare-and-set, so that two evictions cannot share
    /// one. A pod that does no work any more, or none yet, needs none. Null when it may go. Source: Kubernetes, pods/eviction.
    /// </summary>
    private async ValueTask<ApiStatus?> SpendAsync(string? ns, string name, CallContext call)
    {
        for (int attempt = 0; attempt < MaxAttempts; attempt++)
        {
            if (await ReadAsync(Kinds.Pod, ns, name, call.Cancellation).ConfigureAwait(false) is not { } current)
                return ApiStatus.NotFound(Kinds.Pod, name);
            KubeObject pod = current.Object;
            PodStatus? status = pod.View(ApiJson.Default.Pod).Status;
            if (pod.IsDeleting || status?.Phase is "Succeeded" or "Failed" or "Pending")
                return null;
            List<CachedObject> budgets = [];
            foreach (CachedObject candidate in cacheOf(Kinds.PodDisruptionBudget).List(Selection.All, "", out _))
                if (candidate.Object.Namespace == ns && candidate.Object.View(ApiJson.Default.PodDisruptionBudget).Spec.Selector?.Matches(pod.Metadata.Labels) == true)
                    budgets.Add(candidate);
            if (budgets.Count == 0)
                return null;
            if (budgets.Count > 1)
                return ApiStatus.InternalError("This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.");
            PodDisruptionBudget budget = budgets[0].Object.View(ApiJson.Default.PodDisruptionBudget);
            if (status?.Condition("Ready")?.Status != "True" && NeedsNone(budget))
                return null;
            if (Refusal(budget) is { } refused)
                return refused;
            JsonObject document = JsonNode.Parse(budgets[0].Utf8.Span)!.AsObject();
            JsonObject now = document.Ensure("status");
            now["disruptionsAllowed"] = budget.Status!.DisruptionsAllowed - 1;
            now.Ensure("disruptedPods")[name] = Now();
            if (await StoreAsync(Kinds.PodDisruptionBudget, ns, budgets[0].Object.Name, document, budgets[0], call).ConfigureAwait(false) is { } done)
                return done.Error;
        }
        return ApiStatus.TooManyRequests("Cannot evict pod: its disruption budget changes too fast.", RetryEvictionSeconds);
    }

    // A pod that is not ready costs nothing where the others suffice, or where the budget says so.
    private static bool NeedsNone(PodDisruptionBudget budget) => budget.Spec.UnhealthyPodEvictionPolicy == "AlwaysAllow"
        || (budget.Status is { DesiredHealthy: > 0 } status && status.CurrentHealthy >= status.DesiredHealthy);

    private static ApiStatus? Refusal(PodDisruptionBudget budget)
    {
        string name = budget.Metadata.Name ?? "";
        if ((budget.Status?.ObservedGeneration ?? 0) < (budget.Metadata.Generation ?? 0))
            return Refused($"The disruption budget {name} is still being processed by the server.");
        if (budget.Status is null or { DisruptionsAllowed: <= 0 })
            return Refused($"The disruption budget {name} needs {budget.Status?.DesiredHealthy ?? 0} healthy pods and has {budget.Status?.CurrentHealthy ?? 0} currently");
        return null;

        static ApiStatus Refused(string why)
        {
            ApiStatus status = ApiStatus.TooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", RetryEvictionSeconds);
            status.Details!.Causes = [new StatusCause { Reason = "DisruptionBudget", Message = why }];
            return status;
        }
    }
}
