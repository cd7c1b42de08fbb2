using Atoll.Simulation.Whole;
using System.Text;
using Atoll.Link;

namespace Atoll.Simulation.Link;

/// <summary>
/// One parent, some sites, real session state machines, virtual time, and everything that goes wrong between them, all from
/// one seed. Checkers run at every step and at rest; a failure carries the seed and the trace that led to it.
/// </summary>
internal sealed class SimWorld
{
    private readonly PriorityQueue<Action, (long Time, long Order)> _events = new();
    private readonly List<string> _trace = [];
    private long _order;

    public SimWorld(int seed)
    {
        Seed = seed;
        Random = new Random(seed);
        Parent = new SimParent(this);
        int sites = 1 + Random.Next(3);
        for (int i = 0; i < sites; i++)
            Sites.Add(new SimSite(this, i));
        Restores = Random.Next(5) == 0;
    }

    public int Seed { get; }

    public Random Random { get; }

    public long Now { get; private set; }

    public bool Faulty { get; private set; } = true;

    /// <summary>Whether the parent's store may be put back to an older state in this run.</summary>
    public bool Restores { get; }

    public SimParent Parent { get; }

    public List<SimSite> Sites { get; } = [];

    public void At(long delayMs, Action action) => _events.Enqueue(action, (Now + Math.Max(0, delayMs), _order++));

    public void Trace(string line)
    {
        _trace.Add($"{Now,8} {line}");
        if (_trace.Count > 4000)
            _trace.RemoveRange(0, 1000);
    }

    public void Check(bool holds, string claim)
    {
        if (!holds)
            throw new SimFailure($"seed {Seed}, at {Now} ms: {claim}");
    }

    /// <summary>Runs faults and users for a while, then quiet, then asks whether all came to rest.</summary>
    public void Run()
    {
        try
        {
            Parent.Populate();
            foreach (SimSite site in Sites)
                site.Start();
            Disturb();
            RunUntil(40_000 + Random.Next(60_000));
            Faulty = false;
            Trace("-- faults stop --");
            foreach (SimSite site in Sites)
                site.Heal();
            RunUntil(Now + 150_000);
            CheckRest();
        }
        catch (Exception failure)
        {
            string tail = string.Join('\n', _trace.TakeLast(150));
            throw new SimFailure($"{failure.Message}\nReplay with ATOLL_SEED={Seed}. Trace:\n{tail}", failure);
        }
    }

    private void RunUntil(long time)
    {
        while (_events.TryPeek(out _, out (long Time, long Order) next) && next.Time <= time)
        {
            Action action = _events.Dequeue();
            Now = next.Time;
            action();
        }
        Now = time;
    }

    private void Disturb()
    {
        if (!Faulty)
            return;
        int dice = Random.Next(1000);
        SimSite site = Sites[Random.Next(Sites.Count)];
        if (dice < 480)
            Parent.Mutate();
        else if (dice < 800)
            site.Report();
        else if (dice < 870)
            site.Line?.Cut(Random.Next(3));
        else if (dice < 900)
            site.Line?.FallSilent(Random.Next(3));
        else if (dice < 945)
            site.Crash();
        else if (dice < 960)
            Parent.Restart();
        else if (dice < 966 && Restores)
            Parent.Restore();
        else if (dice < 970)
            Parent.Burst();
        At(1 + Random.Next(Random.Next(4) == 0 ? 4000 : 200), Disturb);
    }

    private void CheckRest()
    {
        foreach (SimSite site in Sites)
        {
            Check(site.Line is { SiteState: LinkState.Live, ParentState: LinkState.Live }, $"{site.Name} is not live at rest (site {site.Line?.SiteState}, parent {site.Line?.ParentState})");
            Dictionary<string, LinkItem> scope = Parent.ScopeOf(site.Index);
            foreach ((string uid, LinkItem item) in scope)
            {
                Check(site.Held.TryGetValue(uid, out SimHeld? held), $"{site.Name} lacks {uid} at rest");
                Check(held!.Item.Version == item.Version && held.Item.Body.Span.SequenceEqual(item.Body.Span) && held.Item.Name == item.Name, $"{site.Name} holds another state of {uid}: {held.Item.Version}, not {item.Version}");
                Check(!held.Orphan, $"{site.Name} takes {uid} for an orphan although it is in scope");
            }
            foreach ((string uid, SimHeld held) in site.Held)
                Check(scope.ContainsKey(uid) || held.Orphan, $"{site.Name} still holds {uid}, which left its scope");
            Check(Restores || site.Held.Values.All(held => !held.Orphan), $"{site.Name} has orphans although no history was foreign");
            Check(site.Outbox.Count == 0, $"{site.Name} has {site.Outbox.Count} outcomes in its outbox at rest");
            foreach ((string uid, Outcome latest) in site.Latest)
            {
                Check(Parent.Outcomes.TryGetValue((site.Index, uid), out Outcome? known), $"the outcome of {uid} of {site.Name} was lost");
                Check(known!.Sequence == latest.Sequence && known.Body.Span.SequenceEqual(latest.Body.Span), $"the parent knows outcome {known.Sequence} of {uid}, not the latest {latest.Sequence}");
            }
            HashSet<string> offered = Parent.Orphans.GetValueOrDefault(site.Index) ?? [];
            Check(site.Held.Values.Where(held => held.Orphan).All(held => offered.Contains(held.Item.Uid)), $"{site.Name} keeps orphans that were not offered");
        }
    }

    /// <summary>A document such as a pod's or a config map's, of which a change alters little.</summary>
    public byte[] MakeBody(int size)
    {
        StringBuilder text = new("{\"kind\":\"Pod\",\"metadata\":{\"labels\":{\"app\":\"web\"}},\"spec\":{\"containers\":[");
        while (text.Length < size)
            text.Append($"{{\"name\":\"c{Random.Next(100)}\",\"image\":\"registry/app:{Random.Next(1000)}\",\"value\":{Random.Next()}}},");
        return Encoding.UTF8.GetBytes(text.Append("]}}").ToString());
    }

    public byte[] ChangeBody(ReadOnlyMemory<byte> body)
    {
        byte[] changed = body.ToArray();
        if (changed.Length == 0 || Random.Next(6) == 0)
            return MakeBody(BodySize());
        for (int i = 0; i < 3; i++)
            changed[Random.Next(changed.Length)] = (byte)('a' + Random.Next(26));
        return changed;
    }

    public int BodySize() => Random.Next(100) switch
    {
        0 => 60_000 + Random.Next(400_000),
        1 => 0,
        < 60 => Random.Next(400),
        _ => Random.Next(5000),
    };
}


/// <summary>What a site holds durably of one object.</summary>
internal sealed record SimHeld(LinkItem Item, bool Orphan);
