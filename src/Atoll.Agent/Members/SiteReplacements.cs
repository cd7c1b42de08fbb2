using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Import;
using Atoll.Link.Members;
using Atoll.Scheduling.Replacing;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Members;

/// <summary>
/// What the leading node does about dead nodes, connected or not: says of them that nothing is known, and brings their pods to
/// life on others. It leads, so a majority stands behind it; a node that leads nobody replaces nothing. Every step is looked up
/// before it is made, so that it may end anywhere and begin again, here or on the next leader.
/// <para>A pod with an identity is given to another node in two steps: in one transaction the new one, marked with the node that it was taken
/// from, takes the lost one's name; the mark goes when a majority knows of it and that node certainly runs it no more, and only
/// then it is started. So no leader to come can still take the silent node for the one that has it.</para>
/// </summary>
internal sealed class SiteReplacements(ISiteLead lead, IResources own, Func<ImportBatch, CancellationToken, ValueTask<ImportResult>> import, Action<string, string, string> expect, Func<string, bool> isHeld, TimeProvider time, ILogger log)
{
    private static readonly TimeSpan s_period = TimeSpan.FromMilliseconds(500);

    private readonly Dictionary<string, string> _told = new(StringComparer.Ordinal);
    private readonly Dictionary<string, LogPosition> _waiting = new(StringComparer.Ordinal);

