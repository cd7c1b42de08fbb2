namespace Atoll.Link.Members;

/// <summary>What a node's lease for pods with an identity comes to: its end on the node's monotonic clock, and the leader's position when it began.</summary>
public readonly record struct LeaseState(long UntilMs, LogPosition Since);

/// <summary>
/// A node's lease for pods with an identity (StatefulSets): while it lasts, no other node of the site runs them. Each beat of the node
/// asks for it and each answer of the leader prolongs it, counted from the moment of the asking, so that an answer that was under way
/// for long, or is repeated, prolongs nothing. When it has ended, the node stops them by itself; the leader, which waits for
/// longer (<see cref="IdentityFence"/>), may then give them to others. Pure; not thread-safe.
/// </summary>
/// <param name="leaseMs">How long an answer prolongs it, ms.</param>
/// <param name="known">The lease as an earlier process of this machine's present life had it.</param>
public sealed class IdentityLease(long leaseMs, LeaseState known = default)
{
    private const int Remembered = 16;

    private readonly Queue<(ulong Counter, long At)> _asked = new();

    /// <summary>The lease now.</summary>
    public LeaseState State { get; private set; } = known;

    /// <summary>True while pods with an identity may run.</summary>
    public bool Holds(long nowMs) => nowMs < State.UntilMs;

    /// <summary>
    /// True when one may be started: the lease lasts, and this node's copy of the site's state is not older than the lease, so what was
    /// given to others before is known.
    /// </summary>
    public static bool MayStart(LeaseState state, LogPosition copy, long nowMs) => nowMs < state.UntilMs && copy.CompareTo(state.Since) >= 0;

    /// <summary>A beat is about to be sent.</summary>
    public void Asked(ulong counter, long nowMs)
    {
        if (_asked.Count == Remembered)
            _asked.Dequeue();
        _asked.Enqueue((counter, nowMs));
    }

    /// <summary>A leader answered a beat; true when that prolongs the lease.</summary>
    public bool Answered(ulong counter, LogPosition position, long nowMs)
    {
        foreach ((ulong asked, long at) in _asked)
            if (asked == counter && at + leaseMs > State.UntilMs && at + leaseMs > nowMs)
            {
                State = new LeaseState(at + leaseMs, Holds(nowMs) ? State.Since : position);
                return true;
            }
        return false;
    }
}
