using System.Runtime.CompilerServices;

namespace Atoll.Link;

/// <summary>
/// «Look again» for one waiter: set any number of times, it wakes once. Nothing is allocated for a wait and no lock is held while the waiter
/// runs: a hub has thousands of lines that wait nearly always, and each thread that is woken for them costs more than what it then does.
/// </summary>
internal sealed class WakeSignal : ICriticalNotifyCompletion
{
    private static readonly object s_set = new();

    /// <summary>Null, «set», or what goes on for the waiter.</summary>
    private object? _state;

    /// <summary>Wakes the waiter, or lets the next wait end at once.</summary>
    /// <param name="here">The waiter goes on before this returns, up to its next wait; only where nothing is held.</param>
    public void Set(bool here = false)
    {
        while (true)
        {
            object? state = Volatile.Read(ref _state);
            if (state == s_set)
                return;
            if (Interlocked.CompareExchange(ref _state, state is null ? s_set : null, state) != state)
                continue;
            if (state is not Action goOn)
                return;
            if (here)
                goOn();
            else
                ThreadPool.UnsafeQueueUserWorkItem(static action => action(), goOn, preferLocal: false);
            return;
        }
    }

    /// <summary>To be awaited by one waiter at a time: goes on when it is set, or was since the last wait.</summary>
    public WakeSignal WaitAsync() => this;

    /// <summary>For the compiler.</summary>
    public WakeSignal GetAwaiter() => this;

    /// <summary>For the compiler, which asks once a wait: takes what was set.</summary>
    public bool IsCompleted => Interlocked.CompareExchange(ref _state, null, s_set) == s_set;

    /// <summary>For the compiler.</summary>
    public void GetResult()
    {
    }

    /// <inheritdoc/>
    public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

    /// <inheritdoc/>
    public void UnsafeOnCompleted(Action continuation)
    {
        if (Interlocked.CompareExchange(ref _state, continuation, null) is null)
            return;
        // Set since it was asked: the waiter goes on, though not in here.
        _state = null;
        ThreadPool.UnsafeQueueUserWorkItem(static action => action(), continuation, preferLocal: false);
    }
}
