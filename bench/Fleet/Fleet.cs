using System.Diagnostics;
using System.Globalization;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Cloud.Certificates;
using Atoll.Link;

namespace Atoll.Bench.Fleet;

/// <summary>One fleet: a real centre with a filled store and hollow sites over real connections, through all phases.</summary>
internal sealed class Fleet(CentreProcess centre, int sites, int nodesPerSite, int podsPerNode, int idleSeconds, string[] phases, bool held = false, string? filled = null) : IAsyncDisposable
{
    private const int MostHungUp = 100;

    private readonly FleetProgress _progress = new();
    private readonly CancellationTokenSource _stop = new();
    private readonly List<HollowSite> _sites = [];
    private Task _running = Task.CompletedTask;
    private int _hungUp;

    public async Task<FleetResult> RunAsync(Action<string> say)
    {
        var result = new FleetResult(sites, sites * nodesPerSite, sites * nodesPerSite * podsPerNode) { Day = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture), Load = LoadNow() };
        long begin = Stopwatch.GetTimestamp();
        Directory.CreateDirectory(centre.State);
        Held? before = await Filling.RunAsync(Path.Combine(filled ?? centre.State, "atoll.db"), sites, nodesPerSite, podsPerNode, held);
        if (filled is not null)
            foreach (string file in Directory.GetFiles(filled, "atoll.db*"))
                File.Copy(file, Path.Combine(centre.State, Path.GetFileName(file)));
        Connectable();
        foreach (HollowSite site in before is null ? [] : _sites)
            site.Hold(before!.Sequence, before.Sites[site.Name]);
        before = null;
        // Up to here it went on where the filling ended, whose store and server are in use that long.
        await Task.Yield();
        // What the filling needed is the centre's from here on.
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        GC.WaitForPendingFinalizers();
        GC.Collect(GC.MaxGeneration, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        say($"store filled in {Stopwatch.GetElapsedTime(begin).TotalSeconds:N1} s");
        double served = (await centre.StartAsync()).TotalSeconds;
        result.First = await PhaseAsync(() => FirstSyncAsync(served));
        if (result.First is null)
            return result;
        result.Steady = await PhaseAsync(SteadyAsync, "steady");
        result.Config = await PhaseAsync(ConfigAsync, "config");
        result.List = await PhaseAsync(ListAsync, "list");
        result.Watch = await PhaseAsync(WatchAsync, "watch");
        result.Roll = await PhaseAsync(RollAsync, "roll");
        result.CentrePeak = centre.PeakMib;
        result.Resume = await PhaseAsync(() => RestartAsync(say), "resume");
        result.HungUp = _hungUp;
        result.DriverMemory = Process.GetCurrentProcess().PeakWorkingSet64 / 1048576.0;
        result.Load += $" to {LoadNow()}";
        return result;

        // What is not reached in its time is told, and the rest is measured all the same.
        async Task<T?> PhaseAsync<T>(Func<Task<T>> phase, string? name = null) where T : class
        {
            if (name is not null && phases.Length > 0 && !phases.Contains(name))
                return null;
            try
            {
                T reached = await phase();
                say(reached.ToString()!);
                return reached;
            }
            catch (Exception e) when (e is TimeoutException or HttpRequestException or IOException)
            {
                result.Missed.Add(e.Message);
                say(e.Message);
                return null;
            }
        }
    }

