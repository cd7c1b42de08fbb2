namespace Atoll.Link;

/// <summary>Taking batches down.</summary>
public sealed partial class SiteSession
{
    private void OnItemPart(FrameType type, ReadOnlySpan<byte> frame)
    {
        ReadOnlySpan<byte> part;
        if (type == FrameType.Item)
        {
            if (!BodyHead.TryRead(frame, out BodyHead head, out part) || _body is not null)
            {
                Fail(LinkError.Malformed);
                return;
            }
            _incoming.Raw += head.Length;
            if (_incoming.Count >= LinkLimits.MaxBatchItems || _incoming.Raw + _unappliedRaw > LinkLimits.MaxBatchBytes)
            {
                Fail(LinkError.WindowExceeded);
                return;
            }
            _body = new IncomingBody(head);
        }
        else if (_body is null || !Frames.TryReadChunk(frame, out part))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (!_body.Append(part))
            Fail(LinkError.TooLarge);
        else if (_body.Complete)
            Complete(_body);
    }

    private void Complete(IncomingBody incoming)
    {
        _body = null;
        BodyHead head = incoming.Head;
        ReadOnlyMemory<byte>? from = null;
        if ((head.Encoding & BodyEncoding.Delta) != 0)
            from = _bodies.TryGet(head.Uid, head.Base, out ReadOnlyMemory<byte> earlier) ? earlier : _items.ReadBody(head.Uid, head.Base);
        byte[]? body = incoming.Decode(from);
        if (body is null)
        {
            _incoming.Missing.Add(head.Uid);
            return;
        }
        _bodies.Forget(head.Uid, head.Base);
        _bodies.Put(head.Uid, head.Version, body);
        _incoming.Upserts.Add(new LinkItem(head.Kind, head.Name, head.Uid, head.Version, body));
    }

    private void OnDrop(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryReadDrop(frame, out string uid, out bool orphan, out int ahead) || _body is not null)
            Fail(LinkError.Malformed);
        else if (_incoming.Count >= LinkLimits.MaxBatchItems)
            Fail(LinkError.WindowExceeded);
        else if (!orphan)
        {
            _removalsAhead = ahead;
            _incoming.Removals.Add(uid);
        }
        else if (_held.TryGetValue(uid, out HeldItem? held) && !held.Orphan)
            _incoming.Orphans.Add(uid);
    }

    private void OnCommit(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryReadCommit(frame, out long revision, out SetDigest digest) || _body is not null)
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (_unapplied.Count >= LinkLimits.MaxUnappliedBatches)
        {
            Fail(LinkError.WindowExceeded);
            return;
        }
        Incoming batch = _incoming;
        _incoming = new Incoming();
        if (State == LinkState.Syncing && batch.Removals.Count > 0 && Options.Fault != SessionFault.MassStopped)
            HoldBack(batch);
        foreach (string uid in batch.Removals)
            Unhold(uid);
        foreach (LinkItem item in batch.Upserts)
            Hold(new HeldItem(item.Kind, item.Name, item.Uid, item.Version));
        foreach (string uid in batch.Orphans)
            Hold(_held[uid] with { Orphan = true });
        bool whole = revision > 0 && batch.Missing.Count == 0;
        bool complete = whole && digest == _digest;
        if (complete)
            _sequence = new LinkSequence(_incarnation, revision);
        long number = _nextNumber++;
        _unapplied.Enqueue((number, batch.Raw, whole && !complete, complete, batch.Missing));
        _unappliedRaw += batch.Raw;
        Output(new LinkOutput.Apply(new ScopeBatch(number, _sequence, batch.Upserts, batch.Removals, batch.Orphans)));
    }

    /// <summary>
    /// Right after connecting, nobody watched what made so much vanish: when it is a large share of what runs here, it is kept as
    /// orphans and an operator decides. What was deleted in order has a deletion time and is not counted, nor is what has ended.
    /// </summary>
    private void HoldBack(Incoming batch)
    {
        List<string> running = batch.Removals.FindAll(_items.IsRunning);
        _runningBefore = Math.Max(_runningBefore, _items.RunningCount);
        // More than fits one batch cannot be looked at as a whole: then all of it counts.
        _vanishing = _removalsAhead > LinkLimits.MaxBatchItems ? _removalsAhead : _vanishing + running.Count;
        if (_vanishing < Options.MassStopLeast || _vanishing <= _runningBefore * Options.MassStopShare)
            return;
        foreach (string uid in running)
        {
            batch.Removals.Remove(uid);
            if (_held.TryGetValue(uid, out HeldItem? held) && !held.Orphan)
                batch.Orphans.Add(uid);
        }
    }

    private void Acknowledge(long number)
    {
        if (number == 0)
        {
            _adopting = false;
            return;
        }
        if (!_unapplied.TryDequeue(out (long Number, int Raw, bool Differs, bool Complete, List<string> Missing) batch) || batch.Number != number)
            throw new InvalidOperationException("Batches are acknowledged in their order.");
        _unappliedRaw -= batch.Raw;
        AnswerApplied(FrameType.Applied, number, batch.Differs, batch.Missing);
        if (batch.Complete)
            BecomeLive();
    }

    private sealed class Incoming
    {
        public readonly List<LinkItem> Upserts = [];
        public readonly List<string> Removals = [];
        public readonly List<string> Orphans = [];
        public readonly List<string> Missing = [];
        public int Raw;

        public int Count => Upserts.Count + Removals.Count + Orphans.Count + Missing.Count;
    }
}
