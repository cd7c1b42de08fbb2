using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
using Atoll.Api.Objects;
using Atoll.Bench.Scheduling;
using Atoll.Scheduling.Online;

// Before everything else: this one may use all cores.
string start = "";
if (Value("--fill") is { } made)
{
    // For looking at a start by itself: `--fill=FILE --pods=250000`, then `--start=FILE --times=3` in a process that has not filled it;
    // with `--centre=PATH` it is the published program that starts, a process each time.
    await FirstPlan.FillAsync(made, 5_000, int.Parse(Value("--pods") ?? "100000", CultureInfo.InvariantCulture), args.Contains("--large") ? Documents.Large : "").ConfigureAwait(false);
    return;
}
if (Value("--start") is { } kept)
{
    for (int i = 0; i < int.Parse(Value("--times") ?? "1", CultureInfo.InvariantCulture); i++)
    {
        if (Value("--centre") is { } centre)
        {
            FirstPlan.Started fresh = await FirstPlan.MeasureProgramAsync(centre, kept).ConfigureAwait(false);
            Console.WriteLine($"first plan after {fresh.Bound.TotalMilliseconds:N0} ms, up {fresh.Served.TotalMilliseconds:N0} ms after the process's start, {fresh.Processor.TotalMilliseconds:N0} ms of all cores until then, {fresh.PeakMib} MiB at most");
            continue;
        }
        FirstPlan.Started began = await FirstPlan.MeasureCopyAsync(kept).ConfigureAwait(false);
        Console.WriteLine($"served {began.Served.TotalMilliseconds:N0} ms, bound {began.Bound.TotalMilliseconds:N0} ms, {began.Processor.TotalMilliseconds:N0} ms of all cores, {began.PeakMib} MiB at most; so far {GC.CollectionCount(0)}/{GC.CollectionCount(1)}/{GC.CollectionCount(2)} collections, {GC.GetTotalPauseDuration().TotalMilliseconds:N0} ms");
    }
    return;
}
if (args.Contains("--first-plan") || args.Any(a => a.StartsWith("--out=", StringComparison.Ordinal)))
{
    (TimeSpan served, TimeSpan bound, TimeSpan processor, _) = await FirstPlan.MeasureAsync(5_000, 100_000).ConfigureAwait(false);
    start = $"| opened store of 100,000 pods → API served / first pod bound, durably | {served.TotalMilliseconds:N0} / **{bound.TotalMilliseconds:N0} ms** ({processor.TotalMilliseconds:N0} ms of all cores) | 1,000 ms: {(bound.TotalMilliseconds < 1000 ? "met" : "missed")} |";
    Console.WriteLine(start);
    if (args.Contains("--first-plan"))
        return;
}

// One core, as the bars say. A case is run once to warm up and five times; the median counts. `--quick`: once each. `--only=NAME`:
// cases whose name has it; `--only=decision`, `--only=decision:affinity`: single decisions.
#pragma warning disable CA1416
Process.GetCurrentProcess().ProcessorAffinity = 1;
#pragma warning restore CA1416
CultureInfo.CurrentCulture = CultureInfo.InvariantCulture;
bool quick = args.Contains("--quick");
string? only = Value("--only"), into = Value("--out");

Case[] cases =
[
    new("basic", 5_000, 1_000, 10_000, 20_000, "kube-scheduler CI floor 680-810"),
    new("basic", 30_000, 1_000, 10_000, 5_000, "Gödel 1,000+"),
    new("basic", 100_000, 1_000, 10_000, 0, ""),
    new("required pod affinity (zone)", 5_000, 5_000, 5_000, 2_000, "35") { Color = "blue", More = Documents.Affinity },
    new("required pod anti-affinity (hostname)", 5_000, 1_000, 2_000, 2_000, "60") { Color = "green", More = Documents.AntiAffinity },
    new("topology spread (zone, DoNotSchedule)", 5_000, 5_000, 5_000, 5_000, "460") { Color = "blue", More = Documents.Spread },
    new("node affinity (two of three zones)", 5_000, 5_000, 10_000, 0, "220") { Color = "blue", More = Documents.NodeAffinity },
    new("preferred pod affinity (hostname)", 5_000, 5_000, 5_000, 0, "") { Color = "red", More = Documents.PreferredAffinity },
    new("replicas, default spread", 5_000, 5_000, 5_000, 0, "") { Owned = true },
    new("replicas, default spread", 30_000, 5_000, 2_500, 0, "") { Owned = true },
    new("preemption (four victims' worth a node)", 5_000, 20_000, 5_000, 0, "570 (asynchronous)") { Preempts = true },
];

