using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Scheduling.Deliveries;

namespace Atoll.Orchestration.Deliveries;

/// <summary>A Delivery with what belongs to it, and what its status amounts to. Pure but for <see cref="Read"/>.</summary>
internal sealed class DeliveryView(KubeObject value, IReadOnlyDictionary<string, KubeObject> sets, IReadOnlyDictionary<string, List<PodState>> pods, Func<string, bool> siteExists)
{
    public KubeObject Object { get; } = value;

    public DeliverySpec Spec { get; } = value.View(ApiJson.Default.Delivery).Spec;

    /// <summary>The status as it was read; a copy.</summary>
    public DeliveryStatus Status { get; } = Copy(value.View(ApiJson.Default.Delivery).Status);

    /// <summary>ReplicaSets by site.</summary>
    public IReadOnlyDictionary<string, KubeObject> Sets { get; } = sets;

    public static DeliveryView Read(Cluster cluster, KubeObject value)
    {
        var sets = new Dictionary<string, KubeObject>(StringComparer.Ordinal);
        var pods = new Dictionary<string, List<PodState>>(StringComparer.Ordinal);
        foreach (KubeObject set in cluster.Of(Kinds.ReplicaSet).In(Loop.Copy.OwnedBy(value.Uid)))
        {
            if (set.IsDeleting || set.Metadata.Label(WellKnown.DeliverySiteLabel) is not { } site)
                continue;
            sets[site] = set;
            pods[site] = [.. cluster.Pods.In(Loop.Copy.OwnedBy(set.Uid)).Select(p => PodState.Of(cluster, p)).Where(p => p.IsActive)];
        }
        return new DeliveryView(value, sets, pods, name => cluster.Of(Kinds.Site).Get(name) is not null);
    }

    /// <summary>Pods of a site that have a node: they count in the fleet.</summary>
    public int BoundAt(string site) => pods.TryGetValue(site, out List<PodState>? those) ? those.Count(p => !string.IsNullOrEmpty(p.View.Spec.NodeName)) : 0;

    /// <summary>True when the answer that stands is none to the question as it is, or no longer true.</summary>
    public bool NeedsPlan(DateTimeOffset now, TimeSpan stuck)
    {
        if (Status.ObservedGeneration != Object.Metadata.Generation || Status.Phase is null or "Unsatisfiable" or "Planned")
            return true;
        foreach (DeliverySite site in Status.Sites ?? [])
        {
            if (!siteExists(site.Site))
                return true;
            if (pods.TryGetValue(site.Site, out List<PodState>? those) && those.Exists(p => IsStuck(p, now, stuck)))
                return true;
        }
        return false;
    }

    /// <summary>The status after a plan; <paramref name="nowhere"/> is why not even one more instance fits anywhere, or null.</summary>
    public DeliveryStatus Answered(DeliveryPlan plan, string? nowhere, DateTimeOffset now)
    {
        var status = new DeliveryStatus { ObservedGeneration = Object.Metadata.Generation, Missing = plan.Missing, Conditions = Status.Conditions };
        // What stands is kept when there is no better plan, and shown.
        status.Sites = plan.Fits ? [.. plan.Sites.Select(s => new DeliverySite { Site = s.Site, Count = s.Count })] : Status.Sites;
        status.Planned = plan.Fits ? Spec.Count : status.Sites?.Sum(s => s.Count) ?? 0;
        status.Alternatives = plan.Fits ? null : [.. plan.Alternatives.Select(a => new DeliveryAlternative { Relax = a.Relax, Value = a.Value, Message = a.Message })];
        status.Phase = plan.Fits ? Spec.Template is null ? "Planned" : "Delivering" : "Unsatisfiable";
        string message = plan.Fits ? $"{Spec.Count} instances over {plan.Sites.Count} sites"
            : $"{plan.Missing} of {Spec.Count} instances cannot be placed; {(nowhere is null && plan.Alternatives.Count == 0 ? "no change of its conditions would make it fit" : string.Join("; ", plan.Alternatives.Select(a => a.Message).Prepend(nowhere).Where(m => m is not null)))}";
        status.Conditions = Conditions.With(status.Conditions, new Condition { Type = "Planned", Status = plan.Fits ? "True" : "False", Reason = plan.Fits ? "Fits" : "Unsatisfiable", Message = message, LastTransitionTime = now });
        Count(status, now);
        return status;
    }

    /// <summary>The status of a request that cannot be understood.</summary>
    public DeliveryStatus Refused(string problem, DateTimeOffset now)
    {
        var status = new DeliveryStatus { ObservedGeneration = Object.Metadata.Generation, Phase = "Unsatisfiable", Missing = Spec.Count, Sites = Status.Sites, Planned = Status.Sites?.Sum(s => s.Count) ?? 0 };
        status.Conditions = Conditions.With(Status.Conditions, new Condition { Type = "Planned", Status = "False", Reason = "Invalid", Message = problem, LastTransitionTime = now });
        Count(status, now);
        return status;
    }

    /// <summary>Fills in what exists and is ready.</summary>
    public void Count(DeliveryStatus status, DateTimeOffset now)
    {
        status.Current = pods.Values.Sum(p => p.Count);
        status.Ready = pods.Values.Sum(those => those.Count(p => p.IsReady));
        foreach (DeliverySite site in status.Sites ?? [])
            site.Ready = pods.TryGetValue(site.Site, out List<PodState>? those) ? those.Count(p => p.IsReady) : 0;
        if (status.Phase is "Unsatisfiable" or "Planned" or null)
            return;
        bool all = status.Sites?.TrueForAll(s => s.Ready >= s.Count) != false && Sets.Count == (status.Sites?.Count ?? 0);
        status.Phase = all ? "Delivered" : "Delivering";
        status.Conditions = Conditions.With(status.Conditions, new Condition { Type = "Ready", Status = all ? "True" : "False", Reason = status.Phase, Message = $"{status.Ready} of {status.Planned} pods are ready", LastTransitionTime = now });
    }

    private static bool IsStuck(PodState pod, DateTimeOffset now, TimeSpan stuck) =>
        string.IsNullOrEmpty(pod.View.Spec.NodeName) && pod.View.Status?.Condition("PodScheduled") is { Status: "False", Reason: "Unschedulable" } condition
        && now - (condition.LastTransitionTime ?? now) >= stuck;

    // A view is shared by all who read the object: what is changed here is its own.
    private static DeliveryStatus Copy(DeliveryStatus? status) => new()
    {
        ObservedGeneration = status?.ObservedGeneration, Phase = status?.Phase, Planned = status?.Planned ?? 0, Current = status?.Current ?? 0, Ready = status?.Ready ?? 0, Missing = status?.Missing ?? 0,
        Sites = status?.Sites?.ConvertAll(s => new DeliverySite { Site = s.Site, Count = s.Count, Ready = s.Ready }), Alternatives = status?.Alternatives, Conditions = status?.Conditions is { } all ? [.. all] : null,
    };
}
