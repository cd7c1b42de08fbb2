using System.Diagnostics;
using System.Net.Http.Headers;
using System.Text;

namespace Atoll.Bench.Fleet;

/// <summary>A user of the API while something else goes on: reads one pod, lists 500, writes a ConfigMap, in turn; how long each took.</summary>
internal sealed class ApiProbe(HttpClient client) : IAsyncDisposable
{
    private readonly CancellationTokenSource _stop = new();
    private readonly List<double> _ms = [];
    private Task _running = Task.CompletedTask;

    /// <summary>Calls that did not succeed.</summary>
    public int Failures { get; private set; }

    public int Calls => _ms.Count;

    public ApiProbe Start()
    {
        _running = Task.Run(RunAsync);
        return this;
    }

    /// <summary>Ends it; the percentile of all calls in milliseconds.</summary>
    public async Task<double> EndAsync(double percentile)
    {
        await _stop.CancelAsync();
        await _running;
        double[] sorted = [.. _ms.Order()];
        return sorted.Length == 0 ? double.NaN : sorted[Math.Min(sorted.Length - 1, (int)Math.Ceiling(sorted.Length * percentile) - 1)];
    }

    public async ValueTask DisposeAsync()
    {
        await EndAsync(1);
        client.Dispose();
        _stop.Dispose();
    }

    private async Task RunAsync()
    {
        for (int i = 0; !_stop.IsCancellationRequested; i++)
        {
            long begin = Stopwatch.GetTimestamp();
            try
            {
                using HttpResponseMessage response = await SendAsync(i);
                await response.Content.CopyToAsync(Stream.Null, _stop.Token);
                if (!response.IsSuccessStatusCode)
                    Failures++;
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (HttpRequestException)
            {
                Failures++;
            }
            _ms.Add(Stopwatch.GetElapsedTime(begin).TotalMilliseconds);
            await Task.Delay(20);
        }
    }

    private Task<HttpResponseMessage> SendAsync(int i) => (i % 3) switch
    {
        0 => client.GetAsync(new Uri("/api/v1/namespaces/default/pods/pre-00000-00-00", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, _stop.Token),
        1 => client.GetAsync(new Uri("/api/v1/namespaces/default/pods?limit=500", UriKind.Relative), HttpCompletionOption.ResponseHeadersRead, _stop.Token),
        // An object that no site needs: a change of the namespace, say, would go out to every site, each time.
        _ => client.PatchAsync(new Uri("/api/v1/namespaces/default/configmaps/" + Documents.ProbeName, UriKind.Relative), new StringContent($$$$"""{"data":{"probe":"{{{{i}}}}"}}""", Encoding.UTF8, new MediaTypeHeaderValue("application/merge-patch+json")), _stop.Token),
    };
}
