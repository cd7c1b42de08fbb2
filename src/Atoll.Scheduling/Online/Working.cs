using System.Numerics;

namespace Atoll.Scheduling.Online;

/// <summary>
/// What a plan has filled so far, over a snapshot that it leaves alone: columns that are copied page by page where the plan
/// writes, and the log of what was placed, which each class of pods follows at its own pace.
/// </summary>
internal sealed partial class Working : IDisposable
{
    private readonly Dictionary<int, List<(HostPorts Ports, PodRow? Promise)>> _ports = [];
    private List<Entry>? _journal;

    public Working(Snapshot snapshot, int seed)
    {
        Snapshot = snapshot;
        Resources = snapshot.Resources.Copy();
        Quotas = snapshot.Quotas.Copy();
        Reserved = new ReservedRoom(snapshot);
        Volumes = new VolumeBook(snapshot);
        Requested = snapshot.Requested.ConvertAll(c => c.Over());
        ScoredCpu = snapshot.Scored[0].Over();
        ScoredMemory = snapshot.Scored[1].Over();
        Ties = Pool.Uints(snapshot.Rows);
        for (int first = 0; first < snapshot.Rows; first += Column<uint>.Size)
            Mix(snapshot.Hashes.PageOf(first).AsSpan(0, Math.Min(Column<uint>.Size, snapshot.Rows - first)), (uint)seed * 0x9E3779B9u, Ties.AsSpan(first));
    }

    public Snapshot Snapshot { get; }

    public Pool Pool { get; } = new();

    /// <summary>The snapshot's names, and those that only pending pods ask for: no node has any of these.</summary>
    public ResourceNames Resources { get; }

    /// <summary>Elastic quotas, with what the plan placed.</summary>
    public QuotaBook Quotas { get; }

    /// <summary>Reservations, less what the plan placed in them.</summary>
    public ReservedRoom Reserved { get; }

    public List<Column<long>> Requested { get; }

    public Column<long> ScoredCpu { get; }

    public Column<long> ScoredMemory { get; }

    /// <summary>Order among rows of equal score: the lowest wins.</summary>
    public uint[] Ties { get; }

    public List<Change> Log { get; } = [];

    /// <summary>Grows with every change, also of what no row has: an answer holds while it stays.</summary>
    public int Changes { get; private set; }

    /// <summary>Promises of the snapshot that the plan has taken back, because it plans their pods.</summary>
    public HashSet<PodRow> Released { get; } = [];

    /// <summary>What is decided about claims.</summary>
    public VolumeBook Volumes { get; }

    /// <summary>True once any pod of the fleet or the plan says something of other pods.</summary>
    public bool AnyTerms { get; set; }

    public long AllocatableOf(int resource, int row) => resource < Snapshot.Allocatable.Count ? Snapshot.Allocatable[resource][row] : 0;

    public long RequestedOf(int resource, int row) => resource < Requested.Count ? Requested[resource][row] : 0;

    /// <summary>True when row a comes before row b among equals.</summary>
    public bool Precedes(int a, int b) =>
        Ties[a] != Ties[b] ? Ties[a] < Ties[b] : string.CompareOrdinal(Snapshot.Nodes[a]!.Name, Snapshot.Nodes[b]!.Name) < 0;

    /// <summary>A pod counts on a row from here on, or (sign −1) no longer; with <paramref name="promise"/> only until a greater one comes.</summary>
    public void Count(int row, PodGroup group, long[] requests, long scoredCpu, long scoredMemory, HostPorts ports, int sign, PodRow? promise = null, string? reservation = null, long[]? asked = null)
    {
        var entry = new Entry(row, group, requests, scoredCpu, scoredMemory, ports, sign, null)
        {
            Asked = asked ?? requests,
            Reservation = reservation, Taken = reservation is null ? null : Reserved.TakenOf(reservation, requests),
        };
        _journal?.Add(entry);
        Apply(entry, sign);
        if (!ports.IsEmpty && sign > 0)
        {
            if (!_ports.TryGetValue(row, out List<(HostPorts, PodRow?)>? planned))
                _ports[row] = planned = [];
            planned.Add((ports, promise));
        }
    }

    /// <summary>What was promised to a pod of the snapshot counts no longer: it is the pod's own turn. On a node that is gone (row −1) that was its quota alone. False when that was done before.</summary>
    public bool Release(PodRow promised, int row)
    {
        if (!Released.Add(promised))
            return false;
        _uses.Remove(row);
        var entry = new Entry(row, promised.Group, row < 0 ? promised.Requests : Snapshot.DemandOf(promised.Requests, promised.Wants?.Whole == true, row), promised.ScoredCpu, promised.ScoredMemory, HostPorts.None, -1, promised) { Asked = promised.Requests };
        _journal?.Add(entry);
        Apply(entry, -1);
        return true;
    }

