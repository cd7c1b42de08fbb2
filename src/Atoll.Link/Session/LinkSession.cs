namespace Atoll.Link;

/// <summary>
/// What both ends of a session have in common: state, heartbeat, small answers, the way out.
/// <para>A session is pure: <see cref="Step"/> takes what happened and the time, and returns what to do; it has no clock,
/// thread, socket or disk. Frames are not pushed but pulled, one at a time, by <see cref="WriteFrame"/> when the line can
/// take one: what is sent is the state at that moment, and a slow line delays and merges changes instead of queueing them.</para>
/// </summary>
public abstract class LinkSession
{
    private const int MaxAnswers = 1024;

    private readonly Queue<byte[]> _answers = new();
    private readonly List<LinkOutput> _outputs = [];
    private readonly Random _random;
    private readonly int _pingAfterMs;
    private long _heard;
    private long _pingAt;
    private long _doubtAt = long.MaxValue;
    private bool _pingDue;
    private bool _pongDue;
    private bool _started;
    private bool _byeDue;

    private protected LinkSession(LinkOptions options, int pingAfterMs, Random random)
    {
        ArgumentNullException.ThrowIfNull(options);
        Options = options;
        _random = random;
        _pingAfterMs = options.PingAfterMs > 0 ? options.PingAfterMs : pingAfterMs;
    }

    /// <summary>Where the session is.</summary>
    public LinkState State { get; private set; }

    /// <summary>Why it closed.</summary>
    public LinkError Error { get; private set; }

    /// <summary>Time in milliseconds, of the clock that <see cref="Step"/> is given, at which it wants a <see cref="LinkInput.Tick"/>; <see cref="long.MaxValue"/> when closed.</summary>
    public long NextTick => State == LinkState.Closed || !_started ? long.MaxValue : Math.Min(Math.Min(_pingAt, Math.Min(_doubtAt, _heard + Options.DeadAfterMs)), NextOwnTick);

    private protected LinkOptions Options { get; }

    private protected virtual long NextOwnTick => long.MaxValue;

    /// <summary>Takes what happened at a time (milliseconds of any steady clock). The list is reused by the next call.</summary>
    public IReadOnlyList<LinkOutput> Step(LinkInput input, long nowMs)
    {
        ArgumentNullException.ThrowIfNull(input);
        _outputs.Clear();
        if (State == LinkState.Closed)
            return _outputs;
        switch (input)
        {
            case LinkInput.Connected or LinkInput.SiteConnected:
                _started = true;
                Heard(nowMs);
                Handle(input, nowMs);
                break;
            case LinkInput.LineActive:
                Heard(nowMs);
                break;
            case LinkInput.Frame frame:
                Heard(nowMs);
                if (frame.Bytes.Length > LinkLimits.MaxFrameBytes)
                    Fail(LinkError.TooLarge);
                else
                    HandleCommon(frame.Bytes.Span, nowMs);
                break;
            case LinkInput.Tick tick:
                Tick(nowMs, tick.Unacknowledged);
                Handle(input, nowMs);
                break;
            case LinkInput.Close close:
                Fail(close.Error);
                break;
            case LinkInput.Disconnected gone:
                CloseWith(gone.Error);
                break;
            default:
                Handle(input, nowMs);
                break;
        }
        return _outputs;
    }

