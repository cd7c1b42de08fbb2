namespace Atoll.Link;

/// <summary>Settings of a site's link.</summary>
public sealed record SiteLinkOptions
{
    /// <summary>Addresses of the parent (<c>https://host:port</c>) in order of preference; at least one.</summary>
    public required IReadOnlyList<Uri> Parents { get; init; }

    /// <summary>Connects to one of them; normally <see cref="LinkDialer.DialAsync"/>.</summary>
    public required Func<Uri, CancellationToken, ValueTask<Stream>> Dial { get; init; }

    /// <summary>Settings of the sessions. Give <see cref="LinkOptions.Bodies"/>, so that deltas survive a reconnect.</summary>
    public LinkOptions Session { get; init; } = new() { DeadAfterMs = 12_000, Bodies = new RecentBodies(512 * 1024) };

    /// <summary>Waits between attempts.</summary>
    public Backoff Backoff { get; init; } = Backoff.Default;

    /// <summary>Called for each stream that the parent opens, such as <see cref="TunnelServer.ToUnixSocket"/>; null refuses them.</summary>
    public Func<LinkStream, CancellationToken, Task>? AcceptStream { get; init; }
}

/// <summary>The site's link: dials its parent, keeps a session on it, and dials again for as long as it runs.</summary>
public sealed class SiteLink
{
    private readonly SiteLinkOptions _options;
    private readonly ISiteOwner _owner;
    private readonly TimeProvider _time;
    private readonly Random _random;
    private readonly ParentSelector _selector;
    private readonly Lock _lock = new();
    private List<OutcomeRef>? _early;
    private LinkPump? _pump;
    private string? _preferredFailure;
    private bool _refused, _anew;

    /// <summary>A link that is not yet running.</summary>
    public SiteLink(SiteLinkOptions options, ISiteOwner owner, TimeProvider time, Random random)
    {
        ArgumentNullException.ThrowIfNull(options);
        (_options, _owner, _time, _random) = (options, owner, time, random);
        _selector = new ParentSelector(options.Parents.Count, options.Backoff);
    }

    /// <summary>Where the session is; <see cref="LinkState.Closed"/> between sessions.</summary>
    public LinkState State => _pump?.State ?? LinkState.Closed;

    /// <summary>The parent address in use or being dialled.</summary>
    public Uri Parent => _options.Parents[_selector.Current];

    /// <summary>Why it is that one.</summary>
    public ParentReason ParentReason => _selector.Reason;

    /// <summary>The last failure in words, or null.</summary>
    public string? LastFailure { get; private set; }

    /// <summary>Bytes by class since the start.</summary>
    public LinkTraffic Traffic { get; } = new();

    private long NowMs => (long)(_time.GetTimestamp() / (double)_time.TimestampFrequency * 1000);

    /// <summary>The outbox (already durable) has new outcomes; from any thread, never blocks. While no session runs it does nothing: the next one reads the outbox.</summary>
    public void Post(IReadOnlyList<OutcomeRef> outcomes)
    {
        lock (_lock)
        {
            if (_early is not null)
            {
                _early.AddRange(outcomes);
                return;
            }
            _pump?.Post(new LinkInput.OutcomesAdded(outcomes));
        }
    }

    /// <summary>What the site holds was changed by somebody else than the parent: the session ends, if there is one, and the next says it.</summary>
    public void GreetAnew()
    {
        lock (_lock)
        {
            _anew = _early is not null;
            _pump?.Post(new LinkInput.Close(LinkError.None));
        }
    }

    /// <summary>Opens a stream to the parent. Throws <see cref="IOException"/> when there is no session.</summary>
    public LinkStream Open(LinkClass of, string metadata) =>
        (_pump ?? throw new IOException("The link is not connected.")).Mux.Open(of, metadata);

