namespace Atoll.Link.Members;

/// <summary>
/// The side of an election that gives votes: of a node, and of the parent that is a witness for a site with an even number of
/// nodes. A vote, and every beat that is accepted, is a promise to follow nobody else for one lease. A leader that a
/// majority has promised can therefore be sure of itself until the promises end, and nobody is elected before.
/// <para>Invariants: one vote a term; a promise is never broken for a term that is not newer than a leader elected by others;
/// after a restart the promise that may have been given before counts as given anew. Pure: no clock, no disk. The caller
/// makes <see cref="Record"/> durable before an answer leaves. Not thread-safe.</para>
/// </summary>
public sealed class Voter
{
    private readonly string _self;
    private long _until;

    /// <summary>A voter as its record says, started now.</summary>
    /// <param name="self">Its name.</param>
    /// <param name="leaseMs">How long a promise that was given before may last, ms.</param>
    /// <param name="record">What it wrote down before.</param>
    /// <param name="nowMs">Monotonic clock, ms.</param>
    public Voter(string self, long leaseMs, VoterRecord record, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(record);
        _self = self;
        Record = record;
        Holder = record.VotedFor;
        _until = Holder is null ? 0 : nowMs + leaseMs;
    }

    /// <summary>What has to be durable before an answer leaves.</summary>
    public VoterRecord Record { get; private set; }

    /// <summary>To whom the last promise was given, or null.</summary>
    public string? Holder { get; private set; }

    /// <summary>When that promise ends, ms.</summary>
    public long PromisedUntil => _until;

    /// <summary>True while somebody other than <paramref name="name"/> holds a promise.</summary>
    public bool IsPromisedAway(string name, long nowMs) => Holder is not null && Holder != name && nowMs < _until;

    /// <summary>Answers a request for a vote.</summary>
    /// <param name="request">The request.</param>
    /// <param name="mine">How far this voter's own state goes.</param>
    /// <param name="nowMs">Monotonic clock, ms.</param>
    public VoteReply Ask(VoteRequest request, LogPosition mine, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(request);
        bool unused = request.Term > Record.Term || (request.Term == Record.Term && (Record.VotedFor is null || Record.VotedFor == request.From));
        bool granted = unused && !IsPromisedAway(request.From, nowMs) && request.Position.CompareTo(mine) >= 0;
        if (granted && !request.Pre)
            Promise(request.From, request.Term, request.LeaseMs, nowMs);
        return new VoteReply(_self, Record.Term, granted);
    }

    /// <summary>Answers a leader's beat. A leader of a newer term was elected by a majority that had nobody: it is followed at once.</summary>
    public BeatReply Hear(LeaderBeat beat, LogPosition mine, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(beat);
        bool accepted = beat.Term > Record.Term || (beat.Term == Record.Term && Record.VotedFor == beat.From);
        if (accepted)
            Promise(beat.From, beat.Term, beat.LeaseMs, nowMs);
        return new BeatReply(_self, Record.Term, accepted, mine);
    }

    private void Promise(string holder, long term, long leaseMs, long nowMs)
    {
        if (Record.Term != term || Record.VotedFor != holder)
            Record = new VoterRecord(term, holder);
        Holder = holder;
        // As long as the asker counts on, and no longer: its successor waits for the end.
        _until = nowMs + leaseMs;
    }
}
