using System.Globalization;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Link;

namespace Atoll.Cloud.Hub;

/// <summary>
/// The core of <see cref="LinkHub"/>: the scopes of all sites, and which sites follow this store's history. No I/O, no lock, no
/// session: the same code runs in the simulation. Not thread-safe, but for <see cref="SiteScopes.Find"/>.
/// </summary>
/// <param name="start">Whatever sites were given before this start is not above it, unless the store was put back to an older state.</param>
internal sealed class HubState(long start)
{
    private readonly List<ScopeChange> _changes = [];

    /// <summary>Identities of sites whose sequence is known to be of this history, whatever it is.</summary>
    private readonly HashSet<string> _followed = new(StringComparer.Ordinal);

    /// <summary>What each site needs.</summary>
    public SiteScopes Scopes { get; } = new();

    /// <summary>The scope that a session of a site begins with.</summary>
    public LinkScope Open(string site, string uid, SiteHello hello, LinkSequence position)
    {
        // The site follows a history that this store has lost: what it knows and the centre does not is not to be removed,
        // not even once the centre's own revisions have passed the lost ones.
        bool lost = hello.Sequence.Incarnation == position.Incarnation && hello.Sequence.Revision > start && !_followed.Contains(uid);
        if (!lost)
            _followed.Add(uid);
        // The mirrors may be behind the store: whatever they bring from here on is news, however old its revision.
        long? after = ProtocolFaults.Is(ProtocolFault.EarlyChangesDropped) ? null : 0;
        return new LinkScope(position, [.. Scopes.ItemsOf(site).Select(i => new ItemVersion(i.Uid, i.Version))], lost, after);
    }

    /// <summary>A site has applied its whole scope: from now on it follows this history.</summary>
    public void Follows(string uid) => _followed.Add(uid);

    /// <summary>
    /// Takes in a change of one object: what to post to the sessions of which sites. Only of those that <paramref name="listens"/>
    /// (null: of all): a centre that starts takes in everything before there is a session.
    /// </summary>
    public IReadOnlyList<(string Site, Link.ScopeChange Change)> Changed(ResourceType type, KubeObject? old, KubeObject? now, Func<string, bool>? listens = null)
    {
        _changes.Clear();
        Scopes.Apply(type, old, now, _changes);
        if (listens is not null)
            _changes.RemoveAll(c => !listens(c.Site));
        if (_changes.Count == 0)
            return [];
        long revision = long.Parse((now ?? old)!.ResourceVersion, CultureInfo.InvariantCulture);
        var posts = new List<(string, Link.ScopeChange)>();
        foreach (IGrouping<string, ScopeChange> group in _changes.GroupBy(c => c.Site))
        {
            // The last word on an identity counts: it may leave under one key and enter under another in one change.
            var upserts = new Dictionary<string, ItemVersion>(StringComparer.Ordinal);
            var removals = new HashSet<string>(StringComparer.Ordinal);
            foreach (ScopeChange change in group)
                if (change.Item is { } item)
                {
                    upserts[item.Uid] = new ItemVersion(item.Uid, item.Version);
                    removals.Remove(item.Uid);
                }
                else
                {
                    upserts.Remove(change.Uid);
                    removals.Add(change.Uid);
                }
            posts.Add((group.Key, new Link.ScopeChange(revision, [.. upserts.Values], [.. removals])));
        }
        return posts;
    }
}
