using System.Globalization;
using System.Numerics;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.ReplicaSets;

/// <summary>
/// Which pods go first when there are too many. Kubernetes' order (kubernetes.io, "ReplicaSet: scaling down"): unassigned
/// before assigned, pending before running, not ready before ready, lower deletion cost, nodes with more of the same
/// workload, shorter ready (by orders of magnitude), more restarts, newer (by orders of magnitude). A pod that is out of
/// reach stands between not ready and ready: what is known to serve is kept, and what is known to be broken goes first.
/// </summary>
internal sealed class PodRanking(IReadOnlyDictionary<string, int> relatedOnNode, DateTimeOffset now) : IComparer<PodState>
{
    /// <summary>Annotation with the cost of deleting a pod; lower costs go first.</summary>
    public const string DeletionCost = "controller.kubernetes.io/pod-deletion-cost";

    /// <summary>Negative when <paramref name="x"/> should be deleted before <paramref name="y"/>.</summary>
    public int Compare(PodState? x, PodState? y)
    {
        ArgumentNullException.ThrowIfNull(x);
        ArgumentNullException.ThrowIfNull(y);
        int order = Assigned(x).CompareTo(Assigned(y));
        if (order == 0)
            order = Phase(x).CompareTo(Phase(y));
        if (order == 0)
            order = Readiness(x).CompareTo(Readiness(y));
        if (order == 0)
            order = Cost(x).CompareTo(Cost(y));
        if (order == 0)
            order = Related(y).CompareTo(Related(x));
        if (order == 0 && x.ReportedReady && y.ReportedReady)
            order = Magnitude(x.ReadySince).CompareTo(Magnitude(y.ReadySince));
        if (order == 0)
            order = y.Restarts.CompareTo(x.Restarts);
        if (order == 0)
            order = Magnitude(x.Object.Metadata.CreationTimestamp).CompareTo(Magnitude(y.Object.Metadata.CreationTimestamp));
        return order != 0 ? order : string.CompareOrdinal(x.Object.Uid, y.Object.Uid);
    }

    private static int Assigned(PodState pod) => string.IsNullOrEmpty(pod.View.Spec.NodeName) ? 0 : 1;

    private static int Phase(PodState pod) => pod.Phase switch { "Pending" => 0, "Unknown" => 1, _ => 2 };

    private static int Readiness(PodState pod) => pod.IsReady ? 2 : pod.ReportedReady ? 1 : 0;

    private static int Cost(PodState pod) =>
        int.TryParse(pod.Object.Metadata.Annotation(DeletionCost), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int cost) ? cost : 0;

    private int Related(PodState pod) => pod.View.Spec.NodeName is { Length: > 0 } node ? relatedOnNode.GetValueOrDefault(node) : 0;

    /// <summary>Order of magnitude (base 2) of an age: ages that differ little are ties, so that the choice spreads.</summary>
    private int Magnitude(DateTimeOffset? since)
    {
        double seconds = since is { } time ? Math.Max(0, (now - time).TotalSeconds) : 0;
        return seconds < 1 ? 0 : BitOperations.Log2((ulong)seconds) + 1;
    }
}
