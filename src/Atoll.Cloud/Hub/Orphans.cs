using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Link;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Hub;

/// <summary>A connected site, as its orphans need it.</summary>
internal interface IOrphanSite
{
    /// <summary>Tells the site that an operator wants these orphans stopped.</summary>
    void Release(IReadOnlyList<string> uids);

    /// <summary>The site's own API; whoever asks for it disposes of it, where that can be done.</summary>
    IResources Reach();
}

/// <summary>
/// What sites keep and this centre does not know, because its store was put back to an older state or replaced. Nothing of it is
/// stopped or taken in by itself: it is shown in the Site's status, and an operator's word in the Site's spec decides
/// about each (<c>atoll site orphans</c>). The word stays there until it is carried out, however often links or the centre break.
/// </summary>
internal sealed class Orphans(IResources resources, ILogger logger)
{
    /// <summary>What one pod needs is taken in before it.</summary>
    private static readonly ResourceType[] s_order = [Kinds.Namespace, Kinds.RuntimeClass, Kinds.PriorityClass, Kinds.ServiceAccount, Kinds.ConfigMap, Kinds.Secret, Kinds.PersistentVolume, Kinds.PersistentVolumeClaim, Kinds.Pod];

    /// <summary>The finalizer by which a Job counts its pods, as Kubernetes names it.</summary>
    private const string JobTracking = "batch.kubernetes.io/job-tracking";

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Dictionary<string, HeldItem>> _offered = new(StringComparer.Ordinal);

    // By the UID of what is kept.
    private readonly Dictionary<string, string> _refused = new(StringComparer.Ordinal);

    /// <summary>A site told all that it keeps.</summary>
    public void Offer(string site, IReadOnlyList<HeldItem> items)
    {
        lock (_lock)
            _offered[site] = items.ToDictionary(i => i.Uid, StringComparer.Ordinal);
    }

    /// <summary>What a site keeps, or null while it has not told since the hub started.</summary>
    public IReadOnlyList<HeldItem>? Of(string site)
    {
        lock (_lock)
            return _offered.TryGetValue(site, out Dictionary<string, HeldItem>? items) ? [.. items.Values.OrderBy(i => i.Kind, StringComparer.Ordinal).ThenBy(i => i.Name, StringComparer.Ordinal)] : null;
    }

    /// <summary>Why the operator's word on an orphan could not be carried out when it was last tried, or null.</summary>
    public string? WhyNot(string uid)
    {
        lock (_lock)
            return _refused.GetValueOrDefault(uid);
    }

    /// <summary>Carries out the operator's word as far as the site can be reached, and forgets what has become known here.</summary>
    public async Task ReconcileAsync(KubeObject site, IOrphanSite? session, Func<string, bool> isInScope, CancellationToken cancellation)
    {
        IReadOnlyList<HeldItem> offered = Of(site.Name) ?? [];
        foreach (HeldItem item in offered)
            if (isInScope(item.Uid))
                Forget(site.Name, item.Uid);
        List<OrphanDecision> decisions = site.View(ApiJson.Default.Site).Spec.Orphans ?? [];
        foreach (HeldItem item in offered)
            if (!decisions.Exists(d => d.Uid == item.Uid && d.Action == "Adopt"))
                Refuse(item.Uid, null);
        if (decisions.Count == 0 || session is null || Of(site.Name) is null)
            return;
        Dictionary<string, HeldItem> open = Of(site.Name)!.ToDictionary(i => i.Uid, StringComparer.Ordinal);
        var done = decisions.Where(d => !open.ContainsKey(d.Uid)).Select(d => d.Uid).ToHashSet(StringComparer.Ordinal);
        string[] stop = [.. decisions.Where(d => d.Action == "Stop" && open.ContainsKey(d.Uid)).Select(d => d.Uid)];
        if (stop.Length > 0)
        {
            session.Release(stop);
            foreach (string uid in stop)
            {
                logger.LogInformation("Site {Site}: orphan {Kind} {Name} is stopped, as an operator said", site.Name, open[uid].Kind, open[uid].Name);
                Forget(site.Name, uid);
                // The word stays until the site no longer offers it.
            }
        }
        var adopt = decisions.Where(d => d.Action == "Adopt" && open.ContainsKey(d.Uid)).Select(d => open[d.Uid]).ToList();
        if (adopt.Count > 0)
            done.UnionWith(await AdoptAsync(site, session, adopt, open, cancellation));
        if (done.Count > 0)
            await ForgetDecisionsAsync(site, decisions, done, cancellation);
    }

