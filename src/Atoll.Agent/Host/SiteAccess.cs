using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Api.Objects;
using Atoll.Kube.Access;
using Atoll.Kube.Client;
using Microsoft.AspNetCore.Http;
using Caller = Atoll.Kube.Access.Identity;

namespace Atoll.Agent.Host;

/// <summary>
/// Who may use the site's own API, with no parent in reach: the owner of the unix socket (the tunnel comes in here, admitted by
/// the centre), on loopback whoever holds the token in the site's kubeconfig, and the site's other nodes. Specs are the centre's: they are read
/// here and changed there.
/// </summary>
internal sealed class SiteAccess : IAuthenticator
{
    private const int TokenBytes = 32;

    private readonly byte[] _tokenHash;
    private readonly string _centre;
    private readonly int _lanPort;

    private SiteAccess(string token, X509Certificate2 certificate, string centre, int lanPort)
    {
        _lanPort = lanPort;
        _tokenHash = SHA256.HashData(Encoding.UTF8.GetBytes(token));
        Certificate = certificate;
        _centre = centre;
    }

    /// <summary>Certificate of the loopback endpoint.</summary>
    public X509Certificate2 Certificate { get; }

    /// <summary>Reads the site's token and certificate, or makes them, and writes the site's kubeconfig.</summary>
    public static SiteAccess Open(AgentOptions options, string centre, TimeProvider time)
    {
        string folder = Path.Combine(options.State, "api"), certificatePath = Path.Combine(folder, "server.crt"), keyPath = Path.Combine(folder, "server.key"), tokenPath = Path.Combine(folder, "token");
        Directory.CreateDirectory(folder, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        if (Read(tokenPath, certificatePath, keyPath) is not { } read)
        {
            // A first start, or files that are damaged: who has the kubeconfig beside them reads the new one.
            Make(tokenPath, certificatePath, keyPath, time);
            read = Read(tokenPath, certificatePath, keyPath) ?? throw new InvalidDataException($"{folder} cannot be read back");
        }
        SiteIdentity.Write(Path.Combine(options.State, "kubeconfig"), KubeConfig.Write("atoll-site", new Uri($"https://127.0.0.1:{options.ApiPort}"), read.Certificate.ExportCertificatePem(), null, null, read.Token));
        return new SiteAccess(read.Token, read.Certificate, centre, options.Lan?.Port ?? 0);
    }

    private static (string Token, X509Certificate2 Certificate)? Read(string tokenPath, string certificatePath, string keyPath)
    {
        try
        {
            string token = File.ReadAllText(tokenPath);
            using X509Certificate2 pem = X509Certificate2.CreateFromPemFile(certificatePath, keyPath);
            return token.Length == TokenBytes * 2 && token.All(char.IsAsciiHexDigit) ? (token, X509CertificateLoader.LoadPkcs12(pem.Export(X509ContentType.Pkcs12), null)) : null;
        }
        catch (Exception e) when (e is FileNotFoundException or CryptographicException or ArgumentException)
        {
            return null;
        }
    }

    private static void Make(string tokenPath, string certificatePath, string keyPath, TimeProvider time)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=atoll-site-api", key, HashAlgorithmName.SHA256);
        var names = new SubjectAlternativeNameBuilder();
        names.AddIpAddress(IPAddress.Loopback);
        names.AddDnsName("localhost");
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        DateTimeOffset now = time.GetUtcNow();
        // It is trusted by the kubeconfig beside it and by nothing else, so it need not end before the machine does.
        using X509Certificate2 made = request.CreateSelfSigned(now.AddYears(-1), now.AddYears(30));
        SiteIdentity.Write(keyPath, key.ExportPkcs8PrivateKeyPem());
        SiteIdentity.Write(certificatePath, made.ExportCertificatePem());
        SiteIdentity.Write(tokenPath, Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(TokenBytes)));
    }

    /// <inheritdoc/>
    public ValueTask<Caller?> AuthenticateAsync(HttpContext context)
    {
        // A unix socket has no remote address; the file's mode has let only its owner in.
        if (context.Connection.RemoteIpAddress is null)
            return ValueTask.FromResult<Caller?>(Caller.Administrator("atoll:tunnel"));
        // A node of this site, by its certificate: for itself, or for somebody whom it admitted.
        if (LanServer.IsPeer(context, _lanPort))
            return ValueTask.FromResult<Caller?>(context.Request.Headers[LanClient.AsHeader] == "node" ? Caller.Trusted("system:agent") : Caller.Administrator("site-admin"));
        const string scheme = "Bearer ";
        string header = context.Request.Headers.Authorization.ToString();
        bool right = header.StartsWith(scheme, StringComparison.OrdinalIgnoreCase)
            && CryptographicOperations.FixedTimeEquals(SHA256.HashData(Encoding.UTF8.GetBytes(header[scheme.Length..].Trim())), _tokenHash);
        return ValueTask.FromResult(right ? Caller.Administrator("site-admin") : null);
    }

    /// <summary>Refuses writes of people at the site: what runs here is the centre's intent.</summary>
    public ApiStatus? Check(WriteAttempt attempt)
    {
        string name = attempt.Old?.Name ?? attempt.New?["metadata"]?["name"]?.GetValue<string>() ?? "";
        return ApiStatus.Forbidden(attempt.Type, name, $"its owner is the centre, and a site shows it read-only. Make the change there: kubectl --server {_centre} …; it arrives here as soon as the link is up");
    }
}
