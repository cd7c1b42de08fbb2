using System.Diagnostics;

namespace Atoll.Bench.Transport;

/// <summary>The measurements, the same for both variants.</summary>
internal static class Measure
{
    public static async Task RunAsync(string name, IBenchClient client, int idleSeconds)
    {
        await client.EchoAsync(CancellationToken.None);
        await Task.Delay(TimeSpan.FromSeconds(idleSeconds));
        Console.WriteLine($"{name} idle memory: {Memory()}");
        Console.WriteLine($"{name} echo alone: {Summary(await EchoesAsync(client, Task.Delay(TimeSpan.FromSeconds(4))))}");
        Stopwatch bulk = Stopwatch.StartNew();
        Task sending = client.BulkAsync(CancellationToken.None);
        // A slow line needs minutes for it: half a minute of echoes is enough then.
        Task limit = Task.WhenAny(sending, Task.Delay(TimeSpan.FromSeconds(30)));
        List<double> echoes = await EchoesAsync(client, limit);
        Console.WriteLine($"{name} echo under bulk: {Summary(echoes)}; bulk {(sending.IsCompleted ? $"done in {bulk.Elapsed.TotalSeconds:0.0} s" : "still flowing")}");
        Console.WriteLine($"{name} memory after: {Memory()}");
    }

    private static async Task<List<double>> EchoesAsync(IBenchClient client, Task until)
    {
        List<double> echoes = [];
        do
        {
            long start = Stopwatch.GetTimestamp();
            await client.EchoAsync(CancellationToken.None);
            echoes.Add(Stopwatch.GetElapsedTime(start).TotalMilliseconds);
            await Task.WhenAny(until, Task.Delay(200));
        }
        while (!until.IsCompleted);
        return echoes;
    }

    private static string Summary(List<double> echoes)
    {
        echoes.Sort();
        return $"n={echoes.Count} p50={echoes[echoes.Count / 2]:0} ms p99={echoes[(int)(echoes.Count * 0.99)]:0} ms max={echoes[^1]:0} ms";
    }

    private static string Memory() =>
        string.Join(", ", File.ReadLines("/proc/self/status").Where(line => line.StartsWith("VmRSS", StringComparison.Ordinal) || line.StartsWith("RssAnon", StringComparison.Ordinal)).Select(line => string.Join(' ', line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries))));
}
