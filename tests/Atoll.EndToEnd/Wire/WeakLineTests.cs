using System.Diagnostics;
using System.Globalization;
using System.Text.Json.Nodes;
using Atoll.EndToEnd.Sites;

namespace Atoll.EndToEnd.Wire;

/// <summary>Real processes over a line of 300 ms round trip, 5 % loss each way and 64 kbit/s; and lines that die in every way.</summary>
[Collection(SitesGroup.Name)]
public sealed class WeakLineTests(LocalRig rig, ITestOutputHelper output)
{
    private static readonly WaySettings s_weak = new() { DelayMs = 140, JitterMs = 20, Loss = 0.05, BitsPerSecond = 64_000 };

    private const int Echoes = 40;

    [Fact]
    public async Task On_a_thin_lossy_line_the_session_holds_and_a_download_starves_nobody()
    {
        rig.Need();
        await rig.Centre.CreateAsync("configmaps", new JsonObject { ["metadata"] = new JsonObject { ["name"] = "weak" }, ["data"] = new JsonObject { ["n"] = "0" } });
        await rig.PodAsync(rig.Bravo, Sites.Pods.Running("weak", rig.Bravo, ["/bin/sh", "-c", "i=0; while true; do echo tick $i $(date +%s); i=$((i+1)); sleep 1; done"]).With((_, container) =>
            container["env"] = new JsonArray(new JsonObject { ["name"] = "N", ["valueFrom"] = new JsonObject { ["configMapKeyRef"] = new JsonObject { ["name"] = "weak", ["key"] = "n" } } })));
        await RegistryImage.PushAsync(new Uri(rig.Server).Host, "bulk", layerBytes: 400_000);
        await using (WeakSite weak = await WeakSite.OpenAsync(rig, rig.Bravo, s_weak))
        {
            int downs = await weak.CountAsync("is down");
            long contentBefore = await ContentAsync();
            using Process logs = Programs.Start("kubectl", rig.KubectlArguments("logs", "-f", "--tail=1", "weak"));
            using Process exec = Programs.Start("kubectl", rig.KubectlArguments("exec", "-i", "weak", "--", "cat"));
            try
            {
                // The download, which would take the line for itself for a minute.
                await rig.Centre.CreateAsync("pods", Sites.Pods.Sleeping("bulk", rig.Bravo, Sites.Pods.Mark()).With((_, container) => container["image"] = "registry.local:5000/bulk:1"));
                await Until.TrueAsync("the download goes through the link", 60, async () => await ContentAsync() > contentBefore + 10_000, weak.LogAsync);
                // What the kernel loses is drawn anew in every run: where the few echoes of one round do not tell, those of more do.
                List<double> echoes = [];
                double p50, p95;
                do
                {
                    await EchoAsync(exec, echoes);
                    (p50, p95) = (echoes[echoes.Count / 2], echoes[echoes.Count * 95 / 100 - 1]);
                }
                while (p95 >= 1500 && echoes.Count < 4 * Echoes);
                double change = await ChangeAsync();
                (int lines, double late) = await FollowAsync(logs);
                long content = await ContentAsync() - contentBefore;
                int? lostUp = await weak.Line.LostAsync(atCentre: true), lostDown = await weak.Line.LostAsync(atCentre: false);
                output.WriteLine($"exec echo p50 {p50:0} ms, p95 {p95:0} ms; ConfigMap change {change:0.0} s; {lines} log lines in order, the latest {late:0.0} s old; meanwhile {content} bytes of the download; lost packets up {weak.Line.Up.Lost} by the line, {lostUp?.ToString(CultureInfo.InvariantCulture) ?? "none"} by the kernel, of {weak.Line.Up.Lost + weak.Line.Up.Passed}, down {weak.Line.Down.Lost}, {lostDown?.ToString(CultureInfo.InvariantCulture) ?? "none"}, of {weak.Line.Down.Lost + weak.Line.Down.Passed}");
                Assert.True(p95 < 1500, $"exec echo p95 {p95} ms");
                Assert.True(change < 5, $"a ConfigMap change took {change} s");
                Assert.True(late < 10, $"the log is {late} s behind");
                Assert.True(content > 50_000, $"the download got only {content} bytes");
                Assert.Equal(downs, await weak.CountAsync("is down"));
                Assert.True((lostUp ?? weak.Line.Up.Lost) > 0 && (lostDown ?? weak.Line.Down.Lost) > 0, "nothing was lost");
            }
            finally
            {
                logs.Kill();
                exec.Kill();
            }
        }
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/weak");
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/pods/bulk");
        await rig.Centre.DeleteAsync("/api/v1/namespaces/default/configmaps/weak");
    }

