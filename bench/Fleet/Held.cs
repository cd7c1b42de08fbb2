using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Hub;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Link;
using Atoll.Store.Sqlite;

namespace Atoll.Bench.Fleet;

/// <summary>What the sites of a filled store hold, as if they had synced before: the identities and versions of their scopes, by the hub's own code.</summary>
/// <param name="Sequence">Where in the store's history that is.</param>
/// <param name="Sites">Of each site, by its name.</param>
internal sealed record Held(LinkSequence Sequence, IReadOnlyDictionary<string, HeldItem[]> Sites)
{
    public static async Task<Held> OfAsync(SqliteStore store, ApiServer server, int sites)
    {
        IResources resources = server.As(Identity.Trusted("system:fleet"));
        var scopes = new SiteScopes();
        var changes = new List<Cloud.Hub.ScopeChange>();
        foreach (ResourceType type in ScopeReferences.Types)
            foreach (KubeObject value in (await resources.ListAsync(type, null, ListOptions.Default, CancellationToken.None)).Items)
            {
                scopes.Apply(type, null, value, changes);
                changes.Clear();
            }
        Dictionary<ResourceType, string> kinds = ScopeReferences.Types.ToDictionary(t => t, t => t.GroupResource);
        return new Held(
            new LinkSequence(store.Incarnation, store.CurrentRevision),
            Enumerable.Range(0, sites).Select(Documents.SiteName).ToDictionary(s => s, s => scopes.ItemsOf(s).Select(i => new HeldItem(kinds[i.Key.Type], i.Key.Key, i.Uid, i.Version)).ToArray()));
    }
}
