namespace Atoll.Link;

/// <summary>Bringing the outbox up: batches of the latest outcomes in outbox order, those that yield last, acknowledged one by one.</summary>
public sealed partial class SiteSession
{
    private const int BatchRawBytes = 1024 * 1024;

    /// <summary>Most objects whose last acknowledged outcome is remembered; then all are forgotten, which only costs whole bodies.</summary>
    private const int MaxAcknowledged = 1024;

    private readonly RecentBodies _sentBodies;
    private readonly Dictionary<string, PendingOutcome> _pending = [];
    private readonly Queue<OutcomeRef> _queue = new();
    private readonly Queue<OutcomeRef> _yielding = new();
    private readonly Queue<OutcomesInFlight> _inFlight = new();
    private readonly Dictionary<string, long> _acknowledged = [];
    private readonly List<string> _missing = [];
    private OutcomesInFlight _batch = new();
    private OutgoingBody? _outgoing;
    private bool _outgoingYields;
    private long _inFlightBytes;
    private long _inFlightRaw;
    private long _nextOutcomeNumber = 1;

    private bool WindowOpen => _inFlight.Count < LinkLimits.MaxUnappliedBatches
        && ((_inFlightBytes + _batch.Bytes < Options.WindowBytes && _inFlightRaw + _batch.Raw < BatchRawBytes)
            || (_inFlight.Count == 0 && _batch.Outcomes.Count == 0));

    private bool BatchFull => _batch.Bytes >= Options.BatchBytes || _batch.Raw >= BatchRawBytes || _batch.Outcomes.Count >= LinkLimits.MaxBatchItems;

    private protected override int WriteData(Span<byte> destination, long nowMs, bool yielding)
    {
        if (State == LinkState.Connecting || _adopting)
            return 0;
        // What yields is finished at once when it stands in the way of something else.
        if (_outgoing is not null)
            return yielding || !_outgoingYields || _queue.Count > 0 ? WriteBody(destination) : 0;
        if (_orphansEndDue)
        {
            _orphansToTell.TryDequeue(out HeldItem? orphan);
            _orphansEndDue = _orphansToTell.Count > 0;
            return Frames.WriteOrphan(destination, orphan, _orphansEndDue);
        }
        if (!BatchFull)
        {
            while (WindowOpen && (_queue.TryDequeue(out OutcomeRef next) || (yielding && _yielding.TryDequeue(out next))))
            {
                int length = WriteOutcome(next, destination);
                if (length > 0)
                    return length;
            }
        }
        if (_batch.Outcomes.Count == 0 || !(yielding || _batch.Urgent || _queue.Count > 0))
            return 0;
        _batch.Number = _nextOutcomeNumber++;
        _inFlight.Enqueue(_batch);
        _inFlightBytes += _batch.Bytes;
        _inFlightRaw += _batch.Raw;
        _batch = new OutcomesInFlight();
        return Frames.WriteOutcomesEnd(destination);
    }

    private void Enqueue(IReadOnlyList<OutcomeRef> outcomes)
    {
        foreach (OutcomeRef outcome in outcomes)
        {
            bool known = _pending.TryGetValue(outcome.Uid, out PendingOutcome pending);
            if (known && pending.Sequence >= outcome.Sequence)
                continue;
            // What is in flight is acknowledged first; a newer outcome of it waits for that.
            _pending[outcome.Uid] = new PendingOutcome(outcome.Sequence, pending.InFlight, outcome.Yields);
            if (!pending.InFlight)
                (outcome.Yields ? _yielding : _queue).Enqueue(outcome);
        }
    }

    private int WriteOutcome(OutcomeRef next, Span<byte> destination)
    {
        // Superseded while it waited: its newer place in the queue counts.
        if (!_pending.TryGetValue(next.Uid, out PendingOutcome pending) || pending.Sequence != next.Sequence || pending.InFlight)
            return 0;
        if (_items.ReadOutcome(next.Uid) is not { } outcome)
        {
            _pending.Remove(next.Uid);
            return 0;
        }
        byte[]? delta = _acknowledged.TryGetValue(outcome.Uid, out long from)
            ? _sentBodies.DeltaTo(outcome.Uid, from, outcome.Sequence, outcome.Body.Span)
            : null;
        BodyHead identity = new(outcome.Uid, outcome.Kind, outcome.Name, outcome.Operation, outcome.Sequence, 0, 0, 0, 0, 0);
        (BodyHead head, ReadOnlyMemory<byte> payload) = BodyCodec.Encode(identity, outcome.Body, delta, from);
        _outgoing = new OutgoingBody(FrameType.Outcome, head, payload);
        _outgoingYields = next.Yields;
        _batch.Urgent |= !next.Yields;
        _batch.Outcomes.Add(outcome);
        _batch.Raw += outcome.Body.Length;
        _pending[next.Uid] = pending with { Sequence = Math.Max(pending.Sequence, outcome.Sequence), InFlight = true };
        return WriteBody(destination);
    }

    private int WriteBody(Span<byte> destination)
    {
        int length = _outgoing!.WriteNext(destination);
        _batch.Bytes += length;
        if (_outgoing.Done)
            _outgoing = null;
        return length;
    }

    private void OnOutcomesApplied(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryReadApplied(frame, _missing, out long number, out _, out bool more))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (!_inFlight.TryPeek(out OutcomesInFlight? batch) || batch.Number != number || _missing.Count > batch.Outcomes.Count)
        {
            Fail(LinkError.OutOfOrder);
            return;
        }
        if (more)
            return;
        _inFlight.Dequeue();
        _inFlightBytes -= batch.Bytes;
        _inFlightRaw -= batch.Raw;
        List<OutcomeRef> durable = [];
        foreach (Outcome outcome in batch.Outcomes)
        {
            if (Settle(outcome, _missing.Contains(outcome.Uid)))
                durable.Add(new OutcomeRef(outcome.Sequence, outcome.Uid));
        }
        _missing.Clear();
        if (durable.Count > 0)
            Output(new LinkOutput.OutcomesAcknowledged(durable));
    }

    /// <summary>What the answer means for one outcome; true when the parent has it.</summary>
    private bool Settle(Outcome outcome, bool missing)
    {
        if (_acknowledged.Remove(outcome.Uid, out long earlier))
            _sentBodies.Forget(outcome.Uid, earlier);
        PendingOutcome pending = _pending[outcome.Uid];
        if (!missing)
        {
            if (_acknowledged.Count >= MaxAcknowledged)
                _acknowledged.Clear();
            _sentBodies.Put(outcome.Uid, outcome.Sequence, outcome.Body);
            if (_sentBodies.TryGet(outcome.Uid, outcome.Sequence, out _))
                _acknowledged[outcome.Uid] = outcome.Sequence;
        }
        if (!missing && pending.Sequence == outcome.Sequence)
        {
            _pending.Remove(outcome.Uid);
        }
        else
        {
            _pending[outcome.Uid] = pending with { InFlight = false };
            (pending.Yields ? _yielding : _queue).Enqueue(new OutcomeRef(pending.Sequence, outcome.Uid, pending.Yields));
        }
        return !missing;
    }

    private readonly record struct PendingOutcome(long Sequence, bool InFlight, bool Yields);

    private sealed class OutcomesInFlight
    {
        public readonly List<Outcome> Outcomes = [];
        public long Number;
        public long Bytes;
        public long Raw;
        public bool Urgent;
    }
}
