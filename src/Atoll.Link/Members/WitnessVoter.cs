namespace Atoll.Link.Members;

/// <summary>
/// A voter that keeps no copy of the site's state: the parent, or the site's witness. Of that state it knows one position, the newest
/// at which an identity went to another node, and refuses whoever does not know that much. Pure; not thread-safe.
/// </summary>
public sealed class WitnessVoter(Voter voter, LogPosition fence)
{
    private long _leaseMs;

    /// <summary>One as its record says, started now.</summary>
    public static WitnessVoter Of(string self, WitnessRecord record, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(record);
        return new WitnessVoter(new Voter(self, record.LeaseMs, record.Vote, nowMs), record.Fence) { _leaseMs = record.LeaseMs };
    }

    /// <summary>What has to be durable before an answer leaves.</summary>
    public WitnessRecord Record => new(voter.Record, fence, _leaseMs);

    /// <summary>Answers a request for a vote.</summary>
    public VoteReply Ask(VoteRequest request, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(request);
        VoteReply reply = voter.Ask(request, fence, nowMs);
        if (reply.Granted && !request.Pre)
            _leaseMs = request.LeaseMs;
        return reply;
    }

    /// <summary>Answers a leader's beat.</summary>
    public BeatReply Hear(LeaderBeat beat, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(beat);
        BeatReply reply = voter.Hear(beat, fence, nowMs);
        if (reply.Accepted)
            _leaseMs = beat.LeaseMs;
        if (reply.Accepted && beat.Fence.CompareTo(fence) > 0)
            fence = beat.Fence;
        return reply with { Position = fence };
    }
}
