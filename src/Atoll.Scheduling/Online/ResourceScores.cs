namespace Atoll.Scheduling.Online;

/// <summary>
/// NodeResourcesFit and NodeResourcesBalancedAllocation, with Kubernetes' integer arithmetic (each 0..100 before its weight).
/// </summary>
internal sealed class ResourceScores
{
    private const int FewOfPage = 64;

    private readonly SchedulingProfile _profile;
    private readonly Working _working;
    private readonly long[] _requests;
    private readonly long _scoredCpu, _scoredMemory;
    private readonly (int Column, int Weight)[] _resources;
    private readonly bool _balanced;

    public ResourceScores(SchedulingProfile profile, Working working, long[] requests, long scoredCpu, long scoredMemory)
    {
        _profile = profile;
        _working = working;
        _requests = requests;
        (_scoredCpu, _scoredMemory) = (scoredCpu, scoredMemory);
        var resources = new List<(int, int)>();
        foreach (KeyValuePair<string, int> resource in profile.StrategyResources)
        {
            int column = working.Resources.ColumnOf(resource.Key);
            // A resource that only some nodes have says nothing of pods that do not ask for it.
            if (column <= ResourceNames.Memory || resource.Key == "ephemeral-storage" || (column < requests.Length && requests[column] > 0))
                resources.Add((column, resource.Value));
        }
        _resources = [.. resources];
        // A pod that asks for nothing balances nothing.
        _balanced = requests[ResourceNames.Cpu] > 0 || requests[ResourceNames.Memory] > 0;
    }

    /// <summary>
    /// The scores of many rows at once, page by page, −1 where a resource is short: what <see cref="SpecClass"/> does row by row,
    /// for pods scored by cpu and memory as Kubernetes does by default. False for others.
    /// </summary>
    public bool FillPages(ReadOnlySpan<int> rows, int[] into)
    {
        if (_profile.Strategy != ScoringStrategy.LeastAllocated || _resources is not [(ResourceNames.Cpu, 1), (ResourceNames.Memory, 1)])
            return false;
        var kind = new ScoreMemo.Kind(_requests[ResourceNames.Cpu], _requests[ResourceNames.Memory], _scoredCpu, _scoredMemory, _profile.NodeResourcesFit, _balanced ? _profile.NodeResourcesBalancedAllocation : 0);
        var scores = new PageScores((kind.Cpu, kind.Memory), (kind.ScoredCpu, kind.ScoredMemory), kind.Fit, kind.Balance);
        ScoreMemo.Entry memo = _working.Snapshot.Scores.Take(kind);
        Span<int> scratch = stackalloc int[Column<long>.Size];
        for (int k = 0; k < rows.Length;)
        {
            ReadOnlySpan<int> those = rows.Slice(k, Column<long>.InPage(rows[k..]));
            var page = new AmountPage(_working, those[0]);
            Span<int> to = into.AsSpan(k, those.Length);
            ReadOnlySpan<int> all = those.Length < FewOfPage ? default : ScoresOf(page, those[0], scores, memo, scratch);
            if (all.IsEmpty)
                for (int i = 0; i < those.Length; i++)
                    to[i] = ScoreOf(page, those[i] & Column<long>.Mask);
            else if (those.Length == all.Length)
                all.CopyTo(to);
            else
                for (int i = 0; i < those.Length; i++)
                    to[i] = all[those[i] & Column<long>.Mask];
            k += those.Length;
        }
        _working.Snapshot.Scores.Return(memo);
        for (int r = ResourceNames.Pods + 1; r < _requests.Length; r++)
            if (_requests[r] > 0)
                for (int k = 0; k < rows.Length; k++)
                    if (_requests[r] > _working.AllocatableOf(r, rows[k]) - _working.RequestedOf(r, rows[k]))
                        into[k] = -1;
        return true;
    }

    // Of every row of a page; empty where they need other arithmetic.
    private ReadOnlySpan<int> ScoresOf(in AmountPage page, int row, PageScores scores, ScoreMemo.Entry memo, Span<int> scratch)
    {
        int number = row / Column<long>.Size;
        if (!AmountPage.IsFixed(_working, row))
            return scores.TryFill(page, scratch) ? scratch : default;
        if (memo.Find(number, page) is { } known)
            return known;
        if (!scores.TryFill(page, scratch))
            return default;
        memo.Put(number, page, scratch);
        return scratch;
    }

