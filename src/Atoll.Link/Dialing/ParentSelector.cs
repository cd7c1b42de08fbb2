namespace Atoll.Link;

/// <summary>Why a parent address is in use. Numbers are on the wire and never change.</summary>
public enum ParentReason
{
    /// <summary>It is the first of the list.</summary>
    Preferred = 0,

    /// <summary>Those before it did not answer.</summary>
    Failover = 1,

    /// <summary>An earlier one is tried again while this one works.</summary>
    Probe = 2,
}

/// <summary>
/// Chooses which of several parent addresses to dial: in order, with a preference for the first, and without flapping.
/// <para>After a failure the next address is tried; each full round without success backs off. On an address that is not the
/// first, an earlier one is probed from time to time; it is returned to only after it answered, and the time between probes
/// doubles with every probe that failed and every return that did not last, up to a cap.</para>
/// <para>Pure: the owner tells what happened and the time in milliseconds of a steady clock.</para>
/// </summary>
public sealed class ParentSelector
{
    private readonly int _count;
    private readonly long _probeMs;
    private readonly long _probeCapMs;
    private readonly long _stableMs;
    private readonly Backoff _backoff;
    private int _current;
    private int _failuresInRow;
    private long _connectedAt = -1;
    private long _probeSpan;
    private long _nextProbe = long.MaxValue;

    /// <summary>Chooses among <paramref name="count"/> addresses.</summary>
    /// <param name="count">How many addresses, in order of preference.</param>
    /// <param name="backoff">Wait between failed rounds.</param>
    /// <param name="probeMs">First wait before an earlier address is probed.</param>
    /// <param name="probeCapMs">Longest such wait.</param>
    /// <param name="stableMs">A connection that lasted so long counts as a success.</param>
    public ParentSelector(int count, Backoff backoff, int probeMs = 30_000, int probeCapMs = 600_000, int stableMs = 60_000)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        (_count, _backoff, _probeMs, _probeCapMs, _stableMs, _probeSpan) = (count, backoff, probeMs, probeCapMs, stableMs, probeMs);
    }

    /// <summary>The address to dial or in use.</summary>
    public int Current => _current;

    /// <summary>Why it is that one.</summary>
    public ParentReason Reason => _current == 0 ? ParentReason.Preferred : ParentReason.Failover;

    /// <summary>When an earlier address should be probed while connected, or <see cref="long.MaxValue"/>.</summary>
    public long NextProbe => _connectedAt < 0 ? long.MaxValue : _nextProbe;

    /// <summary>The address answered and a session began.</summary>
    public void Connected(long nowMs)
    {
        _connectedAt = nowMs;
        _nextProbe = _current == 0 ? long.MaxValue : nowMs + _probeSpan;
    }

    /// <summary>Dialling failed or the session ended. Returns how long to wait before dialling <see cref="Current"/>, which may be another one now.</summary>
    /// <param name="nowMs">The time.</param>
    /// <param name="silent">The session ended because nothing was heard: another address is better than waiting for this one.</param>
    /// <param name="random">Jitter.</param>
    /// <param name="refused">Nobody listens there.</param>
    public TimeSpan Failed(long nowMs, bool silent, Random random, bool refused = false)
    {
        bool lasted = _connectedAt >= 0 && nowMs - _connectedAt >= _stableMs;
        bool connected = _connectedAt >= 0;
        _connectedAt = -1;
        if (silent && lasted && _count > 1)
        {
            (_failuresInRow, _current) = (1, (_current + 1) % _count);
            return TimeSpan.Zero;
        }
        if (lasted)
        {
            // It worked for long: the same one again, soon, for the end may have been a restart.
            _failuresInRow = 1;
            if (_current == 0)
                _probeSpan = _probeMs;
            return _backoff.Wait(1, random);
        }
        _failuresInRow++;
        if (connected && _current == 0 && _count > 1)
            _probeSpan = Math.Min(_probeSpan * 2, _probeCapMs);
        _current = (_current + 1) % _count;
        // Another address is dialled at once; the wait comes when all have failed.
        int rounds = _failuresInRow / _count;
        return _failuresInRow % _count == 0 || connected ? _backoff.Wait(Math.Max(1, rounds), random, refused) : TimeSpan.Zero;
    }

    /// <summary>A probe of the first address failed; it is tried again later.</summary>
    public void ProbeFailed(long nowMs)
    {
        _probeSpan = Math.Min(_probeSpan * 2, _probeCapMs);
        _nextProbe = nowMs + _probeSpan;
    }

    /// <summary>A probe of the first address was answered: end the session and dial it (<see cref="Current"/> is it now).</summary>
    public void ProbeAnswered()
    {
        (_current, _failuresInRow, _connectedAt) = (0, 0, -1);
    }
}
