using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Chooses a pattern for each host by annealing. What a choice loses against the bound is the sum over hosts of what its pattern
/// is worth less than the best at the prices, and the price of moves and room that stay unused; moves or room that are missing
/// cost more than their price. The best choice in which nothing is missing is kept.
/// </summary>
internal sealed class PatternSearch
{
    private const double Hot = 0.1, Cold = 0.012, Missing = 0.02, LatePart = 0.7;
    private const long MostSteps = 4_500_000;
    private const int Partners = 8;

    private readonly PatternProblem _problem;
    private readonly DefragmentationGoal _goal;
    private readonly SeededRandom _random;
    private readonly PatternOption[][] _options;
    private readonly double[] _price, _penalty;
    private readonly int[] _slack;
    private int _gain, _missing;

    public PatternSearch(PatternProblem problem, PatternOption[][] options, DefragmentationGoal goal, SeededRandom random)
    {
        (_problem, _options, _goal, _random) = (problem, options, goal, random);
        int rows = problem.RoomPrice.Length + 1;
        _slack = new int[rows];
        _slack[^1] = goal.MostMoves;
        _price = [.. problem.RoomPrice, problem.MovePrice];
        _penalty = new double[rows];
        Penalise(0);
    }

    /// <summary>The pattern of each host.</summary>
    /// <param name="clock">Share of the time that has passed; 1 ends the search.</param>
    public HostPattern[] Run(Func<double> clock)
    {
        var open = new List<int>();
        int[] chosen = new int[_problem.ClassOf.Length];
        for (int h = 0; h < chosen.Length; h++)
        {
            PatternOption[] options = _options[_problem.ClassOf[h]];
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
        PatternOption[] options = _options[_problem.ClassOf[host]];
        ref PatternOption from = ref options[chosen[host]], to = ref options[other];
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
