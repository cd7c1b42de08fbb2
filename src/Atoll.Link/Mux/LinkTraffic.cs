using System.Diagnostics.Metrics;

namespace Atoll.Link;

/// <summary>
/// Bytes by class and direction, as multiplexer frames (payload and their headers of 3 to 6 bytes; TLS, WebSocket and TCP
/// come on top). One is kept for each site and outlives connections; everything is also counted in the meter
/// <c>Atoll.Link</c> (<c>atoll.link.bytes</c>, tags <c>class</c> and <c>direction</c>).
/// </summary>
public sealed class LinkTraffic
{
    private static readonly Meter Meter = new("Atoll.Link");
    private static readonly Counter<long> Total = Meter.CreateCounter<long>("atoll.link.bytes", "By", "Bytes carried by links.");
    private static readonly string[] Names = ["session", "tunnel", "telemetry", "content"];
    private readonly long[] _bytes = new long[8];

    /// <summary>Bytes sent in a class.</summary>
    public long Sent(LinkClass of) => Interlocked.Read(ref _bytes[(int)of]);

    /// <summary>Bytes received in a class.</summary>
    public long Received(LinkClass of) => Interlocked.Read(ref _bytes[4 + (int)of]);

    internal void AddSent(LinkClass of, int bytes) => Add((int)of, "sent", bytes, of);

    internal void AddReceived(LinkClass of, int bytes) => Add(4 + (int)of, "received", bytes, of);

    private void Add(int slot, string direction, int bytes, LinkClass of)
    {
        Interlocked.Add(ref _bytes[slot], bytes);
        Total.Add(bytes, new("class", Names[(int)of]), new("direction", direction));
    }
}
