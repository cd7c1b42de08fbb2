using System.Text;
using System.Threading.Channels;

namespace Atoll.Link;

/// <summary>What a multiplexer asks of the session that it carries. All calls are made outside its lock except where said.</summary>
internal interface IMuxSession
{
    /// <summary>Writes the next session frame or returns 0; one that yields (telemetry) only when asked for.</summary>
    int WriteFrame(Span<byte> destination, int preferredBytes, bool yielding);

    /// <summary>True when the session is over: what it still has is sent, then the line is closed.</summary>
    bool Ended { get; }

    /// <summary>A session frame came. The bytes are valid during the call.</summary>
    void OnFrame(ReadOnlyMemory<byte> frame);

    /// <summary>Something else came.</summary>
    void OnActivity();
}

/// <summary>
/// One connection, four classes in strict priority, many streams. Nothing is queued: a stream's bytes are taken from its
/// writer only when they go out, a session frame is made when it goes out, so that what is urgent passes all that waits.
/// <para>Invariants: a stream's receiver holds at most the window that it granted; of each class at most its
/// <see cref="ArrivalWindow"/> is on its way; one slow reader stops only its own stream.</para>
/// </summary>
internal sealed partial class Multiplexer : IAsyncDisposable
{
    /// <summary>What may be sent on a stream before the first credit.</summary>
    public const int FirstCredit = 16 * 1024;

    /// <summary>Most bytes that wait for one stream's reader.</summary>
    public const int StreamWindow = 64 * 1024;

    /// <summary>Bytes of a class after which their arrival is reported.</summary>
    private const int ReportAfter = 1024;

    /// <summary>Most bytes handed to the line at once.</summary>
    private const int BurstBytes = 8 * 1024;

    private readonly Lock _lock = new();
    private readonly Stream _line;
    private readonly IMuxSession _session;
    private readonly TimeProvider _time;
    private readonly LinkTraffic _traffic;
    private readonly Dictionary<uint, LinkStream> _streams = [];
    private readonly Queue<LinkStream>[] _ready = [new(), new(), new(), new()];
    private readonly ArrivalWindow[] _windows = [new(), new(), new(), new()];
    private readonly long[] _arrived = new long[4];
    private readonly long[] _reported = new long[4];
    private readonly Channel<LinkStream> _accepted = Channel.CreateBounded<LinkStream>(64);
    private readonly WakeSignal _wake = new();
    private Exception? _failure;
    private uint _nextId;

    /// <summary>Even and odd stream numbers keep the two sides apart.</summary>
    public Multiplexer(Stream line, bool isSite, IMuxSession session, LinkTraffic traffic, TimeProvider time)
    {
        (_line, _session, _traffic, _time) = (line, session, traffic, time);
        _nextId = isSite ? 1u : 2u;
    }

    /// <summary>Streams that the other side opens.</summary>
    public ChannelReader<LinkStream> Accepted => _accepted.Reader;

    /// <summary>What the operating system knows of the line.</summary>
    public LineProbe Probe => _line is WebSocketLine line ? line.Probe : default;

    private long NowUs => (long)(_time.GetTimestamp() / (double)_time.TimestampFrequency * 1_000_000);

    /// <summary>Opens a stream; it may be written at once, before the other side accepted.</summary>
    public LinkStream Open(LinkClass of, string metadata)
    {
        if (of is not (LinkClass.Tunnel or LinkClass.Telemetry or LinkClass.Content))
            throw new ArgumentOutOfRangeException(nameof(of), "A stream is of the class tunnel, telemetry or content.");
        if (Encoding.UTF8.GetByteCount(metadata) > LinkLimits.MaxMetadataBytes)
            throw new ArgumentException("The metadata of a stream is too long.", nameof(metadata));
        LinkStream stream;
        lock (_lock)
        {
            if (_failure is not null)
                throw new IOException("The link is closed.", _failure);
            if (_streams.Count >= LinkLimits.MaxStreams)
                throw new IOException("Too many streams are open on the link.");
            stream = new LinkStream(this, _nextId, of, metadata);
            _nextId += 2;
            _streams.Add(stream.Id, stream);
            stream.Outgoing.OpenDue = true;
            stream.Outgoing.CreditToGive = StreamWindow - FirstCredit;
            stream.Incoming.Allowed = StreamWindow;
            Schedule(stream);
        }
        Wake();
        return stream;
    }

    /// <summary>Something may be there to send.</summary>
    public void Wake() => _wake.Set();

    /// <summary>Reads and writes until the line or the session ends. Returns the reason, or null when the other side closed the line.</summary>
    public async Task<Exception?> RunAsync(CancellationToken cancellation)
    {
        using CancellationTokenSource stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        Task reading = ReadLineAsync(stop.Token);
        Task writing = WriteLineAsync(stop.Token);
        Task first = await Task.WhenAny(reading, writing).ConfigureAwait(false);
        Exception? reason = first.IsFaulted ? first.Exception!.InnerException : null;
        Fail(reason ?? new IOException("The link is closed."));
        await stop.CancelAsync().ConfigureAwait(false);
        // Also frees a read or write that does not listen to cancellation.
        await _line.DisposeAsync().ConfigureAwait(false);
        await Task.WhenAll(reading, writing).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        return reason;
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        Fail(new ObjectDisposedException(nameof(Multiplexer)));
        await _line.DisposeAsync().ConfigureAwait(false);
    }

    private void Fail(Exception reason)
    {
        lock (_lock)
        {
            if (_failure is not null)
                return;
            _failure = reason;
            foreach (LinkStream stream in _streams.Values)
                Break(stream, new IOException("The link is closed.", reason));
            _streams.Clear();
        }
        _accepted.Writer.TryComplete();
    }

    private static void Break(LinkStream stream, Exception reason)
    {
        stream.Outgoing.Failure ??= reason;
        // Completing wakes a reader on another thread: nothing of the owner runs under the lock.
        stream.Received.Complete(reason);
        TaskCompletionSource? written = stream.Outgoing.Written;
        stream.Outgoing.Written = null;
        written?.TrySetException(reason);
    }
}
