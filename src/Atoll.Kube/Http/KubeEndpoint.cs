using System.Security.Cryptography.X509Certificates;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;

namespace Atoll.Kube.Http;

/// <summary>How a Kestrel endpoint must be set up to serve the API.</summary>
public static class KubeEndpoint
{
    /// <summary>
    /// HTTPS with optional client certificates. The TLS layer lets any certificate through: an authenticator of the
    /// server judges it, so that a bad one is a 401 with a reason and tokens work beside. <paramref name="certificate"/>
    /// is asked for each connection, so that it can be renewed.
    /// </summary>
    public static void UseKubeTls(this ListenOptions listen, Func<X509Certificate2> certificate)
    {
        ArgumentNullException.ThrowIfNull(listen);
        // Upgrades (exec, port-forward) are HTTP/1.1; clients choose HTTP/2 for the rest.
        listen.Protocols = HttpProtocols.Http1AndHttp2;
        listen.UseHttps(new HttpsConnectionAdapterOptions
        {
            ServerCertificateSelector = (_, _) => certificate(),
            ClientCertificateMode = ClientCertificateMode.AllowCertificate,
            ClientCertificateValidation = static (_, _, _) => true,
        });
    }

    /// <summary>Limits of Kestrel for the API: bodies are limited by the server itself, watches may be silent for long.</summary>
    public static void UseKubeLimits(this KestrelServerOptions kestrel)
    {
        ArgumentNullException.ThrowIfNull(kestrel);
        kestrel.AddServerHeader = false;
        kestrel.Limits.MaxRequestBodySize = null;
        kestrel.Limits.MinRequestBodyDataRate = null;
        kestrel.Limits.MinResponseDataRate = null;
    }
}
