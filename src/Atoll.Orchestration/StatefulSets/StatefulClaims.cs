using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.StatefulSets;

/// <summary>
/// The claims of each identity: made before its pod, kept when the pod goes, and given an owner as
/// <c>persistentVolumeClaimRetentionPolicy</c> says, so that garbage collection removes them at the right time.
/// </summary>
internal static class StatefulClaims
{
    private static readonly ResourceType? s_type = Kinds.Find("v1", "PersistentVolumeClaim");

    /// <summary>Makes the claims of an ordinal that is about to get its pod; says why when the pod must wait.</summary>
    public static async ValueTask<ApiStatus?> EnsureAsync(Cluster cluster, StatefulSetView view, int ordinal, CancellationToken cancellation)
    {
        if (s_type is null)
            return null;
        foreach ((string name, JsonObject template) in StatefulPods.Claims(view.Set))
        {
            if (cluster.Of(s_type).Get($"{view.Object.Namespace}/{name}-{StatefulPods.Name(view.Object, ordinal)}") is { } there)
            {
                if (there.IsDeleting)
                    return ApiStatus.Conflict(s_type, there.Name, "the claim is being deleted");
                continue;
            }
            JsonObject claim = StatefulPods.Claim(view.Object, view.Set, name, template, ordinal, Owner(view, null));
            ApiResult result = await cluster.CreateAsync(s_type, view.Object.Namespace, claim, cancellation).ConfigureAwait(false);
            if (result.Error is { } failure && !result.IsAlreadyExists)
            {
                cluster.Events.Warning(view.Object, "FailedCreate", $"create Claim {(string?)claim["metadata"]?["name"]} for Pod {StatefulPods.Name(view.Object, ordinal)} failed: {failure.Message}");
                return failure;
            }
        }
        return null;
    }

    /// <summary>Puts the owners right: those of identities that are scaled away go with their pods when the policy says so.</summary>
    public static async ValueTask<bool> OwnAsync(Cluster cluster, StatefulSetView view, CancellationToken cancellation)
    {
        if (s_type is null || view.Object.IsDeleting)
            return true;
        bool ok = true;
        foreach (string name in StatefulPods.Claims(view.Set).Keys)
            foreach (PodState pod in view.Pods)
            {
                if (cluster.Of(s_type).Get($"{view.Object.Namespace}/{name}-{pod.Object.Name}") is not { IsDeleting: false } claim)
                    continue;
                bool condemned = view.Ordinal(pod) < view.Start || view.Ordinal(pod) >= view.Start + view.Replicas;
                JsonArray wanted = Claims.Without(claim, view.Object.Uid, pod.Object.Uid);
                if (Owner(view, condemned ? pod : null) is { } owner)
                    wanted.Add((JsonNode)owner);
                if (Same(claim, wanted))
                    continue;
                var patch = new JsonObject { ["metadata"] = new JsonObject { ["ownerReferences"] = wanted.Count == 0 ? null : wanted } };
                ApiResult result = await cluster.PatchAsync(s_type, claim, patch, true, cancellation).ConfigureAwait(false);
                ok &= result.Ok || result.IsNotFound;
            }
        return ok;
    }

    private static JsonObject? Owner(StatefulSetView view, PodState? condemned)
    {
        ClaimRetention? policy = view.Set.Spec.PersistentVolumeClaimRetentionPolicy;
        JsonObject? owner = condemned is not null && policy?.WhenScaled == "Delete" ? PodDocuments.ControllerReference(condemned.Object)
            : policy?.WhenDeleted == "Delete" ? PodDocuments.ControllerReference(view.Object) : null;
        // Nobody controls a claim: its owner only takes it along.
        owner?.Remove("controller");
        owner?.Remove("blockOwnerDeletion");
        return owner;
    }

    private static bool Same(KubeObject claim, JsonArray wanted) =>
        (claim.Metadata.OwnerReferences ?? []).Select(o => o.Uid).Order(StringComparer.Ordinal).SequenceEqual(wanted.Select(o => (string?)o!["uid"] ?? "").Order(StringComparer.Ordinal), StringComparer.Ordinal);
}
