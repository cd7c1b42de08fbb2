using System.Globalization;

namespace Atoll.Edge.Colocation;

/// <summary>What one step of the throttle looks at.</summary>
internal readonly record struct BatchFacts
{
    public required Amounts Allocatable { get; init; }

    /// <summary>What everything but batch uses now.</summary>
    public required Amounts Others { get; init; }

    public required double BatchMemoryBytes { get; init; }

    /// <summary>What the batch pods that run here asked for together.</summary>
    public required Amounts HandedOut { get; init; }

    /// <summary>What is told as allocatable to batch pods.</summary>
    public required Amounts Told { get; init; }

    /// <summary>Memory that the machine still has, and the amount below which batch pods go.</summary>
    public required long AvailableBytes { get; init; }
    public required long ShortBelowBytes { get; init; }
    public required double MemoryPressurePercent { get; init; }

    /// <summary>True while an evicted batch pod is being stopped.</summary>
    public required bool Stopping { get; init; }

    /// <summary>Seconds since the step before.</summary>
    public required double Seconds { get; init; }
}

/// <summary>What all batch pods together are held to, and why one of them must go: <c>cpu</c> or <c>memory</c> is short, or null.</summary>
internal readonly record struct BatchOrders(long CpuMilli, long MemoryHighBytes, long MemoryMaxBytes, string? Short, string? Why);

/// <summary>
/// Holds batch pods to what others leave. Pure: <c>Step(facts) → orders</c>. The quota of cpu falls at once and rises by a tenth of
/// the node a second; memory is bounded by what is free now. A batch pod goes when the machine's memory is nearly used up or waited
/// for, and when for longer than the grace more is used or handed out than there is; one at a time, as the next look may be better.
/// </summary>
internal sealed class BatchThrottle
{
    private const double RisePerSecond = 0.1, LeastCpu = 0.02, PressureLimit = 10;

    // The kernel's figure is an average of so long: it stays high after what caused it went.
    private const double PressureSeconds = 10;

    private const double LeastCpuMilli = 10, LeastMemoryBytes = 16 << 20;

    private double _quota, _overSeconds, _fullSeconds, _sinceEviction = PressureSeconds;

    public BatchOrders Step(in BatchFacts facts, in ColocationSettings settings)
    {
        Amounts limit = settings.LimitOf(facts.Allocatable), left = limit - facts.Others;
        double least = Math.Max(LeastCpuMilli, facts.Allocatable.CpuMilli * LeastCpu);
        _quota = Math.Max(least, Math.Min(left.CpuMilli, _quota + facts.Allocatable.CpuMilli * RisePerSecond * facts.Seconds));
        double high = Math.Max(LeastMemoryBytes, left.MemoryBytes);
        _overSeconds = facts.Told.LessThan(facts.HandedOut) ? _overSeconds + facts.Seconds : 0;
        _fullSeconds = facts.BatchMemoryBytes > high ? _fullSeconds + facts.Seconds : 0;
        _sinceEviction += facts.Seconds;
        (string? lack, string? why) = facts.Stopping || facts.HandedOut == default ? default : Lack(facts, settings, limit);
        if (lack is not null)
            _sinceEviction = 0;
        return new BatchOrders((long)_quota, (long)high, (long)Math.Max(LeastMemoryBytes, limit.MemoryBytes), lack, why);
    }

    private (string?, string?) Lack(in BatchFacts facts, in ColocationSettings settings, Amounts limit)
    {
        double used = facts.Others.MemoryBytes + facts.BatchMemoryBytes, most = (limit.MemoryBytes + facts.Allocatable.MemoryBytes) / 2;
        if (used > most)
            return ("memory", string.Create(CultureInfo.InvariantCulture, $"pods and system use {Mi(used)}Mi, and batch pods go above {Mi(most)}Mi"));
        if (facts.AvailableBytes < facts.ShortBelowBytes)
            return ("memory", string.Create(CultureInfo.InvariantCulture, $"the machine has {Mi(facts.AvailableBytes)}Mi left, and batch pods go below {Mi(facts.ShortBelowBytes)}Mi"));
        if (facts.MemoryPressurePercent > PressureLimit && _sinceEviction >= PressureSeconds)
            return ("memory", string.Create(CultureInfo.InvariantCulture, $"everything waited for memory in {facts.MemoryPressurePercent:0} % of the last 10 s"));
        if (_fullSeconds > settings.EvictAfter.TotalSeconds)
            return ("memory", string.Create(CultureInfo.InvariantCulture, $"online pods leave less than the {Mi(facts.BatchMemoryBytes)}Mi that batch pods use, for {_fullSeconds:0} s"));
        if (_overSeconds <= settings.EvictAfter.TotalSeconds)
            return default;
        return facts.Told.CpuMilli < facts.HandedOut.CpuMilli
            ? ("cpu", string.Create(CultureInfo.InvariantCulture, $"batch pods asked for {facts.HandedOut.CpuMilli:0}m and {facts.Told.CpuMilli:0}m are left to them, for {_overSeconds:0} s"))
            : ("memory", string.Create(CultureInfo.InvariantCulture, $"batch pods asked for {Mi(facts.HandedOut.MemoryBytes)}Mi and {Mi(facts.Told.MemoryBytes)}Mi are left to them, for {_overSeconds:0} s"));
    }

    private static long Mi(double bytes) => (long)(bytes / (1 << 20));
}

/// <summary>A batch pod that might go.</summary>
internal readonly record struct BatchPod(string Name, int Priority, Amounts Request, double MemoryBytes)
{
    /// <summary>Who goes first: the lowest priority, then who uses most memory above its request, or asked for most cpu.</summary>
    public bool GoesBefore(in BatchPod other, string lack)
    {
        if (Priority != other.Priority)
            return Priority < other.Priority;
        double own = Weight(lack), its = other.Weight(lack);
        return own != its ? own > its : string.CompareOrdinal(Name, other.Name) < 0;
    }

    private double Weight(string lack) => lack == "cpu" ? Request.CpuMilli : MemoryBytes - Request.MemoryBytes;
}
