using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>What is needed to commit plans that were made apart.</summary>
public sealed partial class Snapshot
{
    /// <summary>
    /// True when the pods matter to each other, and to all others here, only by the room and ports that they take: then plans for
    /// parts of them may be made apart, and <see cref="HasRoom"/> tells whether a placement still holds.
    /// </summary>
    public bool AreIndependent(IReadOnlyList<KubeObject> pods)
    {
        ArgumentNullException.ThrowIfNull(pods);
        // Limits and reserved room are shared by pods on different nodes.
        if (Limits.Count > 0 || Reserved.Count > 0 || AnyHeadroom || DeviceColumns.Count > 0)
            return false;
        foreach (GroupRows rows in GroupList)
            if (!rows.Group.Terms.IsEmpty)
                return false;
        foreach (KubeObject pod in pods)
        {
            // Parts of a node, a site's resources, normalised cores and whole nodes are more than room in columns.
            if (GangNamed(pod) is not null || WantsOf(pod) is not null || pod.Utf8.Span.IndexOf("edge.atoll.dev/compute"u8) >= 0 || pod.Utf8.Span.IndexOf("site.edge.atoll.dev/"u8) >= 0)
                return false;
            PodSpec spec = pod.View(ApiJson.Default.Pod).Spec;
            // Two pods may want one volume, or share a claim that the first of them decides.
            if (spec.Volumes?.Exists(v => v.PersistentVolumeClaim is not null) == true)
                return false;
            if (spec.Affinity?.PodAffinity is not null || spec.Affinity?.PodAntiAffinity is not null || spec.TopologySpreadConstraints?.Exists(c => c.WhenUnsatisfiable != "ScheduleAnyway") == true)
                return false;
        }
        return true;
    }

    /// <summary>True when a node still has the room and the ports that a pod asks for.</summary>
    public bool HasRoom(KubeObject pod, string node)
    {
        ArgumentNullException.ThrowIfNull(pod);
        ArgumentNullException.ThrowIfNull(node);
        if (RowOf(pod, PodFields.Of(pod), node, nominated: false) is not { } wanted || !_rows.TryGetValue(node, out int row))
            return false;
        for (int r = 0; r < wanted.Requests.Length; r++)
            if (wanted.Requests[r] > 0 && (r >= Allocatable.Count || r >= Requested.Count && wanted.Requests[r] > Allocatable[r][row] || r < Requested.Count && wanted.Requests[r] > Allocatable[r][row] - Requested[r][row]))
                return false;
        foreach (PodRow there in wanted.Ports.IsEmpty ? [] : PodsAt[row] ?? [])
            if (there.Ports.Conflicts(wanted.Ports))
                return false;
        return true;
    }
}
