using System.Net.Security;
using System.Security.Cryptography.X509Certificates;
using Atoll.Link;
using Google.Protobuf;
using Grpc.Core;
using Grpc.Net.Client;

namespace Atoll.Bench.Transport;

/// <summary>What is measured of a variant.</summary>
internal interface IBenchClient : IAsyncDisposable
{
    /// <summary>Sends 64 bytes and returns when they came back.</summary>
    Task EchoAsync(CancellationToken cancellation);

    /// <summary>Sends 1 MiB of lower priority.</summary>
    Task BulkAsync(CancellationToken cancellation);
}

/// <summary>The link: WebSocket and multiplexer.</summary>
internal sealed class LinkClient : ISiteOwner, IBenchClient
{
    private readonly CancellationTokenSource _stop = new();
    private readonly TaskCompletionSource _live = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly byte[] _packet = new byte[64];
    private SiteLink _link = null!;
    private Task _running = Task.CompletedTask;
    private LinkStream? _urgent;

    public static async Task<IBenchClient> ConnectAsync(Certificates certificates, string host, int port)
    {
        LinkClient client = new();
        LinkIdentity identity = new(certificates.Client, [certificates.Authority]);
        LinkDialer dialer = new(() => identity, TimeProvider.System, TimeSpan.FromSeconds(60));
        client._link = new SiteLink(new SiteLinkOptions { Parents = [new Uri($"https://{host}:{port}")], Dial = dialer.DialAsync }, client, TimeProvider.System, new Random());
        client._running = client._link.RunAsync(client._stop.Token);
        await client._live.Task;
        return client;
    }

    public async Task EchoAsync(CancellationToken cancellation)
    {
        _urgent ??= _link.Open(LinkClass.Tunnel, "urgent");
        await _urgent.WriteAsync(_packet, cancellation);
        await _urgent.ReadExactlyAsync(_packet, cancellation);
    }

    public async Task BulkAsync(CancellationToken cancellation)
    {
        await using LinkStream bulk = _link.Open(LinkClass.Content, "bulk");
        await bulk.WriteAsync(new byte[1024 * 1024], cancellation);
        bulk.CompleteWrites();
        // The other side ends its half when it has read ours.
        await bulk.CopyToAsync(Stream.Null, cancellation);
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }

    public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

    public Outcome? ReadOutcome(string uid) => null;

    public ValueTask<SiteHoldings> LoadAsync(CancellationToken cancellation) => ValueTask.FromResult(new SiteHoldings(LinkSequence.None, [], false));

    public ValueTask<IReadOnlyList<OutcomeRef>> LoadOutboxAsync(CancellationToken cancellation) => ValueTask.FromResult<IReadOnlyList<OutcomeRef>>([]);

    public ValueTask ApplyAsync(ScopeBatch batch, CancellationToken cancellation) => ValueTask.CompletedTask;

    public ValueTask OutcomesAcknowledgedAsync(IReadOnlyList<OutcomeRef> outcomes, CancellationToken cancellation) => ValueTask.CompletedTask;

    public ValueTask ForeignHistoryAsync(ParentWelcome welcome, CancellationToken cancellation) => ValueTask.CompletedTask;

    public void StateChanged(LinkState state, LinkError error, Uri parent)
    {
        if (error != LinkError.None)
            Console.Error.WriteLine($"{state} {error} {_link.LastFailure}");
        if (state == LinkState.Live)
            _live.TrySetResult();
    }
}

/// <summary>gRPC: two bidirectional streams on one HTTP/2 connection.</summary>
internal sealed class GrpcClient : IBenchClient
{
    private readonly GrpcChannel _channel;
    private readonly AsyncDuplexStreamingCall<Packet, Packet> _urgent;
    private readonly AsyncDuplexStreamingCall<Packet, Packet> _bulk;
    private readonly Packet _packet = new() { Data = ByteString.CopyFrom(new byte[64]) };

    private GrpcClient(GrpcChannel channel)
    {
        _channel = channel;
        Line.LineClient client = new(channel);
        (_urgent, _bulk) = (client.Exchange(), client.Exchange());
    }

    public static async Task<IBenchClient> ConnectAsync(Certificates certificates, string host, int port)
    {
        SocketsHttpHandler handler = new();
        handler.SslOptions.ClientCertificates = [certificates.Client];
        handler.SslOptions.CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck };
        handler.SslOptions.CertificateChainPolicy.CustomTrustStore.Add(certificates.Authority);
        handler.KeepAlivePingDelay = TimeSpan.FromSeconds(6);
        handler.KeepAlivePingTimeout = TimeSpan.FromSeconds(120);
        GrpcClient client = new(GrpcChannel.ForAddress($"https://{host}:{port}", new GrpcChannelOptions { HttpHandler = handler, DisposeHttpClient = true }));
        await client.EchoAsync(CancellationToken.None);
        return client;
    }

    public async Task EchoAsync(CancellationToken cancellation)
    {
        await _urgent.RequestStream.WriteAsync(_packet, cancellation);
        await _urgent.ResponseStream.MoveNext(cancellation);
    }

    public async Task BulkAsync(CancellationToken cancellation)
    {
        Packet part = new() { Data = ByteString.CopyFrom(new byte[4096]) };
        for (int i = 0; i < 256; i++)
            await _bulk.RequestStream.WriteAsync(part, cancellation);
        await _bulk.RequestStream.WriteAsync(_packet, cancellation);
        await _bulk.ResponseStream.MoveNext(cancellation);
    }

    public ValueTask DisposeAsync()
    {
        _urgent.Dispose();
        _bulk.Dispose();
        _channel.Dispose();
        return ValueTask.CompletedTask;
    }
}
