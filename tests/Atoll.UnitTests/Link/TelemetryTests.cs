using System.IO.Pipelines;
using Atoll.Link;

namespace Atoll.UnitTests.Link;

/// <summary>A site's events yield: to its other outcomes, and to streams that people wait for.</summary>
public sealed class TelemetryTests
{
    private const string Incarnation = "6f1c2a52-9f0e-4d5e-8a55-0d3c5e0a7d11";

    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(20);

    [Fact]
    public void A_status_passes_events_that_wait_and_ends_the_batch_that_holds_one()
    {
        var world = new World();
        byte[] frame = new byte[LinkLimits.MaxFrameBytes];
        world.Connect(frame);
        // An event of several frames, of which one has gone, and more behind it.
        world.Add("event", 5_000, yields: true);
        world.Add("event", 500, yields: true);
        Assert.Equal(0, world.Site.WriteFrame(frame, 0, 2048, yielding: false));
        world.Pass(frame, world.Site.WriteFrame(frame, 0, 2048));
        Assert.Equal(0, world.Site.WriteFrame(frame, 0, 2048, yielding: false));
        world.Add("status", 100, yields: false);
        int frames = 0;
        for (int length; (length = world.Site.WriteFrame(frame, 0, 2048, yielding: false)) > 0; frames++)
            world.Pass(frame, length);
        // The rest of the event's body, the status, the batch's end.
        Assert.Equal(4, frames);
        Assert.Equal(["o1", "o3"], world.Taken);
        for (int length; (length = world.Site.WriteFrame(frame, 0, 2048)) > 0;)
            world.Pass(frame, length);
        Assert.Equal(["o1", "o3", "o2"], world.Taken);
    }

    [Fact]
    public async Task On_a_line_that_takes_little_a_persons_byte_passes_events_and_they_are_counted_as_telemetry()
    {
        const int Events = 100;
        var world = new World();
        Pipe up = new(new PipeOptions(pauseWriterThreshold: 4096, resumeWriterThreshold: 2048)), down = new();
        GatedStream line = new(up.Writer.AsStream());
        LinkTraffic traffic = new();
        TaskCompletionSource live = new(TaskCreationOptions.RunContinuationsAsynchronously), all = new(TaskCreationOptions.RunContinuationsAsynchronously);
        await using LinkPump site = new(world.Site, new DuplexPipe(down.Reader.AsStream(), line), isSite: true, traffic, TimeProvider.System);
        await using LinkPump parent = new(world.Parent, new DuplexPipe(up.Reader.AsStream(), down.Writer.AsStream()), isSite: false, new LinkTraffic(), TimeProvider.System);
        using CancellationTokenSource stop = new();
        Task<LinkError> parentRuns = parent.RunAsync(new LinkInput.Connected(), output =>
        {
            if (output is LinkOutput.OpenScope)
                parent.Tell(new LinkInput.ScopeOpened(World.Scope));
            if (output is LinkOutput.OutcomesReceived received)
            {
                world.Taken.AddRange(received.Batch.Outcomes.Select(o => o.Uid));
                parent.Tell(new LinkInput.OutcomesApplied(received.Batch.Number));
                if (world.Taken.Count == Events)
                    all.SetResult();
            }
            return ValueTask.CompletedTask;
        }, stop.Token);
        Task<LinkError> siteRuns = site.RunAsync(World.Greeting, output =>
        {
            if (output is LinkOutput.Apply apply)
                site.Tell(new LinkInput.Applied(apply.Batch.Number));
            if (output is LinkOutput.StateChanged { State: LinkState.Live })
                live.TrySetResult();
            return ValueTask.CompletedTask;
        }, stop.Token);
        await live.Task.WaitAsync(Limit);

        // The line takes nothing, and the events fill what may be on its way before the person comes.
        line.Close();
        long session = traffic.Sent(LinkClass.Session), atByte = -1;
        site.Tell(new LinkInput.OutcomesAdded([.. Enumerable.Range(0, Events).Select(_ => world.Made("event", 500, yields: true))]));
        LinkStream stream = site.Mux.Open(LinkClass.Tunnel, "exec");
        Task writing = stream.WriteAsync("!"u8.ToArray()).AsTask();
        line.Writing = () =>
        {
            if (atByte < 0 && traffic.Sent(LinkClass.Tunnel) > 0)
                atByte = traffic.Sent(LinkClass.Telemetry) + traffic.Sent(LinkClass.Session) - session;
        };
        line.Open();
        await writing.WaitAsync(Limit);
        await all.Task.WaitAsync(Limit);
        // What was handed to the line before, and what shares its burst: two frames each.
        Assert.InRange(atByte, 0, 3 * 1024);
        Assert.InRange(traffic.Sent(LinkClass.Telemetry), Events * 500, Events * 700);
        Assert.InRange(traffic.Sent(LinkClass.Session) - session, 0, 1024);
        await stop.CancelAsync();
        await Task.WhenAll(parentRuns, siteRuns).WaitAsync(Limit);
    }

