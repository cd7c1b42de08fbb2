using System.Numerics;
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
    private readonly ImageArchitectures? _architectures;
    private readonly bool _gpu, _avoidsGpus;
    private readonly long[] _scratch;
    private readonly SchedulingProfile _profile;
    private readonly Dictionary<NodeGate, (string?, string?)> _closed = new(ReferenceEqualityComparer.Instance);
    private readonly Dictionary<string, int[]> _domains = new(StringComparer.Ordinal);
    private readonly int[] _rows, _local;
    private readonly bool _oneGate;
    private int _synced, _uses;
    private int[]? _tree;

    public SpecClass(PodSpec spec, SchedulingProfile profile, Working working, (string Name, int Row)[]? reserved = null, VolumeNeeds? volumes = null, PodWants? wants = null)
    {
        Reserved = reserved;
        Spec = spec;
        Volumes = volumes;
        _profile = profile;
        _working = working;
        FullRequests = working.Resources.RequestsOf(spec);
        (Special, Requests) = SpecialNeeds.Of(FullRequests, wants, working);
        _scratch = Special is null ? Requests : new long[Requests.Length];
        _gpu = working.Snapshot.AnyGpu && profile.GpuFragmentation > 0 && AsksForGpus();
        _avoidsGpus = working.Snapshot.AnyGpu && profile.GpuFragmentation > 0 && !_gpu;
        Whole = Special?.Whole == true;
        (ScoredCpu, ScoredMemory) = working.Resources.ScoredOf(spec);
        Ports = HostPorts.Of(spec);
        _selection = new NodeSelection(spec, working.Snapshot);
        _scores = new ResourceScores(profile, working, Requests, ScoredCpu, ScoredMemory);
        _architectures = ImageArchitectures.Of(spec, working.Snapshot);
        _images = ImageScores.Of(spec, working.Snapshot, profile.ImageLocality);
        (_rows, Count, _oneGate) = Candidates();
        _local = working.Pool.Ints(Count);
        Affinity = Preferred();
        Disliked = Dislikes();
        _synced = working.Log.Count;
        Fill();
    }

    public PodSpec Spec { get; }

    /// <summary>Reservations that the pods may use, with their rows, by name; null for none.</summary>
    public (string Name, int Row)[]? Reserved { get; }

    /// <summary>What the pods' claims need; null when they have none.</summary>
    public VolumeNeeds? Volumes { get; }

    public SchedulingProfile Profile => _profile;

    /// <summary>Requests of a node, without what is the site's or depends on the node.</summary>
    public long[] Requests { get; }

    /// <summary>All requests.</summary>
    public long[] FullRequests { get; }

    /// <summary>What is asked for beyond amounts of a node; null for nearly all pods.</summary>
    public SpecialNeeds? Special { get; }

    /// <summary>True when pods of this spec take a whole node.</summary>
    public bool Whole { get; }

    /// <summary>Requests of a row: normalised cores are cores of it. The array is good until the next call.</summary>
    public long[] RequestsAt(int row)
    {
        if (Special is null || FullRequests[ResourceNames.Compute] <= 0)
            return Requests;
        Requests.CopyTo(_scratch, 0);
        _scratch[ResourceNames.Cpu] += _working.Snapshot.CoresOf(FullRequests[ResourceNames.Compute], row);
        return _scratch;
    }

    /// <summary>What a pod of this spec takes of a row.</summary>
    public long[] DemandAt(int row) => Special?.DemandAt(row) ?? FullRequests;

    public long ScoredCpu { get; }

    public long ScoredMemory { get; }

    public HostPorts Ports { get; }

    /// <summary>How many candidates there are.</summary>
    public int Count { get; }

    /// <summary>Rows where neither cordon, taints, name nor node affinity keep the pod away, ascending. Candidate k is <c>Rows[k]</c>.</summary>
    public ReadOnlySpan<int> Rows => _rows.AsSpan(0, Count);

    /// <summary>Score of each candidate by itself; −1 where room or ports are wanting.</summary>
    public ReadOnlySpan<int> Local => _local.AsSpan(0, Count);

    /// <summary>Weights of preferred node affinity by candidate; null when all have the same.</summary>
    public int[]? Affinity { get; }

    /// <summary>PreferNoSchedule taints not tolerated, by candidate; null when all have the same.</summary>
    public int[]? Disliked { get; }

    /// <summary>The candidate of a row; negative when the row is none.</summary>
    public int IndexOf(int row) => Array.BinarySearch(_rows, 0, Count, row);

    /// <summary>The domain of each candidate for a topology key; 0 where a node has no such label.</summary>
    public int[] DomainsOf(string key)
    {
        if (_domains.TryGetValue(key, out int[]? known))
            return known;
        int[] domains = _working.Pool.Ints(Count);
        if (_working.Snapshot.Labels.Find(key) is { } column)
            column.Read(Rows, domains);
        else
            Array.Clear(domains, 0, Count);
        _domains.Add(key, domains);
        return domains;
    }

    /// <summary>True when the pods name nodes by a selector or by required node affinity.</summary>
    public bool Selects => !_selection.IsEmpty;

    public bool MatchesSelection(int row) => _selection.IsEmpty || _selection.Matches(row);

    /// <summary>Takes in what the plan placed since the last time.</summary>
    public void Sync()
    {
        for (; _synced < _working.Log.Count; _synced++)
        {
            int row = _working.Log[_synced].Row;
            if (Special is { IsSiteWide: true } && _working.Snapshot.Labels.Find(WellKnown.SiteLabel) is { } sites && sites[row] is > 0 and int site)
                foreach (int near in sites.RowsOf(site, _working.Snapshot.Rows))
                    Refresh(near);
            else
                Refresh(row);
        }
    }

    private void Refresh(int row)
    {
        int k = IndexOf(row);
        if (k < 0)
            return;
        _local[k] = LocalOf(row);
        if (_tree is not null)
            Replay(k);
    }

    /// <summary>The candidate that scores best by itself, or −1.</summary>
    public int Best()
    {
        if (Count == 0)
            return -1;
        if (_tree is null && _uses++ < FewUses)
            return First();
        if (_tree is null)
            Build();
        int top = _tree![1];
        return _local[top] < 0 ? -1 : top;
    }

    /// <summary>Why a row is none of the candidates, in Kubernetes' order of filters; null when it is one.</summary>
    public string? StaticReason(int row)
    {
        if (!_selection.Names(row))
            return NodeMatch.OtherNames;
        NodeGate gate = _working.Snapshot.Gates[row]!;
        if (!_closed.TryGetValue(gate, out (string? Cordon, string? Taint) closed))
            _closed.Add(gate, closed = (NodeMatch.CordonReason(Spec, gate), NodeMatch.TaintReason(Spec, gate)));
        if (closed.Cordon is not null)
            return closed.Cordon;
        if (!string.IsNullOrEmpty(Spec.NodeName) && Spec.NodeName != _working.Snapshot.Nodes[row]!.Name)
            return NodeMatch.WrongName;
        return closed.Taint ?? (!MatchesSelection(row) ? NodeMatch.Affinity : _architectures?.Allows(row) == false ? ImageArchitectures.Missing : Volumes?.Reason(row));
    }

    /// <summary>The parts of a candidate's own score.</summary>
    public Dictionary<string, long> ScoresOf(int k)
    {
        int images = _images?.Of(_rows[k]) ?? 0;
        if (_gpu)
            return new Dictionary<string, long> { ["GpuFragmentation"] = _local[k] };
        (int fit, int balance) = _scores.PartsOf(_rows[k]);
        var scores = new Dictionary<string, long> { ["NodeResourcesFit"] = fit, ["NodeResourcesBalancedAllocation"] = balance };
        if (_images is not null)
            scores.Add("ImageLocality", images);
        if (_avoidsGpus)
            scores.Add("GpuFragmentation", AvoidanceOf(_rows[k]));
        return scores;
    }

    /// <summary>True when no resource is short on a row, which <paramref name="gone"/> have left with <paramref name="freed"/>.</summary>
    public bool HasRoom(int row, long[]? freed = null, Func<PodRow, bool>? gone = null) => Fits(row, freed, null) || ReservationAt(row, freed, gone) is not null;

    /// <summary>The first reservation on a row with whose room the pod fits there, or null. It holds something that the pod asks for.</summary>
    public string? ReservationAt(int row, long[]? freed = null, Func<PodRow, bool>? gone = null)
    {
        foreach ((string name, int at) in Reserved ?? [])
            if (at == row && _working.Reserved.TakenOf(name, RequestsAt(row), gone) is { } taken && Fits(row, freed, taken))
                return name;
        return null;
    }

    /// <summary>What of <see cref="Special"/> keeps the pods off a row, or null. Who takes a whole node finds one empty on which only the room is kept that it may use.</summary>
    public string? SpecialReason(int row, Func<PodRow, bool>? gone = null, long[]? freed = null) =>
        Special?.Reason(row, gone, freed, Whole && ReservationAt(row, freed, gone) is { } own ? _working.Reserved.LeftOf(own, gone)[ResourceNames.Pods] : 0);

    private bool Fits(int row, long[]? freed, long[]? taken)
    {
        long[] requests = RequestsAt(row);
        for (int r = 0; r < requests.Length; r++)
            if (requests[r] > 0 && requests[r] > _working.AllocatableOf(r, row) - _working.RequestedOf(r, row) + (freed is not null && r < freed.Length ? freed[r] : 0) + (taken is not null && r < taken.Length ? taken[r] : 0))
                return false;
        return true;
    }

    private bool AsksForGpus()
    {
        foreach (string name in (ReadOnlySpan<string>)[WellKnown.Gpu, WellKnown.GpuMilli, WellKnown.GpuMemory])
            if (_working.Resources.Find(name) is >= 0 and int column && column < FullRequests.Length && FullRequests[column] > 0)
                return true;
        return false;
    }

    // Who needs no GPU leaves the nodes that have some to those who do.
    private int AvoidanceOf(int row) => _working.Snapshot.Parts[row] is null ? 10 * _profile.GpuFragmentation : 0;

    private void Fill()
    {
        if (Special is not null || !_scores.FillPages(Rows, _local))
        {
            for (int k = 0; k < Count; k++)
                _local[k] = LocalOf(_rows[k]);
            return;
        }
        if (!Ports.IsEmpty || _images is not null || _avoidsGpus)
            for (int k = 0; k < Count; k++)
                if (_local[k] >= 0)
                    _local[k] = !Ports.IsEmpty && _working.PortsTaken(Ports, _rows[k]) ? -1 : _local[k] + (_images?.Of(_rows[k]) ?? 0) + (_avoidsGpus ? AvoidanceOf(_rows[k]) : 0);
        foreach ((_, int row) in Reserved ?? [])
            if (IndexOf(row) is >= 0 and int k)
                _local[k] = LocalOf(row);
    }

    private int LocalOf(int row)
    {
        if (!HasRoom(row) || (!Ports.IsEmpty && _working.PortsTaken(Ports, row)))
            return -1;
        if (SpecialReason(row) is not null)
            return -1;
        if (_gpu && Special?.Choose(row) is { } claim)
            return _profile.GpuFragmentation * _working.Gpus.Of(row, FullRequests, DemandAt(row), claim);
        return _scores.Of(row) + (_images?.Of(row) ?? 0) + (Special?.Prefers == true && Special.Choose(row) is { Liked: true } ? 100 : 0) + (_avoidsGpus ? AvoidanceOf(row) : 0);
    }

    private (int[] Rows, int Count, bool OneGate) Candidates()
    {
        Snapshot snapshot = _working.Snapshot;
        int[]? narrowed = string.IsNullOrEmpty(Spec.NodeName) ? _selection.Narrowed() : snapshot.RowOf(Spec.NodeName) is >= 0 and int only ? [only] : [];
        int length = narrowed?.Length ?? snapshot.Rows, count = 0;
        int[] rows = _working.Pool.Ints(length);
        bool asks = !_selection.IsEmpty || Volumes is not null || _architectures is not null, open = false, oneGate = true;
        NodeGate? last = null, first = null;
        NodeGate?[] page = [];
        for (int i = 0; i < length; i++)
        {
            int row = narrowed is null ? i : narrowed[i];
            if (narrowed is not null || (row & Column<NodeGate?>.Mask) == 0)
                page = snapshot.Gates.PageOf(row);
            NodeGate? gate = page[row & Column<NodeGate?>.Mask];
            // A large fleet's nodes are mostly open and alike.
            if (open && narrowed is null && !asks && ReferenceEquals(gate, last))
            {
                int end = Math.Min(length, (row | Column<NodeGate?>.Mask) + 1);
                for (; i < end && ReferenceEquals(page[i & Column<NodeGate?>.Mask], last); i++)
                    rows[count++] = i;
                i--;
                oneGate &= ReferenceEquals(gate, first);
                continue;
            }
            if (!ReferenceEquals(gate, last))
            {
                last = gate;
                open = gate is not null && NodeMatch.CordonReason(Spec, gate) is null && NodeMatch.TaintReason(Spec, gate) is null;
            }
            if (!open || (asks && (!MatchesSelection(row) || _architectures?.Allows(row) == false || Volumes?.Reason(row) is not null)))
                continue;
            oneGate &= ReferenceEquals(gate, first ??= gate);
            rows[count++] = row;
        }
        return (rows, count, oneGate);
    }

    private int[]? Preferred()
    {
        List<PreferredSchedulingTerm>? terms = Spec.Affinity?.NodeAffinity?.PreferredDuringSchedulingIgnoredDuringExecution;
        if (terms is not { Count: > 0 } || _profile.NodeAffinity == 0)
            return null;
        int[] affinity = _working.Pool.Ints(Count);
        Array.Clear(affinity, 0, Count);
        foreach (PreferredSchedulingTerm preferred in terms)
        {
            var term = new NodeSelection.Term(preferred.Preference, _working.Snapshot);
            for (int k = 0; k < Count; k++)
                if (term.Matches(_rows[k]))
                    affinity[k] += preferred.Weight;
        }
        return AllSame(affinity.AsSpan(0, Count)) ? null : affinity;
    }

    private int[]? Dislikes()
    {
        if (_profile.TaintToleration == 0 || _oneGate)
            return null;
        Column<NodeGate?> gates = _working.Snapshot.Gates;
        int[]? disliked = null;
        NodeGate? last = null;
        int count = 0, before = -1;
        for (int k = 0; k < Count; k++)
        {
            NodeGate gate = gates[_rows[k]]!;
            if (!ReferenceEquals(gate, last))
                (last, count) = (gate, NodeMatch.Disliked(Spec, gate));
            if (disliked is null && before >= 0 && count != before)
            {
                disliked = _working.Pool.Ints(Count);
                Array.Fill(disliked, before, 0, k);
            }
            before = count;
            if (disliked is not null)
                disliked[k] = count;
        }
        return disliked;
    }

    private static bool AllSame(ReadOnlySpan<int> values) => values.Length == 0 || values.IndexOfAnyExcept(values[0]) < 0;

    // The best of a look at all.
    private int First()
    {
        int most = Most(Local), best = -1;
        if (most < 0)
            return -1;
        ReadOnlySpan<int> local = Local, rows = Rows;
        ReadOnlySpan<uint> ties = _working.Ties;
        for (int k = 0; k < local.Length; k++)
            if (local[k] == most && (best < 0 || ties[rows[k]] <= ties[rows[best]]) && (best < 0 || _working.Precedes(rows[k], rows[best])))
                best = k;
        return best;
    }

    private static int Most(ReadOnlySpan<int> values)
    {
        int most = int.MinValue, i = 0;
        var mosts = new Vector<int>(most);
        for (; i <= values.Length - Vector<int>.Count; i += Vector<int>.Count)
            mosts = Vector.Max(mosts, new Vector<int>(values[i..]));
        for (int lane = 0; lane < Vector<int>.Count; lane++)
            most = Math.Max(most, mosts[lane]);
        for (; i < values.Length; i++)
            most = Math.Max(most, values[i]);
        return most;
    }

    private bool Beats(int a, int b) => _local[a] != _local[b] ? _local[a] > _local[b] : _working.Precedes(_rows[a], _rows[b]);

    // A complete binary tree of winners: leaf k is node n + k, the winner of all is node 1.
    private void Build()
    {
        int n = Count;
        _tree = _working.Pool.Ints(2 * n);
        _tree[1] = 0;
        if (n == 1)
            return;
        for (int k = 0; k < n; k++)
            _tree[n + k] = k;
        for (int i = n - 1; i > 0; i--)
            _tree[i] = Winner(i);
    }

    private void Replay(int k)
    {
        for (int i = (Count + k) >> 1; i > 0; i >>= 1)
            _tree![i] = Winner(i);
    }

    private int Winner(int i)
    {
        int left = _tree![2 * i], right = _tree[(2 * i) + 1];
        return Beats(left, right) ? left : right;
    }
}
