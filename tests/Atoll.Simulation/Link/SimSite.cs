using Atoll.Link;

namespace Atoll.Simulation.Link;

/// <summary>A site: what is on its disk, an outbox, and an agent that may crash and lose what is not yet on disk.</summary>
internal sealed class SimSite(SimWorld world, int index) : ISiteItems
{
    private readonly Dictionary<string, long> _newest = [];
    private RecentBodies _bodies = new(256 * 1024);
    private bool _hasBodies;
    private long _outboxSequence;
    private int _failures;

    public int Index { get; } = index;

    public string Name => $"site-{Index}";

    public SimLine? Line { get; set; }

    /// <summary>Counts lives of the agent: what an earlier life began does not end in a later one.</summary>
    public int Life { get; private set; }

    public LinkSequence Sequence { get; private set; } = LinkSequence.None;

    public Dictionary<string, SimHeld> Held { get; } = [];

    /// <summary>The durable outbox: the latest outcome of each object.</summary>
    public Dictionary<string, Outcome> Outbox { get; } = [];

    /// <summary>The last outcome ever written of each object: what must not be lost.</summary>
    public Dictionary<string, Outcome> Latest { get; } = [];

    public SiteHoldings Holdings => new(Sequence, [.. Held.Values.Select(held => new HeldItem(held.Item.Kind, held.Item.Name, held.Item.Uid, held.Item.Version, held.Orphan))], _hasBodies);

    public ReadOnlyMemory<byte>? ReadBody(string uid, long version) =>
        _hasBodies && Held.TryGetValue(uid, out SimHeld? held) && held.Item.Version == version ? held.Item.Body : null;

    public Outcome? ReadOutcome(string uid) => Outbox.GetValueOrDefault(uid);

    public void Start()
    {
        _hasBodies = world.Random.Next(2) == 0;
        Dial();
    }

    public void Heal()
    {
        Line?.Cut(0);
        if (Line is null)
            Dial();
    }

    public void Crash()
    {
        world.Trace($"{Name}: crash");
        Life++;
        _bodies = new RecentBodies(256 * 1024);
        Line?.SiteDied();
        Line = null;
        int life = Life;
        world.At(world.Random.Next(5000), () =>
        {
            if (Life == life)
                Dial();
        });
    }

    public void Dial()
    {
        if (Line is not null)
            return;
        _failures++;
        int life = Life;
        if (world.Faulty && world.Random.Next(3) == 0)
        {
            world.At((long)Backoff.Default.Wait(_failures, world.Random).TotalMilliseconds, () =>
            {
                if (Life == life)
                    Dial();
            });
            return;
        }
        SiteSession session = new(new LinkOptions { Software = "sim", Bodies = _bodies, DeadAfterMs = 12_000 }, this, new Random(world.Random.Next()));
        Line = new SimLine(world, this, session, world.Parent.NewSession());
        Line.Start([.. Outbox.Values.OrderBy(outcome => outcome.Sequence).Select(outcome => new OutcomeRef(outcome.Sequence, outcome.Uid))]);
    }

    public void Lost()
    {
        Line = null;
        int life = Life;
        world.At((long)Backoff.Default.Wait(_failures, world.Random).TotalMilliseconds, () =>
        {
            if (Life == life)
                Dial();
        });
    }

    public void Connected() => _failures = 0;

    /// <summary>Something happened at the site: durable first, then told to the session.</summary>
    public void Report()
    {
        string[] uids = [.. Held.Keys.Take(20), "node-1", "node-2"];
        string uid = uids[world.Random.Next(uids.Length)];
        byte[] body = Latest.TryGetValue(uid, out Outcome? earlier) ? world.ChangeBody(earlier.Body) : world.MakeBody(world.BodySize() / 4);
        Write(new Outcome(++_outboxSequence, uid, "pods", $"default/{uid}", "status", body));
    }

    /// <summary>The whole outbox anew: the parent may have lost what it acknowledged.</summary>
    public void ReportEverything()
    {
        foreach (Outcome outcome in Latest.Values.ToList())
            Write(outcome with { Sequence = ++_outboxSequence });
    }

    public void Apply(ScopeBatch batch)
    {
        foreach (string uid in batch.Removals)
        {
            Held.Remove(uid);
            _newest.Remove(uid);
        }
        foreach (LinkItem item in batch.Upserts)
        {
            world.Check(world.Restores || item.Version >= _newest.GetValueOrDefault(item.Uid), $"{Name} is given {item.Uid} at {item.Version} after {_newest.GetValueOrDefault(item.Uid)}");
            _newest[item.Uid] = item.Version;
            Held[item.Uid] = new SimHeld(item, false);
        }
        foreach (string uid in batch.Orphans)
        {
            world.Check(Held.ContainsKey(uid), $"{Name} is told to keep {uid}, which it does not hold");
            Held[uid] = Held[uid] with { Orphan = true };
        }
        world.Check(batch.Sequence.Incarnation != Sequence.Incarnation || batch.Sequence.Revision >= Sequence.Revision, $"{Name}: the sequence goes back from {Sequence} to {batch.Sequence}");
        Sequence = batch.Sequence;
    }

    public void Acknowledged(IReadOnlyList<OutcomeRef> outcomes)
    {
        foreach (OutcomeRef outcome in outcomes)
        {
            if (Outbox.TryGetValue(outcome.Uid, out Outcome? waiting) && waiting.Sequence == outcome.Sequence)
                Outbox.Remove(outcome.Uid);
        }
    }

    private void Write(Outcome outcome)
    {
        Latest[outcome.Uid] = outcome;
        Outbox[outcome.Uid] = outcome;
        world.Trace($"{Name}: outcome {outcome.Sequence} of {outcome.Uid}");
        Line?.TellSite(new LinkInput.OutcomesAdded([new OutcomeRef(outcome.Sequence, outcome.Uid)]));
    }
}
