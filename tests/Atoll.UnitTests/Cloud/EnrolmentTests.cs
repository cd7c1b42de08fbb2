using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Atoll.Api.Enrolment;
using Atoll.Api.Objects;
using Atoll.Cloud.Certificates;
using Atoll.Cloud.Commands;
using Atoll.Cloud.Hub;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Cloud;

public sealed class EnrolmentTests : IDisposable
{
    private readonly string _folder = Directory.CreateTempSubdirectory("atoll-ca-").FullName;
    private readonly FakeTimeProvider _time = new(DateTimeOffset.UtcNow);

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public void A_token_survives_its_text()
    {
        JoinToken token = JoinToken.Create("lyon.1", "certificate"u8);
        Assert.True(JoinToken.TryParse(token.ToString(), out JoinToken? read, out _));
        Assert.Equal(token, read);
        Assert.NotEqual(JoinToken.Create("lyon.1", "certificate"u8).Secret, token.Secret);
    }

    [Theory]
    [InlineData("")]
    [InlineData("atoll1")]
    [InlineData("atoll1.site.short.pin")]
    [InlineData("atoll2.site.aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb")]
    public void A_text_that_is_no_token_is_refused_with_the_fix(string text)
    {
        Assert.False(JoinToken.TryParse(text, out _, out string? error));
        Assert.Contains("atoll site create", error, StringComparison.Ordinal);
    }

    [Fact]
    public void A_site_certificate_is_for_clients_only_and_names_the_centres_choice()
    {
        CertificateAuthority authority = CertificateAuthority.Open(_folder, _time);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string request = new CertificateRequest("CN=system:masters,O=system:masters", key, HashAlgorithmName.SHA256).CreateSigningRequestPem();
        using X509Certificate2 certificate = X509Certificate2.CreateFromPem(authority.IssueSite("lyon", "uid-1", request));
        Assert.Contains("CN=system:site:lyon", certificate.Subject, StringComparison.Ordinal);
        Assert.Contains("O=system:sites", certificate.Subject, StringComparison.Ordinal);
        Assert.DoesNotContain("masters", certificate.Subject, StringComparison.Ordinal);
        Assert.Equal(["1.3.6.1.5.5.7.3.2"], certificate.Extensions.OfType<X509EnhancedKeyUsageExtension>().Single().EnhancedKeyUsages.Cast<Oid>().Select(o => o.Value));
        Assert.True(authority.Signed(certificate, allowExpired: false));
    }

