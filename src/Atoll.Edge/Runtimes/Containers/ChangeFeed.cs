using System.Runtime.CompilerServices;

namespace Atoll.Edge.Runtimes.Containers;

/// <summary>Ids that changed, told to every watcher; an id that changes twice before a watcher looks is told once.</summary>
internal sealed class ChangeFeed
{
    private readonly Lock gate = new();
    private readonly List<Watcher> watchers = [];

    internal void Tell(string id)
    {
        lock (gate)
            foreach (var watcher in watchers)
                if (watcher.Pending.Add(id))
                    watcher.Signal.TrySetResult();
    }

    internal async IAsyncEnumerable<string> WatchAsync([EnumeratorCancellation] CancellationToken cancellation)
    {
        var watcher = new Watcher();
        lock (gate) watchers.Add(watcher);
        try
        {
            while (true)
            {
                await watcher.Signal.Task.WaitAsync(cancellation).ConfigureAwait(false);
                string[] ids;
                lock (gate)
                {
                    ids = [.. watcher.Pending];
                    watcher.Pending.Clear();
                    watcher.Signal = NewSignal();
                }
                foreach (var id in ids) yield return id;
            }
        }
        finally
        {
            lock (gate) watchers.Remove(watcher);
        }
    }

    private static TaskCompletionSource NewSignal() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private sealed class Watcher
    {
        internal HashSet<string> Pending { get; } = new(StringComparer.Ordinal);

        internal TaskCompletionSource Signal { get; set; } = NewSignal();
    }
}
