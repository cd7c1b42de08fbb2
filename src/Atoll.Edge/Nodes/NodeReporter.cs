using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Resources;
using Atoll.Edge.Content;
using Atoll.Edge.Devices;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;
using Microsoft.Extensions.Logging;

namespace Atoll.Edge.Nodes;

/// <summary>
/// Keeps this node's Node object: registers it, tells capacity, conditions, images and versions when they change (heartbeats
/// are no revisions), and relieves pressure: unused images first, then pods, batch first, by quality of service.
/// </summary>
internal sealed class NodeReporter
{
    private const int ImagesTold = 50;

    private readonly NodeControlOptions _options;
    private readonly IResources _resources;
    private readonly IRuntime _runtime;
    private readonly IImages _images;
    private readonly EventRecorder _events;
    private readonly TimeProvider _time;
    private readonly NodeControl _control;
    private readonly ILogger _log;
    private readonly PressureGauge _disk, _memory, _pids;
    private readonly Dictionary<string, (string Status, DateTimeOffset Since)> _transitions = new(StringComparer.Ordinal);
    private readonly TaskCompletionSource _firstLook = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _soon = new(0);
    private readonly Lock _measuring = new();
    private (long CpuMilli, long MemoryBytes)? _reclaimed;
    private bool _reclaims;
    private string? _written;
    private KubeObject? _node;

    public NodeReporter(NodeControlOptions options, IResources resources, IRuntime runtime, IImages images, EventRecorder events, TimeProvider time, Random random, NodeControl control, ILogger log)
    {
        _options = options;
        _resources = resources;
        _runtime = runtime;
        _images = images;
        _events = events;
        _time = time;
        _control = control;
        _log = log;
        NodeOptions node = options.Node;
        _disk = new PressureGauge(node.DiskPressureBelow, node.DiskPressureOverAbove);
        _memory = new PressureGauge(node.MemoryPressureBelowBytes, node.MemoryPressureOverAboveBytes);
        _pids = new PressureGauge(node.PidPressureBelow, node.PidPressureBelow * 2.0);
        Sample = () => HostSample.Read(options.StateFolder, node.CapacityShare);
        Facts = new NodeFacts(options.NodeName, options.HostIp ?? HostIdentity.RouteAddress() ?? "127.0.0.1", 0, 0);
    }

    /// <summary>Where measurements come from; tests replace it.</summary>
    internal Func<HostSample> Sample { get; set; }

    public NodeFacts Facts { get; private set; }
    public IReadOnlyDictionary<string, Quantity> Capacity { get; private set; } = new Dictionary<string, Quantity>();
    public IReadOnlyDictionary<string, Quantity> Allocatable { get; private set; } = new Dictionary<string, Quantity>();

    /// <summary>Tells what batch pods may be given here, thousandths of a core and bytes; null takes no batch pods.</summary>
    public void Reclaim((long CpuMilli, long MemoryBytes)? amounts)
    {
        lock (_measuring)
        {
            (_reclaimed, _reclaims) = (amounts, true);
            (Capacity, Allocatable) = (WithBatch(Capacity), WithBatch(Allocatable));
        }
        if (_soon.CurrentCount == 0)
            _soon.Release();
    }

    private Dictionary<string, Quantity> WithBatch(IReadOnlyDictionary<string, Quantity> amounts)
    {
        var all = new Dictionary<string, Quantity>(amounts, StringComparer.Ordinal);
        all.Remove(WellKnown.BatchCpu);
        all.Remove(WellKnown.BatchMemory);
        if (_reclaimed is { } given)
            (all[WellKnown.BatchCpu], all[WellKnown.BatchMemory]) = (Quantity.FromValue(given.CpuMilli), Quantity.FromValue(given.MemoryBytes));
        return all;
    }

    /// <summary>Ends with the first look at the node, reported or not: from then on <see cref="Facts"/> are real.</summary>
    public Task FirstLook => _firstLook.Task;

