using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Resources;
using Atoll.Edge.Instances;
using Atoll.Edge.Nodes;
using Atoll.Edge.Runtimes;
using Microsoft.Extensions.Logging;

namespace Atoll.Edge.Colocation;

/// <summary>
/// Lets batch pods run on this node in what online pods reserved and do not use, as long as the Site's <c>spec.colocation</c> says so:
/// it watches what is used (<see cref="Reclaimer"/> says what that leaves, and the Node tells it), holds batch pods to what is left
/// now, and evicts them (<see cref="BatchThrottle"/>). All of it is local: a site whose line is cut goes on.
/// </summary>
internal sealed class ColocationLoop(NodeControlOptions options, IBatchHost host, IRuntime runtime, NodeReporter reporter, EventRecorder events, TimeProvider time, NodeControl control, ILogger log)
{
    private const int IdlePeriods = 5, LookPeriods = 10;
    private const double MostGraceSeconds = 2;

    private Reclaimer _reclaimer = new();
    private readonly BatchThrottle _throttle = new();
    private readonly List<(PodWorker Worker, Amounts Request)> _batch = [];
    private HostUse _before;
    private long _beforeAt;
    private bool _started;
    private volatile bool _noticed;
    private double _sinceLook = double.MaxValue;
    private Amounts _handedOut;

    /// <summary>Takes over what the Node told before this agent began.</summary>
    public void Restore(KubeObject? node)
    {
        if (node?.View(ApiJson.Default.Node).Status?.Allocatable is not { } told || !told.TryGetValue(WellKnown.BatchCpu, out string? cpu) || !told.TryGetValue(WellKnown.BatchMemory, out string? memory))
            return;
        _reclaimer.Restore(new Amounts(Quantity.Parse(cpu).Value, Quantity.Parse(memory).Value));
        Tell();
    }

    /// <summary>A batch pod was let in: the next step looks at it.</summary>
    public void Notice() => _noticed = true;

    public async Task RunAsync(CancellationToken cancellation)
    {
        await control.Ready.WaitAsync(cancellation).ConfigureAwait(false);
        while (true)
        {
            try
            {
                if (options.Site() is { } site)
                    if (site.Colocation is { } spec)
                        await StepAsync(ColocationSettings.Of(spec), cancellation).ConfigureAwait(false);
                    else
                        End();
            }
            catch (IOException e)
            {
                log.LogWarning(e, "What batch pods leave and take could not be measured and is tried again");
            }
            // The first two measurements come soon: use is their difference.
            bool often = _batch.Count > 0 || (_started && _reclaimer.WatchedSeconds == 0);
            await Task.Delay(often ? options.BatchPeriod : options.BatchPeriod * IdlePeriods, time, cancellation).ConfigureAwait(false);
        }
    }

    private async ValueTask StepAsync(ColocationSettings settings, CancellationToken cancellation)
    {
        HostUse now = host.Read();
        long at = time.GetTimestamp();
        double seconds = time.GetElapsedTime(_beforeAt, at).TotalSeconds;
        (HostUse before, _before, _beforeAt) = (_before, now, at);
        if (!_started)
        {
            _started = true; // Use is a difference.
            return;
        }
        NodeFacts node = reporter.Facts;
        var allocatable = new Amounts(node.AllocatableCpuMilli, node.AllocatableMemoryBytes);
        if (seconds <= 0 || allocatable.CpuMilli <= 0 || allocatable.MemoryBytes <= 0)
            return;
        double Milli(long first, long last) => Math.Max(0, last - first) / seconds / 1e6;
        // A node that is a part of its machine has a part of what is used outside of its pods.
        double share = options.Node.CapacityShare;
        var pods = new Amounts(Milli(before.PodsCpuNs, now.PodsCpuNs), now.PodsMemoryBytes);
        var batch = new Amounts(Milli(before.BatchCpuNs, now.BatchCpuNs), now.BatchMemoryBytes);
        Amounts online = AtLeastNothing(pods - batch);
        Amounts outside = AtLeastNothing(new Amounts(Milli(before.HostCpuNs, now.HostCpuNs), now.HostMemoryBytes) - pods);
        var system = new Amounts(outside.CpuMilli * share, outside.MemoryBytes * share);
        _reclaimer.Observe(online, system, allocatable, seconds);
        if ((_sinceLook += seconds) >= options.BatchPeriod.TotalSeconds * LookPeriods || _noticed)
        {
            (_sinceLook, _noticed) = (0, false);
            OnlineRequests requests = Look(settings);
            if (_reclaimer.Update(allocatable, requests, settings))
                Tell();
        }
        bool stopping = Count();
        BatchOrders orders = _throttle.Step(new BatchFacts
        {
            Allocatable = allocatable,
            Others = online + system,
            BatchMemoryBytes = batch.MemoryBytes,
            HandedOut = _handedOut,
            Told = _reclaimer.Told ?? default,
            AvailableBytes = now.AvailableMemoryBytes,
            ShortBelowBytes = options.Node.MemoryPressureOverAboveBytes,
            MemoryPressurePercent = now.MemoryPressurePercent,
            Stopping = stopping,
            Seconds = seconds,
        }, settings);
        host.Limit(orders.CpuMilli, orders.MemoryHighBytes, orders.MemoryMaxBytes);
        if (orders.Short is { } lack)
            await EvictAsync(lack, orders.Why!, cancellation).ConfigureAwait(false);
    }

