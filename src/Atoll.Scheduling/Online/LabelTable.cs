using System.Collections.Concurrent;

namespace Atoll.Scheduling.Online;

/// <summary>The labels of all nodes: one column of numbers for each key. Number 0 is "no such label".</summary>
internal sealed class LabelTable
{
    private readonly Dictionary<string, LabelColumn> _columns = new(StringComparer.Ordinal);

    /// <summary>The column of a key, or null when no node ever had that label.</summary>
    public LabelColumn? Find(string key) => _columns.GetValueOrDefault(key);

    public LabelTable Copy()
    {
        var copy = new LabelTable();
        foreach (KeyValuePair<string, LabelColumn> column in _columns)
            copy._columns.Add(column.Key, column.Value.Copy());
        return copy;
    }

    /// <summary>Writes the labels of a row over those it had.</summary>
    public void Set(int row, Dictionary<string, string>? old, Dictionary<string, string>? now)
    {
        foreach (KeyValuePair<string, string> label in old ?? [])
            if (now?.ContainsKey(label.Key) != true)
                _columns[label.Key].Set(row, null);
        foreach (KeyValuePair<string, string> label in now ?? [])
        {
            if (!_columns.TryGetValue(label.Key, out LabelColumn? column))
                _columns.Add(label.Key, column = new LabelColumn());
            if (old is null || !old.TryGetValue(label.Key, out string? was) || was != label.Value)
                column.Set(row, label.Value);
        }
    }
}

/// <summary>One label key over all nodes: numbers for values, and, once somebody asks, the rows of each value.</summary>
internal sealed class LabelColumn
{
    private readonly ValueNames _names;
    private readonly Column<int> _values;
    private volatile int[][]? _rows;
    private volatile bool[]? _inUse;

    public LabelColumn()
        : this(new ValueNames(), new Column<int>())
    {
    }

    private LabelColumn(ValueNames names, Column<int> values) => (_names, _values) = (names, values);

    /// <summary>Numbers in use are below this.</summary>
    public int Count => _names.Count;

    /// <summary>Number of a row's value.</summary>
    public int this[int row] => _values[row];

    /// <summary>The page of numbers that holds a row: see <see cref="Column{T}.PageOf"/>.</summary>
    public int[] PageOf(int row) => _values.PageOf(row);

    /// <summary>The numbers of many rows, ascending.</summary>
    public void Read(ReadOnlySpan<int> rows, int[] into)
    {
        for (int k = 0; k < rows.Length;)
        {
            int[] page = _values.PageOf(rows[k]);
            int end = k + Column<int>.InPage(rows[k..]);
            if (end - k == Column<int>.Size)
            {
                page.CopyTo(into, k);
                k = end;
            }
            for (; k < end; k++)
                into[k] = page[rows[k] & Column<int>.Mask];
        }
    }

    public LabelColumn Copy() => new(_names, _values.Fork());

    public string NameOf(int value) => _names[value];

    /// <summary>Number of a value, or 0 when no node ever had it.</summary>
    public int Find(string value) => _names.Find(value);

    public void Set(int row, string? value)
    {
        _values.At(row) = value is null ? 0 : _names.Add(value);
        (_rows, _inUse) = (null, null);
    }

    /// <summary>By number, which may be short of those that have no row: true when a row has the value. Kept as <see cref="RowsOf"/> keeps rows; not to be changed.</summary>
    public bool[] InUse(int rows)
    {
        if (_inUse is { } known)
            return known;
        bool[] found = new bool[Count];
        for (int first = 0; first < rows; first += Column<int>.Size)
            foreach (int value in _values.PageOf(first).AsSpan(0, Math.Min(Column<int>.Size, rows - first)))
                found[value] = true;
        return _inUse = found;
    }

    /// <summary>The rows that have a value, ascending. Made at the first question after a change; safe to ask from several threads.</summary>
    public int[] RowsOf(int value, int rows)
    {
        int[][] index = _rows ??= Index(rows);
        return value < index.Length ? index[value] ?? [] : [];
    }

    private int[][] Index(int rows)
    {
        var sizes = new int[Count];
        for (int row = 0; row < rows; row++)
            sizes[_values[row]]++;
        var index = new int[sizes.Length][];
        for (int i = 1; i < index.Length; i++)
            index[i] = sizes[i] == 0 ? [] : new int[sizes[i]];
        Array.Clear(sizes);
        for (int row = 0; row < rows; row++)
            if (_values[row] is > 0 and int value)
                index[value][sizes[value]++] = row;
        return index;
    }

    /// <summary>Values by number. Grows only, and is shared by copies: a copy simply has no row of a newer number.</summary>
    private sealed class ValueNames
    {
        private readonly ConcurrentDictionary<string, int> _ids = new(StringComparer.Ordinal);
        private volatile string[] _names = [""];
        private volatile int _count = 1;

        public int Count => _count;

        public string this[int id] => _names[id];

        public int Find(string value) => _ids.GetValueOrDefault(value);

        public int Add(string value)
        {
            if (_ids.TryGetValue(value, out int known))
                return known;
            lock (_ids)
            {
                if (_ids.TryGetValue(value, out known))
                    return known;
                string[] names = _names;
                int id = _count;
                if (id == names.Length)
                    Array.Resize(ref names, id * 2);
                names[id] = value;
                _names = names;
                _count = id + 1;
                _ids[value] = id;
                return id;
            }
        }
    }
}
