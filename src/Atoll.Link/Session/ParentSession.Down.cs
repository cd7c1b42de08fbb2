using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace Atoll.Link;

/// <summary>Sending down: batches of differences, acknowledged one by one.</summary>
public sealed partial class ParentSession
{
    /// <summary>A batch is closed when the bodies in it, expanded, are this many bytes.</summary>
    private const int BatchRawBytes = 1024 * 1024;

    /// <summary>Stands for «some version, which one does not matter».</summary>
    private const long UnknownVersion = long.MaxValue;

    /// <summary>Comparisons without agreement after which the session is given up.</summary>
    private const int MaxRounds = 4;

    private readonly List<string> _missing = [];
    private readonly Queue<Batch> _inFlight = new();
    private Batch _batch = new();
    private OutgoingBody? _body;
    private long _nextNumber = 1;
    private long _inFlightBytes;
    private long _inFlightRaw;
    private int _deferred;
    private int _rounds;
    private bool _commitDue;
    private int _removalsAhead;

    private bool WindowOpen => _inFlight.Count < LinkLimits.MaxUnappliedBatches
        && ((_inFlightBytes + _batch.Bytes < Options.WindowBytes && _inFlightRaw + _batch.Raw < BatchRawBytes)
            || (_inFlight.Count == 0 && _batch.Items.Count == 0));

    private bool BatchFull => _batch.Bytes >= Options.BatchBytes || _batch.Raw >= BatchRawBytes || _batch.Items.Count >= LinkLimits.MaxBatchItems;

    private protected override int WriteData(Span<byte> destination, long nowMs, bool yielding)
    {
        if (_body is not null)
            return WriteBody(destination);
        if (_phase == Phase.Comparing)
            return WriteRangeQuery(destination);
        // A batch that was begun is always ended, whatever the phase.
        if (_phase != Phase.Sending)
            return _batch.Items.Count > 0 ? WriteCommit(destination) : 0;
        if (!BatchFull)
        {
            while (WindowOpen && _dirty.TryDequeue(out string? uid))
            {
                int length = WriteDifference(uid, destination);
                if (length > 0)
                    return length;
            }
        }
        bool drained = _dirty.Count == 0;
        if (_batch.Items.Count > 0 && (BatchFull || drained || !WindowOpen))
            return WriteCommit(destination);
        if (_commitDue && drained && _deferred == 0 && _inFlight.Count < LinkLimits.MaxUnappliedBatches)
            return WriteCommit(destination);
        return 0;
    }

