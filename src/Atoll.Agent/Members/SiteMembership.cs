using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Link.Members;

namespace Atoll.Agent.Members;

/// <summary>What the leader does about who belongs to the site: nodes that follow it become voters, nodes that were deleted leave.</summary>
internal sealed class SiteMembership(SiteLead lead, LanServer server, IResources own, TimeProvider time)
{
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(1);

    /// <summary>Runs while this node leads.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        var nodes = new ResourceMirror(own, Kinds.Node, time);
        Task mirror = nodes.RunAsync(cancellation);
        await Task.WhenAny(nodes.Synced, mirror);
        while (!mirror.IsCompleted)
        {
            (MemberList list, long revision) = lead.MembersAndRevision;
            var position = new LogPosition(lead.Term, revision);
            bool IsRegistered(string name) => nodes.Get(name) is not null;
            bool IsHeld(string name) => name == lead.Self.Name || !IsRegistered(name) || lead.Followed(name) is { } at && at.CompareTo(position) >= 0;
            IReadOnlyList<Member> present = server.Present;
            lead.Learners = present;
            // Neither list of a change must lack a majority of promises: one voter is exchanged for another only while all nodes have promised.
            string? witness = list.Nodes.All(m => m.Name == lead.Self.Name || lead.Followed(m.Name) is not null) ? server.Witness : null;
            // A node that has not promised anything yet would take the lead's majority away by becoming a voter.
            if (Membership.Next(lead.Self.Name, list, IsHeld, [.. present.Where(m => m.Name == lead.Self.Name || lead.Followed(m.Name) is not null)], IsRegistered, witness) is { } next)
                await lead.SetMembersAsync(next, cancellation);
            else
                await Task.WhenAny(Task.Delay(s_period, time, cancellation), mirror);
        }
        await mirror;
    }
}
