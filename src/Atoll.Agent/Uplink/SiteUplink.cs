using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube;
using Atoll.Kube.Import;
using Atoll.Link;
using Atoll.Store;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Uplink;

/// <summary>
/// The site's side of the link: makes durable what comes down, in one transaction with the sequence, and tells what the
/// site's store says of the outcomes (<see cref="SiteOutbox"/>). The parent writes intent, the site writes status: a document
/// that comes down keeps the status that is here.
/// </summary>
internal sealed class SiteUplink : ISiteOwner
{
    private static readonly ResourceType[] s_down = [Kinds.Site, Kinds.Node, Kinds.Pod, Kinds.Namespace, Kinds.ConfigMap, Kinds.Secret, Kinds.ServiceAccount, Kinds.RuntimeClass, Kinds.PriorityClass, Kinds.PersistentVolumeClaim, Kinds.PersistentVolume];

    private readonly IStore _store;
    private readonly ApiServer _api;
    private readonly ILogger _logger;
    private readonly Action<LinkState, LinkError, Uri> _stateChanged;
    private readonly ResourceMirror[] _mirrors;
    private readonly ResourceMirror _pods;
    private readonly Lock _lock = new();
    private readonly SiteOutbox _outbox = new();
    private readonly Dictionary<string, ResourceType> _typeOf = new(StringComparer.Ordinal);
    private LinkSequence _sequence = LinkSequence.None;

    public SiteUplink(IStore store, ApiServer api, IResources resources, TimeProvider time, ILogger logger, Action<LinkState, LinkError, Uri> stateChanged)
    {
        _store = store;
        _api = api;
        _logger = logger;
        _stateChanged = stateChanged;
        _mirrors = [.. new[] { Kinds.Node, Kinds.Pod, Kinds.Event, Kinds.Site, Kinds.PersistentVolume }.Select(type => new ResourceMirror(resources, type, time, (old, now) => Changed(type, old, now)))];
        _pods = _mirrors[1];
    }

    /// <summary>The session to post outcomes to; set once, before <see cref="RunAsync"/>.</summary>
    public SiteLink? Link { get; set; }

    /// <summary>True once the parent's scope has been applied whole at least once, ever: only then is an unknown pod known to be unwanted.</summary>
    public bool IsScopeKnown
    {
        get
        {
            lock (_lock)
                return _sequence.Revision > 0;
        }
    }

    /// <summary>Reads the link's records; called once, first.</summary>
    public async Task OpenAsync(CancellationToken cancellation)
    {
        foreach (StoreEntry entry in await AllAsync(LinkRecords.HeldPrefix, cancellation))
        {
            string uid = LinkRecords.Uid(LinkRecords.HeldPrefix, entry.Key);
            _outbox.Hold(LinkRecords.ReadHeld(uid, entry.Value.Span));
        }
        foreach (StoreEntry entry in await AllAsync(LinkRecords.AckedPrefix, cancellation))
            _outbox.Acknowledge(LinkRecords.Uid(LinkRecords.AckedPrefix, entry.Key), LinkRecords.ReadHash(entry.Value.Span));
        if (await _store.GetAsync(LinkRecords.SequenceKey, cancellation) is { } sequence)
            _sequence = LinkRecords.ReadSequence(sequence.Value.Span);
    }

