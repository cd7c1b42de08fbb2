using System.Text;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Store;

namespace Atoll.Kube.Watch;

/// <summary>
/// All objects of one resource, in key order, with the last changes and the watchers. Fed by <see cref="CacheFeed"/> in
/// revision order; a batch of revisions becomes visible at once. Pods are also found by their node.
/// </summary>
internal sealed class ResourceCache(ResourceType type, string prefix, CacheFeed feed, int historyEvents, int bufferEvents)
{
    private readonly Lock _gate = new();
    private List<CachedObject> _items = [];
    private readonly Dictionary<string, List<CachedObject>>? _byNode = type.Equals(Kinds.Pod) ? new(StringComparer.Ordinal) : null;
    private readonly List<CacheWatcher> _watchers = [];
    private readonly Dictionary<string, List<CacheWatcher>> _nodeWatchers = new(StringComparer.Ordinal);
    private readonly Queue<CacheChange> _history = new();
    private long _floor, _last;

    public ResourceType Type => type;

    /// <summary>Start of the keys in the store, with its closing slash.</summary>
    public string Prefix => prefix;

    /// <summary>Revision up to which every change has been offered to the watchers.</summary>
    public long SafeRevision => feed.Revision;

    /// <summary>Revision of the last change.</summary>
    public long LastChange => Volatile.Read(ref _last);

    /// <summary>How many objects there are.</summary>
    public int Count
    {
        get
        {
            lock (_gate)
                return _items.Count;
        }
    }

    /// <summary>Takes over the state at a revision, in the order of keys; changes after it follow through <see cref="Apply"/>.</summary>
    public void Load(List<CachedObject> state, long revision)
    {
        lock (_gate)
        {
            _items = state;
            _byNode?.Clear();
            _history.Clear();
            foreach (CachedObject item in state)
                Index(item, null);
            _floor = revision;
            _last = revision;
            foreach (CacheWatcher watcher in _watchers)
                watcher.Close(ApiStatus.Expired("the history before this revision is gone: list again"));
            _watchers.Clear();
            _nodeWatchers.Clear();
        }
    }

    /// <summary>Takes in changes, in order; all of them become visible together.</summary>
    public void Apply(List<StoreEvent> events)
    {
        lock (_gate)
        {
            foreach (StoreEvent e in events)
                ApplyOne(e);
        }
    }

    private void ApplyOne(StoreEvent e)
    {
        string key = Encoding.UTF8.GetString(e.Key.Span[prefix.Length..]);
        int at = Find(key);
        CachedObject? old = at >= 0 ? _items[at] : null;
        CachedObject? current = e.Value is { } value ? new CachedObject(key, value.Span, e.Revision, _byNode is not null, old) : null;
        _last = e.Revision;
        if (current is not null && at >= 0)
            _items[at] = current;
        else if (current is not null)
            _items.Insert(~at, current);
        else if (at >= 0)
            _items.RemoveAt(at);
        else
            return;
        Index(current, old);
        if (old is not null && current is not null && old.Uid != current.Uid)
        {
            // Another object of the same name: the old one went, then the new one came.
            Publish(new CacheChange(old, null, e.Revision));
            Publish(new CacheChange(null, current, e.Revision));
        }
        else
        {
            Publish(new CacheChange(old, current, e.Revision));
        }
    }

    private void Publish(CacheChange change)
    {
        _history.Enqueue(change);
        while (_history.Count > historyEvents)
            _floor = _history.Dequeue().Revision;
        OfferTo(_watchers, change);
        if (_nodeWatchers.Count == 0)
            return;
        string? before = change.Old?.NodeName, after = change.Current?.NodeName;
        if (before is not null && _nodeWatchers.TryGetValue(before, out List<CacheWatcher>? watchers))
            OfferTo(watchers, change);
        if (after is not null && after != before && _nodeWatchers.TryGetValue(after, out watchers))
            OfferTo(watchers, change);
    }

    private static void OfferTo(List<CacheWatcher> watchers, CacheChange change)
    {
        for (int i = watchers.Count - 1; i >= 0; i--)
            if (!watchers[i].Offer(change))
                watchers.RemoveAt(i);
    }

    /// <summary>One object, or null.</summary>
    public CachedObject? Get(string key)
    {
        lock (_gate)
        {
            int at = Find(key);
            return at >= 0 ? _items[at] : null;
        }
    }

    /// <summary>The selected objects in key order, from <paramref name="start"/> on, and the revision of this state.</summary>
    public List<CachedObject> List(Selection selection, string start, out long revision)
    {
        var candidates = new List<CachedObject>();
        lock (_gate)
        {
            revision = Math.Max(feed.Revision, _last);
            Collect(selection, start, candidates);
        }
        if (!selection.IsWhole)
            candidates.RemoveAll(item => !selection.Matches(item));
        return candidates;
    }

