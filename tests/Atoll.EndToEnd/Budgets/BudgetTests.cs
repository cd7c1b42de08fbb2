using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Text.Json.Nodes;

namespace Atoll.EndToEnd.Budgets;

/// <summary>The published budgets of a site, held by the native agent in a real installation. About four minutes, most of it waiting.</summary>
public sealed class BudgetTests
{
    private const int Instance = 16, Pods = 10;
    private const long MaxResidentKib = 40 * 1024;
    private const double MaxIdleBytesPerSecond = 30;
    private const string Site = "alpha-16";
    private static readonly TimeSpan s_settle = TimeSpan.FromSeconds(75), s_idle = TimeSpan.FromSeconds(60);

    [Fact]
    public async Task With_10_pods_the_agent_stays_below_40_MiB_and_the_idle_line_below_30_bytes_a_second()
    {
        string root = Root(), atoll = Of(root, "ATOLL_PROGRAM", "artifacts/atoll/atoll"), agent = Of(root, "ATOLL_AGENT", "artifacts/agent/atoll-agent");
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        // The budget is the native agent's; a debug build's launcher has its program beside it.
        Assert.SkipUnless(File.Exists(atoll) && File.Exists(agent) && !File.Exists(agent + ".dll"), "needs: make build");
        string home = Directory.CreateTempSubdirectory("atoll-budget").FullName, manifest = Path.Combine(home, "pods.yaml");
        string[] common = ["--instance", $"{Instance}", "--home", Path.Combine(home, "i"), "--agent", agent];
        await File.WriteAllTextAsync(manifest, Manifest());
        try
        {
            await RunAsync(atoll, ["up", .. common, "--sample", manifest]);
            using HttpClient client = SiteApi();
            var clock = Stopwatch.StartNew();
            while (await RunningAsync(client) < Pods)
            {
                Assert.True(clock.Elapsed < TimeSpan.FromSeconds(90), $"{Pods} pods did not run within 90 s");
                await Task.Delay(500);
            }
            await Task.Delay(s_settle);
            (long down, long up) = (Counter("rx_bytes"), Counter("tx_bytes"));
            clock.Restart();
            await Task.Delay(s_idle);
            double seconds = clock.Elapsed.TotalSeconds, downRate = (Counter("rx_bytes") - down) / seconds, upRate = (Counter("tx_bytes") - up) / seconds;
            long resident = ResidentKib(int.Parse(await File.ReadAllTextAsync(Path.Combine(home, $"i/run/site-{Site}.pid")), CultureInfo.InvariantCulture));
            TestContext.Current.SendDiagnosticMessage($"VmRSS {resident} KiB; wire {upRate:0.0} B/s up, {downRate:0.0} B/s down");
            Assert.True(resident <= MaxResidentKib, $"the agent has {resident} KiB resident with {Pods} pods");
            Assert.True(downRate <= MaxIdleBytesPerSecond && upRate <= MaxIdleBytesPerSecond, $"an idle session costs {upRate:0.0} B/s up and {downRate:0.0} B/s down");
        }
        finally
        {
            await RunAsync(atoll, ["down", .. common]);
            Directory.Delete(home, recursive: true);
        }
    }

    private static string Manifest() => string.Join("---\n", Enumerable.Range(0, Pods).Select(i => $$"""
        apiVersion: v1
        kind: Pod
        metadata:
          name: budget-{{i}}
        spec:
          nodeName: {{Site}}
          terminationGracePeriodSeconds: 0
          containers:
            - name: c
              image: registry.local:5000/hello:1
              command: ["/bin/sleep", "1000000"]

        """));

    private static HttpClient SiteApi() => new(new SocketsHttpHandler
    {
        ConnectCallback = async (_, cancellation) =>
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint($"/run/atoll/{Site}/api.sock"), cancellation);
            return new NetworkStream(socket, ownsSocket: true);
        },
    })
    { BaseAddress = new Uri("http://localhost") };

    private static async Task<int> RunningAsync(HttpClient client)
    {
        JsonNode list = JsonNode.Parse(await client.GetStringAsync(new Uri("/api/v1/namespaces/default/pods", UriKind.Relative)))!;
        return list["items"]!.AsArray().Count(p => p!["status"]?["phase"]?.GetValue<string>() == "Running");
    }

    private static long Counter(string name)
    {
        using Process process = Start("ip", ["netns", "exec", $"atoll-{Site}", "cat", $"/sys/class/net/uplink/statistics/{name}"]);
        string text = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return long.Parse(text, CultureInfo.InvariantCulture);
    }

    private static long ResidentKib(int pid) =>
        long.Parse(File.ReadLines($"/proc/{pid}/status").First(l => l.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);

    private static async Task RunAsync(string program, IReadOnlyList<string> arguments)
    {
        using Process process = Start(program, arguments);
        string output = await process.StandardOutput.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)} ended with {process.ExitCode}: {output}");
    }

    private static Process Start(string program, IReadOnlyList<string> arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return Process.Start(start)!;
    }

    private static string Of(string root, string variable, string path) => Path.GetFullPath(Environment.GetEnvironmentVariable(variable) is { Length: > 0 } given ? given : path, root);

    private static string Root()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "Atoll.slnx")))
            folder = Path.GetDirectoryName(folder)!;
        return folder;
    }
}
