namespace Atoll.Scheduling.Online;

/// <summary>
/// How many pods of one group each row has. Few rows are a table; many are a column, so that a copy of a group that is everywhere
/// costs a pointer for each page, and reading it all goes page by page.
/// </summary>
internal sealed class RowCounts
{
    private const int MostInTable = 256;

    private Dictionary<int, int>? _few;
    private Column<int>? _many;
    private int _rows;

    public RowCounts()
        : this([], null, 0)
    {
    }

    private RowCounts(Dictionary<int, int>? few, Column<int>? many, int rows) => (_few, _many, _rows) = (few, many, rows);

    /// <summary>True when no row has any.</summary>
    public bool IsEmpty => _rows == 0;

    /// <summary>A copy that may be written; this one must not be from here on.</summary>
    public RowCounts Copy() => new(_few is null ? null : new Dictionary<int, int>(_few), _many?.Over(), _rows);

    /// <summary>Adds to a row.</summary>
    public void Add(int row, int amount)
    {
        if (_few is { Count: >= MostInTable })
        {
            _many = new Column<int>();
            foreach ((int at, int count) in _few)
                _many.At(at) = count;
            _few = null;
        }
        int before = _many?[row] ?? _few!.GetValueOrDefault(row), now = before + amount;
        _rows += (now != 0 ? 1 : 0) - (before != 0 ? 1 : 0);
        if (_many is not null)
            _many.At(row) = now;
        else if (now != 0)
            _few![row] = now;
        else
            _few!.Remove(row);
    }

    /// <summary>Adds to the counts of domains what their rows have, so many times; the answer is what was added in all. Domain 0 is none.</summary>
    /// <param name="domainOf">The domain of each row.</param>
    /// <param name="each">What one pod weighs.</param>
    /// <param name="counted">Rows that count; null for all.</param>
    /// <param name="into">By domain.</param>
    public long Sum(LabelColumn domainOf, int each, bool[]? counted, int[] into)
    {
        long total = 0;
        if (_few is not null)
        {
            foreach ((int row, int count) in _few)
                if (domainOf[row] is > 0 and int domain && counted?[row] != false)
                {
                    into[domain] += each * count;
                    total += each * count;
                }
            return total;
        }
        for (int first = 0; first < _many!.Length; first += Column<int>.Size)
        {
            int[] counts = _many.PageOf(first), domains = domainOf.PageOf(first);
            if (counted is null && counts[0] != 0)
            {
                // A page of a group that is nearly everywhere: no row is worth a question.
                for (int i = 0; i < counts.Length; i++)
                {
                    int domain = domains[i], weight = domain == 0 ? 0 : each * counts[i];
                    into[domain] += weight;
                    total += weight;
                }
                continue;
            }
            for (int i = 0; i < counts.Length; i++)
            {
                // A large fleet has few of most groups.
                if (counts[i] == 0)
                {
                    int skipped = counts.AsSpan(i).IndexOfAnyExcept(0);
                    if (skipped < 0)
                        break;
                    i += skipped;
                }
                if (domains[i] == 0 || counted?[first + i] == false)
                    continue;
                into[domains[i]] += each * counts[i];
                total += each * counts[i];
            }
        }
        return total;
    }
}
