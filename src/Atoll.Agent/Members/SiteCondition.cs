using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Link.Members;

namespace Atoll.Agent.Members;

/// <summary>
/// Says on the Site object who leads, and, on a node that sees nobody who does, why nobody can: there, pods of dead nodes are not
/// replaced and nothing is written, and somebody has to be able to read the reason.
/// </summary>
internal sealed class SiteCondition(SiteLead lead, SiteCopy copy, SiteFence fence, IResources own, string site, TimeProvider time)
{
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(1);

    /// <summary>Runs until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        long since = time.GetTimestamp();
        while (true)
        {
            await Task.Delay(s_period, time, cancellation);
            bool leads = lead.IsLeading;
            if (leads || copy.Followed is not null)
                since = time.GetTimestamp();
            // A change of leaders takes a moment in which there is none.
            if (leads || time.GetElapsedTime(since) > lead.DeadAfter * 1.5)
                await WriteAsync(leads, cancellation);
        }
    }

    private string Identities => lead.IdentityLease > TimeSpan.Zero ? $", but for pods of StatefulSets, which this node stopped {lead.IdentityLease.TotalSeconds:0} s after it last heard from a leader: they may run elsewhere" : "";

    private static string? More(MemberList members) =>
        !Election.HasMoreVoters(members.Nodes, members.Witness) ? null : members.Witness is { } at and not MemberList.Fence ? $"the witness at {at}" : "the parent";

    private string Leads(MemberList members)
    {
        string more = members.Fenced is { } off ? $", for it had node {off} switched off" : fence.Other is not null ? ", of which one goes on alone when it has had the other switched off" : More(members) is { } voter ? $" and {voter}" : "";
        return $"Node {lead.Self.Name} leads the site; its voters are {string.Join(", ", members.Nodes.Select(m => m.Name))}{more}{(members.Former is null ? "" : " (a change of them is under way)")}.";
    }

    private string LeadsNobody(MemberList members)
    {
        string more = fence.Other is { } other ? $" and has not had node {other} switched off ({fence.Reason})" : More(members) is { } voter ? $" and has no vote of {voter}" : "";
        // They live, and yet none that leads answers: refused certificates are told in the log.
        string why = lead.VotersInReach == members.Nodes.Count ? ", but none that leads answers it (its log says more)" : "";
        return $"Node {lead.Self.Name} sees {lead.VotersInReach} of the site's {members.Nodes.Count} nodes{why}{more}: without a majority no node leads, and pods of silent nodes are not replaced. What runs goes on{Identities}.";
    }

    private async Task WriteAsync(bool leads, CancellationToken cancellation)
    {
        if ((await own.GetAsync(Kinds.Site, null, site, cancellation)).Object is not { } value)
            return;
        MemberList members = lead.Members;
        string status = leads ? "True" : "False", reason = leads ? "Elected" : "NoMajority", message = leads ? Leads(members) : LeadsNobody(members);
        Condition? before = value.View(ApiJson.Default.Site).Status?.Conditions?.Find(c => c.Type == WellKnown.LedCondition);
        if (before?.Status == status && before.Message == message)
            return;
        var led = new JsonObject
        {
            ["type"] = WellKnown.LedCondition,
            ["status"] = status,
            ["reason"] = reason,
            ["message"] = message,
            ["lastTransitionTime"] = KubeTime.Format(before?.Status == status && before.LastTransitionTime is { } at ? at : time.GetUtcNow()),
        };
        await own.PatchAsync(Kinds.Site, null, site, PatchType.Merge, new JsonObject { ["status"] = new JsonObject { ["conditions"] = new JsonArray(led) } }, cancellation, "status");
    }
}
