using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>Stopping: main containers together, then sidecars in reverse order, all within one grace period.</summary>
internal sealed partial class PodMachine
{
    /// <summary>Grace that a container is left with when others have used up the pod's, as in Kubernetes.</summary>
    private const double LeastGraceSeconds = 2;

    /// <summary>More is no time that anybody waits for (68 years), and could not be counted.</summary>
    private const int LongestSeconds = int.MaxValue;

    private void PlanStop()
    {
        StopRecord stop = _record.Deletion ?? _record.Failure!;
        if ((AnyAlive() || AnyStarting()) && !ProtocolFaults.Is(ProtocolFault.StoppedWhileRunning))
            StopAll(stop.GraceSeconds, stop.Since, "Stopping container ");
        else if (_record.FinalPhase is null)
            _record = _record with { FinalPhase = _record.Failure is not null || AnyFailed() ? "Failed" : "Succeeded" };
    }

    private bool IsAlive(ContainerRecord record) =>
        record.Attempt >= 0 && record.Ended is null && (record.Launched || FactsOf(record.Name).Instance is not null);

    private bool AnyAlive()
    {
        foreach (ContainerRecord record in _record.Containers)
            if (IsAlive(record))
                return true;
        return false;
    }

    private bool AnyStarting()
    {
        foreach (ContainerRecord record in _record.Containers)
            if (FactsOf(record.Name).Busy is ContainerBusy.Starting)
                return true;
        return false;
    }

    private bool AnyFailed()
    {
        bool any = false;
        foreach (Container container in Spec.Containers)
        {
            ContainerRecord record = RecordOf(container.Name);
            if (record.Ended is { ExitCode: not 0 } || (record.Attempt >= 0 && record.Ended is null))
                return true;
            any |= record.Ended is not null;
        }
        return !any; // Nothing ever ran: Kubernetes calls that failed.
    }

    private void StopAll(double graceSeconds, DateTimeOffset since, string message)
    {
        DateTimeOffset deadline = since.AddSeconds(graceSeconds);
        bool later = false;
        foreach (Container container in Spec.Containers)
            later |= StopOne(container, deadline, message);
        IReadOnlyList<Container> init = Spec.InitContainers ?? [];
        for (int i = init.Count - 1; i >= 0; i--)
        {
            bool sidecar = RoleOf(Spec, init[i]) is ContainerRole.Sidecar;
            if (sidecar && later)
                continue;
            bool alive = StopOne(init[i], sidecar && deadline < Now.AddSeconds(LeastGraceSeconds) && RecordOf(init[i].Name).Stop is null ? Now.AddSeconds(LeastGraceSeconds) : deadline, message);
            later |= alive;
        }
        // Containers that the spec no longer names cannot be ordered: stop them last.
        foreach (ContainerRecord record in _record.Containers)
            if (IsAlive(record) && FindSpec(record.Name) is null && !later)
                _actions.Add(new StopContainer(record.Name, InstanceId(record), false, deadline, ""));
    }

    private Container? FindSpec(string name) =>
        Spec.Containers.Find(c => c.Name == name) ?? Spec.InitContainers?.Find(c => c.Name == name);

    /// <summary>Stops a container; true while it lives.</summary>
    private bool StopOne(Container container, DateTimeOffset deadline, string message)
    {
        ContainerRecord record = RecordOf(container.Name);
        ContainerFacts facts = FactsOf(container.Name);
        if (!IsAlive(record))
            return facts.Busy is ContainerBusy.Starting;
        string text = message.Length == 0 ? $"Stopping container {container.Name}" : message + container.Name;
        if (record.Stop is null || record.Stop.Since.AddSeconds(record.Stop.GraceSeconds) > deadline)
        {
            if (record.Stop is null)
                _actions.Add(new TellEvent(false, "Killing", text, container.Name));
            record = record with { Stop = new StopRecord("Stopping", text, Now, Math.Max(0, (deadline - Now).TotalSeconds)), Ready = false };
            _record = _record.With(record);
        }
        DateTimeOffset until = record.Stop.Since.AddSeconds(record.Stop.GraceSeconds);
        _actions.Add(new StopContainer(container.Name, InstanceId(record), true, until, text));
        return true;
    }

    /// <summary>Removes instances whose end is written down; the log files stay for <c>logs --previous</c>.</summary>
    private void RemoveEnded()
    {
        foreach (ContainerRecord record in _record.Containers)
        {
            ContainerFacts facts = FactsOf(record.Name);
            // One step later, so that the end is on disk before the runtime forgets it.
            if (record is { Ended: not null, Removed: false } && _facts.Record.Find(record.Name)?.Ended is not null && facts.Busy is ContainerBusy.No)
            {
                if (facts.Instance is null && facts.StartFailure is null)
                {
                    _record = _record.With(record with { Removed = true });
                    Wake(Now);
                }
                else
                    _actions.Add(new RemoveInstance(record.Name, record.Ended.InstanceId));
            }
            else if (record is { Ended: not null, Removed: false } && facts.Busy is ContainerBusy.No)
                Wake(Now);
        }
    }

    /// <summary>After the phase is final: give resources back, and on deletion make the object go.</summary>
    private void PlanEnd()
    {
        if (_record.FinalPhase is null || ((AnyAlive() || AnyStarting()) && !ProtocolFaults.Is(ProtocolFault.StoppedWhileRunning)))
            return;
        foreach (ContainerRecord record in _record.Containers)
            if (record is { Ended: not null, Removed: false } || FactsOf(record.Name).Busy is not ContainerBusy.No)
                return;
        if (!_record.Released)
        {
            if (_facts.PrepareWait is { } wait && wait.RetryAt > Now)
                Wake(wait.RetryAt);
            else if (_facts is { Releasing: false, Preparing: false })
                _actions.Add(new ReleasePod());
        }
        else if (_record.Deletion is not null && !_facts.Finishing)
            _actions.Add(new FinishPod());
    }
}
