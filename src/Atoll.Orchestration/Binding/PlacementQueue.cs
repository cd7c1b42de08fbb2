using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Scheduling.Online;

namespace Atoll.Orchestration.Binding;

/// <summary>
/// The pods that have no node yet. One is pending (to be planned), answered (it fits nowhere, and waits for an event that can
/// help it) or refused (its binding failed, and it waits a while that doubles). State only: no clock of its own, no thread.
/// </summary>
internal sealed class PlacementQueue
{
    /// <summary>First and longest wait after a binding that was refused.</summary>
    internal static readonly TimeSpan FirstPause = TimeSpan.FromSeconds(1), LastPause = TimeSpan.FromSeconds(10);

    private readonly Dictionary<string, KubeObject> _pending = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Answer> _answered = new(StringComparer.Ordinal);
    private readonly Dictionary<string, Refusal> _refused = new(StringComparer.Ordinal);
    private ClusterEvents _sincePlan;

    /// <summary>How many pods are to be planned, now or after their wait.</summary>
    public int Pending => _pending.Count;

    /// <summary>When the next refused pod may be tried again; null when none waits for that.</summary>
    public DateTimeOffset? NextDue()
    {
        DateTimeOffset? next = null;
        foreach (string uid in _pending.Keys)
            if (_refused.TryGetValue(uid, out Refusal? refusal) && (next is null || refusal.Until < next))
                next = refusal.Until;
        return next;
    }

    /// <summary>A pod that waits for a node, as it is now. One that was answered stays so unless its spec is new.</summary>
    public void Offer(KubeObject pod, bool specChanged = false)
    {
        if (specChanged)
            _refused.Remove(pod.Uid);
        if (_pending.ContainsKey(pod.Uid) || specChanged || !_answered.TryGetValue(pod.Uid, out Answer? answer))
            _pending[pod.Uid] = pod;
        else
            answer.Pod = pod;
    }

    /// <summary>A pod has a node, ended or went.</summary>
    public void Remove(string uid)
    {
        _pending.Remove(uid);
        _answered.Remove(uid);
        _refused.Remove(uid);
    }

    /// <summary>
    /// The next pods to plan: highest priority first, then the oldest. They stay pending until <see cref="Answered"/> or
    /// <see cref="Fitted"/>; events from here on count for them too.
    /// </summary>
    public List<KubeObject> Batch(DateTimeOffset now, int most)
    {
        _sincePlan = ClusterEvents.None;
        var batch = new List<KubeObject>();
        foreach (KubeObject pod in _pending.Values)
            if (!_refused.TryGetValue(pod.Uid, out Refusal? refusal) || refusal.Until <= now)
                batch.Add(pod);
        batch.Sort(static (a, b) =>
        {
            int order = PriorityOf(b).CompareTo(PriorityOf(a));
            order = order != 0 ? order : Nullable.Compare(a.Metadata.CreationTimestamp, b.Metadata.CreationTimestamp);
            return order != 0 ? order : string.CompareOrdinal(a.Uid, b.Uid);
        });
        return batch.Count > most ? batch.GetRange(0, most) : batch;
    }

    /// <summary>A plan found a node for the pod. False when the pod no longer waits: it changed, was bound or went meanwhile.</summary>
    public bool Fitted(KubeObject pod) => _pending.TryGetValue(pod.Uid, out KubeObject? now) && ReferenceEquals(now, pod) && _pending.Remove(pod.Uid);

    /// <summary>A plan found no node. It waits for what may help it, unless that happened while the plan was made.</summary>
    public bool Answered(KubeObject pod, ClusterEvents helpedBy)
    {
        if (!_pending.TryGetValue(pod.Uid, out KubeObject? now) || !ReferenceEquals(now, pod))
            return false;
        if (!_answered.TryGetValue(pod.Uid, out Answer? answer))
            _answered.Add(pod.Uid, answer = new Answer());
        (answer.Pod, answer.HelpedBy) = (pod, helpedBy);
        if ((helpedBy & _sincePlan) == 0)
            _pending.Remove(pod.Uid);
        return true;
    }

    /// <summary>A binding failed: the pod is planned again after a wait that doubles each time.</summary>
    public void Refused(KubeObject pod, DateTimeOffset now)
    {
        if (!_refused.TryGetValue(pod.Uid, out Refusal? refusal))
            _refused.Add(pod.Uid, refusal = new Refusal());
        double pause = Math.Min(LastPause.TotalSeconds, FirstPause.TotalSeconds * Math.Pow(2, Math.Min(refusal.Times++, 10)));
        refusal.Until = now + TimeSpan.FromSeconds(pause);
        _pending[pod.Uid] = pod;
    }

    /// <summary>Something happened: the pods that it may help are pending again. True when there is one.</summary>
    public bool Happened(ClusterEvents events)
    {
        _sincePlan |= events;
        bool any = false;
        if (events == ClusterEvents.None)
            return any;
        foreach (Answer answer in _answered.Values)
            if ((answer.HelpedBy & events) != 0 && _pending.TryAdd(answer.Pod.Uid, answer.Pod))
                any = true;
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

    private static int PriorityOf(KubeObject pod) => pod.View(ApiJson.Default.Pod).Spec.Priority ?? 0;

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
