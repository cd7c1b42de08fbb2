using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Volumes;

/// <summary>Takes finalizers off.</summary>
internal static class Finalizers
{
    /// <summary>Removes one finalizer of this very version of an object.</summary>
    public static async ValueTask<Next> RemoveAsync(Cluster cluster, ResourceType type, KubeObject target, string finalizer, CancellationToken cancellation)
    {
        var left = new JsonArray();
        foreach (string other in target.Metadata.Finalizers ?? [])
            if (other != finalizer)
                left.Add((JsonNode)other);
        ApiResult result = await cluster.PatchAsync(type, target, new JsonObject { ["metadata"] = new JsonObject { ["finalizers"] = left } }, true, cancellation).ConfigureAwait(false);
        return result.Ok || result.IsNotFound ? Next.Done : Next.Retry;
    }
}
