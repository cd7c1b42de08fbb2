using System.Runtime.CompilerServices;

namespace Atoll.Orchestration.Loop;

/// <summary>
/// Turns of those who compute for long, in the order in which they ask. A turn is what follows <see cref="NextAsync"/> up to the next wait;
/// so many run at a time, and no more than these are in the pool of threads: what others put there waits behind them, and not
/// behind everybody who would like to go on.
/// </summary>
internal sealed class Turns(int most) : IThreadPoolWorkItem
{
    private readonly Lock _gate = new();
    private readonly Queue<Action> _waiting = new();
    private int _given;

    /// <summary>To be awaited: goes on, in the pool, when it is the caller's turn.</summary>
    public Turn NextAsync() => new(this);

    /// <inheritdoc/>
    void IThreadPoolWorkItem.Execute()
    {
        Action? goOn;
        lock (_gate)
            if (!_waiting.TryDequeue(out goOn))
            {
                _given--;
                return;
            }
        goOn();
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private void Wait(Action goOn)
    {
        lock (_gate)
        {
            _waiting.Enqueue(goOn);
            if (_given == most)
                return;
            _given++;
        }
        ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    /// <summary>One turn that was asked for.</summary>
    internal readonly struct Turn(Turns turns) : ICriticalNotifyCompletion
    {
        public bool IsCompleted => false;

        public Turn GetAwaiter() => this;

        public void GetResult()
        {
        }

        public void OnCompleted(Action continuation) => turns.Wait(continuation);

        public void UnsafeOnCompleted(Action continuation) => turns.Wait(continuation);
    }
}
