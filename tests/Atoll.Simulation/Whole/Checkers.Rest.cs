using System.Text.Json.Nodes;
using Atoll.Agent.Members;
using Atoll.Agent.Uplink;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.Simulation.Whole;

/// <summary>What must hold when faults have stopped and nothing moves any more: all sides say the same, and it is what users asked for.</summary>
internal sealed partial class Checkers
{
    private readonly Dictionary<Site, (Line? Line, int DataFrames)> _before = [];

    /// <summary>True when everything below holds already.</summary>
    public bool AreAtRest()
    {
        try
        {
            Rest();
            return true;
        }
        catch (SimFailure)
        {
            return false;
        }
    }

    public void Rest()
    {
        foreach (Site site in world.Sites)
        {
            world.Check(Claim.Agreement, site.Leader is not null, $"nobody leads {site.Name} at rest");
            world.Check(Claim.Agreement, site.Line is { SiteState: LinkState.Live, ParentState: LinkState.Live } && world.Centre.LineOf(site.Name) == site.Line, $"{site.Name} is not live at rest ({site.Line?.SiteState}, {site.Line?.ParentState})");
            Scope(site, site.Leader!);
            Outcomes(site.Leader!);
            foreach (HeldItem held in site.Leader!.Uplink!.State.Outbox.Held.Values)
                world.Check(Claim.Agreement, !held.Orphan, $"{site.Name} still keeps {held.Kind} {held.Name} ({held.Uid}) for an operator to decide about");
            foreach (Node node in site.Nodes)
                Instances(node);
            Copies(site);
        }
        foreach (ResourceType type in (ResourceType[])[Kinds.Deployment, Kinds.StatefulSet, Kinds.DaemonSet])
            foreach (KubeObject workload in world.Centre.Api.All(type))
                Workload(type, workload);
        foreach (KubeObject job in world.Centre.Api.All(Kinds.Job))
            Finished(job);
    }

    public void QuietFrom()
    {
        world.Trace("-- quiet --");
        foreach (Site site in world.Sites)
            _before[site] = (site.Line, site.Line?.DataFrames ?? 0);
    }

    /// <summary>A reconnect without changes costs little and moves nothing.</summary>
    public void Quiet()
    {
        foreach (Site site in world.Sites)
        {
            world.Check(Claim.Agreement, site.Line is not null && site.Line != _before[site].Line, $"{site.Name} did not come back");
            world.Check(Claim.BytesBounded, site.Line!.DataFrames == 0, $"{site.Name}: {site.Line.DataFrames} bodies or removals were sent although nothing changed");
            // Greeting and a minute of heartbeats.
            world.Check(Claim.BytesBounded, site.Line.Bytes < 1024, $"{site.Name}: a reconnect without changes and a quiet minute took {site.Line.Bytes} bytes");
        }
    }

    /// <summary>A ConfigMap changed and nothing else did: it was sent once to each site that uses it, and nothing more to anybody.</summary>
    public void ChangedOne(string map)
    {
        foreach (Site site in world.Sites)
        {
            KubeObject? here = site.Leader!.Store.Find(Kinds.ConfigMap, map);
            int frames = site.Line == _before[site].Line ? site.Line!.DataFrames - _before[site].DataFrames : -1;
            // A second time, whole, to a site that has no longer what the difference was made from.
            world.Check(Claim.BytesBounded, here is null ? frames == 0 : frames is 1 or 2, $"{site.Name}: {frames} bodies or removals were sent for one change of a ConfigMap that it {(here is null ? "does not use" : "uses")}");
            world.Check(Claim.Agreement, here is null || JsonNode.DeepEquals(Parsed(here)["data"], world.Centre.Api.Find(Kinds.ConfigMap, map)!.ToNode()["data"]), $"{site.Name} did not hear of a change of ConfigMap {map}");
        }
    }

