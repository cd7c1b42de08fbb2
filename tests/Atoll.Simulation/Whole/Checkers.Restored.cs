using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;

namespace Atoll.Simulation.Whole;

/// <summary>What must hold when the centre is put back to an older copy of its store: it stops nothing at the sites.</summary>
internal sealed partial class Checkers
{
    /// <summary>Pods that a copy does not know, or knows as something else than they became: about those an operator decides, and two may run meanwhile.</summary>
    private readonly HashSet<string> _undone = new(StringComparer.Ordinal);

    /// <summary>Pods that an operator had taken in: a Job counts them beside those that were made in their place.</summary>
    private readonly HashSet<string> _takenIn = new(StringComparer.Ordinal);

    /// <summary>Pods that ran somewhere when the centre forgot them: they run on until an operator, or their own site, ends them.</summary>
    private readonly HashSet<string> _kept = new(StringComparer.Ordinal);

    /// <summary>What the centre is about to forget: each pod as it was after a change that is undone.</summary>
    public void Restoring(IReadOnlyList<KubeObject> pods) => _undone.UnionWith(pods.Select(p => p.Uid));

    /// <summary>The copy is in place.</summary>
    public void Restored()
    {
        var known = world.Centre.Api.All(Kinds.Pod).Select(p => p.Uid).ToHashSet(StringComparer.Ordinal);
        _removed.RemoveWhere(r => known.Contains(r.Uid));
        foreach (Site site in world.Sites)
            if (site.Leader is { } leader)
                foreach (KubeObject pod in leader.Store.All(Kinds.Pod))
                    if (!known.Contains(pod.Uid) && !pod.IsDeleting && !pod.Metadata.HasIdentity() && leader.Uplink!.State.Outbox.Held.ContainsKey(pod.Uid)
                        && pod.View(ApiJson.Default.Pod).Status is not { Phase: "Succeeded" or "Failed" })
                        _kept.Add(pod.Uid);
        world.Trace($"-- kept: {string.Join(' ', _kept)} --");
    }

    /// <summary>An operator said about these what is to become of them.</summary>
    public void Decided(IReadOnlyList<string> uids) => _kept.ExceptWith(uids);

    /// <summary>
    /// A site of one node that lost its store has lost what only it knew. The node has lost, too, what its machine knew from that store alone: that a
    /// pod of the machine before had ended.
    /// </summary>
    public void Forgot(Node node)
    {
        _over.RemoveWhere(o => o.Node == node && !node.Machine.Records.ContainsKey(o.Uid) && !node.Machine.Ended.ContainsKey(o.Uid));
        if (node.Site.Nodes.Count == 1)
            _kept.ExceptWith(node.Machine.Instances.Values.Select(i => i.Labels[InstanceNames.PodUid]));
    }

    /// <summary>A node is about to stop an instance.</summary>
    public void Stopping(Node node, Instance instance)
    {
        string uid = instance.Labels[InstanceNames.PodUid];
        world.Check(Claim.NothingStopped, !_kept.Contains(uid), $"{node.Name} stops {instance.Labels[InstanceNames.PodName]} ({uid}), which the centre forgot when it was put back, and nobody decided so");
        if (node.Store.Find(Kinds.Pod, $"{instance.Labels[InstanceNames.PodNamespace]}/{instance.Labels[InstanceNames.PodName]}") is { IsDeleting: true } asked && asked.Uid == uid)
            _over.Add((node, uid));
    }
}
