using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;

namespace Atoll.Orchestration.Nodes;

/// <summary>
/// Removes pods that nobody else will: of nodes whose object a person deleted, ended before they were placed, and
/// finished ones beyond a number. A node that is out of reach still has its object, so its pods are never touched here.
/// </summary>
internal sealed class PodGarbageController : Controller
{
    /// <summary>Finished pods that are kept.</summary>
    internal const int FinishedLimit = 12_500;

    /// <summary>How long a node's object must be missing: registration may be on its way.</summary>
    internal static readonly TimeSpan Quarantine = TimeSpan.FromSeconds(40);

    private const string Only = "pods";
    private static readonly TimeSpan s_round = TimeSpan.FromSeconds(20);
    private readonly Dictionary<string, DateTimeOffset> _missingSince = new(StringComparer.Ordinal);
    private readonly int _finishedLimit;

    public PodGarbageController(Cluster cluster, int finishedLimit = FinishedLimit) : base(cluster, 1) => _finishedLimit = finishedLimit;

    public override IEnumerable<string> Keys() => [Only];

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        var absent = new Dictionary<string, bool>(StringComparer.Ordinal);
        foreach (KubeObject pod in Cluster.Pods.In(Copy.Unbound))
            if (pod.IsDeleting)
                await ForceAsync(pod, cancellation).ConfigureAwait(false);
        foreach (string node in Cluster.Pods.NodesInUse())
            if (await IsGoneAsync(node, absent, cancellation).ConfigureAwait(false))
                foreach (KubeObject pod in Cluster.Pods.In(Copy.OnNode(node)))
                    await ForceAsync(pod, cancellation).ConfigureAwait(false);
        List<KubeObject> finished = Cluster.Pods.In(Copy.Over).FindAll(static pod => !pod.IsDeleting);
        foreach (string node in _missingSince.Keys.Where(n => !absent.ContainsKey(n)).ToArray())
            _missingSince.Remove(node);
        if (finished.Count > _finishedLimit)
            foreach (KubeObject pod in finished.OrderBy(p => p.Metadata.CreationTimestamp).ThenBy(p => p.Key, StringComparer.Ordinal).Take(finished.Count - _finishedLimit))
                await ForceAsync(pod, cancellation).ConfigureAwait(false);
        return Next.In(s_round);
    }

    /// <summary>True when the node's object has been missing for long enough and the API says so too.</summary>
    private async ValueTask<bool> IsGoneAsync(string node, Dictionary<string, bool> absent, CancellationToken cancellation)
    {
        if (Cluster.Nodes.Get(node) is not null)
            return false;
        if (absent.TryGetValue(node, out bool gone))
            return gone;
        if (_missingSince.TryAdd(node, Cluster.Now) || Cluster.Now - _missingSince[node] < Quarantine)
            return absent[node] = false;
        return absent[node] = (await Cluster.Api.GetAsync(Kinds.Node, null, node, cancellation).ConfigureAwait(false)).IsNotFound;
    }

    /// <summary>Nobody will report about this pod: it failed, and it goes at once. A refused write is made again next round.</summary>
    private async ValueTask ForceAsync(KubeObject pod, CancellationToken cancellation)
    {
        if (!PodFields.Of(pod).IsOver)
        {
            var patch = new JsonObject { ["status"] = new JsonObject { ["phase"] = "Failed", ["reason"] = "NodeLost", ["message"] = "The node of this pod is no longer part of the cluster." } };
            await Cluster.PatchAsync(Kinds.Pod, pod, patch, false, cancellation, "status").ConfigureAwait(false);
        }
        await Cluster.DeleteAsync(Kinds.Pod, pod, new DeleteOptions { GracePeriodSeconds = 0 }, cancellation).ConfigureAwait(false);
    }
}
