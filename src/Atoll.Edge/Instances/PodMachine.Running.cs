using System.Globalization;
using Atoll.Api.Core;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>Starting and restarting.</summary>
internal sealed partial class PodMachine
{
    private void PlanRun()
    {
        if (!_facts.Prepared && _facts.Hold is null)
        {
            if (_facts.PrepareWait is { } wait && wait.RetryAt > Now)
                Wake(wait.RetryAt);
            else if (!_facts.Preparing)
                _actions.Add(new PreparePod());
            // What ran before an agent restart goes on being watched below; nothing new is started.
        }
        bool initialized = PlanInit();
        if (_record.FinalPhase is not null)
            return;
        if (initialized && !_record.Initialized)
            _record = _record with { Initialized = true };
        if (initialized)
            foreach (Container container in Spec.Containers)
                PlanContainer(container, ContainerRole.Main);
        NoteCompletion();
    }

    /// <summary>True when all init containers have completed and all sidecars have started.</summary>
    private bool PlanInit()
    {
        bool done = _record.Initialized;
        if (Spec.InitContainers is null)
            return true;
        foreach (Container container in Spec.InitContainers)
        {
            ContainerRole role = RoleOf(Spec, container);
            ContainerRecord record = RecordOf(container.Name);
            if (role is ContainerRole.Sidecar)
            {
                PlanContainer(container, role);
                record = RecordOf(container.Name);
                if (!done && !(record.Started && record.Ended is null && record.Attempt >= 0))
                    return false;
                continue;
            }
            if (done || record.Ended is { ExitCode: 0, Reason: not "Rerun" })
                continue;
            if (record.Ended is { ExitCode: not 0 } && RestartPolicy == "Never")
            {
                FailPod();
                return false;
            }
            PlanContainer(container, role);
            return false;
        }
        return true;
    }

    private void FailPod()
    {
        // Sidecars that already run are stopped before the phase becomes final.
        if (AnyAlive())
            StopAll(PodGrace, Now, "");
        else
            _record = _record with { FinalPhase = "Failed" };
    }

    private bool ShouldRestart(ContainerRecord record, ContainerRole role)
    {
        if (role is ContainerRole.Sidecar || record.Ended is { Reason: "Rerun" })
            return true;
        return RestartPolicy switch
        {
            "Never" => false,
            "OnFailure" => record.Ended!.ExitCode != 0,
            _ => role is ContainerRole.Main || record.Ended!.ExitCode != 0,
        };
    }

    private void PlanContainer(Container container, ContainerRole role)
    {
        ContainerRecord record = RecordOf(container.Name);
        ContainerFacts facts = FactsOf(container.Name);
        if (record.Attempt >= 0 && record.Ended is null && record.Launched)
        {
            PlanAlive(container, record, facts);
            return;
        }
        if (IsHeldBack(container, record))
            return;
        if (record.Ended is not null && record.Attempt >= 0)
        {
            if (role is ContainerRole.Main && MainsAreOver())
                return;
            if (!ShouldRestart(record, role) || !RestartIsDue(record, role))
                return;
            // One instance of a container at a time: the ended one is removed (its end is on disk) before the next is made.
            if (facts.Busy is not ContainerBusy.No || !_facts.Prepared || !record.Removed)
                return;
            ContainerRecord next = record.Ended.Reason is "ContainerStatusUnknown" or "Rerun" ? record : _facts.Backoff.Next(record, record.Ended.FinishedAt, Now);
            record = next with { Attempt = record.Attempt + 1, Last = record.Ended, Ended = null, Launched = false, Removed = false, PostStarted = false, Started = false, Ready = false, StartedAt = null, Stop = null, Image = container.Image };
            _record = _record.With(record);
        }
        if (!_facts.Prepared || facts.Busy is not ContainerBusy.No)
            return;
        if (facts.Wait is { } wait && wait.RetryAt > Now)
        {
            Wake(wait.RetryAt);
            return;
        }
        if (record.Attempt < 0)
        {
            record = record with { Attempt = 0, Image = container.Image };
            _record = _record.With(record);
        }
        _actions.Add(new StartContainer(container.Name, record.Attempt));
    }

    private bool IsHeldBack(Container container, ContainerRecord record)
    {
        if (_facts.Hold is not { } why || (record.Ended is not null && MainsAreOver()))
            return false;
        DateTimeOffset again = Now.AddSeconds(1);
        _waits[container.Name] = new WaitFact("HeldBack", why, again);
        Wake(again);
        return true;
    }

