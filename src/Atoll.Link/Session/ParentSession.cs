using System.Runtime.InteropServices;

namespace Atoll.Link;

/// <summary>
/// The parent's end of a session with one site: brings the site to the scope that its owner gives, and takes outcomes up.
/// <para>It holds for each identity the version in scope and the version known to be at the site; what differs is sent, read
/// from the owner at the moment of sending, so a slow line merges changes instead of queueing them. Nothing is kept between
/// sessions: the site's hello says where it is.</para>
/// <para>Resume: equal digests end the sync at once. Else what changed since the site's sequence is sent when that is
/// little, and the digest is verified; when digests differ still, ranges of identities are compared until the differing
/// items are known, and only they are sent.</para>
/// <para>Foreign history: when the site's sequence is of another incarnation, what the parent does not know is never removed
/// but marked as an orphan, kept by the site and offered to the owner.</para>
/// <para>It does not: talk to a socket or a store, know what an object means, or trust the site's sizes and counts.</para>
/// </summary>
public sealed partial class ParentSession : LinkSession
{
    private readonly IScopeItems _items;
    private readonly RecentBodies _bodies;
    private readonly Dictionary<string, Entry> _entries = [];
    private readonly Queue<string> _dirty = new();
    private Phase _phase = Phase.Greeting;
    private SiteHello? _hello;
    private LinkScope? _scope;
    private List<ScopeChange>? _early;
    private SetDigest _digest;
    private string _incarnation = "";
    private long _revision;
    private long _behindUntil = long.MaxValue;
    private bool _foreign;

    /// <summary>A session that reads objects from <paramref name="items"/>.</summary>
    public ParentSession(LinkOptions options, IScopeItems items, Random random) : base(options, 10_000, random)
    {
        _items = items;
        _bodies = options.Bodies ?? new RecentBodies(256 * 1024);
        _outcomeBodies = new RecentBodies(options.OutcomeBodyBytes);
    }

    private enum Phase
    {
        /// <summary>Waits for hello.</summary>
        Greeting,

        /// <summary>Waits for the owner's scope.</summary>
        Opening,

        /// <summary>The scope is older than what the site has applied: waits to catch up.</summary>
        Behind,

        /// <summary>Sends differences.</summary>
        Sending,

        /// <summary>The digest did not agree: waits until nothing is in flight.</summary>
        Draining,

        /// <summary>Compares ranges.</summary>
        Comparing,
    }

    [Flags]
    private enum Marks : byte
    {
        None = 0,

        /// <summary>In the queue of what to send.</summary>
        Queued = 1,

        /// <summary>Sent and not acknowledged; what changes meanwhile waits for that.</summary>
        InFlight = 2,

        /// <summary>Changed while in flight.</summary>
        Deferred = 4,

        /// <summary>The known version was acknowledged in this session: its body is at the site.</summary>
        Acknowledged = 8,

        /// <summary>The site could not use a delta: send the whole body.</summary>
        Whole = 16,

        /// <summary>Not in scope and of a foreign history: to be marked, not removed.</summary>
        Orphan = 32,
    }

    /// <summary>What the site said of itself; null before its hello.</summary>
    public SiteHello? Hello => _hello;

    /// <summary>What the session holds, for bounds to be checked.</summary>
    internal Load Measure() => new(_inFlightBytes + _batch.Bytes, _entries.Count, _unappliedRaw + _outcomesRaw);

    private protected override long NextOwnTick => _behindUntil;

    private protected override void Handle(LinkInput input, long nowMs)
    {
        switch (input)
        {
            case LinkInput.ScopeOpened opened when _phase == Phase.Opening:
                Open(opened.Scope, nowMs);
                break;
            case LinkInput.ScopeChanged changed:
                Change(changed.Change);
                break;
            case LinkInput.OutcomesApplied applied:
                AcknowledgeOutcomes(applied.Number);
                break;
            case LinkInput.Release release:
                Release(release.Uids);
                break;
            case LinkInput.Tick when nowMs >= _behindUntil && _phase == Phase.Behind:
                _foreign = true;
                Decide();
                break;
            default:
                break;
        }
    }

    private protected override void HandleFrame(FrameType type, ReadOnlySpan<byte> frame, long nowMs)
    {
        if ((type == FrameType.Hello) != (_phase == Phase.Greeting))
        {
            // An unknown type is skipped whenever it comes; a known one has its time.
            if (Enum.IsDefined(type))
                Fail(LinkError.OutOfOrder);
            return;
        }
        switch (type)
        {
            case FrameType.Hello:
                OnHello(frame);
                break;
            case FrameType.Applied:
                OnApplied(frame);
                break;
            case FrameType.RangeSplit:
                OnRangeSplit(frame);
                break;
            case FrameType.RangeList:
                OnRangeList(frame);
                break;
            case FrameType.Outcome or FrameType.Chunk:
                OnOutcomePart(type, frame);
                break;
            case FrameType.OutcomesEnd:
                OnOutcomesEnd();
                break;
            case FrameType.Orphan:
                OnOrphan(frame);
                break;
            case FrameType.Welcome or FrameType.Item or FrameType.Drop or FrameType.Commit or FrameType.RangeQuery or FrameType.OutcomesApplied:
                Fail(LinkError.OutOfOrder);
                break;
            default:
                break;
        }
    }

