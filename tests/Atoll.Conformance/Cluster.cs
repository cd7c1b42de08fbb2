using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Atoll.Api.Objects;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Orchestration;
using Atoll.Store.Sqlite;
using Atoll.UnitTests.Kube.Streaming;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;

[assembly: AssemblyFixture(typeof(Atoll.Conformance.Cluster))]

namespace Atoll.Conformance;

/// <summary>
/// What the clients are tried against: our API server over HTTPS on a real store, our controllers, and two nodes that
/// only say that their pods run; their streams are processes of this machine.
/// </summary>
public sealed class Cluster : IAsyncLifetime
{
    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-conformance-").FullName;
    private readonly CancellationTokenSource _stop = new();
    private SqliteStore? _store;
    private ApiServer? _api;
    private WebApplication? _app;
    private Task _running = Task.CompletedTask;

    public LocalPodStreams Streams { get; } = new();

    public string Kubeconfig => Path.Combine(_folder, "kubeconfig");

    public async ValueTask InitializeAsync()
    {
        _store = await SqliteStore.OpenInMemoryAsync();
        _api = await ApiServer.StartAsync(_store, new ApiServerOptions
        {
            CreateDefaultNamespaces = true,
            Authenticators = [new BearerTokenAuthenticator(token => token == "conformance" ? Identity.Administrator("conformance") : null)],
            PodStreams = Streams,
        });
        using X509Certificate2 certificate = Certificate();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseKestrelHttpsConfiguration().ConfigureKestrel(kestrel =>
        {
            kestrel.Limits.MaxRequestBodySize = null;
            kestrel.Listen(IPAddress.Loopback, 0, listen => listen.UseHttps(X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null)));
        });
        _app = builder.Build();
        _app.Run(_api.HandleAsync);
        await _app.StartAsync();
        string authority = Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes(certificate.ExportCertificatePem()));
        await File.WriteAllTextAsync(Kubeconfig, $$"""
            apiVersion: v1
            kind: Config
            clusters: [{name: atoll, cluster: {server: "{{_app.Urls.First()}}", certificate-authority-data: "{{authority}}" } }]
            users: [{name: admin, user: {token: conformance} }]
            contexts: [{name: atoll, context: {cluster: atoll, user: admin, namespace: default} }]
            current-context: atoll
            """);
        var nodes = new PretendNodes(_api.As(Identity.Trusted("system:link")));
        await nodes.RegisterAsync(["node-a", "node-b"], _stop.Token);
        var controllers = new OrchestrationHost(_api.As(Identity.Trusted("system:controllers")), TimeProvider.System, Random.Shared, NullLoggerFactory.Instance);
        _running = Task.WhenAll(controllers.RunAsync(_stop.Token), nodes.RunAsync(_stop.Token));
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        if (_app is not null)
        {
            using var now = new CancellationTokenSource(TimeSpan.FromSeconds(2));
            await _app.StopAsync(now.Token);
            await _app.DisposeAsync();
        }
        if (_api is not null)
            await _api.DisposeAsync();
        if (_store is not null)
            await _store.DisposeAsync();
        Directory.Delete(_folder, recursive: true);
        _stop.Dispose();
    }

    private static X509Certificate2 Certificate()
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        return request.CreateSelfSigned(DateTimeOffset.UtcNow.AddHours(-1), DateTimeOffset.UtcNow.AddDays(1));
    }
}
