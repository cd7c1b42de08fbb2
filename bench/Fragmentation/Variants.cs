using System.Diagnostics;
using System.Globalization;
using System.Text;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Offline;

namespace Atoll.Bench.Fragmentation;

/// <summary>
/// Snapshots that no public file has: other mixes of machines, many or none on two NUMA nodes, full and empty clusters, many
/// shapes, short memory, large hosts. Each is planned on two cores; the order is checked and the time told.
/// </summary>
internal static class Variants
{
    private static readonly (string Name, int Hosts, int Cores, int[] Sizes, double Two, double Fill, int MemoryPerCore)[] s_kinds =
    [
        ("as the public one", 279, 44, [2, 4, 4, 4, 8, 8, 16], 0.2, 0.93, 4190),
        ("four times as large", 1176, 44, [2, 4, 4, 4, 8, 8, 16], 0.2, 0.75, 4190),
        ("four times as large, full", 1176, 44, [2, 4, 4, 4, 8, 8, 16], 0.2, 0.97, 4190),
        ("mostly on two NUMA nodes", 1176, 44, [4, 8, 8, 16, 32], 0.8, 0.85, 4190),
        ("small machines", 1176, 44, [1, 1, 2, 2, 4], 0.1, 0.9, 4190),
        ("every size", 1176, 44, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24, 32], 0.3, 0.85, 4190),
        ("half empty", 1176, 44, [2, 4, 8, 16], 0.2, 0.5, 4190),
        ("short of memory", 1176, 44, [2, 4, 8, 16], 0.2, 0.85, 2300),
        ("large hosts", 400, 256, [2, 4, 8, 16, 32, 64], 0.3, 0.9, 4190),
        ("very many hosts", 5000, 44, [2, 4, 4, 8, 16], 0.2, 0.85, 4190),
    ];

    /// <summary>Runs; fewer seeds are quicker.</summary>
    /// <param name="only">Part of the name of the kinds that are run; all when empty.</param>
    public static string Run(ulong seeds = 3, string only = "")
    {
        var text = new StringBuilder("""

            Snapshots drawn from seeds (`dotnet run --project bench/Fragmentation -c Release -- variants SEEDS`), 50 and 200 moves, the worst of the seeds;
            every order is legal:

            | snapshot | hosts | machines | rate before | moves | blocks won, of the bound | seconds | reading the file |
            |---|---|---|---|---|---|---|---|

            """);
        foreach ((string name, int hosts, int cores, int[] sizes, double two, double fill, int memory) in s_kinds)
            foreach (int moves in (int[])[50, 200])
            {
                if (!name.Contains(only, StringComparison.Ordinal))
                    continue;
                double slowest = 0, reading = 0, before = 0, share = 1;
                int machines = 0;
                for (ulong seed = 1; seed <= seeds; seed++)
                {
                    VmFleet fleet = Draw(seed, hosts, cores, sizes, two, fill, memory);
                    machines = fleet.Vms.Length;
                    byte[] json = Encoding.UTF8.GetBytes(ToJson(fleet));
                    var watch = Stopwatch.StartNew();
                    fleet = ByteDanceFormat.Read(new MemoryStream(json), name);
                    reading = Math.Max(reading, watch.Elapsed.TotalSeconds);
                    var goal = new DefragmentationGoal(16, moves);
                    watch.Restart();
                    DefragmentationResult result = Defragmenter.Plan(fleet, goal, TimeProvider.System);
                    slowest = Math.Max(slowest, watch.Elapsed.TotalSeconds);
                    if (MovePlanChecker.Check(fleet, result.Moves, goal).Fault is { } fault)
                        throw new InvalidOperationException($"{name}, seed {seed}: {fault}");
                    before = result.Before.Value;
                    double most = result.Bound - result.Before.Blocks;
                    share = Math.Min(share, most <= 0 ? 1 : (result.After.Blocks - result.Before.Blocks) / most);
                }
                string line = string.Create(CultureInfo.InvariantCulture, $"| {name} | {hosts} | {machines} | {before:F3} | {moves} | {share:P1} | {slowest:F1} | {reading:F2} s |\n");
                text.Append(line);
            }
        return text.ToString();
    }

    private static VmFleet Draw(ulong seed, int hosts, int cores, int[] sizes, double two, double fill, int memoryPerCore)
    {
        var random = new SeededRandom(seed);
        var list = new List<VmHost>();
        var vms = new List<Vm>();
        for (int h = 0; h < hosts; h++)
        {
            int[] free = [cores, cores], memory = [cores * memoryPerCore, cores * memoryPerCore];
            for (int attempt = 0; attempt < 4 * cores && free[0] + free[1] > 2 * cores * (1 - fill); attempt++)
            {
                int size = sizes[random.Next(sizes.Length)], numa = random.Next(2), mb = 2048 * size;
                bool both = random.NextDouble() < two;
                if (free[numa] < size || memory[numa] < mb || (both && (free[1 - numa] < size || memory[1 - numa] < mb)))
                    continue;
                for (int n = 0; n < 2; n++)
                    if (both || n == numa)
                        (free[n], memory[n]) = (free[n] - size, memory[n] - mb);
                vms.Add(new Vm($"vm_{vms.Count}", new VmShape(both, size, mb), h, both ? 0 : numa, random.Next(50) != 0));
            }
            list.Add(new VmHost($"pm_{h}", new NumaNode(cores, free[0], cores * memoryPerCore, memory[0]), new NumaNode(cores, free[1], cores * memoryPerCore, memory[1])));
        }
        return new VmFleet([.. list], [.. vms]);
    }

    private static string ToJson(VmFleet fleet)
    {
        var json = new StringBuilder("{\"cluster_list\":[{\"host_info\":[");
        for (int h = 0; h < fleet.Hosts.Length; h++)
        {
            VmHost host = fleet.Hosts[h];
            json.Append(CultureInfo.InvariantCulture, $"{(h > 0 ? "," : "")}{{\"node_id\":\"{host.Name}\",\"numa\":[{Numa(0, host.First)},{Numa(1, host.Second)}]}}");
        }
        json.Append("],\"vm_instance\":[");
        for (int v = 0; v < fleet.Vms.Length; v++)
        {
            Vm vm = fleet.Vms[v];
            string first = $"{{\"node\":{vm.Numa},\"cpu\":{vm.Shape.Cores},\"mem_mb\":{vm.Shape.MemoryMb}}}", second = vm.Shape.TwoNuma ? $",{{\"node\":1,\"cpu\":{vm.Shape.Cores},\"mem_mb\":{vm.Shape.MemoryMb}}}" : "";
            json.Append(CultureInfo.InvariantCulture, $"{(v > 0 ? "," : "")}{{\"instance_id\":\"{vm.Name}\",\"host_id\":\"{fleet.Hosts[vm.Host].Name}\",\"allow_migration\":{(vm.Movable ? "true" : "false")},\"numa\":[{first}{second}]}}");
        }
        return json.Append("]}]}").ToString();

        static string Numa(int n, NumaNode node) => $"{{\"node\":{n},\"total_cpu\":{node.Cores},\"free_cpu\":{node.FreeCores},\"memory_huge_total_mb\":{node.MemoryMb},\"memory_huge_free_mb\":{node.FreeMemoryMb}}}";
    }
}
