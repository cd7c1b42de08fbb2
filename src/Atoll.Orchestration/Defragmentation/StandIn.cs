using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Defragmentation;

/// <summary>
/// The pod that takes the place of one that moves: made of the same owner's template, bound to its node by required affinity to the
/// node's name, so that the placement loop gives it the room or says that there is none. While the other is there, both are one
/// replica (<see cref="Counted"/>).
/// </summary>
internal static class StandIn
{
    /// <summary>Its name: the same whenever the step is looked at.</summary>
    public static string NameOf(string owner, string planUid, int revision, DefragmentationMove move) =>
        $"{(owner.Length <= 50 ? owner : owner[..50])}-m{Digest.Of($"{planUid}/{revision}/{move.Step}/{move.Uid}", 5)}";

    /// <summary>What its annotation says of where it comes from.</summary>
    public static string MarkOf(KubeObject plan, DefragmentationMove move) => $"{plan.Name}/{plan.Uid}/{move.Step}";

    /// <summary>Its document.</summary>
    public static JsonObject Document(KubeObject owner, ReplicaSet set, KubeObject plan, DefragmentationMove move)
    {
        JsonObject pod = PodDocuments.FromTemplate(set.Spec.Template, owner, "");
        JsonObject metadata = pod["metadata"]!.AsObject();
        metadata.Remove("generateName");
        metadata["name"] = move.Replacement;
        JsonObject annotations = PodDocuments.Child(metadata, "annotations");
        annotations[DefragmentationPlan.Replaces] = move.Uid;
        annotations[DefragmentationPlan.StepAnnotation] = MarkOf(plan, move);
        JsonObject required = PodDocuments.Child(PodDocuments.Child(PodDocuments.Child(PodDocuments.Child(pod, "spec"), "affinity"), "nodeAffinity"), "requiredDuringSchedulingIgnoredDuringExecution");
        if (required["nodeSelectorTerms"] is not JsonArray { Count: > 0 } terms)
            required["nodeSelectorTerms"] = terms = new JsonArray(new JsonObject());
        foreach (JsonNode? term in terms)
        {
            // Terms are alternatives: each of them must name the node.
            if (term is not JsonObject alternative)
                continue;
            if (alternative["matchFields"] is not JsonArray fields)
                alternative["matchFields"] = fields = [];
            fields.Add((JsonNode)new JsonObject { ["key"] = "metadata.name", ["operator"] = "In", ["values"] = new JsonArray(move.To) });
        }
        return pod;
    }

    /// <summary>The pods of an owner without those that stand in for one which is still there.</summary>
    public static IReadOnlyList<PodState> Counted(IReadOnlyList<PodState> pods)
    {
        if (!pods.Any(static p => p.Object.Metadata.Annotation(DefragmentationPlan.Replaces) is not null))
            return pods;
        var there = new HashSet<string>(StringComparer.Ordinal);
        foreach (PodState pod in pods)
            if (pod.IsActive)
                there.Add(pod.Object.Uid);
        return [.. pods.Where(p => p.Object.Metadata.Annotation(DefragmentationPlan.Replaces) is not { } replaced || !there.Contains(replaced))];
    }
}
