using System.Collections.Concurrent;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Cloud.Hub;

/// <summary>A change of one site's scope: the item it now has under a key, or (null) the identity that left.</summary>
public readonly record struct ScopeChange(string Site, ObjectKey Key, string Uid, ScopeItem? Item);

/// <summary>
/// Which objects each site needs: its Site and Node objects, the pods bound to its nodes, and the closure of what those refer
/// to (<see cref="ScopeReferences"/>). Computed incrementally: every key is counted by how many objects of the site refer to
/// it, so the cost of a change is the size of that change, not of the fleet.
/// <para>Pure state, no I/O: it is fed every change of the resources in <see cref="ScopeReferences.Types"/> in any order between
/// resources (an object may be named before it exists) and returns what changed for whom. Not thread-safe, but for
/// <see cref="Find"/>.</para>
/// </summary>
public sealed class SiteScopes
{
    private const int MaxTemplates = 4096;

    private readonly Dictionary<ObjectKey, KeyState> _keys = [];
    private readonly ConcurrentDictionary<string, ScopeItem> _byUid = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _siteOfNode = new(StringComparer.Ordinal);
    private readonly Dictionary<string, NodePods> _podsOfNode = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Dictionary<ObjectKey, int>> _scopes = new(StringComparer.Ordinal);
    private readonly PodTemplates<ObjectKey[]> _podReferences = new(MaxTemplates, static pod => ReferencesOf(Kinds.Pod, pod));

    /// <summary>Takes in one change of one object and adds to <paramref name="changes"/> what it means for the sites.</summary>
    public void Apply(ResourceType type, KubeObject? old, KubeObject? now, ICollection<ScopeChange> changes)
    {
        KubeObject any = now ?? old ?? throw new ArgumentNullException(nameof(now));
        PodFields fields = type == Kinds.Pod && now is not null ? PodFields.Of(now) : default;
        var key = new ObjectKey(type, any.Key);
        KeyState state = State(key);
        if (state.Item is { } held && (now is null || now.Uid != held.Uid))
            Leave(state, key, changes);
        if (now is not null)
            Enter(state, key, now, fields, changes);
        if (type == Kinds.Node)
            MoveNode(key.Key, now?.Metadata.Label(WellKnownSite), changes);
        else if (type == Kinds.Pod)
            MovePod(state, key, now is null ? null : fields.NodeOf(now), changes);
        else if (type == Kinds.PersistentVolume)
            MovePod(state, key, now is null ? null : StorageFacts.NodeOfProvisioned(now), changes); // Also without a pod: its node is to erase it.
        else if (type == Kinds.Site)
            Root(state, key, now is null ? null : key.Key, changes);
        Forget(key, state);
    }

    /// <summary>The items of a site now.</summary>
    public IReadOnlyList<ScopeItem> ItemsOf(string site)
    {
        var items = new List<ScopeItem>();
        if (_scopes.TryGetValue(site, out Dictionary<ObjectKey, int>? scope))
            foreach (ObjectKey key in scope.Keys)
                if (_keys.TryGetValue(key, out KeyState? state) && state.Item is { } item)
                    items.Add(item);
        return items;
    }

    /// <summary>True when the site's scope holds this identity under this key.</summary>
    public bool Holds(string site, ObjectKey key, string uid) =>
        _scopes.TryGetValue(site, out Dictionary<ObjectKey, int>? scope) && scope.ContainsKey(key) && _keys.TryGetValue(key, out KeyState? state) && state.Item?.Uid == uid;

    /// <summary>The item of an identity, whichever scope it is in, or null. The one member that any thread may call at any time.</summary>
    public ScopeItem? Find(string uid) => _byUid.GetValueOrDefault(uid);

    /// <summary>The site of a node, or null.</summary>
    public string? SiteOfNode(string? node) => node is null ? null : _siteOfNode.GetValueOrDefault(node);

    /// <summary>Names of the nodes of a site.</summary>
    public IReadOnlyList<string> NodesOf(string site)
    {
        var nodes = new List<string>();
        if (_scopes.TryGetValue(site, out Dictionary<ObjectKey, int>? scope))
            foreach (ObjectKey key in scope.Keys)
                if (key.Type == Kinds.Node)
                    nodes.Add(key.Key);
        return nodes;
    }

    private const string WellKnownSite = Api.Core.WellKnown.SiteLabel;

    // The object behind a key is gone (or is about to be another one): its references no longer count.
    private void Leave(KeyState state, ObjectKey key, ICollection<ScopeChange> changes)
    {
        string uid = state.Item!.Uid;
        ObjectKey[] references = state.References;
        state.Item = null;
        state.References = [];
        _byUid.TryRemove(uid, out _);
        foreach (string site in state.Sites.ToArray())
        {
            changes.Add(new ScopeChange(site, key, uid, null));
            foreach (ObjectKey reference in references)
                if (!ProtocolFaults.Is(ProtocolFault.ReferencesKept))
                    Release(site, reference, changes);
        }
    }

    private static ObjectKey[] ReferencesOf(ResourceType type, KubeObject value)
    {
        var references = new HashSet<ObjectKey>();
        ScopeReferences.Collect(type, value, references);
        return references.Count == 0 ? [] : [.. references];
    }