    private async Task<IEnumerable<string>> AdoptAsync(KubeObject site, IOrphanSite session, List<HeldItem> wanted, Dictionary<string, HeldItem> open, CancellationToken cancellation)
    {
        var adopted = new List<string>();
        var ended = new List<HeldItem>();
        IResources there = session.Reach();
        using IDisposable? opened = there as IDisposable;
        var documents = new List<(HeldItem Item, ResourceType Type, KubeObject Value)>();
        var names = new HashSet<ObjectKey>();
        var waiting = new Queue<HeldItem>(wanted);
        var seen = wanted.Select(w => w.Uid).ToHashSet(StringComparer.Ordinal);
        while (waiting.TryDequeue(out HeldItem? item))
        {
            if (Array.Find(s_order, t => t.GroupResource == item.Kind) is not { } type)
            {
                Refuse(item.Uid, $"{item.Kind} are not adopted; stop it, or make it here");
                continue;
            }
            (string? ns, string name) = Split(item.Name);
            ApiResult found = await there.GetAsync(type, ns, name, cancellation);
            if (!found.Ok && !found.IsNotFound)
            {
                Refuse(item.Uid, $"the site's API: {found.Error!.Message ?? found.Error.Reason}");
                continue;
            }
            KubeObject? value = found.Object?.Uid == item.Uid ? found.Object : null;
            // Its node died, and the site made another in its place: that one is meant.
            if (type == Kinds.Pod && (value is null || value.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true))
            {
                ApiList pods = await there.ListAsync(Kinds.Pod, ns, ListOptions.Default, cancellation);
                if (pods.Error is { } failure)
                {
                    Refuse(item.Uid, $"the site's API: {failure.Message ?? failure.Reason}");
                    continue;
                }
                value = pods.Items.FirstOrDefault(p => Replaces(p, item.Uid)) ?? value;
                if (value?.Metadata.Annotation(WellKnown.FencingAnnotation) is not null)
                {
                    Refuse(item.Uid, "the pod in its place waits until its node certainly runs it no more");
                    continue;
                }
            }
            // A deletion that has begun is not taken back: the pod is being stopped already.
            if (value is null || (type == Kinds.Pod && value.IsDeleting))
            {
                ended.Add(item);
                continue;
            }
            documents.Add((item, type, value));
            names.Clear();
            ScopeReferences.Collect(type, value, names);
            foreach (HeldItem needed in open.Values)
                if (names.Any(n => n.Type.GroupResource == needed.Kind && n.Key == needed.Name) && seen.Add(needed.Uid))
                    waiting.Enqueue(needed);
        }
        foreach ((HeldItem item, ResourceType type, KubeObject value) in documents.OrderBy(d => Array.IndexOf(s_order, d.Type)))
        {
            if (await TakeAsync(site, type, value, cancellation) is { } error)
            {
                logger.LogWarning("Site {Site}: orphan {Kind} {Name} cannot be adopted: {Error}", site.Name, item.Kind, item.Name, error);
                Refuse(item.Uid, error);
                continue;
            }
            logger.LogInformation("Site {Site}: orphan {Kind} {Name} is adopted, as an operator said", site.Name, item.Kind, item.Name);
            Forget(site.Name, item.Uid);
            adopted.Add(item.Uid);
            if (value.Uid != item.Uid)
                session.Release([item.Uid]);
        }
        // It ended, or gave way, before the word came, or is about to: nothing is left to adopt, and the site need not keep its name.
        if (ended.Count > 0)
            session.Release([.. ended.Select(i => i.Uid)]);
        foreach (HeldItem item in ended)
        {
            logger.LogInformation("Site {Site}: orphan {Kind} {Name} is no longer there to be adopted", site.Name, item.Kind, item.Name);
            Forget(site.Name, item.Uid);
            adopted.Add(item.Uid);
        }
        return adopted;
    }