var lines = new StringBuilder();
foreach (Case one in cases)
{
    if (only is not null && !one.Name.Contains(only, StringComparison.Ordinal))
        continue;
    var bench = new Throughput(one);
    bench.Run();
    double[] rates = [.. Enumerable.Range(0, quick ? 1 : 5).Select(_ => bench.Run())];
    Array.Sort(rates);
    double rate = rates[rates.Length / 2];
    string line = $"| {one.Name} | {one.Nodes:N0} | {one.Before:N0} + {one.Pods:N0} | **{rate:N0}** | {(one.Bar > 0 ? $"{one.Bar:N0}: {(rate >= one.Bar ? "met" : "missed")}" : "")} | {one.Published} |";
    Console.WriteLine(line);
    lines.AppendLine(line);
}
lines.AppendLine().AppendLine("| one decision (fork, plan of one pod, take over) | nodes | p50 | p99 | bar |").AppendLine("|---|---|---|---|---|");
foreach ((string name, int nodes, string more) in new[]
{
    ("basic", 5_000, ""), ("topology spread", 5_000, Documents.Spread), ("required pod affinity", 5_000, Documents.Affinity),
    ("basic", 100_000, ""), ("topology spread", 100_000, Documents.Spread), ("required pod affinity", 100_000, Documents.Affinity),
})
{
    if (only is not null && (!only.StartsWith("decision", StringComparison.Ordinal) || !name.Contains(only["decision".Length..].TrimStart(':'), StringComparison.Ordinal)))
        continue;
    (double p50, double p99) = Latency.Measure(nodes, more, quick ? 200 : 1000);
    string line = $"| {name} | {nodes:N0} | {p50:N2} ms | **{p99:N2} ms** | {(nodes == 100_000 ? $"5 ms: {(p99 < 5 ? "met" : "missed")}" : "")} |";
    Console.WriteLine(line);
    lines.AppendLine(line);
}
if (into is not null)
{
    lines.AppendLine().AppendLine("| start of a centre (clock on the wall, all cores) | Atoll | bar |").AppendLine("|---|---|---|").AppendLine(start);
    File.WriteAllText(into, Report.Text(lines.ToString()));
}

string? Value(string option) => args.FirstOrDefault(a => a.StartsWith(option + "=", StringComparison.Ordinal))?[(option.Length + 1)..];

namespace Atoll.Bench.Scheduling
{
    /// <summary>A fleet, what is on it, and what comes.</summary>
    internal sealed record Case(string Name, int Nodes, int Before, int Pods, int Bar, string Published)
    {
        public string Color { get; init; } = "blue";

        public string More { get; init; } = "";

        public bool Owned { get; init; }

        public bool Preempts { get; init; }
    }

    /// <summary>
    /// Pods placed a second, from documents to a plan that is taken over: batches of 512 as the loop has them, each planned from a
    /// fork. The documents' heads are parsed before, as the mirror does; their specs are not.
    /// </summary>
    internal sealed class Throughput(Case what)
    {
        private const int Batch = 512;

        private readonly Snapshot _fleet = Fleet(what);

        public double Run()
        {
            Snapshot fleet = _fleet.Fork();
            KubeObject[] pods = [.. Enumerable.Range(0, what.Pods).Select(i => Documents.Pod($"pod-{i}", "sched-1", what.Color, what.More, owned: what.Owned, priority: what.Preempts ? 10 : 0, cpu: what.Preempts ? "3" : "100m"))];
            GC.Collect();
            TimeSpan begin = Processor.Time;
            int placed = 0;
            for (int at = 0; at < pods.Length; at += Batch)
            {
                Plan plan = Scheduler.Plan(fleet.Fork(), new ArraySegment<KubeObject>(pods, at, Math.Min(Batch, pods.Length - at)), 1);
                foreach (Placement placement in plan.Placements)
                {
                    if (placement.Node is not null)
                        fleet.UpsertPod(placement.Pod, placement.Node);
                    else if (placement.Nominated is not null)
                    {
                        fleet.Nominate(placement.Pod, placement.Nominated);
                        foreach (KubeObject victim in placement.Victims)
                            fleet.RemovePod(victim.Uid);
                    }
                    else
                        throw new InvalidOperationException(placement.Message);
                    placed++;
                }
            }
            return placed / (Processor.Time - begin).TotalSeconds;
        }

