namespace Atoll.Scheduling.Online;

/// <summary>Which rule a limit comes from; the order is the order in which Kubernetes names it.</summary>
internal enum LimitKind
{
    Spread,
    Affinity,
    Anti,
    ExistingAnti,
}

/// <summary>A count that has to lie in a range for a domain to be allowed.</summary>
internal sealed class Limit(LimitKind kind, DomainCounter counter, SpreadCounter? spread)
{
    public const string MissingLabel = "node(s) didn't match pod topology spread constraints (missing required label)";
    public const string Skewed = "node(s) didn't match pod topology spread constraints";
    public const string NotNear = "node(s) didn't match pod affinity rules";
    public const string TooNear = "node(s) didn't match pod anti-affinity rules";
    public const string OthersTooNear = "node(s) didn't satisfy existing pods anti-affinity rules";

    private int _low = int.MinValue, _high = int.MaxValue;

    public LimitKind Kind { get; } = kind;

    public DomainCounter Counter { get; } = counter;

    public SpreadCounter? Spread { get; } = spread;

    public bool Allows(int count) => count >= _low && count <= _high;

    /// <summary>Sets the range for the next pod. <paramref name="first"/>: nobody is there yet to be near to, and the pod would be near to itself.</summary>
    public void Refresh(bool first) => (_low, _high) = Kind switch
    {
        LimitKind.Spread => (int.MinValue, Spread!.Most),
        LimitKind.Affinity => (first ? 0 : 1, int.MaxValue),
        _ => (int.MinValue, 0),
    };

    /// <summary>Why a row is not allowed, or null.</summary>
    public string? Reason(int row)
    {
        int domain = Counter.DomainOf(row);
        if (Allows(Counter.Counts[domain]))
            return null;
        return Kind switch
        {
            LimitKind.Spread => domain == 0 ? MissingLabel : Skewed,
            LimitKind.Affinity => NotNear,
            LimitKind.Anti => TooNear,
            _ => OthersTooNear,
        };
    }

    /// <summary>True when the row would be allowed without some of its pods; their groups are given with how many of each. <paramref name="first"/>: as in <see cref="Refresh"/>, without them.</summary>
    public bool AllowsWithout(int row, IReadOnlyDictionary<PodGroup, int> gone, bool first)
    {
        int domain = Counter.DomainOf(row), fewer = Counter.WeightOf(row, gone), count = Counter.Counts[domain] - fewer;
        return Spread is not null ? domain != 0 && count <= Spread.MostWithout(domain, fewer) : first && Kind == LimitKind.Affinity ? domain != 0 : Allows(count);
    }
}
