using System.Globalization;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.Cloud.Certificates;

/// <summary>
/// Rotation with overlap. From <see cref="Rotate"/> on a new key signs, and the old one is gone; both certificates are trusted
/// until <see cref="Retire"/>. Whoever knows the old certificate only still recognises the centre: the new key's certificate is
/// also there signed by the old key (<c>ca-cross.crt</c>), and the server sends it along.
/// <para>Files: <c>ca.crt</c> and <c>ca.key</c> sign; <c>ca-retiring.crt</c> is the one before; <c>ca-next.crt</c>, written last, says
/// that a rotation was decided and is completed by whoever opens the folder.</para>
/// </summary>
public sealed partial class CertificateAuthority
{
    /// <summary>True between <see cref="Rotate"/> and <see cref="Retire"/>.</summary>
    public bool IsRotating => _now.Cross is not null;

    /// <summary>Since when the key of now signs.</summary>
    public DateTime Began => Certificate.NotAfter.ToUniversalTime() - AuthorityLife;

    /// <summary>Name of the certificate that is about to be retired, or null.</summary>
    public string? RetiringName => IsRotating ? NameOf(_now.Trusted[1]) : null;

    /// <summary>What a site is told to trust: changes whenever <see cref="CertificatePem"/> does.</summary>
    public string TrustDigest => _now.Digest;

    /// <summary>True once there was a rotation: only then are there sites that may trust something else.</summary>
    public bool WasRotated => Name != FirstName;

    private const string FirstName = "atoll-ca";

    /// <summary>Makes a new key sign. Throws <see cref="InvalidOperationException"/> when the rotation before it is not finished.</summary>
    public static void Rotate(string folder, TimeProvider time)
    {
        CertificateAuthority before = OpenExisting(folder, time);
        if (before.IsRotating)
            throw new InvalidOperationException($"the rotation from {before.RetiringName} to {before.Name} is not finished. When every site has moved, finish it with: atoll ca retire");
        X509Certificate2 old = before.Certificate;
        if (old.Extensions.OfType<X509BasicConstraintsExtension>().Any(b => b.HasPathLengthConstraint))
            throw new InvalidOperationException($"{before.Name} was made by a version whose CAs cannot vouch for a successor: make a new centre and let the sites join it");
        int generation = before.WasRotated && int.TryParse(before.Name[(FirstName.Length + 1)..], NumberStyles.None, CultureInfo.InvariantCulture, out int last) ? last + 1 : 2;
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        // A name of its own for each: chains are built by names first.
        var request = new CertificateRequest($"CN={FirstName}-{generation}", key, HashAlgorithmName.SHA256);
        MarkAsAuthority(request);
        DateTimeOffset now = time.GetUtcNow();
        using X509Certificate2 next = request.CreateSelfSigned(now - s_clockSkew, now + AuthorityLife);
        request.CertificateExtensions.Add(X509AuthorityKeyIdentifierExtension.CreateFromCertificate(old, true, false));
        byte[] serial = RandomNumberGenerator.GetBytes(16);
        serial[0] &= 0x7f;
        using X509Certificate2 cross = request.Create(old, now - s_clockSkew, old.NotAfter, serial);
        WriteFile(Path.Combine(folder, "ca-retiring.crt"), old.ExportCertificatePem(), secret: false);
        WriteFile(Path.Combine(folder, "ca-cross.crt"), cross.ExportCertificatePem(), secret: false);
        WriteFile(Path.Combine(folder, "ca-next.key"), key.ExportPkcs8PrivateKeyPem(), secret: true);
        WriteFile(Path.Combine(folder, "ca-next.crt"), next.ExportCertificatePem(), secret: false);
        Complete(folder);
    }

    /// <summary>Ends the trust in the certificate before. Throws <see cref="InvalidOperationException"/> when there is none.</summary>
    public static void Retire(string folder, TimeProvider time)
    {
        if (!OpenExisting(folder, time).IsRotating)
            throw new InvalidOperationException("no rotation is under way: there is nothing to retire. Begin one with: atoll ca rotate");
        File.Delete(Path.Combine(folder, "ca-retiring.crt"));
        File.Delete(Path.Combine(folder, "ca-cross.crt"));
    }

