using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Atoll.Cloud.Server;

/// <summary>
/// Lets connections in one after the other, the newest first. When thousands of sites return together, a person's call waits for one
/// handshake and not for all of them; those that wait longest are hung up on before anything was computed for them, which a site takes for
/// "busy": it comes again soon, with jitter.
/// <para>A turn is what follows <see cref="EnterAsync"/> up to its first wait: it runs on the thread that then calls the next one. So a
/// turn is processor time (of a handshake, the server's flight) and never the time of a slow line.</para>
/// </summary>
/// <param name="time">Clock of the patience.</param>
/// <param name="patience">Whoever waited longer than this is hung up on.</param>
/// <param name="most">So many wait; whoever comes then is hung up on at once.</param>
internal sealed class Admission(TimeProvider time, TimeSpan patience, int most) : IThreadPoolWorkItem
{
    private readonly ConcurrentStack<Turn> _waiting = new();
    private int _count, _isCalling;

    /// <summary>To be awaited: goes on when it is the caller's turn; throws <see cref="IOException"/> when that did not come.</summary>
    public Turn EnterAsync() => new(this);

    /// <inheritdoc/>
    void IThreadPoolWorkItem.Execute()
    {
        while (_waiting.TryPop(out Turn? next))
        {
            Interlocked.Decrement(ref _count);
            next.Begin(isLate: time.GetElapsedTime(next.Since) > patience);
        }
        // Before the last look: whoever comes after it finds nobody calling.
        Interlocked.Exchange(ref _isCalling, 0);
        if (!_waiting.IsEmpty)
            Call();
    }

    private void Call()
    {
        if (Interlocked.Exchange(ref _isCalling, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private void Wait(Turn turn)
    {
        if (Interlocked.Increment(ref _count) > most)
        {
            Interlocked.Decrement(ref _count);
            ThreadPool.UnsafeQueueUserWorkItem(static turn => turn.Begin(isLate: true), turn, preferLocal: false);
            return;
        }
        turn.Since = time.GetTimestamp();
        _waiting.Push(turn);
        Call();
    }

    /// <summary>One turn. It waits only from when it is known what goes on with it: so it never goes on where it was asked for.</summary>
    internal sealed class Turn(Admission door) : ICriticalNotifyCompletion
    {
        private Action? _goOn;
        private bool _isLate;

        public long Since { get; set; }

        public bool IsCompleted => false;

        public Turn GetAwaiter() => this;

        public void GetResult()
        {
            if (_isLate)
                throw new IOException("The connection's turn did not come in time.");
        }

        public void OnCompleted(Action continuation) => UnsafeOnCompleted(continuation);

        public void UnsafeOnCompleted(Action continuation)
        {
            _goOn = continuation;
            door.Wait(this);
        }

        public void Begin(bool isLate)
        {
            _isLate = isLate;
            _goOn!();
        }
    }
}
