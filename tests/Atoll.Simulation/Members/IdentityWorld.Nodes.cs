using Atoll.Link.Members;

namespace Atoll.Simulation.Members;

/// <summary>What supervisors and agents do.</summary>
internal sealed partial class IdentityWorld
{
    private void SupervisorTick(SimNode node)
    {
        At(_now + 250, () => SupervisorTick(node));
        if (!node.IsUp)
            return;
        long now = node.Clock(_now);
        if (!node.Lease.Holds(now) && Fault != IdentityFault.NoStop && node.Running.Count > 0)
        {
            Note($"{node.Name}: its lease has ended, {node.Running.Count} are stopped");
            node.Running.Clear();
        }
        if (now - node.LastBeat < DeadAfter / 4)
            return;
        node.LastBeat = now;
        ulong counter = ++node.Counter;
        node.Lease.Asked(counter, now);
        int life = node.Life;
        foreach (SimNode peer in _nodes)
            Send(node, peer, leader => Beaten(node, life, counter, leader));
    }

    private void Beaten(SimNode node, int life, ulong counter, SimNode leader)
    {
        leader.Alive.Beat(node.Name, counter, leader.Clock(_now));
        if (!leader.WasLeading || !leader.Leads(_now) || !leader.Fence.Answer(node.Name, leader.Clock(_now)))
            return;
        LogPosition position = leader.Held;
        if (IsLost())
            return;
        // The supervisor never stands still while its containers run.
        At(_now + Delay(leader == node), () =>
        {
            if (Reaches(leader.Name, node.Name) && node.IsUp && node.Life == life)
                node.Lease.Answered(counter, position, node.Clock(_now));
        });
    }

    private void AgentTick(SimNode node)
    {
        At(_now + 200, () => AgentTick(node));
        if (node.Election is not { } election || _now < node.StandsUntil)
            return;
        var send = new List<ElectionSend>();
        election.Tick(node.Clock(_now), send);
        Tell(node, send);
        if (node.Leads(_now))
            Lead(node);
        else if (node.WasLeading)
            (node.WasLeading, election.Position) = (false, node.Held);
        if (_fences)
            Fence(node);
        Reconcile(node);
    }

    private void Reconcile(SimNode node)
    {
        foreach ((int id, int uid) in node.Running.ToArray())
            if (node.State[id].Uid != uid || node.State[id].Node != node.Name)
                node.Running.Remove(id);
        LeaseState lease = Fault == IdentityFault.StaleStart ? node.Lease.State with { Since = default } : node.Lease.State;
        if (!IdentityLease.MayStart(lease, node.Held, node.Clock(_now)))
            return;
        foreach ((int id, Holder holder) in node.State)
        {
            if (holder.Node != node.Name || holder.Waits || node.Running.ContainsKey(id))
                continue;
            int life = node.Life;
            At(_now + _random.Next(1, 1000), () =>
            {
                if (node.Life == life && node.State[id] == holder)
                {
                    Note($"{node.Name} starts {id} (pod {holder.Uid})");
                    node.Running[id] = holder.Uid;
                }
            });
        }
    }

    private void Lead(SimNode node)
    {
        Election election = node.Election!;
        if (!node.WasLeading)
        {
            node.WasLeading = true;
            node.Followed.Clear();
            node.Held = new LogPosition(election.Term, node.Held.Revision + 1);
            node.Fence.Began(node.Clock(_now));
            Note($"{node.Name} leads in term {election.Term} at {node.Held.Revision}");
            election.Position = node.Held;
            election.Fence = node.State.Values.Any(h => h.Uid > _nodes.Count) ? node.Held : default;
            node.ListAt = node.Held;
        }
        if (_fences)
            TakeIn(node, election);
        foreach (SimNode other in _nodes)
        {
            if (other == node)
                continue;
            (LogPosition at, Dictionary<int, Holder> copy) = (node.Held, new(node.State));
            MemberList list = node.List;
            Send(node, other, follower => Copied(follower, at, copy, list));
            if (node.Alive.IsDead(other.Name, node.Clock(_now)) && node.State.Values.Any(h => h.Node == other.Name))
                Replace(node, other.Name);
        }
        Release(node, election);
    }

