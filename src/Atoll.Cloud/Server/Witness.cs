using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Atoll.Api.Objects;
using Atoll.Cloud.Hub;
using Atoll.Link.Members;
using Microsoft.AspNetCore.Http;

namespace Atoll.Cloud.Server;

/// <summary>
/// <c>POST /witness/v1/vote</c> and <c>/beat</c>: the centre's vote about who leads a site with an even number of nodes. It votes for
/// nodes that it knows, and promises one at a time; its promises are in memory, so after a start it first waits until every
/// promise that it may have given before has ended, and every lease of a node for what it may have been told went to another.
/// </summary>
internal sealed class Witness(Enrolment enrolment, LinkHub hub, TimeProvider time)
{
    public const string VotePath = "/witness/v1/vote", BeatPath = "/witness/v1/beat";

    private const int MaxBodyBytes = 4096;

    /// <summary>The longest lease that an agent can be set to, ms.</summary>
    private const long LongestLeaseMs = 45_000;

    /// <summary>How long after its start it accepts no beat, ms: longer than a beat's answer counts (<see cref="ElectionOptions.AnswerMs"/>).</summary>
    private const long DeafMs = 2000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, WitnessVoter> _voters = new(StringComparer.Ordinal);
    private readonly long _start = time.GetTimestamp();

    /// <summary>Answers one question.</summary>
    public async Task ServeAsync(HttpContext context)
    {
        (KubeObject? site, string? refusal) = await enrolment.FindSiteAsync(await context.Connection.GetClientCertificateAsync(context.RequestAborted), allowExpired: true, context.RequestAborted);
        if (site is null)
        {
            await Enrolment.WriteAsync(context, ApiStatus.Forbidden(null, "", refusal!));
            return;
        }
        if (context.Request.Path == VotePath ? await AnswerAsync(context, site, MemberJson.Default.VoteRequest, v => v.From, (voter, v, now) => now < WaitMs(v) ? new VoteReply(Election.Parent, 0, false) : voter.Ask(v, now), MemberJson.Default.VoteReply)
            : await AnswerAsync(context, site, MemberJson.Default.LeaderBeat, b => b.From, (voter, b, now) => now < DeafMs ? new BeatReply(Election.Parent, 0, false, default) : voter.Hear(b, now), MemberJson.Default.BeatReply))
            return;
        await Enrolment.WriteAsync(context, ApiStatus.BadRequest("the body must be a vote or a beat of a node that is registered for this site"));
    }

    // Whoever was promised before this start is not known any more, nor is what may have been told of identities.
    private static long WaitMs(VoteRequest vote) => vote.FenceMs == 0 ? LongestLeaseMs : Math.Max(vote.FenceMs, vote.LeaseMs);

    private async Task<bool> AnswerAsync<TAsk, TAnswer>(HttpContext context, KubeObject site, JsonTypeInfo<TAsk> askType, Func<TAsk, string> from, Func<WitnessVoter, TAsk, long, TAnswer> answer, JsonTypeInfo<TAnswer> answerType) where TAsk : class
    {
        if (!HttpMethods.IsPost(context.Request.Method) || context.Request.ContentLength is not (> 0 and <= MaxBodyBytes))
            return false;
        await hub.ReadyAsync().WaitAsync(context.RequestAborted);
        TAsk? ask;
        try
        {
            ask = await JsonSerializer.DeserializeAsync(context.Request.Body, askType, context.RequestAborted);
        }
        catch (JsonException)
        {
            return false;
        }
        if (ask is null || hub.SiteOfNode(from(ask)) != site.Name)
            return false;
        long now = (long)time.GetElapsedTime(_start).TotalMilliseconds;
        TAnswer said;
        lock (_lock)
        {
            if (!_voters.TryGetValue(site.Uid, out WitnessVoter? voter))
                _voters[site.Uid] = voter = new WitnessVoter(new Voter(Election.Parent, 0, new VoterRecord(0, null), 0), default);
            said = answer(voter, ask, now);
        }
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(said, answerType), context.RequestAborted);
        return true;
    }
}
