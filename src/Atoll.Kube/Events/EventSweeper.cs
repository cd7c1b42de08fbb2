using System.Text;
using Atoll.Api;
using Atoll.Kube.Watch;
using Atoll.Store;
using Microsoft.Extensions.Logging;

namespace Atoll.Kube.Events;

/// <summary>
/// Removes events that are older than their time to live, and the oldest where a namespace has too many. The store knows
/// no time; the cache is read once a period and what is due goes in transactions of bounded size.
/// </summary>
internal sealed class EventSweeper(IStore store, ResourceCache events, ApiServerOptions options) : IAsyncDisposable
{
    private const int MaxDeletesInOne = 500;
    private static readonly TimeSpan s_period = TimeSpan.FromSeconds(30);

    private readonly CancellationTokenSource _stop = new();
    private Task _loop = Task.CompletedTask;

    /// <summary>Starts the loop.</summary>
    public void Start() => _loop = Task.Run(() => RunAsync(_stop.Token), CancellationToken.None);

    private async Task RunAsync(CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(s_period, options.Time);
        try
        {
            while (await timer.WaitForNextTickAsync(cancellation).ConfigureAwait(false))
            {
                try
                {
                    await SweepAsync(cancellation).ConfigureAwait(false);
                }
                catch (Exception e) when (e is not OperationCanceledException)
                {
                    options.Logger.LogWarning(e, "Old events could not be removed; trying again in {Period}", s_period);
                }
            }
        }
        catch (OperationCanceledException)
        {
            // Closing.
        }
    }

    /// <summary>Removes what is due now; returns how many events went.</summary>
    public async Task<int> SweepAsync(CancellationToken cancellation)
    {
        List<CachedObject> due = Due(options.Time.GetUtcNow());
        for (int start = 0; start < due.Count; start += MaxDeletesInOne)
        {
            List<CachedObject> part = due.GetRange(start, Math.Min(MaxDeletesInOne, due.Count - start));
            // No comparison: an event that was counted up at this moment is made again by its source.
            StoreWrite[] writes = [.. part.Select(item => new StoreWrite(Encoding.UTF8.GetBytes(events.Prefix + item.Key), null))];
            await store.TransactAsync(new StoreTransaction([], writes), cancellation).ConfigureAwait(false);
        }
        return due.Count;
    }

    private List<CachedObject> Due(DateTimeOffset now)
    {
        var due = new List<CachedObject>();
        List<CachedObject> all = events.List(Selection.All, "", out _);
        var alive = new List<CachedObject>();
        for (int i = 0; i < all.Count; i++)
        {
            if (LastSeen(all[i]) + options.EventTtl <= now)
                due.Add(all[i]);
            else
                alive.Add(all[i]);
            bool endOfNamespace = i + 1 == all.Count || NamespaceOf(all[i]) != NamespaceOf(all[i + 1]);
            if (!endOfNamespace)
                continue;
            if (alive.Count > options.MaxEventsPerNamespace)
                due.AddRange(alive.OrderBy(item => item.Revision).Take(alive.Count - options.MaxEventsPerNamespace));
            alive.Clear();
        }
        return due;
    }

    private static string NamespaceOf(CachedObject item) => item.Key[..(item.Key.IndexOf('/', StringComparison.Ordinal) + 1)];

    private static DateTimeOffset LastSeen(CachedObject item)
    {
        DateTimeOffset last = DateTimeOffset.MinValue;
        foreach (string[] path in (ReadOnlySpan<string[]>)[["lastTimestamp"], ["series", "lastObservedTime"], ["eventTime"], ["metadata", "creationTimestamp"]])
            if (KubeTime.TryParse(ObjectBytes.Find(item.Utf8.Span, path), out DateTimeOffset time) && time > last)
                last = time;
        return last;
    }

    public async ValueTask DisposeAsync()
    {
        await _stop.CancelAsync().ConfigureAwait(false);
        await _loop.ConfigureAwait(false);
        _stop.Dispose();
    }
}
