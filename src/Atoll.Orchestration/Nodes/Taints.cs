using Atoll.Api.Core;

namespace Atoll.Orchestration.Nodes;

/// <summary>Taints by name, and which tolerations answer them (kubernetes.io, "Taints and Tolerations").</summary>
internal static class Taints
{
    public const string NotReady = "node.kubernetes.io/not-ready", Unreachable = "node.kubernetes.io/unreachable", Unschedulable = "node.kubernetes.io/unschedulable",
        MemoryPressure = "node.kubernetes.io/memory-pressure", DiskPressure = "node.kubernetes.io/disk-pressure", PidPressure = "node.kubernetes.io/pid-pressure",
        NetworkUnavailable = "node.kubernetes.io/network-unavailable";

    public const string NoSchedule = "NoSchedule", NoExecute = "NoExecute";

    /// <summary>Keys that follow a node's conditions: they are set and taken away here, and never evict.</summary>
    public static IReadOnlyList<string> OfConditions { get; } = [NotReady, Unreachable, Unschedulable, MemoryPressure, DiskPressure, PidPressure, NetworkUnavailable];

    /// <summary>True when the toleration answers the taint.</summary>
    public static bool Tolerates(Toleration toleration, Taint taint)
    {
        if (!string.IsNullOrEmpty(toleration.Effect) && toleration.Effect != taint.Effect)
            return false;
        if (!string.IsNullOrEmpty(toleration.Key) && toleration.Key != taint.Key)
            return false;
        return toleration.Operator switch
        {
            "Exists" => true,
            null or "" or "Equal" => !string.IsNullOrEmpty(toleration.Key) && (toleration.Value ?? "") == (taint.Value ?? ""),
            _ => false,
        };
    }

    /// <summary>The first taint of the given effects that nothing tolerates, or null.</summary>
    public static Taint? Untolerated(IEnumerable<Taint>? taints, IReadOnlyList<Toleration> tolerations, params string[] effects)
    {
        foreach (Taint taint in taints ?? [])
            if (Array.IndexOf(effects, taint.Effect) >= 0 && !tolerations.Any(t => Tolerates(t, taint)))
                return taint;
        return null;
    }
}
