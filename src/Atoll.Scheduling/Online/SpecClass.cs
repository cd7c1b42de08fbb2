using Atoll.Api.Core;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Pods of one spec, whatever their labels: which rows they may be on at all, and what each row scores for them by itself.
/// Found once; after that only rows that changed are looked at again. The best row is kept on top of a tournament, so
/// the next of a thousand equal pods costs a handful of comparisons.
/// </summary>
internal sealed class SpecClass
{
    private const int FewUses = 2;

    private readonly Working _working;
    private readonly NodeSelection _selection;
    private readonly ResourceScores _scores;
    private readonly ImageScores? _images;
    private readonly SchedulingProfile _profile;
    private int _synced, _uses;
    private int[]? _tree;

    public SpecClass(PodSpec spec, SchedulingProfile profile, Working working)
    {
        Spec = spec;
        _profile = profile;
        _working = working;
        Requests = working.Resources.RequestsOf(spec);
        (ScoredCpu, ScoredMemory) = working.Resources.ScoredOf(spec);
        Ports = HostPorts.Of(spec);
        _selection = new NodeSelection(spec, working.Snapshot);
        _scores = new ResourceScores(profile, working, Requests, ScoredCpu, ScoredMemory);
        _images = ImageScores.Of(spec, working.Snapshot, profile.ImageLocality);
        Rows = Candidates();
        Local = new int[Rows.Length];
        (Affinity, Disliked) = Preferences();
        _synced = working.Log.Count;
        for (int k = 0; k < Rows.Length; k++)
            Local[k] = LocalOf(Rows[k]);
    }

    public PodSpec Spec { get; }

    public SchedulingProfile Profile => _profile;

    public long[] Requests { get; }

    public long ScoredCpu { get; }

    public long ScoredMemory { get; }

    public HostPorts Ports { get; }

    /// <summary>Rows where neither cordon, taints, name nor node affinity keep the pod away, ascending. Candidate k is <c>Rows[k]</c>.</summary>
    public int[] Rows { get; }

    /// <summary>Score of each candidate by itself; −1 where room or ports are wanting.</summary>
    public int[] Local { get; }

    /// <summary>Weights of preferred node affinity by candidate; null when all have the same.</summary>
    public int[]? Affinity { get; }

    /// <summary>PreferNoSchedule taints not tolerated, by candidate; null when all have the same.</summary>
    public int[]? Disliked { get; }

    public bool MatchesSelection(int row) => _selection.IsEmpty || _selection.Matches(row);

    /// <summary>Takes in what the plan placed since the last time.</summary>
    public void Sync()
    {
        for (; _synced < _working.Log.Count; _synced++)
        {
            int row = _working.Log[_synced].Row;
            int k = Array.BinarySearch(Rows, row);
            if (k < 0)
                continue;
            Local[k] = LocalOf(row);
            if (_tree is not null)
                Replay(k);
        }
    }

    /// <summary>The candidate that scores best by itself, or −1.</summary>
    public int Best()
    {
        if (Rows.Length == 0)
            return -1;
        if (_tree is null && _uses++ < FewUses)
        {
            int best = 0;
            for (int k = 1; k < Rows.Length; k++)
                if (Beats(k, best))
                    best = k;
            return Local[best] < 0 ? -1 : best;
        }
        if (_tree is null)
            Build();
        int top = _tree![1];
        return Local[top] < 0 ? -1 : top;
    }

    /// <summary>Why a row is none of the candidates, in Kubernetes' order of filters; null when it is one.</summary>
    public string? StaticReason(int row)
    {
        if (!_selection.Names(row))
            return NodeMatch.OtherNames;
        NodeGate gate = _working.Snapshot.Gates[row]!;
        if (NodeMatch.CordonReason(Spec, gate) is { } cordon)
            return cordon;
        if (!string.IsNullOrEmpty(Spec.NodeName) && Spec.NodeName != _working.Snapshot.Nodes[row]!.Name)
            return NodeMatch.WrongName;
        return NodeMatch.TaintReason(Spec, gate) ?? (MatchesSelection(row) ? null : NodeMatch.Affinity);
    }

