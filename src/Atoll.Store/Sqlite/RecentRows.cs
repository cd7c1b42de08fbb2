using System.Diagnostics.CodeAnalysis;

namespace Atoll.Store.Sqlite;

/// <summary>
/// The newest rows of keys that were written or asked for lately, so that the writer does not look up what it has just written: an
/// object is often changed soon after it was made, and its namespace is compared with each time. Only the writer changes rows, so
/// nothing here is ever old; what a transaction that was rolled back did is forgotten with everything else.
/// <para>Two halves: when one is full, the other is dropped and filled anew, and what is asked for moves along.</para>
/// </summary>
/// <param name="maxBytes">Bound of the keys and values of both halves.</param>
internal sealed class RecentRows(long maxBytes)
{
    private const int MostOfHalf = 4096, Overhead = 150;

    private Dictionary<byte[], Row> _now = new(BytesComparer.Instance), _before = new(BytesComparer.Instance);
    private long _bytes;

    /// <summary>A row; without an entry there is none of the key.</summary>
    public readonly record struct Row(long Id, StoreEntry? Entry);

    public bool TryGet(byte[] key, out Row row)
    {
        if (_now.TryGetValue(key, out row))
            return true;
        if (!_before.TryGetValue(key, out row))
            return false;
        Put(key, row);
        return true;
    }

    public void Put(byte[] key, Row row)
    {
        if (_now.Remove(key, out Row old))
            _bytes -= Cost(key, old);
        if (_now.Count >= MostOfHalf || _bytes + Cost(key, row) > maxBytes / 2)
        {
            (_before, _now) = (_now, _before);
            _now.Clear();
            _bytes = 0;
        }
        else
            _before.Remove(key);
        _bytes += Cost(key, row);
        _now.Add(key, row);
    }

    public void Clear()
    {
        _now.Clear();
        _before.Clear();
        _bytes = 0;
    }

    private static long Cost(byte[] key, Row row) => key.Length + (row.Entry?.Value.Length ?? 0) + Overhead;

    private sealed class BytesComparer : IEqualityComparer<byte[]>
    {
        public static readonly BytesComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode([DisallowNull] byte[] obj)
        {
            var hash = new HashCode();
            hash.AddBytes(obj);
            return hash.ToHashCode();
        }
    }
}
