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
/// promise that it may have given before has ended.
/// </summary>
internal sealed class Witness(Enrolment enrolment, LinkHub hub, TimeProvider time)
{
    public const string VotePath = "/witness/v1/vote", BeatPath = "/witness/v1/beat";

    private const int MaxBodyBytes = 4096;

    /// <summary>The longest lease that an agent can be set to, ms.</summary>
    private const long LongestLeaseMs = 45_000;

    private readonly Lock _lock = new();
    private readonly Dictionary<string, Voter> _voters = new(StringComparer.Ordinal);
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
        if (context.Request.Path == VotePath ? await AnswerAsync(context, site, MemberJson.Default.VoteRequest, v => v.From, (voter, v, now) => voter.Ask(v, default, now), MemberJson.Default.VoteReply)
            : await AnswerAsync(context, site, MemberJson.Default.LeaderBeat, b => b.From, (voter, b, now) => voter.Hear(b, default, now), MemberJson.Default.BeatReply))
            return;
        await Enrolment.WriteAsync(context, ApiStatus.BadRequest("the body must be a vote or a beat of a node that is registered for this site"));
    }

    private async Task<bool> AnswerAsync<TAsk, TAnswer>(HttpContext context, KubeObject site, JsonTypeInfo<TAsk> askType, Func<TAsk, string> from, Func<Voter, TAsk, long, TAnswer> answer, JsonTypeInfo<TAnswer> answerType) where TAsk : class
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
            // Nobody's name: whoever was promised before this start is not known any more.
            if (!_voters.TryGetValue(site.Uid, out Voter? voter))
                _voters[site.Uid] = voter = new Voter(Election.Parent, LongestLeaseMs, new VoterRecord(0, now < LongestLeaseMs ? "@before" : null), 0);
            said = answer(voter, ask, now);
        }
        context.Response.ContentType = "application/json";
        await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(said, answerType), context.RequestAborted);
        return true;
    }
}
