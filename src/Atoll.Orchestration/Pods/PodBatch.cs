using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Pods;

/// <summary>Creates many objects in growing batches: when the first one is refused, the rest is not even tried.</summary>
internal static class PodBatch
{
    /// <summary>Most creations or deletions in one look at a key (Kubernetes' burst).</summary>
    public const int Burst = 500;

    /// <summary>Runs <paramref name="create"/> for 0, 1, … in batches of 1, 2, 4, …; stops after a batch with a failure.</summary>
    public static async ValueTask<ApiStatus?> SlowStartAsync(int count, Func<int, ValueTask<ApiResult>> create)
    {
        int done = 0;
        for (int batch = 1; done < count; batch *= 2)
        {
            ApiStatus? failure = null;
            int end = Math.Min(count, done + batch);
            var calls = new List<Task<ApiResult>>(end - done);
            for (; done < end; done++)
                calls.Add(create(done).AsTask());
            foreach (ApiResult result in await Task.WhenAll(calls).ConfigureAwait(false))
                failure ??= result.Error;
            if (failure is not null)
                return failure;
        }
        return null;
    }

    /// <summary>Creates one pod and tells its owner's people about it.</summary>
    public static async ValueTask<ApiResult> CreateAsync(Cluster cluster, KubeObject owner, System.Text.Json.Nodes.JsonObject pod, CancellationToken cancellation)
    {
        ApiResult result = await cluster.CreateAsync(Kinds.Pod, owner.Namespace, pod, cancellation).ConfigureAwait(false);
        if (result.Object is { } created)
            cluster.Events.Normal(owner, "SuccessfulCreate", $"Created pod: {created.Name}");
        else if (!IsNamespaceEnding(result.Error))
            cluster.Events.Warning(owner, "FailedCreate", $"Error creating: {result.Error!.Message}");
        return result;
    }

    /// <summary>Deletes one pod and tells its owner's people about it.</summary>
    public static async ValueTask<ApiResult> DeleteAsync(Cluster cluster, KubeObject owner, KubeObject pod, CancellationToken cancellation)
    {
        ApiResult result = await cluster.DeleteAsync(Kinds.Pod, pod, ProtocolFaults.Is(ProtocolFault.Unfenced) ? new DeleteOptions { GracePeriodSeconds = 0 } : DeleteOptions.Default, cancellation).ConfigureAwait(false);
        if (result.Ok)
            cluster.Events.Normal(owner, "SuccessfulDelete", $"Deleted pod: {pod.Name}");
        else
            cluster.Events.Warning(owner, "FailedDelete", $"Error deleting: {result.Error!.Message}");
        return result;
    }

    /// <summary>True when nothing can be created because the namespace is going: no reason to try again.</summary>
    public static bool IsNamespaceEnding(ApiStatus? error) =>
        error is not null && (error.Details?.Causes?.Exists(c => c.Reason == "NamespaceTerminating") == true || (error.Reason == "Forbidden" && error.Message?.Contains("being terminated", StringComparison.Ordinal) == true));
}
