using System.Globalization;
using System.IO.Hashing;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Link;

namespace Atoll.Agent.Uplink;

/// <summary>
/// What the site has to tell its parent, derived from the site's own store and never kept beside it: for each object that the
/// site writes about, its latest outcome and a hash of it. An outcome is open while its hash differs from the one that the
/// parent acknowledged. So the outbox holds only the latest outcome of each object, survives any crash, and needs no
/// transaction of its own:
/// <list type="bullet">
/// <item>a pod, node or site that came from the parent: its status (<c>status</c>);</item>
/// <item>a pod that came from the parent and is gone here: it was stopped (<c>stopped</c>);</item>
/// <item>a pod that the site made in place of one whose node died (<c>replace</c>): it tells of the lost one, too, of which nothing else is told until the
/// parent has taken this one over; then its status is, for a parent that is put back to an older state knows no more than that. Nothing is told of it while
/// the parent does not know the lost one because it was put back: it would be answered with an end, and an operator is to decide;</item>
/// <item>a node that the parent does not have yet: the node (<c>register</c>);</item>
/// <item>a persistent volume that is erased (<c>erased</c>);</item>
/// <item>an event: the event (<c>event</c>).</item>
/// </list>
/// Not thread-safe: the uplink holds its lock.
/// </summary>
internal sealed class SiteOutbox
{
    private static readonly ReadOnlyMemory<byte> s_empty = "{}"u8.ToArray();

    private readonly Dictionary<string, HeldItem> _held = new(StringComparer.Ordinal);
    private readonly Dictionary<string, ulong> _acked = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Entry> _entries = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (string Uid, string Name, bool TakesName)> _successors = new(StringComparer.Ordinal);
    private long _sequence;

    /// <summary>What came down, by UID.</summary>
    public IReadOnlyDictionary<string, HeldItem> Held => _held;

    /// <summary>UIDs whose acknowledgement no longer counts and is to be removed from the store too; the reader clears it.</summary>
    public List<string> Unsaid { get; } = [];

    /// <summary>The parent is of another history, and has not said yet what it does not know of what is here.</summary>
    public bool IsForeign { get; set; }

    /// <summary>UIDs with an acknowledged outcome.</summary>
    public IReadOnlyCollection<string> Acked => _acked.Keys;

    public void Hold(HeldItem item) => _held[item.Uid] = item;

    /// <summary>
    /// The parent has taken a replacement over: from here on its status is told. The object itself may be the same as here, so that
    /// nothing else tells of it. Returns what is open now, if anything is.
    /// </summary>
    public OutcomeRef? Adopted(string uid)
    {
        if (!_entries.TryGetValue(uid, out Entry? entry) || entry.Operation != "replace" || !_held.ContainsKey(uid) || StatusOf(entry.Body) is not { } status)
            return null;
        Entry now = Make(entry.Kind, entry.Name, "status", status);
        now.Sequence = ++_sequence;
        _entries[uid] = now;
        return Reference(uid, now);
    }

    /// <summary>The parent has lost a node of this site: it registers anew, though the object here is what it was. Returns what is open now, if anything is.</summary>
    public OutcomeRef? Orphaned(string uid)
    {
        if (!_entries.TryGetValue(uid, out Entry? entry) || entry.Node is not { } node)
            return null;
        Entry now = Make("nodes", entry.Name, "register", node);
        now.Sequence = ++_sequence;
        _entries[uid] = now;
        return IsOpen(uid, now) ? Reference(uid, now) : null;
    }

    /// <summary>True for a pod of the parent that ended here and whose end the parent has yet to carry out: it does not begin again.</summary>
    public bool HasStopped(string uid) => _entries.TryGetValue(uid, out Entry? entry) && entry.Operation == "stopped";

    /// <summary>The parent had nothing to write the outcome of this pod to when it acknowledged it, and has the pod now: it is open again. Null when there is none.</summary>
    public OutcomeRef? Recall(string uid)
    {
        _acked.Remove(uid);
        if (!_entries.TryGetValue(uid, out Entry? entry))
            return null;
        entry.Sequence = ++_sequence;
        return Reference(uid, entry);
    }

    public void Release(string uid) => _held.Remove(uid);

    public void Acknowledge(string uid, ulong hash) => _acked[uid] = hash;

    public void ForgetAcknowledged(string uid) => _acked.Remove(uid);

    public void ForgetAcknowledged() => _acked.Clear();

    /// <summary>The hash of the outcome that an acknowledgement means, or null when a newer one has replaced it.</summary>
    public ulong? HashOf(OutcomeRef reference) => _entries.TryGetValue(reference.Uid, out Entry? entry) && (entry.Sequence == reference.Sequence || ProtocolFaults.Is(ProtocolFault.OlderAcknowledgement)) ? entry.Hash : null;

