namespace Atoll.Scheduling.Offline;

/// <summary>Free cores and memory of a fleet while machines move. NUMA node n of host h is entry 2h + n.</summary>
public sealed class VmFleetState
{
    private readonly VmFleet _fleet;
    private readonly int[] _place;

    /// <summary>The fleet as the snapshot has it.</summary>
    public VmFleetState(VmFleet fleet)
    {
        _fleet = fleet;
        FreeCores = new int[fleet.Hosts.Length * 2];
        FreeMemoryMb = new int[FreeCores.Length];
        for (int h = 0; h < fleet.Hosts.Length; h++)
        {
            VmHost host = fleet.Hosts[h];
            (FreeCores[2 * h], FreeMemoryMb[2 * h]) = (host.First.FreeCores, host.First.FreeMemoryMb);
            (FreeCores[2 * h + 1], FreeMemoryMb[2 * h + 1]) = (host.Second.FreeCores, host.Second.FreeMemoryMb);
        }
        _place = new int[fleet.Vms.Length];
        for (int v = 0; v < _place.Length; v++)
            _place[v] = 2 * fleet.Vms[v].Host + fleet.Vms[v].Numa;
    }

    /// <summary>Free cores of each NUMA node.</summary>
    public int[] FreeCores { get; }

    /// <summary>Free memory of each NUMA node, in MB.</summary>
    public int[] FreeMemoryMb { get; }

    /// <summary>Where a machine is: the entry of its NUMA node, the first one's for a machine on both.</summary>
    public int PlaceOf(int vm) => _place[vm];

    /// <summary>Shape of a machine.</summary>
    public VmShape ShapeOf(int vm) => _fleet.Vms[vm].Shape;

    /// <summary>Whether a machine of this shape has room at an entry (the host's first for both NUMA nodes).</summary>
    public bool Fits(in VmShape shape, int place) =>
        FreeCores[place] >= shape.Cores && FreeMemoryMb[place] >= shape.MemoryMb
        && (!shape.TwoNuma || ((place & 1) == 0 && FreeCores[place + 1] >= shape.Cores && FreeMemoryMb[place + 1] >= shape.MemoryMb));

    /// <summary>Moves a machine: room is taken at the new place before it is given back at the old one.</summary>
    /// <returns>Null, or why the move is not legal; then nothing has changed.</returns>
    public string? TryMove(int vm, int place)
    {
        Vm machine = _fleet.Vms[vm];
        if (!machine.Movable)
            return $"machine '{machine.Name}' must not be moved";
        if (place == _place[vm])
            return $"machine '{machine.Name}' is there already";
        if (!Fits(machine.Shape, place))
            return $"machine '{machine.Name}' has no room on NUMA node {place & 1} of host '{_fleet.Hosts[place >> 1].Name}'";
        Change(machine.Shape, place, -1);
        Change(machine.Shape, _place[vm], 1);
        _place[vm] = place;
        return null;
    }

    private void Change(in VmShape shape, int place, int sign)
    {
        for (int n = place; n <= place + (shape.TwoNuma ? 1 : 0); n++)
        {
            FreeCores[n] += sign * shape.Cores;
            FreeMemoryMb[n] += sign * shape.MemoryMb;
        }
    }
}
