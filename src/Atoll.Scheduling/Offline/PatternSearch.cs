using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Chooses a pattern for each host by annealing. What a choice loses against the bound is the sum over hosts of what its pattern
/// is worth less than the best at the prices, and the price of moves and room that stay unused; moves or room that are missing
/// cost more than their price. The best choice in which nothing is missing is kept.
/// </summary>
internal sealed class PatternSearch
{
    private const double Hot = 0.1, Cold = 0.012, MostLoss = 0.6, Missing = 0.02, LatePart = 0.7;
    private const long MostSteps = 4_500_000;
    private const int Partners = 8, MostOptions = 120;

    private readonly PatternProblem _problem;
    private readonly DefragmentationGoal _goal;
    private readonly SeededRandom _random;
    private readonly Option[][] _options;
    private readonly double[] _price, _penalty;
    private readonly int[] _slack;
    private int _gain, _missing;

    private readonly record struct Option(HostPattern Pattern, double Loss, (int Row, int Change)[] Changes);

    public PatternSearch(PatternProblem problem, DefragmentationGoal goal, SeededRandom random)
    {
        (_problem, _goal, _random) = (problem, goal, random);
        int rows = problem.RoomPrice.Length + 1;
        _slack = new int[rows];
        _slack[^1] = goal.MostMoves;
        _price = [.. problem.RoomPrice, problem.MovePrice];
        _penalty = new double[rows];
        Penalise(0);
        _options = new Option[problem.Classes.Count][];
        for (int c = 0; c < _options.Length; c++)
            _options[c] = OptionsOf(problem.Classes[c]);
    }

    private Option[] OptionsOf(HostClass hosts)
    {
        var all = new List<(double Value, HostPattern Pattern)>();
        double best = double.NegativeInfinity;
        foreach (HostPattern pattern in hosts.Patterns)
        {
            double value = pattern.Gain - _price[^1] * pattern.Outs.Length;
            foreach (byte kind in pattern.Ins)
                value += _price[kind >> 1];
            foreach (byte kind in pattern.Outs)
                value -= _price[kind >> 1];
            best = Math.Max(best, value);
            all.Add((value, pattern));
        }
        var options = new List<Option>();
        foreach ((double value, HostPattern pattern) in all)
            // The pattern that changes nothing stays: it is always legal.
            if (best - value <= MostLoss || (pattern.Ins.Length == 0 && pattern.Outs.Length == 0))
                options.Add(new Option(pattern, best - value, ChangesOf(pattern)));
        // A pattern that asks for as much, offers no more and is worth no more than another is never needed.
        var needed = new List<Option>();
        for (int i = 0; i < options.Count; i++)
        {
            bool dominated = false;
            for (int j = 0; j < options.Count && !dominated; j++)
                dominated = i != j && options[j].Loss <= options[i].Loss + 1e-12 && Covers(options[j], options[i]) && (j < i || !Covers(options[i], options[j]) || options[j].Loss < options[i].Loss);
            if (!dominated || (options[i].Pattern.Ins.Length == 0 && options[i].Pattern.Outs.Length == 0))
                needed.Add(options[i]);
        }
        if (needed.Count > MostOptions)
        {
            needed.Sort((a, b) => a.Loss != b.Loss ? a.Loss.CompareTo(b.Loss) : a.Pattern.Outs.Length.CompareTo(b.Pattern.Outs.Length));
            int none = needed.FindIndex(o => o.Pattern.Ins.Length == 0 && o.Pattern.Outs.Length == 0);
            (needed[0], needed[none]) = (needed[none], needed[0]);
            needed.RemoveRange(MostOptions, needed.Count - MostOptions);
        }
        return [.. needed];
    }

