namespace Atoll.EndToEnd.Wire;

/// <summary>How one direction of a line treats packets. May be changed while it runs.</summary>
internal sealed record WaySettings
{
    /// <summary>Time that every packet takes, milliseconds.</summary>
    internal double DelayMs { get; init; }

    /// <summary>Up to so much is added to it by chance, milliseconds. Packets keep their order.</summary>
    internal double JitterMs { get; init; }

    /// <summary>Bits a second; 0 is unlimited.</summary>
    internal double BitsPerSecond { get; init; }

    /// <summary>Share of packets that vanish, 0 to 1; 1 is a dead direction (a cut, when both are; a half-open line, when one is).</summary>
    internal double Loss { get; init; }

    /// <summary>Bytes that may wait for the line to be free; what comes beyond vanishes, as in a modem.</summary>
    internal int QueueBytes { get; init; } = 24 * 1024;
}

/// <summary>
/// One direction of a line, without I/O: a packet goes in with the time, and the time at which it arrives comes out, or nothing
/// when it is lost. Seeded.
/// </summary>
internal sealed class LineWay(int seed)
{
    private readonly Random _random = new(seed);
    private double _freeAt;
    private double _lastArrival;
    private volatile bool _damaging;

    internal WaySettings Settings { get; set; } = new();

    internal int Lost { get; private set; }

    internal int Passed { get; private set; }

    /// <summary>
    /// While true, the contents of packets that carry data are damaged in a way that no checksum below TLS notices. Not of one packet
    /// alone: that one may be a late repetition, of a connection that is gone or of what arrived already, which nobody reads.
    /// </summary>
    internal bool Damaging
    {
        get => _damaging;
        set => _damaging = value;
    }

    /// <summary>When the packet arrives (milliseconds), or null.</summary>
    internal double? Send(Span<byte> packet, double nowMs)
    {
        WaySettings settings = Settings;
        double backlogMs = Math.Max(0, _freeAt - nowMs);
        bool overflow = settings.BitsPerSecond > 0 && backlogMs * settings.BitsPerSecond / 8000 + packet.Length > settings.QueueBytes;
        if (overflow || _random.NextDouble() < settings.Loss)
        {
            Lost++;
            return null;
        }
        Passed++;
        if (_damaging)
            Damage(packet);
        _freeAt = nowMs + backlogMs + (settings.BitsPerSecond > 0 ? packet.Length * 8000 / settings.BitsPerSecond : 0);
        _lastArrival = Math.Max(_lastArrival, _freeAt + settings.DelayMs + (_random.NextDouble() * settings.JitterMs));
        return _lastArrival;
    }

    // The checksums of TCP add 16-bit words, so exchanging two of them goes unseen.
    private static void Damage(Span<byte> packet)
    {
        if (packet.Length < 40 || packet[0] >> 4 != 4 || packet[9] != 6)
            return;
        int start = (packet[0] & 15) * 4;
        start += (packet[start + 12] >> 4) * 4;
        for (int at = start + 16; at + 4 <= packet.Length; at += 2)
            if (!packet.Slice(at, 2).SequenceEqual(packet.Slice(at + 2, 2)))
            {
                (packet[at], packet[at + 1], packet[at + 2], packet[at + 3]) = (packet[at + 2], packet[at + 3], packet[at], packet[at + 1]);
                return;
            }
    }
}
