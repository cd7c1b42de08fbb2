using System.Text.Json;
using Atoll.Api;
using Atoll.Api.Core;
using Atoll.Api.Quantities;
using Atoll.Api.Selectors;

namespace Atoll.Scheduling.Online;

/// <summary>One device of a node.</summary>
internal sealed record PartsDevice(int Column, string Resource, string Id, int Cell, Dictionary<string, string> Attributes, long Memory);

/// <summary>What a pod takes of a node's parts: NUMA cells by their index, devices by theirs.</summary>
internal sealed record PartsClaim(int[] Cells, long CellCpu, long CellMemory, (int Device, int Milli, long Memory)[] Devices)
{
    /// <summary>True when all devices are such as the pod prefers.</summary>
    public bool Liked { get; init; }
}

/// <summary>What is taken of a node's parts.</summary>
internal sealed class PartsUse(int cells, int devices)
{
    public long[] CellCpu { get; } = new long[cells];

    public long[] CellMemory { get; } = new long[cells];

    public int[] Milli { get; } = new int[devices];

    public long[] Memory { get; } = new long[devices];

    public PartsUse Copy()
    {
        var copy = new PartsUse(CellCpu.Length, Milli.Length);
        CellCpu.CopyTo(copy.CellCpu, 0);
        CellMemory.CopyTo(copy.CellMemory, 0);
        Milli.CopyTo(copy.Milli, 0);
        Memory.CopyTo(copy.Memory, 0);
        return copy;
    }

    public void Add(PartsClaim claim)
    {
        foreach (int cell in claim.Cells)
        {
            CellCpu[cell] += claim.CellCpu;
            CellMemory[cell] += claim.CellMemory;
        }
        foreach ((int device, int milli, long memory) in claim.Devices)
        {
            Milli[device] += milli;
            Memory[device] += memory;
        }
    }
}

/// <summary>
/// What a node is made of that cannot be counted in one sum: NUMA cells and single devices. A share of a GPU needs one GPU with
/// enough left, several GPUs need as many idle ones, an aligned pod needs room in one cell (or half in each of two).
/// </summary>
internal sealed class NodeParts
{
    /// <summary>Thousandths of a whole device.</summary>
    public const int WholeDevice = 1000;

    private readonly (int Id, long Cpu, long Memory)[] _cells;
    private readonly int[][] _pairs;

    private NodeParts((int, long, long)[] cells, PartsDevice[] devices, string source)
    {
        Source = source;
        _cells = cells;
        Devices = devices;
        var pairs = new List<int[]>();
        for (int a = 0; a < cells.Length; a++)
            for (int b = a + 1; b < cells.Length; b++)
                pairs.Add([a, b]);
        _pairs = [.. pairs];
    }

    /// <summary>What the node told, to see a change by.</summary>
    public string Source { get; }

    public PartsDevice[] Devices { get; }

    public int CellCount => _cells.Length;

    public static NodeParts? Of(NodeEdge? edge, ResourceNames names)
    {
        if (edge is not { Numa.Count: > 0 } and not { Devices.Count: > 0 })
            return null;
        (int, long, long)[] cells = [.. (edge.Numa ?? []).Select(n => (n.Id, Quantity.Parse(n.Cpu).Milli, Quantity.Parse(n.Memory).Value))];
        var devices = new List<PartsDevice>();
        foreach (NodeDevice device in edge.Devices ?? [])
            devices.Add(new PartsDevice(names.ColumnOf(device.Resource), device.Resource, device.Id, device.Numa is { } numa ? Array.FindIndex(cells, c => c.Item1 == numa) : -1,
                device.Attributes ?? [], Quantity.Parse(device.Attributes?.GetValueOrDefault("memory")).Value));
        return new NodeParts(cells, [.. devices], JsonSerializer.Serialize(new NodeEdge { Numa = edge.Numa, Devices = edge.Devices }, ApiJson.Default.NodeEdge));
    }

    public PartsUse Empty() => new(_cells.Length, Devices.Length);

