using System.Globalization;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Edge.Networks;
using Atoll.Edge.Runtimes;
using Microsoft.Extensions.Logging;

namespace Atoll.Edge.Instances;

/// <summary>Carrying out the machine's actions. Each runs beside the loop and ends with a signal to it.</summary>
internal sealed partial class PodWorker
{
    private void Execute(PodAction action)
    {
        switch (action)
        {
            case TellEvent tell:
                _node.Tell(_object, tell.Warning, tell.Reason, tell.Message, tell.Container);
                break;
            case PreparePod when !_preparing:
                _preparing = true;
                _ = RunAsync(() => PrepareAsync(), () => _preparing = false);
                break;
            case StartContainer start:
                Begin(start.Name, ContainerBusy.Starting, DateTimeOffset.MaxValue, cancel => StartContainerAsync(start, cancel));
                break;
            case RunPostStart hook:
                Begin(hook.Name, ContainerBusy.PostStart, DateTimeOffset.MaxValue, cancel => PostStartAsync(hook, cancel));
                break;
            case StopContainer stop:
                BeginStop(stop);
                break;
            case RemoveInstance remove:
                Begin(remove.Name, ContainerBusy.Removing, DateTimeOffset.MaxValue, _ => RemoveAsync(remove));
                break;
            case ReleasePod when !_releasing:
                _releasing = true;
                _ = RunAsync(ReleaseAsync, () => _releasing = false);
                break;
            case FinishPod when !_finishing:
                _finishing = true;
                _ = RunAsync(FinishAsync, () => _finishing = false);
                break;
        }
        if (action is StopContainer && _record.Deletion is null && _record.Failure is null)
            return;
        if (_record.Deletion is not null || _record.Failure is not null)
            foreach (ContainerWork work in _work.Values)
                if (work.Busy is ContainerBusy.Starting)
                    work.Cancel?.Cancel();
    }

    /// <summary>Operations under way: the worker's end waits for them, so that an agent's end leaves nobody writing.</summary>
    private readonly HashSet<Task> _operations = [];

    private Task RunAsync(Func<Task> act, Action done)
    {
        Task operation = OperateAsync(act, done);
        lock (_operations)
        {
            _operations.RemoveWhere(o => o.IsCompleted);
            _operations.Add(operation);
        }
        return operation;
    }

    private Task OperationsDone()
    {
        lock (_operations)
            return Task.WhenAll(_operations);
    }

    private async Task OperateAsync(Func<Task> act, Action done)
    {
        try
        {
            await Task.Yield();
            await act().ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            // The agent ends, or the machine decided otherwise.
        }
        catch (Exception e)
        {
            _node.Log.LogError(e, "Pod {Pod}: an operation failed and is tried again", _object.Key);
            lock (_gate)
                _prepareWait = new WaitFact("ContainerCreating", e.Message, _node.Time.GetUtcNow() + _node.Options.RetryDelay);
        }
        finally
        {
            lock (_gate)
                done();
            Nudge();
        }
    }

    private void Begin(string name, ContainerBusy busy, DateTimeOffset deadline, Func<CancellationToken, Task> act)
    {
        ContainerWork work;
        var cancel = CancellationTokenSource.CreateLinkedTokenSource(_stop);
        lock (_gate)
        {
            work = Work(name);
            if (work.Busy is not ContainerBusy.No)
                return;
            work.Busy = busy;
            work.Cancel = cancel;
            work.Deadline = deadline;
            if (_record.Find(name) is { } record && work.Attempt != record.Attempt)
            {
                work.Attempt = record.Attempt;
                work.StartFailure = null;
                work.PostStartDone = false;
                work.PostStartError = null;
                work.ImageId = null;
            }
        }
        _ = RunAsync(() => act(cancel.Token), () =>
        {
            if (work.Cancel == cancel)
            {
                work.Busy = ContainerBusy.No;
                work.Cancel = null;
            }
            cancel.Dispose();
        });
    }

    /// <summary>A stop may overtake a hook, and a shorter grace overtakes a stop.</summary>
    private void BeginStop(StopContainer stop)
    {
        lock (_gate)
        {
            ContainerWork work = Work(stop.Name);
            bool overtake = work.Busy is ContainerBusy.PostStart || (work.Busy is ContainerBusy.Stopping && stop.Deadline < work.Deadline - TimeSpan.FromMilliseconds(500));
            if (work.Busy is not ContainerBusy.No && !overtake)
                return;
            work.Cancel?.Cancel();
            work.Busy = ContainerBusy.No;
            work.Cancel = null;
        }
        Begin(stop.Name, ContainerBusy.Stopping, stop.Deadline, cancel => StopContainerAsync(stop, cancel));
    }

