namespace Atoll.Link;

/// <summary>
/// Lets a limited number of sites sync at once, and a limited number wait for it in order; the rest is told to come again
/// (<see cref="LinkError.Busy"/>), which their jittered back-off spreads.
/// </summary>
public sealed class SyncAdmission
{
    private readonly Lock _lock = new();
    private readonly LinkedList<TaskCompletionSource> _waiting = new();
    private readonly int _concurrent;
    private readonly int _queue;

    /// <summary>Admits <paramref name="concurrent"/> at once and lets <paramref name="queue"/> wait.</summary>
    public SyncAdmission(int concurrent = 64, int queue = 4096)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(concurrent, 1);
        (_concurrent, _queue) = (concurrent, queue);
    }

    /// <summary>How many are admitted now.</summary>
    public int Active { get; private set; }

    /// <summary>How many wait now.</summary>
    public int Waiting
    {
        get
        {
            lock (_lock)
                return _waiting.Count;
        }
    }

    /// <summary>Waits for a place; dispose what it returns to give the place back (more than once is harmless). Throws <see cref="LinkRefusedException"/> when too many wait.</summary>
    public async ValueTask<IDisposable> EnterAsync(CancellationToken cancellation)
    {
        TaskCompletionSource turn;
        LinkedListNode<TaskCompletionSource> node;
        lock (_lock)
        {
            if (Active < _concurrent)
            {
                Active++;
                return new Place(this);
            }
            if (_waiting.Count >= _queue)
                throw new LinkRefusedException(LinkError.Busy);
            turn = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            node = _waiting.AddLast(turn);
        }
        try
        {
            await turn.Task.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            bool admitted;
            lock (_lock)
            {
                admitted = turn.Task.IsCompletedSuccessfully;
                if (!admitted)
                    _waiting.Remove(node);
            }
            if (admitted)
                Leave();
            throw;
        }
        return new Place(this);
    }

    private void Leave()
    {
        lock (_lock)
        {
            if (_waiting.First is { } next)
            {
                // The place passes on; the count stays.
                _waiting.RemoveFirst();
                next.Value.SetResult();
            }
            else
            {
                Active--;
            }
        }
    }

    private sealed class Place(SyncAdmission admission) : IDisposable
    {
        private SyncAdmission? _admission = admission;

        public void Dispose() => Interlocked.Exchange(ref _admission, null)?.Leave();
    }
}
