using System.Collections.Concurrent;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Runtimes;
using Microsoft.Extensions.Logging;

namespace Atoll.Edge.Instances;

/// <summary>
/// Runs one pod, known by its UID: gathers facts, asks <see cref="PodMachine"/>, writes the record down, starts what is to
/// be done and tells the API. Only this loop steps the machine; whatever takes time runs beside it and reports back by a
/// signal. Costs a task and a few small objects; no thread, and a timer only while something is due.
/// </summary>
internal sealed partial class PodWorker
{
    private readonly NodeServices _node;
    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _signal = new(0, 1);
    private readonly Dictionary<string, Instance> _instances = new(StringComparer.Ordinal);
    private readonly HashSet<string> _dirty = new(StringComparer.Ordinal);
    private readonly ConcurrentDictionary<string, ContainerWork> _work = new(StringComparer.Ordinal);
    private readonly PodFolders _folders;
    private readonly PodStatusWriter _writer;
    private KubeObject _object;
    private Pod _pod;
    private PodRecord _record;
    private bool _gone, _unwanted, _prepared, _preparing, _releasing, _finishing, _finished, _refresh;
    private WaitFact? _prepareWait;
    private IReadOnlyList<string>? _addresses;
    private string? _netns;
    private (string Message, double MostGraceSeconds)? _eviction;
    private CancellationToken _stop;

    public PodWorker(NodeServices node, KubeObject value, PodRecord record, IEnumerable<Instance> instances)
    {
        _node = node;
        _object = value;
        _pod = value.View(ApiJson.Default.Pod);
        _record = record;
        _folders = new PodFolders(node.Options.StateFolder, value.Namespace, value.Name, value.Uid);
        _writer = new PodStatusWriter(node.Resources);
        foreach (Instance instance in instances)
            _instances[instance.Id] = instance;
    }

    public string Uid => _object.Uid;
    public KubeObject Object => _object;
    public PodRecord Record => _record;
    public PodFolders Folders => _folders;

    /// <summary>Ends when the pod has left this node for good.</summary>
    public Task Completed { get; private set; } = Task.CompletedTask;

    /// <summary>True when the pod came (back) while it was being stopped as one that nobody wants: it begins anew when that is done.</summary>
    public bool IsWantedAgain { get; private set; }

    /// <summary>Starts the loop; <paramref name="predecessor"/> is the pod that had this name before and must be gone first.</summary>
    public void Start(Task predecessor, CancellationToken cancellation)
    {
        _stop = cancellation;
        Completed = RunAsync(predecessor);
        Nudge();
    }

    /// <summary>The object changed.</summary>
    public void Update(KubeObject value)
    {
        lock (_gate)
        {
            IsWantedAgain = _unwanted;
            _object = value;
            _refresh = true; // Labels and annotations may be shown in volumes.
            _pod = value.View(ApiJson.Default.Pod);
        }
        Nudge();
    }

    /// <summary>The object left the API.</summary>
    public void Gone()
    {
        lock (_gate)
            (_gone, _unwanted, IsWantedAgain) = (true, true, false);
        Nudge();
    }

    /// <summary>A config map or secret that the pod may use changed: waiting steps are due, volumes are brought up to date.</summary>
    public void ReferencesChanged()
    {
        lock (_gate)
        {
            _refresh = true;
            if (_prepareWait is not null)
                _prepareWait = _prepareWait with { RetryAt = DateTimeOffset.MinValue };
            foreach (ContainerWork work in _work.Values)
                if (work.Wait is { Reason: "CreateContainerConfigError" } wait)
                    work.Wait = wait with { RetryAt = DateTimeOffset.MinValue };
        }
        Nudge();
    }

    /// <summary>The runtime says that an instance may have changed.</summary>
    public void Touch(string id)
    {
        lock (_gate)
            _dirty.Add(id);
        Nudge();
    }

    /// <summary>Asks to look at everything again.</summary>
    public void Resync()
    {
        _writer.Forget();
        lock (_gate)
            foreach (ContainerRecord record in _record.Containers)
                if (record is { Attempt: >= 0, Ended: null })
                    _dirty.Add(InstanceNames.Id(_record.Uid, record.Name, record.Attempt));
        _refresh = true; // A volume that could not be brought up to date, for whatever reason, is tried again.
        Nudge();
    }

    /// <summary>The node needs the pod's room; the pod has its own grace to end, but no more than so many seconds.</summary>
    public void Evict(string message, double mostGraceSeconds = 30)
    {
        lock (_gate)
            _eviction ??= (message, mostGraceSeconds);
        Nudge();
    }

