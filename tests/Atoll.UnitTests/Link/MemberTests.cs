using Atoll.Link.Members;

namespace Atoll.UnitTests.Link;

/// <summary>Who belongs to a site, who is alive, and what proves it.</summary>
public sealed class MemberTests
{
    private static readonly Member s_a = new("a", "1"), s_b = new("b", "2"), s_c = new("c", "3");

    [Fact]
    public void The_list_changes_in_two_steps_and_only_when_a_majority_of_either_has_it()
    {
        MemberList two = Next(new MemberList([s_a]), [s_a, s_b], held: ["a"])!;
        Assert.Equal([s_a, s_b], two.Nodes);
        Assert.Equal([s_a], two.Former);
        Assert.Null(Next(two, [s_a, s_b], held: ["a"])); // b does not have it yet.
        Assert.Equal(new MemberList([s_a, s_b]).Nodes, Next(two, [s_a, s_b], held: ["a", "b"])!.Nodes);
        Assert.Null(Next(two, [s_a, s_b], held: ["a", "b"])!.Former);
        // A silent node stays a voter, one that its operator deleted leaves, a moved one is told of.
        var three = new MemberList([s_a, s_b, s_c]);
        Assert.Null(Next(three, [s_a, s_b], held: ["a", "b"]));
        Assert.Equal([s_a, s_b], Next(three, [s_a, s_b], held: ["a", "b"], unknown: "c")!.Nodes);
        Assert.Equal("9", Next(three, [s_a, s_b with { Address = "9" }], held: [])!.Find("b")!.Address);
        // A node that is not registered yet does not vote.
        Assert.Null(Next(new MemberList([s_a]), [s_a, s_b], held: ["a"], unknown: "b"));
    }

    [Fact]
    public void A_vote_is_a_promise_for_one_lease_and_one_a_term()
    {
        var voter = new Voter("v", 6000, new VoterRecord(0, null), 0);
        Assert.True(voter.Ask(new VoteRequest("a", 1, true, default, 6000), default, 100).Granted);
        Assert.True(voter.Ask(new VoteRequest("b", 1, false, default, 6000), default, 200).Granted); // The question before promised nothing.
        Assert.False(voter.Ask(new VoteRequest("a", 2, false, default, 6000), default, 6100).Granted);
        Assert.True(voter.Hear(new LeaderBeat("b", 1, 6000), default, 6150).Accepted);
        Assert.False(voter.Ask(new VoteRequest("a", 2, false, default, 6000), default, 12_100).Granted);
        Assert.False(voter.Ask(new VoteRequest("a", 2, false, default, 6000), new LogPosition(1, 5), 12_200).Granted); // It knows more.
        Assert.True(voter.Ask(new VoteRequest("a", 2, false, new LogPosition(1, 5), 6000), new LogPosition(1, 5), 12_200).Granted);
        Assert.False(voter.Hear(new LeaderBeat("b", 1, 6000), default, 12_300).Accepted);
        // Started again: the promise may still be in force.
        var again = new Voter("v", 6000, voter.Record, 0);
        Assert.False(again.Ask(new VoteRequest("c", 3, false, new LogPosition(9, 9), 6000), default, 5999).Granted);
        Assert.True(again.Ask(new VoteRequest("a", 3, false, default, 6000), default, 10).Granted);
    }

    [Fact]
    public void Beats_are_signed_in_order_and_silence_is_death_only_after_a_while()
    {
        byte[] key = [1, 2, 3], packet = BeatPacket.Write(BeatPacket.Beat, "n", 7, key);
        Assert.True(BeatPacket.TryRead(packet, BeatPacket.Beat, key, out string name, out ulong counter));
        Assert.Equal(("n", 7UL), (name, counter));
        Assert.False(BeatPacket.TryRead(packet, BeatPacket.Answer, key, out _, out _));
        Assert.False(BeatPacket.TryRead(packet, BeatPacket.Beat, [1, 2, 4], out _, out _));
        for (int i = 0; i < packet.Length; i++)
        {
            byte[] broken = [.. packet];
            broken[i] ^= 1;
            Assert.False(BeatPacket.TryRead(broken, BeatPacket.Beat, key, out _, out _));
            Assert.False(BeatPacket.TryRead(packet.AsSpan(0, i), BeatPacket.Beat, key, out _, out _));
        }
        var alive = new Liveness(8000, 0);
        Assert.False(alive.IsDead("n", 59_999)); // Never heard: after a power cut not all come back at once.
        Assert.True(alive.IsDead("n", 60_000));
        Assert.True(alive.Beat("n", 7, 61_000));
        Assert.False(alive.Beat("n", 7, 65_000)); // Sent again by somebody.
        Assert.False(alive.IsDead("n", 68_999));
        Assert.True(alive.IsDead("n", 69_000));
        Assert.True(alive.Beat("n", 3, 70_000)); // Its clock was set back: the dead are believed.
    }

    private static MemberList? Next(MemberList list, Member[] present, string[] held, string? unknown = null) =>
        Membership.Next("a", list, held.Contains, present, name => name != unknown);
}
