using System.Collections.Immutable;
using System.Text.Json;

namespace Atoll.Scheduling.Offline;

/// <summary>
/// Reads a snapshot in the format of ByteDance's VM rescheduling data (2022): <c>cluster_list[]</c> with <c>host_info[]</c> and
/// <c>vm_instance[]</c>. All clusters of the file are one pool. An error names the place in the document.
/// </summary>
public static class ByteDanceFormat
{
    /// <summary>Bytes of one file at most.</summary>
    public const long MaxBytes = 512 * 1024 * 1024;

    /// <summary>The snapshot in a document.</summary>
    /// <exception cref="InvalidDataException">The document is not a snapshot, or contradicts itself.</exception>
    public static VmFleet Read(Stream json, string source)
    {
        try
        {
            using JsonDocument document = JsonDocument.Parse(json, new JsonDocumentOptions { MaxDepth = 32 });
            return new Reader(source).Read(document.RootElement);
        }
        catch (JsonException e)
        {
            throw new InvalidDataException($"{source}: line {e.LineNumber + 1}, column {e.BytePositionInLine + 1}: not JSON ({e.Message.Split(" LineNumber", 2)[0]})");
        }
    }

    private sealed class Reader(string source)
    {
        private readonly Dictionary<string, int> _hosts = [];
        private readonly HashSet<string> _names = [];
        private readonly ImmutableArray<VmHost>.Builder _hostList = ImmutableArray.CreateBuilder<VmHost>();
        private readonly ImmutableArray<Vm>.Builder _vmList = ImmutableArray.CreateBuilder<Vm>();

        public VmFleet Read(JsonElement root)
        {
            int number = 0;
            foreach (JsonElement cluster in Items(root, "", "cluster_list"))
            {
                string at = $"cluster_list[{number++}]";
                int index = 0;
                foreach (JsonElement host in Items(cluster, at, "host_info"))
                    AddHost(host, $"{at}.host_info[{index++}]");
                index = 0;
                foreach (JsonElement vm in Items(cluster, at, "vm_instance"))
                    AddVm(vm, $"{at}.vm_instance[{index++}]");
            }
            if (_hostList.Count == 0)
                throw Error("cluster_list", "no host in it");
            CheckUse();
            return new VmFleet(_hostList.DrainToImmutable(), _vmList.DrainToImmutable());
        }

        private void AddHost(JsonElement host, string at)
        {
            string name = Text(host, at, "node_id");
            if (_hostList.Count == VmFleet.MaxHosts)
                throw Error(at, $"more than {VmFleet.MaxHosts} hosts");
            if (!_hosts.TryAdd(name, _hostList.Count))
                throw Error(at, $"host '{name}' occurs twice");
            var nodes = new NumaNode[2];
            int seen = 0;
            foreach (JsonElement numa in Items(host, at, "numa"))
            {
                string where = $"{at}.numa[{seen}]";
                int number = Whole(numa, where, "node", 1);
                int total = Whole(numa, where, "total_cpu", VmFleet.MaxCores), memory = Whole(numa, where, "memory_huge_total_mb", int.MaxValue / 8);
                int free = Whole(numa, where, "free_cpu", total), freeMemory = Whole(numa, where, "memory_huge_free_mb", memory);
                nodes[number] = new NumaNode(total, free, memory, freeMemory);
                if (++seen > 2)
                    throw Error(at, "more than two NUMA nodes");
            }
            _hostList.Add(new VmHost(name, nodes[0], nodes[1]));
        }

        private void AddVm(JsonElement vm, string at)
        {
            string name = Text(vm, at, "instance_id"), host = Text(vm, at, "host_id");
            if (_vmList.Count == VmFleet.MaxVms)
                throw Error(at, $"more than {VmFleet.MaxVms} machines");
            if (!_names.Add(name))
                throw Error(at, $"machine '{name}' occurs twice");
            if (!_hosts.TryGetValue(host, out int number))
                throw Error(at, $"host '{host}' of machine '{name}' is not in host_info before it");
            bool movable = !vm.TryGetProperty("allow_migration", out JsonElement allow) || allow.ValueKind != JsonValueKind.False;
            VmShape shape = default;
            int first = 0, seen = 0;
            foreach (JsonElement numa in Items(vm, at, "numa"))
            {
                string where = $"{at}.numa[{seen}]";
                int node = Whole(numa, where, "node", 1);
                var part = new VmShape(seen == 1, Whole(numa, where, "cpu", VmFleet.MaxCores), Whole(numa, where, "mem_mb", int.MaxValue / 8));
                if (seen == 0)
                    first = node;
                else if (node == first || (part.Cores, part.MemoryMb) != (shape.Cores, shape.MemoryMb))
                    throw Error(where, "a machine on two NUMA nodes takes the same of each");
                shape = part;
                if (++seen > 2)
                    throw Error(at, "more than two NUMA nodes");
            }
            if (seen == 0 || shape.Cores == 0)
                throw Error(at, "a machine takes at least one core of one NUMA node");
            _vmList.Add(new Vm(name, shape, number, shape.TwoNuma ? 0 : first, movable));
        }

        // What machines take and what is free cannot be more than there is. Less is possible: hosts keep some for themselves.
        private void CheckUse()
        {
            var used = new long[_hostList.Count * 2];
            foreach (Vm vm in _vmList)
                for (int n = 0; n < (vm.Shape.TwoNuma ? 2 : 1); n++)
                    used[2 * vm.Host + vm.Numa + n] += vm.Shape.Cores;
            for (int h = 0; h < _hostList.Count; h++)
                for (int n = 0; n < 2; n++)
                {
                    NumaNode node = n == 0 ? _hostList[h].First : _hostList[h].Second;
                    if (used[2 * h + n] + node.FreeCores > node.Cores)
                        throw Error("cluster_list", $"NUMA node {n} of host '{_hostList[h].Name}': {used[2 * h + n]} cores taken and {node.FreeCores} free of {node.Cores}");
                }
        }

        private JsonElement.ArrayEnumerator Items(JsonElement element, string at, string name) =>
            Property(element, at, name) is { ValueKind: JsonValueKind.Array } list ? list.EnumerateArray() : throw Error(Join(at, name), "not a list");

        private string Text(JsonElement element, string at, string name) =>
            Property(element, at, name) is { ValueKind: JsonValueKind.String } text && text.GetString() is { Length: > 0 } value ? value : throw Error(Join(at, name), "not a text");

        private int Whole(JsonElement element, string at, string name, int most)
        {
            JsonElement value = Property(element, at, name);
            // Some files write whole numbers as 4.0.
            if (value.ValueKind != JsonValueKind.Number || !value.TryGetDouble(out double number) || number < 0 || number != Math.Floor(number))
                throw Error(Join(at, name), "not a whole number");
            return number <= most ? (int)number : throw Error(Join(at, name), $"{number} is more than {most}");
        }

        private JsonElement Property(JsonElement element, string at, string name) =>
            element.ValueKind == JsonValueKind.Object && element.TryGetProperty(name, out JsonElement value) ? value : throw Error(at.Length == 0 ? "the document" : at, $"has no '{name}'");

        private static string Join(string at, string name) => at.Length == 0 ? name : $"{at}.{name}";

        private InvalidDataException Error(string at, string what) => new($"{source}: {at}: {what}");
    }
}
