using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Objects;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Checking;

/// <summary>What pods take of single devices and NUMA nodes, written down plainly: every way to choose is tried.</summary>
internal static class PlainParts
{
    private const int Whole = 1000;

    /// <summary>Why a node has no parts for a pod beside those that are there; null when it has, or the pod asks for none.</summary>
    public static string? Reason(KubeObject value, Node node, long coresMilli, IReadOnlyList<PlainPod> there, Func<PlainPod, long> coresOf)
    {
        string policy = value.Metadata.Annotation(Flavours.NumaAnnotation) ?? "";
        bool aligned = policy is "single" or "split";
        if (node.Status?.Edge is not { } edge || (edge.Devices is null && edge.Numa is null))
            return aligned ? "node(s) had no room in NUMA nodes as asked for" : null;
        (Dictionary<string, (int Milli, long Memory)> taken, Dictionary<int, (long Cpu, long Memory)> cells) = Taken(edge, there, coresOf);
        PodSpec spec = value.View(ApiJson.Default.Pod).Spec;
        long memory = (long)(PlainFleet.Need(spec, "memory") / 1000);
        bool anyCells = !aligned;
        foreach (int[] set in Sets(edge, policy))
        {
            bool room = true;
            foreach (int id in set)
            {
                NumaNode cell = edge.Numa!.Find(n => n.Id == id)!;
                (long cpu, long used) = cells.GetValueOrDefault(id);
                room &= cpu + Share(coresMilli, set.Length) <= Quantity.Parse(cell.Cpu).Milli && used + Share(memory, set.Length) <= Quantity.Parse(cell.Memory).Value;
            }
            anyCells |= room;
            if (room && DevicesFit(value, spec, edge, taken, aligned ? set : null))
                return null;
        }
        return anyCells ? "node(s) had no free devices that suit" : "node(s) had no room in NUMA nodes as asked for";
    }

    /// <summary>What is wrong with the parts that a plan gave a pod; null when they are as asked for.</summary>
    public static string? Check(KubeObject value, Node node, Allocation? given, long coresMilli, IReadOnlyList<PlainPod> there, Func<PlainPod, long> coresOf)
    {
        if (node.Status?.Edge is not { } edge)
            return null;
        (Dictionary<string, (int Milli, long Memory)> taken, Dictionary<int, (long Cpu, long Memory)> cells) = Taken(edge, [.. there, new PlainPod(value, node.Metadata.Name!, false) { Given = given }], coresOf, coresMilli);
        foreach (NodeDevice device in edge.Devices ?? [])
            if (taken.GetValueOrDefault(device.Id) is var use && (use.Milli > Whole || (use.Memory > 0 && use.Memory > Quantity.Parse(device.Attributes?.GetValueOrDefault("memory")).Value)))
                return $"device {device.Id} is given away {use.Milli} thousandths and {use.Memory} bytes.";
        foreach (NumaNode cell in edge.Numa ?? [])
            if (cells.GetValueOrDefault(cell.Id) is var use && (use.Cpu > Quantity.Parse(cell.Cpu).Milli || use.Memory > Quantity.Parse(cell.Memory).Value))
                return $"NUMA node {cell.Id} is given away {use.Cpu} thousandths of a core and {use.Memory} bytes.";
        string policy = value.Metadata.Annotation(Flavours.NumaAnnotation) ?? "";
        if ((given?.Numa?.Distinct().Count() ?? 0) != (policy == "single" ? 1 : policy == "split" ? 2 : 0))
            return $"policy \"{policy}\" got {given?.Numa?.Count ?? 0} NUMA nodes.";
        if (given?.Numa?.Exists(id => edge.Numa?.Exists(n => n.Id == id) != true) == true || given?.Devices?.Keys.Any(r => !Asked(value.View(ApiJson.Default.Pod).Spec, edge).Exists(a => a.Resource == r)) == true)
            return "it got NUMA nodes that are not there, or devices that it did not ask for.";
        foreach ((string resource, int count, _, _) in Asked(value.View(ApiJson.Default.Pod).Spec, edge))
        {
            List<string> ids = given?.Devices?.GetValueOrDefault(resource) ?? [];
            if (ids.Distinct().Count() != Asked(value.View(ApiJson.Default.Pod).Spec, edge).Where(a => a.Resource == resource).Sum(a => a.Count) || count < 1)
                return $"it got {ids.Count} of {resource}.";
            foreach (string id in ids)
                if (edge.Devices!.Find(d => d.Id == id && d.Resource == resource) is not { } device)
                    return $"there is no device {id}.";
                else if (!Suits(value, device))
                    return $"device {id} does not suit.";
                else if (given!.Numa is { } numa && device.Numa is { } on && !numa.Contains(on))
                    return $"device {id} hangs on NUMA node {on}.";
        }
        return null;
    }

