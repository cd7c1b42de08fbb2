using System.Net;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.Cloud.Certificates;

/// <summary>
/// The centre's certificate authority: one ECDSA P-256 key in the state folder that signs the API server's certificate,
/// administrators' certificates and, against a join token, each site's certificate.
/// <para>Invariants: the key file is readable by its owner only; a site's certificate carries the Site's name (CN
/// <c>system:site:NAME</c>, O <c>system:sites</c>) and its UID (OU), and is good for client authentication only, so that a
/// site can never play the centre.</para>
/// </summary>
public sealed partial class CertificateAuthority
{
    /// <summary>Life of the CA's own certificate.</summary>
    public static readonly TimeSpan AuthorityLife = TimeSpan.FromDays(3650);

    /// <summary>Life of the certificates that it signs.</summary>
    public static readonly TimeSpan CertificateLife = TimeSpan.FromDays(365);

    private static readonly TimeSpan s_clockSkew = TimeSpan.FromMinutes(10);
    private static readonly Oid s_serverAuth = new("1.3.6.1.5.5.7.3.1"), s_clientAuth = new("1.3.6.1.5.5.7.3.2");

    private readonly string _folder;
    private readonly TimeProvider _time;
    private volatile Material _now;
    private (string Stamp, SslStreamCertificateContext Context)? _server;

    private CertificateAuthority(string folder, TimeProvider time)
    {
        (_folder, _time) = (folder, time);
        _now = Read(folder);
    }

    /// <summary>The certificate, with its key, that signs.</summary>
    public X509Certificate2 Certificate => _now.Signing;

    /// <summary>Name of the certificate that signs, such as <c>atoll-ca</c>.</summary>
    public string Name => NameOf(_now.Signing);

    /// <summary>The CA certificates to trust, PEM, the one that signs first; two of them during a rotation.</summary>
    public string CertificatePem => _now.TrustedPem;

    /// <summary>Loads the CA of a folder, or makes it there.</summary>
    public static CertificateAuthority Open(string folder, TimeProvider time)
    {
        Directory.CreateDirectory(folder);
        string certificatePath = Path.Combine(folder, "ca.crt"), keyPath = Path.Combine(folder, "ca.key");
        if (!File.Exists(keyPath))
        {
            using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
            var request = new CertificateRequest("CN=atoll-ca", key, HashAlgorithmName.SHA256);
            MarkAsAuthority(request);
            DateTimeOffset now = time.GetUtcNow();
            using X509Certificate2 made = request.CreateSelfSigned(now - s_clockSkew, now + AuthorityLife);
            WriteFile(certificatePath, made.ExportCertificatePem(), secret: false);
            WriteFile(keyPath, key.ExportPkcs8PrivateKeyPem(), secret: true);
        }
        Complete(folder);
        return new CertificateAuthority(folder, time);
    }

    /// <summary>
    /// The API server's certificate for the given host names and addresses: kept in the folder, made anew when a name is
    /// missing, when it nears its end, or when the CA changed.
    /// </summary>
    public X509Certificate2 ServerCertificate(IReadOnlyCollection<string> names)
    {
        string certificatePath = Path.Combine(_folder, "server.crt"), keyPath = Path.Combine(_folder, "server.key");
        if (File.Exists(certificatePath) && File.Exists(keyPath))
        {
            X509Certificate2 kept = X509Certificate2.CreateFromPemFile(certificatePath, keyPath);
            if (IsFresh(kept) && kept.IssuerName.RawData.AsSpan().SequenceEqual(Certificate.SubjectName.RawData) && names.All(n => Covers(kept, n)))
                return ForTls(kept);
            kept.Dispose();
        }
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var alternatives = new SubjectAlternativeNameBuilder();
        foreach (string name in names)
            if (IPAddress.TryParse(name, out IPAddress? address))
                alternatives.AddIpAddress(address);
            else
                alternatives.AddDnsName(name);
        using X509Certificate2 signed = Sign(new X500DistinguishedName("CN=atoll"), key, s_serverAuth, alternatives);
        WriteFile(certificatePath, signed.ExportCertificatePem(), secret: false);
        WriteFile(keyPath, key.ExportPkcs8PrivateKeyPem(), secret: true);
        return ForTls(X509Certificate2.CreateFromPemFile(certificatePath, keyPath));
    }