    private static Amounts AtLeastNothing(Amounts amounts) => new(Math.Max(0, amounts.CpuMilli), Math.Max(0, amounts.MemoryBytes));

    private void Tell()
    {
        Amounts? told = _reclaimer.Told;
        reporter.Reclaim(told is { } amounts ? ((long)amounts.CpuMilli, (long)amounts.MemoryBytes) : null);
    }

    /// <summary>Which batch pods run and what online pods asked for.</summary>
    private OnlineRequests Look(in ColocationSettings settings)
    {
        _batch.Clear();
        Amounts all = default, cold = default;
        DateTimeOffset now = time.GetUtcNow();
        foreach (PodWorker worker in control.Workers)
        {
            PodRecord record = worker.Record;
            if (record.FinalPhase is not null)
                continue;
            Pod pod = worker.Object.View(ApiJson.Default.Pod);
            if (PodResources.IsBatch(pod))
            {
                var request = new Amounts(PodResources.PodRequest(pod.Spec, WellKnown.BatchCpu).Value, PodResources.PodRequest(pod.Spec, WellKnown.BatchMemory).Value);
                _batch.Add((worker, request));
                continue;
            }
            var asked = new Amounts(Devices.GivenParts.Cores(pod).Milli, PodResources.PodRequest(pod.Spec, "memory").Value);
            all += asked;
            double known = Math.Min(_reclaimer.WatchedSeconds, record.StartTime is { } start ? (now - start).TotalSeconds : 0);
            if (known < settings.ColdStart.TotalSeconds)
                cold += asked;
        }
        return new OnlineRequests(all, cold);
    }

    /// <summary>Sums up what batch pods that have not ended asked for; true when one of them is being stopped.</summary>
    private bool Count()
    {
        _handedOut = default;
        bool stopping = false;
        foreach ((PodWorker worker, Amounts request) in _batch)
            if (worker.Record is { FinalPhase: null } record)
            {
                _handedOut += request;
                stopping |= record.Failure is not null || record.Deletion is not null;
            }
        return stopping;
    }

    private async Task EvictAsync(string lack, string why, CancellationToken cancellation)
    {
        PodWorker? victim = null;
        BatchPod its = default;
        foreach ((PodWorker worker, Amounts request) in _batch)
        {
            PodRecord record = worker.Record;
            if (record is not { FinalPhase: null, Failure: null, Deletion: null })
                continue;
            long memory = 0;
            foreach (ContainerRecord container in record.Containers)
                if (container is { Attempt: >= 0, Ended: null })
                    memory += (await runtime.StatsAsync(InstanceNames.Id(worker.Uid, container.Name, container.Attempt), cancellation).ConfigureAwait(false))?.MemoryWorkingSetBytes ?? 0;
            var pod = new BatchPod(worker.Object.Key, worker.Object.View(ApiJson.Default.Pod).Spec.Priority ?? 0, request, memory);
            if (victim is null || pod.GoesBefore(its, lack))
                (victim, its) = (worker, pod);
        }
        if (victim is not null)
            Evict(victim, $"The node needs the {lack} of batch pods for online pods: {why}. ");
    }

    private void Evict(PodWorker victim, string message)
    {
        log.LogInformation("Batch pod {Pod} is evicted: {Message}", victim.Object.Key, message);
        events.Warning(victim.Object, "Evicted", message);
        // What online pods need they need now.
        victim.Evict(message, MostGraceSeconds);
    }

    /// <summary>The operator wants no batch pods here, or no longer.</summary>
    private void End()
    {
        if (_reclaimer.Told is not null)
        {
            _reclaimer = new Reclaimer();
            (_started, _sinceLook) = (false, double.MaxValue);
            _batch.Clear();
            Tell();
        }
        foreach (PodWorker worker in control.Workers)
            if (worker.Record is { Admitted: true, FinalPhase: null, Failure: null, Deletion: null } && PodResources.IsBatch(worker.Object.View(ApiJson.Default.Pod)))
                Evict(worker, "The site takes no batch pods any more: its spec.colocation was removed. ");
    }
}
