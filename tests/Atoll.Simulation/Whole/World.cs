using System.Globalization;
using System.Runtime.CompilerServices;
using Atoll.Link;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.Simulation.Whole;

/// <summary>
/// A whole installation in one thread and virtual time, all from one seed: a centre with the real controllers, scheduler, scopes and
/// outcomes; sites of one to three nodes with the real election, liveness, copies, replacements, uplink, outbox and pod machines; real sessions between them; disks that lose what was not
/// flushed; lines that fail in every way; users who change their minds. Checkers look at every step, and at rest.
/// </summary>
internal sealed class World
{
    private static readonly DateTimeOffset s_start = new(2026, 1, 2, 3, 4, 5, TimeSpan.Zero);

    private readonly PriorityQueue<Action, (long Time, long Order)> _events = new();
    private readonly List<(long At, string Line)> _trace = [];
    private readonly bool _traced;
    private long _order;

    public World(int seed, bool traced = false)
    {
        Seed = seed;
        _traced = traced;
        Random = new Random(seed);
        Checks = new Checkers(this);
        Centre = new Centre(this);
        int sites = 1 + Random.Next(3);
        for (int i = 0; i < sites; i++)
            Sites.Add(new Site(this, i));
        Users = new Users(this);
    }

    public int Seed { get; }

    /// <summary>Users make DaemonSets too. Seeds up to 1,000 go without, so that the dice of those that once failed are as they were.</summary>
    public bool IsWide => Seed > 1000;

    /// <summary>There are Jobs, the centre is put back to older copies of its store, and much is deleted at once by force: seeds above 2,000.</summary>
    public bool IsDeep => Seed > 2000;

    /// <summary>Jobs are many, and leaders are cut off from their sites, which then are cut off from the centre: seeds above 50,000.</summary>
    public bool IsFull => Seed > 50_000;

    public Random Random { get; }

    /// <summary>Milliseconds since the beginning.</summary>
    public long Now { get; private set; }

    public FakeTimeProvider Time { get; } = new(s_start);

    public bool Faulty { get; private set; } = true;

    public Checkers Checks { get; }

    public Centre Centre { get; }

    public List<Site> Sites { get; } = [];

    public IEnumerable<Node> Nodes => Sites.SelectMany(s => s.Nodes);

    public Users Users { get; }

    /// <summary>For one frame, of whichever line.</summary>
    public byte[] Frame { get; } = new byte[LinkLimits.MaxFrameBytes];

    /// <summary>Steps taken.</summary>
    public long Steps { get; private set; }

    public int Below(int limit) => Random.Next(limit);

    public bool Chance(int percent) => Random.Next(100) < percent;

    public void At(long delayMs, Action action) => _events.Enqueue(action, (Now + Math.Max(0, delayMs), _order++));

    /// <summary>True when what happens is written down.</summary>
    public bool IsTraced => _traced;

    public void Trace(string line)
    {
        if (_traced)
            _trace.Add((Now, line));
    }

    public void Trace([InterpolatedStringHandlerArgument("")] ref Text line)
    {
        if (_traced)
            _trace.Add((Now, line.ToString()));
    }

    public void Check(Claim claim, bool holds, [InterpolatedStringHandlerArgument(nameof(holds))] ref Text message)
    {
        if (!holds)
            throw new SimFailure($"seed {Seed}, at {Now} ms: {claim}: {message.ToString()}", claim: claim);
    }

    /// <summary>Runs faults and users for a while, then quiet, then asks whether all came to rest. A failure is run again with its trace.</summary>
    public static long Run(int seed, bool explain = true)
    {
        var world = new World(seed);
        try
        {
            world.Live();
            return world.Steps;
        }
        catch (Exception first) when (explain)
        {
            var again = new World(seed, traced: true);
            try
            {
                again.Live();
            }
            catch (Exception failure)
            {
                throw new SimFailure($"{(failure is SimFailure ? "" : $"seed {seed}, at {again.Now} ms: ")}{failure.Message}\nReplay with --seed {seed} (or ATOLL_SEED={seed}). Trace:\n{again.Tail(200)}", failure);
            }
            throw new SimFailure($"seed {seed} failed once and not again: the world is not deterministic", first);
        }
    }

    /// <summary>The trace of a seed, whether it fails or not.</summary>
    public static string Replay(int seed)
    {
        var world = new World(seed, traced: true);
        try
        {
            world.Live();
        }
        catch (SimFailure failure)
        {
            world.Trace("FAILED: " + failure.Message);
        }
        return world.Tail(int.MaxValue);
    }

    private string Tail(int lines) =>
        string.Join('\n', _trace.Skip(Math.Max(0, _trace.Count - lines)).Select(t => $"{t.At.ToString(CultureInfo.InvariantCulture),8} {t.Line}"));

    private void Live()
    {
        Centre.Start();
        foreach (Site site in Sites)
            site.PowerOn();
        Disturb();
        if (IsDeep)
            Users.Operate();
        RunUntil(20_000 + Below(60_000));
        Faulty = false;
        Trace("-- faults stop --");
        Centre.Heal();
        Users.Repair();
        foreach (Site site in Sites)
            site.Heal();
        // Back-offs of dialling, of restarts and of controllers are below this.
        for (int i = 0; i < 20 && !Checks.AreAtRest(); i++)
            RunUntil(Now + 15_000);
        // What followed from the last change has followed: a mirror may have been late.
        RunUntil(Now + 30_000);
        Checks.Rest();
        Checks.QuietFrom();
        foreach (Site site in Sites)
            site.Line?.Cut(0);
        RunUntil(Now + 60_000);
        Checks.Quiet();
        Checks.Rest();
        if (Users.ChangeOne() is not { } changed)
            return;
        RunUntil(Now + 10_000);
        Checks.ChangedOne(changed);
    }

    private void RunUntil(long time)
    {
        while (_events.TryPeek(out _, out (long Time, long Order) next) && next.Time <= time)
        {
            Action action = _events.Dequeue();
            if (next.Time > Now)
            {
                Now = next.Time;
                Time.SetUtcNow(s_start.AddMilliseconds(Now));
            }
            Steps++;
            action();
        }
        Now = time;
    }

    private void Disturb()
    {
        if (!Faulty)
            return;
        bool rare = IsDeep && Chance(3), stranded = IsFull && Chance(4);
        int dice = Below(1000);
        Site site = Sites[Below(Sites.Count)];
        Node node = site.Nodes[Below(site.Nodes.Count)];
        if (stranded)
            (Sites.Find(static s => s.HasJobAtLeader) ?? site).Strand();
        else if (rare && dice < 700)
            Centre.Restore();
        else if (rare)
            Users.Purge(site);
        else if (dice < 620)
            Users.Act();
        else if (dice < 710)
            node.Agent?.Disturb();
        else if (dice < 720)
            site.CutLan();
        else if (dice < 800)
            site.Line?.Cut(Below(3));
        else if (dice < 850)
            site.Line?.FallSilent(Below(3));
        else if (dice < 880)
            site.CutOff(1000 + Below(Chance(25) ? 90_000 : 20_000));
        else if (dice < 930)
            node.CrashAgent();
        else if (dice < 950)
            node.LosePower();
        else if (dice < 965)
        {
            if (site.CanLoseOne)
                node.LoseStore();
        }
        else if (dice < 975)
        {
            if (site.CanLoseOne)
                node.LoseMachine();
        }
        else
            Centre.Crash();
        At(1 + Below(Chance(25) ? 5000 : 300), Disturb);
    }
}
