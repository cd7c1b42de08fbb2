using System.Text;
using Atoll.Link;

namespace Atoll.UnitTests.Link;

/// <summary>
/// Two sessions back to back, without a line: what a reconnect costs when the parent cannot know what changed (versions are hashes,
/// or its log no longer reaches back), and what a site does when much has vanished.
/// </summary>
public sealed class ResyncTests(ITestOutputHelper output)
{
    private const string Incarnation = "6f1c2a52-9f0e-4d5e-8a55-0d3c5e0a7d11";

    [Theory]
    [InlineData(1_000, 3, 3_000)]
    [InlineData(1_000, 0, 200)]
    [InlineData(20_000, 3, 5_000)]
    public void Only_what_differs_travels_when_the_log_no_longer_reaches_back(int held, int changed, int most)
    {
        var world = new World();
        for (int i = 0; i < held; i++)
            world.Hold($"00000000-0000-4000-8000-{i:x12}", Version(i));
        // Hashes: none of the three is newer than the sequence, so nothing but the digests tells them.
        for (int i = 0; i < changed; i++)
            world.Scope[$"00000000-0000-4000-8000-{i * 37:x12}"] = Version(held + i);
        world.Sequence = new LinkSequence(Incarnation, 5_000_000);
        world.Revision = 6_000_000;
        world.Run();
        Assert.Equal(changed, world.Received.Count);
        Assert.Equal(world.Scope, world.Held);
        output.WriteLine($"{held} objects held, {changed} differ: {world.Bytes} bytes, of which {world.Received.Count * World.BodyBytes} of bodies");
        Assert.InRange(world.Bytes, 1, most);
    }

    [Fact]
    public void What_vanished_and_what_appeared_is_found_by_ranges_too()
    {
        var world = new World();
        for (int i = 0; i < 1_000; i++)
            world.Hold($"u{i}", Version(i));
        foreach (string gone in (string[])["u5", "u500"])
            world.Scope.Remove(gone);
        world.Scope["new"] = Version(2_000);
        world.Sequence = new LinkSequence(Incarnation, 1);
        world.Revision = 2;
        world.Run();
        Assert.Equal(world.Scope, world.Held);
        Assert.Equal(["u5", "u500"], world.Removed.Order());
        Assert.Single(world.Received);
    }

    [Theory]
    [InlineData(20, 11, true)]  // more than half, and ten at least
    [InlineData(20, 10, false)] // half
    [InlineData(9, 9, false)]   // everything, but few
    [InlineData(700, 400, true)] // more than one batch holds
    public void A_mass_stop_right_after_connecting_is_kept_for_an_operator(int running, int vanished, bool kept)
    {
        var world = new World();
        for (int i = 0; i < running; i++)
        {
            world.Hold($"u{i}", Version(i));
            world.Running.Add($"u{i}");
        }
        for (int i = 0; i < vanished; i++)
            world.Scope.Remove($"u{i}");
        world.Sequence = new LinkSequence(Incarnation, 1);
        world.Revision = 2;
        world.Run();
        Assert.Equal(kept ? vanished : 0, world.Orphans.Count);
        Assert.Equal(kept ? 0 : vanished, world.Removed.Count);
        Assert.Equal(kept ? vanished : 0, world.Offered.Count);
        if (!kept)
            return;
        // An operator's word stops them.
        world.Tell(new LinkInput.Release([.. world.Offered.Select(o => o.Uid)]));
        Assert.Equal(vanished, world.Removed.Count);
    }

    [Fact]
    public void What_was_deleted_in_order_or_has_ended_is_no_mass_stop_and_neither_is_what_vanishes_under_a_live_link()
    {
        var world = new World();
        for (int i = 0; i < 40; i++)
            world.Hold($"u{i}", Version(i));
        // Only these run and were not asked to end.
        for (int i = 20; i < 40; i++)
            world.Running.Add($"u{i}");
        for (int i = 0; i < 20; i++)
            world.Scope.Remove($"u{i}");
        world.Sequence = new LinkSequence(Incarnation, 1);
        world.Revision = 2;
        world.Run();
        Assert.Equal((20, 0), (world.Removed.Count, world.Orphans.Count));
        world.Tell(new LinkInput.ScopeChanged(new ScopeChange(3, [], [.. world.Running])));
        Assert.Equal((40, 0), (world.Removed.Count, world.Orphans.Count));
    }

