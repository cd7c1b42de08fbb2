using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Scheduling.Capacities;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Sites;

/// <summary>
/// Shows in each Site's status what the site has, what of it is not saleable (the nodes' system, Atoll's own services, headroom),
/// sold and free. All sites are looked at together, every <see cref="s_period"/> while anything changes: one copy of the fleet, and a
/// write only for what changed.
/// </summary>
internal sealed class SiteResourceController : Controller
{
    private const string All = "sites";

    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(30);

    private readonly Func<Snapshot> _fleet;
    private bool _changed = true;

    public SiteResourceController(Cluster cluster, Func<Snapshot> fleet) : base(cluster, 1)
    {
        _fleet = fleet;
        cluster.Of(Kinds.Site).Listen((old, now) =>
        {
            if (old?.Metadata.Generation == now?.Metadata.Generation)
                return;
            Volatile.Write(ref _changed, true);
            Queue.Add(All);
        });
        cluster.Nodes.Listen((_, _) => Volatile.Write(ref _changed, true));
        cluster.Pods.Listen((_, _) => Volatile.Write(ref _changed, true));
    }

    public override IEnumerable<string> Keys()
    {
        _changed = true; // Now and then without a reason: somebody else may have written there.
        return [All];
    }

    internal override async ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
    {
        List<KubeObject> sites = Cluster.Of(Kinds.Site).All();
        if (sites.Count == 0)
            return Next.Done;
        if (!Interlocked.Exchange(ref _changed, false))
            return Next.In(s_period);
        IReadOnlyDictionary<string, IReadOnlyDictionary<string, SiteUse>> uses = SiteUsage.Of(_fleet());
        ILookup<string, NodeStatus> nodes = Cluster.Nodes.All().Where(n => n.View(ApiJson.Default.Node).Status is not null)
            .ToLookup(n => n.Metadata.Label(WellKnown.SiteLabel) ?? "", n => n.View(ApiJson.Default.Node).Status!);
        bool ok = true;
        foreach (KubeObject site in sites)
        {
            List<SiteResource> resources = Of(site.View(ApiJson.Default.Site).Spec, [.. nodes[site.Name]], uses.GetValueOrDefault(site.Name));
            JsonArray shown = KubeObject.FromView(new Site { Status = new SiteStatus { Resources = resources } }, ApiJson.Default.Site).ToNode()["status"]!["resources"]!.AsArray();
            if (StatusPatch.Changes(site, new JsonObject { ["resources"] = shown.Count == 0 ? null : shown.DeepClone() }) is { } patch)
                ok &= (await Cluster.PatchAsync(Kinds.Site, site, patch, false, cancellation, "status").ConfigureAwait(false)) is { Ok: true } or { IsNotFound: true };
        }
        if (!ok)
            Volatile.Write(ref _changed, true);
        return ok ? Next.In(s_period) : Next.Retry;
    }

    /// <summary>Where the resources of one site go; the lines are in order of their names.</summary>
    internal static List<SiteResource> Of(SiteSpec spec, IReadOnlyList<NodeStatus> nodes, IReadOnlyDictionary<string, SiteUse>? uses)
    {
        var capacity = new SortedDictionary<string, (long Has, long Gives)>(StringComparer.Ordinal);
        foreach (NodeStatus node in nodes)
            foreach (KeyValuePair<string, string> amount in node.Capacity ?? node.Allocatable ?? [])
            {
                if (amount.Key is WellKnown.BatchCpu or WellKnown.BatchMemory)
                    continue; // Reclaimed from what is sold already.
                (long has, long gives) = capacity.GetValueOrDefault(amount.Key);
                long whole = Amount(amount.Key, amount.Value);
                capacity[amount.Key] = (has + whole, gives + (node.Allocatable?.TryGetValue(amount.Key, out string? free) == true ? Amount(amount.Key, free) : whole));
            }
        foreach (KeyValuePair<string, string> pool in spec.Resources ?? [])
            capacity[pool.Key] = (Amount(pool.Key, pool.Value), Amount(pool.Key, pool.Value));
        var resources = new List<SiteResource>();
        foreach ((string name, (long has, long gives)) in capacity)
        {
            if (has == 0)
                continue;
            SiteUse use = uses?.GetValueOrDefault(name) ?? default;
            long left = Math.Max(0, gives - use.Taken), kept = Math.Min(left, spec.Headroom?.TryGetValue(name, out string? headroom) == true ? Amount(name, headroom) : 0);
            resources.Add(new SiteResource
            {
                Name = name, Capacity = Text(name, has), System = Text(name, Math.Max(0, has - gives)), Services = Text(name, use.Services),
                Headroom = Text(name, kept), Sold = Text(name, use.Taken - use.Services), Free = Text(name, left - kept),
            });
        }
        return resources;
    }

    private static long Amount(string name, string value) => Quantity.Parse(value) is var amount && name == "cpu" ? amount.Milli : amount.Value;

    private static string Text(string name, long amount) =>
        name == "cpu" ? Quantity.FromMilli(amount).ToString() : name is "memory" or "ephemeral-storage" || name.StartsWith("hugepages-", StringComparison.Ordinal) ? Quantity.FromValue(amount).ToBinaryString() : Quantity.FromValue(amount).ToString();
}
