using System.Text;
using System.Text.Json.Nodes;
using Atoll.Agent.Uplink;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Import;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.Simulation.Whole;

/// <summary>The leading node's link to the centre: the real uplink and outbox over the node's store, for as long as it leads.</summary>
internal sealed class Uplink : ISiteItems
{
    /// <summary>So many pods at once are much for a site of a deep world.</summary>
    public const int MassStop = 3;

    private readonly World _world;
    private readonly UplinkState _state = new();
    private readonly RecentBodies _bodies = new(64 * 1024);
    private int _failures;

    public Uplink(World world, Node node)
    {
        (_world, Node) = (world, node);
        foreach ((string key, StoreEntry entry) in node.Store.Entries)
            if (key.StartsWith("/link/", StringComparison.Ordinal))
                _state.Load(entry.Key, entry.Value);
        foreach ((ResourceType type, KubeObject value) in node.Store.Objects)
            if (IsTold(type))
                _state.Changed(type, null, value);
        node.Store.Commit(_state.Sweep(), static () => { });
    }

    public Node Node { get; }

    public Site Site => Node.Site;

    public UplinkState State => _state;

    public Line? Line { get; private set; }

    /// <summary>The node died, or leads no more: nothing that was begun here ends.</summary>
    public bool IsOver { get; private set; }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

    /// <inheritdoc/>
    public Outcome? ReadOutcome(string uid) => _state.Outbox.Read(uid);

    /// <inheritdoc/>
    public bool IsRunning(string uid) => _state.Outbox.Held.TryGetValue(uid, out HeldItem? held) && held.Kind == Kinds.Pod.GroupResource && Node.Store.Find(Kinds.Pod, held.Name) is { } pod && pod.Uid == uid && Runs(pod);

    /// <inheritdoc/>
    public int RunningCount => Node.Store.All(Kinds.Pod).Count(Runs);

    public void Dial()
    {
        if (Line is not null || IsOver)
            return;
        _failures++;
        if (!_world.Centre.IsUp || !Site.IsInReach || (_world.Faulty && _world.Chance(20)))
        {
            DialLater();
            return;
        }
        var session = new SiteSession(new LinkOptions { Software = "sim", Bodies = _bodies, DeadAfterMs = 12_000, Fault = Line.Fault, MassStopLeast = _world.IsDeep ? MassStop : 10 }, this, new Random(_world.Random.Next()));
        Line = new Line(_world, this, session, _world.Centre.NewSession());
        _world.Trace($"{Node.Name}: dials, {_state.Sequence}, holds {_state.Outbox.Held.Count}, {_state.Outbox.Open().Count} outcomes open");
        Line.Start(new SiteHoldings(_state.Sequence, [.. _state.Outbox.Held.Values], HasBodies: false), _state.Outbox.Open());
    }

    public void Lost(Line line)
    {
        if (Line != line)
            return;
        Line = null;
        DialLater();
    }

    /// <summary>The agent died (<paramref name="orderly"/> is false) or leads no more.</summary>
    public void End(bool orderly)
    {
        if (orderly)
            Line?.TellSite(new LinkInput.Close(LinkError.GoingAway));
        IsOver = true;
        Line?.SiteDied();
        Line = null;
    }

    public void Welcomed(Line line, ParentWelcome welcome)
    {
        _failures = 0;
        if (!welcome.Foreign || Line != line)
            return;
        Node.Store.Commit(_state.ForgetAcknowledged(), () => Line?.TellSite(new LinkInput.OutcomesAdded(_state.Outbox.Open())));
    }