    private void Release(SimNode node, Election election)
    {
        HashSet<string> from = [.. node.State.Values.SelectMany(h => h.From.Split(',', StringSplitOptions.RemoveEmptyEntries))];
        node.Fence.Withhold(from);
        if (from.Count == 0)
            return;
        bool held = election.IsHeld(name => name == node.Name || node.Followed.GetValueOrDefault(name).CompareTo(election.Fence) >= 0);
        if (!held && Fault != IdentityFault.NoMajority)
            return;
        bool changes = false;
        Dictionary<int, Holder> next = node.State.ToDictionary(s => s.Key, s =>
        {
            bool free = s.Value.Waits && (Fault == IdentityFault.NoWait || s.Value.From.Split(',').All(n => node.Fence.RemainingMs(n, node.Clock(_now)) == 0));
            changes |= free;
            return free ? s.Value with { From = "" } : s.Value;
        });
        if (!changes)
            return;
        Note($"{node.Name}: a majority has {election.Fence}");
        node.State = next;
        node.Held = node.Held with { Revision = node.Held.Revision + 1 };
    }

    private void Replace(SimNode leader, string dead)
    {
        if (leader.Fence.RemainingMs(dead, leader.Clock(_now)) > 0 && Fault != IdentityFault.NoWait)
            return;
        Election asking = leader.Election!;
        // Writing takes a while, and is not undone when the lead is lost meanwhile.
        At(_now + _random.Next(1, 300), () =>
        {
            if (leader.Election != asking)
                return;
            string[] others = [.. _nodes.Where(n => n.Name != dead).Select(n => n.Name)];
            Change(leader, h => h.Node == dead ? new Holder(++_uids, others[_random.Next(others.Length)], h.Waits ? $"{h.From},{dead}" : dead) : h);
            // Also what a leader before this one gave away counts as told only now.
            if (leader.WasLeading)
                asking.Fence = leader.Held;
            Note($"{leader.Name} gives away what {dead} ran, at {leader.Held}");
        });
    }

    private void Change(SimNode node, Func<Holder, Holder> change)
    {
        foreach ((int id, Holder holder) in node.State.ToArray())
        {
            node.State[id] = change(holder);
            Moved += node.State[id].Uid != holder.Uid ? 1 : 0;
        }
        node.Held = node.Held with { Revision = node.Held.Revision + 1 };
    }

    private void Copied(SimNode node, LogPosition at, Dictionary<int, Holder> state, MemberList list)
    {
        if (at.Term < node.Voter!.Record.Term || at.CompareTo(node.Held) <= 0 || node.WasLeading)
            return;
        if (node.Held.Term != at.Term)
            Note($"{node.Name} follows term {at.Term}");
        (node.State, node.Held) = (new(state), at);
        node.Election!.Position = at;
        if (!_fences)
            return;
        SetList(node, list);
        node.Power.IsCurrent();
    }

    private void Tell(SimNode node, List<ElectionSend> send)
    {
        foreach (ElectionSend message in send)
            if (message.To == Election.Parent)
                AskWitness(node, message);
            else
                Send(node, _nodes.Find(n => n.Name == message.To)!, to =>
                {
                    VoteReply? voted = message.Vote is { } vote ? to.Voter!.Ask(vote, to.Held, to.Clock(_now)) : null;
                    BeatReply? heard = message.Beat is { } beat ? to.Voter!.Hear(beat, to.Held, to.Clock(_now)) : null;
                    if (heard is not null)
                        to.Alive.Heard(node.Name, to.Clock(_now));
                    Answer(to, node, message, voted, heard);
                });
    }

    private void AskWitness(SimNode node, ElectionSend message)
    {
        if (IsLost())
            return;
        Election? asking = node.Election;
        At(_now + Delay(false), () =>
        {
            if (!Reaches(node.Name, Election.Parent))
                return;
            VoteReply? voted = message.Vote is { } vote ? _witness.Ask(vote, _now) : null;
            BeatReply? heard = message.Beat is { } beat ? _witness.Hear(beat, _now) : null;
            if (!IsLost())
                At(_now + Delay(false), () =>
                {
                    if (Reaches(node.Name, Election.Parent) && node.Election is not null && node.Election == asking)
                        Arrive(node, to => Take(to, asking, message, voted, heard));
                });
        });
    }

    private void Answer(SimNode from, SimNode to, ElectionSend message, VoteReply? voted, BeatReply? heard)
    {
        Election? asking = to.Election;
        Send(from, to, node => Take(node, asking, message, voted, heard));
    }

    private void Take(SimNode node, Election? asking, ElectionSend message, VoteReply? voted, BeatReply? heard)
    {
        if (node.Election is not { } election || election != asking)
            return;
        var send = new List<ElectionSend>();
        if (voted is not null)
            election.On(voted, message.Vote!, message.SentAtMs, node.Clock(_now), send);
        if (heard is not null)
        {
            if (heard.Accepted)
                node.Followed[heard.From] = heard.Position;
            election.On(heard, message.Beat!, message.SentAtMs, node.Clock(_now));
        }
        Tell(node, send);
    }
}
