using Atoll.Agent.Uplink;
using Atoll.Link;
using Atoll.Store;

namespace Atoll.Agent.Members;

/// <summary>
/// A follower's end of a copy: brings this node's store to what the leader's says, with how far it came in the same
/// transaction. What this node wrote while it was alone gives way; its own control then tells its outcomes anew. What it has of the parent and the
/// leader never heard of it tells the leader (<see cref="UnheardItems"/>) and keeps, as far as that takes it.
/// </summary>
/// <param name="store">This node's store.</param>
/// <param name="term">The leader's term.</param>
/// <param name="incarnation">Of the leader's store.</param>
/// <param name="tell">Tells the leader what this node has of the parent, and how far it followed it: which identities it took in, or null when it did not answer.</param>
internal sealed class CopyReceiver(IStore store, long term, string incarnation, Func<LinkSequence, List<StoreWrite>, Task<IReadOnlyCollection<string>?>> tell)
{
    private const int MaxWrites = 900;

    private HashSet<string>? _seen;
    private List<StoreWrite> _last = [];

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
                List<StoreWrite> changed = await ChangedAsync(entries, cancellation);
                // How far this node followed the parent is known until the rest is here.
                _last.AddRange(changed.Where(IsLast));
                changed.RemoveAll(IsLast);
                await WriteAsync(changed, null, cancellation);
                return null;
            case CopyFrame.End when _seen is not null:
                List<StoreWrite> gone = [.. await UnseenAsync(_seen, cancellation), .. _last];
                (_seen, _last) = (null, []);
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

    private static bool IsLast(StoreWrite write) => write.Key.Span.SequenceEqual(LinkRecords.SequenceKey.Span) || write.Key.Span.SequenceEqual(LinkRecords.FormerKey.Span);

    // What is to be removed: what the leader does not have, but for what it had to be told of.
    private async Task<List<StoreWrite>> UnseenAsync(HashSet<string> seen, CancellationToken cancellation)
    {
        List<StoreEntry> gone = await GoneAsync(seen, cancellation);
        var kept = new HashSet<string>(StringComparer.Ordinal);
        LinkSequence own = await SequenceAsync(LinkRecords.SequenceKey, cancellation);
        if (UnheardItems.Of(gone, UnheardItems.IsAhead(own, await SaidAsync(LinkRecords.SequenceKey), await SaidAsync(LinkRecords.FormerKey))) is { Count: > 0 } unheard)
        {
            IReadOnlyCollection<string> taken = await tell(own, unheard) ?? throw new IOException("the leader did not answer");
            for (int i = 0; i < unheard.Count; i += 2)
                if (taken.Contains(LinkRecords.Uid(LinkRecords.HeldPrefix, unheard[i].Key)))
                    kept.UnionWith([Convert.ToHexString(unheard[i].Key.Span), Convert.ToHexString(unheard[i + 1].Key.Span)]);
        }
        gone.RemoveAll(entry => kept.Contains(Convert.ToHexString(entry.Key.Span)));
        return gone.ConvertAll(static entry => new StoreWrite(entry.Key, null));

        // As the leader has it: written last where it differs.
        async Task<LinkSequence> SaidAsync(ReadOnlyMemory<byte> key) =>
            _last.Find(w => w.Key.Span.SequenceEqual(key.Span)) is { Value: { } value } ? LinkRecords.ReadSequence(value.Span) : seen.Contains(Convert.ToHexString(key.Span)) ? await SequenceAsync(key, cancellation) : LinkSequence.None;
    }

    private async Task<LinkSequence> SequenceAsync(ReadOnlyMemory<byte> key, CancellationToken cancellation) =>
        await store.GetAsync(key, cancellation) is { } entry ? LinkRecords.ReadSequence(entry.Value.Span) : LinkSequence.None;

    private async Task<List<StoreEntry>> GoneAsync(HashSet<string> seen, CancellationToken cancellation)
    {
        var gone = new List<StoreEntry>();
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
                        gone.Add(entry);
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
