using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Offline;

namespace Atoll.Scheduling.Checking;

/// <summary>
/// Proves an order of moves legal, or says where it is not: over plain documents it asks of each step whether a pod like the one
/// that moves may come to the new node while the pod is still on its old one, then lets the pod go. Nothing of the planner's or
/// the scheduler's own code is used.
/// </summary>
public static class FleetMoveChecker
{
    /// <summary>Everything that is wrong with a plan; empty when it is legal.</summary>
    /// <param name="nodes">The fleet's nodes.</param>
    /// <param name="pods">Its pods.</param>
    /// <param name="namespaces">Its namespaces.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="others">As for <see cref="PlanChecker"/>; null for none.</param>
    public static IReadOnlyList<string> Check(IReadOnlyList<KubeObject> nodes, IReadOnlyList<KubeObject> pods, IReadOnlyList<KubeObject> namespaces, FleetMovePlan plan, IReadOnlyList<KubeObject>? others = null)
    {
        ArgumentNullException.ThrowIfNull(plan);
        var wrong = new List<string>();
        var fleet = new PlainFleet(nodes, pods, namespaces, others);
        var moved = new HashSet<string>(StringComparer.Ordinal);
        for (int i = 0; i < plan.Moves.Length; i++)
        {
            FleetMove move = plan.Moves[i];
            PlainPod? there = fleet.Pods.Find(p => p.Object.Uid == move.Pod.Uid);
            string? problem = there is null || there.Node != move.From ? $"it is not on {move.From}"
                : !moved.Add(move.Pod.Uid) ? "it is moved twice"
                : !IsMadeAnew(move.Pod) ? "nothing makes it anew elsewhere"
                : move.Pod.Metadata.Annotation(DefragmentationPlan.DoNotMove) is not (null or "false") ? "it must not be moved"
                : !fleet.Nodes.ContainsKey(move.To) ? $"there is no node {move.To}" : null;
            if (problem is null)
            {
                KubeObject copy = Copy(move.Pod, $"{move.Pod.Uid}-moved");
                List<string> reasons = fleet.Reasons(copy, move.To);
                problem = reasons.Count > 0 ? $"{move.To}: {string.Join(", ", reasons)}" : null;
                fleet.Pods.Remove(there!);
                fleet.Pods.Add(new PlainPod(copy, move.To, false));
            }
            if (problem is not null)
                wrong.Add($"step {i + 1}, {move.Pod.Key}: {problem}.");
        }
        return wrong;
    }

    private static bool IsMadeAnew(KubeObject pod) => pod.Metadata.Controller()?.Kind switch
    {
        "ReplicaSet" or "StatefulSet" => true,
        "Job" => pod.Metadata.Annotation(DefragmentationPlan.MayRestart) == "true",
        _ => false,
    };

    private static KubeObject Copy(KubeObject pod, string uid)
    {
        JsonObject copy = pod.ToNode();
        copy["metadata"]!["uid"] = uid;
        copy["spec"]!.AsObject().Remove("nodeName");
        return KubeObject.FromNode(copy);
    }
}
