using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.Bench.Transport;

/// <summary>One authority, one server, one client, kept in a folder so that both processes use the same.</summary>
internal sealed record Certificates(X509Certificate2 Authority, X509Certificate2 Server, X509Certificate2 Client)
{
    public static Certificates LoadOrMake(string folder)
    {
        string[] names = ["authority", "server", "client"];
        if (!File.Exists(Path.Combine(folder, "client.pfx")))
            Make(folder);
        X509Certificate2[] all = [.. names.Select(name => X509CertificateLoader.LoadPkcs12FromFile(Path.Combine(folder, name + ".pfx"), null, X509KeyStorageFlags.Exportable))];
        return new Certificates(all[0], all[1], all[2]);
    }

    public bool Trusts(X509Certificate2 certificate)
    {
        using X509Chain chain = new();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.CustomTrustStore.Add(Authority);
        return chain.Build(certificate);
    }

    private static void Make(string folder)
    {
        Directory.CreateDirectory(folder);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new("CN=bench authority", key, HashAlgorithmName.SHA256);
        request.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using X509Certificate2 authority = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        File.WriteAllBytes(Path.Combine(folder, "authority.pfx"), authority.Export(X509ContentType.Pkcs12));
        Issue(folder, "server", "1.3.6.1.5.5.7.3.1", authority);
        Issue(folder, "client", "1.3.6.1.5.5.7.3.2", authority);
    }

    private static void Issue(string folder, string name, string usage, X509Certificate2 authority)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        CertificateRequest request = new($"CN={name}", key, HashAlgorithmName.SHA256);
        SubjectAlternativeNameBuilder names = new();
        names.AddDnsName("localhost");
        names.AddIpAddress(System.Net.IPAddress.Loopback);
        names.AddIpAddress(System.Net.IPAddress.Parse("10.213.0.1"));
        request.CertificateExtensions.Add(names.Build());
        request.CertificateExtensions.Add(new X509EnhancedKeyUsageExtension([new Oid(usage)], false));
        byte[] serial = RandomNumberGenerator.GetBytes(8);
        serial[0] &= 0x7F;
        using X509Certificate2 bare = request.Create(authority, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(20), serial);
        using X509Certificate2 whole = bare.CopyWithPrivateKey(key);
        File.WriteAllBytes(Path.Combine(folder, name + ".pfx"), whole.Export(X509ContentType.Pkcs12));
    }
}
