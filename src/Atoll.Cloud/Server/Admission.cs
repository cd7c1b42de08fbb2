using System.Collections.Concurrent;
using System.Runtime.CompilerServices;

namespace Atoll.Cloud.Server;

/// <summary>
/// Lets connections in one after the other: people's before sites', and of each the newest first. When thousands of sites return together, a
/// person's call waits for one handshake and not for all of them. Nothing is computed for those that left meanwhile, nor for those that
/// waited too long: they are hung up on, which a site takes for "busy": it comes again soon, with jitter.
/// <para>A turn is what follows <see cref="EnterAsync"/> up to its first wait: it runs on the thread that then calls the next one. So a
/// turn is processor time (of a handshake, the server's flight) and never the time of a slow line.</para>
/// <para>What a site's connection needs after its turn (its signature, its request, its session) goes through the same pool of threads as
/// everybody's calls. So a site is called in only while little waits for a thread, and else forty times a second: a fleet takes what is left, and calls do not
/// queue behind it.</para>
/// </summary>
/// <param name="time">Clock of the patience.</param>
/// <param name="patience">Whoever waited longer than this is hung up on.</param>
/// <param name="most">So many sites wait, and as many others; whoever comes then is hung up on at once.</param>
/// <param name="isBusy">True while so much waits for a thread that no site is called in.</param>
internal sealed class Admission(TimeProvider time, TimeSpan patience, int most, Func<bool> isBusy) : IThreadPoolWorkItem
{
    private static readonly TimeSpan s_breath = TimeSpan.FromMilliseconds(5);

    /// <summary>However busy it is, a site is called in so often: a centre that is busy for long is not to lose its sites.</summary>
    private static readonly TimeSpan s_atLeast = TimeSpan.FromMilliseconds(25);

    private readonly Line _people = new(), _sites = new();
    private int _isCalling;
    private long _lastSite = time.GetTimestamp();

    /// <summary>
    /// To be awaited: goes on when it is the caller's turn; throws <see cref="IOException"/> when that did not come, or when
    /// <paramref name="left"/> was cancelled before it: nobody is there any more.
    /// </summary>
    public Turn EnterAsync(bool isSite, CancellationToken left) => new(this, isSite ? _sites : _people, left);

    /// <inheritdoc/>
    void IThreadPoolWorkItem.Execute()
    {
        bool isHeld = false;
        while (_people.TryPop(out Turn? next) || (!_sites.IsEmpty && !(isHeld = isBusy() && time.GetElapsedTime(_lastSite) < s_atLeast) && _sites.TryPop(out next)))
        {
            Interlocked.Decrement(ref next.Line.Count);
            bool isLate = next.HasLeft || time.GetElapsedTime(next.Since) > patience;
            // Who has left takes nobody's turn: thousands of them would keep those that are there waiting, and out.
            if (next.Line == _sites && !isLate)
                _lastSite = time.GetTimestamp();
            next.Begin(isLate);
        }
        // Before the last look: whoever comes after it finds nobody calling.
        Interlocked.Exchange(ref _isCalling, 0);
        if (!_people.IsEmpty || (!isHeld && !_sites.IsEmpty))
            Call();
        else if (isHeld)
            _ = CallLaterAsync();
    }

    private async Task CallLaterAsync()
    {
        await Task.Delay(s_breath, time).ConfigureAwait(false);
        Call();
    }

    private void Call()
    {
        if (Interlocked.Exchange(ref _isCalling, 1) == 0)
            ThreadPool.UnsafeQueueUserWorkItem(this, preferLocal: false);
    }

    private void Wait(Turn turn)
    {
        if (Interlocked.Increment(ref turn.Line.Count) > most)
        {
            Interlocked.Decrement(ref turn.Line.Count);
            ThreadPool.UnsafeQueueUserWorkItem(static turn => turn.Begin(isLate: true), turn, preferLocal: false);
            return;
        }
        turn.Since = time.GetTimestamp();
        turn.Line.Push(turn);
        Call();
    }

    /// <summary>Those that wait, and how many they are, which the stack itself would have to count.</summary>
    internal sealed class Line : ConcurrentStack<Turn>
    {
        public new int Count;
    }

    /// <summary>One turn. It waits only from when it is known what goes on with it: so it never goes on where it was asked for.</summary>
    internal sealed class Turn(Admission door, Line line, CancellationToken left) : ICriticalNotifyCompletion
    {
        private Action? _goOn;
        private bool _isLate;

        public Line Line => line;

        public long Since { get; set; }

        public bool HasLeft => left.IsCancellationRequested;

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
