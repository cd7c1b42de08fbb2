using System.Collections.Immutable;
using System.Globalization;
using System.Text;
using Atoll.Scheduling.Fragments;
using Atoll.Scheduling.Offline;

namespace Atoll.UnitTests.Scheduling.Offline;

/// <summary>Snapshots drawn from a seed: hosts of two NUMA nodes, nearly full, as a sold-out cluster is.</summary>
internal static class SmallVmFleet
{
    public static VmFleet Draw(ulong seed, int hosts, int cores = 44, int memoryPerCore = 4190)
    {
        var random = new SeededRandom(seed);
        var hostList = ImmutableArray.CreateBuilder<VmHost>();
        var vms = ImmutableArray.CreateBuilder<Vm>();
        int[] sizes = [2, 4, 4, 4, 8, 8, 16];
        for (int h = 0; h < hosts; h++)
        {
            int[] free = [cores, cores];
            for (int attempt = 0; attempt < 16; attempt++)
            {
                int size = sizes[random.Next(sizes.Length)], numa = random.Next(2);
                bool two = random.Next(5) == 0;
                if (free[numa] < size || (two && free[1 - numa] < size))
                    continue;
                free[numa] -= size;
                if (two)
                    free[1 - numa] -= size;
                vms.Add(new Vm($"vm-{vms.Count}", new VmShape(two, size, 2048 * size), h, two ? 0 : numa, random.Next(50) != 0));
            }
            NumaNode Node(int n) => new(cores, free[n], cores * memoryPerCore, cores * memoryPerCore - (cores - free[n]) * 2048);
            hostList.Add(new VmHost($"pm-{h}", Node(0), Node(1)));
        }
        return new VmFleet(hostList.ToImmutable(), vms.ToImmutable());
    }

    /// <summary>The snapshot as a document in ByteDance's format.</summary>
    public static string ToJson(VmFleet fleet)
    {
        var json = new StringBuilder("{\"cluster_list\":[{\"cluster_name\":\"c\",\"host_info\":[");
        foreach (VmHost host in fleet.Hosts)
            json.Append(CultureInfo.InvariantCulture, $"{(json[^1] == '[' ? "" : ",")}{{\"node_id\":\"{host.Name}\",\"numa\":[{Numa(0, host.First)},{Numa(1, host.Second)}]}}");
        json.Append("],\"vm_instance\":[");
        foreach (Vm vm in fleet.Vms)
        {
            string Part(int node) => string.Create(CultureInfo.InvariantCulture, $"{{\"node\":{node},\"cpu\":{vm.Shape.Cores}.0,\"mem_mb\":{vm.Shape.MemoryMb}.0}}");
            string parts = vm.Shape.TwoNuma ? Part(0) + "," + Part(1) : Part(vm.Numa);
            json.Append(CultureInfo.InvariantCulture, $"{(json[^1] == '[' ? "" : ",")}{{\"instance_id\":\"{vm.Name}\",\"host_id\":\"{fleet.Hosts[vm.Host].Name}\",\"allow_migration\":{(vm.Movable ? "true" : "false")},\"numa\":[{parts}]}}");
        }
        return json.Append("]}],\"vm_type_list\":[]}").ToString();

        static string Numa(int number, NumaNode node) => string.Create(CultureInfo.InvariantCulture,
            $"{{\"node\":{number},\"total_cpu\":{node.Cores},\"free_cpu\":{node.FreeCores}.0,\"memory_huge_total_mb\":{node.MemoryMb}.0,\"memory_huge_free_mb\":{node.FreeMemoryMb}.0}}");
    }
}