    /// <summary>Parts for a pod, the tightest that do: fuller cells first, of shares the GPU with least left; null when there are none.</summary>
    public PartsClaim? Choose(PartsNeed need, PartsUse use)
    {
        if (need.Numa == NumaPolicy.Any)
            return ChooseDevices(need, use, null) is { } devices ? new PartsClaim([], 0, 0, devices) { Liked = IsLiked(need, devices) } : null;
        int parts = need.Numa == NumaPolicy.Split ? 2 : 1;
        long cpu = (need.Cpu + parts - 1) / parts, memory = (need.Memory + parts - 1) / parts;
        PartsClaim? best = null;
        long least = long.MaxValue;
        for (int i = 0; i < (parts == 2 ? _pairs.Length : _cells.Length); i++)
        {
            int[] set = parts == 2 ? _pairs[i] : [i];
            long left = 0;
            bool fits = true;
            foreach (int cell in set)
            {
                left += _cells[cell].Cpu - use.CellCpu[cell];
                fits &= use.CellCpu[cell] + cpu <= _cells[cell].Cpu && use.CellMemory[cell] + memory <= _cells[cell].Memory;
            }
            if (fits && left < least && ChooseDevices(need, use, set) is { } devices)
                (best, least) = (new PartsClaim(set, cpu, memory, devices) { Liked = IsLiked(need, devices) }, left);
        }
        return best;
    }

    /// <summary>The claim that an allocation stands for, as far as the node still has those parts.</summary>
    public PartsClaim Resolve(Allocation allocation, PartsNeed need)
    {
        int[] cells = [.. (allocation.Numa ?? []).Select(id => Array.FindIndex(_cells, c => c.Id == id)).Where(c => c >= 0)];
        int parts = Math.Max(1, cells.Length);
        var devices = new List<(int, int, long)>();
        var taken = new HashSet<int>();
        foreach (DeviceNeed wants in need.Devices)
        {
            int left = wants.Count;
            foreach (string id in allocation.Devices?.GetValueOrDefault(wants.Resource) ?? [])
                if (left > 0 && Array.FindIndex(Devices, d => d.Id == id && d.Resource == wants.Resource) is >= 0 and int device && taken.Add(device))
                {
                    devices.Add((device, wants.Milli, wants.Memory));
                    left--;
                }
        }
        return new PartsClaim(cells, (need.Cpu + parts - 1) / parts, (need.Memory + parts - 1) / parts, [.. devices]);
    }

    /// <summary>What is written on the pod.</summary>
    public Allocation Describe(PartsClaim claim)
    {
        var devices = new SortedDictionary<string, List<string>>(StringComparer.Ordinal);
        foreach ((int device, _, _) in claim.Devices)
        {
            PartsDevice its = Devices[device];
            if (!devices.TryGetValue(its.Resource, out List<string>? ids))
                devices.Add(its.Resource, ids = []);
            ids.Add(its.Id);
        }
        return new Allocation { Numa = claim.Cells.Length > 0 ? [.. claim.Cells.Select(c => _cells[c].Id)] : null, Devices = devices.Count > 0 ? devices : null };
    }

    /// <summary>What is left of the GPUs: whole ones' worth, or thousandths, or bytes of their memory.</summary>
    public long GpuLeft(PartsUse use, bool milli, bool memory)
    {
        long left = 0;
        for (int d = 0; d < Devices.Length; d++)
            if (Devices[d].Resource == WellKnown.Gpu)
                // A GPU given whole has none of its memory left.
                left += !memory ? WholeDevice - use.Milli[d] : use.Milli[d] == WholeDevice ? 0 : Devices[d].Memory - use.Memory[d];
        return milli || memory ? left : left / WholeDevice;
    }

    // What is preferred may stand in the way of what is needed.
    private (int, int, long)[]? ChooseDevices(PartsNeed need, PartsUse use, int[]? cells) =>
        ChooseDevices(need.Devices, use, cells) ?? (Array.Exists(need.Devices, d => d.Preference is not null) ? ChooseDevices(Array.ConvertAll(need.Devices, d => d with { Preference = null }), use, cells) : null);

