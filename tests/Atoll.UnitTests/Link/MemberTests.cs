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
        // A witness comes and goes in two steps as well.
        var pair = new MemberList([s_a, s_b]);
        MemberList watched = Membership.Next("a", pair, _ => true, [s_a, s_b], _ => true, "w")!;
        Assert.Equal(("w", null, pair.Nodes), (watched.Witness, watched.FormerWitness, watched.Former));
        watched = Membership.Next("a", watched, _ => true, [s_a, s_b], _ => true, null)!;
        Assert.Equal(("w", null), (watched.Witness, watched.Former));
        Assert.Null(Membership.Next("a", watched, _ => true, [s_a, s_b], _ => true, "w"));
        Assert.Equal((null, "w"), (Membership.Next("a", watched, _ => true, [s_a, s_b], _ => true, "")!.Witness, Membership.Next("a", watched, _ => true, [s_a, s_b], _ => true, "")!.FormerWitness));
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
        byte[] key = [1, 2, 3], packet = BeatPacket.Write("n", 7, key);
        Assert.True(BeatPacket.TryRead(packet, key, out string name, out ulong counter));
        Assert.Equal(("n", 7UL), (name, counter));
        Assert.False(BeatPacket.TryReadAnswer(packet, key, out _, out _, out _));
        Assert.False(BeatPacket.TryRead(packet, [1, 2, 4], out _, out _));
        for (int i = 0; i < packet.Length; i++)
        {
            byte[] broken = [.. packet];
            broken[i] ^= 1;
            Assert.False(BeatPacket.TryRead(broken, key, out _, out _));
            Assert.False(BeatPacket.TryRead(packet.AsSpan(0, i), key, out _, out _));
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

    [Fact]
    public void A_node_whose_clock_was_set_back_is_believed_although_its_agent_is_heard_all_the_time()
    {
        var alive = new Liveness(8000, 0);
        Assert.True(alive.Beat("n", 1_000_000, 1000));
        for (long now = 2000; now <= 8000; now += 1000)
        {
            alive.Heard("n", now); // Its agent promises and copies; its supervisor, started anew, counts from the corrected clock.
            Assert.False(alive.Beat("n", 3, now));
        }
        alive.Heard("n", 9000);
        Assert.True(alive.Beat("n", 4, 9000)); // Else it would have no lease for its pods of StatefulSets until the clock has caught up.
        Assert.True(alive.Beat("n", 5, 11_000));
        Assert.False(alive.Beat("n", 5, 12_000));
    }

    [Fact]
    public void A_lease_runs_from_the_asking_and_a_fence_from_the_last_answer_of_whoever_led()
    {
        byte[] key = [1, 2, 3], answer = BeatPacket.WriteAnswer("n", 7, new LogPosition(3, 9), key);
        Assert.True(BeatPacket.TryReadAnswer(answer, key, out string name, out ulong counter, out LogPosition position));
        Assert.Equal(("n", 7UL, new LogPosition(3, 9)), (name, counter, position));
        Assert.False(BeatPacket.TryRead(answer, key, out _, out _));
        var lease = new IdentityLease(16_000);
        Assert.False(lease.Answered(7, position, 900)); // Never asked.
        lease.Asked(7, 1000);
        Assert.True(lease.Answered(7, position, 5000));
        Assert.False(lease.Answered(7, position, 6000)); // The same again.
        Assert.Equal(new LeaseState(17_000, position), lease.State);
        lease.Asked(8, 8000);
        Assert.True(lease.Answered(8, new LogPosition(3, 20), 8100)); // It never ended: what was known at its beginning is enough.
        Assert.Equal(new LeaseState(24_000, position), lease.State);
        lease.Asked(9, 9000);
        Assert.False(lease.Answered(9, position, 25_000)); // Too late to mean anything.
        Assert.False(lease.Holds(24_000));
        lease.Asked(10, 30_000);
        Assert.True(lease.Answered(10, new LogPosition(4, 5), 30_010));
        Assert.False(IdentityLease.MayStart(lease.State, new LogPosition(4, 4), 30_020)); // Its copy is older than the lease.
        Assert.True(IdentityLease.MayStart(lease.State, new LogPosition(4, 5), 30_020));
        Assert.False(IdentityLease.MayStart(lease.State, new LogPosition(4, 5), 46_000));

        var fence = new IdentityFence(16_000);
        fence.Began(100_000);
        Assert.Equal(21_600, fence.RemainingMs("n", 100_000)); // Whoever led before may have answered just now.
        Assert.True(fence.Answer("n", 110_000));
        Assert.Equal(1, fence.RemainingMs("n", 131_599));
        Assert.Equal(0, fence.RemainingMs("n", 131_600));
        fence.Withhold(new HashSet<string> { "n" });
        Assert.False(fence.Answer("n", 131_700)); // What it ran is about to be started elsewhere.
        Assert.True(fence.Answer("m", 131_700));
        fence.Withhold(new HashSet<string>());
        Assert.True(fence.Answer("n", 131_800));
        Assert.Equal(21_600, fence.RemainingMs("n", 131_800));
    }

    [Fact]
    public void A_voter_without_a_copy_refuses_whoever_does_not_know_of_the_newest_fence()
    {
        var witness = new WitnessVoter(new Voter("w", 6000, new VoterRecord(0, null), 0), default);
        Assert.True(witness.Ask(new VoteRequest("a", 1, false, new LogPosition(0, 5), 6000), 0).Granted);
        Assert.Equal(new LogPosition(1, 9), witness.Hear(new LeaderBeat("a", 1, 6000, new LogPosition(1, 9)), 100).Position);
        Assert.Equal(new LogPosition(1, 9), witness.Hear(new LeaderBeat("a", 1, 6000), 200).Position);
        Assert.Equal(new WitnessRecord(new VoterRecord(1, "a"), new LogPosition(1, 9), 6000), witness.Record);
        Assert.False(witness.Ask(new VoteRequest("b", 2, true, new LogPosition(1, 8), 6000), 20_000).Granted);
        Assert.True(witness.Ask(new VoteRequest("b", 2, true, new LogPosition(1, 9), 6000), 20_000).Granted);
    }

    [Fact]
    public void Of_two_nodes_one_has_the_other_switched_off_only_when_it_may_and_goes_on_alone_only_when_that_is_sure()
    {
        var pair = new MemberList([s_a, s_b], Witness: MemberList.Fence);
        bool Dead(string name) => true;
        var first = new PowerFence("a", 4000, 8000);
        Assert.Equal(FenceStep.Stale, first.Tick(pair, false, Dead, 0)); // It may have been switched off itself, and knows nothing of what b did.
        first.IsCurrent();
        Assert.Equal(FenceStep.None, first.Tick(pair, true, Dead, 0)); // Somebody leads.
        Assert.Equal(FenceStep.None, first.Tick(pair, false, _ => false, 0));
        Assert.Equal(FenceStep.Fence, first.Tick(pair, false, Dead, 0));
        Assert.Equal(FenceStep.Waits, first.Tick(pair, false, Dead, 1)); // One attempt at a time.
        Assert.Null(first.Ended(off: false, pair, led: false, 1000));
        Assert.Equal(FenceStep.Waits, first.Tick(pair, false, Dead, 8999));
        Assert.Equal(FenceStep.Fence, first.Tick(pair, false, Dead, 9000));
        MemberList alone = first.Ended(off: true, pair, led: false, 9500)!;
        Assert.Equal([s_a], alone.Nodes);
        Assert.Equal((MemberList.Fence, "b"), (alone.Witness, alone.Fenced));
        Assert.Equal(FenceStep.None, first.Tick(alone, false, Dead, 9600));
        // It is back: in two steps, and both are needed again.
        MemberList taking = Membership.Next("a", alone, _ => true, [s_a, s_b], _ => true, MemberList.Fence)!;
        Assert.Equal([s_a, s_b], taking.Nodes);
        Assert.Equal([s_a], taking.Former);
        Assert.Null(taking.Fenced);
        Assert.Equal("b", first.OtherOf(taking)!.Name);

        // The second waits for its turn; what comes of it late, when somebody leads, counts for nothing.
        var second = new PowerFence("b", 4000, 8000);
        second.IsCurrent();
        Assert.Equal(FenceStep.Waits, second.Tick(pair, false, Dead, 100));
        Assert.Equal(FenceStep.Fence, second.Tick(pair, false, Dead, 4100));
        Assert.Null(second.Ended(off: true, pair, led: true, 5000));
        // Where a third node votes, or somebody from outside, nobody is switched off.
        Assert.All([new MemberList([s_a, s_b]), new MemberList([s_a, s_b, s_c], Witness: MemberList.Fence), pair with { Former = [s_a, s_b, s_c] }, new MemberList([s_a], Witness: MemberList.Fence), new MemberList([s_b, s_c], Witness: MemberList.Fence)],
            list => Assert.Null(first.OtherOf(list)));
        Assert.False(Election.HasMoreVoters(pair.Nodes, pair.Witness));
        Assert.True(Election.HasMoreVoters(pair.Nodes, "w"));

        var fence = new IdentityFence(16_000) { Off = "b" };
        fence.Began(100_000);
        Assert.Equal((0, 21_600), (fence.RemainingMs("b", 100_000), fence.RemainingMs("c", 100_000)));
        Assert.True(fence.Answer("b", 100_500)); // It boots.
        Assert.Equal(21_600, fence.RemainingMs("b", 100_500));
    }

    private static MemberList? Next(MemberList list, Member[] present, string[] held, string? unknown = null) =>
        Membership.Next("a", list, held.Contains, present, name => name != unknown);
}
