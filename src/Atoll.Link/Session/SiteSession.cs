using System.Runtime.InteropServices;

namespace Atoll.Link;

/// <summary>
/// The site's end of a session with its parent: says what it holds, takes batches down to its owner and acknowledges them
/// when they are durable, and brings the outbox up.
/// <para>Invariants: the sequence given to the owner only moves on when the scope is complete at that revision and its digest
/// agreed; nothing is removed on the word of a parent whose history is not the one that was last applied; an outcome is
/// acknowledged to the owner only after the parent said that it is durable.</para>
/// <para>It does not: decide what an orphan's fate is, keep bodies beyond its bound, or know what an object means.</para>
/// </summary>
public sealed partial class SiteSession : LinkSession
{
    private readonly ISiteItems _items;
    private readonly RecentBodies _bodies;
    private readonly Dictionary<string, HeldItem> _held = [];
    private readonly Queue<(long Number, int Raw, bool Differs, bool Complete, List<string> Missing)> _unapplied = new();
    private readonly Queue<HeldItem> _orphansToTell = new();
    private Incoming _incoming = new();
    private IncomingBody? _body;
    private SetDigest _digest;
    private LinkSequence _sequence;
    private string _incarnation = "";
    private int _orphans;
    private int _unappliedRaw;
    private long _nextNumber = 1;
    private bool _foreign;
    private bool _adopting;
    private bool _orphansTold;
    private bool _orphansEndDue;
    private int _removalsAhead;
    private int _vanishing;
    private int _runningBefore;

    /// <summary>A session that reads bodies and outcomes from <paramref name="items"/>.</summary>
    public SiteSession(LinkOptions options, ISiteItems items, Random random) : base(options, 6_000, random)
    {
        _items = items;
        _bodies = options.Bodies ?? new RecentBodies(256 * 1024);
        _sentBodies = new RecentBodies(options.OutcomeBodyBytes);
    }

    /// <summary>What the parent answered; null before.</summary>
    public ParentWelcome? Welcome { get; private set; }

    /// <summary>The sequence that the batches given to the owner so far carry.</summary>
    public LinkSequence Sequence => _sequence;

    private protected override void Handle(LinkInput input, long nowMs)
    {
        switch (input)
        {
            case LinkInput.SiteConnected connected:
                Greet(connected);
                break;
            case LinkInput.Applied applied:
                Acknowledge(applied.Number);
                break;
            case LinkInput.OutcomesAdded added:
                Enqueue(added.Outcomes);
                break;
            default:
                break;
        }
    }

    private protected override void HandleFrame(FrameType type, ReadOnlySpan<byte> frame, long nowMs)
    {
        if ((type == FrameType.Welcome) != (State == LinkState.Connecting))
        {
            if (Enum.IsDefined(type))
                Fail(LinkError.OutOfOrder);
            return;
        }
        switch (type)
        {
            case FrameType.Welcome:
                OnWelcome(frame);
                break;
            case FrameType.Item or FrameType.Chunk:
                OnItemPart(type, frame);
                break;
            case FrameType.Drop:
                OnDrop(frame);
                break;
            case FrameType.Commit:
                OnCommit(frame);
                break;
            case FrameType.RangeQuery:
                OnRangeQuery(frame);
                break;
            case FrameType.OutcomesApplied:
                OnOutcomesApplied(frame);
                break;
            case FrameType.Hello or FrameType.Applied or FrameType.RangeSplit or FrameType.RangeList or FrameType.Outcome or FrameType.OutcomesEnd or FrameType.Orphan:
                Fail(LinkError.OutOfOrder);
                break;
            default:
                break;
        }
    }

