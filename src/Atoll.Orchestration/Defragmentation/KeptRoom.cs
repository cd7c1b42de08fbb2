using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Orchestration.Jobs;
using Atoll.Orchestration.StatefulSets;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Defragmentation;

/// <summary>
/// The Reservation for a pod that goes before it is made anew: what the pod takes, on the node that it is to go to, for the pod that its
/// owner makes next. The placement loop gives it the room or says that there is none, and sends that pod there.
/// </summary>
internal static class KeptRoom
{
    /// <summary>Label of a Job's pods with the Job's UID.</summary>
    public const string JobLabel = "batch.kubernetes.io/controller-uid";

    /// <summary>Its document; null when no label tells the pod's successor from others.</summary>
    /// <param name="pod">The pod.</param>
    /// <param name="plan">The plan.</param>
    /// <param name="move">The move.</param>
    /// <param name="target">The node that it goes to.</param>
    /// <param name="timeout">How long a step may take: it ends by itself after twice that.</param>
    public static JsonObject? Document(KubeObject pod, KubeObject plan, DefragmentationMove move, KubeObject target, TimeSpan timeout)
    {
        var labels = new JsonObject();
        foreach (string name in (string[])[StatefulPods.NameLabel, JobLabel, JobView.IndexKey])
            if (pod.Metadata.Label(name) is { } value)
                labels[name] = value;
        if (labels.Count == 0 || target.Metadata.Label(WellKnown.HostnameLabel) is not { } host)
            return null;
        PodSpec spec = pod.View(ApiJson.Default.Pod).Spec;
        var names = new ResourceNames();
        long[] requests = names.RequestsOf(spec);
        var resources = new JsonObject();
        for (int r = 0; r < requests.Length; r++)
            if (requests[r] > 0 && r != ResourceNames.Pods)
                resources[names[r]] = r == ResourceNames.Cpu ? Quantity.FromMilli(requests[r]).ToString() : Quantity.FromValue(requests[r]).ToString();
        return new JsonObject
        {
            ["apiVersion"] = "edge.atoll.dev/v1alpha1",
            ["kind"] = "Reservation",
            ["metadata"] = new JsonObject { ["name"] = move.Reservation, ["annotations"] = new JsonObject { [DefragmentationPlan.StepAnnotation] = StandIn.MarkOf(plan, move) } },
            ["spec"] = new JsonObject
            {
                ["resources"] = resources,
                ["nodeSelector"] = new JsonObject { [WellKnown.HostnameLabel] = host },
                ["tolerations"] = pod.ToNode()["spec"]!["tolerations"]?.DeepClone(),
                ["owners"] = new JsonArray(new JsonObject { ["namespace"] = pod.Namespace, ["selector"] = new JsonObject { ["matchLabels"] = labels } }),
                ["ttlSeconds"] = Math.Max(60, (int)Math.Min(timeout.TotalSeconds * 2, int.MaxValue)),
            },
        };
    }
}
