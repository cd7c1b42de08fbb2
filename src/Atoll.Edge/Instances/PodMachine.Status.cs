using Atoll.Api.Core;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>The status that people see, in Kubernetes' words.</summary>
internal sealed partial class PodMachine
{
    private PodStatus MakeStatus()
    {
        var status = new PodStatus
        {
            HostIP = _facts.HostIp,
            HostIPs = [new IpAddress { Ip = _facts.HostIp }],
            StartTime = _record.StartTime,
            QosClass = PodResources.QosClass(Spec),
            ObservedGeneration = _facts.Object.Metadata.Generation,
        };
        bool refused = !_record.Admitted && _record.Failure is not null;
        if (_record.Failure is { } failure)
        {
            status.Reason = failure.Reason;
            status.Message = failure.Message;
        }
        if (_record.Addresses.Count > 0 && !refused)
        {
            status.PodIP = _record.Addresses[0];
            status.PodIPs = [.. _record.Addresses.Select(a => new IpAddress { Ip = a })];
        }
        if (!refused)
        {
            bool waiting = !_record.Initialized && Spec.InitContainers is { Count: > 0 };
            status.InitContainerStatuses = Spec.InitContainers is { Count: > 0 } ? Statuses(Spec.InitContainers, waiting) : null;
            status.ContainerStatuses = Statuses(Spec.Containers, waiting);
        }
        status.Phase = Phase(status);
        status.Conditions = Conditions(status, refused);
        return status;
    }

    private List<ContainerStatus> Statuses(List<Container> containers, bool initializing)
    {
        var list = new List<ContainerStatus>(containers.Count);
        foreach (Container container in containers)
            list.Add(StatusOf(container, initializing));
        return list;
    }

    private ContainerStatus StatusOf(Container container, bool initializing)
    {
        ContainerRecord record = RecordOf(container.Name);
        ContainerFacts facts = FactsOf(container.Name);
        ContainerRole role = RoleOf(Spec, container);
        bool running = record is { Attempt: >= 0, Ended: null, Launched: true } && facts.Instance is { Phase: InstancePhase.Running };
        var status = new ContainerStatus
        {
            Name = container.Name,
            Image = container.Image ?? "",
            ImageID = record.ImageId ?? "",
            RestartCount = Math.Max(0, record.Attempt),
            Ready = role is ContainerRole.Init ? record.Ended is { ExitCode: 0 } : running && record.Ready,
            Started = role is ContainerRole.Init ? running : running && record.Started,
        };
        WaitFact? wait = _waits.GetValueOrDefault(container.Name) ?? (record.Ended is null ? facts.Wait : null);
        EndRecord? last = record.Last;
        if (running)
        {
            status.State = new ContainerState { Running = new ContainerStateRunning { StartedAt = record.StartedAt } };
            status.ContainerID = FullId(InstanceId(record));
        }
        else if (wait is not null)
        {
            status.State = new ContainerState { Waiting = new ContainerStateWaiting { Reason = wait.Reason, Message = wait.Message } };
            last = record.Ended ?? last;
            status.ContainerID = last is null ? null : FullId(last.InstanceId);
        }
        else if (record.Ended is { } ended)
        {
            status.State = new ContainerState { Terminated = Terminated(ended) };
            status.ContainerID = FullId(ended.InstanceId);
        }
        else
        {
            bool behind = initializing && role is ContainerRole.Main || (_facts.PrepareWait is null && role is not ContainerRole.Main && record.Attempt < 0 && _facts.Prepared);
            status.State = _record.FinalPhase is null || record.Attempt >= 0
                ? new ContainerState { Waiting = new ContainerStateWaiting { Reason = behind ? "PodInitializing" : "ContainerCreating" } }
                : new ContainerState { Waiting = new ContainerStateWaiting { Reason = initializing ? "PodInitializing" : "ContainerCreating" } };
            status.ContainerID = last is null ? null : FullId(last.InstanceId);
        }
        if (last is not null)
            status.LastState = new ContainerState { Terminated = Terminated(last) };
        return status;
    }

    private string FullId(string id) => $"{_facts.RuntimeName}://{id}";

    private ContainerStateTerminated Terminated(EndRecord end) => new()
    {
        ExitCode = end.ExitCode,
        Reason = end.Reason == "Rerun" ? "Completed" : end.Reason,
        Message = string.IsNullOrEmpty(end.Message) ? null : end.Message,
        StartedAt = end.StartedAt,
        FinishedAt = end.FinishedAt,
        ContainerID = FullId(end.InstanceId),
    };

