using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Scheduling.Deliveries;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Deliveries;

/// <summary>
/// Answers Deliveries and makes the answers real. A Delivery is planned when its spec is new, while it cannot be fulfilled,
/// when a site of its plan is gone, and when a pod of it waits for room that its site no longer has; pods that run stay
/// where they are unless the conditions forbid it. The plan is written first and then carried out by one ReplicaSet a site, so
/// that pods which are lost come back at their site. A Delivery that cannot be fulfilled keeps what stands.
/// One worker: what one Delivery was promised is taken into account by the next before its pods exist.
/// </summary>
internal sealed class DeliveryController : Controller
{
    private static readonly TimeSpan s_again = TimeSpan.FromSeconds(30), s_stuck = TimeSpan.FromSeconds(15);

    private readonly Func<Snapshot> _fleet;

    public DeliveryController(Cluster cluster, Func<Snapshot> fleet) : base(cluster, 1)
    {
        _fleet = fleet;
        cluster.Of(Kinds.Delivery).Listen((old, now) => Queue.Add((now ?? old!).Key));
        cluster.Of(Kinds.ReplicaSet).Listen((old, now) =>
        {
            if (PodEvents.Owner(now ?? old, Kinds.Delivery) is { } owner)
                Queue.Add(owner);
        });
        cluster.Of(Kinds.Site).Listen((old, now) =>
        {
            if (old is null || now is null || old.Metadata.Generation != now.Metadata.Generation)
                foreach (string key in cluster.Of(Kinds.Delivery).Keys())
                    Queue.Add(key);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.Delivery).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.Delivery).Get(key) is not { IsDeleting: false } value)
            return Next.Done;
        DeliveryView view = DeliveryView.Read(Cluster, value);
        DeliveryStatus status = view.Status;
        if (view.NeedsPlan(Cluster.Now, s_stuck))
            status = Plan(view);
        else
            view.Count(status, Cluster.Now);
        // The plan is the promise: it is known before the first pod is made from it.
        if (!await WriteAsync(value, status, cancellation).ConfigureAwait(false))
            return Next.Retry;
        if (view.Spec.Template is not null && status.Phase != "Unsatisfiable" && !await CarryOutAsync(view, status, cancellation).ConfigureAwait(false))
            return Next.Retry;
        return Next.In(status.Phase == "Unsatisfiable" ? s_again : status.Phase == "Delivering" ? s_stuck : null);
    }

    private DeliveryStatus Plan(DeliveryView view)
    {
        DeliverySpec spec = view.Spec;
        (KubeObject? probe, string? problem) = ProbeOf(view.Object, spec);
        if (probe is null)
            return view.Refused(problem!, Cluster.Now);
        Snapshot fleet = _fleet();
        CountPromises(fleet, view.Object);
        IReadOnlyDictionary<string, int> room = SiteRoom.Of(fleet, probe, spec.Count);
        var candidates = new List<DeliveryCandidate>();
        foreach (KubeObject item in Cluster.Of(Kinds.Site).All())
        {
            Site site = item.View(ApiJson.Default.Site);
            if (site.Spec.Revoked == true || item.IsDeleting)
                continue;
            int has = view.BoundAt(item.Name);
            double? trip = spec.Latency is { } latency ? site.Spec.RoundTrips?.Find(r => r.To == latency.To)?.Milliseconds : null;
            candidates.Add(new DeliveryCandidate(item.Name, site.Spec.Region, site.Spec.Carrier, site.Spec.Kind, trip, site.Spec.UnitCost ?? 0, site.Status?.Line?.Drops ?? 0, has + room.GetValueOrDefault(item.Name), has));
        }
        (int more, string? quota) = SiteRoom.Allowed(fleet, probe, spec.Count);
        var request = new DeliveryRequest
        {
            Count = spec.Count, Region = spec.Region is "any" or "" ? null : spec.Region, Carrier = spec.Carrier is "any" or "" ? null : spec.Carrier, Kinds = spec.Kinds,
            Latency = spec.Latency?.Milliseconds, MinSites = spec.MinSites ?? 1, MaxSharePercent = spec.MaxSharePercent ?? 100,
            Most = quota is null ? int.MaxValue : more + candidates.Sum(c => c.Current),
        };
        DeliveryPlan plan = DeliveryPlanner.Make(request, candidates);
        string? nowhere = plan.Fits ? null : spec.Count > request.Most ? quota
            : spec.Latency is { } asked && candidates.Count > 0 && !candidates.Exists(c => c.RoundTrip is not null) ? $"no Site estimates its round trip to {asked.To} (spec.roundTrips)"
            : room.Count > 0 ? null : Scheduler.Plan(fleet, [probe], seed: 0).Placements[0].Message;
        return view.Answered(plan, nowhere, Cluster.Now);
    }

    private (KubeObject?, string?) ProbeOf(KubeObject delivery, DeliverySpec spec) =>
        DeliveryDocuments.Probe(delivery, spec, Cluster.Of(Kinds.Flavour).Get, Cluster.Of(Kinds.RuntimeClass).Get);

    // What other Deliveries were promised and is not bound yet is not free.
    private void CountPromises(Snapshot fleet, KubeObject except)
    {
        foreach (KubeObject other in Cluster.Of(Kinds.Delivery).All())
        {
            if (other.Uid == except.Uid || other.IsDeleting)
                continue;
            DeliveryView view = DeliveryView.Read(Cluster, other);
            if (view.Spec.Template is null || view.Status.Phase != "Delivering")
                continue;
            KubeObject? probe = null;
            foreach (DeliverySite site in view.Status.Sites ?? [])
                for (int i = view.BoundAt(site.Site); i < site.Count; i++)
                {
                    probe ??= ProbeOf(other, view.Spec).Item1;
                    if (probe is null || Hold(fleet, probe, $"{other.Uid}/{site.Site}/{i}", site.Site) is false)
                        break;
                }
        }
    }

    private static bool Hold(Snapshot fleet, KubeObject probe, string uid, string site)
    {
        JsonObject pod = probe.ToNode();
        PodDocuments.Child(pod["spec"]!.AsObject(), "nodeSelector")[WellKnown.SiteLabel] = site;
        pod["metadata"]!["uid"] = uid;
        KubeObject held = KubeObject.FromNode(pod);
        if (Scheduler.Plan(fleet, [held], seed: 0).Placements[0].Node is not { } node)
            return false;
        fleet.UpsertPod(held, node);
        return true;
    }

    private async ValueTask<bool> CarryOutAsync(DeliveryView view, DeliveryStatus status, CancellationToken cancellation)
    {
        bool ok = true;
        foreach (DeliverySite site in status.Sites ?? [])
        {
            if (!view.Sets.TryGetValue(site.Site, out KubeObject? set))
            {
                ApiResult made = await Cluster.CreateAsync(Kinds.ReplicaSet, view.Object.Namespace, DeliveryDocuments.ReplicaSet(view.Object, view.Spec, site.Site, site.Count), cancellation).ConfigureAwait(false);
                if (made.Error is { } error && !PodBatch.IsNamespaceEnding(error))
                {
                    Cluster.Events.Warning(view.Object, "FailedCreate", $"Error creating the ReplicaSet for site {site.Site}: {error.Message}");
                    ok = false;
                }
            }
            else if (set.View(ApiJson.Default.ReplicaSet).Spec.Replicas != site.Count)
                ok &= (await Cluster.PatchAsync(Kinds.ReplicaSet, set, new JsonObject { ["spec"] = new JsonObject { ["replicas"] = site.Count } }, false, cancellation).ConfigureAwait(false)).Ok;
        }
        foreach ((string site, KubeObject set) in view.Sets)
            if (status.Sites?.Exists(s => s.Site == site) != true)
                ok &= (await Cluster.DeleteAsync(Kinds.ReplicaSet, set, DeleteOptions.Default, cancellation).ConfigureAwait(false)).Ok;
        return ok;
    }

    private async ValueTask<bool> WriteAsync(KubeObject value, DeliveryStatus status, CancellationToken cancellation)
    {
        JsonObject wanted = KubeObject.FromView(new Delivery { Status = status }, ApiJson.Default.Delivery).ToNode()["status"]!.AsObject();
        foreach (string field in (ReadOnlySpan<string>)["sites", "alternatives"])
            wanted[field] ??= null;
        if (StatusPatch.Changes(value, wanted) is not { } patch)
            return true;
        ApiResult result = await Cluster.PatchAsync(Kinds.Delivery, value, patch, false, cancellation, "status").ConfigureAwait(false);
        if (result.Ok && status.Conditions?.Find(c => c.Type == "Planned") is { } planned && planned.Message != value.View(ApiJson.Default.Delivery).Status?.Conditions?.Find(c => c.Type == "Planned")?.Message)
        {
            if (planned.Status == "True")
                Cluster.Events.Normal(value, "Planned", planned.Message ?? "");
            else
                Cluster.Events.Warning(value, planned.Reason ?? "Unsatisfiable", planned.Message ?? "");
        }
        return result.Ok || result.IsNotFound;
    }
}