    private bool Covers(in Option one, in Option other)
    {
        Span<int> net = stackalloc int[_slack.Length];
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
        int[] net = new int[_slack.Length];
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

    /// <summary>The pattern of each host.</summary>
    /// <param name="clock">Share of the time that has passed; 1 ends the search.</param>
    public HostPattern[] Run(Func<double> clock)
    {
        var open = new List<int>();
        int[] chosen = new int[_problem.ClassOf.Length];
        for (int h = 0; h < chosen.Length; h++)
        {
            Option[] options = _options[_problem.ClassOf[h]];
            chosen[h] = Array.FindIndex(options, o => o.Pattern.Ins.Length == 0 && o.Pattern.Outs.Length == 0);
            if (options.Length > 1)
                open.Add(h);
        }
        int[] best = [.. chosen];
        int bestGain = 0;
        long steps = open.Count == 0 ? 0 : Math.Min(MostSteps, (long)_goal.Effort * open.Count);
        double heat = Hot;
        for (long step = 0; step < steps; step++)
        {
            // On a slow or busy machine it cools by the clock, so that it is done in time.
            if ((step & 1023) == 0)
            {
                double progress = Math.Max((double)step / steps, clock());
                if (progress >= 1)
                    break;
                heat = Hot * Math.Pow(Cold / Hot, progress);
                Penalise(progress);
            }
            int host = open[_random.Next(open.Count)], was = chosen[host];
            if (!Draw(host, chosen, out int other))
                continue;
            double change = Switch(host, chosen, other);
            if (change > 0 && _random.NextDouble() >= Math.Exp(-change / heat) && !Partner(open, chosen, host, change, heat))
            {
                Switch(host, chosen, was);
                continue;
            }
            if (_missing == 0 && _gain > bestGain)
            {
                bestGain = _gain;
                chosen.CopyTo(best, 0);
            }
        }
        var patterns = new HostPattern[best.Length];
        for (int h = 0; h < best.Length; h++)
            patterns[h] = _options[_problem.ClassOf[h]][best[h]].Pattern;
        return patterns;
    }

    // What is missing costs little at first, so that exchanges pass through states with something missing, and more than any
    // pattern can win in the last part.
    private void Penalise(double progress)
    {
        double late = Math.Max(0, progress - LatePart) / (1 - LatePart);
        for (int r = 0; r < _penalty.Length; r++)
            _penalty[r] = _price[r] + Missing + late * late;
    }

    private bool Draw(int host, int[] chosen, out int other)
    {
        other = _random.Next(_options[_problem.ClassOf[host]].Length);
        return other != chosen[host];
    }

    // What one host gives up another can use: a second change that makes the pair acceptable. Without it, each exchange between
    // two hosts would have to climb over a state with a move unused or room missing.
    private bool Partner(List<int> open, int[] chosen, int first, double change, double heat)
    {
        for (int attempt = 0; attempt < Partners; attempt++)
        {
            int host = open[_random.Next(open.Count)], was = chosen[host];
            if (host == first || !Draw(host, chosen, out int other))
                continue;
            double both = change + Switch(host, chosen, other);
            if (both <= 0 || _random.NextDouble() < Math.Exp(-both / heat))
                return true;
            Switch(host, chosen, was);
        }
        return false;
    }

    // Gives the host another pattern; returns what that costs.
    private double Switch(int host, int[] chosen, int other)
    {
        Option[] options = _options[_problem.ClassOf[host]];
        ref Option from = ref options[chosen[host]], to = ref options[other];
        double cost = to.Loss - from.Loss;
        foreach ((int row, int change) in from.Changes)
            cost += Change(row, -change);
        foreach ((int row, int change) in to.Changes)
            cost += Change(row, change);
        _gain += to.Pattern.Gain - from.Pattern.Gain;
        chosen[host] = other;
        return cost;
    }

    private double Change(int row, int change)
    {
        int was = _slack[row], now = was + change;
        _slack[row] = now;
        _missing += Math.Max(0, -now) - Math.Max(0, -was);
        return RowCost(row, now) - RowCost(row, was);
    }

    private double RowCost(int row, int slack) => slack >= 0 ? _price[row] * slack : -_penalty[row] * slack;
}
