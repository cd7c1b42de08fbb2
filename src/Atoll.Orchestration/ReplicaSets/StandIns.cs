using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.ReplicaSets;

/// <summary>
/// Failover between sites: a pod that has been out of reach for longer than its workload's policy allows gets a stand-in elsewhere, and
/// the two are one replica. While the first is out of reach, or back and not yet ready, the stand-in counts; when it is ready again it
/// counts and the stand-in goes, so that nothing at the site that returned is restarted. A pod whose stand-in is wanted no more (scaled
/// down, deleted) takes it along; a stand-in whose first is gone for good is a pod like any other, or when it has found no node
/// until then goes: the site that it kept away from may be all there is, and another may be placed anywhere. A stand-in whose own site
/// falls silent gets one in turn: all of them are one replica, and the earliest that is ready is preferred. What the site made in place of a
/// pod whose node died there is that pod.
/// </summary>
internal static class StandIns
{
    /// <summary>The stand-in of each active pod that has one. A second stand-in for the same pod is none.</summary>
    public static Dictionary<string, PodState> ByOriginal(IReadOnlyList<PodState> pods)
    {
        var found = new Dictionary<string, PodState>(StringComparer.Ordinal);
        foreach (PodState pod in pods)
            if (pod.IsActive && For(pod) is { } uid && Original(pods, uid) is { } original)
            {
                found.TryAdd(original.Object.Uid, pod);
                found.TryAdd(uid, found[original.Object.Uid]);
            }
        return found;
    }

    /// <summary>The active pods that count: of a pod and its stand-ins the first that is ready, or the last.</summary>
    public static List<PodState> Counted(IReadOnlyList<PodState> pods)
    {
        Dictionary<string, PodState> standIns = ByOriginal(pods);
        var counted = new List<PodState>(pods.Count);
        foreach (PodState pod in pods)
            if (pod.IsActive && !IsStandIn(standIns, pod) && !IsVoid(pods, pod))
            {
                PodState one = pod;
                while (!one.IsReady && standIns.TryGetValue(one.Object.Uid, out PodState? next))
                    one = next;
                counted.Add(one);
            }
        return counted;
    }

    /// <summary>The stand-ins of a pod, theirs before themselves: deleted in this order, none is left without the one before it.</summary>
    public static List<PodState> After(Dictionary<string, PodState> standIns, PodState pod)
    {
        var after = new List<PodState>();
        for (PodState? next = pod; standIns.TryGetValue(next.Object.Uid, out next);)
            after.Insert(0, next);
        return after;
    }

    /// <summary>The pods that a stand-in stands in for, the nearest first.</summary>
    public static List<PodState> Before(IReadOnlyList<PodState> pods, Dictionary<string, PodState> standIns, PodState pod)
    {
        var before = new List<PodState>();
        for (PodState? one = pod; one is not null && IsStandIn(standIns, one);)
        {
            one = Original(pods, For(one)!);
            if (one is not null)
                before.Add(one);
        }
        return before;
    }

    /// <summary>When the pod's stand-in is due; null for one that needs none.</summary>
    public static DateTimeOffset? Due(PodState pod, FailoverPolicy policy) =>
        policy.Scope == FailoverScope.None || !pod.IsActive || pod.UnreachableSince is not { } since || pod.Site is null || (policy.Scope == FailoverScope.Region && pod.Region is null)
            ? null
            : since + policy.After;

    /// <summary>The document of a stand-in: the template, anywhere the policy allows but at the site of the pod that it stands in for.</summary>
    public static JsonObject Document(JsonElement template, KubeObject owner, PodState original, FailoverPolicy policy)
    {
        JsonObject pod = PodDocuments.FromTemplate(template, owner, PodDocuments.NamePrefix(owner.Name));
        PodDocuments.Child(pod["metadata"]!.AsObject(), "annotations")[FailoverPolicy.StandsInFor] = original.Object.Uid;
        JsonObject affinity = PodDocuments.Child(PodDocuments.Child(pod["spec"]!.AsObject(), "affinity"), "nodeAffinity");
        JsonObject required = PodDocuments.Child(affinity, "requiredDuringSchedulingIgnoredDuringExecution");
        if (required["nodeSelectorTerms"] is not JsonArray { Count: > 0 } terms)
            required["nodeSelectorTerms"] = terms = [(JsonNode)new JsonObject()];
        // Any one of the terms suffices: each must keep it away from that site.
        foreach (JsonNode? term in terms)
        {
            if (term is not JsonObject each)
                continue;
            JsonArray expressions = each["matchExpressions"] as JsonArray ?? [];
            each["matchExpressions"] = expressions;
            expressions.Add((JsonNode)Expression(WellKnown.SiteLabel, "NotIn", original.Site!));
            if (policy.Scope == FailoverScope.Region)
                expressions.Add((JsonNode)Expression(WellKnown.RegionLabel, "In", original.Region!));
        }
        return pod;
    }

    /// <summary>The pod that a pod stands in for, or null.</summary>
    public static string? For(PodState pod) => pod.Object.Metadata.Annotation(FailoverPolicy.StandsInFor);

    /// <summary>True for a pod that stands in for one that is still there.</summary>
    public static bool IsStandIn(Dictionary<string, PodState> standIns, PodState pod) =>
        For(pod) is { } uid && standIns.TryGetValue(uid, out PodState? standIn) && ReferenceEquals(standIn, pod);

    /// <summary>True for a stand-in without a node whose first is gone.</summary>
    public static bool IsVoid(IReadOnlyList<PodState> pods, PodState pod) =>
        pod.IsActive && string.IsNullOrEmpty(pod.View.Spec.NodeName) && For(pod) is { } uid && Original(pods, uid) is null;

    // The active pod of that identity, or the one that its site made in its place.
    private static PodState? Original(IReadOnlyList<PodState> pods, string uid)
    {
        foreach (PodState pod in pods)
            if (pod.IsActive && (pod.Object.Uid == uid || pod.Object.Metadata.Annotation(WellKnown.ReplacesAnnotation) == uid || Earlier(pod).Contains(uid, StringComparer.Ordinal)))
                return pod;
        return null;
    }

    private static string[] Earlier(PodState pod) => pod.Object.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation)?.Split(',') ?? [];

    private static JsonObject Expression(string key, string op, string value) => new() { ["key"] = key, ["operator"] = op, ["values"] = new JsonArray(value) };
}