    // One of the future was made while this machine's clock was ahead.
    private bool IsFresh(X509Certificate2 certificate) => certificate.NotAfter.ToUniversalTime() - _time.GetUtcNow().UtcDateTime > CertificateLife / 3 && certificate.NotBefore.ToUniversalTime() <= _time.GetUtcNow().UtcDateTime;

    /// <summary>A client certificate and key (PEM) for a person or a component.</summary>
    public (string Certificate, string Key) IssueClient(string user, string group)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 signed = Sign(Subject(user, group, null), key, s_clientAuth, null);
        return (signed.ExportCertificatePem(), key.ExportPkcs8PrivateKeyPem());
    }

    /// <summary>
    /// Signs a site's key. Names come from the centre, never from the request. Throws
    /// <see cref="CryptographicException"/> when the request is malformed, not signed by its own key, or not ECDSA P-256 or P-384.
    /// </summary>
    public string IssueSite(string site, string siteUid, string certificateRequestPem)
    {
        CertificateRequest asked = CertificateRequest.LoadSigningRequestPem(certificateRequestPem, HashAlgorithmName.SHA256);
        using ECDsa? key = asked.PublicKey.GetECDsaPublicKey();
        if (key is null || key.KeySize is not (256 or 384))
            throw new CryptographicException("The key must be ECDSA P-256 or P-384.");
        using X509Certificate2 signed = Sign(Subject($"system:site:{site}", "system:sites", siteUid), key, s_clientAuth, null);
        return signed.ExportCertificatePem();
    }

    /// <summary>
    /// True when this CA signed the certificate for client authentication. With <paramref name="allowExpired"/> its dates do not
    /// matter: a site that was offline longer than its certificate lived still proves its key.
    /// </summary>
    public bool Signed(X509Certificate2 certificate, bool allowExpired)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.AddRange(_now.Trusted);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        chain.ChainPolicy.ApplicationPolicy.Add(s_clientAuth);
        chain.ChainPolicy.VerificationTime = _time.GetLocalNow().DateTime;
        if (allowExpired)
            chain.ChainPolicy.VerificationFlags = X509VerificationFlags.IgnoreNotTimeValid;
        return chain.Build(certificate);
    }

    private X509Certificate2 Sign(X500DistinguishedName subject, ECDsa key, Oid usage, SubjectAlternativeNameBuilder? alternatives)
    {
        var request = new CertificateRequest(subject, key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(false, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.DigitalSignature, true));
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([usage], false));
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(Certificate, true, false));
        if (alternatives is not null)
            request.CertificateExtensions.Add(alternatives.Build());
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        serial[0] &= 0x7f;
        DateTimeOffset now = _time.GetUtcNow();
        return request.Create(Certificate, now - s_clockSkew, now + CertificateLife, serial);
    }

    private static X500DistinguishedName Subject(string commonName, string organization, string? unit)
    {
        var builder = new X500DistinguishedNameBuilder();
        builder.AddOrganizationName(organization);
        if (unit is not null)
            builder.AddOrganizationalUnitName(unit);
        builder.AddCommonName(commonName);
        return builder.Build();
    }

    private static bool Covers(X509Certificate2 certificate, string name)
    {
        foreach (X509Extension extension in certificate.Extensions)
            if (extension is X509SubjectAlternativeNameExtension alternatives)
                return IPAddress.TryParse(name, out IPAddress? address)
                    ? alternatives.EnumerateIPAddresses().Contains(address)
                    : alternatives.EnumerateDnsNames().Contains(name, StringComparer.OrdinalIgnoreCase);
        return false;
    }

    // A key that was read from PEM is not usable by every TLS stack until it has been through PKCS #12.
    private static X509Certificate2 ForTls(X509Certificate2 certificate)
    {
        using (certificate)
            return X509CertificateLoader.LoadPkcs12(certificate.Export(X509ContentType.Pkcs12), null);
    }

    /// <summary>Writes a file whole or not at all; a secret one is readable by its owner only from its first byte on.</summary>
    public static void WriteFile(string path, string text, bool secret)
    {
        string temporary = path + ".new";
        var options = new FileStreamOptions
        {
            Mode = FileMode.Create,
            Access = FileAccess.Write,
            UnixCreateMode = secret ? UnixFileMode.UserRead | UnixFileMode.UserWrite : UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead,
        };
        using (var stream = new FileStream(temporary, options))
        {
            stream.Write(System.Text.Encoding.UTF8.GetBytes(text));
            stream.Flush(flushToDisk: true);
        }
        File.Move(temporary, path, overwrite: true);
    }
}
