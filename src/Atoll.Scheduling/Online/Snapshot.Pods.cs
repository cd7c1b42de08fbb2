using System.Collections.Immutable;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Scheduling.Online;

/// <summary>The pods of a snapshot: by node, and by group for the constraints that count them.</summary>
public sealed partial class Snapshot
{
    private const int MaxTemplates = 4096, RowPart = 1000;

    private readonly ImmutableDictionary<string, GroupRows>.Builder _groups;
    private Dictionary<string, PodRow>? _pods = new(StringComparer.Ordinal);
    private Dictionary<string, List<PodRow>> _waiting = new(StringComparer.Ordinal);
    private PodTemplates<PodFacts>? _facts;
    private int _podCount;

    /// <summary>An empty fleet.</summary>
    public Snapshot()
        : this(ImmutableDictionary.Create<string, GroupRows>(StringComparer.Ordinal))
    {
    }

    private Snapshot(ImmutableDictionary<string, GroupRows> groups) => _groups = groups.ToBuilder();

    /// <summary>How many pods have a node or are promised one.</summary>
    public int PodCount => _podCount;

    /// <summary>The pods of each row, in no order.</summary>
    internal Column<PodRow[]?> PodsAt { get; private init; } = new();

    /// <summary>All pods that count, also those whose node is not there.</summary>
    internal IReadOnlyCollection<PodRow> AllPods => Pods().Values;

    /// <summary>Pods without a node that are promised one, by uid.</summary>
    internal ImmutableDictionary<string, PodRow> Nominated { get; private set; } = ImmutableDictionary.Create<string, PodRow>(StringComparer.Ordinal);

    /// <summary>Pods on rows, by group.</summary>
    internal IEnumerable<GroupRows> GroupList => _groups.Values;

    /// <summary>
    /// Takes in a pod: one with a node counts there until it has finished; one that preemption promised a node counts there
    /// too; any other counts nowhere. <paramref name="node"/> overrides spec.nodeName, and <paramref name="reservation"/> the annotation,
    /// for a binding that is on its way.
    /// </summary>
    public void UpsertPod(KubeObject value, string? node = null, string? reservation = null, Allocation? allocation = null)
    {
        ArgumentNullException.ThrowIfNull(value);
        UpsertPod(value, PodFields.Of(value), node, reservation, allocation);
    }

    /// <summary>Takes in a pod of which <paramref name="fields"/> were read before, by another core for instance.</summary>
    public void UpsertPod(KubeObject value, in PodFields fields, string? node = null, string? reservation = null, Allocation? allocation = null)
    {
        ArgumentNullException.ThrowIfNull(value);
        // One that is on its way out is a member no more.
        bool member = !fields.IsDeleting && (node is null ? fields.IsBound : node.Length > 0);
        PodFacts? facts = member ? FactsOf(value, fields) : null;
        Upsert(value, RowOf(value, fields, node, nominated: false, reservation, allocation, facts));
        SetMember(value.Uid, facts?.Gang);
    }

    /// <summary>
    /// Takes in those of many pods that have a node. <paramref name="fields"/> were read before, and <paramref name="alike"/> says
    /// which pod each is of one template with (see <see cref="PodTemplates.Read"/>), by all cores for instance.
    /// </summary>
    public void UpsertPods(IReadOnlyList<KubeObject> pods, PodFields[] fields, int[] alike)
    {
        ArgumentNullException.ThrowIfNull(pods);
        ArgumentNullException.ThrowIfNull(fields);
        ArgumentNullException.ThrowIfNull(alike);
        Pods().EnsureCapacity(Pods().Count + pods.Count);
        var known = new PodFacts?[pods.Count];
        var groups = new Dictionary<string, PodGroup>(StringComparer.Ordinal);
        for (int i = 0; i < pods.Count; i++)
            if (fields[i].IsBound && known[alike[i]] is null)
            {
                PodFacts facts = FactsOf(pods[alike[i]], fields[alike[i]]);
                // Templates of one group share it.
                groups.TryAdd(facts.Group.Key, facts.Group);
                known[alike[i]] = facts with { Group = groups[facts.Group.Key] };
            }
        // The rows are made by all cores, from what does not change meanwhile, and taken in by one.
        var rows = new PodRow?[pods.Count];
        Parallel.For(0, (pods.Count + RowPart - 1) / RowPart, part =>
        {
            for (int i = part * RowPart; i < Math.Min(pods.Count, (part + 1) * RowPart); i++)
                if (fields[i].IsBound)
                    rows[i] = RowOf(pods[i], fields[i], null, nominated: false, facts: known[alike[i]]);
        });
        for (int i = 0; i < pods.Count; i++)
            if (fields[i].IsBound)
            {
                Upsert(pods[i], rows[i]);
                SetMember(pods[i].Uid, fields[i].IsDeleting ? null : known[alike[i]]!.Gang);
            }
    }

