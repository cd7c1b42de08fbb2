using Atoll.Api.Core;
using Atoll.Api.Quantities;

namespace Atoll.Scheduling.Online;

/// <summary>
/// Resources by number: the columns of a snapshot. Amounts are whole numbers: cpu in millicores, everything else in units
/// (bytes of memory, devices), rounded up for requests.
/// </summary>
public sealed class ResourceNames
{
    /// <summary>Column of cpu.</summary>
    public const int Cpu = 0;

    /// <summary>Column of memory.</summary>
    public const int Memory = 1;

    /// <summary>Column of pods: each pod takes one.</summary>
    public const int Pods = 2;

    /// <summary>
    /// What a node has, and a pod asks for, counts as at most this, which is more than there is of anything: so thousands of pods that
    /// ask for the largest amounts there can be are still summed right.
    /// </summary>
    internal const long Most = 1L << 52;

    private const int Remembered = 4096;
    private const long ScoredCpu = 100, ScoredMemory = 200L << 20;

    private readonly Dictionary<string, int> _columns = new(StringComparer.Ordinal) { ["cpu"] = Cpu, ["memory"] = Memory, ["pods"] = Pods, [WellKnown.Compute] = Compute };
    private readonly List<string> _names = ["cpu", "memory", "pods", WellKnown.Compute];
    private readonly Dictionary<string, Quantity> _read = new(StringComparer.Ordinal);

    /// <summary>Column of normalised cores (edge.atoll.dev/compute), in thousandths.</summary>
    internal const int Compute = 3;

    /// <summary>Column of a name, or −1.</summary>
    internal int Find(string name) => _columns.TryGetValue(name, out int column) ? column : -1;

    /// <summary>How many resources are known.</summary>
    public int Count => _names.Count;

    /// <summary>Name of a column.</summary>
    public string this[int column] => _names[column];

    /// <summary>True when a shortage of column a is told before one of b, in whatever order names became known: cpu, memory, pods and compute, then by name.</summary>
    internal bool Precedes(int a, int b) => a <= Compute || b <= Compute ? a < b : string.CompareOrdinal(_names[a], _names[b]) < 0;

    /// <summary>The same names, to which new ones may be added without touching these.</summary>
    public ResourceNames Copy()
    {
        var copy = new ResourceNames();
        foreach (string name in _names)
            copy.ColumnOf(name);
        return copy;
    }

    /// <summary>Column of a name, made when it is new.</summary>
    public int ColumnOf(string name)
    {
        if (!_columns.TryGetValue(name, out int column))
        {
            _columns.Add(name, column = _names.Count);
            _names.Add(name);
        }
        return column;
    }

    /// <summary>Amounts of a resource list, by column.</summary>
    public long[] Read(IReadOnlyDictionary<string, string>? list)
    {
        var amounts = new long[Count];
        if (list is not null)
            foreach (KeyValuePair<string, string> pair in list)
                Set(ref amounts, ColumnOf(pair.Key), Amount(pair.Key, pair.Value));
        return amounts;
    }

    /// <summary>
    /// What a pod takes from a node (Kubernetes' rule): the sum of its containers and sidecars, or the largest need while an init
    /// container runs if that is more, plus overhead, plus one pod.
    /// </summary>
    public long[] RequestsOf(PodSpec spec)
    {
        ArgumentNullException.ThrowIfNull(spec);
        long[] sum = new long[Count], sidecars = new long[Count], peak = new long[Count];
        foreach (Container container in spec.Containers)
            Add(ref sum, Requests(container));
        foreach (Container container in spec.InitContainers ?? [])
        {
            long[] own = Requests(container);
            if (container.RestartPolicy == "Always")
            {
                Add(ref sum, own);
                Add(ref sidecars, own);
                Max(ref peak, sidecars);
            }
            else
            {
                long[] now = [.. sidecars];
                Add(ref now, own);
                Max(ref peak, now);
            }
        }
        Max(ref sum, peak);
        Add(ref sum, Read(spec.Overhead));
        Set(ref sum, Pods, 1);
        return sum;
    }