    private void Enter(KeyState state, ObjectKey key, KubeObject now, in PodFields fields, ICollection<ScopeChange> changes)
    {
        ScopeItem item = ScopeItem.Of(key, now);
        // What no site has is no news to any, and need not be compared.
        if (state.Sites.Count > 0 && state.Item is not null && state.Item.Version == item.Version)
        {
            state.Item.Renew(now);
            return;
        }
        state.Item = item;
        _byUid[item.Uid] = item;
        ObjectKey[] before = state.References, after = key.Type == Kinds.Pod ? _podReferences.Of(now, fields) : ReferencesOf(key.Type, now);
        state.References = after;
        foreach (string site in state.Sites.ToArray())
        {
            changes.Add(new ScopeChange(site, key, item.Uid, item));
            foreach (ObjectKey reference in after)
                if (Array.IndexOf(before, reference) < 0)
                    Retain(site, reference, changes);
            foreach (ObjectKey reference in before)
                if (Array.IndexOf(after, reference) < 0)
                    Release(site, reference, changes);
        }
    }

    private void MoveNode(string node, string? site, ICollection<ScopeChange> changes)
    {
        if (site is null)
            _siteOfNode.Remove(node);
        else
            _siteOfNode[node] = site;
        var key = new ObjectKey(Kinds.Node, node);
        Root(State(key), key, site, changes);
        if (_podsOfNode.TryGetValue(node, out NodePods? pods))
            foreach (ObjectKey pod in pods)
                Root(State(pod), pod, site, changes);
    }

    private void MovePod(KeyState state, ObjectKey key, string? node, ICollection<ScopeChange> changes)
    {
        if (state.Node != node)
        {
            if (state.Node is not null && _podsOfNode.TryGetValue(state.Node, out NodePods? left) && left.Remove(key) && left.Count == 0)
                _podsOfNode.Remove(state.Node);
            if (node is not null)
            {
                if (!_podsOfNode.TryGetValue(node, out NodePods? joined))
                    _podsOfNode[node] = joined = new NodePods(node);
                joined.Add(key);
                node = joined.Node;
            }
            state.Node = node;
        }
        Root(state, key, SiteOfNode(node), changes);
    }

    // A root is in a scope by itself, not because something refers to it.
    private void Root(KeyState state, ObjectKey key, string? site, ICollection<ScopeChange> changes)
    {
        if (state.RootSite == site)
            return;
        string? before = state.RootSite;
        state.RootSite = site;
        if (before is not null)
            Release(before, key, changes);
        if (site is not null)
            Retain(site, key, changes);
    }

    private void Retain(string site, ObjectKey key, ICollection<ScopeChange> changes)
    {
        if (!_scopes.TryGetValue(site, out Dictionary<ObjectKey, int>? scope))
            _scopes[site] = scope = [];
        int count = scope.GetValueOrDefault(key);
        scope[key] = count + 1;
        if (count > 0)
            return;
        KeyState state = State(key);
        state.Sites.Add(site);
        if (state.Item is null)
            return;
        changes.Add(new ScopeChange(site, key, state.Item.Uid, state.Item));
        foreach (ObjectKey reference in state.References)
            Retain(site, reference, changes);
        if (ProtocolFaults.Is(ProtocolFault.SecretsForAll) && key.Type == Kinds.Secret)
            foreach (string other in new List<string>(_scopes.Keys))
                Retain(other, key, changes);
    }

    private void Release(string site, ObjectKey key, ICollection<ScopeChange> changes)
    {
        if (!_scopes.TryGetValue(site, out Dictionary<ObjectKey, int>? scope) || !scope.TryGetValue(key, out int count))
            return;
        if (count > 1)
        {
            scope[key] = count - 1;
            return;
        }
        scope.Remove(key);
        if (scope.Count == 0)
            _scopes.Remove(site);
        KeyState state = State(key);
        state.Sites.Remove(site);
        if (state.Item is not null)
        {
            changes.Add(new ScopeChange(site, key, state.Item.Uid, null));
            foreach (ObjectKey reference in state.References)
                if (!ProtocolFaults.Is(ProtocolFault.ReferencesKept))
                    Release(site, reference, changes);
        }
        Forget(key, state);
    }

    private KeyState State(ObjectKey key)
    {
        if (!_keys.TryGetValue(key, out KeyState? state))
            _keys[key] = state = new KeyState();
        return state;
    }

    private void Forget(ObjectKey key, KeyState state)
    {
        if (state.Item is null && state.Sites.Count == 0 && state.RootSite is null && state.Node is null)
            _keys.Remove(key);
    }

    /// <summary>The pods (and volumes) of a node, with the one copy of its name that all of them share.</summary>
    private sealed class NodePods(string node) : HashSet<ObjectKey>
    {
        public string Node { get; } = node;
    }

    private sealed class KeyState
    {
        public ScopeItem? Item { get; set; }

        public ObjectKey[] References { get; set; } = [];

        public SiteSet Sites { get; } = new();

        public string? RootSite { get; set; }

        public string? Node { get; set; }
    }
}
