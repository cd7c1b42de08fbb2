using Atoll.Link;

namespace Atoll.Simulation.Link;

/// <summary>
/// One connection: two sessions, a line with delay and rate each way that keeps the order while it lasts, may be cut or fall
/// silent in one or both directions, and owners that take their time. Counts what passes and checks it.
/// </summary>
internal sealed class SimLine
{
    private readonly SimWorld _world;
    private readonly SimSite _site;
    private readonly SiteSession _siteSession;
    private readonly ParentSession _parentSession;
    private readonly Dictionary<string, int> _allowed = [];
    private readonly Queue<LinkOutput> _siteWork = new();
    private readonly Queue<LinkOutput> _parentWork = new();
    private readonly Way _up;
    private readonly Way _down;
    private readonly int _life;
    private int _faults;
    private long _applied;
    private long _outcomesApplied;
    private bool _siteBusy;
    private bool _parentBusy;
    private bool _siteGone;
    private long _syncBytes;

    public SimLine(SimWorld world, SimSite site, SiteSession siteSession, ParentSession parentSession)
    {
        (_world, _site, _siteSession, _parentSession, _life) = (world, site, siteSession, parentSession, site.Life);
        int delay = 1 + world.Random.Next(world.Random.Next(3) == 0 ? 400 : 30);
        int bytesPerMs = world.Random.Next(4) == 0 ? 8 : 1000;
        _up = new Way(delay, bytesPerMs);
        _down = new Way(delay, bytesPerMs);
    }

    public int Site => _site.Index;

    public LinkState SiteState => _siteSession.State;

    public LinkState ParentState => _parentSession.State;

    public void Start(IReadOnlyList<OutcomeRef> outbox)
    {
        _world.Trace($"{_site.Name}: connects, {_site.Sequence}, holds {_site.Held.Count}, outbox {outbox.Count}");
        // What may be sent on this connection: what differs, and what has a version after the site's sequence.
        foreach ((string uid, LinkItem item) in _world.Parent.ScopeOf(_site.Index))
        {
            bool differs = !_site.Held.TryGetValue(uid, out SimHeld? held) || held.Orphan || held.Item.Version != item.Version;
            if (differs || item.Version > _site.Sequence.Revision)
                Changed(uid);
        }
        _world.Parent.Lines.Add(this);
        TellParent(new LinkInput.Connected());
        TellSite(new LinkInput.SiteConnected(_site.Holdings, outbox));
    }

    public void Changed(string uid) => _allowed[uid] = _allowed.GetValueOrDefault(uid) + 1;

    public void TellSite(LinkInput input)
    {
        if (_siteGone)
            return;
        foreach (LinkOutput output in _siteSession.Step(input, _world.Now).ToList())
            OnSiteOutput(output);
        ScheduleTick(_siteSession, _up, () => TellSite(new LinkInput.Tick()));
        Pump(_up, _siteSession, DeliverToParent);
    }

    public void TellParent(LinkInput input)
    {
        foreach (LinkOutput output in _parentSession.Step(input, _world.Now).ToList())
            OnParentOutput(output);
        ScheduleTick(_parentSession, _down, () => TellParent(new LinkInput.Tick()));
        Pump(_down, _parentSession, DeliverToSite);
    }

    /// <summary>The connection breaks: 0 both ends notice at once, 1 and 2 one of them late.</summary>
    public void Cut(int late)
    {
        _world.Trace($"{_site.Name}: cut {late}");
        _faults++;
        (_up.Silent, _down.Silent) = (true, true);
        Notice(late == 1, () => TellSite(new LinkInput.Disconnected(LinkError.ConnectionLost)));
        Notice(late == 2, () => TellParent(new LinkInput.Disconnected(LinkError.ConnectionLost)));
    }

    /// <summary>Bytes vanish without a word: 0 both ways, 1 upwards, 2 downwards. Only the heartbeat can find out.</summary>
    public void FallSilent(int which)
    {
        _world.Trace($"{_site.Name}: half open {which}");
        _up.Silent |= which != 2;
        _down.Silent |= which != 1;
        long since = _world.Now;
        int fault = ++_faults;
        _world.At(15_000, () =>
        {
            // A later fault changes who can hear what: its own check counts.
            if (fault != _faults)
                return;
            _world.Check(_siteGone || _siteSession.State == LinkState.Closed, $"{_site.Name}: silence ({which}) since {since} unnoticed by the site");
            _world.Check(_parentSession.State == LinkState.Closed,
                $"{_site.Name}: silence ({which}) since {since} unnoticed by the parent");
        });
    }

