namespace Atoll.Scheduling.Online;

/// <summary>What a plan has given away of nodes' parts and of sites.</summary>
internal sealed partial class Working
{
    private readonly Dictionary<int, List<PartsClaim>> _claims = [];
    private readonly Dictionary<int, PartsUse> _uses = [];
    private readonly Dictionary<int, (int At, long[] Used, long[] Free)> _sites = [];
    private List<int>? _claimed;
    private GpuScore? _gpus;

    /// <summary>Scores of GPU pods.</summary>
    public GpuScore Gpus => _gpus ??= new GpuScore(this);

    /// <summary>What is taken of a row's parts, by the snapshot and the plan; without pods that are thought away.</summary>
    public PartsUse UseOf(int row, Func<PodRow, bool>? gone = null)
    {
        if (gone is null && _uses.TryGetValue(row, out PartsUse? known))
            return known;
        bool released = Released.Count > 0 && Array.Exists(Snapshot.PodsAt[row] ?? [], Released.Contains);
        if (gone is null && !released && !_claims.ContainsKey(row))
            return Snapshot.Uses[row] ?? Snapshot.Parts[row]!.Empty();
        PartsUse use = Snapshot.UseOf(row, p => Released.Contains(p) || gone?.Invoke(p) == true);
        if (_claims.TryGetValue(row, out List<PartsClaim>? claims))
            foreach (PartsClaim claim in claims)
                use.Add(claim);
        if (gone is null)
            _uses[row] = use;
        return use;
    }

    /// <summary>The plan gives parts of a row away.</summary>
    public void Claim(int row, PartsClaim claim)
    {
        if (!_claims.TryGetValue(row, out List<PartsClaim>? claims))
            _claims[row] = claims = [];
        claims.Add(claim);
        _claimed?.Add(row);
        _uses.Remove(row);
    }

    // Takes back what was given away since the mark.
    private void Unclaim()
    {
        for (int i = _claimed!.Count - 1; i >= 0; i--)
        {
            List<PartsClaim> claims = _claims[_claimed[i]];
            claims.RemoveAt(claims.Count - 1);
            _uses.Remove(_claimed[i]);
        }
        _claimed.Clear();
    }

    /// <summary>True where a pod that tolerates nothing may go: only there is room that counts as headroom.</summary>
    public bool IsOpen(int row) => Snapshot.Gates[row] is { Unschedulable: false } gate && !Array.Exists(gate.Taints, t => t.Effect is "NoSchedule" or "NoExecute");

    /// <summary>What the pods of a site take, and what its open nodes have left, by column.</summary>
    public (long[] Used, long[] Free) SiteTotals(int site, LabelColumn sites)
    {
        if (_sites.TryGetValue(site, out (int At, long[] Used, long[] Free) known) && known.At == Log.Count)
            return (known.Used, known.Free);
        long[] used = new long[Math.Max(Requested.Count, Snapshot.Allocatable.Count)], free = new long[used.Length];
        foreach (int row in sites.RowsOf(site, Snapshot.Rows))
        {
            bool open = IsOpen(row);
            for (int r = 0; r < used.Length; r++)
            {
                long taken = RequestedOf(r, row);
                used[r] += taken;
                if (open)
                    free[r] += Math.Max(0, AllocatableOf(r, row) - taken);
            }
        }
        _sites[site] = (Log.Count, used, free);
        return (used, free);
    }
}
