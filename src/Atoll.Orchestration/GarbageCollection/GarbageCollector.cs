using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.GarbageCollection;

/// <summary>
/// Deletes what its owners left behind. The graph is the copies themselves: each is indexed by owner UID, so the
/// dependents of an object are one look-up and nothing polls. An owner is an identity, not a name: one that was deleted
/// and made again under the same name is another, and what the first one owned goes. Before anything is deleted the API
/// is asked, for the copy of the owner's kind may be later than that of the dependent's.
/// Behaviour: kubernetes.io, "Garbage Collection" (background, foreground with blockOwnerDeletion, orphan).
/// </summary>
internal sealed class GarbageCollector : Controller
{
    internal const string Foreground = "foregroundDeletion", Orphan = "orphan";

    public GarbageCollector(Cluster cluster) : base(cluster, 8)
    {
        foreach (Copy copy in cluster.Copies)
            copy.Listen((old, now) => Changed(copy, old, now));
    }

    /// <summary>Objects that may be anybody's business: with an owner that is not there, or waiting for their dependents.</summary>
    public override IEnumerable<string> Keys()
    {
        foreach (Copy copy in Cluster.Copies)
        {
            // There are far fewer owners than what they own, and bytes cost less to search than metadata to read.
            foreach (string owner in copy.OwnersNamed())
                if (!Lives(owner))
                    foreach (KubeObject value in copy.In(Copy.OwnedBy(owner)))
                        yield return KeyOf(copy.Type, value);
            foreach (KubeObject value in copy.All())
                if (value.Utf8.Span.IndexOf("\"deletionTimestamp\""u8) >= 0 && IsWaiting(value))
                    yield return KeyOf(copy.Type, value);
        }
    }

