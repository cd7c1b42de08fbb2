using System.Collections.Concurrent;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Resources;
using Atoll.Api.Streams;
using Atoll.Edge.Colocation;
using Atoll.Edge.Content;
using Atoll.Edge.Disks;
using Atoll.Edge.Networks;
using Atoll.Edge.Nodes;
using Atoll.Edge.Runtimes;
using Microsoft.Extensions.Logging;

namespace Atoll.Edge.Instances;

/// <summary>
/// Runs the pods that are bound to this node. It mirrors them from the site's API, gives each UID one worker, and brings
/// runtime, network and volumes to what the pods ask for; their status goes back to the API.
/// <para>
/// Invariants: identity is the UID (a pod of the same name starts only when the one before has stopped); what the runtime
/// lists is the truth, and an agent that starts adopts what still is wanted; nothing unknown is stopped before the wanted
/// set is known; an attempt is written to disk before it is started, so no crash starts a container twice. Ending the
/// agent stops nothing.
/// </para>
/// </summary>
public sealed partial class NodeControl
{
    private readonly NodeControlOptions _options;
    private readonly IResources _resources;
    private readonly IRuntime _runtime;
    private readonly TimeProvider _time;
    private readonly ILogger _log;
    private readonly NodeServices _services;
    private readonly ProbeRunner _runner;
    private readonly ResourceMirror _pods, _configMaps, _secrets, _accounts, _nodes, _classes;
    private readonly ConcurrentDictionary<string, PodWorker> _workers = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, PodWorker> _byPart = new(StringComparer.Ordinal);
    private readonly HashSet<string> _reserved = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Node?> _asked = new(StringComparer.Ordinal); // What the API said of this node, by a pod that the mirror's did not suit.
    private readonly Lock _starting = new();
    private readonly LocalVolumes _volumes;
    private readonly NodeReporter _reporter;
    private readonly ColocationLoop? _colocation;
    private readonly PodStreams _streams;
    private bool _ready;
    private CancellationToken _stop;

    /// <summary>Puts node control together; nothing happens before <see cref="RunAsync"/>.</summary>
    /// <param name="options">Names, folders, limits.</param>
    /// <param name="resources">The site's API, as the node's identity.</param>
    /// <param name="runtime">Runs instances.</param>
    /// <param name="images">Holds images.</param>
    /// <param name="network">Gives pods their network.</param>
    /// <param name="time">Clock.</param>
    /// <param name="random">Jitter.</param>
    /// <param name="logs">Logs.</param>
    public NodeControl(NodeControlOptions options, IResources resources, IRuntime runtime, IImages images, IPodNetwork network, TimeProvider time, Random random, ILoggerFactory logs)
    {
        ArgumentNullException.ThrowIfNull(options);
        ArgumentNullException.ThrowIfNull(logs);
        _options = options;
        _resources = resources;
        _runtime = runtime;
        _time = time;
        _log = logs.CreateLogger<NodeControl>();
        _runner = new ProbeRunner(runtime, time);
        _pods = new ResourceMirror(resources, Kinds.Pod, time, PodChanged, fieldSelector: $"spec.nodeName={options.NodeName}");
        _configMaps = new ResourceMirror(resources, Kinds.ConfigMap, time, (old, now) => ReferenceChanged(false, old, now));
        _secrets = new ResourceMirror(resources, Kinds.Secret, time, (old, now) => ReferenceChanged(true, old, now));
        _accounts = new ResourceMirror(resources, Kinds.ServiceAccount, time);
        _nodes = new ResourceMirror(resources, Kinds.Node, time, (_, now) => NodeChanged(now), fieldSelector: $"metadata.name={options.NodeName}");
        _classes = new ResourceMirror(resources, Kinds.RuntimeClass, time, (_, now) => ClassChanged(now));
        _volumes = new LocalVolumes(resources, options.StateFolder, options.NodeName, time, _log, ClaimChanged);
        var references = new PodReferences(_configMaps, _secrets, _accounts, _volumes);
        var events = new EventRecorder(resources, time, "kubelet", options.NodeName);
        _reporter = new NodeReporter(options, resources, runtime, images, events, time, random, this, _log);
        _colocation = options.BatchHost is { } host ? new ColocationLoop(options, host, runtime, _reporter, events, time, this, _log) : null;
        _services = new NodeServices
        {
            Options = options,
            Resources = resources,
            Runtime = runtime,
            Images = images,
            Network = network,
            References = references,
            Time = time,
            Events = events,
            Runner = _runner,
            Probes = new ProbeWheel(_runner, time),
            Specs = new InstanceSpecs(options, references, time),
            Log = _log,
            Node = () => _reporter.Facts,
            Admit = Admit,
            Since = time.GetUtcNow(),
        };
        _streams = new PodStreams(options, runtime, network, time, RecordOf);
    }

