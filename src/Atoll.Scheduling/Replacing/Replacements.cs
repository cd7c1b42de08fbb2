using System.Security.Cryptography;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Scheduling.Replacing;

/// <summary>What is to be done about one pod of a dead node.</summary>
/// <param name="Lost">The pod.</param>
/// <param name="Pod">The pod in its place, bound to a node; null when there is none yet or none is to be.</param>
/// <param name="Known">True when that pod exists already.</param>
/// <param name="Message">Why there is none, in the scheduler's words, or null.</param>
public sealed record Replacement(KubeObject Lost, JsonObject? Pod, bool Known, string? Message);

/// <summary>
/// Which pods of a site's dead nodes come to life again on its other nodes, and where: pure and deterministic, so that it can be
/// broken off at any step and made again. Only pods whose controller would make another one in their place (ReplicaSet, Job, StatefulSet)
/// are replaced; what belongs to a node (DaemonSets, pods without a controller) stays where it is. A pod with an identity keeps its name
/// and gets another UID, so it takes the lost one's place in the API; it is replaced only when its node certainly no longer runs it.
/// </summary>
public static class Replacements
{
    private const string Alphabet = "bcdfghjklmnpqrstvwxz2456789";

    /// <summary>Plans the replacements.</summary>
    /// <param name="nodes">Nodes of the site.</param>
    /// <param name="pods">Pods of the site.</param>
    /// <param name="dead">Names of its dead nodes.</param>
    /// <param name="fenced">Those of them that certainly run no pod with an identity any more.</param>
    /// <param name="storage">Claims, volumes and storage classes that the site knows.</param>
    public static IReadOnlyList<Replacement> Plan(IEnumerable<KubeObject> nodes, IReadOnlyCollection<KubeObject> pods, IReadOnlySet<string> dead, IReadOnlySet<string> fenced, IEnumerable<KubeObject>? storage = null)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(pods);
        ArgumentNullException.ThrowIfNull(dead);
        ArgumentNullException.ThrowIfNull(fenced);
        var made = new Dictionary<string, KubeObject>(StringComparer.Ordinal);
        var lost = new List<KubeObject>();
        foreach (KubeObject pod in pods)
        {
            if (pod.Metadata.Annotation(WellKnown.ReplacesAnnotation) is { } uid)
                made[uid] = pod;
            if (IsLost(pod, dead, fenced))
                lost.Add(pod);
        }
        var plan = new List<Replacement>();
        lost.Sort(static (a, b) => string.CompareOrdinal(a.Key, b.Key));
        var pending = new List<KubeObject>();
        foreach (KubeObject pod in lost)
            if (made.TryGetValue(pod.Uid, out KubeObject? known))
                plan.Add(new Replacement(pod, known.ToNode(), Known: true, null));
            else
                pending.Add(pod);
        if (pending.Count == 0)
            return plan;
        Plan placed = Scheduler.Plan(Room(nodes, pods, dead, storage ?? []), pending.ConvertAll(p => KubeObject.FromNode(InPlaceOf(p))), new PlanOptions { Seed = 1 });
        for (int i = 0; i < pending.Count; i++)
        {
            Placement placement = placed.Placements[i];
            JsonObject? pod = placement.Node is null ? null : placement.Pod.ToNode();
            if (pod is not null)
                pod["spec"]!["nodeName"] = placement.Node;
            plan.Add(new Replacement(pending[i], pod, Known: false, placement.Node is null ? placement.Message : null));
        }
        return plan;
    }

    /// <summary>The name of a pod that takes the place of another: the same whoever makes it, however often.</summary>
    public static string NameOf(KubeObject lost)
    {
        ArgumentNullException.ThrowIfNull(lost);
        if (lost.Metadata.HasIdentity())
            return lost.Name;
        string prefix = lost.Metadata.GenerateName ?? $"{lost.Metadata.Controller()?.Name}-";
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes(lost.Uid));
        return (prefix.Length > 53 ? prefix[..53] : prefix) + string.Concat(hash.Take(10).Select(b => Alphabet[b % Alphabet.Length]));
    }

    // One lost pod has one replacement, whichever node made it: also by its identity.
    private static string UidOf(KubeObject lost)
    {
        byte[] hash = SHA256.HashData(Encoding.UTF8.GetBytes("replaces " + lost.Uid))[..16];
        hash[6] = (byte)((hash[6] & 0x0F) | 0x80);
        hash[8] = (byte)((hash[8] & 0x3F) | 0x80);
        return new Guid(hash, bigEndian: true).ToString();
    }

    private static string Holder(KubeObject pod) => pod.View(ApiJson.Default.Pod).Spec.NodeName!;

    private static bool IsLost(KubeObject pod, IReadOnlySet<string> dead, IReadOnlySet<string> fenced)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        return view.Spec.NodeName is { } node && dead.Contains(node) && !pod.IsDeleting && view.Status?.Phase is not ("Succeeded" or "Failed")
            && (pod.Metadata.HasIdentity() ? fenced.Contains(node) : pod.Metadata.Controller()?.Kind is "ReplicaSet" or "Job");
    }

    private static Snapshot Room(IEnumerable<KubeObject> nodes, IReadOnlyCollection<KubeObject> pods, IReadOnlySet<string> dead, IEnumerable<KubeObject> storage)
    {
        var room = new Snapshot();
        foreach (KubeObject node in nodes)
            if (!dead.Contains(node.Name))
                room.UpsertNode(node);
        foreach (KubeObject pod in pods)
            if (pod.View(ApiJson.Default.Pod).Spec.NodeName is { } at && !dead.Contains(at))
                room.UpsertPod(pod);
        foreach (KubeObject value in storage)
            if (Kinds.Find(value.ApiVersion, value.Kind) is { } type)
                room.SetStorage(type, value.Key, value);
        return room;
    }

    private static JsonObject InPlaceOf(KubeObject lost)
    {
        JsonObject pod = lost.ToNode();
        pod.Remove("status");
        (pod["spec"] as JsonObject)?.Remove("nodeName");
        JsonObject old = pod["metadata"]!.AsObject(), meta = new() { ["name"] = NameOf(lost), ["namespace"] = lost.Namespace, ["uid"] = UidOf(lost) };
        foreach (string field in (string[])["generateName", "labels", "annotations", "ownerReferences", "finalizers"])
            if (old[field] is { } value)
                meta[field] = value.DeepClone();
        Map(meta, "labels")[WellKnown.CreatedByLabel] = "site";
        JsonObject annotations = Map(meta, "annotations");
        annotations[WellKnown.ReplacesAnnotation] = lost.Uid;
        // Its node died before the parent heard of it: the parent may know only the one before.
        if (lost.Metadata.Annotation(WellKnown.ReplacesAnnotation) is { } before)
            annotations[WellKnown.ReplacedBeforeAnnotation] = lost.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation) is { Length: < 1000 } earlier ? $"{before},{earlier}" : before;
        if (lost.Metadata.HasIdentity())
            annotations[WellKnown.FencingAnnotation] = lost.Metadata.Annotation(WellKnown.FencingAnnotation) is { } nodes ? $"{nodes},{Holder(lost)}" : Holder(lost);
        pod["metadata"] = meta;
        return pod;
    }

    private static JsonObject Map(JsonObject parent, string name)
    {
        if (parent[name] is not JsonObject map)
            parent[name] = map = [];
        return map;
    }
}
