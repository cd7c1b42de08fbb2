using Atoll.Api.Objects;

namespace Atoll.Orchestration.Loop;

/// <summary>
/// What the controllers know of one resource: the mirror's copy, with our own writes laid over it until the mirror has
/// seen them. That is why a controller cannot create a pod twice because its mirror lags: the pod it made is in the copy
/// before the write returns. The rules: of two states of one identity the one with the higher resource version wins; an
/// identity that went does not come back until the mirror, which has shown it go, shows it again (an operator may adopt at a site what was
/// deleted here); a write that the mirror never shows (made and removed between two
/// lists) is checked against the API by <see cref="Cluster"/> after a while.
/// Resource versions are compared as numbers: both Atoll and Kubernetes issue them from one growing counter.
/// </summary>
internal sealed class Copy
{
    private const int RememberedDepartures = 8192;

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly Func<KubeObject, IEnumerable<string>>? _extraIndex;
    private readonly Dictionary<string, KubeObject> _items = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Dictionary<string, KubeObject>> _index = new(StringComparer.Ordinal);
    private readonly Dictionary<string, KubeObject> _byUid = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string Uid, DateTimeOffset At)> _unseen = new(StringComparer.Ordinal);
    /// <summary>What went, and whether the mirror has shown that.</summary>
    private readonly Dictionary<string, bool> _gone = new(StringComparer.Ordinal);
    private readonly Queue<string> _goneOrder = new();
    private readonly List<Action<KubeObject?, KubeObject?>> _listeners = [];
    private readonly List<(Action<KubeObject?, KubeObject?> Change, Action<IReadOnlyList<KubeObject>> Whole)> _whole = [];

    public Copy(ResourceType type, TimeProvider time, Func<KubeObject, IEnumerable<string>>? extraIndex = null)
    {
        Type = type;
        _time = time;
        _extraIndex = extraIndex;
    }

    /// <summary>What is copied.</summary>
    public ResourceType Type { get; }

    /// <summary>Index key of everything in a namespace.</summary>
    public static string InNamespace(string ns) => "ns/" + ns;

    /// <summary>Index key of everything that names an owner.</summary>
    public static string OwnedBy(string uid) => OwnerPrefix + uid;

    /// <summary>Index key of everything in a namespace that no controller has: what one may adopt.</summary>
    public static string FreeIn(string ns) => "free/" + ns;

    /// <summary>Index key of the pods bound to a node.</summary>
    public static string OnNode(string node) => NodePrefix + node;

    /// <summary>Index key of the pods without a node.</summary>
    public const string Unbound = "pods/unbound";

    /// <summary>Index key of the pods that have succeeded or failed.</summary>
    public const string Over = "pods/over";

    private const string NodePrefix = "node/", OwnerPrefix = "owner/";

    /// <summary>Names of the nodes that pods are bound to.</summary>
    public List<string> NodesInUse() => IndexedBy(NodePrefix);

    /// <summary>Identities that objects name as owners.</summary>
    public List<string> OwnersNamed() => IndexedBy(OwnerPrefix);

    private List<string> IndexedBy(string prefix)
    {
        var names = new List<string>();
        lock (_gate)
            foreach (string key in _index.Keys)
                if (key.StartsWith(prefix, StringComparison.Ordinal))
                    names.Add(key[prefix.Length..]);
        return names;
    }

    /// <summary>
    /// Calls back after each change that the mirror reports. The first list of a copy that somebody takes whole (nodes, pods) is not
    /// told: controllers begin with all their keys.
    /// </summary>
    public void Listen(Action<KubeObject?, KubeObject?> listener) => _listeners.Add(listener);

    /// <summary>Calls back once with the whole first list, ahead of everybody else, and then after each change that the mirror reports.</summary>
    public void Listen(Action<KubeObject?, KubeObject?> listener, Action<IReadOnlyList<KubeObject>> whole) => _whole.Add((listener, whole));

    /// <summary>True while the first list is taken in that some have got whole already.</summary>
    public bool IsLoading { get; private set; }

    /// <summary>The first list has come: who asked for it whole gets it.</summary>
    public void First(IReadOnlyList<KubeObject> list)
    {
        IsLoading = _whole.Count > 0;
        foreach ((Action<KubeObject?, KubeObject?> _, Action<IReadOnlyList<KubeObject>> whole) in _whole)
            whole(list);
    }

    /// <summary>The first list is taken in.</summary>
    public void Loaded() => IsLoading = false;

    /// <summary>The object of a key (<c>namespace/name</c> or <c>name</c>), or null.</summary>
    public KubeObject? Get(string key) { lock (_gate) return _items.GetValueOrDefault(key); }

    /// <summary>The object of an identity, or null.</summary>
    public KubeObject? ByUid(string uid)
    {
        lock (_gate)
            return _byUid.GetValueOrDefault(uid);
    }

    /// <summary>All objects now.</summary>
    public List<KubeObject> All() { lock (_gate) return [.. _items.Values]; }

    /// <summary>True while there is nothing.</summary>
    public bool IsEmpty { get { lock (_gate) return _items.Count == 0; } }

    /// <summary>All keys now.</summary>
    public List<string> Keys() { lock (_gate) return [.. _items.Keys]; }

    /// <summary>The objects of an index key.</summary>
    public List<KubeObject> In(string indexKey)
    {
        lock (_gate)
            return _index.TryGetValue(indexKey, out Dictionary<string, KubeObject>? found) ? [.. found.Values] : [];
    }

    /// <summary>True when an index key has any object.</summary>
    public bool Any(string indexKey) { lock (_gate) return _index.ContainsKey(indexKey); }

    /// <summary>Takes in what the mirror saw, then tells the listeners.</summary>
    public void Seen(KubeObject? old, KubeObject? now)
    {
        lock (_gate)
        {
            if (now is null)
                Depart(old!);
            else
            {
                if (old is not null && old.Uid != now.Uid)
                    Depart(old);
                if (_unseen.TryGetValue(now.Key, out (string Uid, DateTimeOffset At) mine) && mine.Uid == now.Uid)
                    _unseen.Remove(now.Key);
                if (_gone.TryGetValue(now.Uid, out bool shown) && shown)
                    _gone.Remove(now.Uid);
                if (!_gone.ContainsKey(now.Uid) && (!_items.TryGetValue(now.Key, out KubeObject? current) || !IsNewer(current, now)))
                    Put(now);
            }
        }
        if (!IsLoading)
            foreach ((Action<KubeObject?, KubeObject?> change, Action<IReadOnlyList<KubeObject>> _) in _whole)
                change(old, now);
        else if (old is null)
            return;
        foreach (Action<KubeObject?, KubeObject?> listener in _listeners)
            listener(old, now);
    }

    /// <summary>Takes in the outcome of our own write, ahead of the mirror.</summary>
    public void Wrote(KubeObject value)
    {
        lock (_gate)
        {
            if (_gone.ContainsKey(value.Uid) || (_items.TryGetValue(value.Key, out KubeObject? current) && !IsNewer(value, current)))
                return;
            if (current is null || current.Uid != value.Uid)
                _unseen[value.Key] = (value.Uid, _time.GetUtcNow());
            Put(value);
        }
    }

    /// <summary>Takes in that an identity is gone for good: our deletion left nothing, or the API does not know it.</summary>
    public void Removed(string key, string uid)
    {
        lock (_gate)
        {
            Remember(uid, shown: false);
            if (_items.TryGetValue(key, out KubeObject? current) && current.Uid == uid)
                Take(current);
            if (_unseen.TryGetValue(key, out (string Uid, DateTimeOffset At) mine) && mine.Uid == uid)
                _unseen.Remove(key);
        }
    }

    /// <summary>Our creations that the mirror has not shown for longer than <paramref name="age"/>.</summary>
    public List<KubeObject> Unseen(TimeSpan age)
    {
        var list = new List<KubeObject>();
        lock (_gate)
        {
            DateTimeOffset limit = _time.GetUtcNow() - age;
            foreach ((string key, (string uid, DateTimeOffset at)) in _unseen)
                if (at <= limit && _items.TryGetValue(key, out KubeObject? value) && value.Uid == uid)
                    list.Add(value);
        }
        return list;
    }

    private void Depart(KubeObject old)
    {
        Remember(old.Uid, shown: true);
        if (_items.TryGetValue(old.Key, out KubeObject? current) && current.Uid == old.Uid)
            Take(current);
    }

    private void Remember(string uid, bool shown)
    {
        if (uid.Length == 0)
            return;
        if (!_gone.TryAdd(uid, shown))
        {
            _gone[uid] |= shown;
            return;
        }
        _goneOrder.Enqueue(uid);
        if (_goneOrder.Count > RememberedDepartures)
            _gone.Remove(_goneOrder.Dequeue());
    }

    private void Put(KubeObject value)
    {
        if (_items.TryGetValue(value.Key, out KubeObject? current))
            Take(current);
        _items[value.Key] = value;
        _byUid[value.Uid] = value;
        foreach (string key in IndexKeys(value))
        {
            if (!_index.TryGetValue(key, out Dictionary<string, KubeObject>? bucket))
                _index[key] = bucket = new Dictionary<string, KubeObject>(StringComparer.Ordinal);
            bucket[value.Key] = value;
        }
    }

    private void Take(KubeObject value)
    {
        _items.Remove(value.Key);
        _byUid.Remove(value.Uid);
        foreach (string key in IndexKeys(value))
            if (_index.TryGetValue(key, out Dictionary<string, KubeObject>? bucket) && bucket.Remove(value.Key) && bucket.Count == 0)
                _index.Remove(key);
    }

    private IEnumerable<string> IndexKeys(KubeObject value)
    {
        if (Type.Namespaced)
            yield return InNamespace(value.Namespace);
        List<string>? owners = StoredHead.ReadOwners(value.Utf8.Span, out bool controlled);
        foreach (string owner in owners ?? [])
            yield return OwnedBy(owner);
        if (!controlled && Type.Namespaced)
            yield return FreeIn(value.Namespace);
        foreach (string extra in _extraIndex?.Invoke(value) ?? [])
            yield return extra;
    }

    private static bool IsNewer(KubeObject left, KubeObject right) =>
        ulong.TryParse(left.ResourceVersion, out ulong a) && ulong.TryParse(right.ResourceVersion, out ulong b) && a > b;
}
