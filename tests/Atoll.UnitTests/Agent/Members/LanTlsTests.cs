using System.Net;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Cloud.Certificates;
using Atoll.Link;

namespace Atoll.UnitTests.Agent.Members;

/// <summary>Trust between the nodes of a site, while the CA is rotated.</summary>
public sealed class LanTlsTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-lan-").FullName;
    private readonly CancellationTokenSource _stop = new(TimeSpan.FromSeconds(30));

    public void Dispose()
    {
        _stop.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    [Theory]
    [InlineData("lyon", 1)]
    [InlineData("paris", 0)]
    public async Task Of_our_name_and_a_CA_that_is_not_known_here_it_may_have_been_rotated(string site, int doubts)
    {
        CertificateAuthority before = CertificateAuthority.Open(_folder, TimeProvider.System);
        LinkIdentity away = Of(before, "lyon");
        CertificateAuthority.Rotate(_folder, TimeProvider.System);
        LinkIdentity moved = Of(CertificateAuthority.OpenExisting(_folder, TimeProvider.System), site);
        int doubted = 0;
        var client = new LanTls(() => away, () => doubted++);
        await Assert.ThrowsAsync<AuthenticationException>(() => ConnectAsync(client, new LanTls(() => moved, static () => { })));
        Assert.Equal(doubts, doubted);
        // With what it is given by the centre it finds back; who has moved knows it before as well.
        away = Of(CertificateAuthority.OpenExisting(_folder, TimeProvider.System), site);
        await ConnectAsync(client, new LanTls(() => moved, static () => { }));
        Assert.Equal(doubts, doubted);
    }

    [Fact]
    public void The_parent_is_shown_the_certificate_of_now()
    {
        SiteIdentity now = Saved("first");
        SslClientAuthenticationOptions options = ParentTrust.Known(() => now, static _ => { });
        Assert.Equal(now.Certificate, options.LocalCertificateSelectionCallback!(this, "", [], null, []));
        now = Saved("second");
        Assert.Equal(now.Certificate, options.LocalCertificateSelectionCallback!(this, "", [], null, []));
    }

    private SiteIdentity Saved(string name)
    {
        CertificateAuthority authority = CertificateAuthority.Open(Path.Combine(_folder, "ca"), TimeProvider.System);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string state = Path.Combine(_folder, name);
        SiteIdentity.Save(state, new Enrolment { Site = "lyon", Servers = ["https://a:1"] }, key.ExportPkcs8PrivateKeyPem(), authority.IssueSite("lyon", "uid-1", SiteIdentity.RequestFor(key)), authority.CertificatePem);
        return SiteIdentity.Load(state);
    }

    private static LinkIdentity Of(CertificateAuthority authority, string site)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 issued = X509Certificate2.CreateFromPem(authority.IssueSite(site, "uid-1", SiteIdentity.RequestFor(key)), key.ExportPkcs8PrivateKeyPem());
        var trusted = new X509Certificate2Collection();
        trusted.ImportFromPem(authority.CertificatePem);
        return new LinkIdentity(X509CertificateLoader.LoadPkcs12(issued.Export(X509ContentType.Pkcs12), null), trusted);
    }

    private async Task ConnectAsync(LanTls client, LanTls server)
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ServeAsync();
        await using (await client.ConnectAsync(new DnsEndPoint("127.0.0.1", ((IPEndPoint)listener.LocalEndpoint).Port), _stop.Token))
            await serving;

        async Task ServeAsync()
        {
            using TcpClient accepted = await listener.AcceptTcpClientAsync(_stop.Token);
            await using var tls = new SslStream(accepted.GetStream());
            await tls.AuthenticateAsServerAsync(server.Server(), _stop.Token);
        }
    }
}
