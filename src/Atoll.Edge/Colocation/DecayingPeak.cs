namespace Atoll.Edge.Colocation;

/// <summary>
/// How much something used, as a histogram whose weights halve with every half-life, as in Borg's and Koordinator's peak
/// predictors: a percentile of it is what will be used next, unless something new happens. Shares of a whole in steps of one
/// hundredth; more than 127 of them count as 127. 512 bytes; nothing is allocated after that.
/// </summary>
internal sealed class DecayingPeak(TimeSpan halfLife)
{
    private const int Buckets = 128;
    private const double Largest = 1e15;

    private readonly float[] _weights = new float[Buckets];

    // New weights grow instead of all old ones shrinking.
    private double _growth = 1, _total;

    /// <summary>Counts a share (0.5 is half of the whole) that lasted for some seconds.</summary>
    public void Add(double share, double seconds)
    {
        _growth *= Math.Pow(2, seconds / halfLife.TotalSeconds);
        if (_growth > Largest)
            Shrink();
        double weight = _growth * seconds;
        _weights[(int)Math.Clamp(share * 100, 0, Buckets - 1)] += (float)weight;
        _total += weight;
    }

    /// <summary>The share that was not exceeded in so much of the time (0.95), rounded up to a hundredth; 0 when nothing was counted.</summary>
    public double Percentile(double part)
    {
        double above = (1 - part) * _total, seen = 0;
        for (int i = Buckets - 1; i >= 0; i--)
            if ((seen += _weights[i]) > above)
                return (i + 1) / 100.0;
        return 0;
    }

    private void Shrink()
    {
        _total = 0;
        for (int i = 0; i < Buckets; i++)
            _total += _weights[i] = (float)(_weights[i] / _growth);
        _growth = 1;
    }
}

/// <summary>The largest value of the last five to ten minutes.</summary>
internal struct RecentPeak
{
    private const double SlotSeconds = 300;

    private double _before, _now, _seconds;

    /// <summary>The peak.</summary>
    public readonly double Value => Math.Max(_before, _now);

    /// <summary>Counts a value that lasted for some seconds.</summary>
    public void Add(double value, double seconds)
    {
        _seconds += seconds;
        if (_seconds > SlotSeconds)
            (_before, _now, _seconds) = (_now, 0, 0);
        _now = Math.Max(_now, value);
    }
}
