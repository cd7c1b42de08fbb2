namespace Atoll.Link;

/// <summary>
/// How much of one class may be on its way, so that little of it waits in buffers that we cannot reorder: not only the
/// socket's, but the server's, a proxy's and the modem's. The other side tells what has arrived; when that takes notably
/// longer than the quickest arrival lately, something queues and the window shrinks; else it grows while it is used up.
/// <para>On a line that loses packets, what was sent again takes long too, and everything behind it with it. Where the operating
/// system can tell (<see cref="LineProbe"/>), that is not taken for queueing: a smaller window would not make it quicker.</para>
/// Pure: the time comes with the call.
/// </summary>
internal sealed class ArrivalWindow
{
    public const int Least = 2 * 1024;
    public const int Most = 2 * 1024 * 1024;

    /// <summary>Waiting in foreign queues that is tolerated, in microseconds.</summary>
    private const long TolerableUs = 60_000;

    /// <summary>The quickest arrival is forgotten after this long at the latest: paths change.</summary>
    private const long MemoryUs = 20_000_000;

    private readonly Queue<(long Total, long At, bool Full, long Resent)> _marks = new();
    private long _sent;
    private long _arrived;
    private long _leastUs = long.MaxValue;
    private long _earlierLeastUs = long.MaxValue;
    private long _leastSince;
    private long _shrunkAt;

    /// <summary>Bytes that may be on their way. It begins small: what is sent at once on a slow line would hide how quick the line is when empty.</summary>
    public int Size { get; private set; } = 4 * 1024;

    /// <summary>Bytes sent in all.</summary>
    public long Total => _sent;

    /// <summary>Bytes on their way.</summary>
    public long Outstanding => _sent - _arrived;

    /// <summary>Whether to send more now.</summary>
    public bool Open => Outstanding < Size;

    /// <summary>Size of one frame that suits the line.</summary>
    public int FrameBytes => Math.Clamp(Size / 2, Least / 2, LinkLimits.MaxFrameBytes);

    public void Sent(int bytes, long nowUs, long resent = 0)
    {
        _sent += bytes;
        if (_marks.Count < 256)
            _marks.Enqueue((_sent, nowUs, Outstanding + LinkLimits.MaxFrameBytes >= Size, resent));
    }

    /// <summary>The other side has received so many bytes in all; false when it claims more than was sent.</summary>
    /// <param name="total">Bytes in all.</param>
    /// <param name="nowUs">The time, microseconds.</param>
    /// <param name="line">What the operating system says of the line, or its default.</param>
    public bool Arrived(long total, long nowUs, LineProbe line = default)
    {
        if (total > _sent)
            return false;
        if (total <= _arrived)
            return true;
        long fresh = total - _arrived;
        _arrived = total;
        long took = -1;
        bool full = false, lost = false;
        while (_marks.TryPeek(out (long Total, long At, bool Full, long Resent) mark) && mark.Total <= total)
        {
            (took, full, lost) = (nowUs - mark.At, mark.Full, line.Resent != mark.Resent && line.QueuedUs < TolerableUs);
            _marks.Dequeue();
        }
        if (took >= 0)
            Adjust(took, full, lost, fresh, nowUs);
        return true;
    }

    private void Adjust(long tookUs, bool full, bool lost, long fresh, long nowUs)
    {
        if (nowUs - _leastSince > MemoryUs / 2)
            (_earlierLeastUs, _leastUs, _leastSince) = (_leastUs, long.MaxValue, nowUs);
        _leastUs = Math.Min(_leastUs, tookUs);
        long goal = Math.Min(_leastUs, _earlierLeastUs) + TolerableUs;
        if (tookUs <= goal)
        {
            if (full)
                Size = (int)Math.Min(Most, Size + fresh);
        }
        else if (!lost && nowUs - _shrunkAt > tookUs)
        {
            // Once in a round trip: what was sent before the last shrinking still tells of the larger window.
            _shrunkAt = nowUs;
            Size = (int)Math.Max(Least, Size * Math.Max(goal, tookUs / 4) / tookUs);
        }
    }
}