    private static IEnumerable<int[]> Sets(NodeEdge edge, string policy)
    {
        int[] ids = [.. (edge.Numa ?? []).Select(n => n.Id)];
        return policy switch
        {
            "single" => ids.Select(i => (int[])[i]),
            "split" => ids.SelectMany(a => ids.Where(b => b > a).Select(b => (int[])[a, b])),
            _ => [[]],
        };
    }

    private static bool DevicesFit(KubeObject value, PodSpec spec, NodeEdge edge, Dictionary<string, (int Milli, long Memory)> taken, int[]? cells)
    {
        List<(string Resource, int Count, int Milli, long Memory)> asked = Asked(spec, edge);
        return Place([.. asked.SelectMany(a => Enumerable.Repeat((a.Resource, a.Milli, a.Memory), a.Count))], 0, []);

        // Every way to give the devices out; equal whole ones only in one order.
        bool Place(List<(string Resource, int Milli, long Memory)> units, int at, List<string> used)
        {
            if (at == units.Count)
                return true;
            (string resource, int milli, long memory) = units[at];
            foreach (NodeDevice device in edge.Devices ?? [])
            {
                (int gone, long bytes) = taken.GetValueOrDefault(device.Id);
                if (device.Resource != resource || used.Contains(device.Id) || gone + milli > Whole || (milli == Whole && memory == 0 && bytes > 0) || !Suits(value, device)
                    || (memory > 0 && bytes + memory > Quantity.Parse(device.Attributes?.GetValueOrDefault("memory")).Value)
                    || (cells is not null && device.Numa is { } on && edge.Numa!.Exists(n => n.Id == on) && !cells.Contains(on)))
                    continue;
                if (Place(units, at + 1, [.. used, device.Id]))
                    return true;
            }
            return false;
        }
    }

    private static bool Suits(KubeObject value, NodeDevice device) =>
        !DeviceSelectors.TryParse(value.Metadata.Annotation(Flavours.DeviceAnnotation), out Dictionary<string, LabelSelector> must, out _)
        || must.GetValueOrDefault(device.Resource)?.Matches(device.Attributes) != false;

    private static List<(string Resource, int Count, int Milli, long Memory)> Asked(PodSpec spec, NodeEdge edge)
    {
        var asked = new List<(string, int, int, long)>();
        foreach (string resource in (edge.Devices ?? []).Select(d => d.Resource).Distinct())
        {
            if (resource == WellKnown.Gpu && (Of(WellKnown.GpuMilli), Of(WellKnown.GpuMemory)) is var (milli, memory) && milli + memory > 0)
                asked.Add((resource, 1, (int)Math.Max(1, milli), memory));
            if (Of(resource) is > 0 and long whole)
                asked.Add((resource, (int)whole, Whole, 0));
        }
        return asked;

        long Of(string name) => (long)((PlainFleet.Need(spec, name) + 999) / 1000);
    }

    private static (Dictionary<string, (int, long)>, Dictionary<int, (long, long)>) Taken(NodeEdge edge, IReadOnlyList<PlainPod> there, Func<PlainPod, long> coresOf, long? lastCores = null)
    {
        var devices = new Dictionary<string, (int Milli, long Memory)>(StringComparer.Ordinal);
        var cells = new Dictionary<int, (long Cpu, long Memory)>();
        for (int i = 0; i < there.Count; i++)
        {
            PlainPod pod = there[i];
            if (pod.Given is not { } given)
                continue;
            PodSpec spec = pod.View.Spec;
            long cores = i == there.Count - 1 && lastCores is { } known ? known : coresOf(pod), memory = (long)(PlainFleet.Need(spec, "memory") / 1000);
            foreach (int id in given.Numa ?? [])
                cells[id] = (cells.GetValueOrDefault(id).Cpu + Share(cores, given.Numa!.Count), cells.GetValueOrDefault(id).Memory + Share(memory, given.Numa.Count));
            var left = new Dictionary<string, Queue<string>>((given.Devices ?? []).Select(d => new KeyValuePair<string, Queue<string>>(d.Key, new Queue<string>(d.Value))), StringComparer.Ordinal);
            foreach ((string resource, int count, int milli, long bytes) in Asked(spec, edge))
                for (int n = 0; n < count && left.TryGetValue(resource, out Queue<string>? ids) && ids.TryDequeue(out string? id); n++)
                    devices[id] = (devices.GetValueOrDefault(id).Milli + milli, devices.GetValueOrDefault(id).Memory + bytes);
        }
        return (devices, cells);
    }

    private static long Share(long amount, int parts) => (amount + parts - 1) / Math.Max(1, parts);
}
