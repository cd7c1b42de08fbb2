using Atoll.Api.Core;
using Atoll.Edge.Runtimes;

namespace Atoll.Edge.Instances;

/// <summary>
/// The life of a pod on this node, as Kubernetes defines it: admission, init containers in order, sidecars, restarts with
/// back-off, probes' consequences, deadlines, orderly stopping, and the status that people see. Pure: facts go in, a new
/// record, actions and a status come out; no clock, no I/O, nothing remembered between steps but the record. Steps are
/// idempotent, so the shell may call at any time; whatever is under way is told by <see cref="ContainerFacts.Busy"/>.
/// </summary>
internal sealed partial class PodMachine
{
    private static readonly ContainerFacts s_nothing = new();
    private readonly PodFacts _facts;
    private readonly List<PodAction> _actions = [];
    private readonly Dictionary<string, WaitFact> _waits = new(StringComparer.Ordinal);
    private PodRecord _record;
    private DateTimeOffset? _wake;

    private PodMachine(PodFacts facts)
    {
        _facts = facts;
        _record = facts.Record;
    }

    private PodSpec Spec => _facts.Pod.Spec;
    private DateTimeOffset Now => _facts.Now;
    private string RestartPolicy => Spec.RestartPolicy ?? "Always";
    private bool Stopping => _record.Deletion is not null || _record.Failure is not null;

    /// <summary>One step.</summary>
    public static PodPlan Step(PodFacts facts)
    {
        var machine = new PodMachine(facts);
        machine.Run();
        PodStatus status = machine.MakeStatus(); // First: it notes in the record since when each condition holds.
        return new PodPlan(machine._record, machine._actions, status, machine._wake);
    }

    /// <summary>Init containers with restartPolicy Always are sidecars.</summary>
    public static ContainerRole RoleOf(PodSpec spec, Container container)
    {
        if (spec.InitContainers is null || !spec.InitContainers.Contains(container))
            return ContainerRole.Main;
        return container.RestartPolicy == "Always" ? ContainerRole.Sidecar : ContainerRole.Init;
    }

    private void Run()
    {
        TakeIdentity();
        Observe();
        NoteEndings();
        if (!_record.Admitted && _record.Failure is null && !Stopping && !Admit())
            return;
        if (Stopping)
            PlanStop();
        else if (_record.FinalPhase is null)
            PlanRun();
        RemoveEnded();
        if (_record.FinalPhase is not null || Stopping)
            PlanEnd();
    }

    private ContainerFacts FactsOf(string name) => _facts.Containers.GetValueOrDefault(name, s_nothing);

    private ContainerRecord RecordOf(string name) => _record.Find(name) ?? new ContainerRecord { Name = name };

    private void Wake(DateTimeOffset at)
    {
        if (_wake is not { } wake || at < wake)
            _wake = at;
    }

    private void TakeIdentity()
    {
        if (_record.StartTime is null && !_facts.Gone)
            _record = _record with { StartTime = Now, Namespace = _facts.Object.Namespace, Name = _facts.Object.Name };
        if (_facts.Addresses is { } addresses && !addresses.SequenceEqual(_record.Addresses))
            _record = _record with { Addresses = addresses };
        if (_facts.Prepared && !_record.Prepared)
            _record = _record with { Prepared = true };
    }

    private bool Admit()
    {
        if (_facts.Admission is not { } admission)
            return false; // Not known yet: the node wakes the pod.
        if (admission.Reason is null)
        {
            _record = _record with { Admitted = true };
            return true;
        }
        _record = _record with { Failure = new StopRecord(admission.Reason, admission.Message ?? "", Now, 0), FinalPhase = "Failed", Released = true };
        _actions.Add(new TellEvent(true, admission.Reason, admission.Message ?? "", null));
        return true;
    }

    /// <summary>Takes what the runtime shows into the record.</summary>
    private void Observe()
    {
        foreach (ContainerRecord before in _record.Containers)
        {
            ContainerRecord record = before;
            ContainerFacts facts = FactsOf(record.Name);
            if (record.Attempt < 0 || record.Ended is not null)
                continue;
            if (facts.StartFailure is { } failure)
                record = record with { Ended = failure, Launched = true, Stop = null, Ready = false, Started = false };
            else if (facts.Instance is { } instance)
                record = Seen(record, facts, instance);
            else if (record.Launched && facts.Busy is ContainerBusy.No)
                record = record with { Ended = new EndRecord(137, "ContainerStatusUnknown", "The container could not be located when the node control looked for it.", record.StartedAt, Now, InstanceId(record)), Removed = true, Stop = null, Ready = false, Started = false };
            if (!ReferenceEquals(record, before))
                _record = _record.With(record);
        }
        NoteLostSandbox();
    }