    [Fact]
    public async Task A_half_open_line_is_noticed_by_both_ends_within_15_seconds_and_a_damaged_byte_ends_the_session_cleanly()
    {
        rig.Need();
        await using WeakSite weak = await WeakSite.OpenAsync(rig, rig.Charlie, new WaySettings { DelayMs = 10 });
        foreach (bool up in (bool[])[true, false])
        {
            int downs = await weak.CountAsync("is down: Silent"), ups = await weak.CountAsync("is up after");
            var clock = Stopwatch.StartNew();
            (up ? weak.Line.Up : weak.Line.Down).Settings = new WaySettings { Loss = 1 };
            await Until.TrueAsync("both ends notice", 30, async () => await rig.PhaseOfAsync(rig.Charlie) == "Disconnected" && await weak.CountAsync("is down") > downs, weak.LogAsync);
            output.WriteLine($"a line dead {(up ? "upwards" : "downwards")} was noticed by both ends after {clock.Elapsed.TotalSeconds:0.0} s");
            Assert.True(clock.Elapsed.TotalSeconds < 15, $"{clock.Elapsed.TotalSeconds} s, up {up}");
            weak.Line.Set(new WaySettings { DelayMs = 10 });
            await Until.TrueAsync("the session is back", 60, async () => await weak.CountAsync("is up after") > ups && await rig.PhaseOfAsync(rig.Charlie) == "Connected", weak.LogAsync);
        }
        foreach (bool up in (bool[])[true, false])
        {
            int downs = await weak.CountAsync("is down"), ups = await weak.CountAsync("is up after");
            LineWay way = up ? weak.Line.Up : weak.Line.Down;
            way.Damaging = true;
            await Until.TrueAsync("the session ended", 60, async () => await weak.CountAsync("is down") > downs, weak.LogAsync);
            way.Damaging = false;
            await Until.TrueAsync("the session is back", 60, async () => await weak.CountAsync("is up after") > ups, weak.LogAsync);
        }
        await rig.ConnectedAsync(rig.Charlie);
        Assert.Equal("after\n", await rig.KubectlAsync("exec", await SamplePodAsync(), "--", "echo", "after"));
    }

    [Fact]
    public async Task A_site_leaves_an_address_that_fell_silent_within_15_seconds_and_returns_to_it_when_it_lasts()
    {
        rig.Need();
        await using WeakSite weak = await WeakSite.OpenAsync(rig, rig.Charlie, new WaySettings { DelayMs = 5 }, second: true);
        Assert.Equal("Preferred", (await weak.ParentAsync())!["reason"]!.GetValue<string>());
        var clock = Stopwatch.StartNew();
        weak.Line.Set(new WaySettings { Loss = 1 });
        await weak.ConnectedAsync(rig.Server, 60);
        output.WriteLine($"the next address was in use after {clock.Elapsed.TotalSeconds:0.0} s");
        Assert.True(clock.Elapsed.TotalSeconds < 15, $"{clock.Elapsed.TotalSeconds} s");
        JsonNode parent = (await weak.ParentAsync())!;
        Assert.Equal("Failover", parent["reason"]!.GetValue<string>());
        Assert.Contains(weak.Line.CentreAddress, parent["message"]!.GetValue<string>(), StringComparison.Ordinal);
        Assert.Contains($"Parent: {rig.Server} (Failover)", await LocalRig.AtollAsync("site", "show", rig.Charlie.Name, "--kubeconfig", rig.Kubeconfig), StringComparison.Ordinal);
        weak.Line.Set(new WaySettings { DelayMs = 5 });
        await weak.ConnectedAsync(weak.Address, 120);
        Assert.Equal("Preferred", (await weak.ParentAsync())!["reason"]!.GetValue<string>());
    }

