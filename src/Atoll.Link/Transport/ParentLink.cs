namespace Atoll.Link;

/// <summary>The parent's end of one site's connection: give it changes of the scope, open tunnel streams on it, close it.</summary>
public sealed class ParentLink
{
    private readonly LinkPump _pump;
    private readonly ParentSession _session;
    private readonly IParentOwner _owner;

    private ParentLink(string site, LinkPump pump, ParentSession session, IParentOwner owner, LinkTraffic traffic) =>
        (Site, _pump, _session, _owner, Traffic) = (site, pump, session, owner, traffic);

    /// <summary>Name of the site, as its certificate says.</summary>
    public string Site { get; }

    /// <summary>Where the session is.</summary>
    public LinkState State => _pump.State;

    /// <summary>What the site said of itself; null before its hello.</summary>
    public SiteHello? Hello => _session.Hello;

    /// <summary>Bytes by class.</summary>
    public LinkTraffic Traffic { get; }

    /// <summary>Runs a session over a connected line until it ends, and returns why. The line is disposed.</summary>
    /// <param name="site">Name of the site.</param>
    /// <param name="line">An authenticated, encrypted, ordered byte stream.</param>
    /// <param name="owner">The hub's part for this session.</param>
    /// <param name="options">Settings; share <see cref="LinkOptions.Bodies"/> among sessions.</param>
    /// <param name="traffic">Where to count bytes.</param>
    /// <param name="acceptStream">Called for each stream that the site opens; null refuses them.</param>
    /// <param name="time">Clock.</param>
    /// <param name="random">Randomness of the heartbeat.</param>
    /// <param name="cancellation">Ends the session in order.</param>
    public static async Task<LinkError> RunAsync(
        string site, Stream line, IParentOwner owner, LinkOptions options, LinkTraffic traffic,
        Func<LinkStream, CancellationToken, Task>? acceptStream, TimeProvider time, Random random, CancellationToken cancellation)
    {
        ParentSession session = new(options, owner, random);
        LinkPump pump = new(session, line, isSite: false, traffic, time);
        await using (pump.ConfigureAwait(false))
        {
            ParentLink link = new(site, pump, session, owner, traffic);
            using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
            Task accepting = AcceptLoop.RunAsync(pump.Mux.Accepted, acceptStream, stop.Token);
            LinkError error = await pump.RunAsync(new LinkInput.Connected(), output => link.HandleAsync(output, stop.Token), cancellation).ConfigureAwait(false);
            await stop.CancelAsync().ConfigureAwait(false);
            await accepting.ConfigureAwait(false);
            return error;
        }
    }

    /// <summary>The scope changed; in order of revisions, from any thread, never blocks.</summary>
    public void Post(ScopeChange change) => _pump.Post(new LinkInput.ScopeChanged(change));

    /// <summary>An operator's word that these orphans are to be stopped at the site.</summary>
    public void Release(IReadOnlyList<string> uids) => _pump.Post(new LinkInput.Release(uids));

    /// <summary>Ends the session and tells the site why.</summary>
    public void Close(LinkError error) => _pump.Post(new LinkInput.Close(error));

    /// <summary>Opens a stream to the site: for the tunnel, what a <c>SocketsHttpHandler.ConnectCallback</c> returns. Throws <see cref="IOException"/> when the link is closed.</summary>
    public LinkStream Open(LinkClass of, string metadata) => _pump.Mux.Open(of, metadata);

    private async ValueTask HandleAsync(LinkOutput output, CancellationToken cancellation)
    {
        switch (output)
        {
            case LinkOutput.StateChanged changed:
                _owner.StateChanged(this, changed.State, changed.Error);
                break;
            case LinkOutput.OpenScope open:
                LinkScope scope = await _owner.OpenScopeAsync(this, open.Hello, cancellation).ConfigureAwait(false);
                _pump.Tell(new LinkInput.ScopeOpened(scope));
                break;
            case LinkOutput.OutcomesReceived received:
                if (received.Batch.Outcomes.Count > 0)
                    await _owner.ApplyOutcomesAsync(this, received.Batch, cancellation).ConfigureAwait(false);
                _pump.Tell(new LinkInput.OutcomesApplied(received.Batch.Number));
                break;
            case LinkOutput.OrphansOffered offered:
                await _owner.OrphansOfferedAsync(this, offered.Orphans, cancellation).ConfigureAwait(false);
                break;
            default:
                throw new InvalidOperationException($"A parent does not expect {output.GetType().Name}.");
        }
    }
}
