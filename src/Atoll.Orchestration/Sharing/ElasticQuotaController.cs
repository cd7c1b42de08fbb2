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
/// Keeps the status of each ElasticQuota: what the pods that have a node use of it, those of the quotas below included, and
/// whether its parent is there and holds what is guaranteed below it. Changes of pods show within a second.
/// </summary>
internal sealed class ElasticQuotaController : Controller
{
    private const string Ready = "Ready";

    private static readonly TimeSpan s_calm = TimeSpan.FromSeconds(1);

    public ElasticQuotaController(Cluster cluster) : base(cluster, 1)
    {
        cluster.Of(Kinds.ElasticQuota).Listen((_, _) =>
        {
            foreach (string key in Keys())
                Queue.Add(key);
        });
        cluster.Pods.Listen((old, now) =>
        {
            if (!cluster.Of(Kinds.ElasticQuota).IsEmpty && (now ?? old!).View(ApiJson.Default.Pod).Spec.NodeName is { Length: > 0 })
                foreach (string key in Keys())
                    Queue.AddAfter(key, s_calm);
        });
    }

    public override IEnumerable<string> Keys() => Cluster.Of(Kinds.ElasticQuota).Keys();

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Of(Kinds.ElasticQuota).Get(key) is not { IsDeleting: false } quota)
            return Next.Done;
        List<KubeObject> all = Cluster.Of(Kinds.ElasticQuota).All();
        var views = all.ToDictionary(q => q.Key, q => q.View(ApiJson.Default.ElasticQuota), StringComparer.Ordinal);
        var tree = new QuotaTree(views.Select(v => (v.Key, QuotaTree.ParentOf(v.Value))));
        ElasticQuota view = views[key];
        (string reason, string message) = Judge(key, view, tree, views);
        var wanted = new JsonObject
        {
            ["used"] = Used(key, view, tree, views),
            ["conditions"] = Conditions.ToJson(Conditions.With(view.Status?.Conditions, new Condition
            {
                Type = Ready, Status = reason == Ready ? "True" : "False", Reason = reason, Message = message, LastTransitionTime = Cluster.Now, ObservedGeneration = quota.Metadata.Generation,
            })),
        };
        if (StatusPatch.Changes(quota, wanted) is not { } patch)
            return Next.Done;
        ApiResult result = await Cluster.PatchAsync(Kinds.ElasticQuota, quota, patch, true, cancellation, "status").ConfigureAwait(false);
        return result.Ok || result.IsNotFound ? Next.Done : Next.Retry;
    }

    private JsonObject Used(string key, ElasticQuota view, QuotaTree tree, Dictionary<string, ElasticQuota> views)
    {
        var names = new ResourceNames();
        var sum = new long[names.Count];
        foreach (string ns in views.Keys.Where(k => Below(k, key, tree)).Select(k => k[..k.IndexOf('/', StringComparison.Ordinal)]).Distinct(StringComparer.Ordinal))
            foreach (KubeObject pod in Cluster.Pods.In(Copy.InNamespace(ns)))
            {
                Pod each = pod.View(ApiJson.Default.Pod);
                if (string.IsNullOrEmpty(each.Spec.NodeName) || each.Status?.Phase is "Succeeded" or "Failed" || tree.Of(ns, pod.Metadata.Labels) is not { } its || !Below(its, key, tree))
                    continue;
                long[] requests = names.RequestsOf(each.Spec);
                Array.Resize(ref sum, Math.Max(sum.Length, requests.Length));
                for (int r = 0; r < requests.Length; r++)
                    sum[r] += requests[r];
            }
        var used = new JsonObject();
        foreach (string resource in (view.Spec.Min ?? []).Keys.Union((view.Spec.Max ?? []).Keys).Order(StringComparer.Ordinal))
        {
            int column = names.ColumnOf(resource);
            long amount = column < sum.Length ? sum[column] : 0;
            used[resource] = resource == "cpu" ? Quantity.FromMilli(amount).ToString() : resource == "memory" ? Quantity.FromValue(amount).ToBinaryString() : Quantity.FromValue(amount).ToString();
        }
        return used;
    }

    private static bool Below(string key, string top, QuotaTree tree)
    {
        for (string? at = key; at is not null; at = tree.Above(at))
            if (at == top)
                return true;
        return false;
    }

    private static (string Reason, string Message) Judge(string key, ElasticQuota view, QuotaTree tree, Dictionary<string, ElasticQuota> views)
    {
        if (tree.IsInCircle(key))
            return ("Circle", $"{key} has itself above it: its parent does not count until spec.parent is changed.");
        if (QuotaTree.ParentOf(view) is { } parent && !views.ContainsKey(parent))
            return ("ParentMissing", $"The parent {parent} does not exist: its limits do not hold until it does.");
        List<ElasticQuota> below = [.. views.Where(v => tree.Above(v.Key) == key).Select(v => v.Value)];
        foreach (string resource in below.SelectMany(b => (b.Spec.Min ?? []).Keys).Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal))
        {
            Quantity sum = Quantity.Zero, own = Quantity.Parse(view.Spec.Min?.GetValueOrDefault(resource));
            foreach (ElasticQuota each in below)
                sum += Quantity.Parse(each.Spec.Min?.GetValueOrDefault(resource));
            if (sum > own)
                return ("Overcommitted", $"The quotas below are guaranteed {sum} of {resource}, and this one {own}: not all of it can be reclaimed from outside.");
        }
        return (Ready, below.Count == 0 ? "Its guarantee holds." : "Its guarantee covers those below.");
    }
}
