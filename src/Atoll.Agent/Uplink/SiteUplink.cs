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
    private readonly IStore _store;
    private readonly ApiServer _api;
    private readonly IResources _resources;
    private readonly ILogger _logger;
    private readonly Action<LinkState, LinkError, Uri> _stateChanged;
    private readonly ResourceMirror[] _mirrors;
    private readonly ResourceMirror _pods;
    private readonly Lock _lock = new();
    private readonly UplinkState _state = new();

    public SiteUplink(IStore store, ApiServer api, IResources resources, TimeProvider time, ILogger logger, Action<LinkState, LinkError, Uri> stateChanged)
    {
        _store = store;
        _api = api;
        _resources = resources;
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
                return _state.Sequence.Revision > 0;
        }
    }

    /// <summary>Reads the link's records; called once, first.</summary>
    public async Task OpenAsync(CancellationToken cancellation)
    {
        foreach (ReadOnlyMemory<byte> prefix in (ReadOnlyMemory<byte>[])[LinkRecords.HeldPrefix, LinkRecords.AckedPrefix])
            foreach (StoreEntry entry in (await _store.RangeAsync(prefix, LinkRecords.EndOf(prefix), 0, 0, cancellation)).Entries)
                _state.Load(entry.Key, entry.Value);
        foreach (ReadOnlyMemory<byte> key in (ReadOnlyMemory<byte>[])[LinkRecords.SequenceKey, LinkRecords.FormerKey])
            if (await _store.GetAsync(key, cancellation) is { } sequence)
                _state.Load(sequence.Key, sequence.Value);
    }

    /// <summary>A pod is about to take a lost one's name at this site.</summary>
    public void Expect(string lost, string uid, string name)
    {
        lock (_lock)
            _state.Outbox.Expect(lost, uid, name);
    }

    /// <summary>True for what the parent has of this site.</summary>
    public bool IsHeld(string uid)
    {
        lock (_lock)
            return _state.Outbox.Held.ContainsKey(uid);
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
        List<StoreWrite> writes;
        lock (_lock)
            writes = _state.Sweep();
        await WriteAsync(writes, cancellation);
        await mirrors;
    }

    /// <summary>A node has something of the parent that this one never heard of (<see cref="UplinkState.TakeIn"/>): it is the site's from here on, and the parent is asked about it.</summary>
    public async Task<List<string>> TakeInAsync(LinkSequence theirs, List<(HeldItem Held, JsonObject Document)> unheard, CancellationToken cancellation)
    {
        var taken = new HashSet<(ResourceType, string)>();
        foreach ((_, JsonObject document) in unheard)
            if (Kinds.Find((string?)document["apiVersion"] ?? "", (string?)document["kind"] ?? "") is { } type && document["metadata"] is JsonObject meta
                && (await _resources.GetAsync(type, (string?)meta["namespace"], (string?)meta["name"] ?? "", cancellation)).Object is { } known)
                taken.Add((type, known.Key));
        ImportBatch import;
        List<string> uids;
        lock (_lock)
            (import, uids) = _state.TakeIn(unheard, theirs, (type, name) => taken.Contains((type, name)));
        if (uids.Count == 0)
            return uids;
        ImportResult result = await _api.ImportAsync(import, cancellation);
        if (result.Error is { } error)
            throw new InvalidOperationException($"what a node has of the parent could not be stored: {error}");
        _logger.LogWarning("{Count} objects that the parent told a former leader of this site were taken over from a node", uids.Count);
        Link?.GreetAnew();
        return uids;
    }

    /// <inheritdoc/>
    public async ValueTask<SiteHoldings> LoadAsync(CancellationToken cancellation)
    {
        await Task.WhenAll(_mirrors.Select(m => m.Synced)).WaitAsync(cancellation);
        lock (_lock)
            return new SiteHoldings(_state.Sequence, [.. _state.Outbox.Held.Values], HasBodies: false);
    }

    /// <inheritdoc/>
    public ValueTask<IReadOnlyList<OutcomeRef>> LoadOutboxAsync(CancellationToken cancellation)
    {
        lock (_lock)
            return ValueTask.FromResult(_state.Outbox.Open());
    }

    /// <inheritdoc/>
    public async ValueTask ApplyAsync(ScopeBatch batch, CancellationToken cancellation)
    {
        ImportBatch import;
        lock (_lock)
            import = _state.Take(batch, item => _logger.LogWarning("Object {Name} of the unknown kind {Kind} is kept aside", item.Name, item.Kind));
        ImportResult result = await _api.ImportAsync(import, cancellation);
        if (result.Error is { } error)
            throw new InvalidOperationException($"a batch of the parent could not be stored: {error}");
        List<OutcomeRef> open;
        lock (_lock)
            open = _state.Applied(batch);
        if (open.Count > 0)
            Link?.Post(open);
    }

    /// <inheritdoc/>
    public async ValueTask OutcomesAcknowledgedAsync(IReadOnlyList<OutcomeRef> outcomes, CancellationToken cancellation)
    {
        List<StoreWrite> writes;
        lock (_lock)
            writes = _state.Acknowledged(outcomes);
        if (writes.Count > 0)
            await _store.TransactAsync(new StoreTransaction([], writes), cancellation);
    }

    /// <inheritdoc/>
    public async ValueTask ForeignHistoryAsync(ParentWelcome welcome, CancellationToken cancellation)
    {
        _logger.LogWarning("The parent's store has another history than the one followed so far: everything that runs here is kept, and told anew");
        List<StoreWrite> writes;
        IReadOnlyList<OutcomeRef> open;
        lock (_lock)
        {
            writes = _state.ForgetAcknowledged();
            open = _state.Outbox.Open();
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
            return _state.Outbox.Read(uid);
    }

    /// <inheritdoc/>
    public bool IsRunning(string uid)
    {
        lock (_lock)
            return _state.Outbox.Held.TryGetValue(uid, out HeldItem? held) && held.Kind == Kinds.Pod.GroupResource && _pods.Get(held.Name) is { } pod && pod.Uid == uid && Runs(pod);
    }

    /// <inheritdoc/>
    public int RunningCount => _pods.Items.Count(Runs);

    private static bool Runs(KubeObject pod) => pod.Metadata.DeletionTimestamp is null && pod.View(ApiJson.Default.Pod).Status?.Phase is not ("Succeeded" or "Failed");

    private void Changed(ResourceType type, KubeObject? old, KubeObject? now)
    {
        (OutcomeRef? replaced, OutcomeRef? open) found;
        List<StoreWrite> unsaid;
        lock (_lock)
        {
            found = _state.Changed(type, old, now);
            unsaid = _state.Unsaid();
        }
        // Nobody waits for it: until it is there, a restart alone could take the older word for the newer one.
        if (unsaid.Count > 0)
            _ = WriteAsync(unsaid, CancellationToken.None);
        if (found.replaced is { } r)
            Link?.Post([r]);
        if (found.open is { } o)
            Link?.Post([o]);
    }

    private async Task WriteAsync(List<StoreWrite> writes, CancellationToken cancellation)
    {
        for (int i = 0; i < writes.Count; i += 500)
            await _store.TransactAsync(new StoreTransaction([], writes.GetRange(i, Math.Min(500, writes.Count - i))), cancellation);
    }
}
