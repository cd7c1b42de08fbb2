using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Pods;

/// <summary>
/// One pod as a controller's core sees it. Unreachable is a state of its own: the pod is bound to a node whose Ready
/// condition is Unknown (its site's line is cut), so nothing is known of it. It is still there (it counts as a replica,
/// nothing is made in its place) but it is neither ready, available nor failed.
/// </summary>
internal sealed record PodState(KubeObject Object, Pod View, bool Unreachable)
{
    /// <summary>Since when its node is out of reach; null while it is within.</summary>
    public DateTimeOffset? UnreachableSince { get; init; }

    /// <summary>Site and region of its node, or null.</summary>
    public string? Site { get; init; }

    /// <inheritdoc cref="Site"/>
    public string? Region { get; init; }

    public string Phase => View.Status?.Phase ?? "Pending";

    public bool IsSucceeded => Phase == "Succeeded";

    public bool IsFailed => Phase == "Failed";

    /// <summary>Finished, well or badly.</summary>
    public bool IsFinished => IsSucceeded || IsFailed;

    public bool IsDeleting => Object.IsDeleting;

    /// <summary>Counts as a replica: neither finished nor on its way out.</summary>
    public bool IsActive => !IsFinished && !IsDeleting;

    /// <summary>What the node last reported, whether or not it is within reach.</summary>
    public bool ReportedReady => View.Status?.Condition("Ready") is { Status: "True" };

    /// <summary>Known to be ready now.</summary>
    public bool IsReady => ReportedReady && !Unreachable;

    /// <summary>When it became ready; null while it is not.</summary>
    public DateTimeOffset? ReadySince => View.Status?.Condition("Ready") is { Status: "True" } ready ? ready.LastTransitionTime : null;

    public int Restarts
    {
        get
        {
            int most = 0;
            if (View.Status?.ContainerStatuses is { } statuses)
                foreach (ContainerStatus status in statuses)
                    most = Math.Max(most, status.RestartCount);
            return most;
        }
    }

    /// <summary>Ready for at least <paramref name="minReadySeconds"/>.</summary>
    public bool IsAvailable(int minReadySeconds, DateTimeOffset now) => IsReady && AvailableIn(minReadySeconds, now) is null;

    /// <summary>How long a ready pod still has to stay ready until it is available; null when there is nothing to wait for.</summary>
    public TimeSpan? AvailableIn(int minReadySeconds, DateTimeOffset now)
    {
        if (!IsReady || minReadySeconds <= 0 || ReadySince is not { } since)
            return null;
        TimeSpan wait = since.AddSeconds(minReadySeconds) - now;
        return wait > TimeSpan.Zero ? wait : null;
    }

    /// <summary>The shortest wait until another of the pods becomes available.</summary>
    public static TimeSpan? NextAvailable(IEnumerable<PodState> pods, int minReadySeconds, DateTimeOffset now)
    {
        TimeSpan? next = null;
        foreach (PodState pod in pods)
            if (pod.AvailableIn(minReadySeconds, now) is { } wait && (next is null || wait < next))
                next = wait;
        return next;
    }

    /// <summary>The state of a pod in the cluster's copies.</summary>
    public static PodState Of(Cluster cluster, KubeObject pod)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        KubeObject? node = view.Spec.NodeName is { Length: > 0 } name ? cluster.Nodes.Get(name) : null;
        Condition? ready = NodeState.Ready(node);
        bool unreachable = ready?.Status == "Unknown";
        return new PodState(pod, view, unreachable)
        {
            UnreachableSince = unreachable ? ready!.LastTransitionTime : null,
            Site = node?.Metadata.Label(WellKnown.SiteLabel),
            Region = node?.Metadata.Label(WellKnown.RegionLabel),
        };
    }
}

/// <summary>What a node's conditions say.</summary>
internal static class NodeState
{
    /// <summary>True when the state of the node is unknown: the line to its site is cut.</summary>
    public static bool IsUnreachable(KubeObject? node) => ReadyStatus(node) == "Unknown";

    /// <summary>Status of the Ready condition, or null.</summary>
    public static string? ReadyStatus(KubeObject? node) => Ready(node)?.Status;

    /// <summary>The Ready condition, or null.</summary>
    public static Condition? Ready(KubeObject? node) => node?.View(ApiJson.Default.Node).Status?.Conditions?.Find(c => c.Type == "Ready");
}