    private async Task<string> SamplePodAsync() => (await rig.Centre.PodsAsync())!.First(p => p.Key.StartsWith("hello-", StringComparison.Ordinal) && p.Value.Node == rig.Charlie.Name).Key;

    private async Task<long> ContentAsync()
    {
        string metrics = await rig.Centre.TextAsync("/metrics");
        string? line = metrics.Split('\n').FirstOrDefault(l => l.StartsWith($"atoll_link_bytes_total{{site=\"{rig.Bravo.Name}\",class=\"content\",direction=\"down\"}}", StringComparison.Ordinal));
        return line is null ? 0 : long.Parse(line[(line.LastIndexOf(' ') + 1)..], CultureInfo.InvariantCulture);
    }

    // Adds a round of echoes, and puts all in their order.
    private static async Task EchoAsync(Process exec, List<double> times)
    {
        // The first one waits for the process at the other end to be there.
        await exec.StandardInput.WriteLineAsync("ready");
        await exec.StandardInput.FlushAsync();
        Assert.Equal("ready", await exec.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(60)));
        for (int i = 0; i < Echoes; i++)
        {
            long start = Stopwatch.GetTimestamp();
            await exec.StandardInput.WriteLineAsync($"echo {i}");
            await exec.StandardInput.FlushAsync();
            Assert.Equal($"echo {i}", await exec.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(30)));
            times.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
        }
        times.Sort();
    }

    /// <summary>The longest of three changes of a ConfigMap, from the centre's answer to the site's own API.</summary>
    private async Task<double> ChangeAsync()
    {
        using ApiView site = LocalRig.SiteApi(rig.Bravo);
        double longest = 0;
        for (int i = 1; i <= 3; i++)
        {
            string value = i.ToString(CultureInfo.InvariantCulture);
            await rig.KubectlAsync("patch", "configmap", "weak", "--type=merge", "-p", $$$"""{"data":{"n":"{{{value}}}"}}""");
            var clock = Stopwatch.StartNew();
            await Until.TrueAsync("the change is at the site", 60, async () => (await site.GetAsync("/api/v1/namespaces/default/configmaps/weak"))?["data"]?["n"]?.GetValue<string>() == value);
            longest = Math.Max(longest, clock.Elapsed.TotalSeconds);
        }
        return longest;
    }

    /// <summary>Reads what the followed log has brought, in order, up to a line that was written a moment ago.</summary>
    private static async Task<(int Lines, double LateSeconds)> FollowAsync(Process logs)
    {
        int last = -1, lines = 0;
        long begun = DateTimeOffset.UtcNow.ToUnixTimeSeconds();
        while (true)
        {
            string line = await logs.StandardOutput.ReadLineAsync().WaitAsync(TimeSpan.FromSeconds(20)) ?? throw new InvalidOperationException("the log ended");
            string[] words = line.Split(' ');
            int number = int.Parse(words[1], CultureInfo.InvariantCulture);
            Assert.True(last < 0 || number == last + 1, $"line {number} after {last}");
            last = number;
            lines++;
            long written = long.Parse(words[2], CultureInfo.InvariantCulture);
            double late = DateTimeOffset.UtcNow.ToUnixTimeMilliseconds() / 1000.0 - written;
            // What came while nobody read, which may be long, is read at once and does not tell; the first line that had to be waited for tells how late the log is.
            if (lines > 10 && late < 5)
                return (lines, late);
            Assert.True(late < 60 || written < begun, $"the log is {late} s behind");
        }
    }
}