    [Fact]
    public void An_expired_certificate_is_refused_but_still_proves_its_key()
    {
        CertificateAuthority authority = CertificateAuthority.Open(_folder, _time);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = X509Certificate2.CreateFromPem(authority.IssueSite("lyon", "uid-1", new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256).CreateSigningRequestPem()));
        _time.Advance(CertificateAuthority.CertificateLife + TimeSpan.FromDays(1));
        Assert.False(authority.Signed(certificate, allowExpired: false));
        Assert.True(authority.Signed(certificate, allowExpired: true));
    }

    [Fact]
    public void What_was_made_while_the_centres_clock_was_ahead_is_made_anew()
    {
        CertificateAuthority authority = CertificateAuthority.Open(_folder, _time);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var ahead = new FakeTimeProvider(_time.GetUtcNow().AddDays(400));
        CertificateAuthority then = CertificateAuthority.Open(_folder, ahead);
        using X509Certificate2 site = X509Certificate2.CreateFromPem(then.IssueSite("lyon", "uid-1", new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256).CreateSigningRequestPem()));
        using X509Certificate2 server = then.ServerCertificate(["localhost"]), now = authority.ServerCertificate(["localhost"]), kept = authority.ServerCertificate(["localhost"]);
        Assert.NotEqual(server.Thumbprint, now.Thumbprint);
        Assert.Equal(now.Thumbprint, kept.Thumbprint);
        Assert.Equal((false, true), (authority.Signed(site, allowExpired: false), authority.Signed(site, allowExpired: true)));
    }

    [Fact]
    public void Another_authority_is_not_ours_and_ours_is_kept()
    {
        string other = Directory.CreateTempSubdirectory("atoll-ca-").FullName;
        CertificateAuthority ours = CertificateAuthority.Open(_folder, _time), again = CertificateAuthority.Open(_folder, _time), theirs = CertificateAuthority.Open(other, _time);
        Assert.Equal(ours.Certificate.Thumbprint, again.Certificate.Thumbprint);
        using X509Certificate2 foreign = X509Certificate2.CreateFromPem(theirs.IssueClient("admin", "system:masters").Certificate);
        Assert.False(ours.Signed(foreign, allowExpired: true));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder, "ca.key")));
        Directory.Delete(other, recursive: true);
    }

    [Fact]
    public void A_rotation_overlaps_and_is_taken_over_by_a_running_centre()
    {
        CertificateAuthority running = CertificateAuthority.Open(_folder, _time);
        (X509Certificate2 siteOfOld, string digest, X509Certificate2 oldRoot) = (Site(running), running.TrustDigest, running.Certificate);
        SslStreamCertificateContext before = running.ServerContext(["localhost"]);
        Assert.Equal(before.TargetCertificate.Thumbprint, running.ServerContext(["localhost"]).TargetCertificate.Thumbprint);
        CertificateAuthority.Rotate(_folder, _time);
        Assert.Contains("not finished", Assert.Throws<InvalidOperationException>(() => CertificateAuthority.Rotate(_folder, _time)).Message);
        Assert.True(running.Reload());
        Assert.False(running.Reload());
        Assert.Equal(("atoll-ca-2", "atoll-ca", true), (running.Name, running.RetiringName, running.WasRotated));
        Assert.NotEqual(digest, running.TrustDigest);
        // Both are trusted, and the new one is recognised by whoever knows the old one only.
        using X509Certificate2 siteOfNew = Site(running);
        Assert.True(running.Signed(siteOfOld, allowExpired: false) && running.Signed(siteOfNew, allowExpired: false));
        SslStreamCertificateContext shown = running.ServerContext(["localhost"]);
        Assert.True(Chains(shown, oldRoot));
        Assert.True(Chains(shown, running.Certificate));
        Assert.NotEqual(before.TargetCertificate.Thumbprint, shown.TargetCertificate.Thumbprint);

        CertificateAuthority.Retire(_folder, _time);
        Assert.True(running.Reload());
        Assert.Null(running.RetiringName);
        Assert.False(running.Signed(siteOfOld, allowExpired: true));
        Assert.True(running.Signed(siteOfNew, allowExpired: false));
        Assert.False(Chains(running.ServerContext(["localhost"]), oldRoot));
        Assert.Throws<InvalidOperationException>(() => CertificateAuthority.Retire(_folder, _time));
        CertificateAuthority.Rotate(_folder, _time);
        Assert.Equal("atoll-ca-3", CertificateAuthority.OpenExisting(_folder, _time).Name);
        siteOfOld.Dispose();
    }

    [Fact]
    public void A_rotation_waits_until_each_node_trusts_the_new_authority()
    {
        KubeObject[] sites = [SiteOf("one", "new"), SiteOf("moved", "new"), SiteOf("old", "old"), SiteOf("lan", "new"), SiteOf("never", null)];
        KubeObject[] nodes = [NodeOf("n1", "one", "before"), NodeOf("m1", "moved", "now"), NodeOf("l1", "lan", "now"), NodeOf("l2", "lan", "before"), NodeOf("l3", "lan", null)];
        // A certificate may have been given and lost on its way; what an older agent does not tell is not waited for.
        Assert.Equal(["one", "old", "lan/l2"], AuthorityCommands.Behind(sites, nodes, "new", "now", witnesses: false));

        static KubeObject SiteOf(string name, string? issuer) => KubeObject.FromNode(new JsonObject
        {
            ["metadata"] = new JsonObject { ["name"] = name },
            ["status"] = issuer is null ? null : new JsonObject { ["phase"] = "Connected", ["certificate"] = new JsonObject { ["issuer"] = issuer } },
        });

        static KubeObject NodeOf(string name, string site, string? trust) => KubeObject.FromNode(new JsonObject
        {
            ["metadata"] = new JsonObject { ["name"] = name, ["labels"] = new JsonObject { ["edge.atoll.dev/site"] = site } },
            ["status"] = new JsonObject { ["edge"] = trust is null ? null : new JsonObject { ["trust"] = trust } },
        });
    }

    [Fact]
    public void A_rotation_waits_until_each_witness_has_asked()
    {
        KubeObject[] sites = [Led("two", "its voters are a, b and the witness at 192.168.7.10:6446."), Led("three", "its voters are a, b, c.")];
        Assert.Equal(["two/witness"], AuthorityCommands.Behind(sites, [], "new", "now", witnesses: true));
        Assert.Empty(AuthorityCommands.Behind(sites, [], "new", "now", witnesses: false));
        CertificateAuthority.Open(_folder, _time);
        _time.Advance(TimeSpan.FromDays(30));
        CertificateAuthority.Rotate(_folder, _time);
        Assert.Equal(_time.GetUtcNow().UtcDateTime, CertificateAuthority.OpenExisting(_folder, _time).Began, TimeSpan.FromSeconds(1));

        static KubeObject Led(string name, string message) => KubeObject.FromNode(new JsonObject
        {
            ["metadata"] = new JsonObject { ["name"] = name },
            ["status"] = new JsonObject
            {
                ["phase"] = "Connected",
                ["certificate"] = new JsonObject { ["issuer"] = "new" },
                ["conditions"] = new JsonArray(new JsonObject { ["type"] = "Led", ["status"] = "True", ["message"] = message }),
            },
        });
    }

    [Fact]
    public void A_rotation_that_was_interrupted_is_undone_or_completed_by_the_next_start()
    {
        string first = CertificateAuthority.Open(_folder, _time).Certificate.Thumbprint;
        string copy = Directory.CreateTempSubdirectory("atoll-ca-").FullName;
        foreach (string file in Directory.GetFiles(_folder))
            File.Copy(file, Path.Combine(copy, Path.GetFileName(file)));
        CertificateAuthority.Rotate(_folder, _time);
        // Before it was decided: the certificate to retire is written, the next one is not.
        File.Copy(Path.Combine(_folder, "ca-retiring.crt"), Path.Combine(copy, "ca-retiring.crt"));
        File.Copy(Path.Combine(_folder, "ca-cross.crt"), Path.Combine(copy, "ca-cross.crt"));
        CertificateAuthority undone = CertificateAuthority.Open(copy, _time);
        Assert.Equal((first, false), (undone.Certificate.Thumbprint, undone.IsRotating));
        // Decided, and only the key in place.
        File.Copy(Path.Combine(_folder, "ca.crt"), Path.Combine(copy, "ca-next.crt"));
        File.Copy(Path.Combine(_folder, "ca.key"), Path.Combine(copy, "ca.key"), overwrite: true);
        CertificateAuthority completed = CertificateAuthority.Open(copy, _time);
        Assert.Equal(("atoll-ca-2", true), (completed.Name, completed.IsRotating));
        Directory.Delete(copy, recursive: true);
    }

    private static X509Certificate2 Site(CertificateAuthority authority)
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        return X509Certificate2.CreateFromPem(authority.IssueSite("lyon", "uid-1", new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256).CreateSigningRequestPem()));
    }

    private static bool Chains(SslStreamCertificateContext shown, X509Certificate2 root)
    {
        using var chain = new X509Chain();
        chain.ChainPolicy.TrustMode = X509ChainTrustMode.CustomRootTrust;
        chain.ChainPolicy.CustomTrustStore.Add(root);
        chain.ChainPolicy.RevocationMode = X509RevocationMode.NoCheck;
        chain.ChainPolicy.DisableCertificateDownloads = true;
        foreach (X509Certificate2 sent in shown.IntermediateCertificates)
            chain.ChainPolicy.ExtraStore.Add(sent);
        return chain.Build(shown.TargetCertificate);
    }

    [Fact]
    public void A_silent_link_sets_a_nodes_report_aside_and_its_return_brings_it_back()
    {
        JsonObject report = JsonNode.Parse("""{"conditions":[{"type":"Ready","status":"True","reason":"KubeletReady"}],"capacity":{"cpu":"2"}}""")!.AsObject();
        JsonObject shown = NodeLiveness.Unreachable(report, "lyon", _time.GetUtcNow())!;
        Assert.Equal("Unknown", shown["conditions"]![0]!["status"]!.GetValue<string>());
        Assert.Equal("2", shown["capacity"]!["cpu"]!.GetValue<string>());
        Assert.Null(NodeLiveness.Unreachable(shown, "lyon", _time.GetUtcNow()));
        Assert.True(JsonNode.DeepEquals(report, NodeLiveness.Reachable(shown)));
        Assert.Null(NodeLiveness.Reachable(report));
    }
}
