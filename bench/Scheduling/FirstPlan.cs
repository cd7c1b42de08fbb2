using System.Diagnostics;
using System.Globalization;
using System.Runtime;
using System.Text.Json.Nodes;
using System.Text.RegularExpressions;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Orchestration;
using Atoll.Store.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.Bench.Scheduling;

/// <summary>
/// A centre that starts over a store with many pods: how long from the opened store until the first waiting pod has its node,
/// durably. Everything runs that a centre runs over its API: the server, every mirror and controller, the placement loop.
/// </summary>
internal static class FirstPlan
{
    private static readonly Regex s_told = new("First plan was carried out ([0-9]+) ms after the store was open");

    /// <summary>Since the store was open: the API answers, the waiting pod has its node; processor time until then, and the most memory that the process ever had.</summary>
    public readonly record struct Started(TimeSpan Served, TimeSpan Bound, TimeSpan Processor, long PeakMib);

    /// <summary>In a folder of its own, which goes afterwards; the second start counts.</summary>
    public static async Task<Started> MeasureAsync(int nodes, int pods)
    {
        string path = Path.Combine(Path.GetTempPath(), $"atoll-first-plan-{Environment.ProcessId}");
        Directory.CreateDirectory(path);
        try
        {
            string file = Path.Combine(path, "store.db");
            await FillAsync(file, nodes, pods).ConfigureAwait(false);
            // Once to warm up, as every case is.
            await MeasureCopyAsync(file).ConfigureAwait(false);
            return await MeasureCopyAsync(file).ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>Over a copy of a file that <see cref="FillAsync"/> made: a start binds what waits.</summary>
    public static async Task<Started> MeasureCopyAsync(string file)
    {
        string path = Directory.CreateTempSubdirectory("atoll-first-plan-").FullName;
        try
        {
            string copy = Copy(file, path, "store.db");
            GC.Collect();
            return await MeasureAsync(copy).ConfigureAwait(false);
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    /// <summary>Over a file that <see cref="FillAsync"/> made.</summary>
    public static async Task<Started> MeasureAsync(string file)
    {
        await using SqliteStore store = await SqliteStore.OpenAsync(file, new SqliteStoreOptions(), CancellationToken.None).ConfigureAwait(false);
        // Both as a centre does.
        RecentForms.SetCapacity(16_384);
        if (GCSettings.LatencyMode != GCLatencyMode.NoGCRegion)
            GC.TryStartNoGCRegion(1 << 30, 256 << 20);
        long begin = Stopwatch.GetTimestamp();
        TimeSpan processor = Processor.Time;
        await using ApiServer server = await ApiServer.StartAsync(store, new ApiServerOptions { CreateDefaultNamespaces = true }).ConfigureAwait(false);
        TimeSpan served = Stopwatch.GetElapsedTime(begin);
        IResources api = server.As(Identity.Administrator("bench"));
        using var stop = new CancellationTokenSource();
        Task running = new OrchestrationHost(api, TimeProvider.System, new Random(1), NullLoggerFactory.Instance).RunAsync(stop.Token);
        while (string.IsNullOrEmpty((await api.GetAsync(Kinds.Pod, "default", "waiting", default).ConfigureAwait(false)).Object!.View(ApiJson.Default.Pod).Spec.NodeName))
            await Task.Delay(2).ConfigureAwait(false);
        TimeSpan bound = Stopwatch.GetElapsedTime(begin);
        processor = Processor.Time - processor;
        await stop.CancelAsync().ConfigureAwait(false);
        await running.ConfigureAwait(false);
        return new Started(served, bound, processor, Process.GetCurrentProcess().PeakWorkingSet64 >> 20);
    }

    private static string Copy(string file, string folder, string name)
    {
        string path = Path.Combine(folder, name);
        foreach (string part in (string[])["", ".epoch"])
            File.Copy(file + part, path + part);
        // A store that was closed is on its disk; a checkpoint would wait for what was copied a moment ago.
        using FileStream copied = File.Open(path, FileMode.Open, FileAccess.ReadWrite);
        copied.Flush(flushToDisk: true);
        return path;
    }

    /// <summary>
    /// The published centre in a process of its own, over a copy of a file that <see cref="FillAsync"/> made; the time is the centre's
    /// own, from its log. Served is when it takes its first call, from the start of the process.
    /// </summary>
    public static async Task<Started> MeasureProgramAsync(string program, string file)
    {
        string path = Directory.CreateTempSubdirectory("atoll-first-plan-").FullName;
        try
        {
            Copy(file, path, "atoll.db");
            long begin = Stopwatch.GetTimestamp();
            using Process centre = Process.Start(new ProcessStartInfo(program, ["server", "--state", path, "--listen", "127.0.0.1:0", "--advertise", "https://127.0.0.1"]) { RedirectStandardOutput = true })!;
            try
            {
                TimeSpan? served = null, bound = null;
                while (served is null || bound is null)
                {
                    string line = await centre.StandardOutput.ReadLineAsync().ConfigureAwait(false) ?? throw new InvalidOperationException("the centre ended");
                    if (line.Contains("Centre is up", StringComparison.Ordinal))
                        served = Stopwatch.GetElapsedTime(begin);
                    if (s_told.Match(line) is { Success: true } told)
                        bound = TimeSpan.FromMilliseconds(int.Parse(told.Groups[1].ValueSpan, CultureInfo.InvariantCulture));
                }
                centre.Refresh();
                return new Started(served.Value, bound.Value, centre.TotalProcessorTime, centre.PeakWorkingSet64 >> 20);
            }
            finally
            {
                centre.Kill();
                await centre.WaitForExitAsync().ConfigureAwait(false);
            }
        }
        finally
        {
            Directory.Delete(path, recursive: true);
        }
    }

    public static async Task FillAsync(string file, int nodes, int pods, string more = "")
    {
        await using SqliteStore store = await SqliteStore.OpenAsync(file, new SqliteStoreOptions(), CancellationToken.None).ConfigureAwait(false);
        await using ApiServer server = await ApiServer.StartAsync(store, new ApiServerOptions { CreateDefaultNamespaces = true }).ConfigureAwait(false);
        IResources api = server.As(Identity.Administrator("bench"));
        await InBatchesAsync(nodes, i => CreateAsync(api, Kinds.Node, Documents.Node(i, 1_000))).ConfigureAwait(false);
        await InBatchesAsync(pods, i => CreateAsync(api, Kinds.Pod, Documents.Pod($"pod-{i}", "default", "blue", more, $"node-{i % nodes}"))).ConfigureAwait(false);
        await CreateAsync(api, Kinds.Pod, Documents.Pod("waiting", "default", "blue", "")).ConfigureAwait(false);
    }

    private static async Task InBatchesAsync(int count, Func<int, Task> make)
    {
        for (int at = 0; at < count; at += 500)
            await Task.WhenAll(Enumerable.Range(at, Math.Min(500, count - at)).Select(make)).ConfigureAwait(false);
    }

    private static async Task CreateAsync(IResources api, ResourceType type, KubeObject value)
    {
        JsonObject document = value.ToNode();
        document["metadata"]!.AsObject().Remove("uid");
        document["metadata"]!.AsObject().Remove("creationTimestamp");
        ApiResult made = await api.CreateAsync(type, type.Namespaced ? value.Namespace : null, document, default).ConfigureAwait(false);
        if (!made.Ok)
            throw new InvalidOperationException(made.Error!.Message);
    }
}
