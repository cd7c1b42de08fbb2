namespace Atoll.Orchestration.Binding;

/// <summary>What placement has done since the start of the process; counters only grow. For metrics.</summary>
public sealed class PlacementStatistics
{
    private long _planned, _bound, _conflicts, _refused;

    /// <summary>Decisions made: pods planned, those again that were planned again.</summary>
    public long Planned => Interlocked.Read(ref _planned);

    /// <summary>Bindings that the API took.</summary>
    public long Bound => Interlocked.Read(ref _bound);

    /// <summary>Placements of one planner that no longer held when those of another had been taken over.</summary>
    public long Conflicts => Interlocked.Read(ref _conflicts);

    /// <summary>Bindings that the API refused: the pod or what was known of it had changed.</summary>
    public long Refused => Interlocked.Read(ref _refused);

    internal void AddPlanned(int pods) => Interlocked.Add(ref _planned, pods);

    internal void AddConflict() => Interlocked.Increment(ref _conflicts);

    internal void AddOutcome(bool bound) => Interlocked.Increment(ref bound ? ref _bound : ref _refused);
}