    /// <summary>True when no resource is short on a row from which <paramref name="freed"/> was taken away.</summary>
    public bool HasRoom(int row, long[]? freed = null)
    {
        for (int r = 0; r < Requests.Length; r++)
            if (Requests[r] > 0 && Requests[r] > _working.AllocatableOf(r, row) - _working.RequestedOf(r, row) + (freed is not null && r < freed.Length ? freed[r] : 0))
                return false;
        return true;
    }

    private int LocalOf(int row)
    {
        if (!HasRoom(row) || (!Ports.IsEmpty && _working.PortsTaken(Ports, row)))
            return -1;
        return _scores.Of(row) + (_images?.Of(row) ?? 0);
    }

    private int[] Candidates()
    {
        Snapshot snapshot = _working.Snapshot;
        int[]? narrowed = string.IsNullOrEmpty(Spec.NodeName) ? _selection.Narrowed() : snapshot.RowOf(Spec.NodeName) is >= 0 and int only ? [only] : [];
        int length = narrowed?.Length ?? snapshot.Rows;
        var rows = new int[length];
        int count = 0;
        NodeGate? last = null;
        bool open = false;
        for (int i = 0; i < length; i++)
        {
            int row = narrowed is null ? i : narrowed[i];
            NodeGate? gate = snapshot.Gates[row];
            if (gate is null)
                continue;
            if (!ReferenceEquals(gate, last))
            {
                last = gate;
                open = NodeMatch.CordonReason(Spec, gate) is null && NodeMatch.TaintReason(Spec, gate) is null;
            }
            if (open && MatchesSelection(row))
                rows[count++] = row;
        }
        Array.Resize(ref rows, count);
        return rows;
    }

    private (int[]? Affinity, int[]? Disliked) Preferences()
    {
        Snapshot snapshot = _working.Snapshot;
        int[] affinity = new int[Rows.Length], disliked = new int[Rows.Length];
        foreach (PreferredSchedulingTerm preferred in Spec.Affinity?.NodeAffinity?.PreferredDuringSchedulingIgnoredDuringExecution ?? [])
        {
            var term = new NodeSelection.Term(preferred.Preference, snapshot);
            for (int k = 0; k < Rows.Length; k++)
                if (term.Matches(Rows[k]))
                    affinity[k] += preferred.Weight;
        }
        NodeGate? last = null;
        int count = 0;
        for (int k = 0; k < Rows.Length; k++)
        {
            NodeGate gate = snapshot.Gates[Rows[k]]!;
            if (!ReferenceEquals(gate, last))
                (last, count) = (gate, NodeMatch.Disliked(Spec, gate));
            disliked[k] = count;
        }
        return (_profile.NodeAffinity == 0 || AllSame(affinity) ? null : affinity, _profile.TaintToleration == 0 || AllSame(disliked) ? null : disliked);
    }

    private static bool AllSame(int[] values) => values.Length == 0 || values.AsSpan().IndexOfAnyExcept(values[0]) < 0;

    private bool Beats(int a, int b) => Local[a] != Local[b] ? Local[a] > Local[b] : _working.Precedes(Rows[a], Rows[b]);

    // A complete binary tree of winners: leaf k is node n + k, the winner of all is node 1.
    private void Build()
    {
        int n = Rows.Length;
        _tree = new int[2 * n];
        if (n == 1)
            return;
        for (int k = 0; k < n; k++)
            _tree[n + k] = k;
        for (int i = n - 1; i > 0; i--)
            _tree[i] = Winner(i);
    }

    private void Replay(int k)
    {
        for (int i = (Rows.Length + k) >> 1; i > 0; i >>= 1)
            _tree![i] = Winner(i);
    }

    private int Winner(int i)
    {
        int left = _tree![2 * i], right = _tree[(2 * i) + 1];
        return Beats(left, right) ? left : right;
    }
}