    /// <summary>Counts a pod that has no node on the node that preemption promised it.</summary>
    public void Nominate(KubeObject value, string node)
    {
        ArgumentNullException.ThrowIfNull(value);
        ArgumentException.ThrowIfNullOrEmpty(node);
        Upsert(value, RowOf(value, PodFields.Of(value), node, nominated: true));
        SetMember(value.Uid, null);
    }

    private void Upsert(KubeObject value, PodRow? now)
    {
        if (now is null || !Pods().TryAdd(value.Uid, now))
        {
            if (now is not null && Pods()[value.Uid].CountsAs(now))
                return;
            RemovePod(value.Uid);
            if (now is null)
                return;
            Pods().Add(value.Uid, now);
        }
        _podCount++;
        if (now.Nominated)
            Nominated = Nominated.SetItem(value.Uid, now);
        CountUse(now, 1);
        if (_rows.TryGetValue(now.Node, out int at))
            Put(now, at);
        else if (_waiting.TryGetValue(now.Node, out List<PodRow>? waiting))
            waiting.Add(now);
        else
            _waiting.Add(now.Node, [now]);
    }

    /// <summary>Forgets a pod.</summary>
    public void RemovePod(string uid)
    {
        SetMember(uid, null);
        if (!Pods().Remove(uid, out PodRow? pod))
            return;
        _podCount--;
        if (pod.Nominated)
            Nominated = Nominated.Remove(uid);
        CountUse(pod, -1);
        if (_rows.TryGetValue(pod.Node, out int row))
            Take(pod, row);
        else if (_waiting.TryGetValue(pod.Node, out List<PodRow>? waiting) && waiting.Remove(pod) && waiting.Count == 0)
            _waiting.Remove(pod.Node);
    }

    /// <summary>The group of a pod that has no node: one that is known here, or a new one.</summary>
    internal PodGroup GroupOf(KubeObject pod, PodSpec spec)
    {
        string key = PodGroup.KeyOf(pod, spec);
        return _groups.TryGetValue(key, out GroupRows? known) ? known.Group : PodGroup.Of(key, pod, spec);
    }

    private PodRow? RowOf(KubeObject value, in PodFields fields, string? node, bool nominated, string? reservation = null, Allocation? allocation = null, PodFacts? facts = null)
    {
        if (fields.IsOver)
            return null;
        node ??= fields.NodeOf(value);
        if (string.IsNullOrEmpty(node))
            (node, nominated) = (value.View(ApiJson.Default.Pod).Status?.NominatedNodeName, true);
        if (string.IsNullOrEmpty(node))
            return null;
        facts ??= FactsOf(value, fields);
        PodGroup group = _groups.TryGetValue(facts.Group.Key, out GroupRows? known) ? known.Group : facts.Group;
        return new PodRow(value, _rows.TryGetValue(node, out int row) ? Nodes[row]!.Name : node, group, facts.Requests, facts.ScoredCpu, facts.ScoredMemory, facts.Ports, facts.Priority, fields.Since, nominated)
        {
            Reservation = nominated ? null : reservation ?? (fields.MayAskForMore ? ReservationOf(value) : null),
            Wants = fields.MayAskForMore ? WantsOf(value) : null,
            Allocation = allocation ?? (fields.MayAskForMore && value.Utf8.Span.IndexOf("edge.atoll.dev/allocation"u8) >= 0 ? Allocation.Of(value) : null),
        };
    }

