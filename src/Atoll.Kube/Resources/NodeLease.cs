using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Watch;

namespace Atoll.Kube.Resources;

/// <summary>
/// The Lease of a node, made when somebody gets it (as <c>kubectl describe node</c> does): a beat is no revision, so none is stored. It is
/// renewed while the node is heard of, and tells since when it is not. One that somebody stored goes first. Lists and watches
/// have stored ones only: who lists and then watches would take leases that are never seen to be renewed for those of dead nodes.
/// </summary>
internal static class NodeLease
{
    /// <summary>Where nodes' leases are.</summary>
    public const string Namespace = "kube-node-lease";

    /// <summary>A silent line is noticed within so long.</summary>
    private const int Seconds = 15;

    /// <summary>The lease of a node.</summary>
    public static CachedObject Of(CachedObject node, string key, DateTimeOffset now)
    {
        KubeObject value = node.Object;
        Condition? ready = value.View(ApiJson.Default.Node).Status?.Conditions?.Find(static c => c.Type == "Ready");
        DateTimeOffset? heard = ready is null ? null : ready.Status == "Unknown" ? ready.LastTransitionTime : now;
        var lease = new Lease
        {
            Metadata = new ObjectMeta { Name = value.Name, Namespace = Namespace, Uid = value.Uid, CreationTimestamp = value.Metadata.CreationTimestamp },
            Spec = new LeaseSpec { HolderIdentity = value.Name, LeaseDurationSeconds = Seconds, RenewTime = heard is { } at ? KubeTime.FormatMicro(at) : null },
        };
        return new CachedObject(key, KubeObject.FromView(lease, ApiJson.Default.Lease).Utf8.Span, node.Revision, isPod: false);
    }
}
