using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Binding;

/// <summary>
/// The pods that have no node yet. One is pending (to be planned), answered (it fits nowhere, and waits for an event that can
/// help it) or refused (its binding failed, and it waits a while that doubles). Higher priority goes first; within one
/// priority tenants take turns by their dominant share of the fleet, the smallest first, so that one tenant's ten thousand
/// pods do not hold up another's one; within a tenant the oldest goes first. Members of a pod group go together. State only:
/// no clock of its own, no thread.
/// </summary>
/// <param name="tenantOf">Who a pod counts for: its namespace, or its quota.</param>
internal sealed class PlacementQueue(Func<KubeObject, string> tenantOf)
{
    /// <summary>First and longest wait after a binding that was refused.</summary>
    internal static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1), LastPause = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, Item> _pending = new(StringComparer.Ordinal);
    private readonly SortedDictionary<int, Dictionary<string, SortedSet<Item>>> _bands = new(Comparer<int>.Create(static (a, b) => b.CompareTo(a)));
    private readonly Dictionary<string, Answer> _answered = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Refusal> _refused = new(StringComparer.Ordinal);
    private readonly Dictionary<string, HashSet<string>> _gangs = new(StringComparer.Ordinal);
    private ClusterEvents _sincePlan;
    private bool _unsorted;

    /// <summary>How many pods are to be planned, now or after their wait.</summary>
    public int Pending => _pending.Count;

    /// <summary>When the next refused pod may be tried again; null when none waits for that.</summary>
    public DateTimeOffset? NextDue()
    {
        DateTimeOffset? next = null;
        foreach ((string uid, Refusal refusal) in _refused)
            if (_pending.ContainsKey(uid) && (next is null || refusal.Until < next))
                next = refusal.Until;
        return next;
    }

    /// <summary>A pod that waits for a node, as it is now. One that was answered stays so unless its spec is new.</summary>
    public void Offer(KubeObject pod, bool specChanged = false)
    {
        if (specChanged)
            _refused.Remove(pod.Uid);
        if (Known(pod.Uid) is { } before && GangOf(before) != GangOf(pod))
            Leave(before);
        if (_pending.ContainsKey(pod.Uid) || specChanged || !_answered.TryGetValue(pod.Uid, out Answer? answer))
            Pend(pod);
        else
            answer.Pod = pod;
        if (GangOf(pod) is not { } gang)
            return;
        if (!_gangs.TryGetValue(gang, out HashSet<string>? members))
            _gangs.Add(gang, members = new HashSet<string>(StringComparer.Ordinal));
        if (members.Add(pod.Uid))
            Happened(ClusterEvents.Gangs);
    }

    /// <summary>A pod has a node, ended or went.</summary>
    public void Remove(string uid)
    {
        if (Known(uid) is { } pod)
            Leave(pod);
        Unpend(uid);
        _answered.Remove(uid);
        _refused.Remove(uid);
    }

    /// <summary>Tenants changed: the pending pods are sorted anew before the next batch.</summary>
    public void Resort() => _unsorted = true;

    /// <summary>
    /// The next pods to plan, in the order of the class. They stay pending until <see cref="Answered"/> or
    /// <see cref="Fitted"/>; events from here on count for them too. A pod group goes as a whole, so there may be some more
    /// than <paramref name="most"/>.
    /// </summary>
    public List<KubeObject> Batch(DateTimeOffset now, int most, FairShares shares)
    {
        _sincePlan = ClusterEvents.None;
        if (_unsorted)
            foreach (Item item in new List<Item>(_pending.Values))
                Pend(item.Pod);
        _unsorted = false;
        var batch = new List<KubeObject>();
        var gangs = new HashSet<string>(StringComparer.Ordinal);
        foreach (Dictionary<string, SortedSet<Item>> band in _bands.Values)
        {
            var turns = new PriorityQueue<IEnumerator<Item>, (double, string)>(TurnOrder.Instance);
            foreach ((string tenant, SortedSet<Item> items) in band)
                Next(items.GetEnumerator(), tenant);
            while (batch.Count < most && turns.TryDequeue(out IEnumerator<Item>? turn, out (double, string Tenant) at))
            {
                int before = batch.Count;
                Item item = turn.Current;
                if (item.Gang is null)
                    batch.Add(item.Pod);
                else if (gangs.Add(item.Gang) && IsDue(item.Gang, now))
                    AddMembers(item.Gang, batch);
                if (band.Count > 1)
                    for (int i = before; i < batch.Count; i++)
                        shares.Add(at.Tenant, batch[i]);
                Next(turn, at.Tenant);
            }
            if (batch.Count >= most)
                break;

            void Next(IEnumerator<Item> turn, string tenant)
            {
                while (turn.MoveNext())
                    if (turn.Current.Gang is not null || !_refused.TryGetValue(turn.Current.Pod.Uid, out Refusal? refusal) || refusal.Until <= now)
                    {
                        turns.Enqueue(turn, (band.Count > 1 ? shares.Of(tenant) : 0, tenant));
                        return;
                    }
            }
        }
        // Members that were answered are planned with their group, and so are pending again.
        foreach (KubeObject pod in batch)
            if (!_pending.ContainsKey(pod.Uid))
                Pend(pod);
        return batch;
    }

    /// <summary>A plan found a node for the pod. False when the pod no longer waits: it changed, was bound or went meanwhile.</summary>
    public bool Fitted(KubeObject pod)
    {
        if (!Awaits(pod))
            return false;
        Unpend(pod.Uid);
        // Nothing that happens until the copy shows its binding makes it wait again.
        _answered.Remove(pod.Uid);
        Leave(pod);
        return true;
    }

    /// <summary>True while the pod waits, unchanged since it was given out.</summary>
    public bool Awaits(KubeObject pod) => _pending.TryGetValue(pod.Uid, out Item? now) && ReferenceEquals(now.Pod, pod);

    /// <summary>A plan found no node. It waits for what may help it, unless that happened while the plan was made.</summary>
    public bool Answered(KubeObject pod, ClusterEvents helpedBy)
    {
        if (!Awaits(pod))
            return false;
        if (!_answered.TryGetValue(pod.Uid, out Answer? answer))
            _answered.Add(pod.Uid, answer = new Answer());
        (answer.Pod, answer.HelpedBy) = (pod, helpedBy);
        if ((helpedBy & _sincePlan) == 0)
            Unpend(pod.Uid);
        return true;
    }

    /// <summary>A binding failed: the pod is planned again after a wait that doubles each time.</summary>
    public void Refused(KubeObject pod, DateTimeOffset now)
    {
        if (!_refused.TryGetValue(pod.Uid, out Refusal? refusal))
            _refused.Add(pod.Uid, refusal = new Refusal());
        double pause = Math.Min(LastPause.TotalSeconds, FirstPause.TotalSeconds * Math.Pow(2, Math.Min(refusal.Times++, 10)));
        refusal.Until = now + TimeSpan.FromSeconds(pause);
        Pend(pod);
    }

    /// <summary>Something happened: the pods that it may help are pending again. True when there is one.</summary>
    public bool Happened(ClusterEvents events)
    {
        _sincePlan |= events;
        bool any = false;
        if (events == ClusterEvents.None)
            return any;
        foreach (Answer answer in _answered.Values)
            if ((answer.HelpedBy & events) != 0 && !_pending.ContainsKey(answer.Pod.Uid))
            {
                Pend(answer.Pod);
                any = true;
            }
        return any;
    }

    /// <summary>What the pod was last told; null when it was told nothing.</summary>
    public string? ToldTo(string uid) => _answered.GetValueOrDefault(uid)?.Told;

    /// <summary>True while the pod has an answer and no node.</summary>
    public bool HasAnswer(string uid) => _answered.ContainsKey(uid);

    /// <summary>The pod was told a message.</summary>
    public void Told(string uid, string message)
    {
        if (_answered.TryGetValue(uid, out Answer? answer))
            answer.Told = message;
    }

    /// <summary>The pod group of a pod as <c>namespace/name</c>, or null.</summary>
    public static string? GangOf(KubeObject pod) => pod.Metadata.Label(Api.Core.PodGroup.Label) is { } name ? $"{pod.Namespace}/{name}" : null;

    private KubeObject? Known(string uid) => _pending.GetValueOrDefault(uid)?.Pod ?? _answered.GetValueOrDefault(uid)?.Pod;

    private void Pend(KubeObject pod)
    {
        Unpend(pod.Uid);
        var item = new Item(pod, pod.View(ApiJson.Default.Pod).Spec.Priority ?? 0, tenantOf(pod), GangOf(pod));
        _pending.Add(pod.Uid, item);
        if (!_bands.TryGetValue(item.Priority, out Dictionary<string, SortedSet<Item>>? band))
            _bands.Add(item.Priority, band = new Dictionary<string, SortedSet<Item>>(StringComparer.Ordinal));
        if (!band.TryGetValue(item.Tenant, out SortedSet<Item>? items))
            band.Add(item.Tenant, items = new SortedSet<Item>(AgeOrder.Instance));
        items.Add(item);
    }

    private void Unpend(string uid)
    {
        if (!_pending.Remove(uid, out Item? item))
            return;
        Dictionary<string, SortedSet<Item>> band = _bands[item.Priority];
        if (band[item.Tenant].Remove(item) && band[item.Tenant].Count == 0 && band.Remove(item.Tenant) && band.Count == 0)
            _bands.Remove(item.Priority);
    }

    private void Leave(KubeObject pod)
    {
        if (GangOf(pod) is { } gang && _gangs.TryGetValue(gang, out HashSet<string>? members) && members.Remove(pod.Uid) && members.Count == 0)
            _gangs.Remove(gang);
    }

    private bool IsDue(string gang, DateTimeOffset now)
    {
        foreach (string uid in _gangs[gang])
            if (_refused.TryGetValue(uid, out Refusal? refusal) && refusal.Until > now)
                return false;
        return true;
    }

    private void AddMembers(string gang, List<KubeObject> batch)
    {
        int first = batch.Count;
        foreach (string uid in _gangs[gang])
            batch.Add(_pending.TryGetValue(uid, out Item? item) ? item.Pod : _answered[uid].Pod);
        batch.Sort(first, batch.Count - first, AgeOrder.OfPods);
    }

    private sealed record Item(KubeObject Pod, int Priority, string Tenant, string? Gang);

    private sealed class AgeOrder : IComparer<Item>
    {
        public static readonly AgeOrder Instance = new();

        public static readonly IComparer<KubeObject> OfPods = Comparer<KubeObject>.Create(static (a, b) =>
        {
            int order = Nullable.Compare(a.Metadata.CreationTimestamp, b.Metadata.CreationTimestamp);
            return order != 0 ? order : string.CompareOrdinal(a.Uid, b.Uid);
        });

        public int Compare(Item? x, Item? y) => OfPods.Compare(x!.Pod, y!.Pod);
    }

    private sealed class TurnOrder : IComparer<(double Share, string Tenant)>
    {
        public static readonly TurnOrder Instance = new();

        public int Compare((double Share, string Tenant) x, (double Share, string Tenant) y)
        {
            int order = x.Share.CompareTo(y.Share);
            return order != 0 ? order : string.CompareOrdinal(x.Tenant, y.Tenant);
        }
    }

    private sealed class Answer
    {
        public KubeObject Pod { get; set; } = null!;

        public ClusterEvents HelpedBy { get; set; }

        public string? Told { get; set; }
    }

    private sealed class Refusal
    {
        public int Times { get; set; }

        public DateTimeOffset Until { get; set; }
    }
}
