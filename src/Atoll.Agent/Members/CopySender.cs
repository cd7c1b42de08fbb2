using Atoll.Store;

namespace Atoll.Agent.Members;

/// <summary>
/// The leader's end of a copy: everything, unless the follower has followed this very store to a revision that is still in
/// its history, and then every change as it happens.
/// </summary>
internal static class CopySender
{
    private const int PageEntries = 200, PageBytes = 4 << 20;

    /// <summary>Writes until cancelled or the follower falls behind the history; it then connects again.</summary>
    public static async Task SendAsync(IStore store, bool resumes, long after, Stream output, TimeSpan alive, TimeProvider time, CancellationToken cancellation)
    {
        if (!resumes || after < store.CompactedRevision || after > store.CurrentRevision)
            after = await SendAllAsync(store, output, cancellation);
        // A follower that goes on from where it was is told that its copy is whole when it has what came meanwhile, not before.
        long whole = store.CurrentRevision;
        if (after >= whole)
            await PutAsync(output, CopyFrames.Write(CopyFrame.Alive, 0, []), cancellation);
        using var stop = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        await using IAsyncEnumerator<StoreEvents> changes = store.WatchAsync("/"u8.ToArray(), default, after, stop.Token).GetAsyncEnumerator(stop.Token);
        Task<bool> next = changes.MoveNextAsync().AsTask();
        try
        {
            while (true)
            {
                if (await Task.WhenAny(next, Task.Delay(alive, time, stop.Token)) != next)
                {
                    cancellation.ThrowIfCancellationRequested();
                    await PutAsync(output, after >= whole ? CopyFrames.Write(CopyFrame.Alive, 0, []) : CopyFrames.Write(CopyFrame.Changes, after, []), cancellation);
                    continue;
                }
                if (!await next || changes.Current.Error != StoreError.None)
                    return;
                await PutAsync(output, CopyFrames.Write(CopyFrame.Changes, changes.Current.Revision, Newest(changes.Current)), cancellation);
                if (after < whole && changes.Current.Revision >= whole)
                    await PutAsync(output, CopyFrames.Write(CopyFrame.Alive, 0, []), cancellation);
                after = changes.Current.Revision;
                next = changes.MoveNextAsync().AsTask();
            }
        }
        finally
        {
            await stop.CancelAsync();
            await next.ContinueWith(static _ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        }
    }

    // A batch may hold many revisions of a key; the last one is what is true at the end of it.
    private static List<StoreWrite> Newest(StoreEvents batch)
    {
        var writes = new List<StoreWrite>(batch.Events.Count);
        var seen = new HashSet<string>(StringComparer.Ordinal);
        for (int i = batch.Events.Count - 1; i >= 0; i--)
            if (SiteRecords.IsCopied(batch.Events[i].Key) && seen.Add(Convert.ToHexString(batch.Events[i].Key.Span)))
                writes.Add(new StoreWrite(batch.Events[i].Key, batch.Events[i].Value));
        return writes;
    }

    private static async Task<long> SendAllAsync(IStore store, Stream output, CancellationToken cancellation)
    {
        long revision = store.CurrentRevision;
        await PutAsync(output, CopyFrames.Write(CopyFrame.Begin, revision, []), cancellation);
        foreach (ReadOnlyMemory<byte> prefix in SiteRecords.Copied)
        {
            ReadOnlyMemory<byte> start = prefix;
            byte[] end = prefix.ToArray();
            end[^1]++;
            while (true)
            {
                StoreRange page = await store.RangeAsync(start, end, PageEntries, revision, cancellation);
                if (page.Error != StoreError.None)
                    throw new IOException("the store's history went on under a copy; it is begun again");
                await SendPageAsync(page, output, cancellation);
                if (!page.More)
                    break;
                start = (byte[])[.. page.Entries[^1].Key.Span, 0];
            }
        }
        await PutAsync(output, CopyFrames.Write(CopyFrame.End, revision, []), cancellation);
        return revision;
    }

    private static async Task SendPageAsync(StoreRange page, Stream output, CancellationToken cancellation)
    {
        var entries = new List<StoreWrite>(page.Entries.Count);
        long bytes = 0;
        foreach (StoreEntry entry in page.Entries)
        {
            entries.Add(new StoreWrite(entry.Key, entry.Value));
            if ((bytes += entry.Value.Length) < PageBytes)
                continue;
            await PutAsync(output, CopyFrames.Write(CopyFrame.Entries, 0, entries), cancellation);
            entries.Clear();
            bytes = 0;
        }
        if (entries.Count > 0)
            await PutAsync(output, CopyFrames.Write(CopyFrame.Entries, 0, entries), cancellation);
    }

    private static async Task PutAsync(Stream output, byte[] frame, CancellationToken cancellation)
    {
        await output.WriteAsync(frame, cancellation);
        await output.FlushAsync(cancellation);
    }
}