    /// <summary>Opens the CA of a folder; throws <see cref="InvalidOperationException"/> when there is none.</summary>
    public static CertificateAuthority OpenExisting(string folder, TimeProvider time) =>
        File.Exists(Path.Combine(folder, "ca.key")) ? Open(folder, time) : throw new InvalidOperationException($"{folder} holds no CA: give the centre's folder with --state");

    /// <summary>Takes in what another process did to the folder; true when something changed.</summary>
    public bool Reload()
    {
        Complete(_folder);
        Material read = Read(_folder);
        if (read.Digest == _now.Digest)
            return false;
        _now = read;
        return true;
    }

    /// <summary>The server's certificate with what it sends along, for TLS; the same one as long as nothing changed, for it is asked for every few seconds.</summary>
    public SslStreamCertificateContext ServerContext(IReadOnlyCollection<string> names)
    {
        if (_server is { } known && known.Stamp == Stamp(names) && IsFresh(known.Context.TargetCertificate))
            return known.Context;
        var context = SslStreamCertificateContext.Create(ServerCertificate(names), _now.Cross is { } cross ? [cross] : null, offline: true);
        _server = (Stamp(names), context);
        return context;
    }

    private string Stamp(IReadOnlyCollection<string> names)
    {
        return $"{_now.Digest} {string.Join(' ', names)} {Of("server.crt")} {Of("server.key")}";

        string Of(string file) => new FileInfo(Path.Combine(_folder, file)) is { Exists: true } found ? $"{found.LastWriteTimeUtc.Ticks}/{found.Length}" : "none";
    }

    private static void Complete(string folder)
    {
        string nextKey = Path.Combine(folder, "ca-next.key"), next = Path.Combine(folder, "ca-next.crt");
        if (!File.Exists(next))
            return;
        if (File.Exists(nextKey))
            File.Move(nextKey, Path.Combine(folder, "ca.key"), overwrite: true);
        File.Move(next, Path.Combine(folder, "ca.crt"), overwrite: true);
    }

    private static Material Read(string folder)
    {
        X509Certificate2 signing = X509Certificate2.CreateFromPemFile(Path.Combine(folder, "ca.crt"), Path.Combine(folder, "ca.key"));
        X509Certificate2Collection trusted = [X509CertificateLoader.LoadCertificate(signing.RawData)];
        X509Certificate2? cross = null;
        if (File.Exists(Path.Combine(folder, "ca-retiring.crt")) && File.Exists(Path.Combine(folder, "ca-cross.crt")))
        {
            X509Certificate2 retiring = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(folder, "ca-retiring.crt"));
            // A rotation that was interrupted before it was decided leaves the certificate that still signs as the retiring one.
            if (!retiring.RawDataMemory.Span.SequenceEqual(signing.RawDataMemory.Span))
            {
                trusted.Add(retiring);
                cross = X509CertificateLoader.LoadCertificateFromFile(Path.Combine(folder, "ca-cross.crt"));
            }
        }
        return new Material(signing, trusted, cross);
    }

    private static void MarkAsAuthority(CertificateRequest request)
    {
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        request.CertificateExtensions.Add(new X509KeyUsageExtension(X509KeyUsageFlags.KeyCertSign | X509KeyUsageFlags.CrlSign, true));
        request.CertificateExtensions.Add(new X509SubjectKeyIdentifierExtension(request.PublicKey, false));
    }

    private static string NameOf(X509Certificate2 certificate) => certificate.GetNameInfo(X509NameType.SimpleName, forIssuer: false);

    private sealed class Material(X509Certificate2 signing, X509Certificate2Collection trusted, X509Certificate2? cross)
    {
        public X509Certificate2 Signing { get; } = signing;

        public X509Certificate2Collection Trusted { get; } = trusted;

        public X509Certificate2? Cross { get; } = cross;

        public string TrustedPem { get; } = string.Join('\n', trusted.Select(c => c.ExportCertificatePem())) + "\n";

        public string Digest { get; } = Api.Enrolment.TrustBundle.DigestOf(trusted);
    }
}