    /// <summary>The site has exactly what its nodes and pods need, in the centre's newest state.</summary>
    private void Scope(Site site, Node leader)
    {
        var wanted = new Dictionary<(ResourceType, string), KubeObject>();
        void Add(ResourceType type, string key)
        {
            if (world.Centre.Api.Find(type, key) is { } value)
                wanted[(type, key)] = value;
        }
        Add(Kinds.Site, site.Name);
        foreach (Node node in site.Nodes)
            Add(Kinds.Node, node.Name);
        foreach (KubeObject pod in world.Centre.Api.All(Kinds.Pod))
        {
            Pod view = pod.View(ApiJson.Default.Pod);
            if (site.Find(view.Spec.NodeName ?? "") is null)
                continue;
            Add(Kinds.Pod, pod.Key);
            Add(Kinds.Namespace, pod.Namespace);
            foreach (Volume volume in view.Spec.Volumes ?? [])
            {
                if (volume.Secret?.SecretName is { } secret)
                    Add(Kinds.Secret, $"{pod.Namespace}/{secret}");
                if (volume.ConfigMap?.Name is { } map)
                    Add(Kinds.ConfigMap, $"{pod.Namespace}/{map}");
            }
        }
        foreach (((ResourceType type, string key), KubeObject value) in wanted)
        {
            KubeObject? here = leader.Store.Find(type, key);
            world.Check(Claim.Agreement, here is not null && here.Uid == value.Uid, $"{site.Name} lacks {type.Kind} {key} ({value.Uid}), and has {here?.Uid}");
            JsonObject theirs = Parsed(value), ours = Parsed(here!);
            foreach (string field in (string[])["spec", "data"])
                world.Check(Claim.Agreement, type == Kinds.Node || JsonNode.DeepEquals(theirs[field], ours[field]), $"{site.Name} has another {field} of {type.Kind} {key}");
            world.Check(Claim.Agreement, value.IsDeleting == here!.IsDeleting, $"{site.Name} and the centre do not agree whether {key} is being deleted");
        }
        foreach (ResourceType type in (ResourceType[])[Kinds.Pod, Kinds.Secret, Kinds.ConfigMap, Kinds.Node])
            foreach (KubeObject here in leader.Store.All(type))
                world.Check(Claim.Agreement, wanted.ContainsKey((type, here.Key)), $"{site.Name} still has {type.Kind} {here.Key} ({here.Uid}), which it does not need");
    }

    /// <summary>No outcome was lost: the outbox is empty and the centre knows what the site says.</summary>
    private void Outcomes(Node leader)
    {
        SiteOutbox outbox = leader.Uplink!.State.Outbox;
        world.Check(Claim.NoOutcomeLost, outbox.Open().Count == 0, $"{leader.Name} has open outcomes at rest: {string.Join(", ", outbox.Open().Select(o => outbox.Read(o.Uid)).Select(o => $"{o?.Operation} of {o?.Name} ({o?.Uid})"))}");
        foreach (ResourceType type in (ResourceType[])[Kinds.Pod, Kinds.Node])
            foreach (KubeObject here in leader.Store.All(type))
                world.Check(Claim.NoOutcomeLost, world.Centre.Api.Find(type, here.Key) is { } there && (JsonNode.DeepEquals(Parsed(there)["status"], Parsed(here)["status"]) || IsGivenUp(here, there)), $"the centre shows another status of {type.Kind} {here.Key} than {leader.Name}: {world.Centre.Api.Find(type, here.Key)?.ToNode()["status"]?.ToJsonString()}, not {Parsed(here)["status"]?.ToJsonString()}");
    }

    // The centre says it in its own words when it takes the replacement over.
    private static bool IsGivenUp(KubeObject here, KubeObject there) => here.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true && there.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true;

    private void Instances(Node node)
    {
        List<KubeObject> wanted = world.Centre.Api.All(Kinds.Pod).FindAll(p => p.View(ApiJson.Default.Pod) is { } pod && pod.Spec.NodeName == node.Name && pod.Status?.Phase is not ("Failed" or "Succeeded"));
        var running = node.Machine.Instances.Values.Where(i => i.Phase == InstancePhase.Running).Select(i => i.Labels[InstanceNames.PodUid]).Order(StringComparer.Ordinal).ToList();
        // What came from a site without the Secret or ConfigMap that it names waits for it.
        var mayRun = wanted.Where(p => IsComplete(p) || running.Contains(p.Uid)).Select(p => p.Uid).Order(StringComparer.Ordinal);
        world.Check(Claim.Agreement, mayRun.SequenceEqual(running, StringComparer.Ordinal), $"{node.Name} runs {string.Join(' ', running)} and should run {string.Join(' ', mayRun)}");
    }

    /// <summary>What the volumes of a pod name is at the centre.</summary>
    private bool IsComplete(KubeObject pod) => (pod.View(ApiJson.Default.Pod).Spec.Volumes ?? []).TrueForAll(v =>
        (v.Secret?.SecretName is not { } secret || world.Centre.Api.Find(Kinds.Secret, $"{pod.Namespace}/{secret}") is not null)
        && (v.ConfigMap?.Name is not { } map || world.Centre.Api.Find(Kinds.ConfigMap, $"{pod.Namespace}/{map}") is not null));