    /// <summary>The agent's process is gone; the kernel tells the parent, or the machine is gone too and nobody does.</summary>
    public void SiteDied()
    {
        _siteGone = true;
        _faults++;
        if (_world.Random.Next(2) == 0)
            Notice(false, () => TellParent(new LinkInput.Disconnected(LinkError.ConnectionLost)));
        _up.Silent = true;
    }

    private void Notice(bool late, Action action) => _world.At(late ? _world.Random.Next(20_000) : _world.Random.Next(50), action);

    private void ScheduleTick(LinkSession session, Way way, Action tick)
    {
        if (session.NextTick >= way.TickAt)
            return;
        long at = way.TickAt = session.NextTick;
        _world.At(at - _world.Now, () =>
        {
            if (way.TickAt != at)
                return;
            way.TickAt = long.MaxValue;
            tick();
        });
    }

    /// <summary>Takes one frame when the line can take one, and comes back when it was put on the wire.</summary>
    private void Pump(Way way, LinkSession session, Action<byte[]> deliver)
    {
        if (way.Busy)
            return;
        byte[] buffer = new byte[LinkLimits.MaxFrameBytes];
        int length = session.WriteFrame(buffer, _world.Now, way.BytesPerMs < 100 ? 2048 : LinkLimits.MaxFrameBytes);
        if (length == 0)
            return;
        byte[] frame = buffer[..length];
        Sent(session, frame);
        way.Busy = true;
        long wire = length / way.BytesPerMs;
        _world.At(wire, () =>
        {
            way.Busy = false;
            Pump(way, session, deliver);
        });
        _world.At(wire + way.DelayMs, () =>
        {
            if (!way.Silent)
                deliver(frame);
        });
    }

    private void Sent(LinkSession session, byte[] frame)
    {
        FrameType type = Frames.TypeOf(frame);
        // A change that happens at the same time may already flow.
        if (type is not (FrameType.Item or FrameType.Chunk or FrameType.Drop or FrameType.Commit or FrameType.Outcome or FrameType.OutcomesEnd))
            _syncBytes += frame.Length;
        if (session == _parentSession && type == FrameType.Item)
        {
            _world.Check(BodyHead.TryRead(frame, out BodyHead head, out _), "a frame of ours cannot be read");
            _world.Check(_world.Parent.InScope(_site.Index, head.Uid), $"{head.Uid} is sent to {_site.Name} but is not in its scope");
            int left = _allowed.GetValueOrDefault(head.Uid) - 1;
            _world.Check(left >= 0, $"{head.Uid} at {head.Version} is sent to {_site.Name} without need");
            _allowed[head.Uid] = left;
        }
        ParentSession.Load load = _parentSession.Measure();
        _world.Check(load.InFlightBytes <= 128 * 1024 + 640 * 1024 && load.Entries <= 20_000, $"the parent's session grew: {load}");
    }

    private void DeliverToParent(byte[] frame)
    {
        if (Frames.TypeOf(frame) == FrameType.Applied)
        {
            List<string> missing = [];
            Frames.TryReadApplied(frame, missing, out long number, out _, out _);
            _world.Check(number <= _applied || _life != _site.Life, $"{_site.Name} acknowledged batch {number} before it was durable");
            // A body that the site could not make from a delta may come once more.
            foreach (string uid in missing)
                Changed(uid);
        }
        TellParent(new LinkInput.Frame(frame));
    }

    private void DeliverToSite(byte[] frame)
    {
        if (Frames.TypeOf(frame) == FrameType.OutcomesApplied)
        {
            Frames.TryReadApplied(frame, [], out long number, out _, out _);
            _world.Check(number <= _outcomesApplied, $"outcomes of batch {number} were acknowledged before they were durable");
        }
        TellSite(new LinkInput.Frame(frame));
    }

