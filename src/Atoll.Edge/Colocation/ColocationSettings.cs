namespace Atoll.Edge.Colocation;

/// <summary>A Site's <c>spec.colocation</c> with its defaults.</summary>
internal readonly record struct ColocationSettings(double CpuShare, double MemoryShare, TimeSpan EvictAfter, TimeSpan ColdStart)
{
    public static ColocationSettings Of(Api.Core.Colocation spec) => new(
        (spec.CpuReclaimThresholdPercent ?? 80) / 100.0,
        (spec.MemoryReclaimThresholdPercent ?? 80) / 100.0,
        TimeSpan.FromSeconds(spec.EvictAfterSeconds ?? 300),
        TimeSpan.FromSeconds(spec.ColdStartSeconds ?? 600));

    /// <summary>What online and batch pods together may use.</summary>
    public Amounts LimitOf(Amounts allocatable) => new(allocatable.CpuMilli * CpuShare, allocatable.MemoryBytes * MemoryShare);
}