    /// <summary>
    /// A page of a selection that is whole (<see cref="Selection.IsWhole"/>): at most <paramref name="limit"/> objects, and how many there
    /// are from <paramref name="start"/> on. It costs the page, however many there are.
    /// </summary>
    public List<CachedObject> Page(Selection selection, string start, int limit, out long revision, out int count)
    {
        lock (_gate)
        {
            revision = Math.Max(feed.Revision, _last);
            (int first, int end) = Bounds(selection.Prefix, start);
            count = end - first;
            return _items.GetRange(first, Math.Min(limit, count));
        }
    }

    private (int First, int End) Bounds(string prefix, string start)
    {
        int first = Find(string.CompareOrdinal(start, prefix) > 0 ? start : prefix);
        first = first < 0 ? ~first : first;
        int end = prefix.Length == 0 ? _items.Count : Find(prefix[..^1] + (char)(prefix[^1] + 1));
        return (first, Math.Max(first, end < 0 ? ~end : end));
    }

    /// <summary>True when the resource did not change after a revision that the cache has reached: its state then is its state now.</summary>
    public bool IsUnchangedSince(long revision)
    {
        lock (_gate)
            return _last <= revision && revision <= feed.Revision;
    }

    private void Collect(Selection selection, string start, List<CachedObject> into)
    {
        if (selection.OnlyKey is { } only)
        {
            int one = Find(only);
            if (one >= 0 && string.CompareOrdinal(only, start) >= 0)
                into.Add(_items[one]);
            return;
        }
        if (selection.NodeName is { } node && _byNode is not null)
        {
            if (_byNode.TryGetValue(node, out List<CachedObject>? ofNode))
                into.AddRange(ofNode.Where(item => string.CompareOrdinal(item.Key, start) >= 0));
            into.Sort(static (a, b) => string.CompareOrdinal(a.Key, b.Key));
            return;
        }
        (int first, int end) = Bounds(selection.Prefix, start);
        into.AddRange(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_items)[first..end]);
    }

    /// <summary>
    /// Starts a watch after a revision, or (null) with synthetic ADDED events of the present state. Null with 410 when
    /// the changes since are not kept any more.
    /// </summary>
    public CacheWatcher? Watch(Selection selection, long? after, bool markInitialEnd, out ApiStatus? error)
    {
        error = null;
        var initial = new Queue<WatchItem>();
        lock (_gate)
        {
            if (after is null)
            {
                var state = new List<CachedObject>();
                Collect(selection, "", state);
                foreach (CachedObject item in state)
                    if (selection.Matches(item))
                        initial.Enqueue(new WatchItem(WatchEventType.Added, item, item.Revision));
                if (markInitialEnd)
                    initial.Enqueue(new WatchItem(WatchEventType.Bookmark, null, Math.Max(feed.Revision, _last), InitialEnd: true));
            }
            else if (after < _floor)
            {
                error = ApiStatus.Expired($"too old resource version: {after} ({_floor})");
                return null;
            }
            else
            {
                foreach (CacheChange change in _history)
                    if (change.Revision > after && CacheWatcher.Translate(change, selection) is { } item)
                        initial.Enqueue(item);
            }
            var watcher = new CacheWatcher(this, selection, initial, bufferEvents);
            ListFor(watcher).Add(watcher);
            return watcher;
        }
    }

    /// <summary>Forgets a watcher.</summary>
    public void Remove(CacheWatcher watcher)
    {
        lock (_gate)
        {
            ListFor(watcher).Remove(watcher);
            if (watcher.Selection.NodeName is { } node && _nodeWatchers.TryGetValue(node, out List<CacheWatcher>? left) && left.Count == 0)
                _nodeWatchers.Remove(node);
        }
    }

    /// <summary>Ends all watches: the server closes.</summary>
    public void Close(ApiStatus reason)
    {
        lock (_gate)
        {
            foreach (CacheWatcher watcher in _watchers.Concat(_nodeWatchers.Values.SelectMany(list => list)))
                watcher.Close(reason);
            _watchers.Clear();
            _nodeWatchers.Clear();
        }
    }

    private List<CacheWatcher> ListFor(CacheWatcher watcher)
    {
        if (_byNode is null || watcher.Selection.NodeName is not { } node)
            return _watchers;
        if (!_nodeWatchers.TryGetValue(node, out List<CacheWatcher>? list))
            _nodeWatchers[node] = list = [];
        return list;
    }

    private void Index(CachedObject? current, CachedObject? old)
    {
        if (_byNode is null)
            return;
        if (old?.NodeName is { } before && _byNode.TryGetValue(before, out List<CachedObject>? list))
        {
            list.Remove(old);
            if (list.Count == 0)
                _byNode.Remove(before);
        }
        if (current?.NodeName is { } after)
        {
            if (!_byNode.TryGetValue(after, out list))
                _byNode[after] = list = [];
            else
                current.NodeName = list[0].NodeName; // One string for all pods of a node.
            list.Add(current);
        }
    }

    private int Find(string key)
    {
        int low = 0, high = _items.Count - 1;
        while (low <= high)
        {
            int middle = (low + high) >>> 1;
            int order = string.CompareOrdinal(_items[middle].Key, key);
            if (order == 0)
                return middle;
            if (order < 0)
                low = middle + 1;
            else
                high = middle - 1;
        }
        return ~low;
    }
}
