using Atoll.Api.Objects;
using Atoll.Api.Selectors;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Pods;

/// <summary>Turns changes of pods and nodes into keys of the owners that should look again.</summary>
internal static class PodEvents
{
    /// <summary>
    /// Wakes owners of one kind: the controller of a pod that changed (and the one it had before), every owner whose
    /// selector matches an orphan, and the owners of all pods on a node whose reachability changed.
    /// </summary>
    public static void Listen(Cluster cluster, ResourceType ownerType, WorkQueue queue, Func<KubeObject, LabelSelector?> selector)
    {
        cluster.Of(ownerType).Listen((old, now) => queue.Add((now ?? old!).Key));
        cluster.Pods.Listen((old, now) =>
        {
            string? before = Owner(old, ownerType), after = Owner(now, ownerType);
            if (before is not null && before != after)
                queue.Add(before);
            if (after is not null)
                queue.Add(after);
            else if (now is not null && now.Metadata.Controller() is null && !now.IsDeleting)
                foreach (KubeObject owner in cluster.Of(ownerType).In(Copy.InNamespace(now.Namespace)))
                    if (selector(owner) is { IsEmpty: false } wanted && wanted.Matches(now.Metadata.Labels))
                        queue.Add(owner.Key);
        });
        cluster.Nodes.Listen((old, now) =>
        {
            if (NodeState.IsUnreachable(old) == NodeState.IsUnreachable(now))
                return;
            foreach (KubeObject pod in cluster.Pods.In(Copy.OnNode((now ?? old!).Name)))
                if (Owner(pod, ownerType) is { } owner)
                    queue.Add(owner);
        });
    }

    /// <summary>Key of the controller of an object when it is of the given kind.</summary>
    public static string? Owner(KubeObject? value, ResourceType type) =>
        value?.Metadata.Controller() is { } controller && controller.Kind == type.Kind && controller.ApiVersion == type.ApiVersion
            ? $"{value.Namespace}/{controller.Name}"
            : null;
}
