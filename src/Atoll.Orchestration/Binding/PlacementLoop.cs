using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Scheduling.Online;
using Microsoft.Extensions.Logging;

namespace Atoll.Orchestration.Binding;

/// <summary>
/// Gives pods their nodes: keeps the scheduler's snapshot from the copies, plans what waits in batches, and carries plans out
/// by binding, many at once so that they share the store's commits. A binding counts in the snapshot from the moment it is
/// decided; one that is refused is taken back and planned again. A pod that fits nowhere is told so, once for each
/// answer, and is tried again when a node changed, a pod went, or a minute passed.
/// </summary>
internal sealed class PlacementLoop
{
    private const int MaxBatch = 512;

    private static readonly TimeSpan s_flush = TimeSpan.FromMinutes(1), s_refused = TimeSpan.FromSeconds(1), s_calm = TimeSpan.FromMilliseconds(5);

    private readonly Cluster _cluster;
    private readonly ILogger _log;
    private readonly Lock _lock = new();
    private readonly Snapshot _snapshot = new();
    private readonly Dictionary<string, KubeObject> _pending = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string> _unschedulable = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DateTimeOffset> _refused = new(StringComparer.Ordinal);
    private readonly HashSet<string> _assumed = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _wake = new(0);
    private DateTimeOffset _flushed;

    public PlacementLoop(Cluster cluster)
    {
        _cluster = cluster;
        _log = cluster.Loggers.CreateLogger<PlacementLoop>();
        cluster.Nodes.Listen(NodeChanged);
        cluster.Pods.Listen(PodChanged);
    }