    /// <summary>
    /// The pod that took a pod's name and place at this site, as long as the parent does not have it: until then what the parent says of the
    /// lost one is not carried out, for the answer to the replacement says what is to become of either.
    /// </summary>
    public (string Uid, string Name)? SuccessorOf(string uid) => SpokenForBy(uid) is { TakesName: true } next ? (next.Uid, next.Name) : null;

    /// <summary>
    /// A pod is about to take a lost one's name. It has to be known before: the API tells of such a change as of an end and a beginning, and
    /// an end alone means that the lost one was stopped.
    /// </summary>
    public void Expect(string lost, string uid, string name) => _successors[lost] = (uid, name, TakesName: true);

    /// <summary>The object behind a UID changed, or (null) is gone: returns its open outcome, if there is one now.</summary>
    public OutcomeRef? Update(ResourceType type, string uid, KubeObject? now)
    {
        Entry? entry = Derive(type, uid, now);
        if (entry is null)
        {
            _entries.Remove(uid);
            // Gone, and nothing is to be said of it any more: what was acknowledged of it would be kept for ever.
            if (now is null && !_held.ContainsKey(uid) && _acked.Remove(uid))
                Unsaid.Add(uid);
            return null;
        }
        if (_entries.TryGetValue(uid, out Entry? before) && before.Hash == entry.Hash && before.Operation == entry.Operation)
            entry.Sequence = before.Sequence;
        else
            entry.Sequence = ++_sequence;
        // Back at what was acknowledged, while something else may have been told since: that is news again.
        if (before is not null && before.Hash != entry.Hash && !IsNews(uid, entry) && !ProtocolFaults.Is(ProtocolFault.ReturnUntold))
        {
            _acked.Remove(uid);
            Unsaid.Add(uid);
        }
        _entries[uid] = entry;
        return IsOpen(uid, entry) ? Reference(uid, entry) : null;
    }

    /// <summary>What is open of a pod, if anything is: after its replacement went, or came down.</summary>
    public OutcomeRef? OpenOf(string uid) => _entries.TryGetValue(uid, out Entry? entry) && IsOpen(uid, entry) ? Reference(uid, entry) : null;

    /// <summary>Pods that were given up for others, which the parent has by now: what is open of them.</summary>
    public IEnumerable<OutcomeRef> Replaced()
    {
        foreach (string lost in _successors.Keys)
            if (OpenOf(lost) is { } open)
                yield return open;
    }

    /// <summary>True for a pod that was given up for another, which the parent does not have yet.</summary>
    public bool IsReplaced(string uid) => SpokenForBy(uid) is not null;

    /// <summary>
    /// The parent has learned of a node, or it was decided what is to become of what was replaced: replacements, which it refuses while it does not know
    /// theirs, are told once more.
    /// </summary>
    public IEnumerable<OutcomeRef> Retold()
    {
        foreach ((string uid, Entry entry) in _entries)
            if (entry.Operation == "replace" && IsOpen(uid, entry))
            {
                entry.Sequence = ++_sequence;
                yield return Reference(uid, entry);
            }
    }

    /// <summary>All open outcomes, oldest first.</summary>
    public IReadOnlyList<OutcomeRef> Open()
    {
        var open = new List<OutcomeRef>();
        foreach (KeyValuePair<string, Entry> pair in _entries)
            if (IsOpen(pair.Key, pair.Value))
                open.Add(Reference(pair.Key, pair.Value));
        open.Sort(static (a, b) => a.Sequence.CompareTo(b.Sequence));
        return open;
    }

    /// <summary>The latest outcome of a UID, or null when nothing is open.</summary>
    public Outcome? Read(string uid) =>
        _entries.TryGetValue(uid, out Entry? entry) && IsOpen(uid, entry) ? new Outcome(entry.Sequence, uid, entry.Kind, entry.Name, entry.Operation, entry.Body) : null;

    private static OutcomeRef Reference(string uid, Entry entry) => new(entry.Sequence, uid, Yields: entry.Operation == "event");

    // A replacement is open until it has come down: whoever takes it away before that has nobody to tell so, and the answer to its being told again says so.
    private bool IsOpen(string uid, Entry entry) => entry.Operation == "replace" ? !IsForeign && !entry.Lost.Any(l => _held.TryGetValue(l, out HeldItem? lost) && lost.Orphan) : (IsNews(uid, entry) && !(entry.IsGivenUp && SpokenForBy(uid) is not null));

    private bool IsNews(string uid, Entry entry) => !_acked.TryGetValue(uid, out ulong acked) || acked != entry.Hash;

    // The pod in its place, as long as the parent does not have that.
    private (string Uid, string Name, bool TakesName)? SpokenForBy(string uid) => _successors.TryGetValue(uid, out (string Uid, string Name, bool TakesName) next) && !_held.ContainsKey(next.Uid) ? next : null;