    private (int, int, long)[]? ChooseDevices(DeviceNeed[] needs, PartsUse use, int[]? cells)
    {
        if (needs.Length == 0)
            return [];
        var chosen = new List<(int Device, int Milli, long Memory)>();
        foreach (DeviceNeed wants in needs)
            // Of what the node does not tell one by one, amounts are all there is.
            for (int n = 0; n < wants.Count && Array.Exists(Devices, d => d.Column == wants.Column); n++)
            {
                int best = -1;
                for (int d = 0; d < Devices.Length; d++)
                    if (Suits(d, wants, use, cells) && !chosen.Exists(c => c.Device == d) && (best < 0 || IsBetter(d, best, wants, use)))
                        best = d;
                if (best < 0)
                    return null;
                chosen.Add((best, wants.Milli, wants.Memory));
            }
        return [.. chosen];
    }

    private bool IsLiked(PartsNeed need, (int Device, int, long)[] devices)
    {
        bool any = false;
        foreach (DeviceNeed wants in need.Devices)
            if (wants.Preference is { } preference)
                foreach ((int device, _, _) in devices)
                {
                    if (Devices[device].Column == wants.Column && !preference.Matches(Devices[device].Attributes))
                        return false;
                    any = true;
                }
        return any;
    }

    private bool Suits(int device, DeviceNeed wants, PartsUse use, int[]? cells)
    {
        PartsDevice its = Devices[device];
        if (its.Column != wants.Column || use.Milli[device] + wants.Milli > WholeDevice || (wants.IsWhole && use.Memory[device] > 0))
            return false;
        if (wants.Memory > 0 && use.Memory[device] + wants.Memory > its.Memory)
            return false;
        if (cells is not null && its.Cell >= 0 && Array.IndexOf(cells, its.Cell) < 0)
            return false;
        return wants.Selector?.Matches(its.Attributes) != false;
    }

    // What is preferred, then the tightest, then the first.
    private bool IsBetter(int device, int than, DeviceNeed wants, PartsUse use)
    {
        bool liked = wants.Preference?.Matches(Devices[device].Attributes) == true, other = wants.Preference?.Matches(Devices[than].Attributes) == true;
        return liked != other ? liked : use.Milli[device] > use.Milli[than];
    }
}

/// <summary>So many devices of a resource, each so much of it.</summary>
internal sealed record DeviceNeed(int Column, string Resource, int Count, int Milli, long Memory, LabelSelector? Selector, LabelSelector? Preference)
{
    public bool IsWhole => Milli == NodeParts.WholeDevice && Memory == 0;
}

/// <summary>What a pod asks of a node's parts.</summary>
internal sealed record PartsNeed(NumaPolicy Numa, long Cpu, long Memory, DeviceNeed[] Devices)
{
    /// <summary>The need of a pod that takes <paramref name="demand"/> of a node; null when it asks for no parts.</summary>
    public static PartsNeed? Of(long[] demand, PodWants? wants, ResourceNames names, IReadOnlyCollection<int> deviceColumns)
    {
        List<DeviceNeed>? devices = null;
        Dictionary<string, LabelSelector>? must = null, should = null;
        foreach (int column in deviceColumns)
        {
            string name = names[column];
            long whole = At(demand, column), milli = 0, memory = 0;
            if (name == WellKnown.Gpu)
                (milli, memory) = (At(demand, names.Find(WellKnown.GpuMilli)), At(demand, names.Find(WellKnown.GpuMemory)));
            if (whole + milli + memory == 0)
                continue;
            if (must is null)
            {
                DeviceSelectors.TryParse(wants?.Devices, out must, out _);
                DeviceSelectors.TryParse(wants?.Preference, out should, out _);
            }
            devices ??= [];
            // The share first: it takes a GPU that is in use already where it can, and leaves idle ones.
            if (milli + memory > 0)
                devices.Add(Make(1, (int)Math.Clamp(milli, 1, int.MaxValue / 2), memory));
            if (whole > 0)
                devices.Add(Make((int)Math.Min(whole, int.MaxValue), NodeParts.WholeDevice, 0));

            DeviceNeed Make(int count, int each, long bytes) => new(column, name, count, each, bytes, must.GetValueOrDefault(name), should?.GetValueOrDefault(name));
        }
        NumaPolicy numa = wants?.Numa ?? NumaPolicy.Any;
        return devices is null && numa == NumaPolicy.Any ? null : new PartsNeed(numa, demand[ResourceNames.Cpu], demand[ResourceNames.Memory], devices is null ? [] : [.. devices]);
    }

    private static long At(long[] amounts, int column) => column >= 0 && column < amounts.Length ? amounts[column] : 0;
}