    private void Nudge()
    {
        lock (_signal)
            if (_signal.CurrentCount == 0)
                _signal.Release();
    }

    private async Task RunAsync(Task predecessor)
    {
        try
        {
            await predecessor.WaitAsync(_stop).ConfigureAwait(false);
            await AdoptAsync().ConfigureAwait(false);
            await RemoveStaleAsync().ConfigureAwait(false);
            while (!_stop.IsCancellationRequested)
            {
                TimeSpan wait = await StepAsync().ConfigureAwait(false);
                if (_finished && _gone)
                    break;
                await Waiting.ForAsync(_signal, wait, _node.Time, _stop).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (_stop.IsCancellationRequested)
        {
            // The agent ends; instances live on.
        }
        finally
        {
            foreach (ContainerWork work in _work.Values)
                Unprobe(work);
            await OperationsDone().ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        }
    }

    /// <summary>
    /// A pod that comes after the agent's start and has been here before (the site's store was lost and its scope has come anew, or
    /// this worker failed): what still runs of it is its own, and must be neither started a second time nor forgotten.
    /// </summary>
    private async Task AdoptAsync()
    {
        if (_instances.Count > 0 || !Directory.Exists(_folders.Pod))
            return;
        List<Instance> mine = [.. (await _node.Runtime.ListAsync(_stop).ConfigureAwait(false)).Where(i => i.Labels.GetValueOrDefault(InstanceNames.PodUid) == Uid)];
        lock (_gate)
        {
            foreach (Instance instance in mine)
                _instances[instance.Id] = instance;
            if (mine.Count > 0)
                _record = PodRecovery.Recover(_object, PodRecordFile.Read(_folders.Pod), mine);
        }
    }

    private async Task<TimeSpan> StepAsync()
    {
        try
        {
            await ReadInstancesAsync().ConfigureAwait(false);
            PodPlan plan;
            lock (_gate)
            {
                if (_finished)
                    return Timeout.InfiniteTimeSpan;
                plan = PodMachine.Step(Facts());
                if (!ReferenceEquals(plan.Record, _record))
                {
                    PodRecordFile.Write(_folders.Pod, plan.Record); // Before anything is done that follows from it.
                    _record = plan.Record;
                }
                SyncProbes();
            }
            foreach (PodAction action in plan.Actions)
                Execute(action);
            if (_refresh && _prepared)
                RefreshVolumes();
            bool written = _gone || await _writer.WriteAsync(_object, plan.Status, _stop).ConfigureAwait(false);
            TimeSpan wait = plan.WakeAt is { } at ? at - _node.Time.GetUtcNow() : Timeout.InfiniteTimeSpan;
            if (plan.WakeAt is not null)
                wait = TimeSpan.FromTicks(Math.Clamp(wait.Ticks, 0, TimeSpan.TicksPerDay)); // No timer goes to any time.
            return !written && (wait == Timeout.InfiniteTimeSpan || wait > _node.Options.RetryDelay) ? _node.Options.RetryDelay : wait;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            // A full or failing disk: say so and try again; the machine's state has not moved.
            _node.Log.LogError(e, "Pod {Pod}: a step failed and is tried again", _object.Key);
            return _node.Options.RetryDelay;
        }
    }

    private async Task ReadInstancesAsync()
    {
        string[] ids;
        lock (_gate)
        {
            if (_dirty.Count == 0)
                return;
            ids = [.. _dirty];
            _dirty.Clear();
        }
        foreach (string id in ids)
        {
            Instance? instance = await _node.Runtime.GetAsync(id, _stop).ConfigureAwait(false);
            lock (_gate)
            {
                if (instance is null)
                    _instances.Remove(id);
                else
                    _instances[id] = instance;
            }
        }
    }

    private ContainerWork Work(string name) => _work.GetOrAdd(name, _ => new ContainerWork());

    private PodFacts Facts()
    {
        var containers = new Dictionary<string, ContainerFacts>(StringComparer.Ordinal);
        foreach (Container container in _pod.Spec.Containers.Concat(_pod.Spec.InitContainers ?? []))
            containers[container.Name] = FactsOf(container.Name, container);
        foreach (ContainerRecord record in _record.Containers)
            if (!containers.ContainsKey(record.Name))
                containers[record.Name] = FactsOf(record.Name, null);
        return new PodFacts
        {
            Object = _object,
            Pod = _pod,
            Record = _record,
            Now = _node.Time.GetUtcNow(),
            AgentSince = _node.Since,
            RuntimeName = _node.RuntimeName,
            HostIp = _node.Node().HostIp,
            Backoff = new BackoffRule(_node.Options.RestartBackoff, _node.Options.RestartBackoffMax),
            Containers = containers,
            Gone = _gone,
            Prepared = _prepared,
            Preparing = _preparing,
            PrepareWait = _prepareWait,
            Addresses = _addresses,
            Releasing = _releasing,
            Finishing = _finishing,
            Admission = _record.Admitted || _record.Failure is not null || _gone ? null : _node.Admit(_pod),
            Eviction = _eviction,
            Hold = _gone ? null : _node.Options.Hold?.Invoke(_object),
        };
    }

    private ContainerFacts FactsOf(string name, Container? container)
    {
        ContainerWork work = Work(name);
        ContainerRecord? record = _record.Find(name);
        Instance? instance = record is { Attempt: >= 0 } ? _instances.GetValueOrDefault(InstanceNames.Id(_record.Uid, name, record.Attempt)) : null;
        bool current = record is not null && work.Attempt == record.Attempt;
        string? message = null;
        if (container is not null && record is { Ended: null } && instance?.Phase is InstancePhase.Exited)
            message = TerminationMessages.Read(_folders, container, record.Attempt, instance.ExitCode != 0);
        return new ContainerFacts
        {
            Instance = instance,
            TerminationMessage = message,
            Busy = work.Busy,
            Wait = work.Wait,
            StartFailure = current ? work.StartFailure : null,
            PostStartDone = current && work.PostStartDone,
            PostStartError = current ? work.PostStartError : null,
            StartupOk = work.Probes?.Verdict(ProbeKind.Startup),
            ReadinessOk = work.Probes?.Verdict(ProbeKind.Readiness),
            StartupFailed = work.Probes?.Verdict(ProbeKind.Startup) == false,
            LivenessFailed = work.Probes?.Verdict(ProbeKind.Liveness) == false,
            ResolvedImageId = current && work.ImageId is not null ? work.ImageId : instance?.Labels.GetValueOrDefault(InstanceNames.ImageId),
        };
    }

    /// <summary>Probes run for containers that run and are not being stopped.</summary>
    private void SyncProbes()
    {
        foreach (Container container in _pod.Spec.Containers.Concat(_pod.Spec.InitContainers ?? []))
        {
            ContainerWork work = Work(container.Name);
            ContainerRecord? record = _record.Find(container.Name);
            string? id = record is { Attempt: >= 0, Ended: null, Stop: null, Launched: true } ? InstanceNames.Id(_record.Uid, container.Name, record.Attempt) : null;
            if (work.Probes is not null && work.Probes.InstanceId != id)
                Unprobe(work);
            if (id is null || work.Probes is not null || (container.LivenessProbe is null && container.ReadinessProbe is null && container.StartupProbe is null))
                continue;
            if (!_instances.TryGetValue(id, out Instance? instance) || instance.Phase is not InstancePhase.Running)
                continue;
            string host = _pod.Spec.HostNetwork == true ? _node.Node().HostIp : _record.Addresses.Count > 0 ? _record.Addresses[0] : "";
            KubeObject about = _object;
            work.Probes = new ContainerProbes(id, container, host, record!.StartedAt ?? _node.Time.GetUtcNow(), record.Started, (kind, outcome, changed) =>
            {
                if (!outcome.Ok)
                    _node.Tell(about, true, "Unhealthy", $"{kind} probe failed: {outcome.Message}", container.Name);
                if (changed)
                    Nudge();
            });
            _node.Probes.Add(work.Probes);
        }
    }

    private void Unprobe(ContainerWork work)
    {
        if (work.Probes is { } probes)
            _node.Probes.Remove(probes);
        work.Probes = null;
    }
}

/// <summary>What a worker is doing for a container; forgotten when the agent ends.</summary>
internal sealed class ContainerWork
{
    public ContainerBusy Busy { get; set; }
    public CancellationTokenSource? Cancel { get; set; }
    public DateTimeOffset Deadline { get; set; }
    public int Attempt { get; set; } = -1;
    public WaitFact? Wait { get; set; }
    public EndRecord? StartFailure { get; set; }
    public bool PostStartDone { get; set; }
    public string? PostStartError { get; set; }
    public string? ImageId { get; set; }
    public ContainerProbes? Probes { get; set; }
    public double PullBackoffSeconds { get; set; }
    public DateTimeOffset PullBlockedUntil { get; set; }
    public string? PullError { get; set; }
}