    private static bool Replaces(KubeObject pod, string uid) =>
        pod.Metadata.Annotation(WellKnown.ReplacesAnnotation) == uid || pod.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation)?.Split(',').Contains(uid) == true;

    /// <summary>Makes the object here with the identity and, for a pod, the status that it has at the site. Null, or why not.</summary>
    private async Task<string?> TakeAsync(KubeObject site, ResourceType type, KubeObject value, CancellationToken cancellation)
    {
        JsonObject document = value.ToNode();
        JsonObject metadata = document["metadata"]!.AsObject();
        (string? ns, string name) = (type.Namespaced ? value.Namespace : null, value.Name);
        if (type == Kinds.Pod)
        {
            ApiResult node = await resources.GetAsync(Kinds.Node, null, document["spec"]?["nodeName"]?.GetValue<string>() ?? "", cancellation);
            if (node.Object?.Metadata.Label(WellKnown.SiteLabel) != site.Name)
                return "it is not on a node of this site";
        }
        if (type.Namespaced && (await resources.GetAsync(Kinds.Namespace, null, ns!, cancellation)).IsNotFound)
            return $"namespace {ns} does not exist here; create it first";
        foreach (string field in (string[])["resourceVersion", "managedFields", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink"])
            metadata.Remove(field);
        await DropLostOwnersAsync(ns, metadata, cancellation);
        var status = document["status"]?.DeepClone() as JsonObject;
        document.Remove("status");
        ApiResult created = await resources.CreateAsync(type, ns, document, cancellation);
        if (created.IsAlreadyExists)
        {
            KubeObject? here = (await resources.GetAsync(type, ns, name, cancellation)).Object;
            // In the copy it waited for a place, and has been given another since.
            return here?.Uid != value.Uid ? "another object has its name here"
                : type == Kinds.Pod && here.View(ApiJson.Default.Pod).Spec.NodeName is { } at && at != value.View(ApiJson.Default.Pod).Spec.NodeName ? $"this centre has it on node {at}; stop the one at the site" : null;
        }
        if (created.Error is { } error)
            return error.Message ?? error.Reason;
        // What was acknowledged once is not told again: without this the pod would stay Pending here until its next change.
        if (type == Kinds.Pod && status is not null)
            await resources.PatchAsync(type, ns, name, PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["uid"] = value.Uid }, ["status"] = status }, cancellation, "status");
        return null;
    }

    /// <summary>An owner that does not exist here would have garbage collection delete what was just adopted.</summary>
    private async Task DropLostOwnersAsync(string? ns, JsonObject metadata, CancellationToken cancellation)
    {
        if (metadata["ownerReferences"] is not JsonArray owners)
            return;
        for (int i = owners.Count - 1; i >= 0; i--)
        {
            ResourceType? type = Kinds.Find(owners[i]?["apiVersion"]?.GetValue<string>() ?? "", owners[i]?["kind"]?.GetValue<string>() ?? "");
            KubeObject? owner = type is null ? null : (await resources.GetAsync(type, type.Namespaced ? ns : null, owners[i]?["name"]?.GetValue<string>() ?? "", cancellation)).Object;
            if (owner?.Uid != owners[i]?["uid"]?.GetValue<string>())
            {
                // Nobody would take off the mark by which a Job counts its pods.
                if (type == Kinds.Job)
                    (metadata["finalizers"] as JsonArray)?.RemoveAll(f => (string?)f == JobTracking);
                owners.RemoveAt(i);
            }
        }
        if (owners.Count == 0)
            metadata.Remove("ownerReferences");
    }

    private async Task ForgetDecisionsAsync(KubeObject site, List<OrphanDecision> decisions, HashSet<string> done, CancellationToken cancellation)
    {
        var left = new JsonArray();
        foreach (OrphanDecision decision in decisions)
            if (!done.Contains(decision.Uid))
                left.Add((JsonNode)new JsonObject { ["uid"] = decision.Uid, ["action"] = decision.Action });
        // Against the version that was read: a word given meanwhile is not lost, and this is done again.
        await resources.PatchAsync(Kinds.Site, null, site.Name, PatchType.Merge, new JsonObject
        {
            ["metadata"] = new JsonObject { ["uid"] = site.Uid, ["resourceVersion"] = site.ResourceVersion },
            ["spec"] = new JsonObject { ["orphans"] = left.Count > 0 ? left : null },
        }, cancellation);
    }

    private void Forget(string site, string uid)
    {
        Refuse(uid, null);
        lock (_lock)
            if (_offered.TryGetValue(site, out Dictionary<string, HeldItem>? items))
                items.Remove(uid);
    }

    private void Refuse(string uid, string? why)
    {
        lock (_lock)
            if (why is null)
                _refused.Remove(uid);
            else
                _refused[uid] = why;
    }

    private static (string? Namespace, string Name) Split(string key)
    {
        int slash = key.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? (null, key) : (key[..slash], key[(slash + 1)..]);
    }
}
