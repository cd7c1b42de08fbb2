namespace Atoll.Link;

/// <summary>
/// What the parent's owner (the hub) does for one session of one site. Calls come one at a time, in order, from the
/// session's own task; an exception ends the session with <see cref="LinkError.OwnerFailed"/>.
/// </summary>
public interface IParentOwner : IScopeItems
{
    /// <summary>
    /// The site said hello: give its whole scope at one revision. Every change of the scope after that revision must be
    /// given to <see cref="ParentLink.Post"/>, in order (changes posted before this returns are kept and merged). May wait,
    /// for its mirrors for instance; throw <see cref="LinkRefusedException"/> to refuse the site.
    /// </summary>
    ValueTask<LinkScope> OpenScopeAsync(ParentLink link, SiteHello hello, CancellationToken cancellation);

    /// <summary>Makes outcomes durable: they are acknowledged to the site when this returns. Idempotent by (uid, sequence).</summary>
    ValueTask ApplyOutcomesAsync(ParentLink link, OutcomeBatch batch, CancellationToken cancellation);

    /// <summary>
    /// The site keeps objects that this parent does not know (its store was restored or replaced). The complete list, told
    /// once in every session in which there are any. Adopt one by putting it into the scope under its UID; stop it by
    /// <see cref="ParentLink.Release"/>, which is an operator's word.
    /// </summary>
    ValueTask OrphansOfferedAsync(ParentLink link, IReadOnlyList<HeldItem> orphans, CancellationToken cancellation);

    /// <summary>The session moved; with <see cref="LinkState.Closed"/> the reason.</summary>
    void StateChanged(ParentLink link, LinkState state, LinkError error);
}

/// <summary>
/// What the site's owner (the uplink) does. Calls come one at a time, in order, from the session's own task; an exception
/// ends the session with <see cref="LinkError.OwnerFailed"/> and the link dials again.
/// </summary>
public interface ISiteOwner : ISiteItems
{
    /// <summary>What the site holds now, read at the beginning of every session.</summary>
    ValueTask<SiteHoldings> LoadAsync(CancellationToken cancellation);

    /// <summary>All outcomes in the outbox, in order; read at the beginning of every session. Later ones are given to <see cref="SiteLink.Post"/>.</summary>
    ValueTask<IReadOnlyList<OutcomeRef>> LoadOutboxAsync(CancellationToken cancellation);

    /// <summary>Makes a batch durable, sequence included, in one transaction: it is acknowledged to the parent when this returns.</summary>
    ValueTask ApplyAsync(ScopeBatch batch, CancellationToken cancellation);

    /// <summary>The parent made these outcomes durable: remove exactly these sequences from the outbox.</summary>
    ValueTask OutcomesAcknowledgedAsync(IReadOnlyList<OutcomeRef> outcomes, CancellationToken cancellation);

    /// <summary>
    /// The parent's history is not the one that was last applied (restored store, other centre): put the newest outcome of
    /// every object into the outbox anew and post it, because the parent may have lost what it acknowledged.
    /// </summary>
    ValueTask ForeignHistoryAsync(ParentWelcome welcome, CancellationToken cancellation);

    /// <summary>The session moved; with <see cref="LinkState.Closed"/> the reason.</summary>
    /// <param name="state">New state.</param>
    /// <param name="error">Reason of the end.</param>
    /// <param name="parent">The parent's address in use.</param>
    void StateChanged(LinkState state, LinkError error, Uri parent);
}

/// <summary>Thrown by an owner to refuse a site with a reason that the site is told.</summary>
public sealed class LinkRefusedException : Exception
{
    /// <summary>Refuses for this reason.</summary>
    /// <param name="error">What the site is told; <see cref="LinkError.Busy"/>, <see cref="LinkError.Revoked"/> or <see cref="LinkError.GoingAway"/>.</param>
    public LinkRefusedException(LinkError error) : base(error.ToString()) => Error = error;

    /// <summary>Refused without a better reason.</summary>
    public LinkRefusedException() : this(LinkError.GoingAway)
    {
    }

    /// <summary>Refused without a better reason, with a message for the log.</summary>
    public LinkRefusedException(string message) : base(message) => Error = LinkError.GoingAway;

    /// <summary>Refused because of another failure.</summary>
    public LinkRefusedException(string message, Exception innerException) : base(message, innerException) => Error = LinkError.GoingAway;

    /// <summary>What the site is told.</summary>
    public LinkError Error { get; }
}
