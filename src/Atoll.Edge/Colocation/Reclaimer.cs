namespace Atoll.Edge.Colocation;

/// <summary>Cpu in thousandths of a core, and memory in bytes.</summary>
internal readonly record struct Amounts(double CpuMilli, double MemoryBytes)
{
    public static Amounts operator +(Amounts a, Amounts b) => new(a.CpuMilli + b.CpuMilli, a.MemoryBytes + b.MemoryBytes);

    public static Amounts operator -(Amounts a, Amounts b) => new(a.CpuMilli - b.CpuMilli, a.MemoryBytes - b.MemoryBytes);

    /// <summary>True when there is less of one of the two.</summary>
    public bool LessThan(Amounts other) => CpuMilli < other.CpuMilli || MemoryBytes < other.MemoryBytes;
}

/// <summary>What pods asked for: all online pods, and those of them of whose use nothing is known yet.</summary>
internal readonly record struct OnlineRequests(Amounts All, Amounts Cold);

/// <summary>
/// What batch pods may be given: the threshold of the allocatable amounts, less what online pods and the system will use. Pure;
/// the caller has the clock.
/// <para>
/// Online pods will use the 95th percentile (cpu; 98th of memory) of their past, but no more than they asked for or used lately,
/// whichever is more: so what a pod that left had used is forgotten at once. Cold pods count with all that they asked for.
/// </para>
/// <para>
/// What is told goes in twentieths, down at once and up by two of them or more, at most every five minutes: each change travels to the
/// centre. An agent that starts keeps what was told before, unless that is more than is free now, until it has watched for the time
/// of a cold start.
/// </para>
/// </summary>
internal sealed class Reclaimer
{
    private const double CpuPart = 0.95, MemoryPart = 0.98;
    private const int Steps = 20;

    /// <summary>Time between two rises of what is told.</summary>
    internal static readonly TimeSpan RisePause = TimeSpan.FromMinutes(5);

    private static readonly TimeSpan s_cpuHalfLife = TimeSpan.FromHours(12), s_memoryHalfLife = TimeSpan.FromHours(24);

    private readonly DecayingPeak _onlineCpu = new(s_cpuHalfLife), _systemCpu = new(s_cpuHalfLife), _onlineMemory = new(s_memoryHalfLife), _systemMemory = new(s_memoryHalfLife);
    private RecentPeak _recentCpu, _recentMemory;
    private Amounts? _before;
    private double _watchedSeconds, _sinceRiseSeconds = double.MaxValue;

    /// <summary>What was told last; null is nothing yet.</summary>
    public Amounts? Told { get; private set; }

    /// <summary>Seconds that use was watched for.</summary>
    public double WatchedSeconds => _watchedSeconds;

    /// <summary>Takes over what an earlier agent told.</summary>
    public void Restore(Amounts told) => Told = _before = told;

    /// <summary>Counts what was used for some seconds.</summary>
    public void Observe(Amounts online, Amounts system, Amounts allocatable, double seconds)
    {
        _onlineCpu.Add(online.CpuMilli / allocatable.CpuMilli, seconds);
        _systemCpu.Add(system.CpuMilli / allocatable.CpuMilli, seconds);
        _onlineMemory.Add(online.MemoryBytes / allocatable.MemoryBytes, seconds);
        _systemMemory.Add(system.MemoryBytes / allocatable.MemoryBytes, seconds);
        _recentCpu.Add(online.CpuMilli + system.CpuMilli, seconds);
        _recentMemory.Add(online.MemoryBytes + system.MemoryBytes, seconds);
        _watchedSeconds += seconds;
        _sinceRiseSeconds += seconds;
    }

    /// <summary>Looks at what is to be told; true when it changed.</summary>
    public bool Update(Amounts allocatable, OnlineRequests requests, in ColocationSettings settings)
    {
        Amounts limit = settings.LimitOf(allocatable), free;
        if (_before is { } before && _watchedSeconds < settings.ColdStart.TotalSeconds)
        {
            Amounts now = limit - new Amounts(_recentCpu.Value, _recentMemory.Value);
            free = new Amounts(Math.Min(before.CpuMilli, now.CpuMilli), Math.Min(before.MemoryBytes, now.MemoryBytes));
        }
        else
        {
            _before = null;
            var online = new Amounts(
                Math.Min(_onlineCpu.Percentile(CpuPart) * allocatable.CpuMilli, Math.Max(requests.All.CpuMilli, _recentCpu.Value)),
                Math.Min(_onlineMemory.Percentile(MemoryPart) * allocatable.MemoryBytes, Math.Max(requests.All.MemoryBytes, _recentMemory.Value)));
            var system = new Amounts(_systemCpu.Percentile(CpuPart) * allocatable.CpuMilli, _systemMemory.Percentile(MemoryPart) * allocatable.MemoryBytes);
            free = limit - online - system - requests.Cold;
        }
        Amounts step = new(allocatable.CpuMilli / Steps, allocatable.MemoryBytes / Steps), wanted = new(Down(free.CpuMilli, step.CpuMilli), Down(free.MemoryBytes, step.MemoryBytes));
        Amounts told = Told ?? default;
        bool rises = Told is null || _sinceRiseSeconds >= RisePause.TotalSeconds;
        var next = new Amounts(Next(told.CpuMilli, wanted.CpuMilli, step.CpuMilli, rises), Next(told.MemoryBytes, wanted.MemoryBytes, step.MemoryBytes, rises));
        if (Told is not null && next == told)
            return false;
        if (told.LessThan(next))
            _sinceRiseSeconds = 0;
        Told = next;
        return true;
    }

    // What was rounded before is not rounded down once more.
    private static double Down(double free, double step) => Math.Floor(Math.Max(0, Math.Floor(free / step + 1e-6) * step));

    private static double Next(double told, double wanted, double step, bool rises) =>
        wanted < told || (rises && wanted > told + 1.5 * step) || (rises && told == 0) ? wanted : told;
}
