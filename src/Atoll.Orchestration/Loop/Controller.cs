using Microsoft.Extensions.Logging;

namespace Atoll.Orchestration.Loop;

/// <summary>What a controller wants after it looked at a key.</summary>
internal readonly record struct Next(bool Failed, TimeSpan? After)
{
    /// <summary>Nothing more until something changes.</summary>
    public static Next Done { get; }

    /// <summary>Something did not work: again soon, later with each failure.</summary>
    public static Next Retry { get; } = new(true, null);

    /// <summary>Look again at a time, although nothing may have changed by then.</summary>
    public static Next In(TimeSpan? after) => new(false, after);
}

/// <summary>
/// One controller: a queue of keys and the one function that makes a key right. The function gets a key, never an event;
/// it reads the whole truth from the copies and converges, so first run, change, retry and fail-over are one path. Keys
/// come from changes (a subclass listens to copies) and from a period that asks for every key.
/// </summary>
internal abstract class Controller : IDisposable
{
    /// <summary>How often every key is looked at without a reason.</summary>
    internal static readonly TimeSpan Period = TimeSpan.FromMinutes(5);

    // Most looks change nothing and wait for nothing: a long queue would be gone through in one go, on a thread that calls of the API wait for.
    // And when all workers of all controllers gave their threads back at once, a call would wait for a turn of each at each of its steps.
    private static readonly TimeSpan s_turn = TimeSpan.FromMilliseconds(2);

    private readonly int _workers;

    protected Controller(Cluster cluster, int workers = 4)
    {
        Cluster = cluster;
        _workers = workers;
        Queue = new WorkQueue(cluster.Time, cluster.Jitter);
        Log = cluster.Loggers.CreateLogger(GetType());
    }

    internal WorkQueue Queue { get; }

    protected Cluster Cluster { get; }

    protected ILogger Log { get; }

    /// <summary>Every key that exists now.</summary>
    public abstract IEnumerable<string> Keys();

    /// <summary>Makes one key right.</summary>
    internal abstract ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation);

    /// <summary>Works until cancelled. The copies must be filled before.</summary>
    public async Task RunAsync(CancellationToken cancellation)
    {
        var tasks = new List<Task>(_workers + 1) { WakeAsync(cancellation) };
        for (int i = 0; i < _workers; i++)
            tasks.Add(WorkAsync(cancellation));
        await Task.WhenAll(tasks).ConfigureAwait(false);
    }

    /// <summary>Works on one key as <see cref="RunAsync"/> does.</summary>
    internal async ValueTask StepAsync(string key, CancellationToken cancellation)
    {
        Next next;
        try
        {
            next = await ReconcileAsync(key, cancellation).ConfigureAwait(false);
        }
        catch (Exception e) when (!cancellation.IsCancellationRequested)
        {
            // One object that cannot be handled must not stop the others.
            Log.LogError(e, "{Controller} failed for {Key}; it is tried again", GetType().Name, key);
            next = Next.Retry;
        }
        if (next.Failed)
            Queue.AddFailed(key);
        else
        {
            Queue.Forget(key);
            if (next.After is { } after)
                Queue.AddAfter(key, after);
        }
        Queue.Done(key);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Queue.Dispose();
        GC.SuppressFinalize(this);
    }

    private async Task WorkAsync(CancellationToken cancellation)
    {
        try
        {
            long since = Cluster.Time.GetTimestamp();
            while (true)
            {
                ValueTask<string> taken = Queue.TakeAsync(cancellation);
                bool waited = !taken.IsCompleted;
                ValueTask step = StepAsync(await taken.ConfigureAwait(false), cancellation);
                waited |= !step.IsCompleted;
                await step.ConfigureAwait(false);
                if (!waited)
                {
                    if (Cluster.Time.GetElapsedTime(since) < s_turn)
                        continue;
                    await Cluster.Turns.NextAsync();
                }
                since = Cluster.Time.GetTimestamp();
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to stop.
        }
    }

    private async Task WakeAsync(CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                foreach (string key in Keys())
                    Queue.Add(key);
                await Task.Delay(Period * (0.8 + 0.4 * Cluster.Jitter.Next()), Cluster.Time, cancellation).ConfigureAwait(false);
            }
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            // Asked to stop.
        }
    }
}
