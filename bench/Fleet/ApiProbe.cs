using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>
/// A user of the API while something else goes on: every 100 ms, whether the call before it is answered or not, it reads one pod, lists 500,
/// reads the pod over a connection of its own, or writes a ConfigMap, in turn. It is a process of its own, so that what it waits for is the
/// centre and not the driver's other work: <c>fleet-bench probe KUBECONFIG</c> waits for a line, then until the API answers, and counts until the next line.
/// </summary>
internal sealed class ApiProbe(Func<HttpClient> connect)
{
    private static readonly TimeSpan s_period = TimeSpan.FromMilliseconds(100);

    private readonly Lock _lock = new();
    private readonly List<(bool Fresh, double Ms)> _calls = [];
    private int _failures;

    /// <summary>The other end of <see cref="ApiProbeProcess"/>.</summary>
    public static async Task ServeAsync(Func<HttpClient> connect, TextReader from, TextWriter to)
    {
        // Once over what will be measured, for code that is compiled by then.
        await new ApiProbe(connect).CountAsync(Task.Delay(500));
        await to.WriteLineAsync("ready");
        await from.ReadLineAsync();
        // The console's reader blocks whoever asks it, whatever its methods are called.
        Task<string?> end = Task.Run(from.ReadLine);
        while (!end.IsCompleted && !await AnswersAsync(connect))
            await Task.Delay(10);
        var probe = new ApiProbe(connect);
        await probe.CountAsync(end);
        await to.WriteLineAsync(ApiFigures.Of(probe._calls, probe._failures).ToLine());
    }

    private static async Task<bool> AnswersAsync(Func<HttpClient> connect)
    {
        try
        {
            using HttpClient client = connect();
            return (await client.GetAsync(new Uri("/readyz", UriKind.Relative))).IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or IOException or InvalidDataException)
        {
            return false; // Not there, or its kubeconfig is not yet written.
        }
    }

    private async Task CountAsync(Task end)
    {
        using HttpClient kept = connect();
        var open = new List<Task>();
        long begin = Stopwatch.GetTimestamp();
        for (int i = 0; !end.IsCompleted; i++)
        {
            TimeSpan wait = s_period * i - Stopwatch.GetElapsedTime(begin);
            if (wait > TimeSpan.Zero)
                await Task.WhenAny(end, Task.Delay(wait));
            if (!end.IsCompleted)
                open.Add(OneAsync(kept, i, begin + (long)(s_period.TotalSeconds * i * Stopwatch.Frequency)));
        }
        await Task.WhenAll(open);
    }

    private async Task OneAsync(HttpClient kept, int i, long due)
    {
        bool fresh = i % 4 == 2, ok = false;
        HttpClient client = fresh ? connect() : kept;
        try
        {
            using HttpResponseMessage response = await SendAsync(client, i);
            await response.Content.CopyToAsync(Stream.Null);
            ok = response.IsSuccessStatusCode;
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // Counted below.
        }
        finally
        {
            if (fresh)
                client.Dispose();
        }
        lock (_lock)
        {
            _calls.Add((fresh, Stopwatch.GetElapsedTime(due).TotalMilliseconds));
            _failures += ok ? 0 : 1;
        }
    }

    private static Task<HttpResponseMessage> SendAsync(HttpClient client, int i) => (i % 4) switch
    {
        0 or 2 => client.GetAsync(new Uri("/api/v1/namespaces/default/pods/pre-00000-00-00", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead),
        1 => client.GetAsync(new Uri("/api/v1/namespaces/default/pods?limit=500", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead),
        // An object that no site needs: a change of the namespace, say, would go out to every site, each time.
        _ => client.PatchAsync(new Uri("/api/v1/namespaces/default/configmaps/" + Documents.ProbeName, UriKind.Relative), new StringContent($$$$"""{"data":{"probe":"{{{{i}}}}"}}""", Encoding.UTF8, new MediaTypeHeaderValue("application/merge-patch+json"))),
    };
}
