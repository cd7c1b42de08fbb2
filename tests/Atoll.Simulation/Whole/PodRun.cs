using System.Text.Json;
using System.Text.Json.Nodes;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Edge.Instances;
using Atoll.Edge.Runtimes;
using Atoll.Kube.Resources;

namespace Atoll.Simulation.Whole;

/// <summary>The shell around one pod's machine: gathers facts, steps, keeps the record, carries out what is to be done.</summary>
internal sealed class PodRun(World world, NodeAgent agent, KubeObject pod, PodRecord record, int order)
{
    private readonly Dictionary<string, ContainerBusy> _busy = new(StringComparer.Ordinal);
    private PodRecord _record = record;
    private string _written = "";
    private bool _gone, _prepared, _preparing, _releasing, _finishing, _finished, _completed, _due, _writing;
    private DateTimeOffset _wakeAt = DateTimeOffset.MaxValue;
    private WaitFact? _wait;

    public KubeObject Object { get; private set; } = pod;

    public int Order => order;

    /// <summary>Only to be stopped: it waits for nobody.</summary>
    public bool IsUnwanted { get; set; }

    private Machine Machine => agent.Node.Machine;

    public void Update(KubeObject value)
    {
        Object = value;
        Nudge();
    }

    public void Gone()
    {
        _gone = true;
        Nudge();
    }

    /// <summary>The status is to be told anew.</summary>
    public void Forget()
    {
        _written = "";
        Nudge();
    }

    public void Nudge()
    {
        if (_due)
            return;
        _due = true;
        world.At(world.Below(5), () =>
        {
            _due = false;
            if (agent.IsAlive && !_completed)
                Step();
        });
    }

    private void Step()
    {
        if (agent.HasPredecessor(this))
            return;
        if (!_finished)
        {
            if (_wait is not null && References())
                _wait = null;
            PodPlan plan = PodMachine.Step(Facts());
            Keep(plan.Record);
            foreach (PodAction action in plan.Actions)
                Execute(action);
            if (!_gone)
                WriteStatus(plan.Status);
            if (plan.WakeAt is { } at)
                WakeAt(at);
        }
        if (!_finished || !_gone)
            return;
        _completed = true;
        agent.Completed(this);
    }

    private PodFacts Facts()
    {
        var containers = new Dictionary<string, ContainerFacts>(StringComparer.Ordinal);
        Pod view = Object.View(ApiJson.Default.Pod);
        foreach (string name in view.Spec.Containers.Select(c => c.Name!).Concat(_record.Containers.Select(c => c.Name)).Distinct())
        {
            ContainerRecord? known = _record.Find(name);
            containers[name] = new ContainerFacts
            {
                Instance = known is { Attempt: >= 0 } ? Machine.Instances.GetValueOrDefault(InstanceNames.Id(_record.Uid, name, known.Attempt)) : null,
                Busy = _busy.GetValueOrDefault(name),
                Wait = _wait,
            };
        }
        return new PodFacts
        {
            Object = Object,
            Pod = view,
            Record = _record,
            Now = world.Time.GetUtcNow(),
            AgentSince = agent.Since,
            RuntimeName = "sim",
            HostIp = "192.0.2.1",
            Backoff = new BackoffRule(TimeSpan.FromSeconds(2), TimeSpan.FromSeconds(10)),
            Containers = containers,
            Gone = _gone,
            Prepared = _prepared,
            Preparing = _preparing,
            Addresses = _prepared ? ["10.0.0.1"] : null,
            Releasing = _releasing,
            Finishing = _finishing,
            Admission = (null, null),
        };
    }

    private void Keep(PodRecord next)
    {
        if (ReferenceEquals(next, _record))
            return;
        _record = next;
        Machine.Records[Object.Uid] = next;
    }

    private void Execute(PodAction action)
    {
        switch (action)
        {
            case PreparePod when !_preparing:
                _preparing = true;
                Later(10, () => (_preparing, _prepared) = (false, true));
                break;
            case StartContainer start when Begin(start.Name, ContainerBusy.Starting):
                Start(start);
                break;
            case StopContainer stop when Begin(stop.Name, ContainerBusy.Stopping):
                Machine.Stop(stop.InstanceId, () => End(stop.Name));
                break;
            case RemoveInstance remove when Begin(remove.Name, ContainerBusy.Removing):
                Machine.Remove(remove.InstanceId, () => End(remove.Name));
                break;
            case ReleasePod when !_releasing:
                _releasing = true;
                Later(10, () =>
                {
                    (_releasing, _prepared) = (false, false);
                    Keep(_record with { Released = true });
                });
                break;
            case FinishPod when !_finishing:
                _finishing = true;
                Later(10, Finish);
                break;
        }
    }

