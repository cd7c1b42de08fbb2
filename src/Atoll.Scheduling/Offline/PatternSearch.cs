using System.Numerics;
using Atoll.Scheduling.Fragments;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Chooses a pattern for each host by annealing. What a choice loses against the bound is the sum over hosts of what its pattern
/// is worth less than the best at the prices, and the price of moves and room that stay unused; moves or room that are missing
/// cost more than their price. A pattern is drawn by what it loses at the heat of the moment, so only what it does to moves and
/// room decides whether it is taken. The best choice in which nothing is missing is kept.
/// </summary>
internal sealed class PatternSearch
{
    private const double Hot = 0.1, Cold = 0.012, Missing = 0.02, LatePart = 0.7, Cooler = 0.95, MostPartnerLoss = 0.4;
    private const long MostSteps = 4_500_000;
    private const int Partners = 4;

    private readonly PatternProblem _problem;
    private readonly DefragmentationGoal _goal;
    private readonly SeededRandom _random;
    private readonly PatternOption[][] _options;

    // Rows side by side in vectors, so that all of them are weighed at once: what an option changes (option × width + row), what
    // is left of each row, and what a unit left over or missing costs.
    private readonly int _width;
    private readonly float[][] _changes;
    private readonly float[] _price, _penalty;
    private float[] _slack, _trial;
    private readonly double[][] _weights;
    private readonly List<int> _open = [];

    // For each row, the options that take from it and those that add to it.
    private readonly List<(int Host, int Option)>[] _taking, _adding;
    private readonly int[] _chosen;
    private int _gain;

    public PatternSearch(PatternProblem problem, PatternOption[][] options, DefragmentationGoal goal, SeededRandom random)
    {
        (_problem, _options, _goal, _random) = (problem, options, goal, random);
        int rows = problem.RoomPrice.Length + 1;
        _width = (rows + Vector<float>.Count - 1) / Vector<float>.Count * Vector<float>.Count;
        (_slack, _trial, _price, _penalty) = (new float[_width], new float[_width], new float[_width], new float[_width]);
        _slack[rows - 1] = goal.MostMoves;
        for (int r = 0; r < rows; r++)
            _price[r] = (float)(r < rows - 1 ? problem.RoomPrice[r] : problem.MovePrice);
        _weights = Array.ConvertAll(options, o => new double[o.Length]);
        _changes = Array.ConvertAll(options, o => new float[o.Length * _width]);
        for (int c = 0; c < options.Length; c++)
            for (int o = 0; o < options[c].Length; o++)
                foreach ((int row, int change) in options[c][o].Changes)
                    _changes[c][o * _width + row] = change;
        (_taking, _adding) = (new List<(int, int)>[rows], new List<(int, int)>[rows]);
        for (int r = 0; r < rows; r++)
            (_taking[r], _adding[r]) = ([], []);
        _chosen = new int[problem.ClassOf.Length];
        for (int h = 0; h < _chosen.Length; h++)
        {
            PatternOption[] own = options[problem.ClassOf[h]];
            _chosen[h] = Array.FindIndex(own, o => o.Pattern.Ins.Length == 0 && o.Pattern.Outs.Length == 0);
            if (own.Length > 1)
                _open.Add(h);
            for (int o = 0; o < own.Length && own.Length > 1; o++)
                foreach ((int row, int change) in own[o].Loss <= MostPartnerLoss ? own[o].Changes : [])
                    (change < 0 ? _taking : _adding)[row].Add((h, o));
        }
    }

    /// <summary>The pattern of each host.</summary>
    /// <param name="clock">Share of the time that has passed; 1 ends the search.</param>
    public HostPattern[] Run(Func<double> clock)
    {
        int[] best = [.. _chosen];
        int bestGain = 0;
        long steps = _open.Count == 0 ? 0 : Math.Min(MostSteps, (long)_goal.Effort * _open.Count);
        double heat = 2 * Hot;
        float cost = 0;
        for (long step = 0; step < steps; step++)
        {
            // On a slow or busy machine it cools by the clock, so that it is done in time.
            if ((step & 1023) == 0)
            {
                double progress = Math.Max((double)step / steps, clock());
                if (progress >= 1)
                    break;
                if (Hot * Math.Pow(Cold / Hot, progress) is var now && now < heat * Cooler)
                    Weigh(heat = now);
                Penalise(progress);
                cost = Cost(_slack);
            }
            if (!Step(heat, ref cost) || _gain <= bestGain || IsMissing())
                continue;
            bestGain = _gain;
            _chosen.CopyTo(best, 0);
        }
        // Where something was missing all the time, the order takes what has room.
        if (bestGain == 0)
            best = _chosen;
        var patterns = new HostPattern[best.Length];
        for (int h = 0; h < best.Length; h++)
            patterns[h] = _options[_problem.ClassOf[h]][best[h]].Pattern;
        return patterns;
    }

