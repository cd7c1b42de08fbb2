using System.Collections.Concurrent;
using System.Threading.Channels;

namespace Atoll.Link;

/// <summary>
/// Drives one session over one line: frames in and out through the multiplexer, ticks by the clock, outputs to the owner one
/// at a time. The same for both ends, and over any stream.
/// </summary>
internal sealed class LinkPump : IMuxSession, IAsyncDisposable
{
    private static readonly LinkInput.LineActive LineActive = new();

    private readonly Lock _lock = new();
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly LinkSession _session;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly Channel<LinkOutput> _outputs = Channel.CreateUnbounded<LinkOutput>(new UnboundedChannelOptions { SingleReader = true });
    private readonly ConcurrentQueue<LinkInput> _posted = new();
    private long _armedFor = long.MaxValue;
    private volatile LinkState _state;

    public LinkPump(LinkSession session, Stream line, bool isSite, LinkTraffic traffic, TimeProvider time)
    {
        (_session, _time, _state) = (session, time, session.State);
        Mux = new Multiplexer(line, isSite, this, traffic, time);
        _timer = time.CreateTimer(static state => ((LinkPump)state!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    public Multiplexer Mux { get; }

    public bool Ended => _state == LinkState.Closed;

    public LinkState State => _state;

    private long NowMs => (long)(_time.GetTimestamp() / (double)_time.TimestampFrequency * 1000);

    /// <summary>Tells the session something, from any thread; when it returns, the session has taken it in.</summary>
    public void Tell(LinkInput input)
    {
        lock (_lock)
            Step(input);
        TakePosted();
        // A report of life makes nothing to send.
        if (input is not LinkInput.LineActive)
            Mux.Wake();
    }

    /// <summary>
    /// Tells the session something without ever waiting for it. Owners post while they hold locks of their own, and the
    /// session reads the owner under its lock: whoever has the session at that moment takes in what was posted.
    /// </summary>
    public void Post(LinkInput input)
    {
        _posted.Enqueue(input);
        TakePosted();
    }

    /// <summary>
    /// Runs until the session is over. <paramref name="handle"/> is called for one output after the other; when it throws, the
    /// session closes with <see cref="LinkError.OwnerFailed"/>, or with the refusal's own reason.
    /// </summary>
    public async Task<LinkError> RunAsync(LinkInput first, Func<LinkOutput, ValueTask> handle, CancellationToken cancellation)
    {
        await using CancellationTokenRegistration closing = cancellation.UnsafeRegister(static state => ((LinkPump)state!).Tell(new LinkInput.Close(LinkError.GoingAway)), this);
        Tell(first);
        Task handling = HandleOutputsAsync(handle);
        // Not the caller's token: a session that is closed still says goodbye. A line that takes no more is cut after a second.
        using CancellationTokenSource cut = new();
        Task<Exception?> running = Mux.RunAsync(cut.Token);
        await Task.WhenAny(running, _ended.Task).ConfigureAwait(false);
        if (!running.IsCompleted)
        {
            Mux.Wake();
            await Task.WhenAny(running, Task.Delay(TimeSpan.FromSeconds(1), _time, CancellationToken.None)).ConfigureAwait(false);
            await cut.CancelAsync().ConfigureAwait(false);
        }
        Exception? reason = await running.ConfigureAwait(false);
        Tell(new LinkInput.Disconnected(reason is LinkProtocolException ? LinkError.Malformed : LinkError.ConnectionLost));
        _outputs.Writer.TryComplete();
        await handling.ConfigureAwait(false);
        return _session.Error;
    }

    int IMuxSession.WriteFrame(Span<byte> destination, int preferredBytes, bool yielding)
    {
        int length;
        lock (_lock)
            length = _session.WriteFrame(destination, NowMs, preferredBytes, yielding);
        TakePosted();
        return length;
    }

    void IMuxSession.OnFrame(ReadOnlyMemory<byte> frame) => Tell(new LinkInput.Frame(frame));

    void IMuxSession.OnActivity() => Tell(LineActive);

    public async ValueTask DisposeAsync()
    {
        await _timer.DisposeAsync().ConfigureAwait(false);
        await Mux.DisposeAsync().ConfigureAwait(false);
    }

    private async Task HandleOutputsAsync(Func<LinkOutput, ValueTask> handle)
    {
        bool failed = false;
        await foreach (LinkOutput output in _outputs.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            if (failed && output is not LinkOutput.StateChanged)
                continue;
            try
            {
                await handle(output).ConfigureAwait(false);
            }
            catch (LinkRefusedException refused)
            {
                failed = true;
                Tell(new LinkInput.Close(refused.Error));
            }
            catch (Exception)
            {
                // The owner reports its own failures; the session's part is to end and begin anew.
                failed = true;
                Tell(new LinkInput.Close(LinkError.OwnerFailed));
            }
        }
    }

    private void OnTimer()
    {
        bool due;
        lock (_lock)
        {
            _armedFor = long.MaxValue;
            due = _session.NextTick <= NowMs;
            if (!due)
                Arm();
        }
        TakePosted();
        if (due)
            Tell(new LinkInput.Tick(Mux.Probe.Unacknowledged));
    }

    /// <summary>Takes in what was posted, unless another thread has the session: it comes here when it has let go.</summary>
    private void TakePosted()
    {
        bool any = false;
        while (!_posted.IsEmpty && !_lock.IsHeldByCurrentThread && _lock.TryEnter())
            try
            {
                while (_posted.TryDequeue(out LinkInput? input))
                {
                    Step(input);
                    any = true;
                }
            }
            finally
            {
                _lock.Exit();
            }
        if (any)
            Mux.Wake();
    }

    private void Step(LinkInput input)
    {
        foreach (LinkOutput output in _session.Step(input, NowMs))
            _outputs.Writer.TryWrite(output);
        _state = _session.State;
        Arm();
    }

    /// <summary>Sets the timer when it is needed earlier than it is set; when later, it finds out when it fires.</summary>
    private void Arm()
    {
        if (_session.State == LinkState.Closed)
        {
            _ended.TrySetResult();
            return;
        }
        long next = _session.NextTick;
        if (next >= _armedFor)
            return;
        _armedFor = next;
        _timer.Change(TimeSpan.FromMilliseconds(Math.Max(1, next - NowMs)), Timeout.InfiniteTimeSpan);
    }
}