    private void Greet(LinkInput.SiteConnected connected)
    {
        _sequence = connected.Holdings.Sequence;
        foreach (HeldItem item in connected.Holdings.Items)
            Hold(item);
        Enqueue(connected.Outbox);
        SiteHello hello = new(Options.OldestVersion, Options.NewestVersion, Options.Software, _sequence, _digest, _orphans, connected.Holdings.HasBodies || _bodies.Bytes > 0) { Via = connected.Via, ClockMs = connected.ClockMs };
        Span<byte> frame = stackalloc byte[LinkLimits.MaxFrameBytes];
        Answer(frame[..Frames.Write(frame, hello)]);
    }

    private void OnWelcome(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryRead(frame, out ParentWelcome welcome))
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (welcome.Version < Options.OldestVersion || welcome.Version > Options.NewestVersion)
        {
            Fail(LinkError.VersionUnsupported);
            return;
        }
        _incarnation = welcome.Sequence.Incarnation;
        bool unknown = _incarnation != _sequence.Incarnation && (_sequence.Incarnation.Length > 0 || _digest.Count > 0);
        // A parent that takes our history for its own when it is not would remove what it does not know.
        if (unknown && !welcome.Foreign)
        {
            Fail(LinkError.OutOfOrder);
            return;
        }
        (Welcome, _foreign) = (welcome, welcome.Foreign);
        MoveTo(LinkState.Syncing);
        Output(new LinkOutput.Welcomed(welcome));
        if (_foreign || _sequence.Incarnation.Length == 0)
        {
            // From the first outcome on that this parent takes, the site must know whose history took it: if that history
            // is gone next time, everything has to be told anew. And of another history it must know before the first.
            if (!_foreign)
                _sequence = new LinkSequence(_incarnation, 0);
            _adopting = true;
            Output(new LinkOutput.Apply(new ScopeBatch(0, _sequence, [], [], [])));
        }
        if (welcome.InSync)
            BecomeLive();
    }

    private void OnRangeQuery(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryReadRangeQuery(frame, out IdRange range, out bool list))
        {
            Fail(LinkError.Malformed);
            return;
        }
        List<ItemVersion> entries = [];
        Span<SetDigest> parts = stackalloc SetDigest[16];
        foreach (HeldItem item in _held.Values)
        {
            ulong hash = SetDigest.HashOf(item.Uid);
            if (item.Orphan || !range.Contains(hash))
                continue;
            if (list)
                entries.Add(new ItemVersion(item.Uid, item.Version));
            else if (range.Bits < 60)
                parts[range.PartOf(hash)] = parts[range.PartOf(hash)].Add(item.Uid, item.Version);
        }
        Span<byte> answer = stackalloc byte[LinkLimits.MaxFrameBytes];
        int from = 0;
        if (!list)
        {
            Answer(answer[..Frames.WriteRangeSplit(answer, range, parts)]);
            return;
        }
        do
            Answer(answer[..Frames.WriteRangeList(answer, range, entries, ref from)]);
        while (from < entries.Count);
    }

    private void BecomeLive()
    {
        if (State != LinkState.Syncing)
            return;
        MoveTo(LinkState.Live);
        if (_orphansTold || (_orphans == 0 && !_foreign))
            return;
        (_orphansTold, _orphansEndDue) = (true, true);
        foreach (HeldItem item in _held.Values)
        {
            if (item.Orphan)
                _orphansToTell.Enqueue(item);
        }
    }

    private void Hold(HeldItem item)
    {
        ref HeldItem? slot = ref CollectionsMarshal.GetValueRefOrAddDefault(_held, item.Uid, out bool exists);
        if (exists)
            Uncount(slot!);
        slot = item;
        if (item.Orphan)
            _orphans++;
        else
            _digest = _digest.Add(item.Uid, item.Version);
    }

    private void Unhold(string uid)
    {
        if (_held.Remove(uid, out HeldItem? item))
            Uncount(item);
    }

    private void Uncount(HeldItem item)
    {
        if (item.Orphan)
            _orphans--;
        else
            _digest = _digest.Remove(item.Uid, item.Version);
    }
}