    private static long Version(int i) => 1 + i % 4_000_000;

    /// <summary>One site, one parent, and the two sessions between them.</summary>
    private sealed class World : IScopeItems, ISiteItems
    {
        public const int BodyBytes = 400;

        private readonly ParentSession _parent;
        private readonly SiteSession _site;
        private readonly byte[] _frame = new byte[LinkLimits.MaxFrameBytes];
        private long _now;

        public World()
        {
            _parent = new ParentSession(new LinkOptions(), this, new Random(1));
            _site = new SiteSession(new LinkOptions(), this, new Random(2));
        }

        public SortedDictionary<string, long> Scope { get; } = [];

        public SortedDictionary<string, long> Held { get; } = [];

        public HashSet<string> Running { get; } = [];

        public List<string> Received { get; } = [];

        public List<string> Removed { get; } = [];

        public List<string> Orphans { get; } = [];

        public List<HeldItem> Offered { get; } = [];

        public LinkSequence Sequence { get; set; }

        public long Revision { get; set; }

        public long Bytes { get; private set; }

        public int RunningCount => Running.Count;

        public bool IsRunning(string uid) => Running.Contains(uid);

        public void Hold(string uid, long version) => Scope[uid] = Held[uid] = version;

        public LinkItem? Read(string uid) => Scope.TryGetValue(uid, out long version) ? new LinkItem("pods", $"default/{uid}", uid, version, Body(uid, version)) : null;

        public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

        public Outcome? ReadOutcome(string uid) => null;

        public void Run()
        {
            Handle(_parent.Step(new LinkInput.Connected(), _now));
            Handle(_site.Step(new LinkInput.SiteConnected(new SiteHoldings(Sequence, [.. Held.Select(h => new HeldItem("pods", $"default/{h.Key}", h.Key, h.Value))], false), []), _now));
            Pump();
            Assert.Equal((LinkState.Live, LinkState.Live), (_parent.State, _site.State));
        }

        public void Tell(LinkInput input)
        {
            if (input is LinkInput.ScopeChanged changed)
                foreach (string uid in changed.Change.Removals)
                    Scope.Remove(uid);
            Handle(_parent.Step(input, _now));
            Pump();
            Assert.Equal((LinkState.Live, LinkState.Live), (_parent.State, _site.State));
        }

        private void Pump()
        {
            for (bool moved = true; moved; _now++)
                moved = Move(_site, _parent) | Move(_parent, _site);
        }

        private bool Move(LinkSession from, LinkSession to)
        {
            bool any = false;
            for (int length; (length = from.WriteFrame(_frame, _now)) > 0; any = true)
            {
                Bytes += length;
                Handle(to.Step(new LinkInput.Frame(_frame.AsMemory(0, length)), _now));
            }
            return any;
        }

        private void Handle(IReadOnlyList<LinkOutput> outputs)
        {
            foreach (LinkOutput output in outputs.ToArray())
                switch (output)
                {
                    case LinkOutput.OpenScope:
                        Handle(_parent.Step(new LinkInput.ScopeOpened(new LinkScope(new LinkSequence(Incarnation, Revision), [.. Scope.Select(s => new ItemVersion(s.Key, s.Value))])), _now));
                        break;
                    case LinkOutput.Apply apply:
                        Apply(apply.Batch);
                        Handle(_site.Step(new LinkInput.Applied(apply.Batch.Number), _now));
                        break;
                    case LinkOutput.OrphansOffered offered:
                        Offered.AddRange(offered.Orphans);
                        break;
                    default:
                        break;
                }
        }

        private void Apply(ScopeBatch batch)
        {
            foreach (LinkItem item in batch.Upserts)
                Held[item.Uid] = item.Version;
            foreach (string uid in batch.Removals)
                Held.Remove(uid);
            Received.AddRange(batch.Upserts.Select(u => u.Uid));
            Removed.AddRange(batch.Removals);
            Orphans.AddRange(batch.Orphans);
        }

        // Hard to compress, so that a body sent in vain would show.
        private static byte[] Body(string uid, long version)
        {
            byte[] body = new byte[BodyBytes];
            new Random(HashCode.Combine(Encoding.UTF8.GetByteCount(uid), (int)version)).NextBytes(body);
            return body;
        }
    }
}
