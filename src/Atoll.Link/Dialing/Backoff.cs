namespace Atoll.Link;

/// <summary>Full-jitter back-off: a random part of a doubling span, so that thousands that fell together do not return together.</summary>
/// <param name="StartMs">Span of the first wait in milliseconds.</param>
/// <param name="CapMs">Longest span in milliseconds.</param>
public readonly record struct Backoff(int StartMs = 500, int CapMs = 30_000)
{
    /// <summary>The defaults: 0.5 s, at most 30 s.</summary>
    public static Backoff Default { get; } = new(500, 30_000);

    /// <summary>How long to wait before an attempt, after so many failures in a row (1 is the first).</summary>
    public TimeSpan Wait(int failures, Random random)
    {
        ArgumentNullException.ThrowIfNull(random);
        if (failures <= 0)
            return TimeSpan.Zero;
        double span = Math.Min(CapMs, StartMs * Math.Pow(2, Math.Min(failures - 1, 30)));
        return TimeSpan.FromMilliseconds(random.NextDouble() * span);
    }
}