    /// <summary>Reports at once, whatever was reported before, and registers when that is needed.</summary>
    public void Reassert()
    {
        _written = null;
        _node = null;
        if (_soon.CurrentCount == 0)
            _soon.Release();
    }

    /// <summary>The one caller of <see cref="RefreshAsync"/>: what was measured and written is the state of one loop.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        while (true)
        {
            try
            {
                await RefreshAsync(cancellation).ConfigureAwait(false);
            }
            catch (Exception e) when (e is IOException or HttpRequestException)
            {
                _log.LogWarning(e, "Node {Node} could not be reported and is tried again", _options.NodeName);
            }
            _firstLook.TrySetResult();
            await Waiting.ForAsync(_soon, _options.Node.Period, _time, cancellation).ConfigureAwait(false);
            cancellation.ThrowIfCancellationRequested();
        }
    }

    /// <summary>Measures, tells the API what changed, relieves pressure.</summary>
    public async Task RefreshAsync(CancellationToken cancellation)
    {
        HostSample sample = Sample();
        Measure(sample);
        if (_options.Node.Register)
            await ReportAsync(cancellation).ConfigureAwait(false);
        await RelieveAsync(sample, cancellation).ConfigureAwait(false);
    }

    private void Measure(HostSample sample)
    {
        NodeOptions node = _options.Node;
        _memory.Update(sample.MemoryAvailableBytes);
        _disk.Update(sample.DiskTotalBytes == 0 ? 1 : (double)sample.DiskFreeBytes / sample.DiskTotalBytes);
        _pids.Update(sample.PidsMax - sample.PidsUsed);
        Quantity cpu = node.Cpu is null ? Quantity.FromMilli((long)(sample.Cpus * 1000L * node.CapacityShare)) : Quantity.Parse(node.Cpu);
        Quantity memory = node.Memory is null ? Quantity.FromValue((long)(sample.MemoryTotalBytes * node.CapacityShare) / 1024 * 1024) : Quantity.Parse(node.Memory);
        var capacity = new Dictionary<string, Quantity>(StringComparer.Ordinal)
        {
            ["cpu"] = cpu,
            ["memory"] = memory,
            ["ephemeral-storage"] = Quantity.FromValue((long)(sample.DiskTotalBytes * node.CapacityShare) / 1024 * 1024),
            ["pods"] = Quantity.FromValue(node.MaxPods),
            ["hugepages-2Mi"] = Quantity.FromValue((long)(sample.HugePages2MiB * node.CapacityShare) * 2 * 1024 * 1024),
        };
        if (sample.HugePages1GiB > 0)
            capacity["hugepages-1Gi"] = Quantity.FromValue((long)(sample.HugePages1GiB * node.CapacityShare) << 30);
        foreach (KeyValuePair<string, Quantity> amount in DeclaredDevices.Amounts(node.Devices))
            capacity[amount.Key] = amount.Value;
        var allocatable = new Dictionary<string, Quantity>(capacity, StringComparer.Ordinal)
        {
            ["cpu"] = Floor(cpu - Quantity.Parse(node.ReservedCpu)),
            ["memory"] = Floor(memory - Quantity.Parse(node.ReservedMemory)),
        };
        lock (_measuring)
            (Capacity, Allocatable) = (WithBatch(capacity), WithBatch(allocatable));
        NodeEdge? parts = sample.Parts;
        if (node.Devices.Count > 0)
            parts = new NodeEdge { CpuModel = parts?.CpuModel, CpuLevel = parts?.CpuLevel, Numa = parts?.Numa, Devices = [.. node.Devices.Select(d => d.Device)] };
        Facts = Facts with { Parts = parts, AllocatableCpuMilli = Allocatable["cpu"].Milli, AllocatableMemoryBytes = Allocatable["memory"].Value };

        static Quantity Floor(Quantity value) => value < Quantity.Zero ? Quantity.Zero : value;
    }

    private async Task ReportAsync(CancellationToken cancellation)
    {
        if (_node is null)
        {
            ApiResult have = await _resources.GetAsync(Kinds.Node, null, _options.NodeName, cancellation).ConfigureAwait(false);
            if (have.IsNotFound)
                have = await _resources.CreateAsync(Kinds.Node, null, Registration(), cancellation).ConfigureAwait(false);
            if (have.IsAlreadyExists) // It came from the parent between the two.
                have = await _resources.GetAsync(Kinds.Node, null, _options.NodeName, cancellation).ConfigureAwait(false);
            if (have.Object is not { } node)
            {
                _log.LogWarning("Node {Node} is not registered yet: {Error}", _options.NodeName, have.Error?.Message);
                return;
            }
            _node = node;
            foreach (Condition condition in node.View(ApiJson.Default.Node).Status?.Conditions ?? [])
                if (condition.LastTransitionTime is { } since)
                    _transitions[condition.Type] = (condition.Status, since);
        }
        JsonObject status = await StatusAsync(cancellation).ConfigureAwait(false);
        string text = status.ToJsonString();
        if (text == _written)
            return;
        string now = KubeTime.Format(_time.GetUtcNow());
        foreach (JsonNode? condition in status["conditions"]!.AsArray())
            condition!["lastHeartbeatTime"] = now;
        ApiResult result = await _resources.PatchAsync(Kinds.Node, null, _options.NodeName, PatchType.Merge, new JsonObject { ["status"] = status }, cancellation, "status").ConfigureAwait(false);
        if (result.IsNotFound)
            _node = null; // Deleted: registered again at the next look.
        if (result.Ok)
            _written = text;
    }

    private JsonObject Registration()
    {
        NodeOptions node = _options.Node;
        var labels = new JsonObject
        {
            ["kubernetes.io/hostname"] = _options.NodeName,
            ["kubernetes.io/os"] = "linux",
            ["kubernetes.io/arch"] = HostIdentity.Architecture,
        };
        if (node.Site is { Length: > 0 } site)
        {
            labels["edge.atoll.dev/site"] = site;
            labels["topology.kubernetes.io/zone"] = site;
        }
        if (node.Region is { Length: > 0 } region)
            labels["topology.kubernetes.io/region"] = region;
        if (Facts.Parts?.CpuLevel is { } level)
        {
            labels[Flavours.CpuLevelPrefix + "level"] = level;
            foreach (string label in HostParts.Labels(level))
                labels[label] = "true";
        }
        foreach (KeyValuePair<string, string> label in node.Labels)
            labels[label.Key] = label.Value;
        return new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Node",
            ["metadata"] = new JsonObject { ["name"] = _options.NodeName, ["labels"] = labels },
            ["spec"] = new JsonObject(),
        };
    }

    private async Task<JsonObject> StatusAsync(CancellationToken cancellation)
    {
        RuntimeProbe runtime = await _runtime.ProbeAsync(cancellation).ConfigureAwait(false);
        var images = new JsonArray();
        foreach (ImageInfo image in (await _images.ListAsync(cancellation).ConfigureAwait(false)).OrderByDescending(i => i.SizeBytes).ThenBy(i => i.Digest, StringComparer.Ordinal).Take(ImagesTold))
            images.Add((JsonNode)new JsonObject { ["names"] = new JsonArray([.. image.References.Select(r => (JsonNode)r)]), ["sizeBytes"] = image.SizeBytes });
        return new JsonObject
        {
            ["capacity"] = Quantities(Capacity),
            ["allocatable"] = Quantities(Allocatable),
            ["edge"] = Parts(),
            ["conditions"] = Conditions(runtime),
            ["addresses"] = new JsonArray(new JsonObject { ["type"] = "InternalIP", ["address"] = Facts.HostIp }, new JsonObject { ["type"] = "Hostname", ["address"] = _options.NodeName }),
            ["images"] = images,
            ["nodeInfo"] = new JsonObject
            {
                ["machineID"] = HostIdentity.Line("/etc/machine-id"),
                ["systemUUID"] = HostIdentity.Line("/sys/class/dmi/id/product_uuid"),
                ["bootID"] = HostIdentity.Line("/proc/sys/kernel/random/boot_id"),
                ["kernelVersion"] = HostIdentity.Line("/proc/sys/kernel/osrelease"),
                ["osImage"] = HostIdentity.OsImage(),
                ["containerRuntimeVersion"] = $"{runtime.Name}://{runtime.Version}",
                ["kubeletVersion"] = _options.Node.Version,
                ["kubeProxyVersion"] = _options.Node.Version,
                ["operatingSystem"] = "linux",
                ["architecture"] = HostIdentity.Architecture,
            },
        };
    }

    private JsonNode? Parts()
    {
        List<NodeImage> images = [.. _images.Architectures.Select(a => new NodeImage { Name = a.Key, Architectures = [.. a.Value] })];
        NodeEdge? parts = Facts.Parts;
        string? trust = _options.Trust();
        return parts is null && images.Count == 0 && trust is null ? null
            : JsonSerializer.SerializeToNode(new NodeEdge { CpuModel = parts?.CpuModel, CpuLevel = parts?.CpuLevel, Numa = parts?.Numa, Devices = parts?.Devices, Images = images.Count == 0 ? null : images, Trust = trust }, ApiJson.Default.NodeEdge);
    }

    private JsonObject Quantities(IReadOnlyDictionary<string, Quantity> values)
    {
        var json = new JsonObject();
        // The status is merged: what is no longer offered is taken off, what is not known yet stays as it is.
        if (_reclaims)
            (json[WellKnown.BatchCpu], json[WellKnown.BatchMemory]) = (null, null);
        foreach (KeyValuePair<string, Quantity> pair in values)
            json[pair.Key] = pair.Key is "cpu" or "pods" or WellKnown.GpuMilli || (pair.Key.Contains('/', StringComparison.Ordinal) && pair.Key is not (WellKnown.GpuMemory or WellKnown.BatchMemory)) ? pair.Value.ToString() : pair.Key == "memory" ? (pair.Value.Value / 1024).ToString(CultureInfo.InvariantCulture) + "Ki" : pair.Value.ToBinaryString();
        return json;
    }

    private JsonArray Conditions(RuntimeProbe runtime)
    {
        bool memory = _memory.On, disk = _disk.On, pids = _pids.On;
        return new JsonArray(
            Condition("MemoryPressure", memory, memory ? "KubeletHasInsufficientMemory" : "KubeletHasSufficientMemory", memory ? "kubelet has insufficient memory available" : "kubelet has sufficient memory available"),
            Condition("DiskPressure", disk, disk ? "KubeletHasDiskPressure" : "KubeletHasNoDiskPressure", disk ? "kubelet has disk pressure" : "kubelet has no disk pressure"),
            Condition("PIDPressure", pids, pids ? "KubeletHasInsufficientPID" : "KubeletHasSufficientPID", pids ? "kubelet has insufficient PID available" : "kubelet has sufficient PID available"),
            Condition("Ready", runtime.Usable, runtime.Usable ? "KubeletReady" : "KubeletNotReady", runtime.Usable ? "kubelet is posting ready status" : $"container runtime is down: {runtime.Reason}"));
    }

    private JsonObject Condition(string type, bool value, string reason, string message)
    {
        string status = value ? "True" : "False";
        if (!_transitions.TryGetValue(type, out (string Status, DateTimeOffset Since) old) || old.Status != status)
        {
            if (old.Status is not null && _node is not null)
                _events.Normal(_node, "Node" + reason["Kubelet".Length..], $"Node {_options.NodeName} status is now: Node{reason["Kubelet".Length..]}");
            _transitions[type] = old = (status, _time.GetUtcNow());
        }
        return new JsonObject { ["type"] = type, ["status"] = status, ["reason"] = reason, ["message"] = message, ["lastTransitionTime"] = KubeTime.Format(old.Since) };
    }

    /// <summary>Images nobody uses go first; if that does not help, one pod in a round: batch, best effort, then burstable, then guaranteed.</summary>
    private async Task RelieveAsync(HostSample sample, CancellationToken cancellation)
    {
        bool full = _disk.On || (double)(sample.DiskTotalBytes - sample.DiskFreeBytes) > 0.85 * sample.DiskTotalBytes;
        long size = await _images.SizeAsync(cancellation).ConfigureAwait(false);
        bool overLimit = _options.ImageHighBytes > 0 && size > _options.ImageHighBytes;
        if (overLimit || full)
        {
            long target = overLimit ? _options.ImageLowBytes : Math.Max(0, size - (long)(0.05 * sample.DiskTotalBytes));
            long freed = await _images.CollectAsync(await InUseAsync(cancellation).ConfigureAwait(false), target, cancellation).ConfigureAwait(false);
            if (freed > 0)
            {
                _log.LogInformation("Image garbage collection freed {Bytes} bytes", freed);
                return;
            }
        }
        if (_disk.On)
            Evict("ephemeral-storage", string.Create(CultureInfo.InvariantCulture, $"The node was low on resource: ephemeral-storage. Threshold quantity: {_options.Node.DiskPressureBelow:P0}, available: {sample.DiskFreeBytes / 1024}Ki. "));
        else if (_memory.On)
            Evict("memory", string.Create(CultureInfo.InvariantCulture, $"The node was low on resource: memory. Threshold quantity: {_options.Node.MemoryPressureBelowBytes / 1024}Ki, available: {sample.MemoryAvailableBytes / 1024}Ki. "));
    }

    private async Task<HashSet<string>> InUseAsync(CancellationToken cancellation)
    {
        var used = new HashSet<string>(StringComparer.Ordinal);
        foreach (PodWorker worker in _control.Workers)
        {
            if (worker.Record.FinalPhase is not null)
                continue;
            Pod pod = worker.Object.View(ApiJson.Default.Pod);
            foreach (Container container in pod.Spec.Containers.Concat(pod.Spec.InitContainers ?? []))
                if (container.Image is { } reference && await _images.FindAsync(reference, cancellation).ConfigureAwait(false) is { } image)
                    used.Add(image.Digest);
        }
        // The tag may have moved since the container was started: what runs counts by its own digest.
        foreach (Instance instance in await _runtime.ListAsync(cancellation).ConfigureAwait(false))
            if (instance.Labels.TryGetValue(InstanceNames.ImageId, out string? id) && id.IndexOf('@', StringComparison.Ordinal) is > 0 and var at)
                used.Add(id[(at + 1)..]);
        return used;
    }

    private void Evict(string resource, string message)
    {
        PodWorker? victim = null;
        (bool Online, int Class, long Request) rank = default;
        foreach (PodWorker worker in _control.Workers)
        {
            if (worker.Record is not { Admitted: true, FinalPhase: null, Failure: null, Deletion: null })
                continue;
            Pod pod = worker.Object.View(ApiJson.Default.Pod);
            PodSpec spec = pod.Spec;
            if (spec.Priority is >= 2_000_000_000)
                continue; // System-critical pods stay.
            int order = PodResources.QosClass(spec) switch { "BestEffort" => 0, "Burstable" => 1, _ => 2 };
            (bool, int, long) its = (!PodResources.IsBatch(pod), order + (spec.Priority ?? 0) * 3, PodResources.PodRequest(spec, resource).Value);
            if (victim is null || its.CompareTo(rank) < 0)
                (victim, rank) = (worker, its);
        }
        if (victim is null)
            return;
        _events.Warning(victim.Object, "Evicted", message);
        victim.Evict(message);
    }
}