    private async Task PrepareAsync()
    {
        Pod pod = _pod;
        NodeFacts node = _node.Node();
        PodNetworkResult network = new(null, [node.HostIp], null);
        if (pod.Spec.HostNetwork != true)
        {
            var ports = new List<HostPort>();
            foreach (Container container in pod.Spec.Containers.Concat(pod.Spec.InitContainers ?? []))
                foreach (ContainerPort port in container.Ports ?? [])
                    if (port.HostPort is > 0)
                        ports.Add(new HostPort(port.HostPort.Value, port.Number, port.Protocol ?? "TCP", string.IsNullOrEmpty(port.HostIP) ? null : port.HostIP));
            network = await _node.Network.AttachAsync(new PodNetworkSpec(_object.Uid, _object.Namespace, _object.Name, ports), _stop).ConfigureAwait(false);
        }
        string? error = network.Error is null ? null : $"Failed to create pod sandbox: {network.Error}";
        string reason = "FailedCreatePodSandBox";
        if (error is null)
        {
            try
            {
                Directory.CreateDirectory(_folders.Pod);
                new PodVolumes(_folders.Pod, _node.References, _node.Time).Prepare(pod, node, network.Addresses);
            }
            catch (UnresolvedException e)
            {
                (reason, error) = ("FailedMount", e.Message);
            }
        }
        lock (_gate)
        {
            if (network.Error is null)
                (_addresses, _netns) = (network.Addresses, network.NamespacePath);
            _prepared = error is null;
            _prepareWait = error is null ? null : new WaitFact("ContainerCreating", error, _node.Time.GetUtcNow() + _node.Options.RetryDelay);
        }
        if (error is not null)
            _node.Tell(_object, true, reason, error);
    }

    /// <summary>Projected volumes follow their sources, as long as the pod lives.</summary>
    private void RefreshVolumes()
    {
        lock (_gate)
            _refresh = false;
        if (_record.FinalPhase is not null || _record.Deletion is not null)
            return;
        try
        {
            new PodVolumes(_folders.Pod, _node.References, _node.Time).Prepare(_pod, _node.Node(), _record.Addresses);
        }
        catch (UnresolvedException e)
        {
            // A source that vanished leaves the last content in place, as Kubernetes does.
            _node.Tell(_object, true, "FailedMount", e.Message);
        }
    }

    /// <summary>Instances of attempts that the record has left behind (a crash between two writes) are ended and removed.</summary>
    private async Task RemoveStaleAsync()
    {
        string[] stale;
        lock (_gate)
            stale = [.. _instances.Keys.Where(id => !_record.Containers.Any(c => c.Attempt >= 0 && InstanceNames.Id(_record.Uid, c.Name, c.Attempt) == id))];
        foreach (string id in stale)
        {
            await _node.Runtime.StopAsync(id, 9, TimeSpan.Zero, _stop).ConfigureAwait(false);
            await _node.Runtime.RemoveAsync(id, _stop).ConfigureAwait(false);
            lock (_gate)
                _instances.Remove(id);
        }
    }

    private async Task RemoveAsync(RemoveInstance remove)
    {
        RuntimeOutcome outcome = await _node.Runtime.RemoveAsync(remove.InstanceId, _stop).ConfigureAwait(false);
        SubPaths.Release(Path.Combine(_folders.SubPaths, remove.Name));
        lock (_gate)
        {
            _dirty.Add(remove.InstanceId);
            Work(remove.Name).StartFailure = null;
        }
        if (!outcome.Ok)
        {
            _node.Log.LogWarning("Pod {Pod}: instance {Instance} cannot be removed yet: {Message}", _object.Key, remove.InstanceId, outcome.Message);
            await Task.Delay(_node.Options.RetryDelay, _node.Time, _stop).ConfigureAwait(false);
        }
        LogFiles.KeepNewest(_folders.LogFolder(remove.Name), attempts: 2);
    }

    private async Task ReleaseAsync()
    {
        await _node.Network.DetachAsync(_object.Uid, _stop).ConfigureAwait(false);
        SubPaths.Release(_folders.SubPaths);
        new PodVolumes(_folders.Pod, _node.References, _node.Time).Release();
        lock (_gate)
        {
            _prepared = false;
            PodRecord next = _record with { Released = true };
            PodRecordFile.Write(_folders.Pod, next);
            _record = next;
        }
    }

    private async Task FinishAsync()
    {
        if (_record.Kept() is { } kept)
            PodRecordFile.KeepEnded(_node.Options.StateFolder, kept);
        if (Directory.Exists(_folders.Pod))
            Directory.Delete(_folders.Pod, recursive: true);
        if (Directory.Exists(_folders.Logs))
            Directory.Delete(_folders.Logs, recursive: true);
        if (!_gone)
        {
            ApiResult result = await _node.Resources.DeleteAsync(Kinds.Pod, _object.Namespace, _object.Name, new DeleteOptions { GracePeriodSeconds = 0, Uid = _object.Uid }, _stop).ConfigureAwait(false);
            if (!result.Ok && !result.IsNotFound && !result.IsConflict)
                throw new IOException($"the pod cannot be deleted at the API: {result.Error?.Message}");
            if (result.IsNotFound || result.IsConflict || result.Object is null)
                _gone = true;
        }
        lock (_gate)
            _finished = true;
    }
}