    private Entry? Derive(ResourceType type, string uid, KubeObject? now)
    {
        bool held = _held.TryGetValue(uid, out HeldItem? item);
        if (type == Kinds.Pod)
            Follow(uid, now);
        if (now is null)
            return held && type == Kinds.Pod && SuccessorOf(uid) is null && !ProtocolFaults.Is(ProtocolFault.StoppedUntold) ? Make(item!.Kind, item.Name, "stopped", s_empty) : null;
        if (type == Kinds.Event)
            return Make("events", now.Key, "event", now.Utf8);
        bool isGivenUp = type == Kinds.Pod && now.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true;
        if (type == Kinds.Pod && !held && !isGivenUp && now.Metadata.Annotation(WellKnown.ReplacesAnnotation) is { } lost)
            return now.Metadata.Annotation(WellKnown.FencingAnnotation) is null ? Make("pods", now.Key, "replace", Replacement(lost, now), [.. ReplacedBy(now)]) : null;
        if (type == Kinds.Node && (!held || item!.Orphan))
            return Make("nodes", now.Key, "register", now.Utf8);
        if (type == Kinds.PersistentVolume)
            return held && now.View(ApiJson.Default.PersistentVolume).Status?.Reason == StorageNames.Erased ? Make(item!.Kind, item.Name, "erased", s_empty) : null;
        if (!held || StatusOf(now.Utf8) is not { } status)
            return null;
        Entry told = Make(item!.Kind, item.Name, "status", status);
        if (type == Kinds.Node)
            told.Node = now.Utf8;
        told.IsGivenUp = isGivenUp;
        return told;
    }

    private void Follow(string uid, KubeObject? now)
    {
        if (now is null)
        {
            foreach ((string lost, (string Uid, string Name, bool) next) in _successors)
                if (next.Uid == uid)
                    _successors.Remove(lost);
        }
        else
        {
            foreach (string lost in ReplacedBy(now))
                _successors[lost] = (uid, now.Key, now.Metadata.HasIdentity());
        }
    }

    /// <summary>The pods in whose place a pod was made here: the last first, none of a pod that is like any other.</summary>
    public static IEnumerable<string> ReplacedBy(KubeObject pod) => pod.Metadata.Annotation(WellKnown.ReplacesAnnotation) is { } lost ? Earlier(pod).Prepend(lost) : [];

    private static string[] Earlier(KubeObject pod) => pod.Metadata.Annotation(WellKnown.ReplacedBeforeAnnotation)?.Split(',') ?? [];

    private static ReadOnlyMemory<byte> Replacement(string lost, KubeObject pod) => JsonSerializer.SerializeToUtf8Bytes(new JsonObject
    {
        ["replaces"] = lost,
        ["before"] = new JsonArray([.. Earlier(pod).Select(e => (JsonNode)e)]),
        ["node"] = pod.View(ApiJson.Default.Pod).Spec.NodeName,
        ["status"] = StatusOf(pod.Utf8) is { } status ? JsonNode.Parse(status.Span) : new JsonObject(),
    }, ApiJson.Default.JsonObject);

    private static Entry Make(string kind, string name, string operation, ReadOnlyMemory<byte> body, IReadOnlyList<string>? lost = null)
    {
        // A node that registers is one outcome however often its resourceVersion moves, so only what the parent uses is hashed.
        ReadOnlyMemory<byte> hashed = operation == "register" ? StatusOf(body) ?? s_empty : operation == "replace" ? Encoding.UTF8.GetBytes(name) : body;
        return new Entry { Kind = kind, Name = name, Operation = operation, Body = body, Hash = XxHash3.HashToUInt64(hashed.Span, operation.Length), Lost = lost ?? [] };
    }

    /// <summary>The bytes of the top-level field <c>status</c>, or null.</summary>
    internal static ReadOnlyMemory<byte>? StatusOf(ReadOnlyMemory<byte> document)
    {
        var reader = new Utf8JsonReader(document.Span);
        reader.Read();
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            bool status = reader.ValueTextEquals("status"u8);
            reader.Read();
            int start = (int)reader.TokenStartIndex;
            reader.Skip();
            if (status)
                return document[start..(int)reader.BytesConsumed];
        }
        return null;
    }

    private sealed class Entry
    {
        public required string Kind { get; init; }

        public required string Name { get; init; }

        public required string Operation { get; init; }

        public required ReadOnlyMemory<byte> Body { get; init; }

        public required ulong Hash { get; init; }

        public long Sequence { get; set; }

        /// <summary>In whose place a replacement is, the last one first.</summary>
        public required IReadOnlyList<string> Lost { get; init; }

        /// <summary>The status of a pod that was given up for another.</summary>
        public bool IsGivenUp { get; set; }

        /// <summary>A node's whole object, beside its status.</summary>
        public ReadOnlyMemory<byte>? Node { get; set; }
    }
}