    private void OnSiteOutput(LinkOutput output)
    {
        switch (output)
        {
            case LinkOutput.StateChanged { State: LinkState.Closed } closed:
                _world.Trace($"{_site.Name}: session closed, {closed.Error}");
                CheckError(closed.Error);
                // The line's end reaches the other side when it can.
                if (!_up.Silent)
                    Notice(false, () => TellParent(new LinkInput.Disconnected(LinkError.ConnectionLost)));
                if (_site.Line == this)
                    _site.Lost();
                break;
            case LinkOutput.StateChanged changed:
                _world.Trace($"{_site.Name}: {changed.State}");
                break;
            case LinkOutput.Welcomed welcomed:
                _site.Connected();
                if (welcomed.Welcome.InSync)
                    _world.Check(_syncBytes < 200, $"a reconnect without changes took {_syncBytes} bytes");
                if (welcomed.Welcome.Foreign)
                    _world.At(0, () => { if (_site.Line == this) _site.ReportEverything(); });
                break;
            default:
                _siteWork.Enqueue(output);
                WorkAtSite();
                break;
        }
    }

    private void OnParentOutput(LinkOutput output)
    {
        switch (output)
        {
            case LinkOutput.StateChanged { State: LinkState.Closed } closed:
                _world.Trace($"parent: session of {_site.Name} closed, {closed.Error}");
                _world.Parent.Lines.Remove(this);
                CheckError(closed.Error);
                if (!_down.Silent)
                    Notice(false, () => TellSite(new LinkInput.Disconnected(LinkError.ConnectionLost)));
                break;
            case LinkOutput.StateChanged:
                break;
            case LinkOutput.OpenScope:
                // The scope is of now, the answer comes later, and changes are told meanwhile.
                LinkScope scope = _world.Parent.OpenScope(_site.Index);
                _world.At(_world.Random.Next(200), () => TellParent(new LinkInput.ScopeOpened(scope)));
                break;
            default:
                _parentWork.Enqueue(output);
                WorkAtParent();
                break;
        }
    }

    private void WorkAtSite()
    {
        if (_siteBusy || !_siteWork.TryDequeue(out LinkOutput? work))
            return;
        _siteBusy = true;
        _world.At(_world.Random.Next(20), () =>
        {
            if (_life != _site.Life)
                return;
            // Durable now; whether the acknowledgement still gets away is another matter.
            if (work is LinkOutput.Apply apply && _site.Line == this)
            {
                _site.Apply(apply.Batch);
                _applied = apply.Batch.Number;
                _siteBusy = false;
                TellSite(new LinkInput.Applied(apply.Batch.Number));
            }
            else if (work is LinkOutput.OutcomesAcknowledged acknowledged)
            {
                _site.Acknowledged(acknowledged.Outcomes);
            }
            _siteBusy = false;
            WorkAtSite();
        });
    }

    private void WorkAtParent()
    {
        if (_parentBusy || !_parentWork.TryDequeue(out LinkOutput? work))
            return;
        _parentBusy = true;
        string incarnation = _world.Parent.Incarnation;
        _world.At(_world.Random.Next(20), () =>
        {
            _parentBusy = false;
            // A parent that was restored meanwhile has forgotten this session.
            if (incarnation != _world.Parent.Incarnation)
                return;
            if (work is LinkOutput.OutcomesReceived received)
            {
                _world.Parent.Apply(_site, received.Batch);
                _outcomesApplied = received.Batch.Number;
                TellParent(new LinkInput.OutcomesApplied(received.Batch.Number));
            }
            else if (work is LinkOutput.OrphansOffered offered)
            {
                _world.Parent.Orphans[_site.Index] = [.. offered.Orphans.Select(orphan => orphan.Uid)];
            }
            WorkAtParent();
        });
    }

    private void CheckError(LinkError error) =>
        _world.Check(error is LinkError.ConnectionLost or LinkError.Silent or LinkError.GoingAway, $"{_site.Name}: the session ended with {error}");

    private sealed class Way(int delayMs, int bytesPerMs)
    {
        public int DelayMs { get; } = delayMs;

        public int BytesPerMs { get; } = bytesPerMs;

        public bool Silent { get; set; }

        public bool Busy { get; set; }

        public long TickAt { get; set; } = long.MaxValue;
    }
}
