using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;

namespace Atoll.EndToEnd.Sites;

/// <summary>Logs, exec, cp and port-forward at the centre reach a pod behind NAT through the site's one link.</summary>
[Collection(SitesGroup.Name)]
public sealed class TunnelTests(LocalRig rig)
{
    [Fact]
    public async Task Streams_of_every_kind_work_at_once_through_the_link()
    {
        rig.Need();
        await rig.PodAsync(rig.Bravo, Pods.Running("tunnel", rig.Bravo, ["/bin/sh", "-c", "i=0; while true; do echo line $i; i=$((i+1)); sleep 0.2; done"]));
        using Process logs = Programs.Start("kubectl", rig.KubectlArguments("logs", "-f", "tunnel"));
        try
        {
            int port = FreePort();
            (string name, _) = (await rig.Centre.PodsNowAsync()).First(p => p.Key.StartsWith("hello-", StringComparison.Ordinal) && p.Value.Node == rig.Bravo.Name);
            using Process forward = Programs.Start("kubectl", rig.KubectlArguments("port-forward", name, $"{port}:8080"));
            try
            {
                Assert.Contains("Forwarding from", await forward.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)), StringComparison.Ordinal);
                Task<string>[] pages = [.. Enumerable.Range(0, 4).Select(_ => GetAsync($"http://127.0.0.1:{port}/cgi-bin/hello.cgi"))];
                await CopyAsync();
                Assert.All(await Task.WhenAll(pages), page => Assert.Contains($" on {rig.Bravo.Name}", page, StringComparison.Ordinal));
            }
            finally
            {
                forward.Kill();
            }
            Assert.Equal("to the centre\n", await rig.KubectlAsync("exec", "tunnel", "--", "sh", "-c", "echo to the centre"));
            Outcome failed = await Programs.RunAsync("kubectl", rig.KubectlArguments("exec", "tunnel", "--", "sh", "-c", "exit 7"));
            Assert.Equal(7, failed.Code);
            // The log has been flowing beside all that, in order and whole.
            for (int i = 0; i < 10; i++)
                Assert.Equal($"line {i}", await logs.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)));
        }
        finally
        {
            logs.Kill();
        }
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/tunnel");
    }

    private async Task CopyAsync()
    {
        string folder = Directory.CreateTempSubdirectory("atoll-cp-").FullName, there = Path.Combine(folder, "there"), back = Path.Combine(folder, "back");
        await File.WriteAllBytesAsync(there, RandomNumberGenerator.GetBytes(10_000_000));
        await rig.KubectlAsync("cp", there, "tunnel:/tmp/file");
        await rig.KubectlAsync("cp", "tunnel:/tmp/file", back);
        Assert.Equal(await DigestAsync(there), await DigestAsync(back));
        Directory.Delete(folder, recursive: true);

        static async Task<string> DigestAsync(string path)
        {
            await using FileStream stream = File.OpenRead(path);
            return Convert.ToHexString(await SHA256.HashDataAsync(stream));
        }
    }

    private static async Task<string> GetAsync(string address)
    {
        using var client = new HttpClient { Timeout = TimeSpan.FromSeconds(60) };
        return await client.GetStringAsync(address);
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
