using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;
using Atoll.Link;

namespace Atoll.Simulation.Whole;

/// <summary>What must hold at every step, written in plain code that shares nothing with what it checks.</summary>
internal sealed partial class Checkers(World world)
{
    /// <summary>For each site: what left its scope.</summary>
    private readonly HashSet<(string Site, string Uid)> _left = [];

    /// <summary>Sites at which a pod that names a Secret or ConfigMap ever was.</summary>
    private readonly HashSet<(string Site, string Key)> _needed = [];

    /// <summary>Since when a node's own store says that a pod is not to run there.</summary>
    private readonly Dictionary<(Node Node, string Uid), long> _endedAt = [];

    /// <summary>What a node ran to its end or stopped because its deletion was asked for: whatever a leader says later, it is over there.</summary>
    private readonly HashSet<(Node Node, string Uid)> _over = [];

    /// <summary>Pods whose deletion some node has known to be asked for, also where the centre has lost that since.</summary>
    private readonly HashSet<string> _asked = new(StringComparer.Ordinal);

    /// <summary>A start that was begun before is carried out so long after, ms.</summary>
    private const int LongestStartMs = 5000;

    /// <summary>Pods whose object went by their site's word that they stopped. (A centre that was put back may have placed one at another site, which keeps it.)</summary>
    private readonly HashSet<(string Site, string Uid)> _removed = [];

    private readonly ConditionalWeakTable<KubeObject, JsonObject> _parsed = [];

    /// <summary>The document of an object, to be read only.</summary>
    private JsonObject Parsed(KubeObject value) => _parsed.GetValue(value, static v => v.ToNode());

    /// <summary>One writer for each fact: sites write outcomes, the centre intent.</summary>
    public void Stored(string writer, ResourceType type, KubeObject? old, KubeObject? now)
    {
        if (world.IsTraced)
            world.Trace($"centre: {writer} {(now is null ? "removes" : old is null ? "creates" : "writes")} {type.Kind} {(now ?? old)!.Key} ({(now ?? old)!.Uid}){Told(old, now)}");
        if (type == Kinds.Pod)
            Pod(writer, old, now);
        if (type == Kinds.Node && old is not null && now is not null)
        {
            JsonObject before = Parsed(old), after = Parsed(now);
            bool status = !JsonNode.DeepEquals(before["status"], after["status"]), spec = !JsonNode.DeepEquals(before["spec"], after["spec"]);
            world.Check(Claim.SingleWriter, !status || writer == "hub" || writer.StartsWith("site ", StringComparison.Ordinal), $"{writer} wrote the status of node {now.Name}");
            world.Check(Claim.SingleWriter, !spec || !writer.StartsWith("site ", StringComparison.Ordinal), $"{writer} wrote the spec of node {now.Name}");
            world.Check(Claim.SingleWriter, !writer.StartsWith("site ", StringComparison.Ordinal) || writer == "site " + now.Metadata.Label(WellKnown.SiteLabel), $"{writer} wrote about node {now.Name} of another site");
        }
    }

    // For the trace: the fields of the first two levels that a write changed, with what a reader asks for first.
    private string Told(KubeObject? old, KubeObject? now)
    {
        if (old is null || now is null)
            return "";
        JsonObject before = Parsed(old), after = Parsed(now);
        var changed = new List<string>();
        foreach (string part in before.Select(f => f.Key).Union(after.Select(f => f.Key)).Where(p => !JsonNode.DeepEquals(before[p], after[p])).ToArray())
            if (before[part] is JsonObject left && after[part] is JsonObject right)
                changed.AddRange(left.Select(f => f.Key).Union(right.Select(f => f.Key)).Where(f => f is not ("resourceVersion" or "managedFields") && !JsonNode.DeepEquals(left[f], right[f])).Select(f => Said($"{part}.{f}", right[f])));
            else
                changed.Add(part);
        return changed.Count == 0 ? "" : ": " + string.Join(", ", changed);
    }

    private static string Said(string field, JsonNode? value) => value is null ? "no " + field : value is JsonValue ? $"{field}={value.ToJsonString()}" : field;

    /// <summary>The scope of a site changed at the centre.</summary>
    public void ScopeChanged(string site, ScopeChange change)
    {
        foreach (string uid in change.Removals)
            _left.Add((site, uid));
        foreach (ItemVersion item in change.Upserts)
            _left.Remove((site, item.Uid));
    }

