using System.Diagnostics;

namespace Atoll.Bench.Fleet;

/// <summary>Starts <see cref="ApiProbe"/> as a process of its own and takes its figures.</summary>
internal sealed class ApiProbeProcess : IDisposable
{
    private readonly Process _process;

    private ApiProbeProcess(Process process) => _process = process;

    /// <summary>Starts it and waits until it has tried its calls once.</summary>
    public static async Task<ApiProbeProcess> StartAsync(string kubeconfig)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath!) { RedirectStandardInput = true, RedirectStandardOutput = true };
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet")
            start.ArgumentList.Add(typeof(ApiProbeProcess).Assembly.Location);
        start.ArgumentList.Add("probe");
        start.ArgumentList.Add(kubeconfig);
        var probe = new ApiProbeProcess(Process.Start(start)!);
        await probe.LineAsync();
        return probe;
    }

    /// <summary>From now on it counts, as soon as the API answers.</summary>
    public void Go() => _process.StandardInput.WriteLine("go");

    /// <summary>Ends it once all its calls are answered.</summary>
    public async Task<ApiFigures> EndAsync()
    {
        await _process.StandardInput.WriteLineAsync("end");
        return ApiFigures.Parse(await LineAsync());
    }

    public void Dispose()
    {
        _process.Kill();
        _process.Dispose();
    }

    private async Task<string> LineAsync() => await _process.StandardOutput.ReadLineAsync() ?? throw new InvalidOperationException("the probe of the API ended");
}