    /// <summary>Writes the first frame that brings one identity to its newest state; 0 when there is nothing to do for it.</summary>
    private int WriteDifference(string uid, Span<byte> destination)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, uid);
        entry.Marks &= ~Marks.Queued;
        LinkItem? item = entry.Scope > 0 && entry.Scope != entry.Known ? _items.Read(uid) : null;
        // Deleted since: the removal is on its way here, and sending it early does no harm.
        if (item is null && entry.Scope > 0 && entry.Scope != entry.Known)
            SetScope(uid, 0);
        else if (item is not null)
            SetScope(uid, item.Version);
        if (entry.Scope == entry.Known)
        {
            if (entry.Scope == 0)
                _entries.Remove(uid);
            return 0;
        }
        int length;
        if (item is null)
        {
            bool orphan = (entry.Marks & Marks.Orphan) != 0;
            length = Frames.WriteDrop(destination, uid, orphan, _removalsAhead);
            _batch.Items.Add(new ItemVersion(uid, 0));
            _batch.Bytes += length;
        }
        else
        {
            _body = Encode(item, entry);
            _batch.Items.Add(new ItemVersion(uid, item.Version));
            _batch.Raw += item.Body.Length;
            length = WriteBody(destination);
        }
        entry.Marks |= Marks.InFlight;
        return length;
    }

    private OutgoingBody Encode(LinkItem item, in Entry entry)
    {
        bool based = entry.Known > 0 && (entry.Marks & Marks.Whole) == 0 && ((entry.Marks & Marks.Acknowledged) != 0 || _hello!.HasBodies);
        byte[]? delta = based ? _bodies.DeltaTo(item.Uid, entry.Known, item.Version, item.Body.Span) : null;
        BodyHead identity = new(item.Uid, item.Kind, item.Name, "", item.Version, 0, 0, 0, 0, 0);
        _bodies.Put(item.Uid, item.Version, item.Body);
        (BodyHead head, ReadOnlyMemory<byte> payload) = BodyCodec.Encode(identity, item.Body, delta, entry.Known);
        return new OutgoingBody(FrameType.Item, head, payload);
    }

    private int WriteBody(Span<byte> destination)
    {
        int length = _body!.WriteNext(destination);
        _batch.Bytes += length;
        if (_body.Done)
            _body = null;
        return length;
    }

    private int WriteCommit(Span<byte> destination)
    {
        // Only now, with nothing left to send, is the scope complete at this revision.
        bool complete = _phase == Phase.Sending && _dirty.Count == 0 && _deferred == 0;
        _batch.Complete = complete;
        _batch.Number = _nextNumber++;
        _inFlight.Enqueue(_batch);
        _inFlightBytes += _batch.Bytes;
        _inFlightRaw += _batch.Raw;
        _batch = new Batch();
        _commitDue &= !complete;
        return Frames.WriteCommit(destination, complete ? _revision : 0, _digest);
    }

    private void OnApplied(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryReadApplied(frame, _missing, out long number, out bool differs, out bool more))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (!_inFlight.TryPeek(out Batch? batch) || batch.Number != number || _missing.Count > batch.Items.Count)
        {
            Fail(LinkError.OutOfOrder);
            return;
        }
        if (more)
            return;
        _inFlight.Dequeue();
        _inFlightBytes -= batch.Bytes;
        _inFlightRaw -= batch.Raw;
        foreach (ItemVersion item in batch.Items)
            Acknowledge(item);
        foreach (string uid in _missing)
            Retry(uid);
        bool missed = _missing.Count > 0;
        _missing.Clear();
        _commitDue |= missed;
        if (differs)
        {
            // Commits that were already on their way differ for the same reason: one round for all of them.
            if (_phase == Phase.Sending && ++_rounds > MaxRounds)
                Fail(LinkError.Diverged);
            else if (_phase == Phase.Sending)
                _phase = Phase.Draining;
        }
        else if (batch.Complete && !missed)
        {
            _rounds = 0;
            BecomeLive();
        }
        if (_phase == Phase.Draining && _inFlight.Count == 0 && _batch.Items.Count == 0)
            StartComparing(int.MaxValue);
    }

    private void Acknowledge(ItemVersion item)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, item.Uid);
        entry.Known = item.Version;
        entry.Marks = (entry.Marks & ~(Marks.InFlight | Marks.Whole | Marks.Orphan)) | Marks.Acknowledged;
        if ((entry.Marks & Marks.Deferred) != 0)
        {
            entry.Marks &= ~Marks.Deferred;
            _deferred--;
        }
        if (entry.Scope == 0 && entry.Known == 0)
            _entries.Remove(item.Uid);
        else
            Mark(item.Uid);
    }

    /// <summary>The site could not make this body from a delta: it has nothing of it, as far as this session is concerned.</summary>
    private void Retry(string uid)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, uid);
        if (Unsafe.IsNullRef(ref entry))
            return;
        // Known must not be 0 while the site holds some version: a removal would be lost.
        entry.Known = entry.Known > 0 ? UnknownVersion : 0;
        entry.Marks = (entry.Marks & ~Marks.Acknowledged) | Marks.Whole;
        Mark(uid);
    }

    /// <summary>Puts an identity into the queue when the site does not have its newest state.</summary>
    private void Mark(string uid)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, uid);
        if (Unsafe.IsNullRef(ref entry))
            return;
        if ((entry.Marks & Marks.InFlight) != 0)
        {
            // Whether it differs is only known when the site has answered.
            if ((entry.Marks & Marks.Deferred) == 0)
                _deferred++;
            entry.Marks |= Marks.Deferred;
            return;
        }
        if (entry.Scope == entry.Known || (entry.Marks & Marks.Queued) != 0)
            return;
        entry.Marks |= Marks.Queued;
        _dirty.Enqueue(uid);
    }

    /// <summary>Queues everything that differs: removals first (an old identity stops before its successor starts), then in the order of versions.</summary>
    private void QueueDifferences()
    {
        List<ItemVersion> upserts = [];
        List<string> removals = [];
        foreach ((string uid, Entry entry) in _entries)
        {
            if (entry.Scope == 0)
                removals.Add(uid);
            else if (entry.Scope != entry.Known)
                upserts.Add(new ItemVersion(uid, entry.Scope));
        }
        upserts.Sort(static (a, b) => a.Version != b.Version ? a.Version.CompareTo(b.Version) : string.CompareOrdinal(a.Uid, b.Uid));
        // A site that has just connected looks at how much is to vanish before it stops any of it, and may keep it as orphans.
        _removalsAhead = State == LinkState.Syncing ? removals.Count : 0;
        _orphansExpected |= _removalsAhead > 0;
        foreach (string uid in removals)
            Mark(uid);
        foreach (ItemVersion item in upserts)
            Mark(item.Uid);
    }

    private sealed class Batch
    {
        public readonly List<ItemVersion> Items = [];
        public long Number;
        public long Bytes;
        public long Raw;
        public bool Complete;
    }
}
