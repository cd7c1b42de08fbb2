using System.Diagnostics;
using System.Net;
using System.Text;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Api.Streams;
using Atoll.Edge.Content;
using Atoll.Edge.Instances;
using Atoll.Edge.Networks;
using Atoll.Edge.Nodes;
using Atoll.Edge.Runtimes;
using Atoll.Edge.Runtimes.Containers;
using Atoll.EndToEnd.Runtime;
using Atoll.Kube;
using Atoll.Kube.Access;
using Atoll.Store.Sqlite;
using Microsoft.Extensions.Logging.Abstractions;

namespace Atoll.EndToEnd.Pods;

/// <summary>One node in this process on the real kernel: API server, node control, container runtime, images, pod network.</summary>
public sealed class PodNode : IAsyncLifetime
{
    private static int s_made;
    private readonly int _number = Interlocked.Increment(ref s_made);
    private SqliteStore? _store;
    private ApiServer? _server;
    private CancellationTokenSource? _stop;
    private Task _running = Task.CompletedTask;

    /// <summary>Set before the start: see <see cref="NodeControlOptions.ImageHighBytes"/>.</summary>
    internal long ImageLimitBytes { get; init; }

    /// <summary>Set before the start: what is to be different from the node of all other tests.</summary>
    internal Func<NodeControlOptions, NodeControlOptions> Adjust { get; init; } = static options => options;

    internal string Folder { get; } = Directory.CreateTempSubdirectory("atoll-pods-").FullName;
    internal string Name => "p" + Path.GetFileName(Folder)[^6..].ToLowerInvariant();
    internal string Image => $"oci:{Folder}/busybox:latest";
    internal string Bridge => "atp" + Path.GetFileName(Folder)[^6..].ToLowerInvariant();
    internal IResources Api { get; private set; } = null!;
    internal ImageStore Images { get; private set; } = null!;
    internal ContainerRuntime Runtime { get; private set; } = null!;
    internal BridgePodNetwork Network { get; private set; } = null!;
    internal NodeControl Control { get; private set; } = null!;
    internal string RunFolder => Path.Join(Folder, "run");
    internal string StateFolder => Path.Join(Folder, "state");

    public async ValueTask InitializeAsync()
    {
        BusyboxImage.Write(Path.Join(Folder, "busybox"));
        _store = await SqliteStore.OpenInMemoryAsync();
        _server = await ApiServer.StartAsync(_store, new ApiServerOptions { CreateDefaultNamespaces = true });
        Api = _server.As(Identity.Trusted("system:link"));
        await StartAsync();
    }

    internal async Task StartAsync()
    {
        Images = new ImageStore(new ImageStoreOptions { Folder = Path.Join(Folder, "images") }, TimeProvider.System);
        Runtime = new ContainerRuntime(new ContainerRuntimeOptions { Node = Name, StateFolder = Path.Join(StateFolder, "runtime"), RunFolder = RunFolder }, Images, TimeProvider.System);
        Network = new BridgePodNetwork(new BridgeNetworkOptions { Node = Name, StateFolder = Path.Join(StateFolder, "network"), RunFolder = Path.Join(RunFolder, "net"), Bridge = Bridge, Subnet = IPNetwork.Parse($"10.97.{_number}.0/24") });
        _stop = new CancellationTokenSource();
        var options = new NodeControlOptions
        {
            NodeName = Name,
            StateFolder = StateFolder,
            RestartBackoff = TimeSpan.FromMilliseconds(500),
            RestartBackoffMax = TimeSpan.FromSeconds(3),
            RetryDelay = TimeSpan.FromMilliseconds(100),
            LogRotationPeriod = TimeSpan.FromMilliseconds(200),
            LogMaxBytes = 4000,
            ImageHighBytes = ImageLimitBytes,
            ImageLowBytes = ImageLimitBytes / 5 * 4,
            Node = new NodeOptions { Cpu = "64", Memory = "64Gi", MaxPods = 100, DiskPressureBelow = 0, MemoryPressureBelowBytes = 0, Period = TimeSpan.FromSeconds(ImageLimitBytes > 0 ? 1 : 10) },
        };
        Control = new NodeControl(Adjust(options) with { BatchHost = Runtime.Batch }, Api, Runtime, Images, Network, TimeProvider.System, new Random(1), NullLoggerFactory.Instance);
        _running = Control.RunAsync(_stop.Token);
        Task first = await Task.WhenAny(Control.Ready, _running).WaitAsync(TimeSpan.FromSeconds(30));
        await first;
    }

