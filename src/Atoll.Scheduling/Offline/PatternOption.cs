namespace Atoll.Scheduling.Offline;

/// <summary>A pattern that a host may take in the search.</summary>
/// <param name="Pattern">The pattern.</param>
/// <param name="Loss">What it is worth less than the best of the host, at the prices.</param>
/// <param name="Changes">Room offered less machines that leave by shape, and in the last row moves that are left over.</param>
internal readonly record struct PatternOption(HostPattern Pattern, double Loss, (int Row, int Change)[] Changes);

/// <summary>Picks the patterns of each class that the search may have use for.</summary>
internal sealed class PatternOptions(PatternProblem problem)
{
    private const double MostLoss = 0.6;
    private const int MostOptions = 120;

    private readonly int _rows = problem.RoomPrice.Length + 1;

    /// <summary>The options of each class. Once it is <paramref name="late"/>, those that others make needless are left in.</summary>
    public PatternOption[][] Of(Func<bool> late)
    {
        var options = new PatternOption[problem.Classes.Count][];
        Parallel.For(0, options.Length, c => options[c] = OptionsOf(problem.Classes[c], late()));
        return options;
    }

    private PatternOption[] OptionsOf(HostClass hosts, bool late)
    {
        var all = new List<(double Value, HostPattern Pattern)>();
        double best = double.NegativeInfinity;
        foreach (HostPattern pattern in hosts.Patterns)
        {
            double value = pattern.Gain - problem.MovePrice * pattern.Outs.Length;
            foreach (byte kind in pattern.Ins)
                value += problem.RoomPrice[kind >> 1];
            foreach (byte kind in pattern.Outs)
                value -= problem.RoomPrice[kind >> 1];
            best = Math.Max(best, value);
            all.Add((value, pattern));
        }
        var options = new List<PatternOption>();
        foreach ((double value, HostPattern pattern) in all)
            // The pattern that changes nothing stays: it is always legal.
            if (best - value <= MostLoss || (pattern.Ins.Length == 0 && pattern.Outs.Length == 0))
                options.Add(new PatternOption(pattern, best - value, ChangesOf(pattern)));
        // A pattern that asks for as much, offers no more and is worth no more than another is never needed.
        var needed = new List<PatternOption>();
        for (int i = 0; i < options.Count; i++)
        {
            bool dominated = false;
            for (int j = 0; j < options.Count && !dominated && !late; j++)
                dominated = i != j && options[j].Loss <= options[i].Loss + 1e-12 && Covers(options[j], options[i]) && (j < i || !Covers(options[i], options[j]) || options[j].Loss < options[i].Loss);
            if (!dominated || (options[i].Pattern.Ins.Length == 0 && options[i].Pattern.Outs.Length == 0))
                needed.Add(options[i]);
        }
        // The best come first: they are drawn most.
        needed.Sort((a, b) => a.Loss != b.Loss ? a.Loss.CompareTo(b.Loss) : a.Pattern.Outs.Length.CompareTo(b.Pattern.Outs.Length));
        if (needed.Count > MostOptions)
        {
            int none = needed.FindIndex(o => o.Pattern.Ins.Length == 0 && o.Pattern.Outs.Length == 0);
            (needed[MostOptions - 1], needed[none]) = (needed[none], needed[MostOptions - 1]);
            needed.RemoveRange(MostOptions, needed.Count - MostOptions);
        }
        return [.. needed];
    }

    private bool Covers(in PatternOption one, in PatternOption other)
    {
        Span<int> net = stackalloc int[_rows];
        foreach ((int row, int change) in one.Changes)
            net[row] += change;
        foreach ((int row, int change) in other.Changes)
            net[row] -= change;
        foreach (int difference in net)
            if (difference < 0)
                return false;
        return one.Pattern.Gain >= other.Pattern.Gain;
    }

    private (int, int)[] ChangesOf(HostPattern pattern)
    {
        int[] net = new int[_rows];
        foreach (byte kind in pattern.Ins)
            net[kind >> 1]++;
        foreach (byte kind in pattern.Outs)
            net[kind >> 1]--;
        net[^1] -= pattern.Outs.Length;
        var changes = new List<(int, int)>();
        for (int r = 0; r < net.Length; r++)
            if (net[r] != 0)
                changes.Add((r, net[r]));
        return [.. changes];
    }
}