    private static string LoadNow() => File.ReadAllText("/proc/loadavg").Split(' ')[0];

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
            _sites.Add(new HollowSite(Documents.SiteName(i), centre.Address, new LinkIdentity(bare.CopyWithPrivateKey(key), authorities), _progress, new Random(i)));
        }
    }

    private async Task<FirstSync> FirstSyncAsync(double served)
    {
        double cpu = centre.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        _running = Task.WhenAll(_sites.Select(s => Task.Run(() => s.Link.RunAsync(_stop.Token))));
        await UntilAsync("all sites are live", 300 + sites / 10, () => _progress.Live == sites);
        int held = _sites.Min(s => s.Held);
        if (held < nodesPerSite * (podsPerNode + 1) + 1)
            throw new InvalidOperationException($"a site holds {held} objects only");
        return new FirstSync(served, Stopwatch.GetElapsedTime(begin).TotalSeconds, centre.CpuSeconds - cpu, _sites.Average(s => s.Wire.Sent + s.Wire.Received));
    }

    private async Task<Steady> SteadyAsync()
    {
        // What follows a connection (Site and Node status) is written before, and what the burst needed is given back.
        await UntilAsync("the centre is calm and has given back what the burst needed", 240, async () => await MetricAsync("atoll_memory_settled") == 1, 1000);
        // Calm by its memory is not yet idle: what follows a connection is written by then, or it is measured again.
        Steady steady = await IdleAsync();
        for (double before = double.MaxValue; steady.Cpu < before * 0.9; steady = await IdleAsync())
            before = steady.Cpu;
        return steady;
    }

    private async Task<Steady> IdleAsync()
    {
        (double up, double down) = Bytes();
        (double cpu, double mine) = (centre.CpuSeconds, MyCpuSeconds);
        long begin = Stopwatch.GetTimestamp();
        await Task.Delay(TimeSpan.FromSeconds(idleSeconds));
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        (cpu, mine) = (centre.CpuSeconds - cpu, MyCpuSeconds - mine);
        (double upAfter, double downAfter) = Bytes();
        return new Steady(cpu / seconds * 100, mine / seconds * 100, centre.ResidentMib, await MetricAsync("atoll_heap_live_bytes") / 1048576, (upAfter - up) / seconds / sites, (downAfter - down) / seconds / sites);
    }

    private async Task<ConfigChange> ConfigAsync()
    {
        using HttpClient client = await ConnectAsync();
        byte[] body = Encoding.UTF8.GetBytes(Documents.Shared(1).ToJsonString());
        (double _, double down) = Bytes();
        _progress.ExpectConfig(1);
        double cpu = centre.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        await SendAsync(client, HttpMethod.Put, $"/api/v1/namespaces/default/configmaps/{Documents.SharedName}", body);
        await UntilAsync("all sites have the ConfigMap", 60, () => _progress.Configs >= sites);
        return new ConfigChange(Stopwatch.GetElapsedTime(begin).TotalSeconds, centre.CpuSeconds - cpu, (Bytes().Down - down) / sites, body.Length);
    }

    private async Task<Rollout> RollAsync()
    {
        using HttpClient client = await ConnectAsync();
        _progress.Clear();
        double cpu = centre.CpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        await SendAsync(client, HttpMethod.Post, "/apis/apps/v1/namespaces/default/deployments", Encoding.UTF8.GetBytes(Documents.OnePerSite(sites).ToJsonString()));
        await UntilAsync("all replicas were started", 120 + sites / 20, () => _progress.Pods >= sites);
        double started = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        await UntilAsync("all replicas are Ready at the centre", 300, async () => await ReadyAsync(client) >= sites, 50);
        return new Rollout(started, Stopwatch.GetElapsedTime(begin).TotalSeconds, centre.CpuSeconds - cpu);
    }

    private static async Task<int> ReadyAsync(HttpClient client)
    {
        JsonNode? deployment = JsonNode.Parse(await client.GetStringAsync(new Uri("/apis/apps/v1/namespaces/default/deployments/roll", UriKind.Relative)));
        return deployment?["status"]?["readyReplicas"]?.GetValue<int>() ?? 0;
    }

    private async Task<Listing> ListAsync()
    {
        using HttpClient client = await ConnectAsync();
        double cpu = Reset(out double resident);
        (double first, double seconds, double bytes) = await WholeAsync(client, "/api/v1/pods");
        (cpu, double rise) = (centre.CpuSeconds - cpu, centre.SincePeakMib - resident);
        double pagedCpu = Reset(out resident), paged = await PagedAsync(client);
        (pagedCpu, double pagedRise) = (centre.CpuSeconds - pagedCpu, centre.SincePeakMib - resident);
        (double _, double nodesSeconds, double nodesBytes) = await WholeAsync(client, "/api/v1/nodes");
        using HttpResponseMessage watch = await client.GetAsync(new Uri("/api/v1/pods?watch=true&resourceVersion=0&fieldSelector=spec.nodeName%3D" + Documents.NodeName(0, 0), UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        using var events = new StreamReader(await watch.Content.ReadAsStreamAsync());
        long begin = Stopwatch.GetTimestamp();
        _sites[0].Touch("default/pre-00000-00-00", 7);
        while (await events.ReadLineAsync() is { } line)
            if (line.Contains("\"restartCount\":7", StringComparison.Ordinal))
                break;
        return new Listing(first, seconds, bytes, Stopwatch.GetElapsedTime(begin).TotalSeconds, paged, cpu, rise, pagedCpu, pagedRise, nodesSeconds, nodesBytes);

        double Reset(out double resident)
        {
            centre.ResetPeak();
            resident = centre.ResidentMib;
            return centre.CpuSeconds;
        }
    }

    private static async Task<(double First, double Seconds, double Bytes)> WholeAsync(HttpClient client, string path)
    {
        long begin = Stopwatch.GetTimestamp();
        double bytes = 0, first = 0;
        using HttpResponseMessage all = await client.GetAsync(new Uri(path, UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        all.EnsureSuccessStatusCode();
        using Stream body = await all.Content.ReadAsStreamAsync();
        byte[] buffer = new byte[1 << 16];
        for (int read; (read = await body.ReadAsync(buffer)) > 0; bytes += read)
            if (bytes == 0)
                first = Stopwatch.GetElapsedTime(begin).TotalSeconds;
        return (first, Stopwatch.GetElapsedTime(begin).TotalSeconds, bytes);
    }

    // A hundred watchers share a connection, as many streams as the centre allows on one.
    private async Task<Watching> WatchAsync()
    {
        const int connections = 10, streams = 100, writes = 100;
        double memory = centre.ResidentMib;
        var clients = new List<HttpClient>();
        var watches = new List<PodWatch>();
        try
        {
            for (int i = 0; i < connections; i++)
                clients.Add(await ConnectAsync());
            string version = JsonNode.Parse(await clients[0].GetStringAsync(new Uri("/api/v1/pods?limit=1", UriKind.Relative)))!["metadata"]!["resourceVersion"]!.GetValue<string>();
            long begin = Stopwatch.GetTimestamp();
            watches.AddRange(await Task.WhenAll(Enumerable.Range(0, connections * streams).Select(i => PodWatch.StartAsync(clients[i / streams], version, writes))));
            double opened = Stopwatch.GetElapsedTime(begin).TotalSeconds, cpu = centre.CpuSeconds;
            long[] sent = new long[writes];
            double[] written = new double[writes];
            using HttpClient writer = await ConnectAsync();
            for (int i = 0; i < writes; i++)
            {
                sent[i] = Stopwatch.GetTimestamp();
                await SendAsync(writer, HttpMethod.Patch, $"/api/v1/namespaces/default/pods/pre-{i * (sites / writes):D5}-00-01/status", PodWatch.Mark(i), "application/merge-patch+json");
                written[i] = Stopwatch.GetElapsedTime(sent[i]).TotalMilliseconds;
                await Task.Delay(100);
            }
            await UntilAsync("all watchers have seen all writes", 60, () => watches.TrueForAll(w => w.Seen == writes));
            double[] lags = [.. watches.SelectMany(w => w.At.Select((at, i) => Stopwatch.GetElapsedTime(sent[i], at).TotalMilliseconds)).Order()];
            return new Watching(watches.Count, opened, writes, lags[lags.Length / 2], lags[lags.Length * 99 / 100], lags[^1], written.Order().ElementAt(writes / 2), centre.CpuSeconds - cpu, centre.ResidentMib - memory);
        }
        finally
        {
            watches.ForEach(w => w.Dispose());
            foreach (HttpClient client in clients)
                client.Dispose();
        }
    }

    // A client with a connection. Whoever is hung up on comes again, as any client does, and is counted.
    private async Task<HttpClient> ConnectAsync()
    {
        while (true)
        {
            HttpClient client = centre.Client();
            try
            {
                using HttpResponseMessage answer = await client.GetAsync(new Uri("/readyz", UriKind.Relative));
                return client;
            }
            catch (HttpRequestException e) when (++_hungUp < MostHungUp)
            {
                Console.Error.WriteLine($"hung up on: {e.Message} {e.InnerException?.Message}");
                client.Dispose();
                await Task.Delay(500);
            }
        }
    }

    // As kubectl lists: 500 at a time, each page after the one before.
    private static async Task<double> PagedAsync(HttpClient client)
    {
        long begin = Stopwatch.GetTimestamp();
        string next = "";
        do
        {
            byte[] page = await client.GetByteArrayAsync(new Uri("/api/v1/pods?limit=500" + next, UriKind.Relative));
            next = Continue(page);
        }
        while (next.Length > 0);
        return Stopwatch.GetElapsedTime(begin).TotalSeconds;

        static string Continue(ReadOnlySpan<byte> page)
        {
            ReadOnlySpan<byte> name = "\"continue\":\""u8;
            int at = page.IndexOf(name);
            return at < 0 || page[at + name.Length] == (byte)'"' ? "" : "&continue=" + Uri.EscapeDataString(Encoding.UTF8.GetString(page[(at + name.Length)..][..page[(at + name.Length)..].IndexOf((byte)'"')]));
        }
    }

    private async Task<Resumption> RestartAsync(Action<string> say)
    {
        using ApiProbeProcess probe = await ApiProbeProcess.StartAsync(centre.ConfigPath);
        _progress.Clear();
        centre.Kill();
        await UntilAsync("the sites know that the centre is gone", 30, () => _progress.Live == 0);
        double spoken = _sites.Sum(s => s.Spoken), mine = MyCpuSeconds;
        long begin = Stopwatch.GetTimestamp();
        probe.Go();
        double served = (await centre.StartAsync()).TotalSeconds;
        long told = 0;
        await UntilAsync("all sites have resumed", 120 + sites / 10, () =>
        {
            if (Stopwatch.GetElapsedTime(begin).TotalSeconds is var now && (long)now > told)
                say($"  {told = (long)now} s after its start: {_progress.Live} live, {centre.CpuSeconds:N1} s of processor time, driver {MyCpuSeconds - mine:N1} s, {centre.ResidentMib:N0} MiB; {_progress.Ends}");
            return _progress.Live == sites;
        });
        double seconds = Stopwatch.GetElapsedTime(begin).TotalSeconds, cpu = centre.CpuSeconds;
        return new Resumption(served, seconds, cpu, MyCpuSeconds - mine, centre.PeakMib, _sites.Average(s => s.Wire.Sent + s.Wire.Received), (_sites.Sum(s => s.Spoken) - spoken) / sites, await probe.EndAsync(), _progress.Ends);
    }

    private static double MyCpuSeconds => Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds;

    private async Task<double> MetricAsync(string name)
    {
        using HttpClient client = await ConnectAsync();
        string metrics = await client.GetStringAsync(new Uri("/metrics", UriKind.Relative));
        string line = metrics.Split('\n').First(l => l.StartsWith(name + ' ', StringComparison.Ordinal));
        return double.Parse(line.Split(' ')[1], CultureInfo.InvariantCulture);
    }

    private (double Up, double Down) Bytes() => (_sites.Sum(s => (double)s.Wire.Sent), _sites.Sum(s => (double)s.Wire.Received));

    private Task UntilAsync(string what, int seconds, Func<bool> reached) => UntilAsync(what, seconds, () => Task.FromResult(reached()), 10);

    private async Task UntilAsync(string what, int seconds, Func<Task<bool>> reached, int pauseMs)
    {
        long begin = Stopwatch.GetTimestamp();
        while (!await reached())
        {
            if (Stopwatch.GetElapsedTime(begin).TotalSeconds > seconds)
                throw new TimeoutException($"not within {seconds} s: {what}; {_progress.Live} of {sites} live, {_progress.Pods} pods started, {_progress.Configs} ConfigMaps; ends: {_progress.Ends}");
            await Task.Delay(pauseMs);
        }
    }

    private static async Task SendAsync(HttpClient client, HttpMethod method, string path, byte[] body, string contentType = "application/json")
    {
        using var request = new HttpRequestMessage(method, new Uri(path, UriKind.Relative)) { Version = client.DefaultRequestVersion, VersionPolicy = client.DefaultVersionPolicy };
        request.Content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue(contentType) } };
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
