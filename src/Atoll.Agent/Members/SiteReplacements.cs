using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Scheduling.Replacing;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Members;

/// <summary>
/// What the leading node does about dead nodes, connected or not: says of them that nothing is known, and brings their pods to
/// life on others. It leads, so a majority stands behind it; a node that leads nobody replaces nothing. Every step is looked up
/// before it is made, so that it may end anywhere and begin again, here or on the next leader.
/// </summary>
internal sealed class SiteReplacements(ISiteLead lead, IResources own, TimeProvider time, ILogger log)
{
    private static readonly TimeSpan s_period = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<string, string> _told = new(StringComparer.Ordinal);

    /// <summary>Runs while this node leads.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        ResourceMirror nodes = new(own, Kinds.Node, time), pods = new(own, Kinds.Pod, time);
        var events = new EventRecorder(own, time, "site", lead.Self.Name);
        Task mirrors = Parts.RunAsync([nodes.RunAsync(cancellation), pods.RunAsync(cancellation), events.RunAsync(cancellation)]);
        await Task.WhenAny(Task.WhenAll(nodes.Synced, pods.Synced), mirrors);
        while (!mirrors.IsCompleted)
        {
            await StepAsync(nodes.Items, pods.Items, events, cancellation);
            await Task.WhenAny(Task.Delay(s_period, time, cancellation), mirrors);
        }
        await mirrors;
    }

    /// <summary>One look at the nodes and pods of the site; the simulation takes it too.</summary>
    internal async Task StepAsync(IEnumerable<KubeObject> all, IEnumerable<KubeObject> here, EventRecorder events, CancellationToken cancellation)
    {
        KubeObject[] nodes = [.. all];
        var dead = new HashSet<string>(StringComparer.Ordinal);
        foreach (KubeObject node in nodes)
            if (lead.IsDead(node.Name))
                dead.Add(node.Name);
        if (dead.Count == 0)
            return;
        KubeObject[] pods = [.. here];
        foreach (KubeObject node in nodes)
            if (dead.Contains(node.Name))
                await SayDeadAsync(node, cancellation);
        foreach (Replacement replacement in Replacements.Plan(nodes, pods, dead))
        {
            if (!lead.IsLeading)
                return;
            await CarryOutAsync(replacement, events, cancellation);
        }
        // Its node cannot confirm that it stopped; it was given up, and another runs in its place.
        foreach (KubeObject pod in pods)
            if (pod.IsDeleting && pod.View(ApiJson.Default.Pod) is { Spec.NodeName: { } at, Status: { } status } && dead.Contains(at) && status.IsGivenUp())
                await own.DeleteAsync(Kinds.Pod, pod.Namespace, pod.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = pod.Uid }, cancellation);
    }

    private async Task CarryOutAsync(Replacement replacement, EventRecorder events, CancellationToken cancellation)
    {
        KubeObject lost = replacement.Lost;
        string node = lost.View(ApiJson.Default.Pod).Spec.NodeName!;
        if (replacement.Pod is not { } pod)
        {
            if (_told.GetValueOrDefault(lost.Uid) != replacement.Message)
                events.Warning(lost, "NotReplaced", $"Node {node} is dead, and no other node of the site can take the pod: {replacement.Message}");
            _told[lost.Uid] = replacement.Message ?? "";
            return;
        }
        string name = (string)pod["metadata"]!["name"]!;
        if (!replacement.Known)
        {
            ApiResult made = await own.CreateAsync(Kinds.Pod, lost.Namespace, pod, cancellation);
            if (!made.Ok && !made.IsAlreadyExists)
            {
                log.LogWarning("Pod {Pod} of the dead node {Node} could not be replaced: {Reason}", lost.Key, node, made.Error?.Message);
                return;
            }
            log.LogInformation("Pod {Pod} of the dead node {Node} is replaced by {Name} on {Other}", lost.Key, node, name, (string?)pod["spec"]?["nodeName"]);
        }
        _told.Remove(lost.Uid);
        ApiResult given = await own.PatchAsync(Kinds.Pod, lost.Namespace, lost.Name, PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["uid"] = lost.Uid }, ["status"] = Lost(lost, node, name) }, cancellation, "status");
        if (given.Ok)
            events.Warning(lost, "Replaced", $"Node {node} is dead: pod {name} runs in this one's place");
    }

    private JsonObject Lost(KubeObject pod, string node, string by)
    {
        var conditions = new JsonArray();
        foreach (Condition condition in pod.View(ApiJson.Default.Pod).Status?.Conditions ?? [])
            conditions.Add((JsonNode)new JsonObject
            {
                ["type"] = condition.Type,
                ["status"] = condition.Type is "Ready" or "ContainersReady" ? "False" : condition.Status,
                ["lastTransitionTime"] = KubeTime.Format(condition.Type is "Ready" or "ContainersReady" ? time.GetUtcNow() : condition.LastTransitionTime ?? time.GetUtcNow()),
            });
        JsonArray containers = pod.ToNode()["status"]?["containerStatuses"]?.DeepClone() as JsonArray ?? [];
        foreach (JsonNode? container in containers)
            container!["ready"] = false;
        return new JsonObject
        {
            ["containerStatuses"] = containers,
            ["phase"] = "Failed",
            ["reason"] = WellKnown.NodeLost,
            ["message"] = $"Node {node} is dead; pod {by} runs in this one's place.",
            ["conditions"] = conditions,
        };
    }

    private async Task SayDeadAsync(KubeObject node, CancellationToken cancellation)
    {
        List<Condition> conditions = node.View(ApiJson.Default.Node).Status?.Conditions ?? [];
        if (conditions.Find(c => c.Type == "Ready") is { Status: "Unknown" })
            return;
        TimeSpan silent = lead.SilentFor(node.Name);
        log.LogWarning("Node {Node} is dead: it has been silent for {Seconds:0.0} s", node.Name, silent.TotalSeconds);
        var shown = new JsonArray();
        foreach (Condition condition in conditions)
            shown.Add((JsonNode)new JsonObject
            {
                ["type"] = condition.Type,
                ["status"] = "Unknown",
                ["reason"] = "NodeStatusUnknown",
                ["message"] = $"Node {lead.Self.Name}, which leads the site, has not heard of the node for {lead.DeadAfter.TotalSeconds:0} s.",
                ["lastTransitionTime"] = KubeTime.Format(time.GetUtcNow()),
            });
        await own.PatchAsync(Kinds.Node, null, node.Name, PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["uid"] = node.Uid }, ["status"] = new JsonObject { ["conditions"] = shown } }, cancellation, "status");
    }
}
