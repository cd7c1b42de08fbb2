using System.Net;
using System.Net.Http.Headers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using Atoll.Agent.Identity;
using Atoll.Agent.Uplink;
using Atoll.Kube.Client;
using Atoll.Link;
using Atoll.Link.Members;
using Atoll.Store;

namespace Atoll.Agent.Members;

/// <summary>Calls to the other nodes of the site, and (for votes) to the parent.</summary>
internal sealed class LanClient : IDisposable
{
    /// <summary>Path of votes, beats, copies, and of what a leader has not heard of, on a node.</summary>
    public const string VotePath = "/site/v1/vote", BeatPath = "/site/v1/beat", CopyPath = "/site/v1/copy", UnheardPath = "/site/v1/unheard";

    /// <summary>Header that says for whom a node asks: <c>node</c> (its node control) or <c>admin</c> (a person at that node); with <c>here</c> in <see cref="HereHeader"/> it is answered by the node asked.</summary>
    public const string AsHeader = "Atoll-As", HereHeader = "Atoll-Here";

    private const int MaxAnswerBytes = 64 << 10;

    private readonly HttpClient _lan, _parent;
    private readonly IReadOnlyList<string> _servers;

    public LanClient(LanTls tls, Func<SiteIdentity> identity, IReadOnlyList<string> servers)
    {
        _servers = servers;
        Handler = new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            UseCookies = false,
            AutomaticDecompression = DecompressionMethods.None,
            ConnectTimeout = TimeSpan.FromSeconds(2),
            PooledConnectionIdleTimeout = TimeSpan.FromSeconds(30),
            // A renewed certificate is soon seen by peers; below, by the parent.
            PooledConnectionLifetime = TimeSpan.FromMinutes(1),
            ConnectCallback = (connection, cancellation) => tls.ConnectAsync(connection.DnsEndPoint, cancellation),
        };
        _lan = new HttpClient(Handler, disposeHandler: false) { Timeout = Timeout.InfiniteTimeSpan };
        _parent = new HttpClient(new SocketsHttpHandler
        {
            UseProxy = false,
            AllowAutoRedirect = false,
            PooledConnectionLifetime = TimeSpan.FromMinutes(1),
            ConnectTimeout = TimeSpan.FromSeconds(2),
            SslOptions = ParentTrust.Known(identity, static _ => { }),
        }) { Timeout = Timeout.InfiniteTimeSpan };
    }

    /// <summary>Connections to peers, for whoever forwards requests.</summary>
    public SocketsHttpHandler Handler { get; }

    /// <summary>The API of a node, as this node's own control.</summary>
    public HttpResources ResourcesOf(string address)
    {
        var client = new HttpClient(Handler, disposeHandler: false) { BaseAddress = new Uri($"http://{address}"), Timeout = TimeSpan.FromSeconds(10) };
        client.DefaultRequestHeaders.Add(AsHeader, "node");
        return new HttpResources(client);
    }

    /// <summary>Asks a node; null when it does not answer in time or does not understand.</summary>
    public Task<TAnswer?> AskAsync<TAsk, TAnswer>(string address, string path, TAsk ask, JsonTypeInfo<TAsk> askType, JsonTypeInfo<TAnswer> answerType, CancellationToken cancellation) where TAnswer : class =>
        PostAsync(_lan, new Uri($"http://{address}{path}"), ask, askType, answerType, cancellation);

    /// <summary>Asks the parent, whichever of its addresses answers.</summary>
    public async Task<TAnswer?> AskParentAsync<TAsk, TAnswer>(string path, TAsk ask, JsonTypeInfo<TAsk> askType, JsonTypeInfo<TAnswer> answerType, CancellationToken cancellation) where TAnswer : class
    {
        foreach (string server in _servers)
            if (await PostAsync(_parent, new Uri(new Uri(server), path), ask, askType, answerType, cancellation) is { } answer)
                return answer;
        return null;
    }

    /// <summary>Opens a node's copy stream. The answer may be a refusal.</summary>
    public Task<HttpResponseMessage> OpenCopyAsync(string address, string query, CancellationToken cancellation) =>
        _lan.GetAsync(new Uri($"http://{address}{CopyPath}?{query}"), HttpCompletionOption.ResponseHeadersRead, cancellation);

    /// <summary>Tells the leader what this node has of the parent: the identities that it took in (none at one that does not know the question), or null when it does not answer.</summary>
    public async Task<IReadOnlyCollection<string>?> TellAsync(string address, LinkSequence sequence, List<StoreWrite> unheard, CancellationToken cancellation)
    {
        using var content = new ByteArrayContent(CopyFrames.Write(CopyFrame.Entries, 0, [new StoreWrite(LinkRecords.SequenceKey, LinkRecords.Write(sequence)), .. unheard]));
        using HttpResponseMessage answer = await _lan.PostAsync(new Uri($"http://{address}{UnheardPath}"), content, cancellation);
        // No answer is asked for again; what it does not understand it does not take in.
        if (answer.StatusCode is HttpStatusCode.MisdirectedRequest or >= HttpStatusCode.InternalServerError)
            return null;
        if (!answer.IsSuccessStatusCode)
            return [];
        await using Stream body = await answer.Content.ReadAsStreamAsync(cancellation);
        return await CopyFrames.ReadAsync(body, cancellation) is { } frame ? frame.Entries.ConvertAll(static e => LinkRecords.Uid(LinkRecords.HeldPrefix, e.Key)) : null;
    }

    private static async Task<TAnswer?> PostAsync<TAsk, TAnswer>(HttpClient client, Uri address, TAsk ask, JsonTypeInfo<TAsk> askType, JsonTypeInfo<TAnswer> answerType, CancellationToken cancellation) where TAnswer : class
    {
        try
        {
            using var content = new ByteArrayContent(JsonSerializer.SerializeToUtf8Bytes(ask, askType)) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
            using HttpResponseMessage response = await client.PostAsync(address, content, cancellation);
            if (!response.IsSuccessStatusCode || response.Content.Headers.ContentLength > MaxAnswerBytes)
                return null;
            await using Stream body = await response.Content.ReadAsStreamAsync(cancellation);
            return await JsonSerializer.DeserializeAsync(body, answerType, cancellation);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or JsonException or OperationCanceledException)
        {
            // Out of reach: no answer is an answer.
            return null;
        }
    }

    public void Dispose()
    {
        _lan.Dispose();
        _parent.Dispose();
        Handler.Dispose();
    }
}
