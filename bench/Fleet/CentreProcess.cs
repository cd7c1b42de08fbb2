using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Atoll.Kube.Client;

namespace Atoll.Bench.Fleet;

/// <summary>A real <c>atoll server</c>: started, killed, started again over the same state, and measured from the outside.</summary>
internal sealed class CentreProcess(string program, string state, int heapMib = 0) : IDisposable
{
    /// <summary>Limit of the heap of a centre with the largest fleet: what it holds beside the heap fits into 12 GiB with it.</summary>
    public const int LargeHeapMib = 10 * 1024;

    private static readonly double s_tick = 1.0 / 100;

    private readonly int _port = FreePort();
    private Process? _process;
    private double _peak;

    public Uri Address => new($"https://127.0.0.1:{_port}");

    public string State => state;

    public string ConfigPath => Path.Combine(state, "admin.kubeconfig");

    /// <summary>Starts it and waits until it answers as ready; returns how long that took.</summary>
    public async Task<TimeSpan> StartAsync()
    {
        long begin = Stopwatch.GetTimestamp();
        File.Delete(ConfigPath);
        _peak = 0;
        var start = new ProcessStartInfo(program) { RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string argument in (string[])["server", "--state", state, "--listen", $"127.0.0.1:{_port}", "--advertise", Address.ToString()])
            start.ArgumentList.Add(argument);
        if (heapMib > 0)
            start.Environment["DOTNET_GCHeapHardLimit"] = ((long)heapMib << 20).ToString("x", CultureInfo.InvariantCulture);
        _process = Process.Start(start)!;
        string log = Path.Combine(state, "server.log");
        _ = PumpAsync(_process.StandardOutput, log);
        _ = PumpAsync(_process.StandardError, log + ".err");
        while (true)
        {
            if (_process.HasExited)
                throw new InvalidOperationException($"the centre ended; see {log}");
            try
            {
                if (File.Exists(ConfigPath))
                {
                    using HttpClient client = Client();
                    if ((await client.GetAsync(new Uri("/readyz", UriKind.Relative))).StatusCode == HttpStatusCode.OK)
                        return Stopwatch.GetElapsedTime(begin);
                }
            }
            catch (HttpRequestException)
            {
                // Not listening yet.
            }
            await Task.Delay(10);
        }
    }

    public void Kill()
    {
        _process!.Kill();
        _process.WaitForExit();
        _process.Dispose();
        _process = null;
    }

    /// <summary>An administrator's client: HTTP/2, kept alive.</summary>
    public HttpClient Client(bool manyConnections = false) => Client(KubeConfig.Load(ConfigPath), manyConnections);

    /// <summary>The same, of a kubeconfig that was read before.</summary>
    public static HttpClient Client(KubeConfig config, bool manyConnections = false)
    {
        SocketsHttpHandler handler = config.CreateHandler();
        handler.EnableMultipleHttp2Connections = manyConnections;
        return new HttpClient(handler) { BaseAddress = config.Server, Timeout = Timeout.InfiniteTimeSpan, DefaultRequestVersion = HttpVersion.Version20, DefaultVersionPolicy = HttpVersionPolicy.RequestVersionExact };
    }

    /// <summary>Processor time so far, all threads.</summary>
    public double CpuSeconds
    {
        get
        {
            string[] fields = File.ReadAllText($"/proc/{_process!.Id}/stat").Split(") ")[^1].Split(' ');
            return (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) * s_tick;
        }
    }

    public double ResidentMib => Kib("VmRSS") / 1024;

    /// <summary>Most resident since its start.</summary>
    public double PeakMib => Math.Max(_peak, SincePeakMib);

    /// <summary>Most resident since its start or the last <see cref="ResetPeak"/>.</summary>
    public double SincePeakMib => Kib("VmHWM") / 1024;

    public void ResetPeak()
    {
        _peak = PeakMib;
        File.WriteAllText($"/proc/{_process!.Id}/clear_refs", "5");
    }

    public void Dispose()
    {
        if (_process is not null)
            Kill();
    }

    private double Kib(string name)
    {
        foreach (string line in File.ReadLines($"/proc/{_process!.Id}/status"))
            if (line.StartsWith(name + ":", StringComparison.Ordinal))
                return double.Parse(line.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        throw new InvalidDataException($"/proc has no {name}");
    }

    private static async Task PumpAsync(StreamReader from, string file)
    {
        await using var to = new StreamWriter(file, append: true);
        while (await from.ReadLineAsync() is { } line)
        {
            await to.WriteLineAsync(line);
            await to.FlushAsync();
        }
    }

    private static int FreePort()
    {
        using var listener = new TcpListener(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }
}
