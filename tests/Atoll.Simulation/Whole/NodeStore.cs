using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Store;

namespace Atoll.Simulation.Whole;

/// <summary>
/// The store of a node over its <see cref="Disk"/>: nothing is seen by anybody before it is durable. What it holds of objects is at hand
/// as such, and its history is there for whoever copies it.
/// </summary>
internal sealed class NodeStore : IStore
{
    private const string Registry = "/registry/";

    private readonly World _world;
    private readonly Disk _disk;
    private readonly SortedDictionary<string, StoreEntry> _entries = new(StringComparer.Ordinal);
    private readonly Dictionary<(ResourceType Type, string Key), KubeObject> _objects = [];
    private readonly List<(long Revision, IReadOnlyList<(string Key, byte[]? Value)> Writes)> _history = [];
    private long _next;

    public NodeStore(World world)
    {
        _world = world;
        _disk = new Disk(world) { Found = Took };
        Renew();
    }

    /// <summary>Told of each change that became durable: key, revision, and for an object what it was and is.</summary>
    public Action<string, (ResourceType Type, KubeObject? Old, KubeObject? Now)?>? Changed { get; set; }

    /// <summary>Told when a transaction became durable, after its changes.</summary>
    public Action<long, IReadOnlyList<(string Key, byte[]? Value)>>? Committed { get; set; }

    public long Epoch { get; private set; }

    public string Incarnation { get; private set; } = "";

    public long CurrentRevision { get; private set; }

    public long CompactedRevision => Epoch << 48;

    /// <summary>Everything that is durable.</summary>
    public IReadOnlyDictionary<string, StoreEntry> Entries => _entries;

    public IReadOnlyList<(long Revision, IReadOnlyList<(string Key, byte[]? Value)> Writes)> History => _history;

    public IEnumerable<KubeObject> All(ResourceType type) => _objects.Where(o => o.Key.Type == type).Select(o => o.Value);

    public IEnumerable<(ResourceType Type, KubeObject Value)> Objects => _objects.Select(o => (o.Key.Type, o.Value));

    public KubeObject? Find(ResourceType type, string key) => _objects.GetValueOrDefault((type, key));

    /// <summary>What is written, durable or not: whoever writes next writes over this.</summary>
    public JsonObject? Newest(ResourceType type, string key) => _disk.Values.TryGetValue(KeyOf(type, key), out (byte[] Value, long) found) ? JsonNode.Parse(found.Value)!.AsObject() : null;

    public void Commit(IReadOnlyList<(string Key, byte[]? Value)> writes, Action durable)
    {
        long revision = writes.Count > 0 ? ++_next : _next;
        _disk.Commit(revision, writes, () =>
        {
            if (writes.Count > 0)
                Took(revision, writes);
            durable();
        });
    }

    public void Commit(IEnumerable<StoreWrite> writes, Action durable) => Commit([.. writes.Select(Text)], durable);

    /// <summary>What was not flushed is lost, and what is there is read again.</summary>
    public void Crash()
    {
        _entries.Clear();
        _objects.Clear();
        _history.Clear();
        CurrentRevision = CompactedRevision;
        (Changed, Committed) = (null, null);
        _disk.Crash();
        _next = CurrentRevision;
    }

    /// <summary>Damaged, put aside, and begun anew.</summary>
    public void Lose()
    {
        Crash();
        _disk.Lose();
        _entries.Clear();
        _objects.Clear();
        _history.Clear();
        Renew();
    }

    public ValueTask<StoreEntry?> GetAsync(ReadOnlyMemory<byte> key, CancellationToken cancellation) => ValueTask.FromResult(_entries.GetValueOrDefault(Text(key)));

    public ValueTask<StoreRange> RangeAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, int limit, long revision, CancellationToken cancellation)
    {
        string from = Text(start), to = Text(end);
        return ValueTask.FromResult(new StoreRange([.. _entries.Where(e => string.CompareOrdinal(e.Key, from) >= 0 && string.CompareOrdinal(e.Key, to) < 0).Select(e => e.Value)], CurrentRevision, More: false));
    }

    public ValueTask<StoreResult> TransactAsync(StoreTransaction transaction, CancellationToken cancellation)
    {
        var done = new TaskCompletionSource<StoreResult>();
        Commit(transaction.Writes, () => done.SetResult(new StoreResult(StoreError.None, CurrentRevision)));
        return new ValueTask<StoreResult>(done.Task);
    }

    public IAsyncEnumerable<StoreEvents> WatchAsync(ReadOnlyMemory<byte> start, ReadOnlyMemory<byte> end, long afterRevision, CancellationToken cancellation) => throw new NotSupportedException();

    public ValueTask CompactAsync(long revision, CancellationToken cancellation) => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    public static string KeyOf(ResourceType type, string key) => $"{Registry}{type.GroupResource}|{key}";

    public static byte[] Bytes(JsonObject document) => Encoding.UTF8.GetBytes(document.ToJsonString());

    private void Renew()
    {
        Epoch++;
        Incarnation = _world.Random.Next().ToString(CultureInfo.InvariantCulture);
        _next = CurrentRevision = CompactedRevision;
    }

    private void Took(long revision, IReadOnlyList<(string Key, byte[]? Value)> writes)
    {
        CurrentRevision = revision;
        _history.Add((revision, writes));
        foreach ((string key, byte[]? value) in writes)
        {
            if (value is null)
                _entries.Remove(key);
            else
                _entries[key] = new StoreEntry(Encoding.UTF8.GetBytes(key), value, 0, revision);
            (ResourceType, KubeObject?, KubeObject?)? change = key.StartsWith(Registry, StringComparison.Ordinal) ? Object(key, value) : null;
            Changed?.Invoke(key, change);
        }
        Committed?.Invoke(revision, writes);
    }

    private (ResourceType, KubeObject?, KubeObject?) Object(string path, byte[]? value)
    {
        int bar = path.IndexOf('|', StringComparison.Ordinal);
        string resource = path[Registry.Length..bar];
        (ResourceType Type, string) key = (Kinds.All.First(t => t.GroupResource == resource), path[(bar + 1)..]);
        _objects.TryGetValue(key, out KubeObject? old);
        if (value is null)
        {
            _objects.Remove(key);
            return (key.Type, old, null);
        }
        return (key.Type, old, _objects[key] = new KubeObject(value));
    }

    private static (string, byte[]?) Text(StoreWrite write) => (Text(write.Key), write.Value?.ToArray());

    private static string Text(ReadOnlyMemory<byte> key) => Encoding.UTF8.GetString(key.Span);
}