    /// <summary>A batch of the centre, in one transaction with the link's records, by the real import.</summary>
    public void Apply(Line line, ScopeBatch batch, Action done)
    {
        if (Line != line)
            return;
        if (line.SiteState == LinkState.Syncing)
            line.Vanish(batch.Removals.Count(IsRunning), RunningCount);
        ImportBatch import = _state.Take(batch, static _ => { });
        var writes = new Dictionary<string, byte[]?>(StringComparer.Ordinal);
        foreach (ImportObject item in import.Upserts)
        {
            string name = Named(item.Document);
            if (item.Merged(Node.Store.Newest(item.Type, name)) is { } document)
                writes[NodeStore.KeyOf(item.Type, name)] = NodeStore.Bytes(document);
        }
        foreach (ImportDelete delete in import.Deletes)
        {
            string name = delete.Namespace is null ? delete.Name : $"{delete.Namespace}/{delete.Name}", key = NodeStore.KeyOf(delete.Type, name);
            if (!writes.ContainsKey(key) && Node.Store.Newest(delete.Type, name) is { } stored && (string?)stored["metadata"]!["uid"] == delete.Uid)
                writes[key] = null;
        }
        _world.Trace($"{Node.Name}: batch {batch.Number}: {string.Join(' ', batch.Upserts.Select(u => $"+{u.Kind}/{u.Name}"))} {string.Join(' ', batch.Removals.Select(u => $"-{u}"))} {string.Join(' ', batch.Orphans.Select(u => $"?{u}"))} to {batch.Sequence}");
        Node.Store.Commit([.. writes.Select(w => (w.Key, w.Value)), .. import.Writes.Select(w => (Encoding.UTF8.GetString(w.Key.Span), w.Value?.ToArray()))], () =>
        {
            if (IsOver)
                return;
            List<OutcomeRef> open = _state.Applied(batch);
            if (open.Count > 0)
                Line?.TellSite(new LinkInput.OutcomesAdded(open));
            done();
        });
    }

    /// <summary>A node has something of the centre that this one never heard of.</summary>
    public void TakeIn(LinkSequence theirs, List<StoreWrite> unheard, Action<List<string>> taken)
    {
        (ImportBatch import, List<string> uids) = _state.TakeIn(UnheardItems.Read(unheard), theirs, (type, name) => Node.Store.Newest(type, name) is not null);
        if (uids.Count == 0)
        {
            taken(uids);
            return;
        }
        _world.Trace($"{Node.Name}: takes in what it had not heard of: {string.Join(' ', uids)}");
        Node.Store.Commit([.. import.Upserts.Select(i => (NodeStore.KeyOf(i.Type, Named(i.Document)), (byte[]?)NodeStore.Bytes(i.Merged(null)!))), .. import.Writes.Select(w => (Encoding.UTF8.GetString(w.Key.Span), w.Value?.ToArray()))], () =>
        {
            if (IsOver)
                return;
            Line?.TellSite(new LinkInput.Close(LinkError.GoingAway));
            taken(uids);
        });
    }

    public void Acknowledged(IReadOnlyList<OutcomeRef> outcomes, Action done) => Node.Store.Commit(_state.Acknowledged(outcomes), done);

    /// <summary>An object of the node's store changed.</summary>
    public void Changed(ResourceType type, KubeObject? old, KubeObject? now)
    {
        if (!IsTold(type))
            return;
        (OutcomeRef? replaced, OutcomeRef? open) = _state.Changed(type, old, now);
        if (_state.Unsaid() is { Count: > 0 } unsaid)
            Node.Store.Commit(unsaid, static () => { });
        if (replaced is { } r)
            Line?.TellSite(new LinkInput.OutcomesAdded([r]));
        if (open is { } o)
            Line?.TellSite(new LinkInput.OutcomesAdded([o]));
    }

    private static string Named(JsonObject document)
    {
        JsonNode meta = document["metadata"]!;
        return meta["namespace"] is { } ns ? $"{(string)ns!}/{(string)meta["name"]!}" : (string)meta["name"]!;
    }

    private void DialLater() => _world.At((long)Backoff.Default.Wait(_failures, _world.Random).TotalMilliseconds, Dial);

    private static bool IsTold(ResourceType type) => type == Kinds.Pod || type == Kinds.Node || type == Kinds.Site;

    private static bool Runs(KubeObject pod) => pod.Metadata.DeletionTimestamp is null && pod.View(ApiJson.Default.Pod).Status?.Phase is not ("Succeeded" or "Failed");
}
