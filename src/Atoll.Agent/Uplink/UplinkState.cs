using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Kube.Import;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.Agent.Uplink;

/// <summary>
/// The core of <see cref="SiteUplink"/>: what came down, how far, and what of it the parent acknowledged. It is told what happened and
/// says what to write; it has no store, thread or clock, so the same code runs in the simulation. What it says must be written in one
/// transaction, and <see cref="Applied"/> be told only after it is durable. Not thread-safe.
/// </summary>
internal sealed class UplinkState
{
    private static readonly ResourceType[] s_down = [Kinds.Site, Kinds.Node, Kinds.Pod, Kinds.Namespace, Kinds.ConfigMap, Kinds.Secret, Kinds.ServiceAccount, Kinds.RuntimeClass, Kinds.PriorityClass, Kinds.PersistentVolumeClaim, Kinds.PersistentVolume];

    private readonly Dictionary<string, ResourceType> _typeOf = new(StringComparer.Ordinal);

    /// <summary>Outcomes that a batch opens once it is durable.</summary>
    private readonly List<OutcomeRef> _recalled = [];

    /// <summary>The outcomes of what is here.</summary>
    public SiteOutbox Outbox { get; } = new();

    /// <summary>How far the parent has been followed, durably.</summary>
    public LinkSequence Sequence { get; private set; } = LinkSequence.None;

    /// <summary>How far it was followed in the history before this one.</summary>
    public LinkSequence Former { get; private set; } = LinkSequence.None;

    /// <summary>Takes in one of the link's records from the store.</summary>
    public void Load(ReadOnlyMemory<byte> key, ReadOnlyMemory<byte> value)
    {
        if (key.Span.StartsWith(LinkRecords.HeldPrefix.Span))
            Outbox.Hold(LinkRecords.ReadHeld(LinkRecords.Uid(LinkRecords.HeldPrefix, key), value.Span));
        else if (key.Span.StartsWith(LinkRecords.AckedPrefix.Span))
            Outbox.Acknowledge(LinkRecords.Uid(LinkRecords.AckedPrefix, key), LinkRecords.ReadHash(value.Span));
        else if (key.Span.SequenceEqual(LinkRecords.SequenceKey.Span))
            Sequence = LinkRecords.ReadSequence(value.Span);
        else if (key.Span.SequenceEqual(LinkRecords.FormerKey.Span))
            Former = LinkRecords.ReadSequence(value.Span);
    }