    /// <summary>A body goes down: nothing withdrawn, and a Secret or ConfigMap only to a site with a pod that names it.</summary>
    public void Sent(Site site, string kind, string name, string uid)
    {
        world.Check(Claim.NothingWithdrawn, !_left.Contains((site.Name, uid)), $"{kind} {name} ({uid}) is sent to {site.Name} although it left its scope");
        if (kind is "secrets" or "configmaps")
            world.Check(Claim.NoSecretLeaked, _needed.Contains((site.Name, kind + "/" + name)), $"{kind} {name} ({uid}) is sent to {site.Name}, where no pod ever named it");
    }

    /// <summary>A node's own store changed: what it is not to run any more, and what it is.</summary>
    public void Known(Node node, ResourceType type, KubeObject? old, KubeObject? now)
    {
        if (type != Kinds.Pod)
            return;
        if (old is not null && old.Uid != now?.Uid)
            _endedAt.TryAdd((node, old.Uid), world.Now);
        if (old is not null && (now is null ? node.Site.Leader is null : now.Uid != old.Uid))
            _kept.Remove(old.Uid);
        if (now is null)
            return;
        if (now.IsDeleting)
            _asked.Add(now.Uid);
        Pod pod = now.View(ApiJson.Default.Pod);
        if (pod.Spec.NodeName == node.Name && pod.Status is { Phase: "Succeeded" or "Failed" } && !pod.Status.IsGivenUp())
            _over.Add((node, now.Uid));
        if (now.IsDeleting || pod.Status?.IsGivenUp() == true)
            _kept.Remove(now.Uid);
        if (now.IsDeleting || pod.Spec.NodeName != node.Name || pod.Status?.IsGivenUp() == true)
            _endedAt.TryAdd((node, now.Uid), world.Now);
        else
            _endedAt.Remove((node, now.Uid));
    }

    /// <summary>At most one node of a site leads.</summary>
    public void Leads(Node node)
    {
        if (node.Lead!.IsLeading)
            foreach (Node other in node.Site.Nodes)
                world.Check(Claim.SingleWriter, other == node || other.Lead?.IsLeading != true, $"{node.Name} and {other.Name} lead at once");
    }

    /// <summary>An instance starts: its pod is nowhere else, and no other pod of its identity runs.</summary>
    public void Started(Node node, Instance instance)
    {
        string uid = instance.Labels[InstanceNames.PodUid], name = instance.Labels[InstanceNames.PodName];
        world.Trace($"{node.Name}: {name} ({uid}) runs as {instance.Id}");
        bool blurred = world.Users.Forced.Contains(uid) || _undone.Contains(uid);
        world.Check(Claim.NothingWithdrawn, !_removed.Contains((node.Site.Name, uid)), $"{name} ({uid}) starts after its object was removed by the word that it stopped");
        world.Check(Claim.NothingWithdrawn, !_endedAt.TryGetValue((node, uid), out long ended) || world.Now - ended < LongestStartMs, $"{name} ({uid}) starts at {node.Name}, which has known since {ended} ms that it is not wanted there");
        world.Check(Claim.NothingWithdrawn, !_over.Contains((node, uid)), $"{name} ({uid}) starts at {node.Name}, where it has ended before");
        foreach (Node at in world.Nodes)
            foreach (Instance other in at.Machine.Instances.Values)
            {
                if (other.Phase != InstancePhase.Running || other.Id == instance.Id)
                    continue;
                string its = other.Labels[InstanceNames.PodUid];
                world.Check(Claim.OneIdentity, its != uid || _undone.Contains(uid) || (at == node && other.Labels[InstanceNames.Container] != instance.Labels[InstanceNames.Container]), $"{name} ({uid}) runs twice");
                world.Check(Claim.OneIdentity, other.Labels[InstanceNames.PodName] != name || its == uid || blurred || world.Users.Forced.Contains(its) || _undone.Contains(its), $"two pods of the identity {name} run: {its} at {at.Name} and {uid} at {node.Name}");
            }
    }

    /// <summary>The machine is another, which knows nothing of what ran on the one before.</summary>
    public void Renewed(Node node) => _over.RemoveWhere(o => o.Node == node);

