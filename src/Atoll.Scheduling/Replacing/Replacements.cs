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
/// broken off at any step and made again. Only pods whose controller would make another one in their place (ReplicaSet,
/// Job) are replaced; what belongs to a node (DaemonSets, pods without a controller) stays where it is.
/// </summary>
public static class Replacements
{
    private const string Alphabet = "bcdfghjklmnpqrstvwxz2456789";

    /// <summary>Plans the replacements.</summary>
    /// <param name="nodes">Nodes of the site.</param>
    /// <param name="pods">Pods of the site.</param>
    /// <param name="dead">Names of its dead nodes.</param>
    public static IReadOnlyList<Replacement> Plan(IEnumerable<KubeObject> nodes, IReadOnlyCollection<KubeObject> pods, IReadOnlySet<string> dead)
    {
        ArgumentNullException.ThrowIfNull(nodes);
        ArgumentNullException.ThrowIfNull(pods);
        ArgumentNullException.ThrowIfNull(dead);
        var made = new Dictionary<string, KubeObject>(StringComparer.Ordinal);
        var lost = new List<KubeObject>();
        foreach (KubeObject pod in pods)
        {
            if (pod.Metadata.Annotation(WellKnown.ReplacesAnnotation) is { } uid)
                made[uid] = pod;
            if (IsLost(pod, dead))
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
        Plan placed = Scheduler.Plan(Room(nodes, pods, dead), pending.ConvertAll(p => KubeObject.FromNode(InPlaceOf(p))), new PlanOptions { Seed = 1 });
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

    private static bool IsLost(KubeObject pod, IReadOnlySet<string> dead)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        return view.Spec.NodeName is { } node && dead.Contains(node) && !pod.IsDeleting && view.Status?.Phase is not ("Succeeded" or "Failed")
            && pod.Metadata.Controller()?.Kind is "ReplicaSet" or "Job";
    }

    private static Snapshot Room(IEnumerable<KubeObject> nodes, IReadOnlyCollection<KubeObject> pods, IReadOnlySet<string> dead)
    {
        var room = new Snapshot();
        foreach (KubeObject node in nodes)
            if (!dead.Contains(node.Name))
                room.UpsertNode(node);
        foreach (KubeObject pod in pods)
            if (pod.View(ApiJson.Default.Pod).Spec.NodeName is { } at && !dead.Contains(at))
                room.UpsertPod(pod);
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
        Map(meta, "annotations")[WellKnown.ReplacesAnnotation] = lost.Uid;
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