    /// <summary>Dials, runs sessions and backs off until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            LinkError error = await ConnectOnceAsync(cancellation).ConfigureAwait(false);
            if (cancellation.IsCancellationRequested)
                break;
            if (error == LinkError.None)
                continue;
            TimeSpan wait = _selector.Failed(NowMs, error == LinkError.Silent, _random, _refused);
            try
            {
                await Task.Delay(wait, _time, cancellation).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                break;
            }
        }
    }

    private async Task<LinkError> ConnectOnceAsync(CancellationToken cancellation)
    {
        Uri parent = Parent;
        Stream line;
        try
        {
            _refused = false;
            _owner.StateChanged(LinkState.Connecting, LinkError.None, parent);
            line = await _options.Dial(parent, cancellation).ConfigureAwait(false);
        }
        catch (Exception failure) when (!cancellation.IsCancellationRequested)
        {
            LinkError error = failure is LinkDialException dial ? dial.Error : LinkError.Unreachable;
            _refused = failure is LinkDialException { Refused: true };
            Failed(parent, failure.Message);
            _owner.StateChanged(LinkState.Closed, error, parent);
            return error;
        }
        catch (OperationCanceledException)
        {
            return LinkError.GoingAway;
        }
        await using (line.ConfigureAwait(false))
            return await RunSessionAsync(parent, line, cancellation).ConfigureAwait(false);
    }

    private async Task<LinkError> RunSessionAsync(Uri parent, Stream line, CancellationToken cancellation)
    {
        LinkPump pump = new(new SiteSession(_options.Session, _owner, _random), line, isSite: true, Traffic, _time);
        await using (pump.ConfigureAwait(false))
        {
            using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            LinkInput.SiteConnected first;
            try
            {
                // Outcomes posted while the outbox is read may be in it or not: they are told twice, which is harmless.
                lock (_lock)
                    _early = [];
                SiteHoldings holdings = await _owner.LoadAsync(cancellation).ConfigureAwait(false);
                List<OutcomeRef> outbox = [.. await _owner.LoadOutboxAsync(cancellation).ConfigureAwait(false)];
                lock (_lock)
                {
                    // What is held was read before it changed.
                    if (_anew)
                    {
                        (_early, _anew) = (null, false);
                        return LinkError.None;
                    }
                    outbox.AddRange(_early);
                    (_early, _pump) = (null, pump);
                }
                first = new LinkInput.SiteConnected(holdings, outbox, Choice(parent), _time.GetUtcNow().ToUnixTimeMilliseconds());
            }
            catch (Exception failure)
            {
                lock (_lock)
                    _early = null;
                Failed(parent, failure.Message);
                _owner.StateChanged(LinkState.Closed, LinkError.OwnerFailed, parent);
                return LinkError.OwnerFailed;
            }
            Task accepting = AcceptLoop.RunAsync(pump.Mux.Accepted, _options.AcceptStream, stop.Token);
            Task<bool> probing = ProbeAsync(pump, stop.Token);
            LinkError error = await pump.RunAsync(first, output => HandleAsync(output, parent, stop.Token), cancellation).ConfigureAwait(false);
            lock (_lock)
                _pump = null;
            await stop.CancelAsync().ConfigureAwait(false);
            await accepting.ConfigureAwait(false);
            Failed(parent, Words(error));
            return await probing.ConfigureAwait(false) ? LinkError.None : error;
        }
    }

    private void Failed(Uri parent, string why)
    {
        LastFailure = why;
        if (parent == _options.Parents[0])
            _preferredFailure = why;
    }

    private ParentChoice Choice(Uri parent)
    {
        string detail = _selector.Current == 0 ? "" : $"{_options.Parents[0].Authority}: {_preferredFailure ?? "not tried yet"}";
        return new ParentChoice(Short(parent.ToString().TrimEnd('/')), _selector.Reason, Short(detail));

        static string Short(string text) => text.Length <= LinkLimits.MaxAddressLength ? text : text[..LinkLimits.MaxAddressLength];
    }

    private static string Words(LinkError error) => error switch
    {
        LinkError.Silent => "It fell silent.",
        LinkError.ConnectionLost => "The connection was lost.",
        LinkError.GoingAway => "It went away.",
        _ => $"The session ended: {error}.",
    };

    private async ValueTask HandleAsync(LinkOutput output, Uri parent, CancellationToken cancellation)
    {
        switch (output)
        {
            case LinkOutput.StateChanged changed:
                _owner.StateChanged(changed.State, changed.Error, parent);
                break;
            case LinkOutput.Welcomed welcomed:
                _selector.Connected(NowMs);
                if (welcomed.Welcome.Foreign)
                    await _owner.ForeignHistoryAsync(welcomed.Welcome, cancellation).ConfigureAwait(false);
                break;
            case LinkOutput.Apply apply:
                await _owner.ApplyAsync(apply.Batch, cancellation).ConfigureAwait(false);
                _pump?.Tell(new LinkInput.Applied(apply.Batch.Number));
                break;
            case LinkOutput.OutcomesAcknowledged acknowledged:
                await _owner.OutcomesAcknowledgedAsync(acknowledged.Outcomes, cancellation).ConfigureAwait(false);
                break;
            default:
                throw new InvalidOperationException($"A site does not expect {output.GetType().Name}.");
        }
    }

    /// <summary>While an address is in use that is not the first, tries the first from time to time; true when the session was ended to return to it.</summary>
    private async Task<bool> ProbeAsync(LinkPump pump, CancellationToken cancellation)
    {
        if (_selector.Current == 0)
            return false;
        try
        {
            while (true)
            {
                long wait = _selector.NextProbe == long.MaxValue ? 1000 : Math.Max(10, _selector.NextProbe - NowMs);
                await Task.Delay(TimeSpan.FromMilliseconds(wait), _time, cancellation).ConfigureAwait(false);
                if (_selector.NextProbe > NowMs)
                    continue;
                try
                {
                    Stream line = await _options.Dial(_options.Parents[0], cancellation).ConfigureAwait(false);
                    await line.DisposeAsync().ConfigureAwait(false);
                }
                catch (IOException)
                {
                    _selector.ProbeFailed(NowMs);
                    continue;
                }
                _selector.ProbeAnswered();
                pump.Tell(new LinkInput.Close(LinkError.None));
                return true;
            }
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