    /// <summary>Every node of a site has what the leading one has.</summary>
    private void Copies(Site site)
    {
        Node leader = site.Leader!;
        foreach (Node node in site.Nodes)
        {
            world.Check(Claim.Agreement, node == leader || node.Copy!.Followed == leader, $"{node.Name} does not follow {leader.Name} at rest");
            foreach ((string key, StoreEntry entry) in leader.Store.Entries)
                if (SiteRecords.IsCopied(entry.Key))
                    world.Check(Claim.Agreement, node.Store.Entries.TryGetValue(key, out StoreEntry? copy) && copy.Value.Span.SequenceEqual(entry.Value.Span), $"{node.Name} has another {key} than {leader.Name}: {node.Store.Entries.GetValueOrDefault(key)?.ModRevision}, at {entry.ModRevision} there");
            foreach ((string key, StoreEntry entry) in node.Store.Entries)
                world.Check(Claim.Agreement, !SiteRecords.IsCopied(entry.Key) || leader.Store.Entries.ContainsKey(key), $"{node.Name} has {key}, which {leader.Name} does not have");
        }
        world.Check(Claim.Agreement, site.Nodes.Count == 1 || leader.Lead!.Members is { Former: null } members && members.Nodes.Count == site.Nodes.Count, $"the voters of {site.Name} are {string.Join(' ', leader.Lead!.Members.Nodes.Select(m => m.Name))}");
    }

    private void Finished(KubeObject job)
    {
        JsonObject document = Parsed(job);
        bool complete = (document["status"]?["conditions"] as JsonArray)?.Any(c => (string?)c!["type"] == "Complete" && (string?)c["status"] == "True") == true;
        int more = ((int?)document["status"]?["succeeded"] ?? 0) - (int)document["spec"]!["completions"]!;
        int takenIn = world.Centre.Api.All(Kinds.Pod).Count(p => p.Metadata.Controller()?.Uid == job.Uid && _takenIn.Contains(p.Uid));
        world.Check(Claim.Agreement, complete && more >= 0 && more <= takenIn, $"Job {job.Name} is not complete at rest: {document["status"]?.ToJsonString()}");
        foreach (KubeObject pod in world.Centre.Api.All(Kinds.Pod))
            if (pod.Metadata.Controller()?.Uid == job.Uid)
                world.Check(Claim.Agreement, pod.View(ApiJson.Default.Pod).Status?.Phase is "Succeeded" or "Failed", $"{pod.Key} of the complete Job {job.Name} has not ended");
    }

    private void Workload(ResourceType type, KubeObject workload)
    {
        JsonObject document = Parsed(workload);
        string? only = (string?)document["spec"]!["template"]!["spec"]!["nodeSelector"]?["edge.atoll.dev/site"];
        int replicas = type == Kinds.DaemonSet ? world.Nodes.Count(n => only is null || n.Site.Name == only) : (int)document["spec"]!["replicas"]!;
        string app = (string)document["spec"]!["selector"]!["matchLabels"]!["app"]!, image = (string)document["spec"]!["template"]!["spec"]!["containers"]![0]!["image"]!;
        // What ended without being asked to stays beside what was made in its place, as in Kubernetes: a lost pod, and one whose end was asked for after the copy.
        List<KubeObject> pods = world.Centre.Api.All(Kinds.Pod).FindAll(p => p.Metadata.Label("app") == app && p.Metadata.Controller() is not null
            && !(p.View(ApiJson.Default.Pod).Status is { } status && (status.IsGivenUp() || (type == Kinds.Deployment && status.Phase == "Failed" && _undone.Contains(p.Uid)))));
        world.Check(Claim.Agreement, pods.Count == replicas, $"{type.Kind} {app} has {pods.Count} pods ({string.Join(' ', pods.Select(p => p.Name))}) and should have {replicas}");
        foreach (KubeObject pod in pods)
        {
            Pod view = pod.View(ApiJson.Default.Pod);
            world.Check(Claim.Agreement, view.Spec.Containers[0].Image == image, $"{pod.Key} is not of the newest template");
            world.Check(Claim.Agreement, !IsComplete(pod) || view.Status?.Condition("Ready") is { Status: "True" }, $"{pod.Key} ({pod.Uid}) on {view.Spec.NodeName} is not ready at rest: {Parsed(pod)["status"]?.ToJsonString()}");
        }
        int ready = pods.Count(p => p.View(ApiJson.Default.Pod).Status?.Condition("Ready") is { Status: "True" });
        world.Check(Claim.Agreement, ((int?)document["status"]?[type == Kinds.DaemonSet ? "numberReady" : "readyReplicas"] ?? 0) == ready, $"{type.Kind} {app} shows {document["status"]?.ToJsonString()} and has {ready} ready pods");
    }
}
