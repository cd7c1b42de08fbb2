using System.Threading.Channels;

namespace Atoll.Orchestration.Loop;

/// <summary>
/// The keys that a controller still has to look at. A key waits at most once, is never worked on by two workers at a
/// time, and comes back when it was added while it was worked on: so nothing is lost and nothing is done twice. Delayed
/// keys keep their earliest time; failures back off exponentially, with jitter so that keys which failed together do not
/// come back together.
/// </summary>
internal sealed class WorkQueue : IDisposable
{
    /// <summary>First and longest pause after a failure.</summary>
    internal static readonly TimeSpan FirstRetry = TimeSpan.FromMilliseconds(20), LastRetry = TimeSpan.FromSeconds(60);

    // Whoever waits for a time further away is looked at once more before it: timers reach 49 days.
    private static readonly TimeSpan s_farthest = TimeSpan.FromDays(1);

    private readonly Lock _gate = new();
    private readonly TimeProvider _time;
    private readonly Jitter _jitter;
    private readonly Channel<string> _ready = Channel.CreateUnbounded<string>();
    private readonly HashSet<string> _waiting = new(StringComparer.Ordinal), _running = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> _failures = new(StringComparer.Ordinal);
    private readonly Dictionary<string, DateTimeOffset> _due = new(StringComparer.Ordinal);
    private readonly PriorityQueue<string, DateTimeOffset> _later = new();
    private readonly ITimer _timer;

    public WorkQueue(TimeProvider time, Jitter jitter)
    {
        _time = time;
        _jitter = jitter;
        _timer = time.CreateTimer(_ => Ripen(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>How many keys wait to be taken now.</summary>
    public int Count { get { lock (_gate) return _waiting.Count; } }

    /// <summary>Asks for a look at the key as soon as a worker is free.</summary>
    public void Add(string key)
    {
        lock (_gate)
            if (_waiting.Add(key) && !_running.Contains(key))
                _ready.Writer.TryWrite(key);
    }

    /// <summary>Asks for a look after a time, a day at most; an earlier appointment of the same key stands.</summary>
    public void AddAfter(string key, TimeSpan delay)
    {
        if (delay <= TimeSpan.Zero)
        {
            Add(key);
            return;
        }
        lock (_gate)
        {
            DateTimeOffset due = _time.GetUtcNow() + (delay < s_farthest ? delay : s_farthest);
            if (_due.TryGetValue(key, out DateTimeOffset known) && known <= due)
                return;
            _due[key] = due;
            _later.Enqueue(key, due);
            Arm();
        }
    }

    /// <summary>Asks for another look after a failure.</summary>
    public void AddFailed(string key)
    {
        int failures;
        lock (_gate)
        {
            failures = _failures.GetValueOrDefault(key);
            _failures[key] = failures + 1;
        }
        AddAfter(key, _jitter.Backoff(FirstRetry, LastRetry, failures));
    }

    /// <summary>The key was handled well: its next failure starts from the shortest pause.</summary>
    public void Forget(string key)
    {
        lock (_gate)
            _failures.Remove(key);
    }

    /// <summary>The next key; the caller owes a <see cref="Done"/>.</summary>
    public async ValueTask<string> TakeAsync(CancellationToken cancellation)
    {
        string key = await _ready.Reader.ReadAsync(cancellation).ConfigureAwait(false);
        Start(key);
        return key;
    }

    /// <summary>The next key if one waits now; for tests that drive a controller step by step.</summary>
    public bool TryTake(out string key)
    {
        if (!_ready.Reader.TryRead(out key!))
            return false;
        Start(key);
        return true;
    }

    /// <summary>The key was worked on; it comes back at once if somebody added it meanwhile.</summary>
    public void Done(string key)
    {
        lock (_gate)
        {
            _running.Remove(key);
            if (_waiting.Contains(key))
                _ready.Writer.TryWrite(key);
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _timer.Dispose();

    private void Start(string key)
    {
        lock (_gate)
        {
            _running.Add(key);
            _waiting.Remove(key);
        }
    }

    private void Ripen()
    {
        lock (_gate)
        {
            DateTimeOffset now = _time.GetUtcNow();
            while (_later.TryPeek(out string? key, out DateTimeOffset due) && due <= now)
            {
                _later.Dequeue();
                if (_due.TryGetValue(key, out DateTimeOffset wanted) && wanted == due)
                {
                    _due.Remove(key);
                    Add(key);
                }
            }
            Arm();
        }
    }

    private void Arm()
    {
        if (_later.TryPeek(out _, out DateTimeOffset due))
        {
            TimeSpan wait = due - _time.GetUtcNow();
            _timer.Change(wait > TimeSpan.Zero ? wait : TimeSpan.FromMilliseconds(1), Timeout.InfiniteTimeSpan);
        }
    }
}

/// <summary>Injected randomness, safe to share between threads.</summary>
internal sealed class Jitter(Random random)
{
    private readonly Lock _gate = new();

    /// <summary>A number in [0, 1).</summary>
    public double Next()
    {
        lock (_gate)
            return random.NextDouble();
    }

    /// <summary>A pause that doubles with each failure up to a ceiling; the upper half of it is random.</summary>
    public TimeSpan Backoff(TimeSpan first, TimeSpan last, int failures)
    {
        double full = Math.Min(last.TotalMilliseconds, first.TotalMilliseconds * Math.Pow(2, Math.Min(failures, 30)));
        return TimeSpan.FromMilliseconds(full / 2 + full / 2 * Next());
    }
}
