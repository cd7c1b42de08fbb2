using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Sharing;

/// <summary>
/// Keeps the status of each Reservation: when it ends, which pods took how much of it, and that one whose node is gone looks for
/// another. The placement loop gives it its node.
/// </summary>
internal sealed class ReservationController : Controller
{
    internal const int MaxOwners = 100;

    private const int UsualTtlSeconds = 86_400;

    public ReservationController(Cluster cluster) : base(cluster, 1)
    {
        cluster.Of(Kinds.Reservation).Listen((old, now) => Queue.Add((now ?? old!).Key));
        cluster.Pods.Listen((old, now) =>
        {
            if ((now ?? old!).Metadata.Annotation(Reservation.Annotation) is { } name)
                Queue.Add(name);
        });
        cluster.Nodes.Listen((old, now) =>
        {
            if (now is null)
                foreach (KubeObject reservation in cluster.Of(Kinds.Reservation).All())
                    if (reservation.View(ApiJson.Default.Reservation).Status?.NodeName == old!.Name)
                        Queue.Add(reservation.Key);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.Reservation).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.Reservation).Get(key) is not { IsDeleting: false } reservation)
            return Next.Done;
        Reservation view = reservation.View(ApiJson.Default.Reservation);
        DateTimeOffset created = reservation.Metadata.CreationTimestamp ?? Cluster.Now;
        int ttl = view.Spec.TtlSeconds ?? UsualTtlSeconds;
        DateTimeOffset? end = ttl == 0 ? null : created.AddSeconds(ttl);
        bool expired = end <= Cluster.Now, lost = !expired && view.Status?.NodeName is { Length: > 0 } node && Cluster.Nodes.Get(node) is null;
        var wanted = new JsonObject
        {
            ["phase"] = expired ? "Expired" : lost || string.IsNullOrEmpty(view.Status?.NodeName) ? "Pending" : "Available",
            ["expirationTime"] = end is { } moment ? KubeTime.Format(moment) : null,
        };
        Allocated(wanted, key, expired || lost ? null : view.Status?.NodeName, view.Spec);
        if (expired || lost)
            wanted["conditions"] = Conditions.ToJson(Conditions.With(view.Status?.Conditions, new Condition
            {
                Type = "Scheduled", Status = "False", Reason = expired ? "Expired" : "NodeLost", LastTransitionTime = Cluster.Now,
                Message = expired ? "Its time is over: the room is free for all." : $"Node {view.Status!.NodeName} is gone: it looks for another.",
            }));
        if (lost)
            wanted["nodeName"] = null;
        TimeSpan? again = expired ? null : end - Cluster.Now;
        if (StatusPatch.Changes(reservation, wanted) is not { } patch)
            return Next.In(again);
        ApiResult result = await Cluster.PatchAsync(Kinds.Reservation, reservation, patch, true, cancellation, "status").ConfigureAwait(false);
        if (result.Ok && expired && view.Status?.Phase != "Expired")
            Cluster.Events.Normal(reservation, "Expired", "Its time is over: the room is free for all.");
        return result.Ok || result.IsNotFound ? Next.In(again) : Next.Retry;
    }

    private void Allocated(JsonObject wanted, string name, string? node, ReservationSpec spec)
    {
        var names = new ResourceNames();
        var sum = new long[names.Count];
        var owners = new List<string>();
        foreach (KubeObject pod in node is null ? [] : Cluster.Pods.In(Copy.OnNode(node)))
        {
            Pod view = pod.View(ApiJson.Default.Pod);
            if (pod.Metadata.Annotation(Reservation.Annotation) != name || view.Status?.Phase is "Succeeded" or "Failed")
                continue;
            owners.Add(pod.Key);
            long[] requests = names.RequestsOf(view.Spec);
            Array.Resize(ref sum, Math.Max(sum.Length, requests.Length));
            for (int r = 0; r < requests.Length; r++)
                sum[r] += requests[r];
        }
        owners.Sort(StringComparer.Ordinal);
        var allocated = new JsonObject();
        foreach ((string resource, string kept) in spec.Resources ?? [])
        {
            int column = names.ColumnOf(resource);
            Quantity taken = column >= sum.Length ? Quantity.Zero : resource == "cpu" ? Quantity.FromMilli(sum[column]) : Quantity.FromValue(sum[column]);
            taken = taken > Quantity.Parse(kept) ? Quantity.Parse(kept) : taken;
            allocated[resource] = resource == "memory" ? taken.ToBinaryString() : taken.ToString();
        }
        wanted["allocated"] = node is null ? null : allocated;
        wanted["currentOwners"] = owners.Count == 0 ? null : new JsonArray([.. owners.Take(MaxOwners).Select(o => (JsonNode)o)]);
    }
}
