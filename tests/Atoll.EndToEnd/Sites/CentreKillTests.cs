using System.Collections.Concurrent;
using System.Diagnostics;
using System.Net;
using System.Net.Sockets;
using System.Text.Json.Nodes;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube.Client;

namespace Atoll.EndToEnd.Sites;

/// <summary>kill -9 of a real centre under write load: what it acknowledged is there when it is back.</summary>
[Collection(nameof(CentreKillTests))]
[CollectionDefinition(nameof(CentreKillTests), DisableParallelization = true)]
public sealed class CentreKillTests
{
    private const int Kills = 50, Writers = 4;

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task Fifty_kills_under_load_lose_no_acknowledged_write()
    {
        string folder = Directory.CreateTempSubdirectory("atoll-kill-").FullName;
        var acknowledged = new ConcurrentDictionary<string, string>();
        int port = FreePort();
        Process centre = Start(folder, port);
        try
        {
            for (int round = 0; round < Kills; round++)
            {
                KubeConfig config = await UpAsync(folder, centre);
                int before = acknowledged.Count;
                using var stop = new CancellationTokenSource();
                Task[] writers = [.. Enumerable.Range(0, Writers).Select(w => WriteAsync(config, $"r{round}-w{w}", acknowledged, stop.Token))];
                // The kill falls into the load: some writes of this round are answered, others are under way.
                await UntilAsync(() => acknowledged.Count >= before + 5 + (round % 20), "no write was answered");
                centre.Kill();
                await centre.WaitForExitAsync().WaitAsync(s_limit);
                await stop.CancelAsync();
                await Task.WhenAll(writers);
                centre.Dispose();
                centre = Start(folder, port);
            }
            using var client = new HttpResources(await UpAsync(folder, centre));
            ApiList list = await client.ListAsync(Kinds.ConfigMap, "default", ListOptions.Default, CancellationToken.None);
            Dictionary<string, string> found = list.Items.ToDictionary(i => i.Name, i => i.Uid);
            Assert.True(acknowledged.Count >= Kills * 5);
            Assert.All(acknowledged, pair => Assert.Equal(pair.Value, found.GetValueOrDefault(pair.Key)));
        }
        finally
        {
            centre.Kill();
            await centre.WaitForExitAsync();
            centre.Dispose();
            Directory.Delete(folder, recursive: true);
        }
    }

    private static async Task WriteAsync(KubeConfig config, string prefix, ConcurrentDictionary<string, string> acknowledged, CancellationToken cancellation)
    {
        using var client = new HttpResources(config);
        try
        {
            for (int i = 0; !cancellation.IsCancellationRequested; i++)
            {
                var map = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "ConfigMap", ["metadata"] = new JsonObject { ["name"] = $"{prefix}-{i}" }, ["data"] = new JsonObject { ["i"] = $"{i}" } };
                ApiResult result = await client.CreateAsync(Kinds.ConfigMap, "default", map, cancellation);
                if (result.Object is { } made)
                    acknowledged[made.Name] = made.Uid;
            }
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            // The centre was killed: this write was not acknowledged.
        }
    }

    private static Process Start(string folder, int port)
    {
        // The last start's file must not be taken for this one's.
        File.Delete(Path.Combine(folder, "admin.kubeconfig"));
        var start = new ProcessStartInfo(Built.Atoll) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["server", "--state", folder, "--listen", $"127.0.0.1:{port}", "--advertise", $"https://127.0.0.1:{port}"])
            start.ArgumentList.Add(argument);
        Process process = Process.Start(start)!;
        process.OutputDataReceived += static (_, _) => { };
        process.ErrorDataReceived += static (_, _) => { };
        process.BeginOutputReadLine();
        process.BeginErrorReadLine();
        return process;
    }

    private static async Task<KubeConfig> UpAsync(string folder, Process centre)
    {
        string path = Path.Combine(folder, "admin.kubeconfig");
        // The kubeconfig is written when the API answers.
        await UntilAsync(() => File.Exists(path) || centre.HasExited, "the centre did not come up");
        Assert.False(centre.HasExited, "the centre ended by itself");
        return KubeConfig.Load(path);
    }

    private static async Task UntilAsync(Func<bool> condition, string failure)
    {
        var clock = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(clock.Elapsed < s_limit, failure);
            await Task.Delay(5);
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