    /// <summary>The two sessions, and a site whose outcomes are random bytes.</summary>
    private sealed class World : IScopeItems, ISiteItems
    {
        private readonly Dictionary<string, Outcome> _outcomes = [];
        private readonly Random _random = new(3);

        public World()
        {
            Parent = new ParentSession(new LinkOptions(), this, new Random(1));
            Site = new SiteSession(new LinkOptions(), this, new Random(2));
        }

        public static LinkScope Scope => new(new LinkSequence(Incarnation, 1), []);

        public static LinkInput Greeting => new LinkInput.SiteConnected(new SiteHoldings(new LinkSequence(Incarnation, 1), [], false), []);

        public ParentSession Parent { get; }

        public SiteSession Site { get; }

        public List<string> Taken { get; } = [];

        public int RunningCount => 0;

        public bool IsRunning(string uid) => false;

        public LinkItem? Read(string uid) => null;

        public ReadOnlyMemory<byte>? ReadBody(string uid, long version) => null;

        public Outcome? ReadOutcome(string uid)
        {
            lock (_outcomes)
                return _outcomes.GetValueOrDefault(uid);
        }

        public OutcomeRef Made(string operation, int bytes, bool yields)
        {
            byte[] body = new byte[bytes];
            _random.NextBytes(body);
            lock (_outcomes)
            {
                int number = _outcomes.Count + 1;
                _outcomes[$"o{number}"] = new Outcome(number, $"o{number}", "events", $"default/o{number}", operation, body);
                return new OutcomeRef(number, $"o{number}", yields);
            }
        }

        public void Add(string operation, int bytes, bool yields) => Site.Step(new LinkInput.OutcomesAdded([Made(operation, bytes, yields)]), 0);

        public void Connect(byte[] frame)
        {
            Parent.Step(new LinkInput.Connected(), 0);
            Site.Step(Greeting, 0);
            Pass(frame, Site.WriteFrame(frame, 0));
            for (int length; (length = Parent.WriteFrame(frame, 0)) > 0;)
                Site.Step(new LinkInput.Frame(frame.AsMemory(0, length)), 0);
            Assert.Equal((LinkState.Live, LinkState.Live), (Parent.State, Site.State));
        }

        /// <summary>Gives a frame of the site to the parent, whose owner does at once what it is asked.</summary>
        public void Pass(byte[] frame, int length)
        {
            Assert.NotEqual(0, length);
            foreach (LinkOutput output in Parent.Step(new LinkInput.Frame(frame.AsMemory(0, length)), 0).ToArray())
                if (output is LinkOutput.OpenScope)
                    Parent.Step(new LinkInput.ScopeOpened(Scope), 0);
                else if (output is LinkOutput.OutcomesReceived received)
                    Taken.AddRange(received.Batch.Outcomes.Select(o => o.Uid));
        }
    }
}
