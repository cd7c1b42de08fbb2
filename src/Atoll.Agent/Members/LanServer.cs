using System.Collections.Concurrent;
using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;
using Atoll.Agent.Uplink;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Link;
using Atoll.Link.Members;
using Atoll.Store;
using Microsoft.AspNetCore.Http;

namespace Atoll.Agent.Members;

/// <summary>
/// Every request to this node, from whichever door. What peers ask of each other (votes, beats, copies) is answered here; the
/// API is served by the leading node, to which the others hand it on, and a pod's streams by the node that runs it.
/// </summary>
internal sealed class LanServer(SiteLead lead, SiteCopy copy, IStore store, ApiServer api, LanForwarder forwarder, IAuthenticator access, TimeProvider time)
{
    private const int MaxBodyBytes = 4096;

    private readonly ConcurrentDictionary<string, StrongBox<(Member Member, string? Witness)>> _present = new(StringComparer.Ordinal);
    // Each machine has a key of its own, and an address: at that, it may have joined again. One that lives under the name of another would run that one's
    // pods a second time.
    private readonly ConcurrentDictionary<string, (string Key, string Address)> _machines = new(StringComparer.Ordinal);
    private CancellationToken _leading = new(canceled: true);

    /// <summary>Port of the door for peers; 0 when there is none.</summary>
    public int LanPort { get; init; }

    /// <summary>Takes in what a node has of the parent and this leader never heard of: which identities, or null at a node that does not lead.</summary>
    public Func<LinkSequence, List<(HeldItem, JsonObject)>, CancellationToken, Task<List<string>?>> TakeIn { get; init; } = static (_, _, _) => Task.FromResult<List<string>?>(null);

    /// <summary>Nodes that follow this leader now, itself counted.</summary>
    public IReadOnlyList<Member> Present => [lead.Self, .. _present.Values.Select(p => p.Value.Member).OrderBy(m => m.Name, StringComparer.Ordinal)];

    /// <summary>
    /// The site's witness as its nodes are configured, this one before the others: an address, empty for none, or null when none of them says. A
    /// power fence it is only while each of them has one: one without would be lost when the other is.
    /// </summary>
    public string? Witness
    {
        get
        {
            string?[] said = [lead.Witness, .. _present.Values.Select(p => p.Value.Witness)];
            return Array.TrueForAll(said, s => s == MemberList.Fence) ? MemberList.Fence : Array.Find(said, s => s is not (null or MemberList.Fence)) ?? (lead.Members.Witness == MemberList.Fence ? "" : null);
        }
    }

    /// <summary>Copies are given from now on until cancelled.</summary>
    public void Lead(CancellationToken cancellation)
    {
        _present.Clear();
        _machines.Clear();
        _leading = cancellation;
    }

    /// <summary>Serves one request.</summary>
    public async Task HandleAsync(HttpContext context)
    {
        bool fromPeer = IsPeer(context, LanPort);
        string path = context.Request.Path.Value ?? "/";
        if (fromPeer && path.StartsWith("/site/v1/", StringComparison.Ordinal))
        {
            await AnswerPeerAsync(context, path);
            return;
        }
        if (!lead.IsAlone && await MisplacedAsync(context, fromPeer) is { } misplaced)
        {
            context.Response.StatusCode = misplaced.Code;
            context.Response.ContentType = "application/json";
            await context.Response.Body.WriteAsync(JsonSerializer.SerializeToUtf8Bytes(misplaced, Api.ApiJson.Default.ApiStatus), context.RequestAborted);
            return;
        }
        if (!context.Response.HasStarted && !context.Items.ContainsKey(nameof(LanForwarder)))
            await api.HandleAsync(context);
    }

    /// <summary>Serves a pod's log, exec, attach or port-forward at the node that runs it.</summary>
    public Task<ApiStatus?> ForwardPodAsync(HttpContext context, string node)
    {
        Member? at = copy.Followed?.Name == node ? copy.Followed : _present.GetValueOrDefault(node)?.Value.Member ?? lead.Members.Find(node);
        return at is null || lead.IsDead(node)
            ? Task.FromResult<ApiStatus?>(ApiStatus.ServiceUnavailable($"node {node}, which runs the pod, cannot be reached from node {lead.Self.Name}"))
            : forwarder.ServeAsync(context, at.Address, here: true);
    }

    /// <summary>True for a request that came in through the door for peers: the handshake has proved who it is.</summary>
    public static bool IsPeer(HttpContext context, int lanPort) => lanPort != 0 && context.Connection.RemoteIpAddress is not null && context.Connection.LocalPort == lanPort;

    // Reads are served from this node's copy when the leader cannot be asked; writes are not, for they would be lost.
    private async Task<ApiStatus?> MisplacedAsync(HttpContext context, bool fromPeer)
    {
        if (lead.IsLeading || context.Request.Headers.ContainsKey(LanClient.HereHeader))
            return null;
        // Who is not admitted here is not handed on in this node's name.
        if (!fromPeer && await access.AuthenticateAsync(context) is null)
            return null;
        bool reads = HttpMethods.IsGet(context.Request.Method);
        if (!fromPeer && copy.Followed is { } leader)
        {
            if (await forwarder.ServeAsync(context, leader.Address, here: false) is not { } failure)
            {
                context.Items[nameof(LanForwarder)] = true;
                return null;
            }
            return reads ? null : failure;
        }
        return reads ? null : ApiStatus.ServiceUnavailable(fromPeer
            ? $"node {lead.Self.Name} does not lead the site"
            : "no node of the site leads it now: fewer than a majority of its nodes are in reach. What runs goes on running");
    }

