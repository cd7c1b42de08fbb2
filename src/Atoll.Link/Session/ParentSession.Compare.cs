using System.Runtime.InteropServices;

namespace Atoll.Link;

/// <summary>
/// Finding what differs without knowing what happened: the site is asked for digests of sixteenths of a range of hashed
/// identities, where one differs for the sixteenths of that, and for the list when it is short. A difference of one item in
/// a thousand costs about half a KiB.
/// </summary>
public sealed partial class ParentSession
{
    /// <summary>A range with at most this many items at the site is listed instead of split.</summary>
    private const int ListAtMost = 24;

    /// <summary>Questions asked at once.</summary>
    private const int MaxQuestions = 8;

    private readonly Stack<(IdRange Range, bool List)> _toAsk = new();
    private readonly HashSet<(IdRange Range, bool List)> _asked = [];
    private readonly List<ItemVersion> _listed = [];
    private (ulong Hash, string Uid, long Version)[] _snapshot = [];
    private int _listedTotal;

    private void StartComparing(int siteCount)
    {
        _phase = Phase.Comparing;
        List<(ulong Hash, string Uid, long Version)> snapshot = new(_entries.Count);
        foreach (string uid in _entries.Keys)
        {
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, uid);
            entry.Known = 0;
            if (entry.Scope > 0)
                snapshot.Add((SetDigest.HashOf(uid), uid, entry.Scope));
        }
        snapshot.Sort(static (a, b) => a.Hash.CompareTo(b.Hash));
        _snapshot = [.. snapshot];
        _listedTotal = 0;
        _toAsk.Push((default, siteCount <= ListAtMost));
    }

    private int WriteRangeQuery(Span<byte> destination)
    {
        if (_asked.Count >= MaxQuestions || !_toAsk.TryPop(out (IdRange Range, bool List) question))
            return 0;
        _asked.Add(question);
        return Frames.WriteRangeQuery(destination, question.Range, question.List);
    }

    private void OnRangeSplit(ReadOnlySpan<byte> frame)
    {
        Span<SetDigest> theirs = stackalloc SetDigest[16];
        if (!Frames.TryReadRangeSplit(frame, theirs, out IdRange range))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (!_asked.Remove((range, false)))
        {
            Fail(LinkError.OutOfOrder);
            return;
        }
        for (int i = 0; i < 16; i++)
        {
            IdRange part = range.Part(i);
            ReadOnlySpan<(ulong Hash, string Uid, long Version)> ours = InRange(part);
            SetDigest digest = default;
            foreach ((ulong hash, _, long version) in ours)
                digest = new SetDigest(digest.Count + 1, digest.Hash + SetDigest.HashOf(hash, version));
            if (digest == theirs[i])
                AssumeHeld(ours);
            else if (theirs[i].Count > 0)
                _toAsk.Push((part, theirs[i].Count <= ListAtMost || part.Bits >= 60));
        }
        FinishComparing();
    }

    private void OnRangeList(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryReadRangeList(frame, _listed, out IdRange range, out bool more))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (!_asked.Contains((range, true)))
        {
            Fail(LinkError.OutOfOrder);
            return;
        }
        foreach (ItemVersion item in _listed)
        {
            if (item.Version <= 0 || item.Uid.Length == 0 || !range.Contains(SetDigest.HashOf(item.Uid)) || ++_listedTotal > LinkLimits.MaxScopeItems)
            {
                Fail(LinkError.OutOfOrder);
                return;
            }
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, item.Uid, out _);
            if (entry.Known != item.Version)
                entry.Marks &= ~Marks.Acknowledged;
            entry.Known = item.Version;
            if (entry.Scope == 0 && _foreign && State == LinkState.Syncing && Options.Fault != SessionFault.OrphansRemoved)
                entry.Marks |= Marks.Orphan;
        }
        _listed.Clear();
        if (more)
            return;
        _asked.Remove((range, true));
        FinishComparing();
    }

    private void FinishComparing()
    {
        if (_asked.Count > 0 || _toAsk.Count > 0)
            return;
        _snapshot = [];
        _phase = Phase.Sending;
        _commitDue = true;
        QueueDifferences();
    }

    private void AssumeHeld(ReadOnlySpan<(ulong Hash, string Uid, long Version)> items)
    {
        foreach ((_, string uid, long version) in items)
        {
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, uid, out _);
            entry.Known = version;
        }
    }

    private ReadOnlySpan<(ulong Hash, string Uid, long Version)> InRange(IdRange range)
    {
        int start = LowerBound(range.Prefix);
        ulong next = range.Bits == 0 ? 0 : range.Prefix + (1UL << (64 - range.Bits));
        int end = next == 0 ? _snapshot.Length : LowerBound(next);
        return _snapshot.AsSpan(start, end - start);
    }

    private int LowerBound(ulong hash)
    {
        int low = 0, high = _snapshot.Length;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_snapshot[middle].Hash < hash)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
}
