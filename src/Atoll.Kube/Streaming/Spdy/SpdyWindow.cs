namespace Atoll.Kube.Streaming.Spdy;

/// <summary>
/// How much may still be sent, for one stream or the session. It counts from the start and binds only once
/// <see cref="Enforce"/> is called: Kubernetes' own SPDY library has no flow control and never opens a window.
/// </summary>
internal sealed class SpdyWindow(int initialBytes)
{
    private readonly Lock _gate = new();
    private long _available = initialBytes;
    private bool _enforced;
    private bool _closed;
    private TaskCompletionSource? _waiter;

    /// <summary>From now on senders wait when the window is empty.</summary>
    public void Enforce()
    {
        lock (_gate)
            _enforced = true;
    }

    /// <summary>Opens the window, or shuts it a bit (a changed initial window). False when it grew past what the protocol allows.</summary>
    public bool Add(long bytes)
    {
        TaskCompletionSource? wake;
        lock (_gate)
        {
            _available += bytes;
            if (_available > int.MaxValue)
                return false;
            wake = Wake();
        }
        wake?.SetResult();
        return true;
    }

    /// <summary>No more waiting: the stream or connection is gone.</summary>
    public void Close()
    {
        TaskCompletionSource? wake;
        lock (_gate)
        {
            _closed = true;
            wake = Wake();
        }
        wake?.SetResult();
    }

    /// <summary>Takes at least one and at most <paramref name="most"/> bytes off the window, when there are any; 0 when closed.</summary>
    public async ValueTask<int> TakeAsync(int most, CancellationToken cancellation)
    {
        while (true)
        {
            Task wait;
            lock (_gate)
            {
                if (_closed)
                    return 0;
                if (!_enforced || _available > 0)
                {
                    int taken = _enforced ? (int)Math.Min(most, _available) : most;
                    _available -= taken;
                    return taken;
                }
                _waiter ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                wait = _waiter.Task;
            }
            await wait.WaitAsync(cancellation).ConfigureAwait(false);
        }
    }

    private TaskCompletionSource? Wake()
    {
        TaskCompletionSource? waiter = _waiter;
        _waiter = null;
        return waiter;
    }
}
