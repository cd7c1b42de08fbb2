using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Atoll.Agent.Identity;
using Atoll.Agent.Members;
using Atoll.Agent.Uplink;
using Atoll.Link;

namespace Atoll.UnitTests.Agent;

/// <summary>What an agent of the first version left on its disk: every later one must load it, and what is written today is frozen.</summary>
public sealed class GoldenStateTests
{
    private const string Uid = "6f1c2a52-9f0e-4d5e-8a55-0d3c5e0a7d11";

    [Fact]
    public void Link_records_keep_their_bytes()
    {
        var held = new HeldItem("pods", "default/web", Uid, 0x0102030405060708, Orphan: true);
        Assert.Equal("01010807060504030201" + "04" + "706F6473" + "64656661756C742F776562", Convert.ToHexString(LinkRecords.Write(held)));
        Assert.Equal(held, LinkRecords.ReadHeld(Uid, Convert.FromHexString("0101080706050403020104706F647364656661756C742F776562")));
        var sequence = new LinkSequence("i1", 300);
        Assert.Equal("012C01000000000000" + "6931", Convert.ToHexString(LinkRecords.Write(sequence)));
        Assert.Equal(sequence, LinkRecords.ReadSequence(Convert.FromHexString("012C010000000000006931")));
        Assert.Equal("01EFCDAB8967452301", Convert.ToHexString(LinkRecords.WriteHash(0x0123456789ABCDEF)));
        Assert.Equal(0x0123456789ABCDEFUL, LinkRecords.ReadHash(Convert.FromHexString("01EFCDAB8967452301")));
        // A record of a version that does not exist yet is refused by name, not misread.
        Assert.Contains(Uid, Assert.Throws<InvalidDataException>(() => LinkRecords.ReadHeld(Uid, [2, .. new byte[20]])).Message);
    }

    [Fact]
    public void The_identity_that_the_first_version_wrote_is_loaded_and_one_with_more_fields_too()
    {
        (string key, string certificate, string authority) = Issue();
        string state = Directory.CreateTempSubdirectory("atoll-identity-").FullName, folder = Path.Combine(state, "identity");
        Directory.CreateDirectory(folder);
        File.WriteAllText(Path.Combine(folder, "enrolment.json"), """
            {
              "site": "lyon-1",
              "siteUid": "6f1c2a52-9f0e-4d5e-8a55-0d3c5e0a7d11",
              "region": "eu",
              "servers": [
                "https://centre.example.org:6443"
              ]
            }
            """);
        File.WriteAllText(Path.Combine(folder, "site.key"), key);
        File.WriteAllText(Path.Combine(folder, "site.crt"), certificate);
        File.WriteAllText(Path.Combine(folder, "ca.crt"), authority);
        SiteIdentity identity = SiteIdentity.Load(state);
        Assert.Equal(("lyon-1", Uid, "eu"), (identity.Enrolment.Site, identity.Enrolment.SiteUid, identity.Enrolment.Region));
        Assert.Equal(["https://centre.example.org:6443"], identity.Enrolment.Parents());
        Assert.True(identity.Certificate.HasPrivateKey);
        Assert.Single(identity.Authorities);
        Assert.StartsWith("-----BEGIN CERTIFICATE REQUEST-----", identity.Request());

        File.WriteAllText(Path.Combine(folder, "enrolment.json"), """{"site":"lyon-1","servers":["https://a:1/","https://b:1"],"advertised":["https://b:1","http://no:1","https://c:1"],"later":{"x":1}}""");
        Assert.Equal(["https://a:1", "https://b:1", "https://c:1"], SiteIdentity.Load(state).Enrolment.Parents());
        Directory.Delete(state, recursive: true);
    }

    [Fact]
    public void A_renewal_replaces_certificate_authorities_and_addresses_and_keeps_the_key()
    {
        string state = Directory.CreateTempSubdirectory("atoll-identity-").FullName;
        (string key, string certificate, string authority) = Issue();
        SiteIdentity.Save(state, new Enrolment { Site = "lyon-1", Servers = ["https://a:1"] }, key, certificate, authority);
        SiteIdentity before = SiteIdentity.Load(state);
        string folder = SiteIdentity.FolderOf(state);
        // What became of the files while the agent ran: the renewal makes them whole.
        File.WriteAllText(Path.Combine(folder, "site.key"), Issue().Key);
        File.WriteAllText(Path.Combine(folder, "enrolment.json"), "");
        Assert.Throws<InvalidDataException>(() => before.Renewed(Issue().Certificate, authority, []));
        Assert.Throws<InvalidDataException>(() => before.Renewed(certificate, "", []));
        Assert.Equal("", File.ReadAllText(Path.Combine(folder, "enrolment.json")));
        Assert.Equal(2, before.Renewed(certificate, authority + "\n" + Issue().Authority, ["https://c:1"]).Authorities.Count);
        SiteIdentity renewed = SiteIdentity.Load(state);
        Assert.StartsWith("-----BEGIN CERTIFICATE REQUEST-----", renewed.Request());
        Assert.Equal(["https://a:1", "https://c:1"], renewed.Enrolment.Parents());
        Assert.Equal(2, renewed.Authorities.Count);
        Assert.True(renewed.Certificate.HasPrivateKey);
        Directory.Delete(state, recursive: true);
    }

