using System.Net;
using System.Text.Json;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Api.Resources;
using Atoll.Link;
using Atoll.Link.Members;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Atoll.Agent.Host;

/// <summary>
/// <c>atoll-agent witness</c>: one vote for a site of an even number of nodes, on a machine that has joined the site and runs nothing of
/// it. It answers the site's nodes, by their certificates, and nobody else; what it promised is on disk before an answer leaves.
/// </summary>
internal sealed class WitnessHost(WitnessVoter voter, string file, TimeProvider time)
{
    private static readonly TimeSpan s_look = TimeSpan.FromMinutes(5);

    private readonly SemaphoreSlim _one = new(1, 1);
    private readonly long _start = time.GetTimestamp();
    private WitnessRecord _saved = voter.Record;

    /// <summary>Runs until cancelled.</summary>
    public static async Task RunAsync(string state, IPEndPoint listen, CancellationToken cancellation)
    {
        if (!SiteIdentity.Exists(state))
            throw new InvalidOperationException($"{state} has no identity. Join first, with the command that 'atoll site token NAME' prints and --state {state}.");
        TimeProvider time = TimeProvider.System;
        SiteIdentity identity = SiteIdentity.Load(state);
        using var loggers = new LineLoggerFactory(time);
        var certificate = new SiteCertificate(identity, time, Random.Shared, loggers.CreateLogger("Atoll.Identity"));
        var tls = new LanTls(() => certificate.Link(CertificateDates.Ignore), certificate.Doubt);
        var witness = new WitnessHost(WitnessVoter.Of(Election.Witness, Read(FileOf(state)), 0), FileOf(state), time);
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddSingleton<ILoggerFactory>(loggers);
        builder.WebHost.UseKestrelCore().UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = 4096;
            kestrel.Listen(listen, door =>
            {
                door.Protocols = HttpProtocols.Http1;
                door.UseHttps(new TlsHandshakeCallbackOptions { OnConnection = _ => ValueTask.FromResult(tls.Server()) });
            });
        });
        await using WebApplication app = builder.Build();
        app.Run(witness.ServeAsync);
        await app.StartAsync(cancellation);
        ILogger log = loggers.CreateLogger("Atoll.Witness");
        log.LogInformation("Witness of site {Site}: listening at {Address}", identity.Enrolment.Site, listen);
        try
        {
            await Parts.RunAsync([certificate.RunAsync(cancellation), FollowTrustAsync(certificate, time, log, cancellation)]);
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to stop.
        }
        finally
        {
            await app.StopAsync(CancellationToken.None);
        }
    }

    // It sees none of the site's objects, and no node while all is well: a rotated CA is asked for.
    private static async Task FollowTrustAsync(SiteCertificate certificate, TimeProvider time, ILogger log, CancellationToken cancellation)
    {
        while (true)
        {
            foreach (string server in certificate.Identity.Enrolment.Parents())
                if (await EnrolmentClient.TrustAsync(certificate.Identity, server, why => log.LogError("{Server} is refused: {Reason}. If the centre's CA was rotated and the one before retired meanwhile, the site's nodes refuse this witness: join it anew, with 'atoll site token' and the same --state", server, why), cancellation) is { } trust)
                {
                    certificate.Announce(trust);
                    break;
                }
            await Task.Delay(s_look, time, cancellation);
        }
    }

    private async Task ServeAsync(HttpContext context)
    {
        switch (context.Request.Path.Value)
        {
            case LanClient.VotePath when await LanServer.ReadAsync(context, MemberJson.Default.VoteRequest) is { } vote:
                await LanServer.WriteAsync(context, await AnswerAsync(now => voter.Ask(vote, now), context.RequestAborted), MemberJson.Default.VoteReply);
                break;
            case LanClient.BeatPath when await LanServer.ReadAsync(context, MemberJson.Default.LeaderBeat) is { } beat:
                await LanServer.WriteAsync(context, await AnswerAsync(now => voter.Hear(beat, now), context.RequestAborted), MemberJson.Default.BeatReply);
                break;
            default:
                context.Response.StatusCode = StatusCodes.Status400BadRequest;
                break;
        }
    }

    private async Task<T> AnswerAsync<T>(Func<long, T> ask, CancellationToken cancellation)
    {
        await _one.WaitAsync(cancellation);
        try
        {
            T answer = ask((long)time.GetElapsedTime(_start).TotalMilliseconds);
            if (voter.Record != _saved)
            {
                SiteIdentity.Write(file, JsonSerializer.Serialize(voter.Record, MemberJson.Default.WitnessRecord));
                _saved = voter.Record;
            }
            return answer;
        }
        finally
        {
            _one.Release();
        }
    }

    private static string FileOf(string state) => Path.Combine(state, "witness.json");

    // A file that is there and cannot be read must not pass for one that was never written: promises would be forgotten.
    private static WitnessRecord Read(string file)
    {
        if (!File.Exists(file))
            return new WitnessRecord(new VoterRecord(0, null), default, 0);
        try
        {
            return JsonSerializer.Deserialize(File.ReadAllBytes(file), MemberJson.Default.WitnessRecord) ?? throw new JsonException("it is empty");
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{file} cannot be read, and what the witness promised is lost: {e.Message}. Remove it when all nodes of the site have been in reach of each other for three minutes.", e);
        }
    }
}