    private bool RestartIsDue(ContainerRecord record, ContainerRole role)
    {
        EndRecord ended = record.Ended!;
        if (ended.Reason is "ContainerStatusUnknown" or "Rerun")
            return true;
        // What ended before the agent began (a reboot, as a rule) starts again at once; so does what seems to have ended in
        // the future, when the clock was set back. The delay that the next end meets still doubles.
        if (ended.FinishedAt < _facts.AgentSince || ended.FinishedAt > Now.AddSeconds(1))
            return true;
        TimeSpan delay = _facts.Backoff.Delay(record, ended.FinishedAt);
        DateTimeOffset due = ended.FinishedAt + delay;
        if (Now >= due)
            return true;
        string pod = $"{_record.Name}_{_record.Namespace}({_record.Uid})";
        _waits[record.Name] = new WaitFact("CrashLoopBackOff", $"back-off {GoDuration(delay)} restarting failed container={record.Name} pod={pod}", due);
        if (record.BackoffAnnounced != record.Attempt)
        {
            _record = _record.With(record with { BackoffAnnounced = record.Attempt });
            _actions.Add(new TellEvent(true, "BackOff", $"Back-off restarting failed container {record.Name} in pod {pod}", record.Name));
        }
        Wake(due);
        return false;
    }

    /// <summary>A container that has been started: hooks, probes' verdicts, a changed image.</summary>
    private void PlanAlive(Container container, ContainerRecord record, ContainerFacts facts)
    {
        if (record.Stop is null)
        {
            StopRecord? stop = null;
            if (container.Image != record.Image && record.Image is not null && facts.Busy is ContainerBusy.No)
                stop = new StopRecord("Changed", $"Container {container.Name} definition changed, will be restarted", Now, PodGrace);
            else if (facts.StartupFailed)
                stop = new StopRecord("Unhealthy", $"Container {container.Name} failed startup probe, will be restarted", Now, Grace(container.StartupProbe));
            else if (facts.LivenessFailed)
                stop = new StopRecord("Unhealthy", $"Container {container.Name} failed liveness probe, will be restarted", Now, Grace(container.LivenessProbe));
            else if (facts.PostStartError is { } error)
            {
                _actions.Add(new TellEvent(true, "FailedPostStartHook", error, container.Name));
                stop = new StopRecord("FailedPostStartHook", "FailedPostStartHook", Now, PodGrace);
            }
            if (stop is not null)
            {
                record = record with { Stop = stop, Ready = false };
                _record = _record.With(record);
                _actions.Add(new TellEvent(false, "Killing", stop.Message, container.Name));
            }
        }
        if (record.Stop is { } wanted)
        {
            if (facts.Busy is ContainerBusy.No or ContainerBusy.PostStart)
                _actions.Add(new StopContainer(container.Name, InstanceId(record), wanted.Reason != "FailedPostStartHook", wanted.Since.AddSeconds(wanted.GraceSeconds), wanted.Message));
            return;
        }
        if (container.Lifecycle?.PostStart is not null && !record.PostStarted && facts is { Busy: ContainerBusy.No, PostStartDone: false } && facts.Instance?.Phase is InstancePhase.Running)
            _actions.Add(new RunPostStart(container.Name, InstanceId(record)));
    }

    /// <summary>True when all main containers have ended and will not be restarted.</summary>
    private bool MainsAreOver()
    {
        foreach (Container container in Spec.Containers)
        {
            ContainerRecord record = RecordOf(container.Name);
            if (record.Attempt < 0 || record.Ended is null || ShouldRestart(record, ContainerRole.Main))
                return false;
        }
        return true;
    }

    /// <summary>All main containers done for good: sidecars are stopped, then the phase is final.</summary>
    private void NoteCompletion()
    {
        if (!_record.Initialized || !MainsAreOver())
            return;
        if (AnyAlive())
        {
            _actions.RemoveAll(a => a is StartContainer);
            StopAll(PodGrace, LastEnd(), "");
            return;
        }
        bool failed = false;
        foreach (Container container in Spec.Containers)
            failed |= RecordOf(container.Name).Ended!.ExitCode != 0;
        _record = _record with { FinalPhase = failed ? "Failed" : "Succeeded" };
        _actions.RemoveAll(a => a is StartContainer);
    }

    private DateTimeOffset LastEnd()
    {
        DateTimeOffset last = DateTimeOffset.MinValue;
        foreach (ContainerRecord record in _record.Containers)
            if (record.Ended is { } end && end.FinishedAt > last)
                last = end.FinishedAt;
        return last == DateTimeOffset.MinValue ? Now : last;
    }

    /// <summary>A duration as Go prints it, which is how Kubernetes' messages read.</summary>
    internal static string GoDuration(TimeSpan delay)
    {
        int seconds = (int)delay.TotalSeconds;
        return seconds < 60
            ? string.Create(CultureInfo.InvariantCulture, $"{seconds}s")
            : string.Create(CultureInfo.InvariantCulture, $"{seconds / 60}m{seconds % 60}s");
    }
}