    private int ScoreOf(in AmountPage page, int i)
    {
        long needCpu = _requests[ResourceNames.Cpu], needMemory = _requests[ResourceNames.Memory];
        long cpus = page.Cpus[i], cpu = page.Cpu[i], memories = page.Memories[i], memory = page.Memory[i];
        if (page.Places[i] - page.Taken[i] < 1 || (needCpu > 0 && needCpu > cpus - cpu) || (needMemory > 0 && needMemory > memories - memory))
            return -1;
        long sum = 0, kinds = 0;
        if (cpus > 0)
            (sum, kinds) = (Score(page.ScoredCpu[i] + _scoredCpu, cpus), 1);
        if (memories > 0)
            (sum, kinds) = (sum + Score(page.ScoredMemory[i] + _scoredMemory, memories), kinds + 1);
        int score = kinds == 0 ? 0 : _profile.NodeResourcesFit * (int)(kinds == 2 ? sum >> 1 : sum);
        return _balanced ? score + (_profile.NodeResourcesBalancedAllocation * Balanced(cpus, cpu, memories, memory)) : score;
    }

    /// <summary>Both scores, weighted, of a row on which the pod fits.</summary>
    public int Of(int row)
    {
        (int fit, int balance) = PartsOf(row);
        return fit + balance;
    }

    /// <summary>NodeResourcesFit and NodeResourcesBalancedAllocation, weighted.</summary>
    public (int Fit, int Balance) PartsOf(int row) =>
        (_profile.NodeResourcesFit == 0 ? 0 : _profile.NodeResourcesFit * Fit(row), _balanced ? _profile.NodeResourcesBalancedAllocation * Balanced(row) : 0);

    private int Fit(int row)
    {
        long sum = 0, weights = 0;
        foreach ((int column, int weight) in _resources)
        {
            long allocatable = _working.AllocatableOf(column, row);
            if (allocatable <= 0)
                continue;
            long requested = column switch
            {
                ResourceNames.Cpu => _working.ScoredCpu[row] + _scoredCpu,
                ResourceNames.Memory => _working.ScoredMemory[row] + _scoredMemory,
                _ => _working.RequestedOf(column, row) + (column < _requests.Length ? _requests[column] : 0),
            };
            int score = Score(requested, allocatable);
            if (_profile.Strategy == ScoringStrategy.RequestedToCapacityRatio && score == 0)
                continue;
            sum += weight * (long)score;
            weights += weight;
        }
        if (weights == 0)
            return 0;
        return _profile.Strategy == ScoringStrategy.RequestedToCapacityRatio ? (int)Math.Round(sum / (double)weights, MidpointRounding.AwayFromZero) : (int)(sum / weights);
    }

    private int Score(long requested, long allocatable) => _profile.Strategy switch
    {
        ScoringStrategy.LeastAllocated => requested > allocatable ? 0 : Percent(allocatable - requested, allocatable),
        ScoringStrategy.MostAllocated => requested > allocatable ? 100 : Percent(requested, allocatable),
        _ => Shaped(requested > allocatable ? 100 : Percent(requested, allocatable)),
    };

    private static int Percent(long part, long whole) => part < long.MaxValue / 100 ? (int)(part * 100 / whole) : (int)((Int128)part * 100 / whole);

    private int Shaped(int use)
    {
        IReadOnlyList<ShapePoint> shape = _profile.Shape;
        for (int i = 0; i < shape.Count; i++)
        {
            if (use > shape[i].Utilization)
                continue;
            if (i == 0)
                return shape[0].Score * 10;
            ShapePoint left = shape[i - 1], right = shape[i];
            return (left.Score * 10) + ((right.Score - left.Score) * 10 * (use - left.Utilization) / (right.Utilization - left.Utilization));
        }
        return shape.Count == 0 ? 0 : shape[^1].Score * 10;
    }

    private int Balanced(int row) => Balanced(_working.AllocatableOf(ResourceNames.Cpu, row), _working.RequestedOf(ResourceNames.Cpu, row),
        _working.AllocatableOf(ResourceNames.Memory, row), _working.RequestedOf(ResourceNames.Memory, row));

    private int Balanced(long cpus, long cpu, long memories, long memory)
    {
        if (cpus <= 0 || memories <= 0)
            return 100;
        double ofCpu = Math.Min(1, (double)(cpu + _requests[ResourceNames.Cpu]) / cpus);
        double ofMemory = Math.Min(1, (double)(memory + _requests[ResourceNames.Memory]) / memories);
        return (int)((1 - (Math.Abs(ofCpu - ofMemory) / 2)) * 100);
    }
}