    /// <summary>Follows the site's own objects until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        Task mirrors = Parts.RunAsync([.. _mirrors.Select(m => m.RunAsync(cancellation))]);
        await Task.WhenAny(Task.WhenAll(_mirrors.Select(m => m.Synced)), mirrors);
        if (mirrors.IsCompleted)
        {
            await mirrors;
            return;
        }
        await SweepAsync(cancellation);
        await mirrors;
    }

    /// <inheritdoc/>
    public async ValueTask<SiteHoldings> LoadAsync(CancellationToken cancellation)
    {
        await Task.WhenAll(_mirrors.Select(m => m.Synced)).WaitAsync(cancellation);
        lock (_lock)
            return new SiteHoldings(_sequence, [.. _outbox.Held.Values], HasBodies: false);
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<OutcomeRef>> LoadOutboxAsync(CancellationToken cancellation)
    {
        lock (_lock)
            return ValueTask.FromResult(_outbox.Open());
    }

    /// <inheritdoc/>
    public async ValueTask ApplyAsync(ScopeBatch batch, CancellationToken cancellation)
    {
        var upserts = new List<ImportObject>(batch.Upserts.Count);
        var deletes = new List<ImportDelete>(batch.Removals.Count);
        var writes = new List<StoreWrite>();
        foreach (LinkItem item in batch.Upserts)
        {
            ResourceType? type = TypeOf(item.Kind);
            if (type is null || JsonNode.Parse(item.Body.Span) is not JsonObject document)
            {
                // A kind of a newer parent: held, so that it is not sent again, and not acted on.
                _logger.LogWarning("Object {Name} of the unknown kind {Kind} is kept aside", item.Name, item.Kind);
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, item.Uid), LinkRecords.Write(Held(item))));
                continue;
            }
            upserts.Add(new ImportObject(type, document, KeepLocalStatus: type == Kinds.Pod || type == Kinds.Node || type == Kinds.Site));
            writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, item.Uid), LinkRecords.Write(Held(item))));
        }
        lock (_lock)
        {
            foreach (string uid in batch.Removals)
            {
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, uid), null));
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, uid), null));
                if (_outbox.Held.TryGetValue(uid, out HeldItem? held) && TypeOf(held.Kind) is { } type)
                    deletes.Add(Delete(type, held));
            }
            foreach (string uid in batch.Orphans)
                if (_outbox.Held.TryGetValue(uid, out HeldItem? held))
                    writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, uid), LinkRecords.Write(held with { Orphan = true })));
        }
        if (batch.Sequence != _sequence)
            writes.Add(new StoreWrite(LinkRecords.SequenceKey, LinkRecords.Write(batch.Sequence)));
        Remember(batch);
        ImportResult result = await _api.ImportAsync(new ImportBatch { Upserts = upserts, Deletes = deletes, Writes = writes }, cancellation);
        if (result.Error is { } error)
            throw new InvalidOperationException($"a batch of the parent could not be stored: {error}");
        lock (_lock)
            _sequence = batch.Sequence;
    }

    /// <inheritdoc/>
    public async ValueTask OutcomesAcknowledgedAsync(IReadOnlyList<OutcomeRef> outcomes, CancellationToken cancellation)
    {
        var writes = new List<StoreWrite>(outcomes.Count);
        lock (_lock)
            foreach (OutcomeRef outcome in outcomes)
                if (_outbox.HashOf(outcome) is { } hash)
                {
                    _outbox.Acknowledge(outcome.Uid, hash);
                    writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, outcome.Uid), LinkRecords.WriteHash(hash)));
                }
        if (writes.Count > 0)
            await _store.TransactAsync(new StoreTransaction([], writes), cancellation);
    }

    /// <inheritdoc/>
    public async ValueTask ForeignHistoryAsync(ParentWelcome welcome, CancellationToken cancellation)
    {
        _logger.LogWarning("The parent's store has another history than the one followed so far: everything that runs here is kept, and told anew");
        List<StoreWrite> writes = [];
        IReadOnlyList<OutcomeRef> open;
        lock (_lock)
        {
            foreach (string uid in _outbox.Acked)
                writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, uid), null));
            _outbox.ForgetAcknowledged();
            open = _outbox.Open();
        }
        await WriteAsync(writes, cancellation);
        Link?.Post(open);
    }

    /// <inheritdoc/>
    public void StateChanged(LinkState state, LinkError error, Uri parent) => _stateChanged(state, error, parent);

    /// <inheritdoc/>
    public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

    /// <inheritdoc/>
    public Outcome? ReadOutcome(string uid)
    {
        lock (_lock)
            return _outbox.Read(uid);
    }

    /// <inheritdoc/>
    public bool IsRunning(string uid)
    {
        lock (_lock)
            return _outbox.Held.TryGetValue(uid, out HeldItem? held) && TypeOf(held.Kind) == Kinds.Pod && _pods.Get(held.Name) is { } pod && pod.Uid == uid && Runs(pod);
    }

    /// <inheritdoc/>
    public int RunningCount => _pods.Items.Count(Runs);

    private static bool Runs(KubeObject pod) => pod.Metadata.DeletionTimestamp is null && pod.View(ApiJson.Default.Pod).Status?.Phase is not ("Succeeded" or "Failed");

    // In memory first: what the mirrors report of this very batch must already be known as held.
    private void Remember(ScopeBatch batch)
    {
        lock (_lock)
        {
            foreach (LinkItem item in batch.Upserts)
                _outbox.Hold(Held(item));
            foreach (string uid in batch.Removals)
            {
                _outbox.Release(uid);
                _outbox.ForgetAcknowledged(uid);
                if (_typeOf.TryGetValue(uid, out ResourceType? type))
                    _outbox.Update(type, uid, null);
            }
            foreach (string uid in batch.Orphans)
                if (_outbox.Held.TryGetValue(uid, out HeldItem? held))
                    _outbox.Hold(held with { Orphan = true });
        }
    }

    private void Changed(ResourceType type, KubeObject? old, KubeObject? now)
    {
        OutcomeRef? replaced = null, open = null;
        lock (_lock)
        {
            // The same name with another UID: the old identity is gone.
            if (old is not null && old.Uid != now?.Uid)
                replaced = _outbox.Update(type, old.Uid, null);
            if (now is not null)
            {
                _typeOf[now.Uid] = type;
                open = _outbox.Update(type, now.Uid, now);
            }
            if (old is not null && old.Uid != now?.Uid && replaced is null)
                _typeOf.Remove(old.Uid);
        }
        if (replaced is { } r)
            Link?.Post([r]);
        if (open is { } o)
            Link?.Post([o]);
    }

    // After a restart: pods that were stopped and removed here while the parent did not hear it, and acknowledgements of
    // objects that no longer exist.
    private async Task SweepAsync(CancellationToken cancellation)
    {
        var writes = new List<StoreWrite>();
        lock (_lock)
        {
            foreach (HeldItem held in _outbox.Held.Values)
                if (TypeOf(held.Kind) == Kinds.Pod && !_typeOf.ContainsKey(held.Uid))
                    _outbox.Update(Kinds.Pod, held.Uid, null);
            foreach (string uid in (string[])[.. _outbox.Acked])
                if (!_outbox.Held.ContainsKey(uid) && !_typeOf.ContainsKey(uid))
                {
                    _outbox.ForgetAcknowledged(uid);
                    writes.Add(new StoreWrite(LinkRecords.Key(LinkRecords.AckedPrefix, uid), null));
                }
        }
        await WriteAsync(writes, cancellation);
    }

    private async Task WriteAsync(List<StoreWrite> writes, CancellationToken cancellation)
    {
        for (int i = 0; i < writes.Count; i += 500)
            await _store.TransactAsync(new StoreTransaction([], writes.GetRange(i, Math.Min(500, writes.Count - i))), cancellation);
    }

    private async Task<IReadOnlyList<StoreEntry>> AllAsync(ReadOnlyMemory<byte> prefix, CancellationToken cancellation) =>
        (await _store.RangeAsync(prefix, LinkRecords.EndOf(prefix), 0, 0, cancellation)).Entries;

    private static HeldItem Held(LinkItem item) => new(item.Kind, item.Name, item.Uid, item.Version);

    private static ImportDelete Delete(ResourceType type, HeldItem held)
    {
        int slash = held.Name.IndexOf('/', StringComparison.Ordinal);
        return slash < 0 ? new ImportDelete(type, null, held.Name, held.Uid) : new ImportDelete(type, held.Name[..slash], held.Name[(slash + 1)..], held.Uid);
    }

    private static ResourceType? TypeOf(string kind) => Array.Find(s_down, t => t.GroupResource == kind);
}
