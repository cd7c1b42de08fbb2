using System.Diagnostics;
using System.Net.Http.Headers;

namespace Atoll.Bench.Fleet;

/// <summary>
/// Pods a second through everything: a client that posts them over HTTPS (HTTP/2, kept alive) to a real centre with a durable
/// store, controllers and scheduler, until a watch has shown every one of them with its node.
/// </summary>
internal static class PodRate
{
    private const int Clients = 64;

    public sealed record Result(int Nodes, int Pods, TimeSpan Created, TimeSpan Bound, double ServerCpu, double ClientCpu, double FirstRunRate)
    {
        public double Rate => Pods / Bound.TotalSeconds;
    }

    public static async Task<Result> RunAsync(CentreProcess centre, int nodes, int pods)
    {
        await centre.StartAsync();
        using HttpClient client = centre.Client(manyConnections: true);
        await EachAsync(nodes, i => PostAsync(client, "/api/v1/nodes", Node(i)));
        (TimeSpan _, TimeSpan first) = await PlaceAsync(client, "first", pods);
        double rate = pods / first.TotalSeconds;
        await EachAsync(pods, i => DeleteAsync(client, $"/api/v1/namespaces/default/pods/first-{i}"));
        await Task.Delay(2000);
        double server = centre.CpuSeconds, mine = Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds;
        (TimeSpan created, TimeSpan bound) = await PlaceAsync(client, "pods", pods);
        server = centre.CpuSeconds - server;
        mine = Process.GetCurrentProcess().TotalProcessorTime.TotalSeconds - mine;
        return new Result(nodes, pods, created, bound, server, mine, rate);
    }

    private static async Task<(TimeSpan Created, TimeSpan Bound)> PlaceAsync(HttpClient client, string prefix, int pods)
    {
        byte[][] bodies = [.. Enumerable.Range(0, pods).Select(i => Documents.Pending(prefix, i))];
        using HttpResponseMessage watch = await client.GetAsync(new Uri($"/api/v1/namespaces/default/pods?watch=true&labelSelector=app%3D{prefix}", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead);
        watch.EnsureSuccessStatusCode();
        using Stream events = await watch.Content.ReadAsStreamAsync();
        long begin = Stopwatch.GetTimestamp();
        Task<TimeSpan> bound = Task.Run(() => CountAsync(events, pods, begin));
        await EachAsync(pods, i => PostAsync(client, "/api/v1/namespaces/default/pods", bodies[i]));
        TimeSpan created = Stopwatch.GetElapsedTime(begin);
        return (created, await bound);
    }

    // Counts first sights of pods with a node in the lines of a watch, without a document for each.
    private static async Task<TimeSpan> CountAsync(Stream events, int pods, long begin)
    {
        var seen = new HashSet<int>();
        byte[] buffer = new byte[1 << 20];
        int filled = 0;
        while (seen.Count < pods)
        {
            int read = await events.ReadAsync(buffer.AsMemory(filled));
            if (read == 0)
                throw new InvalidOperationException($"the watch ended after {seen.Count} of {pods} pods");
            filled += read;
            int start = 0;
            for (int end; (end = buffer.AsSpan(start, filled - start).IndexOf((byte)'\n')) >= 0; start += end + 1)
            {
                ReadOnlySpan<byte> line = buffer.AsSpan(start, end);
                if (line.IndexOf("\"nodeName\":"u8) >= 0)
                    seen.Add(NumberIn(line));
            }
            buffer.AsSpan(start, filled - start).CopyTo(buffer);
            filled -= start;
        }
        return Stopwatch.GetElapsedTime(begin);
    }

    private static int NumberIn(ReadOnlySpan<byte> line)
    {
        ReadOnlySpan<byte> name = line[(line.IndexOf("\"name\":\""u8) + 8)..];
        name = name[..name.IndexOf((byte)'"')];
        return int.Parse(name[(name.LastIndexOf((byte)'-') + 1)..], System.Globalization.CultureInfo.InvariantCulture);
    }

    private static async Task EachAsync(int count, Func<int, Task> work)
    {
        int next = -1;
        await Task.WhenAll(Enumerable.Range(0, Clients).Select(async _ =>
        {
            for (int i; (i = Interlocked.Increment(ref next)) < count;)
                await work(i);
        }));
    }

    private static async Task PostAsync(HttpClient client, string path, byte[] body)
    {
        using var content = new ByteArrayContent(body) { Headers = { ContentType = new MediaTypeHeaderValue("application/json") } };
        using HttpResponseMessage response = await client.PostAsync(new Uri(path, UriKind.Relative), content);
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"POST {path}: {await response.Content.ReadAsStringAsync()}");
    }

    private static async Task DeleteAsync(HttpClient client, string path)
    {
        using HttpResponseMessage response = await client.DeleteAsync(new Uri(path + "?gracePeriodSeconds=0", UriKind.Relative));
        if (!response.IsSuccessStatusCode)
            throw new InvalidOperationException($"DELETE {path}: {await response.Content.ReadAsStringAsync()}");
    }

    private static byte[] Node(int i) => System.Text.Encoding.UTF8.GetBytes(
        $$$"""{"apiVersion":"v1","kind":"Node","metadata":{"name":"node-{{{i}}}","labels":{"kubernetes.io/hostname":"node-{{{i}}}","topology.kubernetes.io/zone":"zone{{{i % 3}}}","kubernetes.io/arch":"amd64"}},"spec":{},"status":{"capacity":{"cpu":"4","memory":"32Gi","pods":"110"},"allocatable":{"cpu":"4","memory":"32Gi","pods":"110"},"conditions":[{"type":"Ready","status":"True"}]}}""");
}