    /// <summary>The agent ends, and nothing that it runs does.</summary>
    internal async Task StopAsync()
    {
        await _stop!.CancelAsync();
        await _running.WaitAsync(TimeSpan.FromSeconds(30));
        _stop.Dispose();
        _stop = null;
        await Runtime.DisposeAsync();
        Network.Dispose();
        Images.Dispose();
    }

    internal async Task<KubeObject> PodAsync(string name, JsonObject spec, JsonObject? metadata = null)
    {
        JsonObject meta = metadata ?? [];
        meta["name"] = name;
        spec["nodeName"] = Name;
        spec["terminationGracePeriodSeconds"] ??= 2;
        foreach (string list in (string[])["containers", "initContainers"])
            foreach (JsonNode? container in spec[list]?.AsArray() ?? [])
                container!["image"] ??= Image;
        return await CreateAsync(Kinds.Pod, new JsonObject { ["metadata"] = meta, ["spec"] = spec });
    }

    /// <summary>A pod of one container <c>c</c> that runs a script; <paramref name="container"/> and <paramref name="spec"/> are more fields, as JSON.</summary>
    internal Task<KubeObject> ScriptAsync(string name, string script, string container = "{}", string spec = "{}", JsonObject? metadata = null)
    {
        JsonObject main = Json(container);
        main["name"] = "c";
        main["command"] = new JsonArray("sh", "-c", script);
        JsonObject all = Json(spec);
        all["containers"] = new JsonArray(main);
        return PodAsync(name, all, metadata);
    }

    internal static JsonObject Json(string text) => JsonNode.Parse(text)!.AsObject();

    internal async Task<KubeObject> CreateAsync(ResourceType type, JsonObject value)
    {
        ApiResult result = await Api.CreateAsync(type, "default", value, CancellationToken.None);
        Assert.True(result.Ok, result.Error?.Message);
        return result.Object!;
    }

    internal async Task PatchAsync(ResourceType type, string name, string merge)
    {
        ApiResult result = await Api.PatchAsync(type, "default", name, PatchType.Merge, Json(merge), CancellationToken.None);
        Assert.True(result.Ok, result.Error?.Message);
    }

    internal async Task<KubeObject?> GetAsync(string name) => (await Api.GetAsync(Kinds.Pod, "default", name, CancellationToken.None)).Object;

    internal async Task<Pod> UntilAsync(string name, Func<Pod, bool> condition, string what, int seconds = 60)
    {
        var watch = Stopwatch.StartNew();
        while (true)
        {
            KubeObject? pod = await GetAsync(name);
            if (pod is not null && condition(pod.View(ApiJson.Default.Pod)))
                return pod.View(ApiJson.Default.Pod);
            if (watch.Elapsed > TimeSpan.FromSeconds(seconds))
                Assert.Fail($"{name} did not get {what}; it is {Encoding.UTF8.GetString((pod?.Utf8 ?? default).Span)}\n{await EventsAsync(name)}");
            await Task.Delay(20);
        }
    }

    internal static async Task UntilAsync(Func<Task<bool>> condition, string what, int seconds = 60)
    {
        var watch = Stopwatch.StartNew();
        while (!await condition())
        {
            if (watch.Elapsed > TimeSpan.FromSeconds(seconds))
                Assert.Fail("never: " + what);
            await Task.Delay(20);
        }
    }

    internal Task<Pod> ReadyAsync(string name) => UntilAsync(name, p => p.Status?.Condition("Ready")?.Status == "True", "ready");

    internal Task<Pod> PhaseAsync(string name, string phase) => UntilAsync(name, p => p.Status?.Phase == phase, "phase " + phase);

    internal async Task<string> EventsAsync(string pod)
    {
        ApiList list = await Api.ListAsync(Kinds.Event, "default", ListOptions.Default, CancellationToken.None);
        return string.Join('\n', list.Items.Select(e => e.View(ApiJson.Default.Event)).Where(e => e.InvolvedObject.Name == pod).Select(e => $"{e.Reason}: {e.Message}"));
    }

    internal async Task<string> LogAsync(string name, LogRequest? request = null)
    {
        KubeObject pod = (await GetAsync(name))!;
        using var output = new MemoryStream();
        ApiStatus? error = await Control.Streams.LogsAsync(pod, request ?? new LogRequest(), output, CancellationToken.None);
        Assert.True(error is null, error?.Message);
        return Encoding.UTF8.GetString(output.ToArray());
    }

