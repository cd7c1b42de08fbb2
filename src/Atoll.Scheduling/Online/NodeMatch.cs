using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>Tolerations against taints, and the words for nodes that a pod may not be on whatever else runs there.</summary>
internal static class NodeMatch
{
    public const string Unschedulable = "node(s) were unschedulable";
    public const string WrongName = "node(s) didn't match the requested node name";
    public const string Affinity = "node(s) didn't match Pod's node affinity/selector";
    public const string OtherNames = "node(s) didn't satisfy plugin(s) [NodeAffinity]";

    private const string CordonKey = "node.kubernetes.io/unschedulable";

    /// <summary>Why the pod may not pass a gate, or null: the cordon, then the first taint that keeps it away.</summary>
    public static string? CordonReason(PodSpec spec, NodeGate gate) =>
        gate.Unschedulable && !Tolerates(spec, CordonKey, null, "NoSchedule") ? Unschedulable : null;

    /// <summary>The first taint with effect NoSchedule or NoExecute that keeps the pod away, in words, or null.</summary>
    public static string? TaintReason(PodSpec spec, NodeGate gate)
    {
        foreach (Taint taint in gate.Taints)
            if (taint.Effect is "NoSchedule" or "NoExecute" && !Tolerates(spec, taint.Key, taint.Value, taint.Effect))
                return $"node(s) had untolerated taint {{{taint.Key}: {taint.Value}}}";
        return null;
    }

    /// <summary>How many PreferNoSchedule taints the pod does not tolerate.</summary>
    public static int Disliked(PodSpec spec, NodeGate gate)
    {
        int count = 0;
        foreach (Taint taint in gate.Taints)
            if (taint.Effect == "PreferNoSchedule" && !Tolerates(spec, taint.Key, taint.Value, taint.Effect))
                count++;
        return count;
    }

    private static bool Tolerates(PodSpec spec, string key, string? value, string effect)
    {
        foreach (Toleration toleration in spec.Tolerations ?? [])
        {
            if (!string.IsNullOrEmpty(toleration.Effect) && toleration.Effect != effect)
                continue;
            if (string.IsNullOrEmpty(toleration.Key))
            {
                if (toleration.Operator == "Exists")
                    return true;
                continue;
            }
            if (toleration.Key == key && (toleration.Operator == "Exists" || (toleration.Value ?? "") == (value ?? "")))
                return true;
        }
        return false;
    }
}
