using System.Threading.Tasks.Sources;

namespace Atoll.Link;

/// <summary>
/// «Look again» for one waiter: set any number of times, it wakes once. Nothing is allocated for a wait, and whoever sets it never
/// runs the waiter: a hub has thousands of lines that wait nearly always.
/// </summary>
internal sealed class WakeSignal : IValueTaskSource
{
    private readonly Lock _lock = new();
    private ManualResetValueTaskSourceCore<bool> _core = new() { RunContinuationsAsynchronously = true };
    private bool _isSet, _waits;

    /// <summary>Wakes the waiter, or lets the next wait end at once.</summary>
    public void Set()
    {
        lock (_lock)
        {
            if (!_waits)
            {
                _isSet = true;
                return;
            }
            _waits = false;
            // Under the lock, which Reset takes too: a waiter that is quick must not begin anew while this is not done. It only queues.
            _core.SetResult(true);
        }
    }

    /// <summary>Ends when it is set, or was since the last wait. One waiter at a time, which awaits it once.</summary>
    public ValueTask WaitAsync()
    {
        lock (_lock)
        {
            if (_isSet)
            {
                _isSet = false;
                return ValueTask.CompletedTask;
            }
            _core.Reset();
            _waits = true;
            return new ValueTask(this, _core.Version);
        }
    }

    void IValueTaskSource.GetResult(short token) => _core.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _core.GetStatus(token);

    void IValueTaskSource.OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) => _core.OnCompleted(continuation, state, token, flags);
}
