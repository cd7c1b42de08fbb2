using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json.Nodes;
using Atoll.Api.Enrolment;
using Atoll.Cloud.Certificates;
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
        using CertificateAuthority authority = CertificateAuthority.Open(_folder, _time);
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
        using CertificateAuthority authority = CertificateAuthority.Open(_folder, _time);
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using X509Certificate2 certificate = X509Certificate2.CreateFromPem(authority.IssueSite("lyon", "uid-1", new CertificateRequest("CN=x", key, HashAlgorithmName.SHA256).CreateSigningRequestPem()));
        _time.Advance(CertificateAuthority.CertificateLife + TimeSpan.FromDays(1));
        Assert.False(authority.Signed(certificate, allowExpired: false));
        Assert.True(authority.Signed(certificate, allowExpired: true));
    }

    [Fact]
    public void Another_authority_is_not_ours_and_ours_is_kept()
    {
        string other = Directory.CreateTempSubdirectory("atoll-ca-").FullName;
        using CertificateAuthority ours = CertificateAuthority.Open(_folder, _time), again = CertificateAuthority.Open(_folder, _time), theirs = CertificateAuthority.Open(other, _time);
        Assert.Equal(ours.Certificate.Thumbprint, again.Certificate.Thumbprint);
        using X509Certificate2 foreign = X509Certificate2.CreateFromPem(theirs.IssueClient("admin", "system:masters").Certificate);
        Assert.False(ours.Signed(foreign, allowExpired: true));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(_folder, "ca.key")));
        Directory.Delete(other, recursive: true);
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
