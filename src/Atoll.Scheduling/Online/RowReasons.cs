using System.Globalization;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Why no row will do for a class of pods, by row and counted: made at the first pod that fits nowhere, after which only rows
/// that changed are asked again. Where limits between pods are in play any change may matter anywhere, so all are.
/// </summary>
internal sealed class RowReasons(PodClass pods, Working working)
{
    // Resources that are told apart by a bit; a fleet has more than these only by oversight.
    private const int NoNode = -1, InBits = 63;

    private readonly List<Set> _sets = [];
    private readonly Dictionary<string, int> _byText = new(StringComparer.Ordinal);
    private readonly Dictionary<ulong, int> _byMissing = [];
    private int[]? _ofRow;
    private int _synced;

    /// <summary>Rows that might do, were pods to go; in no order.</summary>
    public List<int> Helpable { get; } = [];

    /// <summary>What may help.</summary>
    public ClusterEvents HelpedBy
    {
        get
        {
            ClusterEvents help = ClusterEvents.NodeAdded;
            foreach (Set set in _sets)
                if (set.Rows > 0)
                    help |= set.HelpedBy;
            return help;
        }
    }

    /// <summary>Brings everything to the state of the plan.</summary>
    public void Sync()
    {
        bool all = _ofRow is null || pods.Limits.Count > 0 || pods.Spec.Special is { IsSiteWide: true };
        if (_ofRow is null)
        {
            _ofRow = working.Pool.Ints(working.Snapshot.Rows);
            Array.Fill(_ofRow, NoNode);
        }
        if (all)
        {
            for (int row = 0; row < working.Snapshot.Rows; row++)
                if (working.Snapshot.Gates[row] is not null)
                    Ask(row);
        }
        else
        {
            for (int i = _synced; i < working.Log.Count; i++)
                Ask(working.Log[i].Row);
        }
        _synced = working.Log.Count;
        Helpable.Clear();
        for (int row = 0; row < working.Snapshot.Rows; row++)
            if (_ofRow[row] is >= 0 and int set && _sets[set].Helpable)
                Helpable.Add(row);
    }

    /// <summary>Each reason with the number of its nodes, in Kubernetes' form.</summary>
    public string Message()
    {
        var counts = new Dictionary<string, int>(StringComparer.Ordinal);
        foreach (Set set in _sets)
            if (set.Rows > 0)
                foreach (string text in set.Texts)
                    counts[text] = counts.GetValueOrDefault(text) + set.Rows;
        return Format(counts, working.Snapshot.NodeCount);
    }

    public static string Format(Dictionary<string, int> counts, int nodes)
    {
        var parts = new List<string>(counts.Count);
        foreach (KeyValuePair<string, int> reason in counts)
            parts.Add(string.Create(CultureInfo.InvariantCulture, $"{reason.Value} {reason.Key}"));
        parts.Sort(StringComparer.Ordinal);
        return string.Create(CultureInfo.InvariantCulture, $"0/{nodes} nodes are available: {string.Join(", ", parts)}.");
    }

    /// <summary>The reasons of one row; none when the pod fits there.</summary>
    public IReadOnlyList<string> Of(int row)
    {
        int set = SetOf(row);
        return set < 0 ? [] : _sets[set].Texts;
    }

    private void Ask(int row)
    {
        int old = _ofRow![row], now = SetOf(row);
        if (old == now)
            return;
        if (old >= 0)
            _sets[old].Rows--;
        if (now >= 0)
            _sets[now].Rows++;
        _ofRow[row] = now;
    }