    /// <summary>Logs, exec, attach and port-forward of this node's pods.</summary>
    public IPodStreams Streams => _streams;

    /// <summary>Ends when the mirrors have been filled and what the runtime lists has been taken over: from then on the pods are being run.</summary>
    public Task Ready => _readySource.Task;

    private readonly TaskCompletionSource _readySource = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Pods that this node has now, by UID; their records and usage are for the reporter.</summary>
    internal IEnumerable<PodWorker> Workers => _workers.Values;

    /// <summary>
    /// Runs until cancelled. Steps: (1) mirrors and loops start; (2) when pods and what they refer to are known, the runtime
    /// is listed and its instances are adopted; (3) each change of a pod, an instance or a reference wakes the worker it
    /// concerns; (4) from time to time everything is compared again. On cancellation instances are left running.
    /// </summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        _stop = stop.Token;
        List<Task> loops =
        [
            _pods.RunAsync(_stop), _configMaps.RunAsync(_stop), _secrets.RunAsync(_stop), _accounts.RunAsync(_stop), _nodes.RunAsync(_stop), _classes.RunAsync(_stop), _volumes.RunAsync(_stop),
            _services.Events.RunAsync(_stop), _services.Probes.RunAsync(_stop), LoopAsync(_reporter.RunAsync), LoopAsync(StartAsync), LoopAsync(WatchRuntimeAsync), LoopAsync(RotateLogsAsync),
        ];
        if (_colocation is not null)
            loops.Add(LoopAsync(_colocation.RunAsync));
        try
        {
            Task first = await Task.WhenAny(loops).ConfigureAwait(false);
            await first.ConfigureAwait(false); // A loop ends only when cancelled, or by a broken invariant that must be seen.
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // The agent ends.
        }
        finally
        {
            await stop.CancelAsync().ConfigureAwait(false);
            foreach (PodWorker worker in _workers.Values)
                await worker.Completed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            await Task.WhenAll(loops).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            _runner.Dispose();
        }
    }

    /// <summary>
    /// Tells everything anew where the API does not have it: the site's state has come from another node, which may know less
    /// of this one than this one had told.
    /// </summary>
    public void Reassert()
    {
        _reporter.Reassert();
        foreach (PodWorker worker in _workers.Values)
            worker.Resync();
    }

    private async Task LoopAsync(Func<CancellationToken, Task> loop)
    {
        try
        {
            await loop(_stop).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // Ended with the agent.
        }
    }

    private async Task StartAsync(CancellationToken cancellation)
    {
        RuntimeProbe probe = await _runtime.ProbeAsync(cancellation).ConfigureAwait(false);
        _services.RuntimeName = probe.Name;
        await _reporter.FirstLook.WaitAsync(cancellation).ConfigureAwait(false);
        foreach (ResourceMirror mirror in (ResourceMirror[])[_pods, _configMaps, _secrets, _accounts, _nodes, _classes, .. _volumes.Mirrors])
            await mirror.Synced.WaitAsync(cancellation).ConfigureAwait(false);
        Dictionary<string, List<Instance>> instances = await InstancesAsync(cancellation).ConfigureAwait(false);
        _colocation?.Restore(_nodes.Get(_options.NodeName));
        lock (_starting)
        {
            // What runs under the name of a wanted pod and is another identity must be gone before that one starts.
            foreach ((string uid, List<Instance> list) in instances)
                if (_pods.Get($"{list[0].Labels.GetValueOrDefault(InstanceNames.PodNamespace)}/{list[0].Labels.GetValueOrDefault(InstanceNames.PodName)}") is { } wanted && wanted.Uid != uid)
                    StartOrphan(uid, list);
            foreach (KubeObject pod in _pods.Items)
                if (!IsGivenUp(pod))
                    StartWorker(pod, instances.GetValueOrDefault(pod.Uid) ?? []);
            _ready = true;
        }
        _readySource.TrySetResult();
        while (true)
        {
            TimeSpan pause = await ResyncAsync(cancellation).ConfigureAwait(false);
            await Task.Delay(pause, _time, cancellation).ConfigureAwait(false);
        }
    }

    private async Task<Dictionary<string, List<Instance>>> InstancesAsync(CancellationToken cancellation)
    {
        var byPod = new Dictionary<string, List<Instance>>(StringComparer.Ordinal);
        foreach (Instance instance in await _runtime.ListAsync(cancellation).ConfigureAwait(false))
        {
            if (!instance.Labels.TryGetValue(InstanceNames.PodUid, out string? uid))
                continue; // Not one of ours.
            if (!byPod.TryGetValue(uid, out List<Instance>? list))
                byPod[uid] = list = [];
            list.Add(instance);
        }
        return byPod;
    }

    /// <summary>Compares everything: lost events are made good, orphans are stopped once the wanted set is known. Returns the pause to the next round.</summary>
    private async Task<TimeSpan> ResyncAsync(CancellationToken cancellation)
    {
        foreach (PodWorker worker in _workers.Values)
        {
            worker.Resync();
            if (worker.Record is { Admitted: false, FinalPhase: null } && worker.Object.View(ApiJson.Default.Pod).Spec is var spec && IsClassMissing(spec, out _))
                _services.Events.Warning(worker.Object, "FailedCreatePodSandBox", $"RuntimeClass \"{spec.RuntimeClassName}\" not found: the pod waits for it");
        }
        try
        {
            await _services.Network.RepairAsync(cancellation).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            _log.LogWarning(e, "The pods' network is not whole and is looked at again later");
        }
        if (_options.ScopeKnown is { } known && !known())
            return TimeSpan.FromSeconds(1);
        Dictionary<string, List<Instance>> instances = await InstancesAsync(cancellation).ConfigureAwait(false);
        var uids = new HashSet<string>(instances.Keys, StringComparer.Ordinal);
        string root = PodFolders.All(_options.StateFolder);
        if (Directory.Exists(root))
            foreach (string folder in Directory.EnumerateDirectories(root))
                if (PodRecordFile.Read(folder) is { Uid: { Length: > 0 } uid })
                    uids.Add(uid);
        foreach (string uid in await _services.Network.ListAsync(cancellation).ConfigureAwait(false))
            uids.Add(uid);
        lock (_starting)
            foreach (string uid in uids)
                if (!_workers.ContainsKey(uid))
                    StartOrphan(uid, instances.GetValueOrDefault(uid) ?? []);
        return _options.ResyncPeriod;
    }

    private void StartOrphan(string uid, List<Instance> instances)
    {
        PodRecord? file = PodRecordFile.Read(Path.Combine(PodFolders.All(_options.StateFolder), InstanceNames.PodPart(uid)));
        KubeObject pod = PodRecovery.Orphan(uid, file, instances);
        _log.LogInformation("Pod {Pod} ({Uid}) is no longer wanted: stopping {Count} instances", pod.Key, uid, instances.Count);
        StartWorker(pod, instances, gone: true);
    }

    private PodWorker StartWorker(KubeObject pod, List<Instance> instances, bool gone = false)
    {
        if (_workers.TryGetValue(pod.Uid, out PodWorker? have))
            return have;
        PodRecord? file = PodRecordFile.Read(Path.Combine(PodFolders.All(_options.StateFolder), InstanceNames.PodPart(pod.Uid)));
        // It ended here before, and whoever leads the site now has not heard of that: its end is told once more.
        if (!gone && file is null && instances.Count == 0)
            file = PodRecordFile.ReadEnded(_options.StateFolder, pod.Uid);
        // An agent died while it stopped this as a pod that nobody wanted: that is brought to its end first.
        bool again = !gone && file?.Deletion is { Reason: not StopRecord.Deleted };
        gone |= again;
        var worker = new PodWorker(_services, pod, PodRecovery.Recover(pod, file, instances), instances);
        var before = new List<Task>();
        foreach (PodWorker other in _workers.Values)
            if (other.Object.Key == pod.Key && !gone) // What is only to be stopped waits for nobody: its successor may run already.
                before.Add(other.Completed);
        _workers[pod.Uid] = worker;
        _byPart[InstanceNames.PodPart(pod.Uid)] = worker;
        // Before its first step: nothing is told any more of a pod that is to leave no trace.
        if (gone)
            worker.Gone();
        if (again)
            worker.Update(pod);
        worker.Start(Task.WhenAll(before), _stop);
        _ = ForgetAsync(worker);
        return worker;
    }

    private async Task ForgetAsync(PodWorker worker)
    {
        await worker.Completed.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (worker.Completed.IsFaulted)
            _log.LogCritical(worker.Completed.Exception, "Pod {Pod}: its worker failed and is made anew at the next resync", worker.Object.Key);
        if (_stop.IsCancellationRequested)
            return;
        lock (_starting)
        {
            _workers.TryRemove(worker.Uid, out _);
            lock (_reserved)
            {
                _reserved.Remove(worker.Uid);
                _asked.Remove(worker.Uid);
            }
            _byPart.TryRemove(InstanceNames.PodPart(worker.Uid), out _);
            if ((worker.Completed.IsFaulted || worker.IsWantedAgain) && _pods.Get(worker.Object.Key) is { } pod && pod.Uid == worker.Uid && !IsGivenUp(pod))
                StartWorker(pod, []).Resync();
        }
    }

    private void PodChanged(KubeObject? old, KubeObject? now)
    {
        lock (_starting)
        {
            if (!_ready)
                return; // The first list is taken in as a whole.
            if (old is not null && (now is null || now.Uid != old.Uid) && _workers.TryGetValue(old.Uid, out PodWorker? left))
                left.Gone();
            if (now is null)
                return;
            if (IsGivenUp(now))
            {
                if (_workers.TryGetValue(now.Uid, out PodWorker? replaced))
                    replaced.Gone();
                return;
            }
            if (_workers.TryGetValue(now.Uid, out PodWorker? worker))
                worker.Update(now);
            else
                StartWorker(now, []);
        }
    }

    // While this node was silent the site gave the pod to another node: nothing of it may run here. Once its deletion is asked for,
    // it is ended and removed like any other.
    private static bool IsGivenUp(KubeObject pod) => !pod.IsDeleting && pod.View(ApiJson.Default.Pod).Status?.IsGivenUp() == true;

    // The site gave this node up for dead, which it is not.
    private void NodeChanged(KubeObject? now)
    {
        if (now?.View(ApiJson.Default.Node).Status?.Conditions?.Find(c => c.Type == "Ready") is { Status: "Unknown" })
            Reassert();
    }

    private void ReferenceChanged(bool secret, KubeObject? old, KubeObject? now)
    {
        KubeObject about = now ?? old!;
        foreach (PodWorker worker in _workers.Values)
            if (worker.Object.Namespace == about.Namespace && PodReferences.Uses(worker.Object.View(ApiJson.Default.Pod).Spec, secret, about.Name))
                worker.ReferencesChanged();
    }

    private void ClassChanged(KubeObject? now)
    {
        foreach (PodWorker worker in _workers.Values)
            if (!worker.Record.Admitted && worker.Object.View(ApiJson.Default.Pod).Spec.RuntimeClassName == now?.Name)
                worker.ReferencesChanged();
    }

    private void ClaimChanged(KubeObject claim)
    {
        foreach (PodWorker worker in _workers.Values)
            if (worker.Object.Namespace == claim.Namespace && StorageFacts.Uses(worker.Object.View(ApiJson.Default.Pod).Spec, claim.Name))
                worker.ReferencesChanged();
    }

    private async Task WatchRuntimeAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await foreach (string id in _runtime.WatchAsync(cancellation).ConfigureAwait(false))
            {
                int attempt = id.LastIndexOf('-');
                int container = attempt > 0 ? id.LastIndexOf('-', attempt - 1) : -1;
                if (container > 0 && _byPart.TryGetValue(id[..container], out PodWorker? worker))
                    worker.Touch(id);
            }
            await Task.Delay(_options.RetryDelay, _time, cancellation).ConfigureAwait(false);
        }
    }

    private async Task RotateLogsAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await Task.Delay(_options.LogRotationPeriod, _time, cancellation).ConfigureAwait(false);
            foreach (PodWorker worker in _workers.Values)
                foreach (ContainerRecord container in worker.Record.Containers)
                    if (container is { Attempt: >= 0, Ended: null })
                        await RotateAsync(worker, container, cancellation).ConfigureAwait(false);
        }
    }

    private async Task RotateAsync(PodWorker worker, ContainerRecord container, CancellationToken cancellation)
    {
        try
        {
            if (LogFiles.Rotate(worker.Folders.LogFolder(container.Name), container.Attempt, _options.LogMaxBytes, _options.LogMaxFiles, _time.GetUtcNow()))
                await _runtime.ReopenLogAsync(InstanceNames.Id(worker.Uid, container.Name, container.Attempt), cancellation).ConfigureAwait(false);
        }
        catch (IOException e)
        {
            _log.LogWarning(e, "The log of {Container} of {Pod} cannot be rotated", container.Name, worker.Object.Key);
        }
    }

    /// <summary>
    /// One pod at a time: two workers must not both be given the last room. Null is not known yet: what a pod refers to comes with it,
    /// and by another mirror, so that it may be seen a moment later; the worker is woken then.
    /// </summary>
    private (string? Reason, string? Message)? Admit(Pod pod)
    {
        if (IsClassMissing(pod.Spec, out string? handler))
            return null;
        lock (_reserved)
        {
            var others = new List<Pod>();
            foreach (PodWorker worker in _workers.Values)
                if (worker.Uid != pod.Metadata.Uid && worker.Record.FinalPhase is null && (worker.Record.Admitted || _reserved.Contains(worker.Uid)))
                    others.Add(worker.Object.View(ApiJson.Default.Pod));
            bool asked = _asked.TryGetValue(pod.Metadata.Uid!, out Node? node);
            node ??= _nodes.Get(_options.NodeName)?.View(ApiJson.Default.Node);
            (string? Reason, string? Message) decision = Admission.Decide(pod, node, others, _reporter.Allocatable, _options.RuntimeHandlers, handler);
            if (decision.Reason == "NodeAffinity" && !asked)
            {
                _ = AskAsync(pod.Metadata.Uid!);
                return null;
            }
            if (decision.Reason is null)
            {
                _reserved.Add(pod.Metadata.Uid!);
                if (PodResources.IsBatch(pod))
                    _colocation?.Notice();
            }
            return decision;
        }
    }

    private bool IsClassMissing(PodSpec spec, out string? handler)
    {
        handler = spec.RuntimeClassName is { Length: > 0 } name ? _classes.Get(name)?.View(ApiJson.Default.RuntimeClass).Handler : null;
        return handler is null && !string.IsNullOrEmpty(spec.RuntimeClassName);
    }

    // Labels that the pod was placed by may be newer than the mirror. Where the API does not answer, the next resync asks again.
    private async Task AskAsync(string uid)
    {
        try
        {
            ApiResult result = await _resources.GetAsync(Kinds.Node, null, _options.NodeName, _stop).ConfigureAwait(false);
            lock (_reserved)
                _asked[uid] = result.Object?.View(ApiJson.Default.Node);
        }
        catch (Exception e) when (e is HttpRequestException or IOException or OperationCanceledException)
        {
            return;
        }
        if (_workers.TryGetValue(uid, out PodWorker? worker))
            worker.ReferencesChanged();
    }

    private PodRecord? RecordOf(string uid) => _workers.TryGetValue(uid, out PodWorker? worker) ? worker.Record : null;
}