    private async Task AnswerPeerAsync(HttpContext context, string path)
    {
        switch (path)
        {
            case LanClient.VotePath when await ReadAsync(context, MemberJson.Default.VoteRequest) is { } vote:
                await WriteAsync(context, await lead.AnswerAsync(vote, context.RequestAborted), MemberJson.Default.VoteReply);
                break;
            case LanClient.BeatPath when await ReadAsync(context, MemberJson.Default.LeaderBeat) is { } beat:
                await WriteAsync(context, await lead.AnswerAsync(beat, context.RequestAborted), MemberJson.Default.BeatReply);
                break;
            case LanClient.CopyPath:
                await CopyAsync(context);
                break;
            case LanClient.UnheardPath when HttpMethods.IsPost(context.Request.Method):
                await UnheardAsync(context);
                break;
            default:
                context.Response.StatusCode = StatusCodes.Status400BadRequest;
                break;
        }
    }

    private async Task CopyAsync(HttpContext context)
    {
        IQueryCollection query = context.Request.Query;
        string node = query["node"].ToString(), address = query["address"].ToString();
        CancellationToken leading = _leading;
        if (!lead.IsLeading || leading.IsCancellationRequested)
        {
            context.Response.StatusCode = StatusCodes.Status421MisdirectedRequest;
            await context.Response.WriteAsync((copy.Followed ?? lead.Leader)?.Address ?? "", context.RequestAborted);
            return;
        }
        if (node.Length is 0 or > 253 || address.Length is 0 or > 300 || !long.TryParse(query["after"], NumberStyles.None, CultureInfo.InvariantCulture, out long after))
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }
        string key = context.Connection.ClientCertificate?.GetPublicKeyString() ?? "";
        (string? known, string? at) = node == lead.Self.Name ? (null, lead.Self.Address) : !lead.IsDead(node) && _machines.TryGetValue(node, out (string Key, string Address) other) && other.Address != address ? other : (key, address);
        if (known != key)
        {
            context.Response.StatusCode = StatusCodes.Status409Conflict;
            await context.Response.WriteAsync($"the site's node {node} is another machine, at {at}; start this one with another --node-name", context.RequestAborted);
            return;
        }
        _machines[node] = (key, address);
        // The next beat of its supervisor may be seconds away: what it runs is not replaced meanwhile.
        lead.Heard(node);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, leading);
        // Of this connection alone: an older one that ends late does not take it away.
        var member = new StrongBox<(Member, string?)>((new Member(node, address), query["witness"] is [{ Length: < 300 } witness] ? witness : null));
        try
        {
            context.Response.Headers[SiteCopy.NodeHeader] = lead.Self.Name;
            context.Response.Headers[SiteCopy.TermHeader] = lead.Term.ToString(CultureInfo.InvariantCulture);
            context.Response.Headers[SiteCopy.IncarnationHeader] = store.Incarnation;
            _present[node] = member;
            await CopySender.SendAsync(store, query["incarnation"] == store.Incarnation, after, context.Response.Body, TimeSpan.FromSeconds(2), time, stop.Token);
        }
        catch (Exception e) when (e is IOException || (e is OperationCanceledException && stop.IsCancellationRequested))
        {
            // The follower has gone, or this node no longer leads: it connects again, to whoever does.
        }
        finally
        {
            _present.TryRemove(KeyValuePair.Create(node, member));
        }
        context.Abort();
    }

    private async Task UnheardAsync(HttpContext context)
    {
        List<string>? taken;
        try
        {
            if (await CopyFrames.ReadAsync(context.Request.Body, context.RequestAborted) is not { Entries: [{ Value: { } sequence }, ..] entries })
                throw new InvalidDataException();
            taken = await TakeIn(LinkRecords.ReadSequence(sequence.Span), UnheardItems.Read(entries[1..]), context.RequestAborted);
        }
        catch (InvalidDataException)
        {
            context.Response.StatusCode = StatusCodes.Status400BadRequest;
            return;
        }
        if (taken is null)
            context.Response.StatusCode = StatusCodes.Status421MisdirectedRequest;
        else
            await context.Response.Body.WriteAsync(CopyFrames.Write(CopyFrame.Entries, 0, taken.ConvertAll(static uid => new StoreWrite(LinkRecords.Key(LinkRecords.HeldPrefix, uid), null))), context.RequestAborted);
    }

    /// <summary>The body of a question of a peer, or null when it is none.</summary>
    internal static async Task<T?> ReadAsync<T>(HttpContext context, JsonTypeInfo<T> type) where T : class
    {
        if (!HttpMethods.IsPost(context.Request.Method) || context.Request.ContentLength is not (> 0 and <= MaxBodyBytes))
            return null;
        try
        {
            return await JsonSerializer.DeserializeAsync(context.Request.Body, type, context.RequestAborted);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    /// <summary>Answers it.</summary>
    internal static async Task WriteAsync<T>(HttpContext context, T answer, JsonTypeInfo<T> type)
    {
        byte[] body = JsonSerializer.SerializeToUtf8Bytes(answer, type);
        context.Response.ContentType = "application/json";
        context.Response.ContentLength = body.Length;
        await context.Response.Body.WriteAsync(body, context.RequestAborted);
    }
}