    /// <summary>
    /// Cpu and memory that a pod counts with in scores: a container that asks for none counts with 100m and 200 MiB, as in
    /// Kubernetes, so that such pods spread too.
    /// </summary>
    internal (long Cpu, long Memory) ScoredOf(PodSpec spec)
    {
        long cpu = 0, memory = 0, peakCpu = 0, peakMemory = 0, sideCpu = 0, sideMemory = 0;
        foreach (Container container in spec.Containers)
        {
            cpu += Scored(container, "cpu", ScoredCpu);
            memory += Scored(container, "memory", ScoredMemory);
        }
        foreach (Container container in spec.InitContainers ?? [])
        {
            long ownCpu = Scored(container, "cpu", ScoredCpu), ownMemory = Scored(container, "memory", ScoredMemory);
            peakCpu = Math.Max(peakCpu, sideCpu + ownCpu);
            peakMemory = Math.Max(peakMemory, sideMemory + ownMemory);
            if (container.RestartPolicy == "Always")
            {
                sideCpu += ownCpu;
                sideMemory += ownMemory;
            }
        }
        cpu = Math.Max(cpu + sideCpu, peakCpu);
        memory = Math.Max(memory + sideMemory, peakMemory);
        return spec.Overhead is null ? (cpu, memory) : (cpu + Of("cpu"), memory + Of("memory"));

        long Of(string name) => spec.Overhead.TryGetValue(name, out string? value) ? Math.Min(Most, Amount(name, value)) : 0;
    }

    private long Scored(Container container, string name, long otherwise) =>
        container.Resources?.Requests?.TryGetValue(name, out string? value) == true || container.Resources?.Limits?.TryGetValue(name, out value) == true ? Math.Min(Most, Amount(name, value!))
            // Normalised cores count like cores in scores.
            : name == "cpu" && container.Resources?.Requests?.TryGetValue(WellKnown.Compute, out value) == true ? Math.Min(Most, Amount(WellKnown.Compute, value!))
            // What batch takes was reserved by others, and is counted with them.
            : container.Resources?.Requests?.ContainsKey(WellKnown.BatchCpu) == true ? 0 : otherwise;

    private long[] Requests(Container container)
    {
        long[] amounts = Read(container.Resources?.Requests);
        // A limit without a request is a request of the same amount.
        if (container.Resources?.Limits is { } limits)
            foreach (KeyValuePair<string, string> pair in limits)
                if (container.Resources.Requests?.ContainsKey(pair.Key) != true)
                    Set(ref amounts, ColumnOf(pair.Key), Amount(pair.Key, pair.Value));
        return amounts;
    }

    // The same few texts come again and again, and reading one exactly takes arithmetic of any size.
    private long Amount(string name, string value)
    {
        if (!_read.TryGetValue(value, out Quantity amount))
        {
            amount = Quantity.Parse(value);
            if (_read.Count >= Remembered)
                _read.Clear();
            _read.Add(value, amount);
        }
        return name is "cpu" or WellKnown.Compute ? amount.Milli : amount.Value;
    }

    private static void Add(ref long[] to, long[] from)
    {
        for (int i = 0; i < from.Length; i++)
            if (from[i] != 0)
                Set(ref to, i, Math.Min(Most, (i < to.Length ? to[i] : 0) + Math.Min(Most, from[i])));
    }

    private static void Max(ref long[] to, long[] from)
    {
        for (int i = 0; i < from.Length; i++)
            if (from[i] > (i < to.Length ? to[i] : 0))
                Set(ref to, i, from[i]);
    }

    private static void Set(ref long[] amounts, int column, long value)
    {
        if (column >= amounts.Length)
            Array.Resize(ref amounts, column + 1);
        amounts[column] = value;
    }
}