    // One host takes another pattern, with a partner where it is not acceptable alone. False when nothing has changed.
    private bool Step(double heat, ref float cost)
    {
        int host = _open[_random.Next(_open.Count)], other = Draw(host);
        if (other == _chosen[host])
            return false;
        ReadOnlySpan<float> from = ChangesOf(host, _chosen[host]), to = ChangesOf(host, other);
        for (int r = 0; r < _width; r++)
            _trial[r] = _slack[r] + to[r] - from[r];
        float after = Cost(_trial);
        if (!Accepts(after - cost, heat))
        {
            (int partner, int option) = Partner(host, other, cost, heat, ref after);
            if (partner < 0)
                return false;
            from = ChangesOf(partner, _chosen[partner]);
            to = ChangesOf(partner, option);
            for (int r = 0; r < _width; r++)
                _trial[r] += to[r] - from[r];
            Choose(partner, option);
        }
        Choose(host, other);
        (_slack, _trial) = (_trial, _slack);
        cost = after;
        return true;
    }

    private bool Accepts(double change, double heat) => change <= 0 || (change < heat * 20 && _random.NextDouble() < Math.Exp(-change / heat));

    private void Choose(int host, int option)
    {
        PatternOption[] options = _options[_problem.ClassOf[host]];
        _gain += options[option].Pattern.Gain - options[_chosen[host]].Pattern.Gain;
        _chosen[host] = option;
    }

    private ReadOnlySpan<float> ChangesOf(int host, int option) => _changes[_problem.ClassOf[host]].AsSpan(option * _width, _width);

    private bool IsMissing()
    {
        foreach (float left in _slack)
            if (left < 0)
                return true;
        return false;
    }

    // What is missing costs little at first, so that exchanges pass through states with something missing, and more than any
    // pattern can win in the last part.
    private void Penalise(double progress)
    {
        double late = Math.Max(0, progress - LatePart) / (1 - LatePart);
        for (int r = 0; r <= _problem.RoomPrice.Length; r++)
            _penalty[r] = (float)-(_price[r] + Missing + late * late);
    }

    private float Cost(float[] slack) => Cost(slack, default, default);

    // Of rows as they are after one option takes the place of another: their price where something is left over, the penalty where it is missing.
    private float Cost(float[] slack, ReadOnlySpan<float> from, ReadOnlySpan<float> to)
    {
        Vector<float> sum = Vector<float>.Zero;
        for (int r = 0; r < _width; r += Vector<float>.Count)
        {
            var left = new Vector<float>(slack, r);
            if (!to.IsEmpty)
                left += new Vector<float>(to[r..]) - new Vector<float>(from[r..]);
            sum += Vector.Max(new Vector<float>(_price, r) * left, new Vector<float>(_penalty, r) * left);
        }
        return Vector.Sum(sum);
    }

    // Sums of weights: how likely a pattern is by what it loses.
    private void Weigh(double heat)
    {
        for (int c = 0; c < _weights.Length; c++)
        {
            double sum = 0;
            for (int o = 0; o < _weights[c].Length; o++)
                _weights[c][o] = sum += Math.Exp(-_options[c][o].Loss / heat);
        }
    }

    private int Draw(int host)
    {
        double[] sums = _weights[_problem.ClassOf[host]];
        double at = _random.NextDouble() * sums[^1];
        int option = 0;
        while (option < sums.Length - 1 && sums[option] <= at)
            option++;
        return option;
    }

    // What one host gives up another can use: a second change that makes the pair acceptable. Without it, each exchange between
    // two hosts would have to climb over a state with a move unused or room missing. Every other one is sought among the
    // patterns that use what is left over, or bring what is missing.
    private (int Host, int Option) Partner(int first, int option, float cost, double heat, ref float after)
    {
        PatternOption[] own = _options[_problem.ClassOf[first]];
        (int Row, int Change)[] from = own[_chosen[first]].Changes, to = own[option].Changes;
        for (int attempt = 0; attempt < 2 * Partners; attempt++)
        {
            int host, other;
            double loss = 0;
            if ((attempt & 1) == 0)
            {
                int pick = _random.Next(from.Length + to.Length);
                int row = (pick < from.Length ? from[pick] : to[pick - from.Length]).Row;
                List<(int, int)> candidates = (_trial[row] > 0 ? _taking : _adding)[row];
                if (candidates.Count == 0)
                    continue;
                (host, other) = candidates[_random.Next(candidates.Count)];
                PatternOption[] options = _options[_problem.ClassOf[host]];
                loss = options[other].Loss - options[_chosen[host]].Loss;
            }
            else
                other = Draw(host = _open[_random.Next(_open.Count)]);
            if (host == first || other == _chosen[host])
                continue;
            float both = Cost(_trial, ChangesOf(host, _chosen[host]), ChangesOf(host, other));
            if (!Accepts(both - cost + loss, heat))
                continue;
            after = both;
            return (host, other);
        }
        return (-1, -1);
    }
}