        private static Snapshot Fleet(Case what)
        {
            var fleet = new Snapshot();
            for (int i = 0; i < what.Nodes; i++)
                fleet.UpsertNode(Documents.Node(i, 3));
            for (int i = 0; i < what.Before; i++)
                fleet.UpsertPod(Documents.Pod($"init-{i}", "sched-0", what.Color, what.Preempts ? "" : what.More, $"node-{i % what.Nodes}", what.Owned, cpu: what.Preempts ? "900m" : "100m"));
            return fleet;
        }
    }

    /// <summary>How long one pod takes by itself, with one pod on every node.</summary>
    internal static class Latency
    {
        public static (double P50, double P99) Measure(int nodes, string more, int rounds)
        {
            var fleet = new Snapshot();
            for (int i = 0; i < nodes; i++)
                fleet.UpsertNode(Documents.Node(i, nodes > 5_000 ? 2_500 : 3));
            for (int i = 0; i < nodes; i++)
                fleet.UpsertPod(Documents.Pod($"init-{i}", "sched-0", "blue", "", $"node-{i}"));
            var times = new List<double>();
            for (int i = -100; i < rounds; i++)
            {
                KubeObject pod = Documents.Pod($"pod-{i + 100}", "sched-1", "blue", more);
                TimeSpan begin = Processor.Time;
                Placement placement = Scheduler.Plan(fleet.Fork(), [pod], 1).Placements[0];
                fleet.UpsertPod(pod, placement.Node ?? throw new InvalidOperationException(placement.Message));
                if (i >= 0)
                    times.Add((Processor.Time - begin).TotalMilliseconds);
            }
            times.Sort();
            return (times[times.Count / 2], times[(int)Math.Ceiling(times.Count * 0.99) - 1]);
        }
    }

    /// <summary>
    /// Time that this process has had of its core, collector and compiler included: on a machine that others use too, the clock on the
    /// wall would measure them.
    /// </summary>
    internal static partial class Processor
    {
        private const int ProcessClock = 2;

        public static TimeSpan Time => GetTime(ProcessClock, out Timespec time) == 0 ? new TimeSpan((time.Seconds * TimeSpan.TicksPerSecond) + (time.Nanoseconds / 100)) : throw new InvalidOperationException("no clock");

        [LibraryImport("libc", EntryPoint = "clock_gettime")]
        private static partial int GetTime(int clock, out Timespec time);

        private struct Timespec
        {
            public long Seconds;
            public long Nanoseconds;
        }
    }

    internal static class Report
    {
        public static string Text(string tables) => $$"""
            # Figures of online placement, in memory

            Made by `make bench` on {{DateTimeOffset.UtcNow:yyyy-MM-dd}} (`bench/Scheduling`), on one core of: {{Machine()}}. Published figures are in pods a
            second with an API and mostly a durable store, so they are no like for like: they are the order of size.

            | pods placed a second | nodes | pods there + measured | Atoll, in memory | bar | published |
            |---|---|---|---|---|---|
            {{tables}}

            Packing and fragments have [their own page](scheduling.md).

            ## How

            - Nodes and pods are those of Kubernetes' scheduler_perf: 4 cores, 32 GiB, 110 pods, three zones; pods of 100m and 500 MiB with the
              fields that an API server fills in. Every plan looks at every node; nothing is sampled.
            - A run takes batches of 512, as the loop does: fork the snapshot, plan, count the placements in the snapshot. Reading a pod's spec
              from its document is in the time. One run to warm up, then the median of five.
            - Preemption: every node is filled with four pods of 900m of priority 0; pods of 3 cores and priority 10 come. Victims go at once.
            - Time is what the process had of its core (CLOCK_PROCESS_CPUTIME_ID, all its threads), so a busy machine does not count.
            - Start of a centre: store file with 5,000 nodes and 100,000 bound pods; the server, every mirror and controller start, and one
              pod waits. What costs is one pass over each pod's bytes, and its place in the snapshot. As with every case, one start goes
              before and does not count; what the first start of a process costs above that is the runtime's: compiling, loading
              types (`--fill=FILE`, then `--start=FILE`). As in a centre, the collector begins when
              a GiB is allocated.
            - One decision: a plan of a single pod from a new fork, with one pod on each node; 2,500 sites at 100,000 nodes, 3 at 5,000.

            """;

        private static string Machine()
        {
            string model = File.ReadLines("/proc/cpuinfo").FirstOrDefault(l => l.StartsWith("model name", StringComparison.Ordinal))?.Split(':')[1].Trim() ?? "unknown";
            return $"{model}, {Environment.ProcessorCount} of {File.ReadLines("/proc/cpuinfo").Count(l => l.StartsWith("processor", StringComparison.Ordinal))} cores; load {string.Join(' ', File.ReadAllText("/proc/loadavg").Split(' ')[..3])} at the end";
        }
    }
}