    /// <summary>Runs while this node leads.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        ResourceMirror nodes = new(own, Kinds.Node, time), pods = new(own, Kinds.Pod, time);
        ResourceMirror[] storage = [new(own, Kinds.PersistentVolumeClaim, time), new(own, Kinds.PersistentVolume, time)];
        var events = new EventRecorder(own, time, "site", lead.Self.Name);
        Task mirrors = Parts.RunAsync([nodes.RunAsync(cancellation), pods.RunAsync(cancellation), .. storage.Select(m => m.RunAsync(cancellation)), events.RunAsync(cancellation)]);
        await Task.WhenAny(Task.WhenAll([nodes.Synced, pods.Synced, .. storage.Select(m => m.Synced)]), mirrors);
        // Given away by a leader before this one: nobody may forget it.
        if (!mirrors.IsCompleted && pods.Items.Any(static p => p.Metadata.HasIdentity() && p.Metadata.Annotation(WellKnown.ReplacesAnnotation) is not null))
            lead.RaiseFence();
        while (!mirrors.IsCompleted)
        {
            await ReleaseAsync(pods.Items, cancellation);
            await StepAsync(nodes.Items, pods.Items, [.. storage.SelectMany(m => m.Items)], events, cancellation);
            await Task.WhenAny(Task.Delay(s_period, time, cancellation), mirrors);
        }
        await mirrors;
    }

    /// <summary>One look at the nodes and pods of the site; the simulation takes it too.</summary>
    internal async Task StepAsync(IEnumerable<KubeObject> all, IEnumerable<KubeObject> here, IEnumerable<KubeObject> storage, EventRecorder events, CancellationToken cancellation)
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
        HashSet<string> fenced = [.. dead.Where(n => lead.IdentityLease > TimeSpan.Zero && lead.FencedIn(n) == TimeSpan.Zero)];
        foreach (Replacement replacement in Replacements.Plan(nodes, pods, dead, fenced, storage))
        {
            if (!lead.IsLeading)
                return;
            await CarryOutAsync(replacement, events, cancellation);
        }
        foreach (KubeObject pod in pods)
            await ConfirmAsync(pod, dead, fenced, events, cancellation);
    }

    // A dead node cannot confirm that it stopped what is to end: what was given up has ended, and so has a pod with an identity that is fenced.
    private async Task ConfirmAsync(KubeObject pod, HashSet<string> dead, HashSet<string> fenced, EventRecorder events, CancellationToken cancellation)
    {
        if (pod.View(ApiJson.Default.Pod) is not { Spec.NodeName: { } at } view || !dead.Contains(at))
            return;
        if (pod.IsDeleting && (view.Status?.IsGivenUp() == true || (pod.Metadata.HasIdentity() && fenced.Contains(at))))
            await own.DeleteAsync(Kinds.Pod, pod.Namespace, pod.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = pod.Uid }, cancellation);
        else if (pod.Metadata.HasIdentity() && !fenced.Contains(at) && view.Status?.Phase is not ("Succeeded" or "Failed"))
            Tell(pod, events, lead.IdentityLease == TimeSpan.Zero
                ? $"Node {at} is dead, and may still run the pod: there are no leases for identities (--identity-lease 0)"
                : $"Node {at} is dead; the pod is replaced when the node's lease for it has ended and it has stopped it");
    }

    // Whoever may still run one of them is not answered, so that it stops. What was given away by a leader before this one is no different:
    // that node may have led itself meanwhile, and known nothing of it.
    private async Task ReleaseAsync(IEnumerable<KubeObject> pods, CancellationToken cancellation)
    {
        var withheld = new HashSet<string>(StringComparer.Ordinal);
        var waiting = new List<(KubeObject Pod, string[] Nodes)>();
        foreach (KubeObject pod in pods)
            if (pod.Metadata.Annotation(WellKnown.FencingAnnotation) is { } nodes)
            {
                waiting.Add((pod, nodes.Split(',')));
                withheld.UnionWith(waiting[^1].Nodes);
            }
            else
                _waiting.Remove(pod.Uid);
        lead.Withhold(withheld);
        foreach ((KubeObject pod, string[] nodes) in waiting)
            // In this node's state since before the position was taken; a majority has that much.
            if (!_waiting.TryGetValue(pod.Uid, out LogPosition since))
                _waiting[pod.Uid] = lead.RaiseFence();
            else if (lead.IsHeld(since) && Array.TrueForAll(nodes, n => lead.FencedIn(n) == TimeSpan.Zero))
                await own.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["uid"] = pod.Uid, ["annotations"] = new JsonObject { [WellKnown.FencingAnnotation] = null } } }, cancellation);
    }

    private void Tell(KubeObject pod, EventRecorder events, string message)
    {
        if (_told.GetValueOrDefault(pod.Uid) != message)
            events.Warning(pod, "NotReplaced", message);
        _told[pod.Uid] = message;
    }

    private async Task CarryOutAsync(Replacement replacement, EventRecorder events, CancellationToken cancellation)
    {
        KubeObject lost = replacement.Lost;
        string node = lost.View(ApiJson.Default.Pod).Spec.NodeName!;
        if (replacement.Pod is not { } pod)
        {
            Tell(lost, events, $"Node {node} is dead, and no other node of the site can take the pod: {replacement.Message}");
            return;
        }
        if (lost.Metadata.HasIdentity())
        {
            await TakeOverAsync(lost, pod, node, events, cancellation);
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
        // Made here itself, and the parent has not heard of it: nobody will ever ask for its end, and what the dead node still runs of it is stopped
        // there as something that nobody wants.
        if (lost.Metadata.Annotation(WellKnown.ReplacesAnnotation) is not null && !isHeld(lost.Uid))
        {
            await own.DeleteAsync(Kinds.Pod, lost.Namespace, lost.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = lost.Uid }, cancellation);
            return;
        }
        ApiResult given = await own.PatchAsync(Kinds.Pod, lost.Namespace, lost.Name, PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["uid"] = lost.Uid }, ["status"] = Lost(lost, node, name) }, cancellation, "status");
        // Not when it came to its end by itself meanwhile: then the parent has the one in its place end.
        if (given.Object?.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true)
            events.Warning(lost, "Replaced", $"Node {node} is dead: pod {name} runs in this one's place");
    }

    private async Task TakeOverAsync(KubeObject lost, JsonObject pod, string node, EventRecorder events, CancellationToken cancellation)
    {
        pod["metadata"]!["creationTimestamp"] = KubeTime.Format(time.GetUtcNow());
        pod["status"] = new JsonObject { ["phase"] = "Pending" };
        expect(lost.Uid, (string)pod["metadata"]!["uid"]!, lost.Key);
        // Not to be broken off: before it has ended, this node does not lead again.
        ImportResult made = await import(new ImportBatch { Upserts = [new ImportObject(Kinds.Pod, pod, KeepLocalStatus: false, lost.ResourceVersion)] }, CancellationToken.None);
        if (made.Error is { } error)
        {
            log.LogWarning("Pod {Pod} of the dead node {Node} could not be replaced: {Reason}", lost.Key, node, error.Message);
            return;
        }
        _told.Remove(lost.Uid);
        log.LogInformation("Pod {Pod} of the dead node {Node}, which no longer runs it, is replaced on {Other}", lost.Key, node, (string?)pod["spec"]?["nodeName"]);
        events.Warning(lost, "Replaced", $"Node {node} is dead and no longer runs the pod: another runs in its place on node {(string?)pod["spec"]?["nodeName"]}");
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
