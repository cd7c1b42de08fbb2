using System.Collections.Immutable;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Fragments.Policies;
using Atoll.Scheduling.Offline;

namespace Atoll.Bench.Fragmentation;

/// <summary>
/// Measures placement (OpenB) and defragmentation (ByteDance) against published results on the public data in the folder that
/// ATOLL_BENCH_DATA names, and writes docs/benchmarks/scheduling.md with a curve beside it.
/// </summary>
internal static class Program
{
    private const int Seeds = 10, FirstSeed = 42;
    private static readonly string[] s_traces = ["default", "cpu100", "gpushare40", "gpuspec20", "multigpu30"];
    private static readonly string[] s_policies = ["Random", "DotProd", "BestFit", "FGD", "Outlook"];

    // Means published for the traces, in their order (USENIX ATC '23 and its artefact).
    private static readonly Dictionary<string, double[]> s_published = new()
    {
        ["Random"] = [87.47, 89.11, 86.00, 87.24, 89.27],
        ["DotProd"] = [90.85, 91.95, 89.56, 89.97, 93.28],
        ["BestFit"] = [93.08, 93.44, 91.69, 93.30, 94.72],
        ["FGD"] = [95.39, 95.35, 94.15, 94.84, 96.46],
    };

    // Blocks of the proven optimum (destination only) on the medium snapshot: (1 - rate) * free cores / 16.
    private static readonly (int Moves, double Rate)[] s_optimum = [(10, .8508), (20, .7590), (30, .6901), (40, .6327), (50, .5753), (100, .2884)];

    private static int Main(string[] arguments)
    {
        if (arguments is ["variants", var seeds, .. string[] only])
        {
            Console.Write(Variants.Run(ulong.Parse(seeds, CultureInfo.InvariantCulture), string.Join(' ', only)));
            return 0;
        }
        if (arguments is ["fleet"])
        {
            Console.Write(LiveFleet.Run());
            return 0;
        }
        if (arguments is ["traces", _, _, _, ..])
            return Traces(arguments[1..]);
        if (arguments is ["snapshot", var file, var moves, .. string[] rest])
        {
            Snapshot(file, int.Parse(moves, CultureInfo.InvariantCulture), rest);
            return 0;
        }
        string? data = Environment.GetEnvironmentVariable("ATOLL_BENCH_DATA");
        if (string.IsNullOrEmpty(data) || !Directory.Exists(data))
        {
            Console.Error.WriteLine("fragmentation: skipped. ATOLL_BENCH_DATA must name a folder with openb/ and bytedance-vm/ (see docs/benchmarks/scheduling.md).");
            return 0;
        }
        string target = arguments.Length > 0 ? arguments[0] : "docs/benchmarks";
        var text = new StringBuilder();
        Head(text);
        Placement(text, Path.Combine(data, "openb"), target);
        Defragmentation(text, Path.Combine(data, "bytedance-vm", "medium.json"));
        text.Append(Variants.Run());
        text.Append(LiveFleet.Run());
        File.WriteAllText(Path.Combine(target, "scheduling.md"), text.ToString());
        Console.Write(text);
        return 0;
    }