    /// <summary>The phase rules of Kubernetes ("Pod phase"), over the container states just made.</summary>
    private string Phase(PodStatus status)
    {
        if (_record.FinalPhase is { } final && (_record.Failure is null || !AnyAlive()))
            return final;
        if (!_record.Initialized && Spec.InitContainers is { Count: > 0 } && !(status.ContainerStatuses ?? []).Exists(c => c.State?.Running is not null))
            return "Pending";
        int waiting = 0;
        foreach (ContainerStatus container in status.ContainerStatuses ?? [])
            if (container.State?.Waiting is not null && container.LastState?.Terminated is null)
                waiting++;
        return waiting > 0 ? "Pending" : "Running";
    }

    private List<Condition> Conditions(PodStatus status, bool refused)
    {
        var list = new List<Condition>(5 + (Spec.ReadinessGates?.Count ?? 0));
        bool done = status.Phase == "Succeeded", failed = status.Phase == "Failed";
        if (!refused)
        {
            var uninitialized = new List<string>();
            foreach (ContainerStatus init in status.InitContainerStatuses ?? [])
                if (!_record.Initialized && !(init.State?.Terminated is { ExitCode: 0 }) && init.Started != true)
                    uninitialized.Add(init.Name);
            var unready = new List<string>();
            foreach (ContainerStatus container in status.ContainerStatuses ?? [])
                if (!container.Ready)
                    unready.Add(container.Name);
            foreach (ContainerStatus init in status.InitContainerStatuses ?? [])
                if (!init.Ready && Spec.InitContainers!.Find(c => c.Name == init.Name)?.RestartPolicy == "Always")
                    unready.Add(init.Name);
            Add(list, "PodReadyToStartContainers", _record.Prepared && !_record.Released, null, null);
            Add(list, "Initialized", _record.Initialized || Spec.InitContainers is not { Count: > 0 } || done,
                done ? "PodCompleted" : uninitialized.Count > 0 ? "ContainersNotInitialized" : null,
                uninitialized.Count > 0 ? $"containers with incomplete status: [{string.Join(' ', uninitialized)}]" : null);
            (bool ready, string? reason, string? message) = Readiness(unready, done, failed);
            string? gate = ready ? MissingGate() : null;
            Add(list, "Ready", ready && gate is null, gate is not null ? "ReadinessGatesNotReady" : reason, gate ?? message);
            Add(list, "ContainersReady", ready, reason, message);
        }
        Add(list, "PodScheduled", true, null, null);
        if (_record.Failure is { Reason: "Evicted" or "DeadlineExceeded" } cause && cause.Reason == "Evicted")
            list.Add(new Condition { Type = "DisruptionTarget", Status = "True", Reason = "TerminationByKubelet", Message = cause.Message, LastTransitionTime = cause.Since });
        return list;
    }

    private static (bool, string?, string?) Readiness(List<string> unready, bool done, bool failed)
    {
        if (done)
            return (false, "PodCompleted", null);
        if (failed)
            return (false, "PodFailed", null);
        return unready.Count == 0 ? (true, null, null) : (false, "ContainersNotReady", $"containers with unready status: [{string.Join(' ', unready)}]");
    }

    private string? MissingGate()
    {
        foreach (PodReadinessGate gate in Spec.ReadinessGates ?? [])
        {
            Condition? condition = _facts.Pod.Status?.Condition(gate.ConditionType);
            if (condition is null)
                return $"corresponding condition of pod readiness gate \"{gate.ConditionType}\" does not exist.";
            if (condition.Status != "True")
                return $"the status of pod readiness gate \"{gate.ConditionType}\" is not \"True\", but {condition.Status}";
        }
        return null;
    }

    private void Add(List<Condition> list, string type, bool value, string? reason, string? message)
    {
        string text = value ? "True" : "False";
        ConditionRecord? old = null;
        foreach (ConditionRecord record in _record.Conditions)
            if (record.Type == type)
                old = record;
        if (old is null || old.Status != text)
        {
            DateTimeOffset since = Now;
            if (old is null && type == "PodScheduled" && _facts.Pod.Status?.Condition("PodScheduled")?.LastTransitionTime is { } bound)
                since = bound;
            var next = new ConditionRecord(type, text, since);
            _record = _record with { Conditions = [.. _record.Conditions.Where(c => c.Type != type), next] };
            old = next;
        }
        list.Add(new Condition { Type = type, Status = text, Reason = reason, Message = message, LastTransitionTime = old.Since });
    }
}