    /// <summary>
    /// What a batch of the parent writes. What it holds is known from here on: what the mirrors report of this very batch must be.
    /// <paramref name="unknown"/> is told of each object of a kind that this agent does not know.
    /// </summary>
    public ImportBatch Take(ScopeBatch batch, Action<LinkItem> unknown)
    {
        var upserts = new List<ImportObject>(batch.Upserts.Count);
        var deletes = new List<ImportDelete>(batch.Removals.Count);
        var writes = new List<StoreWrite>();
        foreach (LinkItem item in batch.Upserts)
        {
            writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, item.Uid), LinkRecords.Write(Held(item))));
            // A parent that was put back to an older state may have had the pod without a place here, and gave it this one since: it acknowledged
            // what meant nothing to it.
            bool ended = Outbox.HasStopped(item.Uid);
            if (ended || (item.Kind == Kinds.Pod.GroupResource && Outbox.Held.TryGetValue(item.Uid, out HeldItem? before) && before.Orphan))
            {
                if (Outbox.Recall(item.Uid) is { } again)
                    _recalled.Add(again);
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, item.Uid), null));
            }
            // Its end or its successor is told: held, so that it is not sent again, and not acted on.
            if (ended || Outbox.SuccessorOf(item.Uid) is not null)
                continue;
            // Also held, without being acted on: a kind of a newer parent.
            if (TypeOf(item.Kind) is { } type && JsonNode.Parse(item.Body.Span) is JsonObject document)
                upserts.Add(new ImportObject(type, document, KeepLocalStatus: (type == Kinds.Pod || type == Kinds.Node || type == Kinds.Site) && !ProtocolFaults.Is(ProtocolFault.StatusOverwritten)));
            else
                unknown(item);
        }
        foreach (string uid in batch.Removals)
        {
            writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, uid), null));
            writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, uid), null));
            if (Outbox.Held.TryGetValue(uid, out HeldItem? held) && TypeOf(held.Kind) is { } type && !ProtocolFaults.Is(ProtocolFault.DeletesForgotten))
                deletes.Add(Delete(type, held));
        }
        foreach (string uid in batch.Orphans)
            if (Outbox.Held.TryGetValue(uid, out HeldItem? held))
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, uid), LinkRecords.Write(held with { Orphan = true })));
        foreach (string uid in Overwritten(batch))
        {
            writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, uid), null));
            Outbox.Release(uid);
        }
        if (batch.Sequence != Sequence)
            writes.Add(new StoreWrite(LinkRecords.SequenceKey, LinkRecords.Write(batch.Sequence)));
        if (Leaves(batch))
            writes.Add(new StoreWrite(LinkRecords.FormerKey, LinkRecords.Write(Sequence)));
        Remember(batch);
        return new ImportBatch { Upserts = upserts, Deletes = deletes, Writes = writes };
    }

    /// <summary>A batch is durable. Returns outcomes that it opened.</summary>
    public List<OutcomeRef> Applied(ScopeBatch batch)
    {
        if (Leaves(batch))
            Former = Sequence;
        // Only with its whole scope the parent says how far it was followed.
        bool knows = Outbox.IsForeign && batch.Sequence != Sequence;
        if (knows)
            Outbox.IsForeign = false;
        Sequence = batch.Sequence;
        List<OutcomeRef> open = [.. _recalled];
        _recalled.Clear();
        foreach (LinkItem item in batch.Upserts)
            if (Outbox.Adopted(item.Uid) is { } reference)
                open.Add(reference);
        foreach (string uid in batch.Orphans)
            if (Outbox.Orphaned(uid) is { } reference)
                open.Add(reference);
        open.AddRange(Outbox.Replaced());
        if (knows || batch.Upserts.Any(i => i.Kind == Kinds.Node.GroupResource || Outbox.IsReplaced(i.Uid)) || batch.Removals.Any(Outbox.IsReplaced))
            open.AddRange(Outbox.Retold());
        return open;
    }

    /// <summary>
    /// What a node of this site has from the parent and this one never heard of: the parent told it to who led before, cut off from here. It is held from here on,
    /// for the parent to say what is to become of it; where the parent was put back since and may not know it, it is kept until an operator says so.
    /// </summary>
    /// <param name="unheard">What the node has, as <see cref="UnheardItems"/> finds it.</param>
    /// <param name="theirs">How far the node's state has followed the parent.</param>
    /// <param name="isTaken">Whether there is an object of that type and name here.</param>
    /// <returns>What to write, and which identities it is about.</returns>
    public (ImportBatch Import, List<string> Uids) TakeIn(IReadOnlyList<(HeldItem Held, JsonObject Document)> unheard, LinkSequence theirs, Func<ResourceType, string, bool> isTaken)
    {
        var upserts = new List<ImportObject>();
        var writes = new List<StoreWrite>();
        var uids = new List<string>();
        bool isAhead = UnheardItems.IsAhead(theirs, Sequence, Former);
        foreach ((HeldItem held, JsonObject document) in unheard)
        {
            if (!UnheardItems.IsTold(held, isAhead) || Outbox.Held.ContainsKey(held.Uid) || TypeOf(held.Kind) is not { } type || isTaken(type, held.Name))
                continue;
            HeldItem item = held with { Orphan = held.Orphan || theirs.Revision < Sequence.Revision };
            Outbox.Hold(item);
            upserts.Add(new ImportObject(type, document, KeepLocalStatus: true));
            writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, item.Uid), LinkRecords.Write(item)));
            uids.Add(item.Uid);
        }
        return (new ImportBatch { Upserts = upserts, Writes = writes }, uids);
    }

    /// <summary>The parent has made outcomes durable: what to write about it.</summary>
    public List<StoreWrite> Acknowledged(IReadOnlyList<OutcomeRef> outcomes)
    {
        var writes = new List<StoreWrite>(outcomes.Count);
        foreach (OutcomeRef outcome in outcomes)
            if (Outbox.HashOf(outcome) is { } hash)
            {
                Outbox.Acknowledge(outcome.Uid, hash);
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, outcome.Uid), LinkRecords.WriteHash(hash)));
            }
        return writes;
    }

    /// <summary>The parent is of another history: everything is open again.</summary>
    public List<StoreWrite> ForgetAcknowledged()
    {
        var writes = new List<StoreWrite>();
        foreach (string uid in Outbox.Acked)
            writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, uid), null));
        Outbox.ForgetAcknowledged();
        Outbox.IsForeign = true;
        return writes;
    }

    /// <summary>An object of the site's own store changed: the outcomes that are open now, of the identity that it replaced and of itself.</summary>
    public (OutcomeRef? Replaced, OutcomeRef? Open) Changed(ResourceType type, KubeObject? old, KubeObject? now)
    {
        OutcomeRef? replaced = null, open = null;
        if (now is not null)
        {
            _typeOf[now.Uid] = type;
            open = Outbox.Update(type, now.Uid, now);
        }
        // The same name with another UID: the old identity is gone. (First the new one: it may be the old one's successor.)
        if (old is not null && old.Uid != now?.Uid)
        {
            replaced = Outbox.Update(type, old.Uid, null);
            // It was to tell of the one whose place it took, and is gone before it could.
            foreach (string lost in SiteOutbox.ReplacedBy(old))
                replaced ??= Outbox.Held.ContainsKey(lost) && !_typeOf.ContainsKey(lost) ? Outbox.Update(Kinds.Pod, lost, null) : Outbox.OpenOf(lost);
        }
        if (old is not null && old.Uid != now?.Uid && replaced is null)
            _typeOf.Remove(old.Uid);
        return (replaced, open);
    }

    /// <summary>What to write after changes: acknowledgements that no longer count.</summary>
    public List<StoreWrite> Unsaid()
    {
        List<StoreWrite> writes = Outbox.Unsaid.ConvertAll(static uid => new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, uid), null));
        Outbox.Unsaid.Clear();
        return writes;
    }

    /// <summary>
    /// After a start, when all objects were told of: pods that were stopped and removed here while the parent did not hear it, and
    /// acknowledgements of objects that no longer exist. Returns what to write.
    /// </summary>
    public List<StoreWrite> Sweep()
    {
        var writes = new List<StoreWrite>();
        foreach (HeldItem held in Outbox.Held.Values)
            if (TypeOf(held.Kind) == Kinds.Pod && !_typeOf.ContainsKey(held.Uid) && !ProtocolFaults.Is(ProtocolFault.SweepForgotten))
                Outbox.Update(Kinds.Pod, held.Uid, null);
        foreach (string uid in (string[])[.. Outbox.Acked])
            if (!Outbox.Held.ContainsKey(uid) && !_typeOf.ContainsKey(uid))
            {
                Outbox.ForgetAcknowledged(uid);
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, uid), null));
            }
        return writes;
    }

    // What has no status of its own and whose name another one has now is not here any more, whether its removal was told or not: to be held for having
    // it would mean never to get it again, from a parent that is put back to when it was there.
    private List<string> Overwritten(ScopeBatch batch)
    {
        var names = new Dictionary<(string Kind, string Name), string>();
        foreach (LinkItem item in batch.Upserts)
            if (TypeOf(item.Kind) is { } type && type != Kinds.Pod && type != Kinds.Node && type != Kinds.Site)
                names[(item.Kind, item.Name)] = item.Uid;
        var gone = new List<string>();
        if (names.Count > 0)
            foreach (HeldItem held in Outbox.Held.Values)
                if (names.TryGetValue((held.Kind, held.Name), out string? uid) && uid != held.Uid)
                    gone.Add(held.Uid);
        return gone;
    }

    private void Remember(ScopeBatch batch)
    {
        foreach (LinkItem item in batch.Upserts)
            Outbox.Hold(Held(item));
        foreach (string uid in batch.Removals)
        {
            Outbox.Release(uid);
            Outbox.ForgetAcknowledged(uid);
            // Also of one that is not here any more: what was told of it has nobody left to be told to.
            Outbox.Update(Kinds.Pod, uid, null);
        }
        foreach (string uid in batch.Orphans)
            if (Outbox.Held.TryGetValue(uid, out HeldItem? held))
                Outbox.Hold(held with { Orphan = true });
    }

    private bool Leaves(ScopeBatch batch) => Sequence.Revision > 0 && batch.Sequence.Incarnation != Sequence.Incarnation;

    private static HeldItem Held(LinkItem item) => new(item.Kind, item.Name, item.Uid, item.Version);

    private static ImportDelete Delete(ResourceType type, HeldItem held)
    {
        int slash = held.Name.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? new ImportDelete(type, null, held.Name, held.Uid) : new ImportDelete(type, held.Name[..slash], held.Name[(slash + 1)..], held.Uid);
    }

    private static ResourceType? TypeOf(string kind) => Array.Find(s_down, t => t.GroupResource == kind);
}