    private ContainerRecord Seen(ContainerRecord record, ContainerFacts facts, Instance instance)
    {
        if (!record.Launched || record.StartedAt != instance.StartedAt || (facts.ResolvedImageId is { } id && id != record.ImageId))
            record = record with { Launched = true, StartedAt = instance.StartedAt ?? record.StartedAt, ImageId = facts.ResolvedImageId ?? record.ImageId };
        if (instance.Phase is InstancePhase.Exited or InstancePhase.Unknown)
        {
            int code = instance.Phase is InstancePhase.Unknown ? 137 : instance.ExitCode;
            string reason = instance.OomKilled ? "OOMKilled" : instance.Phase is InstancePhase.Unknown ? "ContainerStatusUnknown" : code == 0 ? "Completed" : "Error";
            var end = new EndRecord(code, reason, facts.TerminationMessage, record.StartedAt ?? instance.StartedAt, instance.FinishedAt ?? Now, record.InstanceIdOr(instance.Id));
            return record with { Ended = end, Stop = null, Ready = false, Started = false };
        }
        if (instance.Phase is not InstancePhase.Running || Spec.Containers.Concat(Spec.InitContainers ?? []).FirstOrDefault(c => c.Name == record.Name) is not { } container)
            return record;
        bool hook = container.Lifecycle?.PostStart is null || record.PostStarted || (facts.PostStartDone && facts.PostStartError is null);
        bool started = hook && (record.Started || container.StartupProbe is null || facts.StartupOk == true);
        bool ready = started && record.Stop is null && (container.ReadinessProbe is null || (facts.ReadinessOk ?? record.Ready));
        return record.PostStarted == hook && record.Started == started && record.Ready == ready ? record : record with { PostStarted = hook, Started = started, Ready = ready };
    }

    /// <summary>
    /// When every container that should run vanished at once, the machine was started again: the pod's namespace and
    /// memory volumes are gone too, so init containers run once more, as Kubernetes does for a new sandbox.
    /// </summary>
    private void NoteLostSandbox()
    {
        if (!_record.Initialized || Stopping || _record.FinalPhase is not null || RestartPolicy == "Never")
            return;
        int lost = 0, others = 0;
        foreach (Container container in Spec.Containers)
        {
            ContainerRecord record = RecordOf(container.Name);
            if (record.Attempt >= 0 && record.Ended is { Reason: "ContainerStatusUnknown" })
                lost++;
            else if (record.Attempt >= 0 && record.Ended is null)
                others++;
        }
        if (lost == 0 || others > 0)
            return;
        _record = _record with { Initialized = false };
        foreach (Container container in Spec.InitContainers ?? [])
            if (RoleOf(Spec, container) is ContainerRole.Init && RecordOf(container.Name) is { Attempt: >= 0, Ended.ExitCode: 0 } done)
                _record = _record.With(done with { Ended = done.Ended! with { Reason = "Rerun" } });
    }

    /// <summary>Deletion, deadline, eviction: reasons to stop the pod as a whole.</summary>
    private void NoteEndings()
    {
        if (_facts.Object.IsDeleting || _facts.Gone)
        {
            double grace = Math.Max(1, _facts.Object.IsDeleting ? _facts.Object.Metadata.DeletionGracePeriodSeconds ?? PodGrace : PodGrace);
            string why = _facts.Object.IsDeleting ? StopRecord.Deleted : _record.Deletion?.Reason ?? (_record.FinalPhase is null && _record.Failure is null ? StopRecord.Unwanted : StopRecord.Ended);
            if (_record.Deletion is not { } known || grace < known.GraceSeconds || why != known.Reason)
                _record = _record with { Deletion = new StopRecord(why, "", _record.Deletion?.Since ?? Now, Math.Min(grace, _record.Deletion?.GraceSeconds ?? grace)) };
        }
        if (_record.FinalPhase is not null || _record.Failure is not null || _record.Deletion is not null)
            return;
        if (_facts.Eviction is { } eviction)
            _record = _record with { Failure = new StopRecord("Evicted", eviction.Message, Now, Math.Min(PodGrace, eviction.MostGraceSeconds)) };
        else if (Spec.ActiveDeadlineSeconds is { } seconds && _record.StartTime is { } start)
        {
            DateTimeOffset end = start.AddSeconds(Math.Min(seconds, LongestSeconds));
            if (Now < end)
            {
                Wake(end);
                return;
            }
            const string Text = "Pod was active on the node longer than the specified deadline";
            _record = _record with { Failure = new StopRecord("DeadlineExceeded", Text, Now, PodGrace) };
            _actions.Add(new TellEvent(false, "DeadlineExceeded", Text, null));
        }
    }

    private double PodGrace => Grace(null);

    private double Grace(Probe? probe) => Math.Min(probe?.TerminationGracePeriodSeconds ?? Spec.TerminationGracePeriodSeconds ?? 30, LongestSeconds);

    private string InstanceId(ContainerRecord record) => InstanceNames.Id(_record.Uid, record.Name, record.Attempt);
}

/// <summary>Small helper of records.</summary>
internal static class ContainerRecordExtensions
{
    public static string InstanceIdOr(this ContainerRecord record, string id) => record.Ended?.InstanceId ?? id;
}
