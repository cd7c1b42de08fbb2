using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Nodes;

/// <summary>
/// Keeps the NoSchedule taints that say what a node's conditions and its cordon say, so that nothing new is placed there;
/// and stamps the time on NoExecute taints that a person set, so that tolerated seconds are counted from the same moment
/// by whoever runs this next. Every other taint is left as it is.
/// </summary>
internal sealed class NodeTaintController : Controller
{
    public NodeTaintController(Cluster cluster) : base(cluster, 2) => cluster.Nodes.Listen((_, now) =>
    {
        if (now is not null)
            Queue.Add(now.Key);
    });

    public override IEnumerable<string> Keys() => Cluster.Nodes.Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Nodes.Get(key) is not { } node || Wanted(node, Cluster.Now) is not { } taints)
            return Next.Done;
        var patch = new JsonObject { ["spec"] = new JsonObject { ["taints"] = taints.Count == 0 ? null : taints } };
        ApiResult result = await Cluster.PatchAsync(Kinds.Node, node, patch, true, cancellation).ConfigureAwait(false);
        return result.Ok || result.IsNotFound ? Next.Done : Next.Retry;
    }

    /// <summary>The node's taints as they should be, or null when they are.</summary>
    internal static JsonArray? Wanted(KubeObject node, DateTimeOffset now)
    {
        Node view = node.View(ApiJson.Default.Node);
        HashSet<string> wanted = FromConditions(view);
        if (wanted.Count == 0 && view.Spec.Taints is not { Count: > 0 })
            return null; // As nearly all are, and a fleet has many.
        var taints = new JsonArray();
        bool changed = false;
        foreach (JsonNode? taint in node.ToNode()["spec"]?["taints"] as JsonArray ?? [])
        {
            string key = (string?)taint?["key"] ?? "", effect = (string?)taint?["effect"] ?? "";
            if (effect == Taints.NoSchedule && Taints.OfConditions.Contains(key) && !wanted.Remove(key))
            {
                changed = true;
                continue;
            }
            JsonNode kept = taint!.DeepClone();
            if (effect == Taints.NoExecute && kept["timeAdded"] is null)
            {
                kept["timeAdded"] = KubeTime.Format(now);
                changed = true;
            }
            taints.Add(kept);
        }
        foreach (string key in wanted.Order(StringComparer.Ordinal))
            taints.Add((JsonNode)new JsonObject { ["key"] = key, ["effect"] = Taints.NoSchedule, ["timeAdded"] = KubeTime.Format(now) });
        return changed || wanted.Count > 0 ? taints : null;
    }

    private static HashSet<string> FromConditions(Node node)
    {
        var wanted = new HashSet<string>(StringComparer.Ordinal);
        if (node.Spec.Unschedulable == true)
            wanted.Add(Taints.Unschedulable);
        foreach (Condition condition in node.Status?.Conditions ?? [])
        {
            string? key = (condition.Type, condition.Status) switch
            {
                ("Ready", "False") => Taints.NotReady,
                ("Ready", "Unknown") => Taints.Unreachable,
                ("MemoryPressure", "True") => Taints.MemoryPressure,
                ("DiskPressure", "True") => Taints.DiskPressure,
                ("PIDPressure", "True") => Taints.PidPressure,
                ("NetworkUnavailable", "True") => Taints.NetworkUnavailable,
                _ => null,
            };
            if (key is not null)
                wanted.Add(key);
        }
        return wanted;
    }
}
