using Atoll.Api.Core;

namespace Atoll.Edge.Instances;

internal enum ProbeKind { Startup, Liveness, Readiness }

/// <summary>Counts a probe's results against its thresholds. Pure.</summary>
internal sealed class ProbeCounter(Probe probe, ProbeKind kind)
{
    private int _run;
    private bool _last;

    /// <summary>Null until a threshold was reached once.</summary>
    public bool? Verdict { get; private set; }

    /// <summary>Takes a result; true when the verdict changed.</summary>
    public bool Add(bool ok)
    {
        _run = ok == _last ? _run + 1 : 1;
        _last = ok;
        int needed = ok ? Math.Max(1, probe.SuccessThreshold ?? 1) : Math.Max(1, probe.FailureThreshold ?? 3);
        if (_run < needed && !(Verdict is null && !ok && kind is ProbeKind.Readiness))
            return false;
        bool changed = Verdict != ok;
        Verdict = ok;
        return changed;
    }
}

/// <summary>The probes of one attempt of a container.</summary>
internal sealed class ContainerProbes(string instanceId, Container container, string host, DateTimeOffset startedAt, bool started, Action<ProbeKind, ProbeOutcome, bool> report)
{
    private readonly List<ScheduledProbe> _probes = [];

    public string InstanceId { get; } = instanceId;
    public Container Container { get; } = container;
    public string Host { get; } = host;
    public DateTimeOffset StartedAt { get; } = startedAt;
    public Action<ProbeKind, ProbeOutcome, bool> Report { get; } = report;
    public bool Started { get; set; } = started || container.StartupProbe is null;
    public bool Removed { get; set; }
    public IReadOnlyList<ScheduledProbe> Probes => _probes;

    public bool? Verdict(ProbeKind kind)
    {
        foreach (ScheduledProbe probe in _probes)
            if (probe.Kind == kind)
                return probe.Counter.Verdict;
        return null;
    }

    public void Fill()
    {
        if (Container.StartupProbe is { } startup && !Started)
            _probes.Add(new ScheduledProbe(this, startup, ProbeKind.Startup));
        if (Container.LivenessProbe is { } liveness)
            _probes.Add(new ScheduledProbe(this, liveness, ProbeKind.Liveness));
        if (Container.ReadinessProbe is { } readiness)
            _probes.Add(new ScheduledProbe(this, readiness, ProbeKind.Readiness));
    }
}

/// <summary>One probe with its counter.</summary>
internal sealed class ScheduledProbe(ContainerProbes owner, Probe probe, ProbeKind kind)
{
    public ContainerProbes Owner { get; } = owner;
    public Probe Probe { get; } = probe;
    public ProbeKind Kind { get; } = kind;
    public ProbeCounter Counter { get; } = new(probe, kind);
    public TimeSpan Period => TimeSpan.FromSeconds(Math.Max(1, Probe.PeriodSeconds ?? 10));
    public TimeSpan Timeout => TimeSpan.FromSeconds(Math.Max(1, Probe.TimeoutSeconds ?? 1));
}

/// <summary>All probes of the node on one timer: a queue by due time, one loop, no timer or thread a probe.</summary>
internal sealed class ProbeWheel(ProbeRunner runner, TimeProvider time)
{
    private readonly PriorityQueue<ScheduledProbe, DateTimeOffset> _due = new();
    private readonly SemaphoreSlim _changed = new(0, 1);

    public void Add(ContainerProbes probes)
    {
        probes.Fill();
        DateTimeOffset now = time.GetUtcNow();
        lock (_due)
            foreach (ScheduledProbe probe in probes.Probes)
                if (probe.Kind is ProbeKind.Startup || probes.Started)
                    Enqueue(probe, now);
        Signal();
    }

    public void Remove(ContainerProbes probes) => probes.Removed = true;

    private void Enqueue(ScheduledProbe probe, DateTimeOffset now)
    {
        DateTimeOffset first = probe.Owner.StartedAt.AddSeconds(probe.Probe.InitialDelaySeconds ?? 0);
        _due.Enqueue(probe, first > now ? first : now);
    }

    private void Signal()
    {
        lock (_changed)
            if (_changed.CurrentCount == 0)
                _changed.Release();
    }

    public async Task RunAsync(CancellationToken cancellation)
    {
        while (!cancellation.IsCancellationRequested)
        {
            TimeSpan wait = Timeout.InfiniteTimeSpan;
            lock (_due)
            {
                DateTimeOffset now = time.GetUtcNow();
                while (_due.TryPeek(out ScheduledProbe? probe, out DateTimeOffset at))
                {
                    if (probe.Owner.Removed)
                    {
                        _due.Dequeue();
                        continue;
                    }
                    if (at > now)
                    {
                        wait = at - now;
                        break;
                    }
                    _due.Dequeue();
                    _ = ProbeAsync(probe, cancellation);
                }
            }
            await Waiting.ForAsync(_changed, wait, time, cancellation).ConfigureAwait(false);
        }
    }

    private async Task ProbeAsync(ScheduledProbe probe, CancellationToken cancellation)
    {
        DateTimeOffset begun = time.GetUtcNow();
        ContainerProbes owner = probe.Owner;
        ProbeOutcome outcome;
        try
        {
            outcome = await runner.RunAsync(owner.InstanceId, owner.Container, probe.Probe.Exec, probe.Probe.HttpGet, probe.Probe.TcpSocket, owner.Host, probe.Timeout, cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return;
        }
        catch (Exception e)
        {
            outcome = new ProbeOutcome(false, e.Message);
        }
        if (owner.Removed)
            return;
        bool changed = probe.Counter.Add(outcome.Ok);
        DateTimeOffset now = time.GetUtcNow();
        lock (_due)
        {
            if (probe.Kind is ProbeKind.Startup && probe.Counter.Verdict == true)
            {
                owner.Started = true;
                foreach (ScheduledProbe other in owner.Probes)
                    if (other.Kind is not ProbeKind.Startup)
                        Enqueue(other, now);
            }
            else
            {
                DateTimeOffset next = begun + probe.Period;
                _due.Enqueue(probe, next > now ? next : now);
            }
        }
        owner.Report(probe.Kind, outcome, changed);
        Signal();
    }
}

/// <summary>Waiting for a signal or a time.</summary>
internal static class Waiting
{
    /// <summary>Returns when the semaphore was released, or the time is over, or the call was cancelled. Never throws.</summary>
    public static async Task<bool> ForAsync(SemaphoreSlim signal, TimeSpan wait, TimeProvider time, CancellationToken cancellation)
    {
        try
        {
            if (wait == Timeout.InfiniteTimeSpan)
            {
                await signal.WaitAsync(cancellation).ConfigureAwait(false);
                return true;
            }
            if (wait <= TimeSpan.Zero)
                return signal.Wait(0, CancellationToken.None);
            using var limit = new CancellationTokenSource(wait < TimeSpan.FromDays(40) ? wait : TimeSpan.FromDays(40), time);
            using var both = CancellationTokenSource.CreateLinkedTokenSource(limit.Token, cancellation);
            await signal.WaitAsync(both.Token).ConfigureAwait(false);
            return true;
        }
        catch (OperationCanceledException)
        {
            return false;
        }
    }
}
