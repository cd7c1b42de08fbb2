using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;

namespace Atoll.Orchestration.Nodes;

/// <summary>
/// Deletes pods that do not tolerate a NoExecute taint, or no longer do. Only taints that a person put there count: the
/// keys that follow a node's conditions never evict, whoever set them, for a silent line is no reason to stop anything.
/// </summary>
internal sealed class TaintEvictionController : Controller
{
    // False while no node has such a taint: pods need not be looked at then. Set after a node is in the copy, cleared before all are looked at.
    private volatile bool _any = true;

    public TaintEvictionController(Cluster cluster) : base(cluster, 2)
    {
        cluster.Nodes.Listen((_, now) =>
        {
            if (now is null || !Evicting(now).Any())
                return;
            _any = true;
            Queue.Add(now.Key);
        });
        cluster.Pods.Listen((old, now) =>
        {
            if (!_any)
                return;
            if (now is not null && PodFields.Read(now.Utf8.Span).NodeOf(now) is { } node && (old is null || PodFields.Read(old.Utf8.Span).NodeOf(old) != node)
                && cluster.Nodes.Get(node) is { } found && Evicting(found).Any())
                Queue.Add(node);
        });
    }

    public override IEnumerable<string> Keys()
    {
        _any = false;
        List<KubeObject> nodes = Cluster.Nodes.All().FindAll(n => Evicting(n).Any());
        if (nodes.Count > 0)
            _any = true;
        return nodes.Select(n => n.Key);
    }

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        if (Cluster.Nodes.Get(key) is not { } node)
            return Next.Done;
        Taint[] taints = [.. Evicting(node)];
        TimeSpan? next = null;
        bool ok = true;
        foreach (KubeObject pod in taints.Length == 0 ? [] : Cluster.Pods.In(Copy.OnNode(node.Name)))
        {
            if (pod.IsDeleting || Due(pod.View(ApiJson.Default.Pod), taints) is not { } due)
                continue;
            TimeSpan wait = due - Cluster.Now;
            if (wait > TimeSpan.Zero)
                next = next is null || wait < next ? wait : next;
            else
            {
                Cluster.Events.Normal(pod, "TaintManagerEviction", $"Marking for deletion Pod {pod.Key}");
                ok &= (await Cluster.DeleteAsync(Kinds.Pod, pod, DeleteOptions.Default, cancellation).ConfigureAwait(false)).Ok;
            }
        }
        return ok ? Next.In(next) : Next.Retry;
    }

    /// <summary>When the pod must go: the past for at once, null for never. A taint without a time is not stamped yet.</summary>
    internal static DateTimeOffset? Due(Pod pod, IReadOnlyList<Taint> taints)
    {
        DateTimeOffset? due = null;
        foreach (Taint taint in taints)
        {
            List<Toleration> matching = [.. (pod.Spec.Tolerations ?? []).Where(t => Taints.Tolerates(t, taint))];
            DateTimeOffset since = taint.TimeAdded ?? DateTimeOffset.MinValue;
            DateTimeOffset born = pod.Status?.StartTime ?? pod.Metadata.CreationTimestamp ?? since;
            DateTimeOffset? until = matching.Count == 0
                ? DateTimeOffset.MinValue
                : matching.Min(t => t.TolerationSeconds) is { } seconds ? (since > born ? since : born).AddSeconds(Math.Clamp(seconds, 0, int.MaxValue)) : null;
            if (until is not null && (due is null || until < due))
                due = until;
        }
        return due;
    }

    // Nearly no node has one, and a fleet has many nodes: those are not parsed for it.
    private static IEnumerable<Taint> Evicting(KubeObject node) => node.Utf8.Span.IndexOf("\"NoExecute\""u8) < 0 ? [] :
        (node.View(ApiJson.Default.Node).Spec.Taints ?? []).Where(t => t.Effect == Taints.NoExecute && t.TimeAdded is not null && !Taints.OfConditions.Contains(t.Key));
}
