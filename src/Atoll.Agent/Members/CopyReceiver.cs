using Atoll.Store;

namespace Atoll.Agent.Members;

/// <summary>
/// A follower's end of a copy: brings this node's store to what the leader's says, with how far it came in the same
/// transaction. What this node wrote while it was alone gives way; its own control then tells its outcomes anew.
/// </summary>
internal sealed class CopyReceiver(IStore store, long term, string incarnation)
{
    private const int MaxWrites = 900;

    private HashSet<string>? _seen;

    /// <summary>True in the middle of a whole copy.</summary>
    public bool IsPartial => _seen is not null;

    /// <summary>Takes in one frame; the position when the copy is whole up to it, null while it is not.</summary>
    public async Task<CopyPosition?> ApplyAsync(CopyFrame kind, long revision, List<StoreWrite> entries, CancellationToken cancellation)
    {
        switch (kind)
        {
            case CopyFrame.Begin:
                _seen = new HashSet<string>(StringComparer.Ordinal);
                return null;
            case CopyFrame.Entries when _seen is not null:
                foreach (StoreWrite entry in entries)
                    _seen.Add(Convert.ToHexString(entry.Key.Span));
                await WriteAsync(await ChangedAsync(entries, cancellation), null, cancellation);
                return null;
            case CopyFrame.End when _seen is not null:
                List<StoreWrite> gone = await UnseenAsync(_seen, cancellation);
                _seen = null;
                return await WriteAsync(gone, new CopyPosition(term, revision, incarnation, Led: false), cancellation);
            case CopyFrame.Changes when _seen is null && entries.Count == 0:
                return new CopyPosition(term, revision, incarnation, Led: false);
            case CopyFrame.Changes when _seen is null:
                return await WriteAsync(await ChangedAsync(entries, cancellation), new CopyPosition(term, revision, incarnation, Led: false), cancellation);
            case CopyFrame.Alive:
                return null;
            default:
                throw new InvalidDataException("a copy stream is out of order");
        }
    }

    private async Task<List<StoreWrite>> ChangedAsync(List<StoreWrite> entries, CancellationToken cancellation)
    {
        var changed = new List<StoreWrite>(entries.Count);
        foreach (StoreWrite entry in entries)
        {
            if (!SiteRecords.IsCopied(entry.Key))
                throw new InvalidDataException("a copy stream holds a key that is not to be copied");
            StoreEntry? have = await store.GetAsync(entry.Key, cancellation);
            if (entry.Value is { } value ? have is null || !have.Value.Span.SequenceEqual(value.Span) : have is not null)
                changed.Add(entry);
        }
        return changed;
    }

    private async Task<List<StoreWrite>> UnseenAsync(HashSet<string> seen, CancellationToken cancellation)
    {
        var gone = new List<StoreWrite>();
        foreach (ReadOnlyMemory<byte> prefix in SiteRecords.Copied)
        {
            ReadOnlyMemory<byte> start = prefix;
            byte[] end = prefix.ToArray();
            end[^1]++;
            while (true)
            {
                StoreRange page = await store.RangeAsync(start, end, 200, 0, cancellation);
                foreach (StoreEntry entry in page.Entries)
                    if (!seen.Contains(Convert.ToHexString(entry.Key.Span)))
                        gone.Add(new StoreWrite(entry.Key, null));
                if (!page.More)
                    break;
                start = (byte[])[.. page.Entries[^1].Key.Span, 0];
            }
        }
        return gone;
    }

    // The position goes with the last part: a crash between two leaves an older one, and the rest comes again.
    private async Task<CopyPosition?> WriteAsync(List<StoreWrite> writes, CopyPosition? position, CancellationToken cancellation)
    {
        for (int i = 0; i < writes.Count || (i == 0 && position is not null); i += MaxWrites)
        {
            List<StoreWrite> part = writes.GetRange(i, Math.Min(MaxWrites, writes.Count - i));
            if (position is not null && i + MaxWrites >= writes.Count)
                part.Add(SiteRecords.Write(position));
            await store.TransactAsync(new StoreTransaction([], part), cancellation);
        }
        return position;
    }
}
