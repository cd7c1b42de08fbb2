namespace Atoll.Scheduling.Offline;

/// <summary>What one kind of host could do in a plan: which machines leave, which room it offers, and the blocks that it gains.</summary>
internal sealed class HostPattern
{
    /// <summary>Machines that leave, by place kind (see <see cref="PlaceKinds"/>), ascending, with repetition.</summary>
    public required byte[] Outs { get; init; }

    /// <summary>Machines that it offers room for, likewise.</summary>
    public required byte[] Ins { get; init; }

    /// <summary>Blocks afterwards less blocks before.</summary>
    public required int Gain { get; init; }
}

/// <summary>
/// Shapes of a fleet, and the ways to be on a host: shape s on NUMA node 0 is kind 2s, on node 1 kind 2s + 1; on both is 2s.
/// </summary>
internal sealed class PlaceKinds
{
    /// <summary>Shapes at most: kinds are bytes.</summary>
    public const int MaxShapes = 100;

    private readonly Dictionary<VmShape, int> _numbers = [];

    public PlaceKinds(VmFleet fleet)
    {
        ShapeOf = new int[fleet.Vms.Length];
        var shapes = new List<VmShape>();
        for (int v = 0; v < ShapeOf.Length; v++)
        {
            VmShape shape = fleet.Vms[v].Shape;
            if (!_numbers.TryGetValue(shape, out ShapeOf[v]))
            {
                _numbers.Add(shape, ShapeOf[v] = shapes.Count);
                shapes.Add(shape);
            }
        }
        Shapes = [.. shapes];
        if (Shapes.Length > MaxShapes)
            throw new ArgumentException($"A snapshot has at most {MaxShapes} shapes of machines; this one has {Shapes.Length}.", nameof(fleet));
    }

    public VmShape[] Shapes { get; }

    /// <summary>Shape of each machine.</summary>
    public int[] ShapeOf { get; }
}

/// <summary>Hosts that cannot be told apart: same free cores, and as many machines of each kind (counted up to a bound).</summary>
internal sealed class HostClass
{
    /// <summary>Machines that leave one host in one plan at most.</summary>
    public const int MostOuts = 4;

    public required int FreeA { get; init; }

    public required int FreeB { get; init; }

    /// <summary>Free memory in MB; beyond all need where it can never be what is missing.</summary>
    public required int MemoryA { get; init; }

    /// <inheritdoc cref="MemoryA"/>
    public required int MemoryB { get; init; }

    /// <summary>Movable machines by place kind, counted up to <see cref="MostOuts"/>.</summary>
    public required byte[] Counts { get; init; }

    public List<int> Hosts { get; } = [];

    /// <summary>Choices of machines that leave.</summary>
    public List<(byte[] Outs, int FreeA, int FreeB)> Leaving { get; } = [];

    /// <summary>Those of <see cref="Leaving"/> that were near the best when all were last looked at.</summary>
    public List<(byte[] Outs, int FreeA, int FreeB)> Active { get; } = [];

    /// <summary>Patterns met so far, without repetition.</summary>
    public List<HostPattern> Patterns { get; } = [];

    private readonly HashSet<string> _seen = [];

    /// <summary>Fills <see cref="Leaving"/>, fewer machines first. False when there are more choices than <paramref name="most"/>: then so many are there.</summary>
    public bool Enumerate(VmShape[] shapes, int most)
    {
        Leaving.Add(([], FreeA, FreeB));
        for (int first = 0, outs = 1; outs <= MostOuts; outs++)
        {
            int last = Leaving.Count;
            for (; first < last; first++)
                if (!Extend(shapes, Leaving[first], most))
                    return false;
        }
        return true;
    }

    // Each choice that has one machine more than another, of its last kind or a later one.
    private bool Extend(VmShape[] shapes, (byte[] Outs, int A, int B) those, int most)
    {
        byte[] outs = those.Outs;
        for (int kind = outs.Length == 0 ? 0 : outs[^1]; kind < Counts.Length; kind++)
        {
            int used = 0;
            foreach (byte other in outs)
                if (other == kind)
                    used++;
            if (used == Counts[kind])
                continue;
            if (Leaving.Count == most)
                return false;
            VmShape shape = shapes[kind >> 1];
            bool onB = !shape.TwoNuma && (kind & 1) == 1;
            Leaving.Add(([.. outs, (byte)kind], onB ? those.A : those.A + shape.Cores, onB || shape.TwoNuma ? those.B + shape.Cores : those.B));
        }
        return true;
    }

    public bool HasMemory(VmShape[] shapes, byte[] outs, byte[] ins)
    {
        long a = MemoryA, b = MemoryB;
        foreach (byte kind in outs)
            Add(kind, 1);
        foreach (byte kind in ins)
            Add(kind, -1);
        return a >= 0 && b >= 0;

        void Add(byte kind, int sign)
        {
            VmShape shape = shapes[kind >> 1];
            if (shape.TwoNuma || (kind & 1) == 0)
                a += sign * shape.MemoryMb;
            if (shape.TwoNuma || (kind & 1) == 1)
                b += sign * shape.MemoryMb;
        }
    }

    public void Keep(byte[] outs, byte[] ins, int gain)
    {
        Span<char> key = stackalloc char[outs.Length + ins.Length + 1];
        for (int i = 0; i < outs.Length; i++)
            key[i] = (char)(outs[i] + 1);
        for (int i = 0; i < ins.Length; i++)
            key[outs.Length + 1 + i] = (char)(ins[i] + 1);
        if (_seen.Add(new string(key)))
            Patterns.Add(new HostPattern { Outs = outs, Ins = ins, Gain = gain });
    }
}