    private void Pod(string writer, KubeObject? old, KubeObject? now)
    {
        bool isSite = writer.StartsWith("site ", StringComparison.Ordinal);
        if (now is not null)
            Need(now);
        if (old is null)
        {
            if (isSite)
                Adopted(writer, now!);
            else if (writer == "operator")
            {
                Decided([now!.Uid]);
                _takenIn.Add(now!.Uid);
            }
            return;
        }
        string? node = old.View(ApiJson.Default.Pod).Spec.NodeName;
        Node? runs = world.Nodes.FirstOrDefault(n => n.Name == node);
        Site? home = runs?.Site;
        if (isSite)
            world.Check(Claim.SingleWriter, home is not null && writer == "site " + home.Name, $"{writer} wrote about pod {old.Key} on {node}");
        if (now is null)
        {
            // A pod without an identity that was given up may run on where nobody sees it: its site never said that it stopped.
            if (!isSite || (old.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true && !old.Metadata.HasIdentity()))
                return;
            world.Check(Claim.SingleWriter, old.IsDeleting || _asked.Contains(old.Uid) || _undone.Contains(old.Uid), $"{writer} removed pod {old.Key} ({old.Uid}), whose deletion nobody had asked for");
            _removed.Add((home!.Name, old.Uid));
            foreach (Instance instance in runs!.Machine.Instances.Values)
                world.Check(Claim.OneIdentity, instance.Phase != InstancePhase.Running || instance.Labels[InstanceNames.PodUid] != old.Uid, $"{old.Key} ({old.Uid}) was said to have stopped and runs");
            return;
        }
        JsonObject before = Parsed(old), after = Parsed(now);
        string? ended = old.View(ApiJson.Default.Pod).Status?.Phase, phase = now.View(ApiJson.Default.Pod).Status?.Phase;
        world.Check(Claim.NoOutcomeLost, ended is not ("Succeeded" or "Failed") || phase == ended, $"{writer} makes {phase} of pod {now.Key}, which is {ended}");
        if (isSite)
            world.Check(Claim.SingleWriter, JsonNode.DeepEquals(before["spec"], after["spec"]) && JsonNode.DeepEquals(before["metadata"]!["labels"], after["metadata"]!["labels"]), $"{writer} wrote intent of pod {now.Key}");
        else if (!string.IsNullOrEmpty(node) && home is not null && writer != "operator")
            world.Check(Claim.SingleWriter, JsonNode.DeepEquals(before["status"], after["status"]), $"{writer} wrote the status of pod {now.Key}, which {home.Name} runs");
    }

    /// <summary>A pod that a site made comes in by its own node only, and asks for nothing that its owner's template does not.</summary>
    private void Adopted(string writer, KubeObject pod)
    {
        string? node = pod.View(ApiJson.Default.Pod).Spec.NodeName, lost = pod.Metadata.Annotation(WellKnown.ReplacesAnnotation);
        world.Check(Claim.SingleWriter, lost is not null && writer == "site " + world.Nodes.First(n => n.Name == node).Site.Name, $"{writer} made pod {pod.Key} on {node} at the centre");
        if (pod.IsDeleting)
            return;
        KubeObject? replaced = world.Centre.Api.All(Kinds.Pod).Find(p => p.Uid == lost);
        world.Check(Claim.SingleWriter, replaced?.View(ApiJson.Default.Pod).Status?.Phase == "Failed", $"{writer} made pod {pod.Key} in place of {lost}, which is not given up");
        JsonObject mine = pod.ToNode()["spec"]!.AsObject(), its = replaced!.ToNode()["spec"]!.AsObject();
        mine.Remove("nodeName");
        its.Remove("nodeName");
        world.Check(Claim.SingleWriter, JsonNode.DeepEquals(mine, its), $"{writer} wrote the spec of pod {pod.Key}");
    }

    private void Need(KubeObject pod)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        if (world.Nodes.FirstOrDefault(n => n.Name == view.Spec.NodeName)?.Site is not { } site)
            return;
        foreach (Volume volume in view.Spec.Volumes ?? [])
        {
            if (volume.Secret?.SecretName is { } secret)
                _needed.Add((site.Name, $"secrets/{pod.Namespace}/{secret}"));
            if (volume.ConfigMap?.Name is { } map)
                _needed.Add((site.Name, $"configmaps/{pod.Namespace}/{map}"));
        }
    }
}