    private int SetOf(int row)
    {
        SpecClass spec = pods.Spec;
        if (spec.StaticReason(row) is { } never)
            return Known(never, never is NodeMatch.Affinity or NodeMatch.OtherNames or ImageArchitectures.Missing ? ClusterEvents.NodeLabels : never == NodeMatch.WrongName ? ClusterEvents.None : never is VolumeNeeds.Conflict or VolumeNeeds.NoneFree ? ClusterEvents.Storage | ClusterEvents.NodeLabels : ClusterEvents.NodeTaints, helpable: false);
        if (!spec.Ports.IsEmpty && working.PortsTaken(spec.Ports, row))
            return Known("node(s) didn't have free ports for the requested pod ports", ClusterEvents.PodGone, helpable: true);
        ulong missing = 0;
        List<int>? beyond = null;
        bool ever = true;
        long[] requests = spec.RequestsAt(row);
        for (int r = 0; r < requests.Length; r++)
        {
            long request = requests[r], allocatable = working.AllocatableOf(r, row);
            if (request <= 0 || request <= allocatable - working.RequestedOf(r, row))
                continue;
            if (r < InBits)
                missing |= 1UL << r;
            else
                (beyond ??= []).Add(r);
            ever &= request <= allocatable;
        }
        if ((missing != 0 || beyond is not null) && (spec.Reserved is null || spec.ReservationAt(row) is null))
            return beyond is null ? Missing(missing, ever) : Missing(missing, beyond, ever);
        if (spec.SpecialReason(row) is { } special)
            return Known(special, ClusterEvents.NodeAllocatable | ClusterEvents.PodGone, helpable: true);
        foreach (Limit limit in pods.Limits)
            if (limit.Reason(row) is { } reason)
                return Known(reason, Help(limit.Kind) | (limit.Kind == LimitKind.Affinity && pods.IsSelfAffine ? ClusterEvents.PodGone : ClusterEvents.None), reason is not (Limit.MissingLabel or Limit.NotNear));
        return NoNode;
    }

    private static ClusterEvents Help(LimitKind kind) => kind switch
    {
        LimitKind.Spread => ClusterEvents.NodeLabels | ClusterEvents.NodeTaints | ClusterEvents.PodGone | ClusterEvents.PodPlaced,
        LimitKind.Affinity => ClusterEvents.NodeLabels | ClusterEvents.PodPlaced | ClusterEvents.Namespaces,
        _ => ClusterEvents.NodeLabels | ClusterEvents.PodGone | ClusterEvents.Namespaces,
    };

    private int Known(string text, ClusterEvents help, bool helpable)
    {
        if (!_byText.TryGetValue(text, out int set))
        {
            _byText.Add(text, set = _sets.Count);
            _sets.Add(new Set([text], help, helpable));
        }
        return set;
    }

    private int Missing(ulong missing, bool ever)
    {
        ulong key = missing | (ever ? 1UL << 63 : 0);
        if (_byMissing.TryGetValue(key, out int set))
            return set;
        _byMissing.Add(key, set = _sets.Count);
        _sets.Add(new Set(Texts(missing, []), ClusterEvents.NodeAllocatable | ClusterEvents.PodGone, ever));
        return set;
    }

    private int Missing(ulong missing, List<int> beyond, bool ever)
    {
        string[] texts = Texts(missing, beyond);
        string key = $"{ever}\n{string.Join('\n', texts)}";
        if (!_byText.TryGetValue(key, out int set))
        {
            _byText.Add(key, set = _sets.Count);
            _sets.Add(new Set(texts, ClusterEvents.NodeAllocatable | ClusterEvents.PodGone, ever));
        }
        return set;
    }

    private string[] Texts(ulong missing, List<int> beyond)
    {
        var texts = new List<string>();
        for (int r = 0; r < Math.Min(working.Resources.Count, InBits); r++)
            if ((missing & (1UL << r)) != 0)
                texts.Add(Text(r));
        foreach (int r in beyond)
            texts.Add(Text(r));
        return [.. texts];

        string Text(int r) => r == ResourceNames.Pods ? "Too many pods" : $"Insufficient {working.Resources[r]}";
    }

    private sealed class Set(string[] texts, ClusterEvents helpedBy, bool helpable)
    {
        public string[] Texts { get; } = texts;

        public ClusterEvents HelpedBy { get; } = helpedBy;

        public bool Helpable { get; } = helpable;

        public int Rows { get; set; }
    }
}
