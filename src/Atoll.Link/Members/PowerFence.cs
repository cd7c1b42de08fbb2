namespace Atoll.Link.Members;

/// <summary>What a node does about the other one of two.</summary>
public enum FenceStep
{
    /// <summary>Nothing: both are alive, this one leads, or the site is none of two nodes that fence each other.</summary>
    None,

    /// <summary>It waits: the other one's silence is not long enough yet, it may be about to switch this one off, or the last attempt failed.</summary>
    Waits,

    /// <summary>It may not: since its start it has neither led nor had a whole copy of a leader's state, so the other one may have had it switched off and go on alone.</summary>
    Stale,

    /// <summary>The other one is to be switched off now; <see cref="PowerFence.Ended"/> is called with how that ended.</summary>
    Fence,
}

/// <summary>
/// A site of two nodes without a third vote: both are needed to lead, until one has the other switched off (its power cut, by a command of the
/// operator's) and takes it out of the list of voters, alone, for whoever is off leads nothing, votes for nobody and runs nothing. Each
/// may try it of the other at the same moment: the power decides, and whoever is off does not act.
/// <para>Invariants: the list is changed only after the other one is known to be off; a node that was off fences nobody before it has a whole
/// copy of what the other one did meanwhile, and in that copy it is no voter until that one has taken it in again, in the usual two steps.
/// So nobody acts on a state that somebody acted beyond. Pure: no clock, no I/O. Not thread-safe.</para>
/// </summary>
/// <param name="self">This node.</param>
/// <param name="turnMs">By how much the second of the list tries later than the first, ms, so that seldom both switch each other off.</param>
/// <param name="retryMs">Wait after an attempt that failed, ms.</param>
public sealed class PowerFence(string self, long turnMs, long retryMs)
{
    private bool _current;
    private string? _target;
    private long _dueAt = long.MaxValue;

    /// <summary>This node leads, or has a whole copy of the state of whoever does: it knows all that was done without it.</summary>
    public void IsCurrent() => _current = true;

    /// <summary>Time passes.</summary>
    /// <param name="members">The voters as this node knows them.</param>
    /// <param name="led">True when this node leads, or may still be led: it has promised another a lease that lasts.</param>
    /// <param name="isDead">True for a node that has been silent for long enough.</param>
    /// <param name="nowMs">Monotonic clock, ms.</param>
    public FenceStep Tick(MemberList members, bool led, Func<string, bool> isDead, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(isDead);
        if (_target is not null)
            return FenceStep.Waits;
        if (led || OtherOf(members) is not { } other || !isDead(other.Name))
        {
            _dueAt = long.MaxValue;
            return FenceStep.None;
        }
        if (!_current)
            return FenceStep.Stale;
        if (_dueAt == long.MaxValue)
            _dueAt = nowMs + (members.Nodes[0].Name == self ? 0 : turnMs);
        if (nowMs < _dueAt)
            return FenceStep.Waits;
        _target = other.Name;
        return FenceStep.Fence;
    }

    /// <summary>
    /// An attempt has ended. When the other one is surely off: the list of voters that is in force from now on, to be made durable; else null, also
    /// when this node leads or is led by now: then both are there, and what the attempt came to is of the past.
    /// </summary>
    public MemberList? Ended(bool off, MemberList members, bool led, long nowMs)
    {
        (string? target, _target, _dueAt) = (_target, null, nowMs + retryMs);
        return off && !led && OtherOf(members) is { } other && other.Name == target ? new MemberList([members.Find(self)!], Witness: MemberList.Fence, Fenced: target) : null;
    }

    /// <summary>
    /// The node that this one may have switched off, or null: both vote, nobody else does in the list to come, and no third node in a former one, so
    /// without this node nobody leads.
    /// </summary>
    public Member? OtherOf(MemberList members)
    {
        ArgumentNullException.ThrowIfNull(members);
        if (members.Witness != MemberList.Fence || members.Nodes.Count != 2 || MemberList.Find(members.Nodes, self) is null)
            return null;
        foreach (Member former in members.Former ?? [])
            if (MemberList.Find(members.Nodes, former.Name) is null)
                return null;
        return members.Nodes[0].Name == self ? members.Nodes[1] : members.Nodes[0];
    }
}
