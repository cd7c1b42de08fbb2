using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Api.Selectors;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Pods;

/// <summary>What a controller's objects are, and which ones to take in or let go.</summary>
internal sealed record ClaimPlan(List<KubeObject> Owned, List<KubeObject> Adopt, List<KubeObject> Release)
{
    /// <summary>
    /// Kubernetes' rule: what names us as controller and matches is ours; what names us and does not match is released;
    /// an orphan that matches is adopted unless it or we are being deleted; what names another is not looked at.
    /// </summary>
    public static ClaimPlan Make(KubeObject owner, LabelSelector selector, IEnumerable<KubeObject> candidates)
    {
        var plan = new ClaimPlan([], [], []);
        foreach (KubeObject candidate in candidates)
        {
            bool matches = selector.Matches(candidate.Metadata.Labels);
            if (candidate.Metadata.Controller() is { } controller)
            {
                if (controller.Uid != owner.Uid)
                    continue;
                if (matches)
                    plan.Owned.Add(candidate);
                else if (!owner.IsDeleting && !candidate.IsDeleting)
                    plan.Release.Add(candidate);
            }
            else if (matches && !owner.IsDeleting && !candidate.IsDeleting)
                plan.Adopt.Add(candidate);
        }
        return plan;
    }
}

/// <summary>Carries a <see cref="ClaimPlan"/> out.</summary>
internal static class Claims
{
    /// <summary>
    /// The objects that belong to <paramref name="owner"/> after adoption and release. An empty selector claims nothing;
    /// what is not a <paramref name="member"/> is not looked at.
    /// Null when a write failed and the caller should try again.
    /// </summary>
    public static async ValueTask<List<KubeObject>?> ClaimAsync(Cluster cluster, ResourceType ownerType, KubeObject owner, LabelSelector? selector, Copy candidates, string[] finalizers, CancellationToken cancellation, Func<KubeObject, bool>? member = null)
    {
        if (selector is null || selector.IsEmpty)
            return [];
        IEnumerable<KubeObject> found = candidates.In(Copy.OwnedBy(owner.Uid)).Where(c => c.Metadata.Controller()?.Uid == owner.Uid).Concat(candidates.In(Copy.FreeIn(owner.Namespace)));
        ClaimPlan plan = ClaimPlan.Make(owner, selector, member is null ? found : found.Where(member));
        List<KubeObject> owned = plan.Owned;
        bool failed = false;
        foreach (KubeObject release in plan.Release)
        {
            ApiResult result = await cluster.PatchAsync(candidates.Type, release, Owners(Without(release, owner.Uid), Finalizers(release, [], finalizers)), true, cancellation).ConfigureAwait(false);
            failed |= !result.Ok && !result.IsNotFound;
        }
        if (plan.Adopt.Count > 0 && await MayAdoptAsync(cluster, ownerType, owner, cancellation).ConfigureAwait(false))
            foreach (KubeObject adopt in plan.Adopt)
            {
                JsonArray owners = Without(adopt, owner.Uid);
                owners.Add((JsonNode)PodDocuments.ControllerReference(owner));
                ApiResult result = await cluster.PatchAsync(candidates.Type, adopt, Owners(owners, Finalizers(adopt, finalizers, [])), true, cancellation).ConfigureAwait(false);
                if (result.Ok)
                    owned.Add(result.Object!);
                failed |= !result.Ok && !result.IsNotFound;
            }
        return failed ? null : owned;
    }

    /// <summary>The owner references of an object but for one owner's.</summary>
    public static JsonArray Without(KubeObject value, params string[] ownerUids)
    {
        var rest = new JsonArray();
        if (value.ToNode()["metadata"]?["ownerReferences"] is JsonArray all)
            foreach (JsonNode? reference in all)
                if (reference is not null && Array.IndexOf(ownerUids, (string?)reference["uid"]) < 0)
                    rest.Add(reference.DeepClone());
        return rest;
    }

    private static JsonObject Owners(JsonArray owners, JsonArray? finalizers)
    {
        var metadata = new JsonObject { ["ownerReferences"] = owners.Count == 0 ? null : owners };
        if (finalizers is not null)
            metadata["finalizers"] = finalizers;
        return new JsonObject { ["metadata"] = metadata };
    }

    private static JsonArray? Finalizers(KubeObject value, string[] add, string[] remove)
    {
        if (add.Length == 0 && remove.Length == 0)
            return null;
        var list = new JsonArray();
        foreach (string name in (value.Metadata.Finalizers ?? []).Except(remove).Union(add))
            list.Add((JsonNode)name);
        return list;
    }

    /// <summary>Adoption needs the newest word that the owner still is and is not going: a copy may be late.</summary>
    private static async ValueTask<bool> MayAdoptAsync(Cluster cluster, ResourceType type, KubeObject owner, CancellationToken cancellation)
    {
        ApiResult fresh = await cluster.Api.GetAsync(type, owner.Namespace, owner.Name, cancellation).ConfigureAwait(false);
        return fresh.Object is { } now && now.Uid == owner.Uid && !now.IsDeleting;
    }
}