    [Theory]
    [InlineData("enrolment.json", "")]
    [InlineData("enrolment.json", "\0\0\0")]
    [InlineData("enrolment.json", "null")]
    [InlineData("enrolment.json", "{}")]
    [InlineData("enrolment.json", """{"site":"lyon-1","servers":["http://a:1"]}""")]
    [InlineData("enrolment.json", null)]
    [InlineData("site.key", "")]
    [InlineData("site.key", null)]
    [InlineData("site.crt", "-----BEGIN CERTIFICATE-----")]
    [InlineData("ca.crt", "")]
    public void A_damaged_identity_says_that_the_machine_is_to_join_again(string file, string? text)
    {
        string state = Directory.CreateTempSubdirectory("atoll-identity-").FullName;
        (string key, string certificate, string authority) = Issue();
        SiteIdentity.Save(state, new Enrolment { Site = "lyon-1", Servers = ["https://a:1"] }, key, certificate, authority);
        Assert.Equal("lyon-1", SiteIdentity.SiteOf(state));
        string path = Path.Combine(SiteIdentity.FolderOf(state), file);
        if (text is null)
            File.Delete(path);
        else
            File.WriteAllText(path, text);
        InvalidDataException damaged = Assert.Throws<InvalidDataException>(() => SiteIdentity.Load(state));
        Assert.Contains("Join again", damaged.Message, StringComparison.Ordinal);
        Assert.Equal(file != "enrolment.json" || text?.Contains("lyon-1", StringComparison.Ordinal) == true ? "lyon-1" : null, SiteIdentity.SiteOf(state));
        SiteIdentity.Save(state, new Enrolment { Site = "lyon-1", Servers = ["https://a:1"] }, key, certificate, authority);
        Assert.Single(SiteIdentity.Load(state).Authorities);
        Directory.Delete(state, recursive: true);
    }

    [Theory]
    [InlineData("/registry/core/pods/default/a", """{"metadata":{"name":"a","uid":"u"}}""", true)]
    [InlineData("/registry/core/pods/default/a", """{"metadata":{"name":"a","uid":"u"}""", false)]
    [InlineData("/registry/core/pods/default/a", """{"metadata":{"name":"a","uie":"u"}}""", false)]
    [InlineData("/registry/core/pods/default/a", """{"metadata":{"name":"a","uid":"u"}}}""", false)]
    [InlineData("/events/core/events/default/a", "", false)]
    [InlineData("/site/members", "{\"nodes\":[]}", true)]
    [InlineData("/site/members", "{", false)]
    [InlineData("/node/voter", "\0\0", false)]
    [InlineData("/link/held/u", "", false)]
    [InlineData("/site/key", "\u0001", true)]
    public void A_value_that_cannot_be_read_is_found(string key, string value, bool isSound) =>
        Assert.Equal(isSound, SiteRecords.IsSound(Encoding.UTF8.GetBytes(key), Encoding.UTF8.GetBytes(value)));

    private static (string Key, string Certificate, string Authority) Issue()
    {
        using ECDsa authorityKey = ECDsa.Create(ECCurve.NamedCurves.nistP256), key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var root = new CertificateRequest("CN=atoll-ca", authorityKey, HashAlgorithmName.SHA256);
        root.CertificateExtensions.Add(new X509BasicConstraintsExtension(true, false, 0, true));
        using X509Certificate2 authority = root.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(30));
        using X509Certificate2 site = new CertificateRequest("CN=system:site:lyon-1", key, HashAlgorithmName.SHA256).Create(authority, DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(20), [1, 2, 3]);
        return (key.ExportPkcs8PrivateKeyPem(), site.ExportCertificatePem(), authority.ExportCertificatePem());
    }
}
