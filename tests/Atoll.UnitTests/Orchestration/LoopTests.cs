using System.Globalization;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Resources;
using Atoll.Orchestration.Loop;
using Atoll.Orchestration.Pods;
using Atoll.Orchestration.ReplicaSets;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Time.Testing;

namespace Atoll.UnitTests.Orchestration;

public sealed class LoopTests
{
    private readonly FakeTimeProvider _time = new(new DateTimeOffset(2026, 1, 1, 0, 0, 0, TimeSpan.Zero));

    private static KubeObject Object(string name, string uid, int version, string more = "") => new(System.Text.Encoding.UTF8.GetBytes(
        $$$$$"""{"apiVersion":"v1","kind":"Pod","metadata":{"namespace":"default","name":"{{{{{name}}}}}","uid":"{{{{{uid}}}}}","resourceVersion":"{{{{{version}}}}}"{{{{{more}}}}} },"spec":{}}"""));

    [Fact]
    public async Task Placement_has_all_pods_before_the_copy_of_everybody_else_is_filled()
    {
        var api = new FakeApi(_time);
        Assert.True((await api.CreateAsync(Kinds.Pod, "default", Object("p", "p", 1).ToNode(), default)).Ok);
        var cluster = new Cluster(api, _time, new Random(1), NullLoggerFactory.Instance);
        int whole = 0;
        cluster.Pods.Listen((_, _) => { }, list => whole = list.Count);
        TaskCompletionSource listed = new(), synced = new(), begun = new();
        using var stop = new CancellationTokenSource();
        Task running = cluster.RunAsync(() => listed.SetResult(), () => synced.SetResult(), begun.Task, stop.Token);
        await listed.Task.WaitAsync(TimeSpan.FromMinutes(1));
        Assert.Equal((1, true, false), (whole, cluster.Pods.IsEmpty, synced.Task.IsCompleted));
        begun.SetResult();
        await synced.Task.WaitAsync(TimeSpan.FromMinutes(1));
        Assert.False(cluster.Pods.IsEmpty);
        await stop.CancelAsync();
        await running;
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    public async Task Of_those_who_compute_for_long_so_many_go_on_at_a_time_each_after_all_who_asked_before(int most)
    {
        const int Workers = 20, Rounds = 50;
        var turns = new Turns(most);
        using var allAsked = new ManualResetEventSlim();
        int running = 0, highest = 0, ahead = 0;
        int[] done = new int[Workers];
        List<Task> first = [.. Enumerable.Range(0, most).Select(_ => HoldAsync())];
        List<Task> workers = [.. Enumerable.Range(0, Workers).Select(WorkAsync)];
        allAsked.Set();
        await Task.WhenAll([.. first, .. workers]).WaitAsync(TimeSpan.FromMinutes(1));
        Assert.InRange(highest, 1, most);
        Assert.All(done, n => Assert.Equal(Rounds, n));
        // One at a time: nobody has a turn more than whoever waits. (Of several that go on beside each other, one may be held up.)
        Assert.True(most > 1 || ahead == 0, $"one was {ahead} turns ahead");

        async Task HoldAsync()
        {
            await turns.NextAsync();
            allAsked.Wait();
        }

        async Task WorkAsync(int worker)
        {
            for (int round = 0; round < Rounds; round++)
            {
                await turns.NextAsync();
                int now = Interlocked.Increment(ref running);
                lock (done)
                {
                    highest = Math.Max(highest, now);
                    ahead = Math.Max(ahead, done[worker]++ - done.Min());
                }
                Interlocked.Decrement(ref running);
            }
        }
    }

    [Fact]
    public void A_key_waits_once_and_is_never_worked_on_twice_at_a_time()
    {
        using var queue = new WorkQueue(_time, new Jitter(new Random(1)));
        queue.Add("a");
        queue.Add("a");
        Assert.True(queue.TryTake(out string key));
        Assert.Equal("a", key);
        queue.Add("a"); // Changed while it is worked on: comes back, but only afterwards.
        Assert.False(queue.TryTake(out _));
        queue.Done("a");
        Assert.True(queue.TryTake(out _));
        queue.Done("a");
        Assert.False(queue.TryTake(out _));
    }

    [Fact]
    public void Failures_back_off_exponentially_with_jitter_and_success_forgets()
    {
        using var queue = new WorkQueue(_time, new Jitter(new Random(1)));
        for (int failures = 0; failures < 14; failures++)
        {
            double full = Math.Min(WorkQueue.LastRetry.TotalMilliseconds, WorkQueue.FirstRetry.TotalMilliseconds * Math.Pow(2, failures));
            queue.AddFailed("a");
            _time.Advance(TimeSpan.FromMilliseconds(full / 2 - 1));
            Assert.False(queue.TryTake(out _));
            _time.Advance(TimeSpan.FromMilliseconds(full / 2 + 2));
            Assert.True(queue.TryTake(out _));
            queue.Done("a");
        }
        queue.Forget("a");
        queue.AddFailed("a");
        _time.Advance(WorkQueue.FirstRetry + TimeSpan.FromMilliseconds(1));
        Assert.True(queue.TryTake(out _));
    }

    [Fact]
    public void The_earliest_appointment_of_a_key_stands()
    {
        using var queue = new WorkQueue(_time, new Jitter(new Random(1)));
        queue.AddAfter("a", TimeSpan.FromSeconds(10));
        queue.AddAfter("a", TimeSpan.FromSeconds(2));
        queue.AddAfter("a", TimeSpan.FromSeconds(20));
        _time.Advance(TimeSpan.FromSeconds(3));
        Assert.True(queue.TryTake(out _));
        queue.Done("a");
        _time.Advance(TimeSpan.FromSeconds(30));
        Assert.False(queue.TryTake(out _));
    }

    [Theory]
    [InlineData(100)]
    [InlineData(10_000_000)]
    public void Who_waits_for_years_is_looked_at_every_day(int days)
    {
        using var queue = new WorkQueue(_time, new Jitter(new Random(1)));
        queue.AddAfter("a", TimeSpan.FromDays(days));
        _time.Advance(TimeSpan.FromHours(23));
        Assert.False(queue.TryTake(out _));
        _time.Advance(TimeSpan.FromHours(1));
        Assert.True(queue.TryTake(out _));
    }

    [Fact]
    public void Our_own_write_is_seen_before_the_mirror_shows_it_and_old_news_do_not_undo_it()
    {
        var copy = new Copy(Kinds.Pod, _time);
        copy.Seen(null, Object("p", "u1", 5));
        copy.Wrote(Object("p", "u1", 9));
        copy.Seen(Object("p", "u1", 5), Object("p", "u1", 7));
        Assert.Equal("9", copy.Get("default/p")!.ResourceVersion);
        copy.Wrote(Object("q", "u2", 10));
        Assert.NotNull(copy.ByUid("u2"));
    }

    [Fact]
    public void An_identity_that_went_does_not_come_back_by_old_news()
    {
        var copy = new Copy(Kinds.Pod, _time);
        copy.Seen(null, Object("p", "u1", 5));
        copy.Removed("default/p", "u1");
        copy.Seen(Object("p", "u1", 5), Object("p", "u1", 6));
        Assert.Null(copy.Get("default/p"));
        copy.Wrote(Object("p", "u2", 8)); // Made again under the same name.
        copy.Seen(Object("p", "u1", 6), null);
        Assert.Equal("u2", copy.Get("default/p")!.Uid);
    }

    [Fact]
    public void An_identity_that_the_mirror_shows_again_after_it_went_is_back_and_an_old_answer_is_not()
    {
        var copy = new Copy(Kinds.Pod, _time);
        copy.Seen(null, Object("p", "u1", 5));
        copy.Seen(Object("p", "u1", 5), null);
        copy.Wrote(Object("p", "u1", 6)); // An answer that was under way.
        Assert.Null(copy.Get("default/p"));
        copy.Seen(null, Object("p", "u1", 9)); // Adopted at a site that ran on.
        Assert.Equal("9", copy.Get("default/p")!.ResourceVersion);
    }

    [Fact]
    public async Task A_write_that_the_mirror_never_shows_is_checked()
    {
        using var world = new World();
        await world.Cluster.CreateAsync(Kinds.Pod, "default", System.Text.Json.Nodes.JsonNode.Parse("""{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{}}""")!.AsObject(), default);
        await world.Api.DeleteAsync(Kinds.Pod, "default", "p", DeleteOptions.Default, default);
        Assert.NotNull(world.Cluster.Pods.Get("default/p"));
        world.Time.Advance(Cluster.Patience + TimeSpan.FromSeconds(1));
        await world.Cluster.SettleOnceAsync(default);
        Assert.Null(world.Cluster.Pods.Get("default/p"));
    }

    // Kubernetes' order, first to go first; "out of reach" stands between not ready and ready.
    [Fact]
    public void Scale_down_order()
    {
        DateTimeOffset now = _time.GetUtcNow();
        PodState Pod(string name, string spec, string status, string meta = "", bool unreachable = false)
        {
            KubeObject value = new(System.Text.Encoding.UTF8.GetBytes($$$$$"""{"metadata":{"name":"{{{{{name}}}}}","uid":"{{{{{name}}}}}"{{{{{meta}}}}} },"spec":{ {{{{{spec}}}}} },"status":{ {{{{{status}}}}} } }"""));
            return new PodState(value, value.View(ApiJson.Default.Pod), unreachable);
        }
        static string Ready(string since, int restarts = 0) => $"\"phase\":\"Running\",\"conditions\":[{{\"type\":\"Ready\",\"status\":\"True\",\"lastTransitionTime\":\"{since}\"}}],\"containerStatuses\":[{{\"restartCount\":{restarts.ToString(CultureInfo.InvariantCulture)}}}]";
        const string node = "\"nodeName\":\"n\"", crowded = "\"nodeName\":\"crowded\"", old = "2025-12-01T00:00:00Z";
        List<PodState> wanted =
        [
            Pod("unassigned", "", "\"phase\":\"Pending\""),
            Pod("pending", node, "\"phase\":\"Pending\""),
            Pod("not-ready", node, "\"phase\":\"Running\""),
            Pod("unreachable", node, Ready(old), unreachable: true),
            Pod("cheap", node, Ready(old), ",\"annotations\":{\"controller.kubernetes.io/pod-deletion-cost\":\"-5\"}"),
            Pod("crowded", crowded, Ready(old)),
            Pod("short-ready", node, Ready("2025-12-31T23:59:00Z")),
            Pod("restarting", node, Ready(old, 7)),
            Pod("young", node, Ready(old), ",\"creationTimestamp\":\"2025-12-31T23:00:00Z\""),
            Pod("settled", node, Ready(old), ",\"creationTimestamp\":\"2025-11-01T00:00:00Z\""),
        ];
        List<PodState> sorted = [.. wanted.AsEnumerable().Reverse()];
        sorted.Sort(new PodRanking(new Dictionary<string, int> { ["n"] = 1, ["crowded"] = 3 }, now));
        Assert.Equal(wanted.Select(p => p.Object.Name), sorted.Select(p => p.Object.Name));
    }

    [Fact]
    public async Task Equal_events_are_counted_also_across_restarts()
    {
        var api = new FakeApi(_time);
        KubeObject about = Object("p", "u1", 5);
        for (int run = 0; run < 2; run++)
        {
            var recorder = new EventRecorder(api, _time, "test");
            for (int i = 0; i < 3; i++)
                recorder.Warning(about, "BackOff", "Back-off restarting failed container");
            recorder.Normal(about, "Pulled", "Image is present");
            await recorder.FlushAsync(default);
            Assert.Equal(0, recorder.Dropped);
        }
        Assert.Equal([("BackOff", 6), ("Pulled", 2)], api.All(Kinds.Event).Select(e => e.View(ApiJson.Default.Event)).Select(e => (e.Reason!, e.Count!.Value)).Order());
    }

    [Fact]
    public async Task Many_messages_of_one_reason_become_one_and_each_object_has_a_budget()
    {
        var api = new FakeApi(_time);
        var recorder = new EventRecorder(api, _time, "test");
        for (int i = 0; i < 100; i++)
            recorder.Warning(Object("p", "u1", 5), "Failed", $"message {i}");
        recorder.Normal(Object("q", "u2", 5), "Fine", "another object");
        await recorder.FlushAsync(default);
        List<Event> events = [.. api.All(Kinds.Event).Select(e => e.View(ApiJson.Default.Event))];
        Assert.Equal(EventRecorder.SimilarLimit + 2, events.Count);
        Assert.Equal(EventRecorder.Burst - EventRecorder.SimilarLimit, events.Single(e => e.Message!.StartsWith("(combined", StringComparison.Ordinal)).Count);
        Assert.Equal(100 - EventRecorder.Burst, recorder.Dropped);
        Assert.Contains(events, e => e.Reason == "Fine");
    }

    [Fact]
    public async Task A_worker_with_a_long_queue_gives_its_thread_back()
    {
        using var stop = new CancellationTokenSource();
        using var controller = new SlowController(new Cluster(new FakeApi(_time), _time, new Random(1), NullLoggerFactory.Instance), _time);
        SlowController.Here = true;
        Task running = controller.RunAsync(stop.Token);
        SlowController.Here = false;
        Assert.Equal(2, controller.LookedHere);
        await controller.All.Task.WaitAsync(TimeSpan.FromMinutes(1));
        await stop.CancelAsync();
        await running;
    }

    /// <summary>A look at each of its keys takes a millisecond and waits for nothing.</summary>
    private sealed class SlowController(Cluster cluster, FakeTimeProvider time) : Controller(cluster, workers: 1)
    {
        private const int Many = 50;

        private int _looked;

        /// <summary>True on the thread that starts the controller, until that has come back.</summary>
        [field: ThreadStatic]
        public static bool Here { get; set; }

        public int LookedHere { get; private set; }

        public TaskCompletionSource All { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public override IEnumerable<string> Keys() => Enumerable.Range(0, Many).Select(i => i.ToString(CultureInfo.InvariantCulture));

        internal override ValueTask<Next> ReconcileAsync(string key, CancellationToken cancellation)
        {
            time.Advance(TimeSpan.FromMilliseconds(1));
            LookedHere += Here ? 1 : 0;
            if (++_looked == Many)
                All.SetResult();
            return ValueTask.FromResult(Next.Done);
        }
    }
}
