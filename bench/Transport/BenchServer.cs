using System.Net;
using Atoll.Link;
using Grpc.Core;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;

namespace Atoll.Bench.Transport;

/// <summary>Echoes urgent packets and swallows bulk, in both variants.</summary>
internal static class BenchServer
{
    public static async Task RunAsync(Certificates certificates, int port)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration();
        builder.Services.AddGrpc();
        builder.WebHost.ConfigureKestrel(options =>
        {
            Listen(options, certificates, port, HttpProtocols.Http1);
            Listen(options, certificates, port + 1, HttpProtocols.Http2);
        });
        WebApplication app = builder.Build();
        NoScope owner = new();
        app.Map(LinkEndpoint.Path, async context => await LinkEndpoint.HandleAsync(
            context, "bench", owner, new LinkOptions(), new LinkTraffic(), AcceptAsync, TimeProvider.System, new Random(), CancellationToken.None));
        app.MapGrpcService<LineService>();
        await app.RunAsync();
    }

    private static void Listen(KestrelServerOptions options, Certificates certificates, int port, HttpProtocols protocols) =>
        options.Listen(IPAddress.Any, port, listen =>
        {
            listen.Protocols = protocols;
            listen.UseHttps(https =>
            {
                https.ServerCertificate = certificates.Server;
                https.ClientCertificateMode = ClientCertificateMode.RequireCertificate;
                https.ClientCertificateValidation = (certificate, _, _) => certificates.Trusts(certificate);
            });
        });

    private static Task AcceptAsync(LinkStream stream, CancellationToken cancellation) =>
        stream.Class == LinkClass.Tunnel ? stream.CopyToAsync(stream, cancellation) : stream.CopyToAsync(Stream.Null, cancellation);

    private sealed class LineService : Line.LineBase
    {
        public override async Task Exchange(IAsyncStreamReader<Packet> requestStream, IServerStreamWriter<Packet> responseStream, ServerCallContext context)
        {
            await foreach (Packet packet in requestStream.ReadAllAsync())
            {
                if (packet.Data.Length <= 64)
                    await responseStream.WriteAsync(packet);
            }
        }
    }

    private sealed class NoScope : IParentOwner
    {
        public LinkItem? Read(string uid) => null;

        public ValueTask<LinkScope> OpenScopeAsync(ParentLink link, SiteHello hello, CancellationToken cancellation) =>
            ValueTask.FromResult(new LinkScope(new LinkSequence("bench", 1), []));

        public ValueTask ApplyOutcomesAsync(ParentLink link, OutcomeBatch batch, CancellationToken cancellation) => ValueTask.CompletedTask;

        public ValueTask OrphansOfferedAsync(ParentLink link, IReadOnlyList<HeldItem> orphans, CancellationToken cancellation) => ValueTask.CompletedTask;

        public void StateChanged(ParentLink link, LinkState state, LinkError error)
        {
        }
    }
}
