using Atoll.Api;
using Atoll.Api.Resources;
using Atoll.Cloud.Hub;
using Atoll.Link;

namespace Atoll.Simulation.Whole;

/// <summary>
/// One connection between a site and the centre: two real sessions and a way in each direction that keeps the order, has delay and
/// rate, and may be cut, fall silent in one or both directions, or go on delivering for a while what was sent before its successor.
/// </summary>
internal sealed class Line : IOrphanSite
{
    private readonly World _world;
    private readonly Uplink _uplink;
    private readonly SiteSession _siteSession;
    private readonly ParentSession _parentSession;
    private readonly Queue<LinkOutput> _siteWork = new(), _parentWork = new();
    private readonly Way _up, _down;
    private readonly int _centreLife;
    private readonly Dictionary<long, long> _takenAt = [];
    private bool _siteBusy, _parentBusy;
    private int _vanished, _running;

    public Line(World world, Uplink uplink, SiteSession siteSession, ParentSession parentSession)
    {
        (_world, _uplink, _siteSession, _parentSession, _centreLife) = (world, uplink, siteSession, parentSession, world.Centre.Life);
        int delay = 1 + world.Below(world.Chance(30) ? 400 : 30);
        int bytesPerMs = world.Chance(20) ? 8 : 1000;
        _up = new Way(delay, bytesPerMs);
        _down = new Way(delay, bytesPerMs);
    }

    public Site Site => _uplink.Site;

    public LinkState SiteState => _siteSession.State;

    public LinkState ParentState => _parentSession.State;

    /// <summary>Session bytes that passed, and how many frames of them carried bodies or removals.</summary>
    public long Bytes { get; private set; }

    public int DataFrames { get; private set; }

    /// <summary>The mistake of a session that is planted.</summary>
    public static SessionFault Fault => Enum.TryParse(ProtocolFaults.Planted.ToString(), out SessionFault fault) ? fault : SessionFault.None;

    private bool SiteGone => _uplink.IsOver;

    private bool CentreGone => _centreLife != _world.Centre.Life;

    public void Start(SiteHoldings holdings, IReadOnlyList<OutcomeRef> outbox)
    {
        TellParent(new LinkInput.Connected());
        TellSite(new LinkInput.SiteConnected(holdings, outbox));
    }

    public void TellSite(LinkInput input)
    {
        if (SiteGone)
            return;
        foreach (LinkOutput output in _siteSession.Step(input, _world.Now).ToArray())
            OnSiteOutput(output);
        ScheduleTick(_siteSession, _up, () => TellSite(new LinkInput.Tick()));
        Pump(_up, _siteSession, frame => TellParent(new LinkInput.Frame(frame)));
    }

    public void TellParent(LinkInput input)
    {
        if (CentreGone)
            return;
        foreach (LinkOutput output in _parentSession.Step(input, _world.Now).ToArray())
            OnParentOutput(output);
        ScheduleTick(_parentSession, _down, () => TellParent(new LinkInput.Tick()));
        Pump(_down, _parentSession, frame => TellSite(new LinkInput.Frame(frame)));
    }

    /// <summary>Before all is in step again, so many pods are to be stopped of those that run: not all of a sudden most of them.</summary>
    public void Vanish(int stopping, int running)
    {
        (_vanished, _running) = (_vanished + stopping, Math.Max(_running, running));
        _world.Check(Claim.NothingStopped, !_world.IsDeep || _vanished <= Uplink.MassStop || _vanished <= (_running / 2) + 1, $"{Site.Name} stops {_vanished} of its {_running} pods because they vanished while it was away");
    }

    /// <inheritdoc/>
    public void Release(IReadOnlyList<string> uids)
    {
        _world.Checks.Decided(uids);
        TellParent(new LinkInput.Release(uids));
    }

    /// <inheritdoc/>
    public IResources Reach() => new NodeApi(_world, _uplink.Node);

    /// <summary>The connection breaks: 0 both ends notice at once, 1 and 2 one of them late. What is on the wire may still arrive.</summary>
    public void Cut(int late)
    {
        _world.Trace($"{Site.Name}: line cut ({(late == 0 ? "both notice" : late == 1 ? "the site notices late" : "the centre notices late")})");
        (_up.Silent, _down.Silent) = (true, true);
        Notice(late == 1, () => TellSite(new LinkInput.Disconnected(LinkError.ConnectionLost)));
        Notice(late == 2, () => TellParent(new LinkInput.Disconnected(LinkError.ConnectionLost)));
    }

    /// <summary>Bytes vanish without a word: 0 both ways, 1 upwards, 2 downwards.</summary>
    public void FallSilent(int which)
    {
        _world.Trace($"{Site.Name}: line half open ({(which == 0 ? "both ways" : which == 1 ? "upwards" : "downwards")})");
        _up.Silent |= which != 2;
        _down.Silent |= which != 1;
    }

    /// <summary>The agent is gone: the kernel tells the centre, or the machine is gone too and nobody does.</summary>
    public void SiteDied()
    {
        _up.Silent = true;
        if (_world.Chance(50))
            Notice(false, () => TellParent(new LinkInput.Disconnected(LinkError.ConnectionLost)));
    }

    public void CentreDied()
    {
        _down.Silent = true;
        if (_world.Chance(70))
            Notice(false, () => TellSite(new LinkInput.Disconnected(LinkError.ConnectionLost)));
    }

