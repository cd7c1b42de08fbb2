namespace Atoll.Link;

/// <summary>Full-jitter back-off: a random part of a doubling span, so that thousands that fell together do not return together.</summary>
/// <param name="StartMs">Span of the first wait in milliseconds.</param>
/// <param name="CapMs">Longest span in milliseconds.</param>
public readonly record struct Backoff(int StartMs = 500, int CapMs = 30_000)
{
    /// <summary>The defaults: 0.5 s, at most 30 s.</summary>
    public static Backoff Default { get; } = new(500, 30_000);

    /// <summary>
    /// Longest span after a connection that was refused: a machine that is there and nobody who listens, such as while a program starts
    /// again, or who takes in others first. Asking again costs it one packet, so thousands may do it more often, and are back soon after it listens.
    /// </summary>
    public int RefusedCapMs { get; init; } = 8_000;

    /// <summary>How long to wait before an attempt, after so many failures in a row (1 is the first), the last of which was a refusal or not.</summary>
    public TimeSpan Wait(int failures, Random random, bool refused = false)
    {
        ArgumentNullException.ThrowIfNull(random);
        if (failures <= 0)
            return TimeSpan.Zero;
        double span = Math.Min(refused ? Math.Min(CapMs, RefusedCapMs) : CapMs, StartMs * Math.Pow(2, Math.Min(failures - 1, 30)));
        return TimeSpan.FromMilliseconds(random.NextDouble() * span);
    }
}
