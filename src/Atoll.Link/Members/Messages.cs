using System.Text.Json.Serialization;

namespace Atoll.Link.Members;

/// <summary>How far a node's copy of the site's state goes: the term of the leader whose state it is, and that leader's revision.</summary>
public readonly record struct LogPosition(long Term, long Revision) : IComparable<LogPosition>
{
    /// <inheritdoc/>
    public int CompareTo(LogPosition other) => Term != other.Term ? Term.CompareTo(other.Term) : Revision.CompareTo(other.Revision);
}

/// <summary>A node asks for a vote, or (<paramref name="Pre"/>) whether it would get one: that question changes nothing.</summary>
/// <param name="From">Who wants to lead.</param>
/// <param name="Term">For which term.</param>
/// <param name="Pre">True for the question.</param>
/// <param name="Position">How far its state goes: whoever knows more refuses.</param>
/// <param name="LeaseMs">For how long a vote promises, ms.</param>
/// <param name="FenceMs">How long a node's lease for pods with an identity and their stopping may take, ms; 0 of agents that did not say.</param>
public sealed record VoteRequest(string From, long Term, bool Pre, LogPosition Position, long LeaseMs, long FenceMs = 0);

/// <summary>The answer to a <see cref="VoteRequest"/>; the term is the highest that the voter knows.</summary>
public sealed record VoteReply(string From, long Term, bool Granted);

/// <summary>
/// The leader tells a voter that it still leads, and asks it to promise another lease. <paramref name="Fence"/> is where in the leader's
/// state an identity last went from a node that fell silent to another: nobody who does not know of that may lead.
/// </summary>
public sealed record LeaderBeat(string From, long Term, long LeaseMs, LogPosition Fence = default);

/// <summary>The answer to a <see cref="LeaderBeat"/>: promised or refused, and how far the node has followed.</summary>
public sealed record BeatReply(string From, long Term, bool Accepted, LogPosition Position);

/// <summary>What a voter that keeps no copy of the site's state must not forget: its vote, the newest fence that a leader told it, and how long its last promise is, ms.</summary>
public sealed record WitnessRecord(VoterRecord Vote, LogPosition Fence, long LeaseMs);

/// <summary>What a voter must not forget: the newest term it voted in or followed, and for whom.</summary>
public sealed record VoterRecord(long Term, string? VotedFor);

/// <summary>A node of the site that votes, and where its peers reach it (<c>address:port</c>).</summary>
public sealed record Member(string Name, string Address);

/// <summary>
/// The site's voters. While <paramref name="Former"/> is there, a change is under way: a majority of either list is needed, so that
/// nobody is elected by the old list beside somebody elected by the new one. <paramref name="Witness"/> is the address of the site's witness,
/// which votes instead of the parent when the nodes are even in number; <paramref name="FormerWitness"/> goes with the former list.
/// <paramref name="Fenced"/> is the node that the one left had switched off (<see cref="PowerFence"/>), until it follows again.
/// </summary>
public sealed record MemberList(IReadOnlyList<Member> Nodes, IReadOnlyList<Member>? Former = null, string? Witness = null, string? FormerWitness = null, string? Fenced = null)
{
    /// <summary>As a witness: nobody votes besides two nodes, and whoever has the other switched off goes on alone (<see cref="PowerFence"/>).</summary>
    public const string Fence = "fence";

    /// <summary>Of nobody.</summary>
    public static MemberList None { get; } = new([]);

    /// <summary>The member of a name, or null.</summary>
    public Member? Find(string name) => Find(Nodes, name) ?? (Former is null ? null : Find(Former, name));

    internal static Member? Find(IReadOnlyList<Member> nodes, string name)
    {
        foreach (Member node in nodes)
            if (node.Name == name)
                return node;
        return null;
    }
}

/// <summary>The wire and file forms of what nodes of a site tell each other.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(VoteRequest))]
[JsonSerializable(typeof(VoteReply))]
[JsonSerializable(typeof(LeaderBeat))]
[JsonSerializable(typeof(BeatReply))]
[JsonSerializable(typeof(VoterRecord))]
[JsonSerializable(typeof(WitnessRecord))]
[JsonSerializable(typeof(MemberList))]
public sealed partial class MemberJson : JsonSerializerContext;
