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
/// by binding, many at once so that they share the store's commits. A plan is made from a fork of the snapshot, so the
/// mirrors go on meanwhile; what they changed is looked at before the plan is taken over. A binding counts in the
/// snapshot from the moment it is decided; one that is refused is taken back and planned again after a wait. A pod that fits
/// nowhere is told so, once for each answer, and is planned again when something happened that can help it (and every few
/// minutes all the same). One that preemption can help is promised a node, and the victims there are deleted.
/// </summary>
internal sealed partial class PlacementLoop
{
    private const int MaxBatch = 512, ReadPart = 8192;

    private static readonly TimeSpan s_flush = TimeSpan.FromMinutes(5), s_calm = TimeSpan.FromMilliseconds(5);

    private readonly Cluster _cluster;
    private readonly PlacementOutcome _outcome;
    private readonly Lock _lock = new();
    private readonly Snapshot _snapshot = new();
    private readonly PlacementQueue _queue;
    private readonly ProfileBook _profiles = new();
    private readonly HashSet<string> _assumed = new(StringComparer.Ordinal);
    private readonly SemaphoreSlim _wake = new(0);
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ILogger _log;
    private readonly PlacementStatistics _statistics;
    private readonly int _planners;
    private IReadOnlyList<KubeObject> _first = [];
    private DateTimeOffset _flushed;

    public PlacementLoop(Cluster cluster, PlacementStatistics? statistics = null, int planners = 1)
    {
        _cluster = cluster;
        _statistics = statistics ?? new PlacementStatistics();
        _planners = planners;
        _outcome = new PlacementOutcome(cluster);
        _queue = new PlacementQueue(_snapshot.TenantOf);
        _log = cluster.Loggers.CreateLogger<PlacementLoop>();
        _flushed = cluster.Now;
        Follow(Kinds.Namespace, _snapshot.UpsertNamespace, _snapshot.RemoveNamespace, ClusterEvents.Namespaces);
        Follow(Kinds.PodDisruptionBudget, _snapshot.UpsertBudget, _snapshot.RemoveBudget, ClusterEvents.None);
        Follow(Kinds.PodGroup, _snapshot.UpsertPodGroup, _snapshot.RemovePodGroup, ClusterEvents.Gangs);
        Follow(Kinds.ElasticQuota, _snapshot.UpsertQuota, _snapshot.RemoveQuota, ClusterEvents.Quotas | ClusterEvents.PodGone, resort: true);
        cluster.Of(Kinds.SchedulerProfile).Listen(ProfileChanged);
        cluster.Of(Kinds.Reservation).Listen(ReservationChanged);
        foreach (ResourceType storage in (ResourceType[])[Kinds.PersistentVolumeClaim, Kinds.PersistentVolume, Kinds.StorageClass])
            Follow(storage, now => { _snapshot.SetStorage(storage, now.Key, now); return true; }, key => _snapshot.SetStorage(storage, key, null), ClusterEvents.Storage);
        Follow(Kinds.CpuModel, m => _snapshot.UpsertCpuModel(m) != ClusterEvents.None, name => _snapshot.RemoveCpuModel(name), ClusterEvents.NodeAllocatable);
        Follow(Kinds.Site, s => _snapshot.UpsertSite(s) != ClusterEvents.None, _snapshot.RemoveSite, ClusterEvents.NodeAllocatable);
        cluster.Nodes.Listen(NodeChanged, TakeNodes);
        cluster.Pods.Listen(PodChanged, TakePods);
    }

