using System.Text;
using Atoll.Api.Core;
using Atoll.Api.Objects;

namespace Atoll.Kube.Watch;

/// <summary>
/// One thread's part of the first reading of the store: the objects of what it saw, by cache. What all pods of a node have in
/// common is made once, and a spec that many have is parsed once.
/// </summary>
internal sealed class CacheReader
{
    private const int LongestName = 253;

    private readonly byte[][] _prefixes;
    private readonly bool[] _arePods;
    private readonly List<CachedObject>[] _found;
    private readonly Dictionary<string, string> _nodes = new(StringComparer.Ordinal);
    private readonly Dictionary<string, string>.AlternateLookup<ReadOnlySpan<char>> _nodesByText;
    private readonly Func<ReadOnlySpan<byte>, string> _nodeName;
    private readonly RecentSpecs _recent = new();
    private int _last;

    public CacheReader(IReadOnlyList<ResourceCache> caches)
    {
        (_prefixes, _arePods, _found) = (new byte[caches.Count][], new bool[caches.Count], new List<CachedObject>[caches.Count]);
        for (int i = 0; i < caches.Count; i++)
            (_prefixes[i], _arePods[i], _found[i]) = (Encoding.UTF8.GetBytes(caches[i].Prefix), caches[i].Type.Equals(Kinds.Pod), []);
        _nodesByText = _nodes.GetAlternateLookup<ReadOnlySpan<char>>();
        _nodeName = NodeName;
    }

    /// <summary>Takes in an entry of the store; one that is no object's is passed over.</summary>
    public void Read(ReadOnlySpan<byte> key, ReadOnlySpan<byte> value, long revision)
    {
        // What was written together is mostly of one kind.
        if (!key.StartsWith(_prefixes[_last]))
        {
            int at = 0;
            while (at < _prefixes.Length && !key.StartsWith(_prefixes[at]))
                at++;
            if (at == _prefixes.Length)
                return;
            _last = at;
        }
        _found[_last].Add(new CachedObject(Encoding.UTF8.GetString(key[_prefixes[_last].Length..]), value, revision, _arePods[_last], nodeName: _nodeName, recent: _recent));
    }

    /// <summary>Puts what was read in the order of keys.</summary>
    public void Sort()
    {
        foreach (List<CachedObject> found in _found)
            found.Sort(static (a, b) => string.CompareOrdinal(a.Key, b.Key));
    }

    /// <summary>What sorted readers found of one cache, in the order of keys.</summary>
    public static List<CachedObject> Merge(IEnumerable<CacheReader> readers, int cache)
    {
        List<CachedObject> merged = [];
        foreach (CacheReader reader in readers)
            merged = Merge(merged, reader._found[cache]);
        return merged;
    }

    private static List<CachedObject> Merge(List<CachedObject> left, List<CachedObject> right)
    {
        if (left.Count == 0 || right.Count == 0)
            return left.Count == 0 ? right : left;
        var merged = new List<CachedObject>(left.Count + right.Count);
        for (int l = 0, r = 0; l < left.Count || r < right.Count;)
            merged.Add(r == right.Count || (l < left.Count && string.CompareOrdinal(left[l].Key, right[r].Key) < 0) ? left[l++] : right[r++]);
        return merged;
    }

    private string NodeName(ReadOnlySpan<byte> text)
    {
        if (text.Length > LongestName)
            return Encoding.UTF8.GetString(text);
        Span<char> characters = stackalloc char[LongestName];
        characters = characters[..Encoding.UTF8.GetChars(text, characters)];
        if (!_nodesByText.TryGetValue(characters, out string? known))
            _nodes.Add(known = new string(characters), known);
        return known;
    }
}
