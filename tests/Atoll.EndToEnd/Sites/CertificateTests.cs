using System.Diagnostics;
using System.Net.Security;
using System.Net.Sockets;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace Atoll.EndToEnd.Sites;

/// <summary>Certificates end, are rotated and are judged by wrong clocks, and no site is lost and no stream dropped.</summary>
[Collection(SitesGroup.Name)]
public sealed class CertificateTests(LocalRig rig)
{
    private string Centre => $"{rig.Home}/centre";

    [Fact]
    public async Task The_servers_certificate_and_the_CA_are_rotated_under_running_streams_and_a_site_that_was_away_finds_back()
    {
        rig.Need();
        await rig.PodAsync(rig.Alpha, Pods.Running("rotated", rig.Alpha, ["/bin/sh", "-c", "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.2; done"]));
        string old = $"{rig.Home}/kubeconfig-before", before = await IssuerAsync(rig.Alpha);
        File.Copy(rig.Kubeconfig, old, overwrite: true);
        string absent = $"site-{rig.Charlie.Name}", log = $"{rig.Home}/run/site-{rig.Alpha.Name}.log";
        int downs = Downs(log);
        using Process logs = Programs.Start("kubectl", rig.KubectlArguments("logs", "-f", "rotated"));
        using Process exec = Programs.Start("kubectl", rig.KubectlArguments("exec", "-i", "rotated", "--", "cat"));
        try
        {
            await EchoAsync(exec, "first");
            string shown = await ShownAsync();
            File.Delete($"{Centre}/server.crt");
            await Until.TrueAsync("the server shows another certificate", 60, async () => await ShownAsync() != shown);
            await EchoAsync(exec, "under the old connection");

            IReadOnlyList<string> command = await rig.KillAsync(absent);
            await LocalRig.AtollAsync("ca", "rotate", "--state", Centre);
            await Until.TrueAsync("the connected sites have moved", 90, async () => await IssuerAsync(rig.Alpha) != before && await IssuerAsync(rig.Bravo) != before, () => rig.LogAsync($"site-{rig.Alpha.Name}"));
            await EchoAsync(exec, "under a new CA");
            await Until.TrueAsync("only who is away is waited for", 90, async () =>
            {
                Outcome early = await Programs.RunAsync(Built.Atoll, ["ca", "retire", "--state", Centre, "--kubeconfig", rig.Kubeconfig]);
                Assert.Equal(1, early.Code);
                Assert.Contains(rig.Charlie.Name, early.Error, StringComparison.Ordinal);
                return !early.Error.Contains(rig.Alpha.Name, StringComparison.Ordinal);
            });
            Assert.Contains(rig.Alpha.Name, await Programs.OkAsync("kubectl", "--kubeconfig", old, "get", "sites"), StringComparison.Ordinal);
            // It knows the old CA only.
            await rig.StartAsync(absent, command, rig.Charlie);
            await Until.TrueAsync("the site that was away is back and has moved", 90, async () => await IssuerAsync(rig.Charlie) != before, () => rig.LogAsync(absent));
            await rig.ConnectedAsync(rig.Charlie);

            await Until.TrueAsync("nobody is waited for", 90, async () => (await Programs.RunAsync(Built.Atoll, ["ca", "retire", "--state", Centre, "--kubeconfig", rig.Kubeconfig])).Code == 0);
            await Until.TrueAsync("who holds the old one is a stranger", 60, async () => (await Programs.RunAsync("kubectl", ["--kubeconfig", old, "get", "sites"])).Code != 0);
            rig.Reconnect();
            await EchoAsync(exec, "after it was retired");
            for (int i = 0; i < 50; i++)
                Assert.Equal($"line {i}", await logs.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)));
            Assert.Equal(downs, Downs(log));
        }
        finally
        {
            logs.Kill();
            exec.Kill();
        }
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/rotated");
    }

    [Fact]
    public async Task A_certificate_that_expired_a_year_ago_is_renewed_by_proof_of_the_key()
    {
        rig.Need();
        string daemon = $"site-{rig.Alpha.Name}", path = $"{rig.StateOf(rig.Alpha)}/identity/site.crt";
        IReadOnlyList<string> command = await rig.KillAsync(daemon);
        DateTimeOffset end = DateTimeOffset.UtcNow.AddYears(-1);
        await File.WriteAllTextAsync(path, Aged(await File.ReadAllTextAsync(path), end));
        await rig.StartAsync(daemon, command, rig.Alpha);
        await Until.TrueAsync("it has a new certificate", 60, () =>
        {
            using X509Certificate2 now = X509CertificateLoader.LoadCertificateFromFile(path);
            return Task.FromResult(now.NotAfter.ToUniversalTime() > DateTime.UtcNow);
        }, () => rig.LogAsync(daemon));
        await rig.ConnectedAsync(rig.Alpha);
        Assert.Contains($" on {rig.Alpha.Name}", await rig.PageAsync(rig.Alpha), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("+400d")]
    [InlineData("-400d")]
    public async Task A_site_whose_clock_is_wrong_by_more_than_a_year_connects_and_says_so(string clock)
    {
        rig.Need();
        string daemon = $"site-{rig.Charlie.Name}";
        IReadOnlyList<string> command = await rig.KillAsync(daemon);
        await rig.StartAsync(daemon, ["/usr/bin/env", $"LD_PRELOAD={FakeTime()}", $"FAKETIME={clock}", "DONT_FAKE_MONOTONIC=1", .. command], rig.Charlie);
        await Until.TrueAsync("it is connected, and its clock is told of", 90, async () => await rig.PhaseOfAsync(rig.Charlie) == "Connected" && await SkewedAsync() == "True", () => rig.LogAsync(daemon));
        await rig.KillAsync(daemon);
        await rig.StartAsync(daemon, command, rig.Charlie);
        await Until.TrueAsync("its clock is right again", 90, async () => await SkewedAsync() == "False", () => rig.LogAsync(daemon));
        await rig.ConnectedAsync(rig.Charlie);
    }

    private static string FakeTime() => Directory.EnumerateFiles("/usr/lib", "libfaketime.so.1", new EnumerationOptions { RecurseSubdirectories = true, IgnoreInaccessible = true }).First();

    private async Task<string?> SkewedAsync() =>
        (await rig.Centre.GetAsync($"/apis/edge.atoll.dev/v1alpha1/sites/{rig.Charlie.Name}"))?["status"]?["conditions"]?.AsArray().FirstOrDefault(c => c!["type"]!.GetValue<string>() == "ClockSkewed")?["status"]?.GetValue<string>();

    private static int Downs(string log) => File.ReadLines(log).Count(l => l.Contains("is down", StringComparison.Ordinal));

    private static async Task EchoAsync(Process exec, string text)
    {
        await exec.StandardInput.WriteLineAsync(text);
        await exec.StandardInput.FlushAsync();
        Assert.Equal(text, await exec.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)));
    }

    private async Task<string> IssuerAsync(RigSite site)
    {
        using ApiView centre = ApiView.OfCentre(rig.Kubeconfig);
        return (await centre.GetAsync($"/apis/edge.atoll.dev/v1alpha1/sites/{site.Name}"))?["status"]?["certificate"]?["issuer"]?.GetValue<string>() ?? "";
    }

    private async Task<string> ShownAsync()
    {
        using var client = new TcpClient();
        await client.ConnectAsync(new Uri(rig.Server).Host, new Uri(rig.Server).Port);
        await using var tls = new SslStream(client.GetStream(), false, (_, _, _, _) => true);
        await tls.AuthenticateAsClientAsync("localhost");
        return tls.RemoteCertificate!.GetCertHashString(HashAlgorithmName.SHA256);
    }

    /// <summary>The same certificate, signed by the centre's CA, but with an end in the past.</summary>
    private string Aged(string pem, DateTimeOffset end)
    {
        using X509Certificate2 now = X509Certificate2.CreateFromPem(pem), authority = X509Certificate2.CreateFromPemFile($"{Centre}/ca.crt", $"{Centre}/ca.key");
        using ECDsa signing = authority.GetECDsaPrivateKey()!;
        var request = new CertificateRequest(now.SubjectName, now.PublicKey, HashAlgorithmName.SHA256);
        // Not the key that signed it, which a rotation may have replaced.
        foreach (X509Extension extension in now.Extensions.Where(e => e is not X509AuthorityKeyIdentifierExtension))
            request.CertificateExtensions.Add(extension);
        using X509Certificate2 aged = request.Create(authority.SubjectName, X509SignatureGenerator.CreateForECDsa(signing), end.AddYears(-1), end, [1, 2, 3, 4]);
        return aged.ExportCertificatePem();
    }
}