    /// <summary>Ends when the first plan is carried out, or nothing waited for one.</summary>
    public Task Begun => _begun.Task;

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
        finally
        {
            _begun.TrySetResult();
        }
    }

    /// <summary>Plans all that can be planned now; true when something was bound.</summary>
    internal async Task<bool> StepAsync(CancellationToken cancellation)
    {
        bool any = false;
        while (true)
        {
            List<KubeObject> batch;
            Snapshot fork;
            PlanOptions options;
            lock (_lock)
            {
                if (_cluster.Now - _flushed >= s_flush)
                {
                    _flushed = _cluster.Now;
                    _queue.Happened(ClusterEvents.All);
                }
                batch = _queue.Batch(_cluster.Now, MaxBatch, _snapshot.Shares());
                if (batch.Count == 0)
                {
                    _begun.TrySetResult();
                    return any;
                }
                fork = _snapshot.Fork();
                options = new PlanOptions { Seed = 1, Profiles = _profiles.Current };
            }
            IReadOnlyList<Plan> plans = await ParallelPlanners.PlanAsync(fork, batch, options, _planners).ConfigureAwait(false);
            _statistics.AddPlanned(batch.Count);
            var taken = new List<Placement>(batch.Count);
            lock (_lock)
                foreach (Plan plan in plans)
                    taken.AddRange(TakeOver(plan, isFirst: ReferenceEquals(plan, plans[0])));
            await Task.WhenAll(taken.Select(p => CarryOutAsync(p, cancellation))).ConfigureAwait(false);
            any |= taken.Exists(p => p.Node is not null);
            _begun.TrySetResult();
        }
    }

    /// <summary>The fleet as the next plan would see it: a copy that the caller may change.</summary>
    internal Snapshot Fleet()
    {
        lock (_lock)
            return _snapshot.Fork();
    }

    /// <summary>Pods that the next step would plan.</summary>
    internal List<KubeObject> PendingPods()
    {
        lock (_lock)
            return _queue.Batch(_cluster.Now, int.MaxValue, _snapshot.Shares());
    }

    // What changed while the plan was made is in the queue and the snapshot already: a pod that changed, or whose node went,
    // is planned again.
    private List<Placement> TakeOver(Plan plan, bool isFirst)
    {
        var taken = new List<Placement>(plan.Placements.Count);
        // Of a pod group all is taken over or nothing.
        HashSet<string>? broken = null;
        foreach (Placement placement in plan.Placements)
            if (placement.Gang is not null && !IsStill(placement))
                (broken ??= new HashSet<string>(StringComparer.Ordinal)).Add(placement.Gang);
        foreach (Placement placement in plan.Placements)
        {
            KubeObject pod = placement.Pod;
            if (!IsStill(placement) || (placement.Gang is not null && broken?.Contains(placement.Gang) == true))
                continue;
            if (placement.Node is null)
            {
                if (!_queue.Answered(pod, placement.HelpedBy))
                    continue;
                if (placement.Nominated is not null)
                    _snapshot.Nominate(pod, placement.Nominated);
                else
                    Leave(pod.Uid); // A promise that is taken back is room for others.
            }
            else
            {
                if (!isFirst && !_snapshot.HasRoom(pod, placement.Node))
                {
                    // Another planner was first: it stays pending.
                    _statistics.AddConflict();
                    continue;
                }
                if (!_queue.Fitted(pod))
                    continue;
                _assumed.Add(pod.Uid);
                if (_reservations.TryGetValue(pod.Uid, out KubeObject? reservation))
                    _snapshot.UpsertReservation(reservation, placement.Node);
                else
                    _snapshot.UpsertPod(pod, placement.Node, placement.Reservation, placement.Allocation);
                _snapshot.Decide(placement);
            }
            taken.Add(placement);
        }
        return taken;
    }

    private bool IsStill(Placement placement) =>
        _queue.Awaits(placement.Pod) && ((placement.Node ?? placement.Nominated) is not { } node || _snapshot.HasNode(node));

    private async Task CarryOutAsync(Placement placement, CancellationToken cancellation)
    {
        KubeObject pod = placement.Pod;
        try
        {
            KubeObject? reservation;
            lock (_lock)
                _reservations.TryGetValue(pod.Uid, out reservation);
            if (reservation is not null)
            {
                await CarryOutAsync(placement, reservation, cancellation).ConfigureAwait(false);
                return;
            }
            if (placement.Node is not null)
            {
                bool bound = await _outcome.BindAsync(placement, cancellation).ConfigureAwait(false);
                _statistics.AddOutcome(bound);
                if (!bound)
                    TakeBack(placement);
                return;
            }
            string? told;
            lock (_lock)
            {
                if (!_queue.HasAnswer(pod.Uid))
                    return;
                told = _queue.ToldTo(pod.Uid);
            }
            if (await _outcome.TellAsync(placement, told, cancellation).ConfigureAwait(false))
                lock (_lock)
                    _queue.Told(pod.Uid, placement.Message!);
        }
        catch (Exception e) when (e is HttpRequestException or IOException)
        {
            // The API is out of reach: whether the binding was made is told by the mirror when it is back.
            _log.LogWarning("Pod {Pod}: its placement was not carried out: {Reason}", pod.Key, e.Message);
            TakeBack(placement);
        }
    }

    private void TakeBack(Placement placement)
    {
        KubeObject pod = placement.Pod;
        lock (_lock)
        {
            _snapshot.Reopen(placement);
            _assumed.Remove(pod.Uid);
            _snapshot.RemovePod(pod.Uid);
            _queue.Happened(placement.Volumes.Count > 0 ? ClusterEvents.PodGone | ClusterEvents.Storage : ClusterEvents.PodGone);
            // The copy says what is true now: bound by somebody else, gone, or to be planned again after a pause.
            if ((_cluster.Pods.ByUid(pod.Uid) ?? (_cluster.Pods.IsLoading ? pod : null)) is not { } now)
                return;
            Take(now, specChanged: false);
            if (Waits(now))
                _queue.Refused(now, _cluster.Now);
        }
        Wake();
    }

    private TimeSpan Pause()
    {
        lock (_lock)
        {
            TimeSpan pause = (_queue.NextDue() ?? DateTimeOffset.MaxValue) - _cluster.Now;
            return pause > s_flush ? s_flush : pause < TimeSpan.Zero ? TimeSpan.Zero : pause;
        }
    }

    // A kind that bears on placement: what changed of it may help pods that wait.
    private void Follow(ResourceType type, Func<KubeObject, bool> take, Action<string> forget, ClusterEvents helps, bool resort = false) => _cluster.Of(type).Listen((old, now) =>
    {
        bool any = true;
        lock (_lock)
        {
            if (now is null)
                forget(old!.Key);
            else
                any = take(now);
            if (any && resort)
                _queue.Resort();
            any = any && _queue.Happened(helps);
        }
        if (any)
            Wake();
    });

    // Pods of a schedulerName that nobody stood for become ours with its profile, and are left alone again without it.
    private void ProfileChanged(KubeObject? old, KubeObject? now)
    {
        lock (_lock)
        {
            if (!_profiles.Change(old, now))
                return;
            foreach (KubeObject pod in _cluster.Pods.IsLoading ? _first : _cluster.Pods.In(Copy.Unbound))
                if (!PodFields.Of(pod).IsBound)
                    Take(pod, specChanged: false);
            _queue.Happened(ClusterEvents.All);
        }
        Wake();
    }

    // First lists are long: all cores read, then one takes in.
    private void TakeNodes(IReadOnlyList<KubeObject> nodes)
    {
        Parallel.ForEach(nodes, static node => node.View(ApiJson.Default.Node));
        lock (_lock)
            foreach (KubeObject node in nodes)
                _snapshot.UpsertNode(node);
    }

    private void TakePods(IReadOnlyList<KubeObject> pods)
    {
        var fields = new PodFields[pods.Count];
        int[] alike = new int[pods.Count];
        Parallel.For(0, (pods.Count + ReadPart - 1) / ReadPart, part => PodTemplates.Read(pods, part * ReadPart, Math.Min(pods.Count, (part + 1) * ReadPart), fields, alike));
        lock (_lock)
        {
            _first = pods;
            _snapshot.UpsertPods(pods, fields, alike);
            for (int i = 0; i < fields.Length; i++)
                if (!fields[i].IsBound)
                    Take(pods[i], specChanged: false);
        }
    }

    private void NodeChanged(KubeObject? old, KubeObject? now)
    {
        bool any;
        lock (_lock)
        {
            if (now is null)
                _snapshot.RemoveNode(old!.Name);
            // A domain that went may even out a spread, or take a pod along that kept another away.
            any = _queue.Happened(now is null ? ClusterEvents.NodeLabels | ClusterEvents.PodGone : _snapshot.UpsertNode(now));
        }
        if (any)
            Wake();
    }

    private void PodChanged(KubeObject? old, KubeObject? now)
    {
        bool any;
        lock (_lock)
        {
            _first = [];
            if (old is not null && old.Uid != now?.Uid)
                Drop(old.Uid);
            // An answer that was told is no news; a toleration that was added is.
            if (now is not null)
                Take(now, old is not null && old.Uid == now.Uid && (old.Metadata.Generation != now.Metadata.Generation || !SameLabels(old, now)));
            any = _queue.Pending > 0;
        }
        if (any)
            Wake();
    }

    private void Take(KubeObject pod, bool specChanged)
    {
        PodFields fields = PodFields.Of(pod);
        if (!fields.IsBound)
        {
            Pod view = pod.View(ApiJson.Default.Pod);
            // A copy that does not show our binding yet says nothing new.
            if (_assumed.Contains(pod.Uid))
                return;
            if (!Waits(pod))
            {
                Drop(pod.Uid);
                return;
            }
            if (!string.IsNullOrEmpty(view.Status?.NominatedNodeName))
                _snapshot.Nominate(pod, view.Status.NominatedNodeName);
            _queue.Offer(pod, specChanged);
            return;
        }
        bool known = _assumed.Remove(pod.Uid);
        _queue.Remove(pod.Uid);
        int before = _snapshot.PodCount;
        _snapshot.UpsertPod(pod, fields);
        if (fields.IsOver)
        {
            if (_snapshot.PodCount < before)
                _queue.Happened(ClusterEvents.PodGone);
            return;
        }
        // Ending pods no longer count in spreads, and ones that shrank leave room.
        ClusterEvents events = known || _snapshot.PodCount > before ? ClusterEvents.PodPlaced : ClusterEvents.None;
        if (specChanged || pod.IsDeleting)
            events |= ClusterEvents.PodGone | ClusterEvents.PodPlaced;
        _queue.Happened(events);
    }

    private void Drop(string uid)
    {
        _assumed.Remove(uid);
        _queue.Remove(uid);
        Leave(uid);
    }

    private void Leave(string uid)
    {
        int before = _snapshot.PodCount;
        _snapshot.RemovePod(uid);
        if (_snapshot.PodCount < before)
            _queue.Happened(ClusterEvents.PodGone);
    }

    private static bool SameLabels(KubeObject left, KubeObject right)
    {
        Dictionary<string, string> a = left.Metadata.Labels ?? [], b = right.Metadata.Labels ?? [];
        return a.Count == b.Count && a.All(pair => b.TryGetValue(pair.Key, out string? value) && value == pair.Value);
    }

    private bool Waits(KubeObject pod)
    {
        Pod view = pod.View(ApiJson.Default.Pod);
        return !pod.IsDeleting && string.IsNullOrEmpty(view.Spec.NodeName) && view.Spec.SchedulingGates is not { Count: > 0 }
            && view.Status?.Phase is not ("Succeeded" or "Failed")
            && _profiles.Knows(view.Spec.SchedulerName);
    }

    private void Wake()
    {
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }
}