    /// <summary>From here on what is counted can be taken back, until <see cref="Keep"/>.</summary>
    public void Mark()
    {
        (_journal, _claimed) = ([], []);
        Volumes.Mark();
    }

    /// <summary>What was counted since <see cref="Mark"/> stays.</summary>
    public void Keep() => (_journal, _claimed) = (null, null);

    /// <summary>Takes back everything since <see cref="Mark"/>. The log grows by the opposite of each change, so that whoever follows it ends where it was.</summary>
    public void Undo()
    {
        for (int i = _journal!.Count - 1; i >= 0; i--)
        {
            Entry entry = _journal[i];
            if (entry.Released is not null)
            {
                Released.Remove(entry.Released);
                _uses.Remove(entry.Row);
            }
            else if (!entry.Ports.IsEmpty && entry.Sign > 0)
                _ports[entry.Row].RemoveAt(_ports[entry.Row].Count - 1);
            Apply(entry, -entry.Sign);
        }
        _journal.Clear();
        Volumes.Undo();
        Unclaim();
    }

    private void Apply(in Entry entry, int sign)
    {
        (int row, long[] requests) = (entry.Row, entry.Requests);
        Changes++;
        // Quotas count what pods ask for, whatever it comes to on a node, and whether or not that is there.
        Quotas.Count(entry.Group, entry.Asked, sign);
        if (row < 0)
            return;
        while (Requested.Count < requests.Length)
            Requested.Add(new());
        for (int r = 0; r < requests.Length; r++)
            if (requests[r] != 0)
                Requested[r].At(row) += sign * requests[r];
        ScoredCpu.At(row) += sign * entry.ScoredCpu;
        ScoredMemory.At(row) += sign * entry.ScoredMemory;
        AnyTerms |= !entry.Group.Terms.IsEmpty;
        // What comes out of a reservation counts there already.
        if (entry.Taken is { } taken)
        {
            for (int r = 0; r < taken.Length; r++)
                if (taken[r] != 0)
                    Requested[r].At(row) -= sign * taken[r];
            ScoredCpu.At(row) -= sign * taken[ResourceNames.Cpu];
            ScoredMemory.At(row) -= sign * taken[ResourceNames.Memory];
            Reserved.Count(entry.Reservation!, taken, requests, sign);
        }
        Log.Add(new Change(row, entry.Group, sign));
    }

    /// <summary>True when a pod that stays on the row, or was planned there, has one of the ports.</summary>
    public bool PortsTaken(HostPorts ports, int row, Func<PodRow, bool>? gone = null)
    {
        foreach (PodRow pod in Snapshot.PodsAt[row] ?? [])
            if (!pod.Ports.IsEmpty && ports.Conflicts(pod.Ports) && gone?.Invoke(pod) != true && !Released.Contains(pod))
                return true;
        if (_ports.TryGetValue(row, out List<(HostPorts, PodRow?)>? planned))
            foreach ((HostPorts other, PodRow? promise) in planned)
                if (ports.Conflicts(other) && (promise is null || gone?.Invoke(promise) != true))
                    return true;
        return false;
    }

    public void Dispose() => Pool.Dispose();

    private static void Mix(ReadOnlySpan<uint> hashes, uint seed, Span<uint> into)
    {
        int i = 0;
        for (; i <= hashes.Length - Vector<uint>.Count; i += Vector<uint>.Count)
        {
            Vector<uint> h = new Vector<uint>(hashes[i..]) ^ new Vector<uint>(seed);
            h = (h ^ (h >> 16)) * new Vector<uint>(0x85ebca6bu);
            h = (h ^ (h >> 13)) * new Vector<uint>(0xc2b2ae35u);
            (h ^ (h >> 16)).CopyTo(into[i..]);
        }
        for (; i < hashes.Length; i++)
        {
            uint h = hashes[i] ^ seed;
            h = (h ^ (h >> 16)) * 0x85ebca6bu;
            h = (h ^ (h >> 13)) * 0xc2b2ae35u;
            into[i] = h ^ (h >> 16);
        }
    }

    private readonly record struct Entry(int Row, PodGroup Group, long[] Requests, long ScoredCpu, long ScoredMemory, HostPorts Ports, int Sign, PodRow? Released)
    {
        public string? Reservation { get; init; }

        public required long[] Asked { get; init; }

        public long[]? Taken { get; init; }
    }

    /// <summary>One pod came to a row or went.</summary>
    internal readonly record struct Change(int Row, PodGroup Group, int Sign);
}