    // Few pods have one, and metadata costs more to read than bytes to search.
    private static string? ReservationOf(KubeObject value) =>
        value.Utf8.Span.IndexOf("edge.atoll.dev/reservation"u8) >= 0 ? value.Metadata.Annotation(Reservation.Annotation) : null;

    // Of a pod that has a node only its parts and a whole node matter.
    private static PodWants? WantsOf(KubeObject value)
    {
        ReadOnlySpan<byte> document = value.Utf8.Span;
        return document.IndexOf("\"metal\""u8) >= 0 || document.IndexOf("edge.atoll.dev/numa-policy"u8) >= 0 || document.IndexOf("edge.atoll.dev/device-"u8) >= 0
            ? PodWants.Of(value, value.View(ApiJson.Default.Pod).Spec) : null;
    }

    private PodFacts FactsOf(KubeObject value, in PodFields fields) => (_facts ??= new PodTemplates<PodFacts>(MaxTemplates, Facts)).Of(value, fields);

    private PodFacts Facts(KubeObject value)
    {
        PodSpec spec = value.View(ApiJson.Default.Pod).Spec;
        (long cpu, long memory) = Resources.ScoredOf(spec);
        return new PodFacts(GroupOf(value, spec), Resources.RequestsOf(spec), cpu, memory, HostPorts.Of(spec), spec.Priority ?? 0, GangNamed(value));
    }

    // A copy has its pods by node; who changes a copy needs them by uid as well.
    private Dictionary<string, PodRow> Pods()
    {
        if (_pods is not null)
            return _pods;
        _pods = new Dictionary<string, PodRow>(_podCount, StringComparer.Ordinal);
        for (int row = 0; row < Rows; row++)
            foreach (PodRow pod in PodsAt[row] ?? [])
                _pods.Add(pod.Uid, pod);
        foreach (List<PodRow> waiting in _waiting.Values)
            foreach (PodRow pod in waiting)
                _pods.Add(pod.Uid, pod);
        return _pods;
    }

    private ImmutableDictionary<string, GroupRows> Groups() => _groups.ToImmutable();

    private void Put(PodRow pod, int row)
    {
        PodsAt.At(row) = [.. PodsAt[row] ?? [], pod];
        Count(pod, row, 1);
        if (pod.Reservation is not null)
            Hold(pod.Reservation);
        _dependent += pod.IsDependent ? 1 : 0;
        PartsChanged(row, pod);
    }

    private void Take(PodRow pod, int row)
    {
        PodRow[] pods = PodsAt[row]!;
        int at = Array.IndexOf(pods, pod);
        PodsAt.At(row) = pods.Length == 1 ? null : [.. pods.AsSpan(0, at), .. pods.AsSpan(at + 1)];
        Count(pod, row, -1);
        if (pod.Reservation is not null)
            Hold(pod.Reservation);
        _dependent -= pod.IsDependent ? 1 : 0;
        PartsChanged(row, pod);
    }

    private void Count(PodRow pod, int row, int sign)
    {
        while (Requested.Count < Resources.Count)
            Requested.Add(new());
        long[] demand = DemandOf(pod.Requests, pod.Wants?.Whole == true, row);
        for (int r = 0; r < demand.Length; r++)
            if (demand[r] != 0)
                Requested[r].At(row) += sign * demand[r];
        Scored[0].At(row) += sign * pod.ScoredCpu;
        Scored[1].At(row) += sign * pod.ScoredMemory;
        if (!_groups.TryGetValue(pod.Group.Key, out GroupRows? rows))
            _groups[pod.Group.Key] = rows = new GroupRows(pod.Group, _owner, new RowCounts());
        else if (!ReferenceEquals(rows.Owner, _owner))
            _groups[pod.Group.Key] = rows = new GroupRows(rows.Group, _owner, rows.Counts.Copy());
        rows.Counts.Add(row, sign);
        if (rows.Counts.IsEmpty)
            _groups.Remove(pod.Group.Key);
    }
}
