using Atoll.Link.Members;

namespace Atoll.Simulation.Members;

/// <summary>Two nodes that may cut each other's power.</summary>
internal sealed partial class IdentityWorld
{
    private void Fence(SimNode node)
    {
        long now = node.Clock(_now);
        if (node.Leads(_now))
            node.Power.IsCurrent();
        if (node.Power.Tick(node.List, IsLed(node), name => node.Alive.IsDead(name, node.Clock(_now)), now) != FenceStep.Fence)
            return;
        SimNode other = _nodes.Find(n => n != node)!;
        Election asking = node.Election!;
        bool reached = Reaches(node.Name, PowerSwitch) && !IsLost(), off = false;
        Note($"{node.Name} has {other.Name} switched off{(reached ? "" : ", in vain")}");
        long done = _now + _random.Next(20, 3000);
        // Once under way it is not undone, not even when the asker goes off as well.
        if (reached)
            At(done, () =>
            {
                off = true;
                if (other.IsUp)
                    Crash(other);
            });
        bool heard = !IsLost();
        At(done + _random.Next(1, 900), () => Arrive(node, to => Alone(to, asking, (off && heard) || Fault == IdentityFault.FenceUnchecked)));
    }

    private void Alone(SimNode node, Election asking, bool off)
    {
        if (node.Election != asking || node.Power.Ended(off, node.List, IsLed(node), node.Clock(_now)) is not { } alone)
            return;
        Note($"{node.Name} goes on alone");
        Fenced++;
        SetList(node, alone);
        node.Fence.Off = alone.Fenced;
    }

    private bool IsLed(SimNode node) => node.Leads(_now) || node.Voter!.IsPromisedAway(node.Name, node.Clock(_now));

    // What the leader does about who votes.
    private void TakeIn(SimNode node, Election election)
    {
        election.Learners = [.. _nodes.Where(n => n != node).Select(n => n.Name)];
        Member[] present = [.. _nodes.Where(n => n == node || (node.Followed.ContainsKey(n.Name) && !node.Alive.IsDead(n.Name, node.Clock(_now)))).Select(n => new Member(n.Name, n.Name))];
        if (Membership.Next(node.Name, node.List, name => name == node.Name || (node.Followed.TryGetValue(name, out LogPosition at) && at.CompareTo(node.ListAt) >= 0), present, _ => true) is not { } next)
            return;
        Note($"{node.Name}: voters {string.Join(",", next.Nodes.Select(n => n.Name))}{(next.Former is null ? "" : ", and before")}");
        node.Held = node.ListAt = node.Held with { Revision = node.Held.Revision + 1 };
        SetList(node, next);
    }

    private static void SetList(SimNode node, MemberList list)
    {
        node.List = list;
        node.Election!.SetMembers(list);
        if (node.Fence.Off != list.Fenced)
            node.Fence.Off = null;
    }
}
