namespace Atoll.Link;

/// <summary>Taking outcomes and the list of orphans from the site, which is not trusted with our memory.</summary>
public sealed partial class ParentSession
{
    private readonly RecentBodies _outcomeBodies;
    private readonly Queue<(long Number, int Raw, List<string> Missing)> _unapplied = new();
    private List<Outcome> _outcomes = [];
    private List<string> _undecoded = [];
    private List<HeldItem> _orphans = [];
    private IncomingBody? _incoming;
    private long _nextOutcomeNumber = 1;
    private int _outcomesRaw;
    private int _unappliedRaw;
    private bool _orphansExpected;

    private void OnOutcomePart(FrameType type, ReadOnlySpan<byte> frame)
    {
        ReadOnlySpan<byte> part;
        if (type == FrameType.Outcome)
        {
            if (!BodyHead.TryRead(frame, out BodyHead head, out part) || _incoming is not null)
            {
                Fail(LinkError.Malformed);
                return;
            }
            _outcomesRaw += head.Length;
            if (_outcomes.Count + _undecoded.Count >= LinkLimits.MaxBatchItems || _outcomesRaw + _unappliedRaw > LinkLimits.MaxBatchBytes)
            {
                Fail(LinkError.WindowExceeded);
                return;
            }
            _incoming = new IncomingBody(head);
        }
        else if (_incoming is null || !Frames.TryReadChunk(frame, out part))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (!_incoming.Append(part))
            Fail(LinkError.TooLarge);
        else if (_incoming.Complete)
            Complete(_incoming);
    }

    private void Complete(IncomingBody incoming)
    {
        _incoming = null;
        BodyHead head = incoming.Head;
        ReadOnlyMemory<byte>? from = _outcomeBodies.TryGet(head.Uid, head.Base, out ReadOnlyMemory<byte> earlier) ? earlier : null;
        byte[]? body = incoming.Decode(from);
        if (body is null)
        {
            _undecoded.Add(head.Uid);
            return;
        }
        _outcomeBodies.Forget(head.Uid, head.Base);
        _outcomeBodies.Put(head.Uid, head.Version, body);
        _outcomes.Add(new Outcome(head.Version, head.Uid, head.Kind, head.Name, head.Operation, body));
    }

    private void OnOutcomesEnd()
    {
        if (_incoming is not null || _unapplied.Count >= LinkLimits.MaxUnappliedBatches)
        {
            Fail(_incoming is null ? LinkError.WindowExceeded : LinkError.OutOfOrder);
            return;
        }
        long number = _nextOutcomeNumber++;
        _unapplied.Enqueue((number, _outcomesRaw, _undecoded));
        _unappliedRaw += _outcomesRaw;
        if (Options.Fault == SessionFault.AcknowledgedBeforeDurable)
            AnswerApplied(FrameType.OutcomesApplied, number, false, _undecoded);
        Output(new LinkOutput.OutcomesReceived(new OutcomeBatch(number, _outcomes)));
        (_outcomes, _undecoded, _outcomesRaw) = ([], [], 0);
    }

    private void AcknowledgeOutcomes(long number)
    {
        if (!_unapplied.TryDequeue(out (long Number, int Raw, List<string> Missing) batch) || batch.Number != number)
            throw new InvalidOperationException("Batches of outcomes are acknowledged in their order.");
        _unappliedRaw -= batch.Raw;
        if (Options.Fault != SessionFault.AcknowledgedBeforeDurable)
            AnswerApplied(FrameType.OutcomesApplied, number, false, batch.Missing);
    }

    private void OnOrphan(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryReadOrphan(frame, out HeldItem orphan, out bool more))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (!_orphansExpected || _orphans.Count >= LinkLimits.MaxScopeItems)
        {
            Fail(LinkError.OutOfOrder);
            return;
        }
        if (orphan.Uid.Length > 0)
            _orphans.Add(orphan);
        if (more)
            return;
        _orphansExpected = false;
        Output(new LinkOutput.OrphansOffered(_orphans));
        _orphans = [];
    }
}
