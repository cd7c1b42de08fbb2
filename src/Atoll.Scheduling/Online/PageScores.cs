using System.Numerics;

namespace Atoll.Scheduling.Online;

/// <summary>
/// The scores of pods that ask for nothing but cpu, memory and their place, scored as Kubernetes does by default (LeastAllocated of
/// cpu and memory, and their balance), for a page of rows at once and several rows with each instruction. The numbers are those
/// of <see cref="ResourceScores"/>: amounts are whole numbers that a double holds, and a quotient of such numbers is never
/// rounded up to the next whole one.
/// </summary>
/// <param name="needs">What a pod asks for, by column.</param>
/// <param name="scored">Cpu and memory as they count in scores.</param>
/// <param name="fit">Weight of NodeResourcesFit.</param>
/// <param name="balance">Weight of NodeResourcesBalancedAllocation; 0 when it does not count.</param>
internal sealed class PageScores((long Cpu, long Memory) needs, (long Cpu, long Memory) scored, int fit, int balance)
{
    // Whole numbers below this, times a hundred, are exact as doubles.
    private const int MostBits = 46;
    private const double TwoTo52 = 1L << 52;

    // Nothing is short of what is not asked for.
    private readonly Vector<long> _shortCpu = new(needs.Cpu > 0 ? needs.Cpu : long.MinValue), _shortMemory = new(needs.Memory > 0 ? needs.Memory : long.MinValue);

    /// <summary>
    /// Scores every row of a page, −1 where something is short. False, and nothing of use, when the page has amounts that need
    /// other arithmetic: larger than 2^46 (64 TiB of memory), negative, or a node with places but no cpu or no memory.
    /// </summary>
    public bool TryFill(in AmountPage page, Span<int> into)
    {
        Vector<long> odd = new(needs.Cpu | needs.Memory | scored.Cpu | scored.Memory);
        bool bare = false;
        for (int i = 0; i < Column<long>.Size; i += Vector<int>.Count)
            Vector.Narrow(Scores(page, i, ref odd, ref bare), Scores(page, i + Vector<long>.Count, ref odd, ref bare)).CopyTo(into[i..]);
        return !bare && Vector.EqualsAll(odd >>> MostBits, Vector<long>.Zero);
    }

    private Vector<long> Scores(in AmountPage page, int i, ref Vector<long> odd, ref bool bare)
    {
        var cpus = new Vector<long>(page.Cpus, i);
        var cpu = new Vector<long>(page.Cpu, i);
        var memories = new Vector<long>(page.Memories, i);
        var memory = new Vector<long>(page.Memory, i);
        var scoredCpu = new Vector<long>(page.ScoredCpu, i);
        var scoredMemory = new Vector<long>(page.ScoredMemory, i);
        odd |= cpus | cpu | memories | memory | scoredCpu | scoredMemory;
        Vector<long> full = Vector.LessThanOrEqual(new Vector<long>(page.Places, i), new Vector<long>(page.Taken, i));
        Vector<long> none = Vector.Equals(cpus, Vector<long>.Zero) | Vector.Equals(memories, Vector<long>.Zero);
        bare |= Vector.LessThanAny(Vector.AndNot(none, full), Vector<long>.Zero);
        Vector<long> shorts = full | Vector.GreaterThan(_shortCpu, cpus - cpu) | Vector.GreaterThan(_shortMemory, memories - memory);
        Vector<double> allCpu = Exact(cpus), allMemory = Exact(memories);
        Vector<double> total = new Vector<double>(fit) * Vector.Floor((Least(cpus, scoredCpu + new Vector<long>(scored.Cpu), allCpu) + Least(memories, scoredMemory + new Vector<long>(scored.Memory), allMemory)) * 0.5);
        if (balance != 0)
            total += new Vector<double>(balance) * Balance(Exact(cpu + new Vector<long>(needs.Cpu)) / allCpu, Exact(memory + new Vector<long>(needs.Memory)) / allMemory);
        return Vector.ConditionalSelect(shorts, new Vector<long>(-1), Vector.AsVectorInt64(total + new Vector<double>(TwoTo52)) & new Vector<long>((1L << 52) - 1));
    }

    // What would be free, in percent.
    private static Vector<double> Least(Vector<long> all, Vector<long> used, Vector<double> exactAll) =>
        Vector.ConditionalSelect(Vector.GreaterThan(used, all), Vector<double>.Zero, Vector.Floor(Exact(all - used) * 100 / exactAll));

    private static Vector<double> Balance(Vector<double> cpu, Vector<double> memory) =>
        Vector.Floor((Vector<double>.One - (Vector.Abs(Vector.Min(cpu, Vector<double>.One) - Vector.Min(memory, Vector<double>.One)) * 0.5)) * 100);

    // A whole number from 0 on below 2^52: it is the fraction of 2^52 and itself.
    private static Vector<double> Exact(Vector<long> value) =>
        Vector.AsVectorDouble(value | Vector.AsVectorInt64(new Vector<double>(TwoTo52))) - new Vector<double>(TwoTo52);
}

/// <summary>The amounts of one page of rows.</summary>
internal readonly struct AmountPage(Working working, int row)
{
    public readonly long[] Cpus = working.Snapshot.Allocatable[ResourceNames.Cpu].PageOf(row), Memories = working.Snapshot.Allocatable[ResourceNames.Memory].PageOf(row),
        Places = working.Snapshot.Allocatable[ResourceNames.Pods].PageOf(row), Cpu = working.Requested[ResourceNames.Cpu].PageOf(row),
        Memory = working.Requested[ResourceNames.Memory].PageOf(row), Taken = working.Requested[ResourceNames.Pods].PageOf(row),
        ScoredCpu = working.ScoredCpu.PageOf(row), ScoredMemory = working.ScoredMemory.PageOf(row);

    /// <summary>True when both are of the very same arrays.</summary>
    public bool IsSame(in AmountPage other) =>
        ReferenceEquals(Cpu, other.Cpu) && ReferenceEquals(Memory, other.Memory) && ReferenceEquals(Taken, other.Taken) && ReferenceEquals(ScoredCpu, other.ScoredCpu)
        && ReferenceEquals(ScoredMemory, other.ScoredMemory) && ReferenceEquals(Cpus, other.Cpus) && ReferenceEquals(Memories, other.Memories) && ReferenceEquals(Places, other.Places);

    /// <summary>True when neither the plan nor its snapshot will ever write the arrays of a row's page.</summary>
    public static bool IsFixed(Working working, int row)
    {
        Snapshot snapshot = working.Snapshot;
        for (int r = 0; r <= ResourceNames.Pods; r++)
            if (!snapshot.Allocatable[r].IsFixed(row) || !snapshot.Requested[r].IsFixed(row) || !working.Requested[r].IsFixed(row))
                return false;
        return snapshot.Scored[0].IsFixed(row) && snapshot.Scored[1].IsFixed(row) && working.ScoredCpu.IsFixed(row) && working.ScoredMemory.IsFixed(row);
    }
}
