using System.Diagnostics;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Cloud.Certificates;
using Atoll.Link;

namespace Atoll.Bench.Fleet;

/// <summary>One fleet: a real centre with a filled store and hollow sites over real connections, through all phases.</summary>
internal sealed class Fleet(CentreProcess centre, int sites, int nodesPerSite, int podsPerNode, int idleSeconds) : IAsyncDisposable
{
    private readonly FleetProgress _progress = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<HollowSite> _sites = [];
    private Task _running = Task.CompletedTask;

    public async Task<FleetResult> RunAsync(Action<string> say)
    {
        var result = new FleetResult { Sites = sites, Nodes = sites * nodesPerSite, Pods = sites * nodesPerSite * podsPerNode };
        long begin = Stopwatch.GetTimestamp();
        Directory.CreateDirectory(centre.State);
        await Filling.RunAsync(Path.Combine(centre.State, "atoll.db"), sites, nodesPerSite, podsPerNode);
        Connectable();
        say($"store filled in {Stopwatch.GetElapsedTime(begin).TotalSeconds:N1} s");
        result.Served = (await centre.StartAsync()).TotalSeconds;
        if (!await ReachedAsync(result, say, FirstSyncAsync))
            return result;
        say($"served in {result.Served:N1} s, all synced in {result.FirstSync:N1} s ({result.FirstSyncCpu:N1} CPU s), {result.FirstSyncBytes:N0} B a site");
        await ReachedAsync(result, say, SteadyAsync);
        say($"steady: {result.SteadyCpu:N1} % of a core, {result.SteadyMemory:N0} MiB ({result.SteadyLive:N0} live), {result.IdleUp:N1} B/s up, {result.IdleDown:N1} B/s down");
        await ReachedAsync(result, say, ConfigAsync);
        say($"ConfigMap of {result.ConfigSize} B at all sites in {result.ConfigAll:N2} s, {result.ConfigDown:N0} B a site");
        await ReachedAsync(result, say, RollAsync);
        say($"Deployment: started everywhere in {result.RollStarted:N1} s, Ready at the centre in {result.RollReady:N1} s, {result.RollCpu:N1} CPU s");
        await ReachedAsync(result, say, ListAsync);
        say($"list of all pods: {result.ListSeconds:N2} s, {result.ListBytes / 1e6:N0} MB; a watch saw a change after {result.WatchLag * 1000:N0} ms");
        await ReachedAsync(result, say, RestartAsync);
        say($"after kill: served in {result.RestartServed:N1} s, all resumed in {result.Resumed:N1} s, {result.ResumeCpu:N1} CPU s, peak {result.ResumePeak:N0} MiB, {result.ResumeBytes:N0} B a site ({result.ResumeSpoken:N0} B beside TLS and its handshake), API p99 {result.ResumeP99:N0} ms ({result.ResumeCalls} calls, {result.ResumeFailures} failed); ends: {result.ResumeEnds}");
        using var me = Process.GetCurrentProcess();
        (result.DriverCpu, result.DriverMemory) = (me.TotalProcessorTime.TotalSeconds, me.WorkingSet64 / 1048576.0);
        result.Load = string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ').Take(3));
        return result;
    }

    // What is not reached in its time is told, and the rest is measured all the same.
    private static async Task<bool> ReachedAsync(FleetResult result, Action<string> say, Func<FleetResult, Task> phase)
    {
        try
        {
            await phase(result);
            return true;
        }
        catch (TimeoutException e)
        {
            result.Missed.Add(e.Message);
            say(e.Message);
            return false;
        }
    }

    // Every site has a certificate of its own from the centre's authority, over one key.
    private void Connectable()
    {
        CertificateAuthority authority = CertificateAuthority.Open(centre.State, TimeProvider.System);
        ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        string request = new CertificateRequest("CN=site", key, HashAlgorithmName.SHA256).CreateSigningRequestPem();
        X509Certificate2Collection authorities = [];
        authorities.ImportFromPem(authority.CertificatePem);
        for (int i = 0; i < sites; i++)
        {
            using X509Certificate2 bare = X509Certificate2.CreateFromPem(authority.IssueSite(Documents.SiteName(i), Documents.SiteUid(i), request));
            _sites.Add(new HollowSite(centre.Address, new LinkIdentity(bare.CopyWithPrivateKey(key), authorities), _progress, new Random(i)));
        }
    }