    /// <summary>Plans and binds until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                await StepAsync(cancellation).ConfigureAwait(false);
                await _wake.WaitAsync(Pause(), cancellation).ConfigureAwait(false);
                // What changes together is planned together.
                await Task.Delay(s_calm, _cluster.Time, cancellation).ConfigureAwait(false);
                while (_wake.Wait(0, cancellation))
                {
                    // One step answers every wake-up before it.
                }
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to stop.
        }
    }

    /// <summary>Plans all that can be planned now; true when something was bound.</summary>
    internal async Task<bool> StepAsync(CancellationToken cancellation)
    {
        bool any = false;
        while (true)
        {
            Plan plan;
            lock (_lock)
            {
                List<KubeObject> batch = Batch();
                if (batch.Count == 0)
                    return any;
                plan = Scheduler.Plan(_snapshot, batch, seed: 1);
                foreach (Placement placement in plan.Placements)
                    Assume(placement);
            }
            await Task.WhenAll(plan.Placements.Select(p => CarryOutAsync(p, cancellation))).ConfigureAwait(false);
            any |= plan.Placements.Any(p => p.Node is not null);
        }
    }

    private void Assume(Placement placement)
    {
        _pending.Remove(placement.Pod.Uid);
        if (placement.Node is not null)
        {
            _assumed.Add(placement.Pod.Uid);
            _snapshot.UpsertPod(placement.Pod, placement.Node);
        }
        else
        {
            // Known as answered before the lock is let go: what may help it from now on wakes it.
            _unschedulable.TryAdd(placement.Pod.Uid, "");
        }
    }

    private async Task CarryOutAsync(Placement placement, CancellationToken cancellation)
    {
        try
        {
            await TryCarryOutAsync(placement, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // The API is out of reach: whether the binding was made is told by the mirror when it is back.
            _log.LogWarning("Pod {Pod}: its placement was not carried out: {Reason}", placement.Pod.Key, e.Message);
            TakeBack(placement.Pod);
        }
    }

    private async Task TryCarryOutAsync(Placement placement, CancellationToken cancellation)
    {
        KubeObject pod = placement.Pod;
        if (placement.Node is null)
        {
            await TellAsync(pod, placement.Message!, cancellation).ConfigureAwait(false);
            return;
        }
        var binding = new JsonObject
        {
            ["apiVersion"] = "v1",
            ["kind"] = "Binding",
            ["metadata"] = new JsonObject { ["name"] = pod.Name, ["namespace"] = pod.Namespace, ["uid"] = pod.Uid },
            ["target"] = new JsonObject { ["apiVersion"] = "v1", ["kind"] = "Node", ["name"] = placement.Node },
        };
        ApiResult result = await _cluster.Api.CreateAsync(Kinds.Pod, pod.Namespace, binding, cancellation, pod.Name, "binding").ConfigureAwait(false);
        if (result.Ok)
        {
            lock (_lock)
                _unschedulable.Remove(pod.Uid);
            _cluster.Events.Normal(pod, "Scheduled", $"Successfully assigned {pod.Key} to {placement.Node}");
            return;
        }
        TakeBack(pod);
        if (!result.IsNotFound)
            _log.LogInformation("Pod {Pod} was not bound to {Node}: {Reason}", pod.Key, placement.Node, result.Error!.Message);
    }

    private async Task TellAsync(KubeObject pod, string message, CancellationToken cancellation)
    {
        lock (_lock)
        {
            if (!_unschedulable.TryGetValue(pod.Uid, out string? before) || before == message)
                return;
        }
        Condition? shown = pod.View(ApiJson.Default.Pod).Status?.Condition("PodScheduled");
        if (shown is { Status: "False", Reason: "Unschedulable" } && shown.Message == message)
        {
            Told(pod.Uid, message);
            return;
        }
        var condition = new JsonObject
        {
            ["type"] = "PodScheduled",
            ["status"] = "False",
            ["reason"] = "Unschedulable",
            ["message"] = message,
            ["lastTransitionTime"] = KubeTime.Format(shown is { Status: "False", LastTransitionTime: { } since } ? since : _cluster.Now),
        };
        var patch = new JsonObject { ["metadata"] = new JsonObject { ["uid"] = pod.Uid }, ["status"] = new JsonObject { ["conditions"] = new JsonArray(condition) } };
        ApiResult result = await _cluster.Api.PatchAsync(Kinds.Pod, pod.Namespace, pod.Name, PatchType.StrategicMerge, patch, cancellation, "status").ConfigureAwait(false);
        if (!result.Ok)
            return; // Told again at the next answer.
        Told(pod.Uid, message);
        _cluster.Events.Warning(pod, "FailedScheduling", message);
    }

    private void TakeBack(KubeObject pod)
    {
        lock (_lock)
        {
            _assumed.Remove(pod.Uid);
            _snapshot.RemovePod(pod.Uid);
            // The copy says what is true now: bound by somebody else, gone, or to be planned again after a pause.
            if (_cluster.Pods.ByUid(pod.Uid) is { } now)
            {
                Take(now);
                if (_pending.ContainsKey(pod.Uid))
                    _refused[pod.Uid] = _cluster.Now + s_refused;
            }
        }
    }

    private void Told(string uid, string message)
    {
        lock (_lock)
            if (_unschedulable.ContainsKey(uid))
                _unschedulable[uid] = message;
    }

    // Highest priority first, then the oldest; pods that were answered wait until something that may help them happens.
    private List<KubeObject> Batch()
    {
        DateTimeOffset now = _cluster.Now;
        if (now - _flushed >= s_flush)
        {
            _flushed = now;
            Retry();
        }
        var batch = new List<KubeObject>();
        foreach (KubeObject pod in _pending.Values)
            if (!_refused.TryGetValue(pod.Uid, out DateTimeOffset until) || until <= now)
                batch.Add(pod);
        foreach (KubeObject pod in batch)
            _refused.Remove(pod.Uid);
        batch.Sort(static (a, b) =>
        {
            int order = (b.View(ApiJson.Default.Pod).Spec.Priority ?? 0).CompareTo(a.View(ApiJson.Default.Pod).Spec.Priority ?? 0);
            order = order != 0 ? order : Nullable.Compare(a.Metadata.CreationTimestamp, b.Metadata.CreationTimestamp);
            return order != 0 ? order : string.CompareOrdinal(a.Uid, b.Uid);
        });
        return batch.Count > MaxBatch ? batch.GetRange(0, MaxBatch) : batch;
    }

    private TimeSpan Pause()
    {
        lock (_lock)
            return _refused.Count > 0 ? s_refused : s_flush;
    }

    // Every pod that fitted nowhere is pending again.
    private void Retry()
    {
        foreach (string uid in _unschedulable.Keys)
            if (!_assumed.Contains(uid) && _cluster.Pods.ByUid(uid) is { } pod && Waits(pod))
                _pending[uid] = pod;
    }

    private void NodeChanged(KubeObject? old, KubeObject? now)
    {
        lock (_lock)
        {
            if (now is null)
                _snapshot.RemoveNode(old!.Name);
            else
                _snapshot.UpsertNode(now);
            Retry();
        }
        Wake();
    }

    private void PodChanged(KubeObject? old, KubeObject? now)
    {
        lock (_lock)
        {
            if (old is not null && old.Uid != now?.Uid)
                Forget(old.Uid);
            // An answer that was told is no news; a toleration that was added is.
            if (now is not null)
                Take(now, old is not null && old.Metadata.Generation != now.Metadata.Generation);
        }
        Wake();
    }

    private void Take(KubeObject pod, bool specChanged = false)
    {
        string? node = pod.View(ApiJson.Default.Pod).Spec.NodeName;
        if (string.IsNullOrEmpty(node))
        {
            // A copy that does not show our binding yet says nothing new.
            if (_assumed.Contains(pod.Uid))
                return;
            if (!Waits(pod))
            {
                _pending.Remove(pod.Uid);
                _refused.Remove(pod.Uid);
            }
            else if (specChanged || !_unschedulable.ContainsKey(pod.Uid) || _pending.ContainsKey(pod.Uid))
                _pending[pod.Uid] = pod;
            return;
        }
        _assumed.Remove(pod.Uid);
        _pending.Remove(pod.Uid);
        _unschedulable.Remove(pod.Uid);
        _refused.Remove(pod.Uid);
        bool ended = pod.View(ApiJson.Default.Pod).Status?.Phase is "Succeeded" or "Failed";
        _snapshot.UpsertPod(pod);
        if (ended)
            Retry();
    }

    private void Forget(string uid)
    {
        _assumed.Remove(uid);
        _pending.Remove(uid);
        _unschedulable.Remove(uid);
        _refused.Remove(uid);
        _snapshot.RemovePod(uid);
        Retry();
    }

    private static bool Waits(KubeObject pod)
    {
        PodSpec spec = pod.View(ApiJson.Default.Pod).Spec;
        return !pod.IsDeleting && string.IsNullOrEmpty(spec.NodeName) && spec.SchedulingGates is not { Count: > 0 }
            && (string.IsNullOrEmpty(spec.SchedulerName) || spec.SchedulerName == "default-scheduler");
    }

    private void Wake()
    {
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }
}
