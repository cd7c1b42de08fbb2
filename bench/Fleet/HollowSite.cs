using System.Text;
using Atoll.Link;

namespace Atoll.Bench.Fleet;

/// <summary>
/// A site without machines: the real session over a real connection, and below it a runtime that says of every pod that it runs,
/// at once. What it holds is kept lean (identity, version), so that thousands fit into one process.
/// </summary>
internal sealed class HollowSite : ISiteOwner
{
    private static readonly byte[] s_running = Encoding.UTF8.GetBytes(Documents.Running), s_nothing = "{}"u8.ToArray();

    private readonly Lock _lock = new();
    private readonly FleetProgress _progress;
    private readonly Dictionary<string, HeldItem> _held = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Outcome> _outbox = new(StringComparer.Ordinal);
    private readonly LinkDialer _dialer;
    private LinkSequence _position = LinkSequence.None;
    private long _sequence;
    private bool _isLive;

    public HollowSite(string name, Uri parent, LinkIdentity identity, FleetProgress progress, Random random)
    {
        Name = name;
        _progress = progress;
        // One parent, as an agent has that joined a centre with one address.
        _dialer = new LinkDialer(() => identity, TimeProvider.System, patience: LinkDialer.Patience);
        Link = new SiteLink(new SiteLinkOptions
        {
            Parents = [parent],
            Dial = DialAsync,
            Session = new LinkOptions { Software = "fleet", DeadAfterMs = 12_000, Bodies = new RecentBodies(512 * 1024) },
        }, this, TimeProvider.System, random);
    }

    public string Name { get; }

    public SiteLink Link { get; }

    /// <summary>It holds this, as if it had synced before; only before its link runs.</summary>
    public void Hold(LinkSequence position, IEnumerable<HeldItem> items)
    {
        _position = position;
        foreach (HeldItem item in items)
            _held.Add(item.Uid, item);
    }

    private async ValueTask<Stream> DialAsync(Uri parent, CancellationToken cancellation)
    {
        try
        {
            return await _dialer.DialAsync(parent, cancellation);
        }
        catch (LinkDialException failure) when (IsCounted(failure))
        {
            throw; // Never: it is only looked at on its way, for to catch and throw thousands costs the machine that is measured.
        }
    }

    private bool IsCounted(LinkDialException failure)
    {
        _progress.Ended(failure is { Refused: true, Error: not LinkError.Busy } ? "Refused" : failure.InnerException is OperationCanceledException ? "NoAnswer" : failure.Error.ToString());
        return false;
    }

    /// <summary>Bytes of the present connection as TCP carries them.</summary>
    public LineBytes Wire => _dialer.Wire;

    /// <summary>Bytes of all sessions so far, both ways, without the upgrade, TLS and its handshakes.</summary>
    public long Spoken => Link.Traffic.Sent(LinkClass.Session) + Link.Traffic.Received(LinkClass.Session);

    public int Held
    {
        get
        {
            lock (_lock)
                return _held.Count;
        }
    }

    /// <summary>The site reports the status of a pod anew, as a restarted container would make it do.</summary>
    public void Touch(string name, int restarts)
    {
        HeldItem pod;
        lock (_lock)
            pod = _held.Values.First(item => item.Kind == "pods" && item.Name == name);
        Report(pod, "status", Encoding.UTF8.GetBytes(Documents.Running.Replace("\"restartCount\":0", $"\"restartCount\":{restarts}", StringComparison.Ordinal)));
    }

    public ValueTask<SiteHoldings> LoadAsync(CancellationToken cancellation)
    {
        lock (_lock)
            return ValueTask.FromResult(new SiteHoldings(_position, [.. _held.Values], HasBodies: false));
    }

    public ValueTask<IReadOnlyList<OutcomeRef>> LoadOutboxAsync(CancellationToken cancellation)
    {
        lock (_lock)
            return ValueTask.FromResult<IReadOnlyList<OutcomeRef>>([.. _outbox.Values.OrderBy(o => o.Sequence).Select(o => new OutcomeRef(o.Sequence, o.Uid))]);
    }

    public ValueTask ApplyAsync(ScopeBatch batch, CancellationToken cancellation)
    {
        foreach (LinkItem item in batch.Upserts)
        {
            var held = new HeldItem(item.Kind, item.Name, item.Uid, item.Version);
            lock (_lock)
                _held[item.Uid] = held;
            if (item.Kind == "configmaps" && item.Name.EndsWith(Documents.SharedName, StringComparison.Ordinal))
                _progress.SawConfig(item.Body.Span);
            else if (item.Kind == "pods" && item.Body.Span.IndexOf("\"deletionTimestamp\""u8) >= 0)
                Report(held, "stopped", s_nothing);
            else if (item.Kind == "pods" && !item.Name.StartsWith("default/pre-", StringComparison.Ordinal))
            {
                _progress.Started(item.Uid);
                Report(held, "status", s_running);
            }
        }
        lock (_lock)
        {
            foreach (string uid in batch.Removals)
            {
                _held.Remove(uid);
                _outbox.Remove(uid);
            }
            _position = batch.Sequence;
        }
        return ValueTask.CompletedTask;
    }

    public ValueTask OutcomesAcknowledgedAsync(IReadOnlyList<OutcomeRef> outcomes, CancellationToken cancellation)
    {
        lock (_lock)
            foreach (OutcomeRef outcome in outcomes)
                if (_outbox.TryGetValue(outcome.Uid, out Outcome? open) && open.Sequence == outcome.Sequence)
                    _outbox.Remove(outcome.Uid);
        return ValueTask.CompletedTask;
    }

    public ValueTask ForeignHistoryAsync(ParentWelcome welcome, CancellationToken cancellation) => ValueTask.CompletedTask;

    public void StateChanged(LinkState state, LinkError error, Uri parent)
    {
        if (_isLive && state == LinkState.Closed)
            _progress.Ended(error.ToString());
        _progress.Reached(ref _isLive, state == LinkState.Live);
    }

    public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

    public Outcome? ReadOutcome(string uid)
    {
        lock (_lock)
            return _outbox.GetValueOrDefault(uid);
    }

    private void Report(HeldItem item, string operation, ReadOnlyMemory<byte> body)
    {
        OutcomeRef reference;
        lock (_lock)
        {
            reference = new OutcomeRef(++_sequence, item.Uid);
            _outbox[item.Uid] = new Outcome(reference.Sequence, item.Uid, item.Kind, item.Name, operation, body);
        }
        Link.Post([reference]);
    }
}