    private async Task FirstSyncAsync(FleetResult result)
    {
        double cpu = centre.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        _running = Task.WhenAll(_sites.Select(s => Task.Run(() => s.Link.RunAsync(_stop.Token))));
        await UntilAsync("all sites are live", 300 + sites / 10, () => _progress.Live == sites);
        result.FirstSync = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        result.FirstSyncCpu = centre.CpuSeconds - cpu;
        result.FirstSyncBytes = _sites.Average(s => s.Wire.Sent + s.Wire.Received);
        int held = _sites.Min(s => s.Held);
        if (held < nodesPerSite * (podsPerNode + 1) + 1)
            throw new InvalidOperationException($"a site holds {held} objects only");
    }

    private async Task SteadyAsync(FleetResult result)
    {
        // What follows a connection (Site and Node status) is written before, and what was garbage is gone.
        double before, calm = 0.9;
        do
        {
            // Where it never gets as calm as that, it is as steady as it gets.
            (before, calm) = (centre.CpuSeconds, calm * 1.05);
            await Task.Delay(3000);
        }
        while (centre.CpuSeconds - before > calm);
        // It gives back what the burst needed when it has been calm for two of its looks, each 5 s; that is no part of the steady state.
        await Task.Delay(20_000);
        (double up, double down) = Bytes();
        double cpu = centre.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        await Task.Delay(TimeSpan.FromSeconds(idleSeconds));
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        result.SteadyCpu = (centre.CpuSeconds - cpu) / seconds * 100;
        result.SteadyMemory = centre.ResidentMib;
        result.SteadyLive = await LiveMibAsync();
        (double upAfter, double downAfter) = Bytes();
        (result.IdleUp, result.IdleDown) = ((upAfter - up) / seconds / sites, (downAfter - down) / seconds / sites);
    }

    private async Task ConfigAsync(FleetResult result)
    {
        using HttpClient client = centre.Client();
        JsonObject document = Documents.Shared(1);
        byte[] body = Encoding.UTF8.GetBytes(document.ToJsonString());
        (double _, double down) = Bytes();
        _progress.ExpectConfig(1);
        double cpu = centre.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        await SendAsync(client, HttpMethod.Put, $"/api/v1/namespaces/default/configmaps/{Documents.SharedName}", body);
        await UntilAsync("all sites have the ConfigMap", 60, () => _progress.Configs >= sites);
        result.ConfigAll = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        result.ConfigCpu = centre.CpuSeconds - cpu;
        result.ConfigDown = (Bytes().Down - down) / sites;
        result.ConfigSize = body.Length;
    }

    private async Task RollAsync(FleetResult result)
    {
        using HttpClient client = centre.Client();
        _progress.Clear();
        double cpu = centre.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        await SendAsync(client, HttpMethod.Post, "/apis/apps/v1/namespaces/default/deployments", Encoding.UTF8.GetBytes(Documents.OnePerSite(sites).ToJsonString()));
        await UntilAsync("all replicas were started", 120 + sites / 20, () => _progress.Pods >= sites);
        result.RollStarted = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        while (await ReadyAsync(client) < sites)
        {
            if (Stopwatch.GetElapsedTime(begin).TotalSeconds > 300)
                throw new TimeoutException("not within 300 s: all replicas are Ready at the centre");
            await Task.Delay(50);
        }
        result.RollReady = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        result.RollCpu = centre.CpuSeconds - cpu;
    }

    private static async Task<int> ReadyAsync(HttpClient client)
    {
        JsonNode? deployment = JsonNode.Parse(await client.GetStringAsync(new Uri("/apis/apps/v1/namespaces/default/deployments/roll", UriKind.Relative)));
        return deployment?["status"]?["readyReplicas"]?.GetValue<int>() ?? 0;
    }

