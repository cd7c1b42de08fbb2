namespace Atoll.Link.Members;

/// <summary>Which nodes of the site are alive, by when something was last heard of them. Pure; not thread-safe.</summary>
/// <param name="deadAfterMs">Silence after which a node counts as dead, ms.</param>
/// <param name="nowMs">Start.</param>
public sealed class Liveness(long deadAfterMs, long nowMs)
{
    /// <summary>After a start, a node that was never heard has so long to be, ms: after a power cut not all come back at once.</summary>
    public const long FirstMs = 60_000;

    private readonly Dictionary<string, long> _heard = new(StringComparer.Ordinal);
    private readonly Dictionary<string, (ulong Counter, long At)> _beats = new(StringComparer.Ordinal);

    /// <summary>A node was heard in some way that proves it to be alive now.</summary>
    public void Heard(string node, long now) => _heard[node] = now;

    /// <summary>
    /// A beat came. An old one that somebody sends again proves nothing, while newer ones come: whoever sent none for as long as makes a
    /// node dead is believed, heard in other ways or not. Its clock may have been set back, and its counter starts from that.
    /// </summary>
    public bool Beat(string node, ulong counter, long now)
    {
        if (_beats.TryGetValue(node, out (ulong Counter, long At) last) && counter <= last.Counter && now - last.At < deadAfterMs)
            return false;
        _beats[node] = (counter, now);
        _heard[node] = now;
        return true;
    }

    /// <summary>How long a node has been silent, ms.</summary>
    public long SilentFor(string node, long now) => now - _heard.GetValueOrDefault(node, nowMs);

    /// <summary>True when a node has been silent for too long.</summary>
    public bool IsDead(string node, long now) => SilentFor(node, now) >= (_heard.ContainsKey(node) ? deadAfterMs : Math.Max(deadAfterMs, FirstMs));
}
