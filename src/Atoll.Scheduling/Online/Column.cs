namespace Atoll.Scheduling.Online;

/// <summary>
/// One value for each row of a snapshot, in pages that copies share until one of them writes: a copy costs a pointer for each
/// page. Rows that were never written hold the default and cost nothing.
/// </summary>
internal sealed class Column<T>
{
    /// <summary>A row's place within its page.</summary>
    public const int Mask = Size - 1;

    /// <summary>Rows of a page.</summary>
    public const int Size = 1 << Shift;

    private const int Shift = 9;
    private static readonly T[] s_empty = new T[Size];

    private T[][] _pages;
    private bool[] _owned;

    public Column()
        : this([], [])
    {
    }

    private Column(T[][] pages, bool[] owned) => (_pages, _owned) = (pages, owned);

    /// <summary>Rows of all pages; those behind hold the default.</summary>
    public int Length => _pages.Length << Shift;

    public T this[int row]
    {
        get
        {
            int page = row >> Shift;
            return page < _pages.Length ? _pages[page][row & Mask] : default!;
        }
    }

    /// <summary>The page that holds a row, for reading many: index it with <c>row &amp; <see cref="Mask"/></c>.</summary>
    public T[] PageOf(int row)
    {
        int page = row >> Shift;
        return page < _pages.Length ? _pages[page] : s_empty;
    }

    /// <summary>True when the page that holds a row is never written again: a copy shares it, or did.</summary>
    public bool IsFixed(int row) => row >> Shift is var page && (page >= _pages.Length || !_owned[page]);

    /// <summary>How many of some rows, ascending and each once, are in the page of the first.</summary>
    public static int InPage(ReadOnlySpan<int> rows)
    {
        int most = Math.Min(rows.Length, Size - (rows[0] & Mask)), last = rows[0] | Mask;
        if (rows[most - 1] <= last)
            return most;
        int end = rows[..most].BinarySearch(last);
        return end < 0 ? ~end : end + 1;
    }

    /// <summary>The place of a row, for writing.</summary>
    public ref T At(int row)
    {
        int page = row >> Shift;
        if (page >= _pages.Length)
            Grow(page + 1);
        if (!_owned[page])
        {
            _pages[page] = [.. _pages[page]];
            _owned[page] = true;
        }
        return ref _pages[page][row & Mask];
    }

    /// <summary>A copy; from here on both sides copy a page before they write it.</summary>
    public Column<T> Fork()
    {
        Array.Clear(_owned);
        return Over();
    }

    /// <summary>A copy for as long as this one is not written: it takes nothing from this one.</summary>
    public Column<T> Over() => new([.. _pages], new bool[_pages.Length]);

    private void Grow(int pages)
    {
        int old = _pages.Length, size = Math.Max(pages, old + (old >> 1));
        Array.Resize(ref _pages, size);
        Array.Resize(ref _owned, size);
        Array.Fill(_pages, s_empty, old, size - old);
    }
}