    private void Notice(bool late, Action action) => _world.At(_world.Below(late ? 20_000 : 50), action);

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
        int length = session.WriteFrame(_world.Frame, _world.Now, way.BytesPerMs < 100 ? 2048 : LinkLimits.MaxFrameBytes);
        if (length == 0)
            return;
        byte[] frame = _world.Frame[..length];
        Sent(session, frame);
        way.Busy = true;
        long wire = length / way.BytesPerMs;
        _world.At(wire, () =>
        {
            way.Busy = false;
            Pump(way, session, deliver);
        });
        // A line that breaks may still deliver what is under way, to a side that has not noticed.
        bool last = _world.Chance(50);
        _world.At(wire + way.DelayMs, () =>
        {
            if (!way.Silent || (last && _world.Faulty && !way.Lost))
                deliver(frame);
            else
                way.Lost = true;
        });
    }

    private void Sent(LinkSession session, byte[] frame)
    {
        Bytes += frame.Length;
        FrameType type = Frames.TypeOf(frame);
        if (type is FrameType.Item or FrameType.Drop or FrameType.Outcome)
            DataFrames++;
        if (session == _parentSession && type == FrameType.Item && BodyHead.TryRead(frame, out BodyHead head, out _))
            _world.Checks.Sent(Site, head.Kind, head.Name, head.Uid);
        if (session == _parentSession && type == FrameType.OutcomesApplied && Frames.TryReadApplied(frame, [], out long number, out _, out _))
            _world.Check(Claim.NoOutcomeLost, _takenAt.TryGetValue(number, out long at) && at <= _world.Centre.Durable, $"outcomes of {Site.Name} are acknowledged that a crash of the centre would lose");
    }

    private void OnSiteOutput(LinkOutput output)
    {
        switch (output)
        {
            case LinkOutput.StateChanged { State: LinkState.Closed } closed:
                _world.Trace($"{Site.Name}: session closed, {closed.Error}");
                CheckError(closed.Error);
                if (!_up.Silent)
                    Notice(false, () => TellParent(new LinkInput.Disconnected(LinkError.ConnectionLost)));
                _uplink.Lost(this);
                break;
            case LinkOutput.StateChanged changed:
                _world.Trace($"{Site.Name}: {changed.State}");
                break;
            case LinkOutput.Welcomed welcomed:
                _uplink.Welcomed(this, welcomed.Welcome);
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
                _world.Trace($"centre: session of {Site.Name} closed, {closed.Error}");
                CheckError(closed.Error);
                _world.Centre.Closed(this);
                if (!_down.Silent)
                    Notice(false, () => TellSite(new LinkInput.Disconnected(LinkError.ConnectionLost)));
                break;
            case LinkOutput.StateChanged { State: LinkState.Live }:
                _world.Centre.Synced(this);
                break;
            case LinkOutput.StateChanged:
                break;
            case LinkOutput.OpenScope open:
                // The scope is of now, the answer comes later, and changes are told meanwhile.
                LinkScope scope = _world.Centre.Open(this, open.Hello);
                _world.At(_world.Below(200), () => TellParent(new LinkInput.ScopeOpened(scope)));
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
        _world.At(_world.Below(10), () =>
        {
            if (SiteGone)
                return;
            if (work is LinkOutput.Apply apply)
                _uplink.Apply(this, apply.Batch, () => Next(() => TellSite(new LinkInput.Applied(apply.Batch.Number))));
            else if (work is LinkOutput.OutcomesAcknowledged acknowledged)
                _uplink.Acknowledged(acknowledged.Outcomes, () => Next(static () => { }));
            else
                Next(static () => { });
        });

        void Next(Action tell)
        {
            _siteBusy = false;
            tell();
            WorkAtSite();
        }
    }

    private void WorkAtParent()
    {
        if (_parentBusy || !_parentWork.TryDequeue(out LinkOutput? work))
            return;
        _parentBusy = true;
        _world.At(_world.Below(20), () =>
        {
            if (CentreGone)
                return;
            if (work is not LinkOutput.OutcomesReceived received)
            {
                if (work is LinkOutput.OrphansOffered offered)
                    _world.Centre.Offered(Site, offered.Orphans);
                _parentBusy = false;
                WorkAtParent();
                return;
            }
            _world.Centre.Apply(Site, received.Batch);
            _takenAt[received.Batch.Number] = _world.Centre.Api.Revision;
            _world.Centre.WhenDurable(() =>
            {
                _parentBusy = false;
                TellParent(new LinkInput.OutcomesApplied(received.Batch.Number));
                WorkAtParent();
            });
        });
    }

    private void CheckError(LinkError error) => _world.Check(Claim.Agreement, error is LinkError.ConnectionLost or LinkError.Silent or LinkError.GoingAway or LinkError.Superseded, $"{Site.Name}: the session ended with {error}");

    private sealed class Way(int delayMs, int bytesPerMs)
    {
        public int DelayMs { get; } = delayMs;

        public int BytesPerMs { get; } = bytesPerMs;

        public bool Silent { get; set; }

        /// <summary>A frame was lost: nothing after it arrives, for the line keeps the order.</summary>
        public bool Lost { get; set; }

        public bool Busy { get; set; }

        public long TickAt { get; set; } = long.MaxValue;
    }
}
