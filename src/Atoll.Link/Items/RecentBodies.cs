namespace Atoll.Link;

/// <summary>
/// Bodies that were sent or received lately, within a bound of bytes, the least recently used going first: what deltas are
/// based on. One may be shared by all sessions of a hub (the bodies of objects are the same for every site) and outlive
/// sessions. It also keeps the last delta made, so that a change for 2,500 sites is computed once.
/// </summary>
public sealed class RecentBodies
{
    private readonly Lock _lock = new();
    private readonly long _capacity;
    private readonly Dictionary<(string Uid, long Version), LinkedListNode<Entry>> _entries = [];
    private readonly LinkedList<Entry> _order = new();
    private long _bytes;
    private (string Uid, long From, long To, byte[]? Delta) _lastDelta = ("", 0, 0, null);

    /// <summary>Holds at most this many bytes of bodies; 0 holds none.</summary>
    public RecentBodies(long capacityBytes) => _capacity = capacityBytes;

    /// <summary>Bytes of bodies held now.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _bytes;
        }
    }

    /// <summary>Remembers a body. It is not copied and must not change.</summary>
    public void Put(string uid, long version, ReadOnlyMemory<byte> body)
    {
        // An entry costs about this much beside its body.
        long cost = body.Length + 160;
        if (cost > _capacity)
            return;
        lock (_lock)
        {
            if (_entries.TryGetValue((uid, version), out LinkedListNode<Entry>? known))
            {
                _order.Remove(known);
                _order.AddFirst(known);
                return;
            }
            _entries.Add((uid, version), _order.AddFirst(new Entry(uid, version, body, cost)));
            _bytes += cost;
            while (_bytes > _capacity && _order.Last is { } last)
                Remove(last);
        }
    }

    /// <summary>The body of this version, when it is still here.</summary>
    public bool TryGet(string uid, long version, out ReadOnlyMemory<byte> body)
    {
        lock (_lock)
        {
            if (_entries.TryGetValue((uid, version), out LinkedListNode<Entry>? node))
            {
                _order.Remove(node);
                _order.AddFirst(node);
                body = node.Value.Body;
                return true;
            }
        }
        body = default;
        return false;
    }

    /// <summary>Forgets one version.</summary>
    public void Forget(string uid, long version)
    {
        lock (_lock)
        {
            if (_entries.TryGetValue((uid, version), out LinkedListNode<Entry>? node))
                Remove(node);
        }
    }

    /// <summary>Forgets everything.</summary>
    public void Clear()
    {
        lock (_lock)
        {
            _entries.Clear();
            _order.Clear();
            _bytes = 0;
            _lastDelta = ("", 0, 0, null);
        }
    }

    /// <summary>The delta between a remembered version and a body, or null when there is no base or it does not pay.</summary>
    internal byte[]? DeltaTo(string uid, long from, long to, ReadOnlySpan<byte> body)
    {
        if (!TryGet(uid, from, out ReadOnlyMemory<byte> earlier))
            return null;
        lock (_lock)
        {
            if (_lastDelta.Uid == uid && _lastDelta.From == from && _lastDelta.To == to)
                return _lastDelta.Delta;
        }
        byte[]? delta = Delta.Make(earlier.Span, body, body.Length / 2);
        lock (_lock)
            _lastDelta = (uid, from, to, delta);
        return delta;
    }

    private void Remove(LinkedListNode<Entry> node)
    {
        _entries.Remove((node.Value.Uid, node.Value.Version));
        _order.Remove(node);
        _bytes -= node.Value.Cost;
    }

    private sealed record Entry(string Uid, long Version, ReadOnlyMemory<byte> Body, long Cost);
}
