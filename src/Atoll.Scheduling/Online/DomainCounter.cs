namespace Atoll.Scheduling.Online;

/// <summary>
/// A number for each domain of a topology key: how much the pods there weigh for one constraint of one class of pods. Counted
/// once from the groups of the fleet and followed from there.
/// </summary>
internal class DomainCounter
{
    private readonly LabelColumn? _column;
    private readonly Func<PodGroup, int> _weight;
    private readonly Dictionary<PodGroup, int> _weights = [];

    /// <param name="key">Topology key.</param>
    /// <param name="working">The plan's state; groups that are in it now are counted here.</param>
    /// <param name="spec">Whose candidates <see cref="Domains"/> is aligned to.</param>
    /// <param name="weight">What one pod of a group weighs.</param>
    /// <param name="counted">Rows whose pods count; null for all.</param>
    public DomainCounter(string key, Working working, SpecClass spec, Func<PodGroup, int> weight, bool[]? counted = null)
    {
        Key = key;
        _weight = weight;
        _column = working.Snapshot.Labels.Find(key);
        CountedRows = counted;
        Numbers = _column?.Count ?? 1;
        Counts = working.Pool.Ints(Numbers);
        Array.Clear(Counts, 0, Numbers);
        Domains = spec.DomainsOf(key);
        foreach (GroupRows group in working.Snapshot.GroupList)
        {
            int each = WeightOf(group.Group);
            if (each != 0 && _column is not null)
                Total += group.Counts.Sum(_column, each, counted, Counts);
        }
        foreach (Working.Change change in working.Log)
            AddRaw(change.Row, WeightOf(change.Group) * change.Sign);
    }

    public string Key { get; }

    /// <summary>By domain; 0 is "no such label", which nothing is ever counted in.</summary>
    public int[] Counts { get; }

    /// <summary>Domains are numbered below this.</summary>
    public int Numbers { get; }

    /// <summary>Domain of each candidate.</summary>
    public int[] Domains { get; }

    /// <summary>True when anything was counted anywhere.</summary>
    public bool Any => Total != 0;

    protected bool[]? CountedRows { get; }

    private long Total { get; set; }

    public int DomainOf(int row) => _column?[row] ?? 0;

    /// <summary>True for each domain that a row which counts is in.</summary>
    protected bool[] Counting(Working working)
    {
        Snapshot snapshot = working.Snapshot;
        if (_column is not null && CountedRows is null)
            return _column.InUse(snapshot.Rows);
        bool[] found = working.Pool.Bools(Numbers);
        Array.Clear(found, 0, Numbers);
        for (int first = 0; _column is not null && first < snapshot.Rows; first += Column<int>.Size)
        {
            ReadOnlySpan<int> domains = _column.PageOf(first);
            ReadOnlySpan<bool> counted = CountedRows.AsSpan(first, Math.Min(Column<int>.Size, snapshot.Rows - first));
            for (int i = 0; i < counted.Length; i++)
                if (counted[i])
                    found[domains[i]] = true;
        }
        return found;
    }

    public int WeightOf(PodGroup group)
    {
        if (!_weights.TryGetValue(group, out int weight))
            _weights.Add(group, weight = _weight(group));
        return weight;
    }

    /// <summary>What pods of a row weigh, given by their groups.</summary>
    public int WeightOf(int row, IReadOnlyDictionary<PodGroup, int> pods)
    {
        int weight = 0;
        if (IsCounted(row) && DomainOf(row) != 0)
            foreach (KeyValuePair<PodGroup, int> group in pods)
                weight += WeightOf(group.Key) * group.Value;
        return weight;
    }

    /// <summary>The same as <see cref="Any"/> were some pods of a row gone.</summary>
    public bool AnyWithout(int row, IReadOnlyDictionary<PodGroup, int> gone) => Total != WeightOf(row, gone);

    /// <summary>True when pods on the row count.</summary>
    public bool IsCounted(int row) => CountedRows is null || CountedRows[row];

    public virtual void Follow(Working.Change change)
    {
        int weight = WeightOf(change.Group);
        if (weight != 0)
            AddRaw(change.Row, weight * change.Sign);
    }

    protected int AddRaw(int row, int amount)
    {
        int domain = DomainOf(row);
        if (domain == 0 || amount == 0 || !IsCounted(row))
            return 0;
        Counts[domain] += amount;
        Total += amount;
        return domain;
    }
}

/// <summary>
/// Pods of a topology spread constraint by domain, and the fewest of any domain. The fewest is kept up to date: it is looked
/// for again only when the last domain that had it got another pod.
/// </summary>
internal sealed class SpreadCounter : DomainCounter
{
    private readonly List<int> _domains = [];
    private readonly bool[] _isDomain;
    private readonly int _minDomains;
    private int _least, _atLeast;

    public SpreadCounter(string key, Working working, SpecClass spec, Func<PodGroup, int> weight, bool[]? counted, int maxSkew, int minDomains, int self)
        : base(key, working, spec, weight, counted)
    {
        MaxSkew = maxSkew;
        Self = self;
        _minDomains = minDomains;
        _isDomain = Counting(working);
        for (int domain = 1; domain < Math.Min(Numbers, _isDomain.Length); domain++)
            if (_isDomain[domain])
                _domains.Add(domain);
        FindLeast();
    }

    public int MaxSkew { get; }

    /// <summary>1 when the pod itself is among those that the constraint counts.</summary>
    public int Self { get; }

    /// <summary>The most pods that a domain may have for one more to be allowed there.</summary>
    public int Most => MostWhen(_least);

    /// <summary>The same, were <paramref name="fewer"/> pods gone from a domain.</summary>
    public int MostWithout(int domain, int fewer) => MostWhen(domain < _isDomain.Length && _isDomain[domain] ? Math.Min(_least, Counts[domain] - fewer) : _least);

    public override void Follow(Working.Change change)
    {
        int weight = WeightOf(change.Group);
        if (weight == 0)
            return;
        int domain = AddRaw(change.Row, weight * change.Sign);
        if (domain == 0)
            return;
        if (change.Sign < 0 || (Counts[domain] - weight == _least && --_atLeast == 0))
            FindLeast();
    }

    // Always less than what stands for a row that has no such label.
    private int MostWhen(int least) => (int)Math.Min((long)MaxSkew - Self + (_minDomains > _domains.Count ? 0 : least), int.MaxValue - 1);

    private void FindLeast()
    {
        (_least, _atLeast) = (int.MaxValue, 0);
        foreach (int domain in _domains)
            if (Counts[domain] < _least)
                (_least, _atLeast) = (Counts[domain], 1);
            else if (Counts[domain] == _least)
                _atLeast++;
        if (_domains.Count == 0)
            _least = 0;
    }
}