    /// <summary>
    /// Writes the next frame for the other side, if there is one to send now, into at least
    /// <see cref="LinkLimits.MaxFrameBytes"/> bytes. Returns its length, or 0. After the session closed by itself, the last
    /// frame tells the other side why.
    /// </summary>
    /// <param name="destination">Where to write.</param>
    /// <param name="nowMs">The time.</param>
    /// <param name="preferredBytes">Parts of bodies are kept to about this size (at least 2,048): small on slow lines.</param>
    /// <param name="yielding">False leaves out what yields to streams that people wait for: telemetry.</param>
    public int WriteFrame(Span<byte> destination, long nowMs, int preferredBytes = LinkLimits.MaxFrameBytes, bool yielding = true)
    {
        destination = destination[..LinkLimits.MaxFrameBytes];
        if (State == LinkState.Closed)
        {
            if (!_byeDue)
                return 0;
            _byeDue = false;
            return Frames.WriteBye(destination, Error);
        }
        if (_answers.TryDequeue(out byte[]? answer))
        {
            answer.CopyTo(destination);
            return answer.Length;
        }
        if (_pongDue || _pingDue)
        {
            destination[0] = (byte)(_pongDue ? FrameType.Pong : FrameType.Ping);
            if (_pongDue)
                _pongDue = false;
            else
                _pingDue = false;
            return 1;
        }
        return WriteData(destination[..Math.Clamp(preferredBytes, 2048, destination.Length)], nowMs, yielding);
    }

    private protected abstract void Handle(LinkInput input, long nowMs);

    private protected abstract void HandleFrame(FrameType type, ReadOnlySpan<byte> frame, long nowMs);

    private protected abstract int WriteData(Span<byte> destination, long nowMs, bool yielding);

    private protected void Output(LinkOutput output) => _outputs.Add(output);

    private protected void Answer(ReadOnlySpan<byte> frame)
    {
        if (_answers.Count >= MaxAnswers)
            Fail(LinkError.WindowExceeded);
        else
            _answers.Enqueue(frame.ToArray());
    }

    /// <summary>Queues the acknowledgement of a batch: several frames when much of it could not be decoded.</summary>
    private protected void AnswerApplied(FrameType type, long number, bool differs, List<string> missing)
    {
        Span<byte> frame = stackalloc byte[LinkLimits.MaxFrameBytes];
        int from = 0;
        do
            Answer(frame[..Frames.WriteApplied(frame, type, number, differs, missing, ref from)]);
        while (from < missing.Count);
    }

    private protected void MoveTo(LinkState state)
    {
        if (State == state || State == LinkState.Closed)
            return;
        State = state;
        Output(new LinkOutput.StateChanged(state, LinkError.None));
    }

    /// <summary>Ends the session and tells the other side.</summary>
    private protected void Fail(LinkError error)
    {
        _byeDue = State != LinkState.Closed;
        CloseWith(error);
    }

    private void CloseWith(LinkError error)
    {
        if (State == LinkState.Closed)
            return;
        (State, Error) = (LinkState.Closed, error);
        _answers.Clear();
        Output(new LinkOutput.StateChanged(LinkState.Closed, error));
    }

    private void HandleCommon(ReadOnlySpan<byte> frame, long nowMs)
    {
        FrameType type = Frames.TypeOf(frame);
        switch (type)
        {
            case FrameType.Ping:
                _pongDue = true;
                break;
            case FrameType.Pong:
                break;
            case FrameType.Bye:
                LinkError error = Frames.ReadBye(frame);
                CloseWith(error == LinkError.None ? LinkError.GoingAway : error);
                break;
            default:
                HandleFrame(type, frame, nowMs);
                break;
        }
    }

    private void Heard(long nowMs)
    {
        _heard = nowMs;
        if (Options.DeadUnacknowledgedMs > 0)
            _doubtAt = nowMs + Options.DeadUnacknowledgedMs;
        // A random tenth keeps thousands of sites from asking in step.
        _pingAt = nowMs + _pingAfterMs + _random.Next(_pingAfterMs / 10 + 1);
    }

    private void Tick(long nowMs, bool unacknowledged)
    {
        if (nowMs - _heard >= Options.DeadAfterMs || (unacknowledged && nowMs >= _doubtAt))
        {
            Fail(LinkError.Silent);
            return;
        }
        if (nowMs >= _doubtAt)
            _doubtAt = nowMs + 500;
        if (nowMs >= _pingAt)
        {
            _pingDue = true;
            // Asked again before giving up: once the first question may merely be late.
            _pingAt = nowMs + Math.Max(1000, (_heard + Options.DeadAfterMs - nowMs) / 2);
        }
    }
}