    private bool Lives(string uid)
    {
        foreach (Copy copy in Cluster.Copies)
            if (copy.ByUid(uid) is { } owner)
                return !owner.IsDeleting;
        return false;
    }

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        int bar = key.IndexOf('|', StringComparison.Ordinal);
        Copy? copy = Cluster.Copies.FirstOrDefault(c => key.AsSpan(0, bar).SequenceEqual(c.Type.GroupResource));
        if (copy?.Get(key[(bar + 1)..]) is not { } value)
            return Next.Done;
        bool ok = value.IsDeleting
            ? await FinishAsync(copy.Type, value, cancellation).ConfigureAwait(false)
            : value.Metadata.OwnerReferences is not { Count: > 0 } || await CollectAsync(copy.Type, value, cancellation).ConfigureAwait(false);
        return ok ? Next.Done : Next.Retry;
    }

    /// <summary>An object that is being deleted and holds on until its dependents are gone, or let go.</summary>
    private async ValueTask<bool> FinishAsync(ResourceType type, KubeObject value, CancellationToken cancellation)
    {
        if (Has(value, Orphan))
        {
            foreach ((ResourceType dependentType, KubeObject dependent) in Dependents(value.Uid))
                if (!await DropOwnersAsync(dependentType, dependent, [value.Uid], cancellation).ConfigureAwait(false))
                    return false;
            return await DropFinalizerAsync(type, value, Orphan, cancellation).ConfigureAwait(false);
        }
        if (!Has(value, Foreground))
            return true;
        bool blocked = false;
        foreach ((ResourceType dependentType, KubeObject dependent) in Dependents(value.Uid))
            if (dependent.Metadata.OwnerReferences!.Exists(o => o.Uid == value.Uid && o.BlockOwnerDeletion == true))
            {
                blocked = true;
                if (!dependent.IsDeleting)
                    Queue.Add(KeyOf(dependentType, dependent));
            }
        return blocked || await DropFinalizerAsync(type, value, Foreground, cancellation).ConfigureAwait(false);
    }

    /// <summary>An object with owners: stays while one of them lives, and loses the references to the others.</summary>
    private async ValueTask<bool> CollectAsync(ResourceType type, KubeObject value, CancellationToken cancellation)
    {
        bool solid = false, waiting = false;
        var drop = new List<string>();
        foreach (OwnerReference owner in value.Metadata.OwnerReferences!)
        {
            bool? exists = await ExistsAsync(type, value, owner, cancellation).ConfigureAwait(false);
            if (exists is null)
                return false;
            if (exists == false)
                drop.Add(owner.Uid);
            else if (Known(owner) is { IsDeleting: true } going && Has(going, Foreground))
            {
                waiting = true;
                drop.Add(owner.Uid);
            }
            else
                solid = true;
        }
        if (drop.Count == 0)
            return true;
        if (solid)
            return await DropOwnersAsync(type, value, [.. drop], cancellation).ConfigureAwait(false);
        bool hasDependents = Dependents(value.Uid).Any();
        string policy = waiting && hasDependents ? "Foreground" : Has(value, Orphan) ? "Orphan" : Has(value, Foreground) ? "Foreground" : "Background";
        // The version as well: somebody may be adopting it at this moment.
        ApiResult result = await Cluster.DeleteAsync(type, value, new DeleteOptions { PropagationPolicy = policy, ResourceVersion = value.ResourceVersion }, cancellation).ConfigureAwait(false);
        return result.Ok;
    }

    /// <summary>True, false, or null when it cannot be known now.</summary>
    private async ValueTask<bool?> ExistsAsync(ResourceType type, KubeObject value, OwnerReference owner, CancellationToken cancellation)
    {
        if (Known(owner) is { } known && (known.Namespace.Length == 0 || known.Namespace == value.Namespace))
            return true;
        if (Kinds.Find(owner.ApiVersion, owner.Kind) is not { } ownerType || (ownerType.Namespaced && !type.Namespaced))
            return true; // A kind that is not ours to judge.
        ApiResult result = await Cluster.Api.GetAsync(ownerType, ownerType.Namespaced ? value.Namespace : null, owner.Name, cancellation).ConfigureAwait(false);
        return result.IsNotFound ? false : result.Object is { } found ? found.Uid == owner.Uid : null;
    }

    private async ValueTask<bool> DropOwnersAsync(ResourceType type, KubeObject value, string[] uids, CancellationToken cancellation)
    {
        JsonArray rest = Claims.Without(value, uids);
        var patch = new JsonObject { ["metadata"] = new JsonObject { ["ownerReferences"] = rest.Count == 0 ? null : rest } };
        ApiResult result = await Cluster.PatchAsync(type, value, patch, true, cancellation).ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }

    private async ValueTask<bool> DropFinalizerAsync(ResourceType type, KubeObject value, string finalizer, CancellationToken cancellation)
    {
        var rest = new JsonArray();
        foreach (string name in value.Metadata.Finalizers ?? [])
            if (name != finalizer)
                rest.Add((JsonNode)name);
        ApiResult result = await Cluster.PatchAsync(type, value, new JsonObject { ["metadata"] = new JsonObject { ["finalizers"] = rest } }, true, cancellation).ConfigureAwait(false);
        return result.Ok || result.IsNotFound;
    }

    private void Changed(Copy copy, KubeObject? old, KubeObject? now)
    {
        foreach (OwnerReference owner in old?.Metadata.OwnerReferences ?? [])
            if (now?.Metadata.OwnerReferences?.Exists(o => o.Uid == owner.Uid && o.BlockOwnerDeletion == owner.BlockOwnerDeletion) != true && Known(owner) is { IsDeleting: true } held)
                Queue.Add(KeyOf(Kinds.Find(owner.ApiVersion, owner.Kind)!, held));
        if (old is not null && (now is null || now.Uid != old.Uid))
            foreach ((ResourceType type, KubeObject dependent) in Dependents(old.Uid))
                Queue.Add(KeyOf(type, dependent));
        if (now is not null && (IsWaiting(now) || (now.Metadata.OwnerReferences is { Count: > 0 } && !SameOwners(old, now))))
            Queue.Add(KeyOf(copy.Type, now));
    }

    private IEnumerable<(ResourceType Type, KubeObject Object)> Dependents(string uid)
    {
        string key = Copy.OwnedBy(uid);
        foreach (Copy copy in Cluster.Copies)
            if (copy.Any(key))
                foreach (KubeObject dependent in copy.In(key))
                    yield return (copy.Type, dependent);
    }

    private KubeObject? Known(OwnerReference owner) =>
        Kinds.Find(owner.ApiVersion, owner.Kind) is { } type ? Cluster.Find(type)?.ByUid(owner.Uid) : null;

    private static bool SameOwners(KubeObject? old, KubeObject now)
    {
        if (old is null || old.Uid != now.Uid || old.Metadata.OwnerReferences?.Count != now.Metadata.OwnerReferences!.Count)
            return false;
        for (int i = 0; i < now.Metadata.OwnerReferences.Count; i++)
            if (old.Metadata.OwnerReferences[i].Uid != now.Metadata.OwnerReferences[i].Uid)
                return false;
        return true;
    }

    private static bool IsWaiting(KubeObject value) => value.IsDeleting && (Has(value, Foreground) || Has(value, Orphan));

    private static bool Has(KubeObject value, string finalizer) => value.Metadata.Finalizers?.Contains(finalizer) == true;

    private static string KeyOf(ResourceType type, KubeObject value) => $"{type.GroupResource}|{value.Key}";
}
