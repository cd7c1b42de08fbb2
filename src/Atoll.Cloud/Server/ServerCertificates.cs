using System.Net;
using System.Net.Security;
using System.Security.Authentication;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Cloud.Certificates;
using Microsoft.Extensions.Logging;

namespace Atoll.Cloud.Server;

/// <summary>
/// The certificate that the centre shows, kept young while it serves: looked at every few seconds, made anew when it nears its
/// end, when its file is gone, or when the CA was rotated. New connections get the new one, open ones go on. After a rotation of
/// the CA every Site is told what to trust from then on (<see cref="WellKnown.TrustAnnotation"/>).
/// </summary>
internal sealed class ServerCertificates
{
    private static readonly TimeSpan s_look = TimeSpan.FromSeconds(5);

    private readonly CertificateAuthority _authority;
    private readonly string[] _names;
    private readonly IResources _resources;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly Func<Task> _publish;
    private volatile SslServerAuthenticationOptions _current;

    public ServerCertificates(CertificateAuthority authority, IReadOnlyList<Uri> advertised, IResources resources, TimeProvider time, ILogger logger, Func<Task> publish)
    {
        (_authority, _resources, _time, _logger, _publish) = (authority, resources, time, logger, publish);
        _names = [.. advertised.Select(a => a.IdnHost).Append(Dns.GetHostName()).Append("localhost").Append("127.0.0.1").Distinct(StringComparer.OrdinalIgnoreCase)];
        _current = Make();
    }

    /// <summary>How to answer a connection that comes now.</summary>
    public SslServerAuthenticationOptions Current => _current;

    /// <summary>Looks and rotates until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        bool told = false;
        while (!cancellation.IsCancellationRequested)
        {
            if (_authority.Reload())
            {
                _logger.LogWarning("The CA that signs is {Name} now{Overlap}", _authority.Name, _authority.RetiringName is { } before ? $", and {before} is trusted until it is retired" : ", and no other is trusted");
                await _publish();
                told = false;
            }
            SslServerAuthenticationOptions next = Make();
            if (!Shown(next).Equals(Shown(_current)) || next.ServerCertificateContext!.IntermediateCertificates.Count != _current.ServerCertificateContext!.IntermediateCertificates.Count)
            {
                _logger.LogInformation("The server's certificate was rotated; it is good until {End:u}", next.ServerCertificateContext!.TargetCertificate.NotAfter.ToUniversalTime());
                _current = next;
            }
            told = told || !_authority.WasRotated || await TellAsync(cancellation);
            await Task.Delay(s_look, _time, cancellation).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }

        static string Shown(SslServerAuthenticationOptions options) => options.ServerCertificateContext!.TargetCertificate.Thumbprint;
    }

    private async Task<bool> TellAsync(CancellationToken cancellation)
    {
        ApiList sites = await _resources.ListAsync(Kinds.Site, null, ListOptions.Default, cancellation);
        bool all = sites.Error is null;
        foreach (KubeObject site in sites.Items)
            if (site.Metadata.Annotations?.GetValueOrDefault(WellKnown.TrustAnnotation) != _authority.TrustDigest)
                all &= (await _resources.PatchAsync(Kinds.Site, null, site.Name, PatchType.Merge, new JsonObject { ["metadata"] = new JsonObject { ["annotations"] = new JsonObject { [WellKnown.TrustAnnotation] = _authority.TrustDigest } } }, cancellation)).Ok;
        return all;
    }

    private SslServerAuthenticationOptions Make() => new()
    {
        ServerCertificateContext = _authority.ServerContext(_names),
        ClientCertificateRequired = true,
        // Who a certificate belongs to, and whether there must be one or it may be old (renewal), is decided by each endpoint.
        RemoteCertificateValidationCallback = (_, _, _, _) => true,
        // The chain that the TLS layer builds all the same is of no use: of nothing it is built soonest.
        CertificateChainPolicy = new X509ChainPolicy { TrustMode = X509ChainTrustMode.CustomRootTrust, RevocationMode = X509RevocationMode.NoCheck, DisableCertificateDownloads = true },
        EnabledSslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
        // Sites stay connected, and nobody resumes over a restart, whose keys are new: tickets would be made and sent for nothing.
        AllowTlsResume = false,
    };
}
