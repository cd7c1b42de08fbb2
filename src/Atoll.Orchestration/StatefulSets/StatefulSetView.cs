using System.Globalization;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.Revisions;

namespace Atoll.Orchestration.StatefulSets;

/// <summary>
/// What the core sees of a StatefulSet. <see cref="Current"/> and <see cref="Update"/> name the revisions that an update leaves and
/// goes to; they are one when none is under way.
/// </summary>
internal sealed record StatefulSetView(KubeObject Object, StatefulSet Set, string Current, string Update, IReadOnlyList<PodState> Pods, DateTimeOffset Now)
{
    public int Replicas => Set.Spec.Replicas ?? 1;

    public int Start => Set.Spec.Ordinals?.Start ?? 0;

    public int MinReady => Set.Spec.MinReadySeconds ?? 0;

    public bool IsOrdered => Set.Spec.PodManagementPolicy != "Parallel";

    public bool IsRolling => Set.Spec.UpdateStrategy?.Type is null or "RollingUpdate";

    /// <summary>The first ordinal that an update reaches.</summary>
    public int FirstUpdated => Start + (Set.Spec.UpdateStrategy?.RollingUpdate?.Partition ?? 0);

    /// <summary>How many pods an update may have unavailable at a time; at least 1.</summary>
    public int MaxUnavailable =>
        Set.Spec.UpdateStrategy?.RollingUpdate?.MaxUnavailable is { } most && most.TryScale(Replicas, false, out int scaled) ? Math.Max(1, scaled) : 1;

    /// <summary>The revision that a pod made now for an ordinal is of.</summary>
    public string RevisionOf(int ordinal) => IsRolling && ordinal < FirstUpdated ? Current : Update;

    /// <summary>Running, ready for as long as asked, within reach and not on its way out.</summary>
    public bool IsHealthy(PodState pod) => !pod.IsDeleting && !pod.IsFinished && pod.IsAvailable(MinReady, Now);

    /// <summary>True when an object's name is one of the set's identities.</summary>
    public static bool IsMember(KubeObject set, KubeObject pod) => Ordinal(set, pod) >= 0;

    /// <summary>The ordinal in a pod's name, or -1.</summary>
    public static int Ordinal(KubeObject set, KubeObject pod) =>
        pod.Name.Length > set.Name.Length + 1 && pod.Name.StartsWith(set.Name, StringComparison.Ordinal) && pod.Name[set.Name.Length] == '-'
        && int.TryParse(pod.Name.AsSpan(set.Name.Length + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal)
        && ordinal.ToString(CultureInfo.InvariantCulture).Length == pod.Name.Length - set.Name.Length - 1 ? ordinal : -1;

    /// <summary>True when an identity, such as db-0, is one of those that the set is to have.</summary>
    public static bool Wants(StatefulSet set, string identity) =>
        int.TryParse(identity.AsSpan(identity.LastIndexOf('-') + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int ordinal)
        && ordinal - (set.Spec.Ordinals?.Start ?? 0) is >= 0 and int slot && slot < (set.Spec.Replicas ?? 1);

    /// <summary>The ordinal of one of the set's pods.</summary>
    public int Ordinal(PodState pod) => Ordinal(Object, pod.Object);

    /// <summary>The revision that a pod is of.</summary>
    public static string Revision(PodState pod) => pod.Object.Metadata.Label(RevisionHistory.HashLabel) ?? "";
}