    private void Start(StartContainer start)
    {
        if (!References())
        {
            _wait = new WaitFact("CreateContainerConfigError", "something that the pod refers to is not here", world.Time.GetUtcNow().AddSeconds(2));
            End(start.Name);
            return;
        }
        var labels = new Dictionary<string, string>(StringComparer.Ordinal)
        {
            [InstanceNames.PodUid] = Object.Uid,
            [InstanceNames.PodName] = Object.Name,
            [InstanceNames.PodNamespace] = Object.Namespace,
            [InstanceNames.Container] = start.Name,
            [InstanceNames.Attempt] = start.Attempt.ToString(System.Globalization.CultureInfo.InvariantCulture),
            [InstanceNames.Grace] = "1",
        };
        // The image is fetched by the agent, and the fetch dies with it; what the runtime was told to do is done.
        int? forMs = Object.View(ApiJson.Default.Pod).Spec.RestartPolicy is null or "Always" ? null : 300 + world.Below(8000);
        Later(world.Chance(10) ? 3000 : 100, () => Machine.Start(InstanceNames.Id(Object.Uid, start.Name, start.Attempt), labels, forMs, () => End(start.Name)));
    }

    /// <summary>What the pod's volumes name is at the site.</summary>
    private bool References()
    {
        foreach (Volume volume in Object.View(ApiJson.Default.Pod).Spec.Volumes ?? [])
            if ((volume.Secret?.SecretName is { } secret && agent.Node.Store.Find(Kinds.Secret, $"{Object.Namespace}/{secret}") is null)
                || (volume.ConfigMap?.Name is { } map && agent.Node.Store.Find(Kinds.ConfigMap, $"{Object.Namespace}/{map}") is null))
                return false;
        return true;
    }

    private void Finish()
    {
        if (_record.Kept() is { } kept)
            Machine.Ended[Object.Uid] = kept;
        Machine.Records.Remove(Object.Uid);
        if (_gone)
            Finished(true);
        else
            agent.Node.Write(Kinds.Pod, Object.Key, document => Is(document) ? null : document, Finished);
    }

    private void Finished(bool done)
    {
        if (done)
            (_finished, _finishing) = (true, false);
        else
            Later(1000, Finish);
        Nudge();
    }

    private bool Is(JsonObject? document) => (string?)document?["metadata"]!["uid"] == Object.Uid;

    private bool Begin(string name, ContainerBusy busy)
    {
        if (_busy.GetValueOrDefault(name) != ContainerBusy.No)
            return false;
        _busy[name] = busy;
        return true;
    }

    private void End(string name)
    {
        _busy[name] = ContainerBusy.No;
        if (agent.IsAlive)
            Nudge();
    }

    private void Later(int ms, Action action) => world.At(1 + world.Below(ms), () =>
    {
        if (!agent.IsAlive)
            return;
        action();
        Nudge();
    });

    private void WakeAt(DateTimeOffset at)
    {
        if (at >= _wakeAt && _wakeAt > world.Time.GetUtcNow())
            return;
        _wakeAt = at;
        world.At((long)Math.Ceiling((at - world.Time.GetUtcNow()).TotalMilliseconds), () =>
        {
            if (agent.IsAlive)
                Nudge();
        });
    }

    private void WriteStatus(PodStatus status)
    {
        string text = JsonSerializer.Serialize(status, ApiJson.Default.PodStatus);
        // One after the other: an older one must not arrive last.
        if (text == _written || _writing)
            return;
        (_written, _writing) = (text, true);
        world.Trace($"{agent.Node.Name}: tells {Object.Name} is {status.Phase}, {(status.Condition("Ready")?.Status == "True" ? "ready" : "not ready")}");
        agent.Node.Write(Kinds.Pod, Object.Key, document =>
        {
            if (!Is(document))
                return document;
            JsonObject next = document!.DeepClone().AsObject();
            next["status"] = JsonNode.Parse(text);
            PodAdmission.KeepEnd(document, next);
            return next;
        }, done =>
        {
            _writing = false;
            if (done)
                Nudge();
            else
                Later(1000, Forget);
        });
    }
}