    private async Task ListAsync(FleetResult result)
    {
        using HttpClient client = centre.Client();
        long begin = Stopwatch.GetTimestamp();
        using (HttpResponseMessage all = await client.GetAsync(new Uri("/api/v1/pods", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead))
        {
            using Stream body = await all.Content.ReadAsStreamAsync();
            byte[] buffer = new byte[1 << 16];
            for (int read; (read = await body.ReadAsync(buffer)) > 0;)
            {
                if (result.ListBytes == 0)
                    result.ListFirst = Stopwatch.GetElapsedTime(begin).TotalSeconds;
                result.ListBytes += read;
            }
        }
        result.ListSeconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        using HttpResponseMessage watch = await client.GetAsync(new Uri("/api/v1/pods?watch=true&resourceVersion=0&fieldSelector=spec.nodeName%3D" + Documents.NodeName(0, 0), UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        using var events = new StreamReader(await watch.Content.ReadAsStreamAsync());
        begin = Stopwatch.GetTimestamp();
        _sites[0].Touch("default/pre-00000-00-00", 7);
        while (await events.ReadLineAsync() is { } line)
            if (line.Contains("\"restartCount\":7", StringComparison.Ordinal))
                break;
        result.WatchLag = Stopwatch.GetElapsedTime(begin).TotalSeconds;
    }

    private async Task RestartAsync(FleetResult result)
    {
        _progress.Clear();
        centre.Kill();
        await UntilAsync("the sites know that the centre is gone", 30, () => _progress.Live == 0);
        double spoken = _sites.Sum(s => s.Spoken);
        long begin = Stopwatch.GetTimestamp();
        result.RestartServed = (await centre.StartAsync()).TotalSeconds;
        await using ApiProbe probe = new ApiProbe(centre.Client()).Start();
        await UntilAsync("all sites have resumed", 120 + sites / 10, () => _progress.Live == sites);
        result.Resumed = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        result.ResumeP99 = await probe.EndAsync(0.99);
        result.ResumeP50 = await probe.EndAsync(0.5);
        (result.ResumeCalls, result.ResumeFailures) = (probe.Calls, probe.Failures);
        result.ResumeCpu = centre.CpuSeconds;
        result.ResumePeak = centre.PeakMib;
        result.ResumeBytes = _sites.Average(s => s.Wire.Sent + s.Wire.Received);
        result.ResumeSpoken = (_sites.Sum(s => s.Spoken) - spoken) / sites;
        result.ResumeEnds = _progress.Ends;
    }

    private async Task<double> LiveMibAsync()
    {
        using HttpClient client = centre.Client();
        string metrics = await client.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        string line = metrics.Split('\n').First(l => l.StartsWith("atoll_heap_live_bytes ", StringComparison.Ordinal));
        return double.Parse(line.Split(' ')[1], System.Globalization.CultureInfo.InvariantCulture) / 1048576;
    }

    private (double Up, double Down) Bytes() => (_sites.Sum(s => (double)s.Wire.Sent), _sites.Sum(s => (double)s.Wire.Received));

    private async Task UntilAsync(string what, int seconds, Func<bool> reached)
    {
        long begin = Stopwatch.GetTimestamp();
        while (!reached())
        {
            if (Stopwatch.GetElapsedTime(begin).TotalSeconds > seconds)
                throw new TimeoutException($"not within {seconds} s: {what}; {_progress.Live} of {sites} live, {_progress.Pods} pods started, {_progress.Configs} ConfigMaps; ends: {_progress.Ends}");
            await Task.Delay(10);
        }
    }

    private static async Task SendAsync(HttpClient client, HttpMethod method, string path, byte[] body)
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative)) { Version = client.DefaultRequestVersion, VersionPolicy = client.DefaultVersionPolicy };
        request.Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
        using HttpResponseMessage response = await client.SendAsync(request);
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"{method} {path}: {await response.Content.ReadAsStringAsync()}");
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync();
        await _running;
        _stop.Dispose();
    }
}