    /// <summary>Runs a script pod to its end and gives its log.</summary>
    internal async Task<string> RunAsync(string name, string script, string container = "{}", string spec = "{}", JsonObject? metadata = null)
    {
        JsonObject all = Json(spec);
        all["restartPolicy"] = "Never";
        await ScriptAsync(name, script, container, all.ToJsonString(), metadata);
        await UntilAsync(name, p => p.Status?.Phase is "Succeeded" or "Failed", "an end");
        return await LogAsync(name);
    }

    internal async Task<(int Code, string Output, string Error)> ExecAsync(string name, string script, string? stdin = null, bool tty = false, string? container = null)
    {
        KubeObject pod = (await GetAsync(name))!;
        var request = new ExecRequest { Container = container, Command = ["sh", "-c", script], Stdin = stdin is not null, Stdout = true, Stderr = !tty, Tty = tty };
        StreamStart<IProcessStreams> start = await Control.Streams.ExecAsync(pod, request, CancellationToken.None);
        Assert.True(start.Error is null, start.Error?.Message);
        await using IProcessStreams streams = start.Value!;
        Task<string> output = new StreamReader(streams.Stdout!).ReadToEndAsync();
        Task<string> error = streams.Stderr is { } stderr ? new StreamReader(stderr).ReadToEndAsync() : Task.FromResult("");
        if (tty)
            streams.Resize(100, 40);
        if (stdin is not null)
        {
            await streams.Stdin!.WriteAsync(Encoding.UTF8.GetBytes(stdin));
            if (!tty)
                await streams.Stdin.DisposeAsync();
        }
        return (await streams.ExitCode.WaitAsync(TimeSpan.FromSeconds(60)), await output.WaitAsync(TimeSpan.FromSeconds(60)), await error.WaitAsync(TimeSpan.FromSeconds(60)));
    }

    internal async Task DeleteAsync(params string[] names)
    {
        foreach (string name in names)
            await Api.DeleteAsync(Kinds.Pod, "default", name, DeleteOptions.Default, CancellationToken.None);
        foreach (string name in names)
            await UntilAsync(async () => await GetAsync(name) is null, name + " is gone");
    }

    /// <summary>Everything of this node that the machine still has: mounts, namespaces, cgroups, processes, folders.</summary>
    internal async Task<List<string>> LeftoversAsync()
    {
        var left = new List<string>();
        left.AddRange(File.ReadLines("/proc/self/mountinfo").Where(l => l.Contains(Folder, StringComparison.Ordinal)));
        foreach (string part in (string[])["pods", "logs", "runtime/instances", "runtime/exits"])
            if (Directory.Exists(Path.Join(StateFolder, part)))
                left.AddRange(Directory.EnumerateFileSystemEntries(Path.Join(StateFolder, part)));
        left.AddRange(await Network.ListAsync(CancellationToken.None));
        left.AddRange(Cgroups());
        foreach (string process in Directory.EnumerateDirectories("/proc").Where(p => int.TryParse(Path.GetFileName(p), out _)))
            try
            {
                string command = await File.ReadAllTextAsync(Path.Join(process, "cmdline"));
                if (command.Contains(RunFolder, StringComparison.Ordinal))
                    left.Add(command.Replace('\0', ' '));
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It ended meanwhile.
            }
        return left;
    }

    /// <summary>Containers' cgroups of this node, on every controller (v1) or in the one tree (v2).</summary>
    internal List<string> Cgroups() =>
    [
        .. Directory.EnumerateDirectories("/sys/fs/cgroup").Append("/sys/fs/cgroup")
            .Select(tree => Path.Join(tree, $"atoll-{Name}", InstanceSpecs.Cgroup)).Where(Directory.Exists).SelectMany(Directory.EnumerateDirectories),
    ];

    public async ValueTask DisposeAsync()
    {
        if (_stop is not null)
        {
            await _stop.CancelAsync();
            await _running.WaitAsync(TimeSpan.FromSeconds(30));
            await Runtime.ResetAsync(CancellationToken.None);
            await Network.CleanupAsync(CancellationToken.None);
            await Runtime.DisposeAsync();
            Network.Dispose();
            Images.Dispose();
        }
        if (_server is not null)
            await _server.DisposeAsync();
        if (_store is not null)
            await _store.DisposeAsync();
        foreach (string line in File.ReadAllLines("/proc/self/mountinfo").Reverse())
            if (line.Split(' ')[4] is var point && point.StartsWith(Folder, StringComparison.Ordinal))
                Atoll.Edge.Native.Posix.Unmount(point);
        Directory.Delete(Folder, recursive: true);
    }
}

/// <summary>Classes that share one node run one after the other.</summary>
[CollectionDefinition("pods")]
public sealed class PodNodeShared : ICollectionFixture<PodNode>;