    private void OnHello(ReadOnlySpan<byte> frame)
    {
        if (!Frames.TryRead(frame, out SiteHello hello) || hello.OldestVersion <= 0 || hello.OldestVersion > hello.NewestVersion)
        {
            Fail(LinkError.Malformed);
            return;
        }
        if (hello.NewestVersion < Options.OldestVersion || hello.OldestVersion > Options.NewestVersion)
        {
            Fail(LinkError.VersionUnsupported);
            return;
        }
        (_hello, _phase) = (hello, Phase.Opening);
        MoveTo(LinkState.Syncing);
        Output(new LinkOutput.OpenScope(hello));
    }

    private void Open(LinkScope scope, long nowMs)
    {
        // Revision 0 means «not complete» on the wire; an empty store may well be at it.
        (_scope, _incarnation, _revision) = (scope, scope.Sequence.Incarnation, Math.Max(1, scope.Sequence.Revision));
        _entries.EnsureCapacity(scope.Items.Count);
        foreach (ItemVersion item in scope.Items)
            SetScope(item.Uid, item.Version);
        foreach (ScopeChange change in _early ?? [])
        {
            if (change.Revision > (scope.ChangesAfter ?? scope.Sequence.Revision))
                Change(change);
        }
        (_early, _scope) = (null, null);
        LinkSequence theirs = _hello!.Sequence;
        _foreign = scope.LostHistory || theirs.Incarnation != _incarnation && (theirs.Incarnation.Length > 0 || _hello.Digest.Count > 0);
        if (!_foreign && theirs.Revision > _revision)
        {
            // This server has not yet read what another one, or itself before, has given to the site.
            _phase = Phase.Behind;
            _behindUntil = nowMs + Options.BehindMs;
            return;
        }
        Decide();
    }

    /// <summary>Chooses how to bring the site from where it is to the scope, and greets it.</summary>
    private void Decide()
    {
        SiteHello hello = _hello!;
        _behindUntil = long.MaxValue;
        bool equal = hello.Digest == _digest || (Options.Fault == SessionFault.ResumeUnchecked && hello.Sequence.Revision > 0);
        bool inSync = equal && hello.Sequence.Incarnation == _incarnation && !_foreign;
        int version = Math.Min(hello.NewestVersion, Options.NewestVersion);
        ParentWelcome welcome = new(version, Options.Software, new LinkSequence(_incarnation, _revision), _foreign, inSync);
        Span<byte> frame = stackalloc byte[512];
        Answer(frame[..Frames.Write(frame, welcome)]);

        _orphansExpected = hello.Orphans > 0 || _foreign;
        _phase = Phase.Sending;
        _commitDue = !inSync;
        if (equal)
        {
            AssumeHeld(long.MaxValue);
            if (inSync)
                BecomeLive();
            return;
        }
        if (hello.Digest.Count == 0)
        {
            QueueDifferences();
            return;
        }
        int changed = 0;
        foreach (Entry entry in _entries.Values)
            changed += entry.Scope > hello.Sequence.Revision ? 1 : 0;
        if (!_foreign && hello.Sequence.Revision > 0 && changed > 0 && changed <= Math.Max(32, _entries.Count / 4))
        {
            AssumeHeld(hello.Sequence.Revision);
            QueueDifferences();
        }
        else
        {
            StartComparing(hello.Digest.Count);
        }
    }

    /// <summary>Takes everything in scope up to a version as held by the site; the digest verifies it.</summary>
    private void AssumeHeld(long version)
    {
        foreach (string uid in _entries.Keys)
        {
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrNullRef(_entries, uid);
            entry.Known = entry.Scope <= version ? entry.Scope : 0;
        }
    }

    private void Change(ScopeChange change)
    {
        if (_phase is Phase.Greeting || (_phase == Phase.Opening && _scope is null))
        {
            (_early ??= []).Add(change);
            return;
        }
        foreach (ItemVersion item in change.Upserts)
        {
            SetScope(item.Uid, item.Version);
            Mark(item.Uid);
        }
        foreach (string uid in Options.Fault == SessionFault.RemovalsUntold ? (IReadOnlyList<string>)[] : change.Removals)
        {
            SetScope(uid, 0);
            Mark(uid);
        }
        _revision = Math.Max(_revision, change.Revision);
        if (_phase == Phase.Behind && _revision >= _hello!.Sequence.Revision)
            Decide();
    }

    private void Release(IReadOnlyList<string> uids)
    {
        foreach (string uid in uids)
        {
            ref Entry entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, uid, out _);
            if (entry.Scope > 0)
                continue;
            // Which version the site holds does not matter for a removal.
            entry.Known = entry.Known > 0 ? entry.Known : UnknownVersion;
            entry.Marks &= ~Marks.Orphan;
            Mark(uid);
        }
    }

    private void SetScope(string uid, long version)
    {
        ref Entry entry = ref CollectionsMarshal.GetValueRefOrAddDefault(_entries, uid, out _);
        if (version > 0 && version == entry.Scope)
            return;
        if (entry.Scope > 0)
            _digest = _digest.Remove(uid, entry.Scope);
        if (version > 0)
        {
            _digest = _digest.Add(uid, version);
            entry.Marks &= ~Marks.Orphan;
        }
        entry.Scope = version;
    }

    private void BecomeLive()
    {
        if (State != LinkState.Syncing)
            return;
        _removalsAhead = 0;
        MoveTo(LinkState.Live);
    }

    /// <summary>Bytes on their way down, identities, and bytes of outcomes not yet durable.</summary>
    internal readonly record struct Load(long InFlightBytes, int Entries, int OutcomeBytes);

    /// <summary>One identity: 0 is «not in scope» and «not known to be at the site».</summary>
    private struct Entry
    {
        public long Scope;
        public long Known;
        public Marks Marks;
    }
}
