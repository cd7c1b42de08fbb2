namespace Atoll.Link.Members;

/// <summary>
/// The leader's side of the nodes' leases (<see cref="IdentityLease"/>): whom it answered last and when, and so from when on a silent
/// node certainly runs no pod with an identity any more. Leaders before this one answered nobody after it was elected, so its
/// own beginning counts as an answer to all. Pure; not thread-safe.
/// </summary>
/// <param name="leaseMs">How long an answer prolongs a node's lease, ms.</param>
public sealed class IdentityFence(long leaseMs)
{
    private readonly Dictionary<string, long> _answered = new(StringComparer.Ordinal);
    private IReadOnlySet<string> _withheld = new HashSet<string>();
    private long _began;

    /// <summary>How long after the last answer a node's lease has ended and its containers are stopped, ms: the lease, a tenth of it for clocks that run apart, and a quarter for stopping them.</summary>
    public static long WaitMs(long leaseMs) => leaseMs + (leaseMs / 10) + (leaseMs / 4);

    /// <summary>This node has begun to lead.</summary>
    public void Began(long nowMs)
    {
        _began = nowMs;
        _answered.Clear();
        _withheld = new HashSet<string>();
    }

    /// <summary>A node asks, and this node leads: false when it is not answered because what it ran waits to be started by others.</summary>
    public bool Answer(string node, long nowMs)
    {
        if (_withheld.Contains(node))
            return false;
        _answered[node] = nowMs;
        if (Off == node)
            Off = null;
        return true;
    }

    /// <summary>The node that was switched off by this one, and has neither asked since nor come back: it runs nothing.</summary>
    public string? Off { get; set; }

    /// <summary>How long it takes until the node certainly runs none, ms; 0 when it does not.</summary>
    public long RemainingMs(string node, long nowMs) =>
        node == Off ? 0 : Math.Max(0, Math.Max(_began, _answered.GetValueOrDefault(node, long.MinValue)) + WaitMs(leaseMs) - nowMs);

    /// <summary>
    /// Says which nodes are not answered: those from which something was taken that has not been started elsewhere yet. It may be when
    /// nothing remains (<see cref="RemainingMs"/>) of a node that is withheld, whoever led when it was taken.
    /// </summary>
    public void Withhold(IReadOnlySet<string> nodes) => _withheld = nodes;
}