    // Policies on traces of one's own: seeds from 42, a node list, traces.
    private static int Traces(string[] arguments)
    {
        int seeds = int.Parse(arguments[0], CultureInfo.InvariantCulture);
        string[] policies = arguments[1].Split(',');
        GpuFleet fleet;
        using (var reader = new StreamReader(arguments[2]))
            fleet = OpenBFormat.ReadNodes(reader, arguments[2]);
        foreach (string file in arguments[3..])
        {
            using var reader = new StreamReader(file);
            ImmutableArray<GpuTask> tasks = OpenBFormat.ReadTasks(reader, file, fleet);
            var mix = TypicalMix.Of(tasks);
            foreach (string policy in policies)
            {
                TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
                (double mean, double deviation) = Statistics(Runs(policy, fleet, tasks, mix, seeds));
                double seconds = (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds / seeds;
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"| {Path.GetFileNameWithoutExtension(file)} | {policy} | {mean:F3} ± {deviation:F2} | {seconds:F1} s |"));
            }
        }
        return 0;
    }

    private static (double Mean, double Deviation) Statistics(double[] runs)
    {
        double mean = runs.Average();
        return (mean, Math.Sqrt(runs.Sum(x => (x - mean) * (x - mean)) / Math.Max(1, runs.Length - 1)));
    }

    private static void Head(StringBuilder text)
    {
        string cpu = File.ReadLines("/proc/cpuinfo").First(l => l.StartsWith("model name", StringComparison.Ordinal)).Split(':', 2)[1].Trim();
        text.Append(CultureInfo.InvariantCulture, $"""
            # Placement and defragmentation, measured

            Made by `make bench` on {DateTime.UtcNow:yyyy-MM-dd} with `ATOLL_BENCH_DATA=FOLDER` (`openb/` and `bytedance-vm/` of the public data in it;
            without it this part is skipped). Machine: {cpu}, {Environment.ProcessorCount} cores, shared with other work. Online throughput has its own page,
            [scheduling-online.md](scheduling-online.md).


            """);
    }

    private static void Placement(StringBuilder text, string folder, string target)
    {
        GpuFleet fleet;
        using (var reader = new StreamReader(Path.Combine(folder, "openb_node_list_gpu_node.csv")))
            fleet = OpenBFormat.ReadNodes(reader, "nodes");
        var mean = new double[s_policies.Length, s_traces.Length];
        var deviation = new double[s_policies.Length, s_traces.Length];
        var seconds = new double[s_policies.Length];
        for (int t = 0; t < s_traces.Length; t++)
        {
            using var reader = new StreamReader(Path.Combine(folder, $"openb_pod_list_{s_traces[t]}.csv"));
            ImmutableArray<GpuTask> tasks = OpenBFormat.ReadTasks(reader, s_traces[t], fleet);
            var mix = TypicalMix.Of(tasks);
            if (t == 0)
                Curve(fleet, tasks, mix, Path.Combine(target, "scheduling-default.svg"));
            for (int p = 0; p < s_policies.Length; p++)
            {
                TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
                (mean[p, t], deviation[p, t]) = Statistics(Runs(s_policies[p], fleet, tasks, mix, Seeds));
                seconds[p] = Math.Max(seconds[p], (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds / Seeds);
                Console.Error.WriteLine($"{s_policies[p]} {s_traces[t]}: {mean[p, t]:F2}");
            }
        }
        text.Append("""
            ## 1. OpenB: GPUs allocated at 130 % demand

            1,213 nodes, 6,212 GPUs. Tasks sorted by name, shuffled with seeds 42 to 51, drawn copies appended up to 130 %; one at a time, no
            departures, what fits nowhere is dropped. Mean of ten seeds in percent (± standard deviation), published mean in brackets. Outlook is
            ours: online, it knows the typical mix and nothing else; no number in it depends on the trace.
            [What it does and what was tried](../decisions/0007-placement-by-outlook.md).

            | policy | default | cpu100 | gpushare40 | gpuspec20 | multigpu30 | processor time of a run |
            |---|---|---|---|---|---|---|

            """);
        for (int p = 0; p < s_policies.Length; p++)
        {
            text.Append(CultureInfo.InvariantCulture, $"| {s_policies[p]} |");
            for (int t = 0; t < s_traces.Length; t++)
            {
                string published = s_published.TryGetValue(s_policies[p], out double[]? figures) ? string.Create(CultureInfo.InvariantCulture, $" ({figures[t]:F2})") : "";
                text.Append(CultureInfo.InvariantCulture, $" {mean[p, t]:F2} ± {deviation[p, t]:F2}{published} |");
            }
            text.Append(CultureInfo.InvariantCulture, $" {seconds[p]:F1} s |\n");
        }
        text.Append("| Outlook above published FGD |");
        for (int t = 0; t < s_traces.Length; t++)
            text.Append(CultureInfo.InvariantCulture, $" {mean[s_policies.Length - 1, t] - s_published["FGD"][t]:+0.00;-0.00} |");
        text.Append(" |\n\n![Allocated and fragment over demand, default trace, seed 42](scheduling-default.svg)\n\n");
    }

    private static double[] Runs(string policy, GpuFleet fleet, ImmutableArray<GpuTask> tasks, TypicalMix mix, int seeds)
    {
        double[] runs = new double[seeds];
        Parallel.For(0, seeds, new ParallelOptions { MaxDegreeOfParallelism = 2 }, i =>
        {
            var replay = new Replay(fleet, tasks, mix, 1.3, (ulong)(FirstSeed + i));
            runs[i] = replay.Run(PolicyCatalog.Create(policy, replay.Fleet, mix, (ulong)(FirstSeed + i))!).AllocatedPercent;
        });
        return runs;
    }

    private static void Curve(GpuFleet fleet, ImmutableArray<GpuTask> tasks, TypicalMix mix, string path)
    {
        var curves = new List<ReplayCurve>();
        foreach (string name in new[] { "Outlook", "FGD", "BestFit", "Random" })
        {
            var points = new List<ReplayPoint>();
            var replay = new Replay(fleet, tasks, mix, 1.3, FirstSeed);
            replay.Run(PolicyCatalog.Create(name, replay.Fleet, mix, FirstSeed)!, points);
            curves.Add(new ReplayCurve(name, FirstSeed, points));
        }
        File.WriteAllText(path, CurveReport.ToSvg(curves, "OpenB default: GPUs allocated and expected fragment, seed 42"));
    }

    private static void Defragmentation(StringBuilder text, string path)
    {
        VmFleet fleet;
        using (FileStream file = File.OpenRead(path))
            fleet = ByteDanceFormat.Read(file, "medium.json");
        Defragmenter.Plan(fleet, new DefragmentationGoal(16, 5), TimeProvider.System); // Once for the compiler.
        text.Append("""
            ## 2. ByteDance medium: 16-core fragment rate after at most so many migrations

            279 hosts, 2,089 machines. The optimum is proven for destinations only; ours is an order in which every step has room, checked by a
            checker that knows nothing of the search. One block is .0115. Time is planning on two cores, without reading the file.
            [How](../decisions/0008-defragmentation-by-prices.md).

            | moves | proven optimum | ours | blocks from the optimum | our bound, blocks | moves used | seconds |
            |---|---|---|---|---|---|---|

            """);
        foreach ((int moves, double optimum) in s_optimum)
        {
            (DefragmentationResult result, double seconds) = Measure(fleet, moves);
            double best = Math.Round((1 - optimum) * result.Before.FreeCores / 16);
            text.Append(CultureInfo.InvariantCulture, $"| {moves} | {optimum:F4} | {result.After.Value:F4} | {result.After.Blocks - best} ({result.After.Blocks} of {best}) | {result.Bound} | {result.Moves.Length} | {seconds:F1} |\n");
        }
        VmFleet large = Grown(fleet, 1176, 4546, 7);
        text.Append(CultureInfo.InvariantCulture, $"""

            A drawn snapshot of the same format with {large.Hosts.Length:N0} hosts and {large.Vms.Length:N0} machines (hosts of the one above, some machines left out):

            | moves | rate before | rate after | blocks before → after | our bound, blocks | seconds |
            |---|---|---|---|---|---|

            """);
        foreach (int moves in new[] { 10, 50, 100, 400 })
        {
            (DefragmentationResult result, double seconds) = Measure(large, moves);
            text.Append(CultureInfo.InvariantCulture, $"| {moves} | {result.Before.Value:F4} | {result.After.Value:F4} | {result.Before.Blocks} → {result.After.Blocks} | {result.Bound} | {seconds:F1} |\n");
        }
    }

    // One snapshot with several seeds of the search: blocks won, and what it takes of the clock and of the processor.
    private static void Snapshot(string path, int moves, string[] rest)
    {
        VmFleet fleet;
        using (FileStream file = File.OpenRead(path))
            fleet = ByteDanceFormat.Read(file, path);
        double[] numbers = [.. rest.Select(n => double.Parse(n, CultureInfo.InvariantCulture))];
        double seeds = numbers is [var first, ..] ? first : 1, seconds = numbers is [_, var second, ..] ? second : 4;
        for (ulong seed = 1; seed <= seeds; seed++)
        {
            var goal = new DefragmentationGoal(16, moves, seed, seconds);
            if (numbers is [_, _, var effort, ..])
                goal = goal with { Effort = (int)effort };
            TimeSpan before = Process.GetCurrentProcess().TotalProcessorTime;
            var watch = Stopwatch.StartNew();
            DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
            double clock = watch.Elapsed.TotalSeconds, processor = (Process.GetCurrentProcess().TotalProcessorTime - before).TotalSeconds;
            string legal = MovePlanChecker.Check(fleet, result.Moves, goal).Fault ?? "legal";
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {result.Before.Blocks} → {result.After.Blocks} of {result.Bound}, {result.Moves.Length} moves, {clock:F1} s, processor {processor:F1} s, {legal}"));
        }
    }

    private static (DefragmentationResult Result, double Seconds) Measure(VmFleet fleet, int moves)
    {
        var goal = new DefragmentationGoal(16, moves);
        var watch = Stopwatch.StartNew();
        DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
        double seconds = watch.Elapsed.TotalSeconds;
        if (MovePlanChecker.Check(fleet, result.Moves, goal).Fault is { } fault)
            throw new InvalidOperationException(fault);
        return (result, seconds);
    }

    // Hosts drawn from the snapshot with their machines; then machines leave at random until so many are left.
    private static VmFleet Grown(VmFleet fleet, int hosts, int machines, ulong seed)
    {
        var random = new SeededRandom(seed);
        var on = new List<Vm>[fleet.Hosts.Length];
        for (int h = 0; h < on.Length; h++)
            on[h] = [.. fleet.Vms.Where(v => v.Host == h)];
        var list = new List<VmHost>();
        var vms = new List<Vm>();
        for (int h = 0; h < hosts; h++)
        {
            int from = random.Next(fleet.Hosts.Length);
            list.Add(fleet.Hosts[from] with { Name = $"pm_{h}" });
            foreach (Vm vm in on[from])
                vms.Add(vm with { Name = $"vm_{vms.Count}", Host = h });
        }
        while (vms.Count > machines)
        {
            int gone = random.Next(vms.Count);
            Vm vm = vms[gone];
            vms.RemoveAt(gone);
            NumaNode Freed(NumaNode node) => node with { FreeCores = node.FreeCores + vm.Shape.Cores, FreeMemoryMb = Math.Min(node.MemoryMb, node.FreeMemoryMb + vm.Shape.MemoryMb) };
            VmHost host = list[vm.Host];
            list[vm.Host] = host with { First = vm.Shape.TwoNuma || vm.Numa == 0 ? Freed(host.First) : host.First, Second = vm.Shape.TwoNuma || vm.Numa == 1 ? Freed(host.Second) : host.Second };
        }
        return new VmFleet([.. list], [.. vms]);
    }
}
